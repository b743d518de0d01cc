"""lws-sched as its user runs it: our controller and extender as processes beside a real control plane.

`LwsSched(plane)` installs the CRDs, starts both processes, and gives kube-scheduler the configuration under `deploy/`.
Used by the scenarios that run on the real control plane, by the benchmarks, and by `make cluster`.
"""

from tests.system.product import LwsSched

__all__ = ["LwsSched"]
