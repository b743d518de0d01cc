"""The scenarios' cluster as a simulated world, with the same controller and extender code in it.

Time is simulated: a limit of 60 seconds costs none of them where nothing happens. The same seed gives the same run.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import cache
from typing import Any, TypeVar

import yaml

from lws_sched.api.core import DAEMON_SET, EVENT, NODE, POD, POD_DISRUPTION_BUDGET, SERVICE, STATEFUL_SET
from lws_sched.api.lws import LEADER_WORKER_SET
from lws_sched.api.meta import Kind
from lws_sched.api.placement import GROUP_PLACEMENT
from lws_sched.api.topology import TOPOLOGY
from lws_sched.controller import app as controller
from lws_sched.extender import app as extender
from lws_sched.kube.errors import AlreadyExists, Forbidden, Invalid, NotFound, Unavailable
from lws_sched.kube.port import Runtime
from lws_sched.sim.faults import Faults, Refusal
from lws_sched.sim.loop import Latencies
from lws_sched.sim.scheduler import PROFILES, Scheduler
from lws_sched.sim.store import Event
from lws_sched.sim.world import NotReached, World
from tests.controlplane.nodes import RACK_LABEL
from tests.invariants.check import Report, check
from tests.scenarios.cluster import CONTROLLER, EXTENDER, SCHEDULER, SETS, WITHIN, Body, Cluster, Condition, Denied
from tests.scenarios.conditions import nothing_is_left_of
from tests.scenarios.manifests import NEVER, OUR_SCHEDULER
from tests.scenarios.witness import Witness
from tests.system.product import SCHEDULER_CONFIG

R = TypeVar("R")
REPLICA = "extender-b"
"""The extender's second replica. It holds the same lease as the first, one after the other."""
CUT_SHARE = 0.6
KINDS: dict[str, Kind[Any]] = {
    f"{kind.api_version}/{kind.plural}".removeprefix("v1/"): kind
    for kind in (
        POD,
        POD_DISRUPTION_BUDGET,
        NODE,
        SERVICE,
        EVENT,
        STATEFUL_SET,
        DAEMON_SET,
        LEADER_WORKER_SET,
        GROUP_PLACEMENT,
        TOPOLOGY,
    )
}


