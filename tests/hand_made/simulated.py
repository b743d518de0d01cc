"""The simulated API server and the controller alone, behind the calls of the tests' client for the real one.

After every write the controller is left to act until it rests, so that what a test then reads is what it comes to.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import deepcopy
from random import Random
from typing import Any

from lws_sched.api.core import CONTROLLER_REVISION, EVENT, POD, SERVICE, STATEFUL_SET
from lws_sched.api.lws import LEADER_WORKER_SET
from lws_sched.api.meta import Kind
from lws_sched.controller.app import Options, build
from lws_sched.kube import errors
from lws_sched.sim.api_server import ApiServer
from lws_sched.sim.cluster import SimCluster
from lws_sched.sim.faults import NONE, FaultInjector, Faults
from lws_sched.sim.loop import Latencies, Loop
from lws_sched.sim.runtime import SimRuntime
from lws_sched.sim.store import ObjectStore
from tests.controlplane.client import ApiError, Object

KINDS: Mapping[str, Kind[Any]] = {
    kind.plural: kind for kind in (LEADER_WORKER_SET, STATEFUL_SET, CONTROLLER_REVISION, POD, SERVICE, EVENT)
}
RESTART_SECONDS = 0.1
RESTING_SECONDS = 2.0
"""Simulated; what is due later is a look for its own sake."""


class SimulatedApi:
    """Paths as `tests.controlplane.client.path_of` writes them. A controller that its faults crash is started anew."""

    def __init__(self, faults: Faults = NONE) -> None:
        self._loop = Loop(1, Latencies())
        store = ObjectStore(self._loop.clock, Random("identities"))
        self._server = ApiServer(store, self._loop.clock)
        self._faults = FaultInjector(faults, Random("faults"))
        self._start()
        store.listeners.append(lambda event: self._runtime.wake(event))
        self._rest()

    def _start(self) -> None:
        self._faults.revive()
        cluster = SimCluster(self._server, self._loop)
        runtime = self._runtime = SimRuntime("controller", self._loop, cluster, self._faults, lambda: 1)
        for hook in build(runtime, Options()).hooks:
            self._server.admission.admit(hook)
        runtime.start(self._crashed)

    def _crashed(self) -> None:
        self._loop.after(RESTART_SECONDS, self._start)

    def get(self, path: str, **_: str) -> Object:
        found = self.find(path)
        if found is None:
            raise ApiError(404, "NotFound", path)
        return found

    def find(self, path: str, **_: str) -> Object | None:
        kind, namespace, name, _sub = _parts(path)
        try:
            return deepcopy(self._server.get(kind, namespace, name).body)
        except errors.NotFound:
            return None

    def list(self, path: str, **_: str) -> Sequence[Object]:
        kind, namespace, *_rest = _parts(path)
        return [deepcopy(each.body) for each in self._server.list(kind, namespace)]

    def create(self, path: str, body: Mapping[str, Any], **_: str) -> Object:
        if path == "/api/v1/namespaces":
            return dict(body)
        kind, namespace, *_rest = _parts(path)
        meta = {**body["metadata"], "namespace": namespace}
        self._server.create(kind, {**body, "metadata": meta})
        return self._rest()

    def replace(self, path: str, body: Mapping[str, Any], **_: str) -> Object:
        kind, namespace, name, subresource = _parts(path)
        try:
            if subresource == "status":
                self._server.merge(kind, namespace, name, {"status": body["status"]}, subresource=subresource)
            else:
                self._server.replace(kind, body)
        except errors.Conflict as conflict:
            raise ApiError(409, "Conflict", str(conflict)) from None
        return self._rest()

    def patch(self, path: str, body: Mapping[str, Any], **_: str) -> Object:
        kind, namespace, name, subresource = _parts(path)
        self._server.merge(kind, namespace, name, body, subresource=subresource)
        return self._rest()

    def delete(self, path: str, **_: str) -> Object:
        kind, namespace, name, _sub = _parts(path)
        self._server.delete(kind, namespace, name, propagation="Background")
        return self._rest()

    def _rest(self) -> Object:
        """Let the controller act until it rests."""
        while (due := self._loop.next_due()) is not None and due <= self._loop.elapsed + RESTING_SECONDS:
            self._loop.step()
        return {}


def _parts(path: str) -> tuple[Kind[Any], str, str, str]:
    """Kind, namespace, name and subresource; "" for what the path does not have."""
    _, _, rest = path.partition("/namespaces/")
    namespace, plural, *names = rest.split("/")
    name, subresource = (*names, "", "")[:2]
    return KINDS[plural], namespace, name, subresource
