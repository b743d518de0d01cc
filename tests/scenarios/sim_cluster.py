"""The scenarios' cluster as a simulated world, with the same controller and extender code in it.

Time is simulated: a limit of 60 seconds costs none of them where nothing happens. The same seed gives the same run.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import yaml

from lws_sched.api.core import EVENT, NODE, POD, POD_DISRUPTION_BUDGET, SERVICE, STATEFUL_SET
from lws_sched.api.lws import LEADER_WORKER_SET
from lws_sched.api.meta import Kind
from lws_sched.api.placement import GROUP_PLACEMENT
from lws_sched.controller import app as controller
from lws_sched.extender import app as extender
from lws_sched.kube.errors import Forbidden, Invalid, NotFound
from lws_sched.sim.scheduler import PROFILES
from lws_sched.sim.world import NotReached, World
from tests.scenarios.cluster import SETS, WITHIN, Body, Cluster, Condition, Denied
from tests.scenarios.conditions import nothing_is_left_of
from tests.scenarios.manifests import NEVER
from tests.system.product import SCHEDULER_CONFIG

CONTROLLER, EXTENDER = "controller", "extender"
NO_WAITING = extender.Options(patience=0)
"""One thread: nothing else can run while a hook waits."""
KINDS: dict[str, Kind[Any]] = {
    f"{kind.api_version}/{kind.plural}".removeprefix("v1/"): kind
    for kind in (POD, POD_DISRUPTION_BUDGET, NODE, SERVICE, EVENT, STATEFUL_SET, LEADER_WORKER_SET, GROUP_PLACEMENT)
}


class SimCluster(Cluster):
    def __init__(
        self, seed: int, *, profiles: tuple[str, ...] = PROFILES, options: extender.Options = NO_WAITING
    ) -> None:
        """`profiles` are those of the kube-scheduler that asks the extender."""
        super().__init__()
        self.namespace = "scenario"
        self.world = World(seed=seed, profiles=profiles)
        self.world.start(CONTROLLER, lambda runtime: controller.build(runtime, controller.Options()))
        self.world.start(EXTENDER, lambda runtime: extender.build(runtime, options))
        self.world.connect_extender(EXTENDER, managed_resources())
        self.world.settle()

    def close(self) -> None:
        """Delete every set; the log ends when their groups are gone."""
        names = [each["metadata"]["name"] for each in self.all(SETS)]
        for name in names:
            self.delete(SETS, name)
        for name in names:
            self.eventually(nothing_is_left_of(name))

    def create(self, resource: str, body: Body) -> Body:
        try:
            return self.world.server.create(KINDS[resource], self._placed(resource, body)).body
        except (Invalid, Forbidden) as refused:
            raise Denied(str(refused)) from None

    def create_nodes(self, nodes: Sequence[Body]) -> None:
        self.world.create_nodes(nodes)

    def find(self, resource: str, name: str) -> Body | None:
        try:
            return self.world.server.get(KINDS[resource], self._namespace(resource), name).body
        except NotFound:
            return None

    def all(self, resource: str) -> list[Body]:
        return [each.body for each in self.world.server.list(KINDS[resource], self._namespace(resource))]

    def merge(self, resource: str, name: str, change: Body) -> None:
        self.world.server.merge(KINDS[resource], self._namespace(resource), name, change)

    def delete(self, resource: str, name: str) -> None:
        self.world.server.delete(KINDS[resource], self._namespace(resource), name)

    def eventually(self, condition: Condition, within: float = WITHIN) -> None:
        try:
            self.world.run(until=lambda: not condition(self), limit_seconds=within)
        except NotReached as picture:
            raise AssertionError(f"not within {within:.0f} s: {condition(self)}\n{picture}") from None

    def always(self, condition: Condition, seconds: float) -> None:
        try:
            self.world.run(until=lambda: bool(condition(self)), limit_seconds=seconds)
        except NotReached:
            return
        raise AssertionError(condition(self))

    def now(self) -> float:
        return self.world.elapsed

    def watched(self) -> Iterable[Body]:
        return self.world.lines()

    def has_priority_class(self, value: int, *, never_preempts: bool = False) -> str:
        name = f"priority-{value}{NEVER if never_preempts else ''}"
        self.world.server.priority_classes[name] = value
        return name

    def crash_extender(self) -> None:
        self.faults.append(self.now())
        self.world.crash(EXTENDER)

    def start_extender(self) -> None:
        self.world.restart(EXTENDER)
        self.faults.append(self.now())

    def _namespace(self, resource: str) -> str:
        return self.namespace if KINDS[resource].namespaced else ""

    def _placed(self, resource: str, body: Body) -> Body:
        namespace = self._namespace(resource)
        return {**body, "metadata": {**body["metadata"], **({"namespace": namespace} if namespace else {})}}


def managed_resources() -> list[str]:
    """What the scheduler configuration given to users sends to the extender."""
    config = yaml.safe_load(SCHEDULER_CONFIG.read_text())
    return [each["name"] for entry in config["extenders"] for each in entry["managedResources"]]
