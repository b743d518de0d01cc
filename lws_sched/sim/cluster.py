"""The cluster port on the simulated API server: typed answers, one view per component.

`SimCluster` is the view of the user, without faults; `as_client` gives the view of a component, whose writes may be
made to fail, whose requests take simulated time, and which is useless once the component has crashed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from lws_sched.admission.hook import Hook
from lws_sched.api.meta import Kind, Object
from lws_sched.kube.errors import Unavailable
from lws_sched.kube.port import Body, PatchOperation
from lws_sched.sim.api_server import ApiServer
from lws_sched.sim.faults import NONE, FaultInjector
from lws_sched.sim.loop import Loop

T = TypeVar("T", bound=Object)
R = TypeVar("R")


class SimCluster:
    """`lws_sched.kube.port.Cluster` in process."""

    def __init__(self, server: ApiServer, loop: Loop, faults: FaultInjector | None = None) -> None:
        self.server = server
        self._loop = loop
        self._faults = faults or FaultInjector(NONE, loop.rng)
        self.spent = 0.0
        """Simulated seconds that requests took since the caller last set this to zero."""

    def as_client(self, faults: FaultInjector) -> SimCluster:
        return SimCluster(self.server, self._loop, faults)

    def admit(self, hook: Hook, is_up: Callable[[], bool] = lambda: True) -> None:
        """Register a webhook; `is_up` tells whether its process answers."""
        self.server.admission.admit(hook, is_up)

    def get(self, kind: Kind[T], namespace: str, name: str) -> T:
        self._read()
        return self.server.get(kind, namespace, name).read(kind.type)

    def list(self, kind: Kind[T], namespace: str = "", labels: str = "") -> list[T]:
        self._read()
        return [version.read(kind.type) for version in self.server.list(kind, namespace, labels)]

    def create(self, kind: Kind[T], body: Body, *, dry_run: bool = False) -> T:
        if dry_run:
            self._read()
            return self.server.create(kind, body, dry_run=True).read(kind.type)
        return self._write(lambda: self.server.create(kind, body)).read(kind.type)

    def replace(self, kind: Kind[T], body: Body) -> T:
        return self._write(lambda: self.server.replace(kind, body)).read(kind.type)

    def apply(self, kind: Kind[T], body: Body, *, manager: str) -> T:
        return self._write(lambda: self.server.apply(kind, body, manager=manager)).read(kind.type)

    def merge(self, kind: Kind[T], namespace: str, name: str, body: Body, *, subresource: str = "") -> T:
        answer = self._write(lambda: self.server.merge(kind, namespace, name, body, subresource=subresource))
        return answer.read(kind.type)

    def patch(self, kind: Kind[T], namespace: str, name: str, operations: Sequence[PatchOperation]) -> T:
        return self._write(lambda: self.server.patch(kind, namespace, name, operations)).read(kind.type)

    def delete(
        self,
        kind: Kind[T],
        namespace: str,
        name: str,
        *,
        uid: str = "",
        propagation: str = "Background",
        grace_seconds: int | None = None,
    ) -> None:
        self._write(
            lambda: self.server.delete(
                kind, namespace, name, uid=uid, propagation=propagation, grace_seconds=grace_seconds
            )
        )

    def bind(self, namespace: str, pod: str, uid: str, node: str) -> None:
        self._write(lambda: self.server.bind(namespace, pod, uid, node))

    def _read(self) -> None:
        self._faults.check()
        self._reach()
        self.spent += self._loop.jitter(self._loop.latencies.read)

    def _write(self, send: Callable[[], R]) -> R:
        self.spent += self._loop.jitter(self._loop.latencies.write)
        self._faults.check()
        self._reach()
        return self._faults.write(send)

    def _reach(self) -> None:
        if not self.server.is_up:
            raise Unavailable("connection refused")
