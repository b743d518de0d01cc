"""A Kubernetes cluster in process: one thread, a seeded clock, and the same port as the real one.

`World` (in `world`) is what scenarios, tests and `lws-sched demo` use. What is here behaves as Kubernetes 1.37 does;
what is not here, on purpose:

- the scheduler: preemption, volumes, spread constraints, namespace selectors in pod affinity, and sampling of nodes;
- StatefulSets: OrderedReady, volume claims, and limits of the revision history;
- server-side apply: owners of single fields, and lists merged by key; what a manager gives, it takes;
- the `not-ready` taint that a new node carries until the node lifecycle controller takes it away;
- quotas, LimitRanges, schemas and field validation; deletion with orphaned dependents;
- an exception of a component that is no refusal of the API server is not retried: it ends the simulation.
"""
