"""The extender: decides where each whole group goes, and makes a stock kube-scheduler follow it, all or nothing.

`wanted` says which groups a LeaderWorkerSet needs, `life` what to do next about one group, `planner` runs both and asks
`lws_sched.placement` for places, `pod_hook` pins or gates members at creation, `verbs` answers kube-scheduler, and
`commit` turns a full barrier into bindings. The state of a group is its `GroupPlacement` and nothing else: what is in
memory here is derived from the cluster and is lost without harm.
"""
