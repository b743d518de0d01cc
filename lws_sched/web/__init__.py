"""The page: what a cluster's domains hold, which groups wait and why, what was decided lately, and what would become of
a manifest.

- `sources`: the informers it reads.
- `scene`: what is shown, kept up to date one change at a time, and only while somebody looks.
- `timeline`: what was decided lately, from the records as they change.
- `telling`: the scene as compact JSON.
- `question`: what-if, bounded in size, number and time.
- `page`: these together, cached: an answer is made once for all who look.
- `doors`, `site`: who may look, and the routes.

The same page is served by the extender, to callers with a token, and by `lws-sched page`, to the one who started it.
"""
