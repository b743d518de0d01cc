"""Small objects and a clock that stands still, for the tests of the cluster port."""

from __future__ import annotations

from dataclasses import dataclass

from lws_sched.api.core import Pod, PodSpec
from lws_sched.api.meta import Meta


def pod(name: str, version: int, *, uid: str = "", node: str = "", namespace: str = "ns") -> Pod:
    meta = Meta(name=name, namespace=namespace, uid=uid or f"uid-of-{name}", resource_version=str(version))
    return Pod(metadata=meta, spec=PodSpec(node_name=node))


@dataclass
class HeldClock:
    """Moves only when told to."""

    time: float = 1000.0

    def now(self) -> float:
        return 1_700_000_000.0 + self.time

    def monotonic(self) -> float:
        return self.time
