"""Wire types and names: what Kubernetes objects look like on the wire, and nothing that acts on them.

Every type here is a *projection*: it decodes only the fields that lws-sched reads, so a list of 10,000 pods costs
milliseconds. A projection is therefore never written back whole; writes go through server-side apply, patches, or
bodies that we own completely (`GroupPlacement`). The user's pod templates stay opaque mappings end to end.
"""