class SimCluster(Cluster):
    def __init__(
        self,
        seed: int,
        *,
        second_scheduler: bool = False,
        has_controller: bool = True,
        latencies: Latencies | None = None,
    ) -> None:
        """With `second_scheduler`, our profile has a kube-scheduler of its own, and the cluster's does not ask us.
        Without a controller, LeaderWorkerSets are somebody else's to carry out."""
        super().__init__()
        self.namespace = "scenario"
        self.world = World(seed=seed, latencies=latencies, profiles=(OUR_SCHEDULER,) if second_scheduler else PROFILES)
        self._options = extender.Options(patience=0, taint_reserved_nodes=second_scheduler)
        """One thread: nothing else can run while a hook waits."""
        self._all_ask = not second_scheduler
        if second_scheduler:
            Scheduler(self.world.loop, self.world.server, ("default-scheduler",)).start()
        self._witness = Witness(self.world, managed_resources(), [])
        if has_controller:
            self.world.start(CONTROLLER, lambda runtime: controller.build(runtime, controller.Options()))
        self.world.start(EXTENDER, self._build)
        self._link = self.world.connect_extender(EXTENDER, managed_resources(), lambda app: self._witness.of(app.verbs))
        self.world.settle()

    def close(self) -> None:
        """Delete every set; the log ends when their groups are gone."""
        names = [each["metadata"]["name"] for each in self.all(SETS)]
        for name in names:
            self.delete(SETS, name)
        for name in names:
            self.eventually(nothing_is_left_of(name))

    def create(self, resource: str, body: Body) -> Body:
        return _asked(lambda: self.world.server.create(KINDS[resource], self._placed(resource, body))).body

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
        _asked(lambda: self.world.server.merge(KINDS[resource], self._namespace(resource), name, change))

    def delete(self, resource: str, name: str, *, force: bool = False) -> None:
        grace = 0 if force else None
        _asked(lambda: self.world.server.delete(KINDS[resource], self._namespace(resource), name, grace_seconds=grace))

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

    def judge(self) -> Report:
        faults = [*self.faults, *self.world.faults_at]
        report = check(self.watched(), faults=faults, levels={"rack": RACK_LABEL}, all_ask=self._all_ask)
        return replace(report, violations=(*report.violations, *self._witness.broken))

    def crash(self, component: str) -> None:
        self.faults.append(self.now())
        if component == SCHEDULER:
            self.world.scheduler.kill()
        elif self.world.is_up(found := self._leading(component)):
            self.world.crash(found)

    def start(self, component: str) -> None:
        self.faults.append(self.now())
        if component == SCHEDULER:
            if not self.world.scheduler.is_running:
                self.world.scheduler.start()
        elif not self.world.is_up(found := self._leading(component)):
            self.world.restart(found)

    def freeze(self, component: str) -> None:
        self.faults.append(self.now())
        self.world.freeze(self._leading(component))

    def thaw(self, component: str) -> None:
        self.faults.append(self.now())
        for each in (component, REPLICA) if component == EXTENDER else (component,):
            if self.world.is_up(each) and self.world.is_frozen(each):
                self.world.thaw(each)

    def take_over(self) -> None:
        self.faults.append(self.now())
        other = EXTENDER if self._leading(EXTENDER) == REPLICA else REPLICA
        if not self.world.is_known(other):
            self.world.start(other, self._build, lease=EXTENDER)
        elif not self.world.is_up(other):
            self.world.restart(other)

    def restart_api_server(self, seconds: float) -> None:
        self.faults.append(self.now())
        self.world.restart_api_server(seconds)

    def restart_etcd(self) -> None:
        """Store and API server are one here: it is away for a moment, and forgets no object."""
        self.restart_api_server(0.2)

    def lose_the_answer_of_binding(self, number: int) -> None:
        """What the extender writes after the next record that says Committed are the bindings."""
        lost = Faults(refusals=(Refusal(number, unavailable=True, took_effect=True),))
        seen: set[str] = set()

        def observe(event: Event) -> None:
            is_commit = event.kind == GROUP_PLACEMENT.kind and event.body["status"].get("state") == "Committed"
            if is_commit and not seen:
                seen.add(event.version.uid)
                self.world.give_faults(self._leading(EXTENDER), lost)

        self.world.server.store.listeners.append(observe)

    def cut_bind_calls(self) -> None:
        self.faults.append(self.now())
        self._link.cut(CUT_SHARE)

    def crash_at_binding(self, number: int) -> None:
        """Kill the extender when so many more pods have been bound."""
        bound: set[str] = set()

        def observe(event: Event) -> None:
            is_news = event.kind == POD.kind and event.old is not None and not event.old.body["spec"].get("nodeName")
            if is_news and event.body["spec"].get("nodeName"):
                bound.add(event.version.uid)
                if len(bound) == number:
                    self.crash(EXTENDER)

        self.world.server.store.listeners.append(observe)

    def set_readiness(self, node: str, *, ready: bool) -> None:
        self.faults.append(self.now())
        self.world.nodes.set_ready(node, "True" if ready else "Unknown")

    def end_pod(self, name: str) -> None:
        self.faults.append(self.now())
        self.world.kubelets.fail_pod(self.namespace, name)

    def limit_pods(self, limit: int | None) -> None:
        self.faults.append(self.now())
        if limit is None:
            self.world.server.pod_quota.pop(self.namespace, None)
        else:
            self.world.server.pod_quota[self.namespace] = limit

    def _build(self, runtime: Runtime) -> extender.App:
        return extender.build(runtime, self._options)

    def _leading(self, component: str) -> str:
        """The component, or of the extender's replicas the one that holds the lease."""
        if component == EXTENDER and self.world.is_known(REPLICA) and self.world.holds_lease(REPLICA):
            return REPLICA
        return component

    def _namespace(self, resource: str) -> str:
        return self.namespace if KINDS[resource].namespaced else ""

    def _placed(self, resource: str, body: Body) -> Body:
        namespace = self._namespace(resource)
        return {**body, "metadata": {**body["metadata"], **({"namespace": namespace} if namespace else {})}}


def _asked(request: Callable[[], R]) -> R:
    try:
        return request()
    except (Invalid, Forbidden, AlreadyExists, NotFound, Unavailable) as refused:
        raise Denied(str(refused)) from None


@cache
def managed_resources() -> tuple[str, ...]:
    """What the scheduler configuration given to users sends to the extender."""
    config = yaml.safe_load(SCHEDULER_CONFIG.read_text())
    return tuple(each["name"] for entry in config["extenders"] for each in entry["managedResources"])
