"""Judges a watch log against the invariants of a group's life, sharing no code with the product.

`watchlog` records what an API server tells its watchers; `log` reads such a file back in the order of
resourceVersions; `objects` picks out of each object what the rules need; `state` replays the versions one by one;
`rules` and `stages` look at each step; `check` puts it together, and `python -m tests.invariants LOG` runs it.

The order is that of resourceVersions, never that of arrival: watches of different kinds are not ordered against each
other, but all kinds live in one etcd, whose revisions are integers that grow with every write of any kind. So replaying
by resourceVersion gives the exact state of the cluster at each moment, and no rule needs a margin for the time between
two watches. Wall time is used by one rule only (a stage must be bound within seconds of its commit).
"""
