"""The cluster port and its real implementation.

`port` is the interface that the controller and the extender are written against; `lws_sched.sim` implements it in
process. The rest of this package implements it over HTTP, and is the only importer of `kubernetes`.
"""
