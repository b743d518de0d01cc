"""What a scenario may do to a cluster and ask of it, whichever cluster it is.

An implementation gives a few primitives on raw JSON objects; the vocabulary is built on them here. All of a scenario's
objects are in one namespace. Resources are written as paths are: `pods`, `apps/v1/statefulsets`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeAlias

from tests.controlplane.nodes import RACK_LABEL, rack_nodes
from tests.invariants.check import Report, check
from tests.scenarios.manifests import PER_HOST, LeaderWorkerSet, pod

Body: TypeAlias = dict[str, Any]
Condition: TypeAlias = "Callable[[Cluster], str]"
"""What is missing yet for the condition to hold, as a sentence; "" where it holds."""

PODS, NODES, EVENTS = "pods", "nodes", "events.k8s.io/v1/events"
SETS = "leaderworkerset.x-k8s.io/v1/leaderworkersets"
BUDGETS = "policy/v1/poddisruptionbudgets"
STATEFUL_SETS = "apps/v1/statefulsets"
DAEMON_SETS = "apps/v1/daemonsets"
RECORDS = "lws-sched.io/v1alpha1/groupplacements"
TOPOLOGIES = "lws-sched.io/v1alpha1/topologies"
EXTENDER, CONTROLLER, SCHEDULER = "extender", "controller", "scheduler"
SET_NAME = "leaderworkerset.sigs.k8s.io/name"
GROUP_INDEX = "leaderworkerset.sigs.k8s.io/group-index"
WORKER_INDEX = "leaderworkerset.sigs.k8s.io/worker-index"
WITHIN = 60.0


class Denied(Exception):
    """The API server refused a user's request; the message is what the user reads."""


class Cluster(ABC):
    """`faults` are the times at which the scenario broke something, for the invariant that counts from them."""

    namespace: str

    def __init__(self) -> None:
        self.faults: list[float] = []
        self._racks = 0
        self._fillers = 0

    # --- primitives --------------------------------------------------------------------------------------------------

    @abstractmethod
    def create(self, resource: str, body: Body) -> Body:
        """Raises Denied."""

    @abstractmethod
    def create_nodes(self, nodes: Sequence[Body]) -> None:
        """Create nodes that are ready to take pods."""

    @abstractmethod
    def find(self, resource: str, name: str) -> Body | None: ...

    @abstractmethod
    def all(self, resource: str) -> list[Body]:
        """Every object of the resource in the scenario's namespace, or of a cluster-scoped one."""

    @abstractmethod
    def merge(self, resource: str, name: str, change: Body) -> None:
        """JSON merge patch."""

    @abstractmethod
    def delete(self, resource: str, name: str, *, force: bool = False) -> None:
        """With `force` it goes at once, its kubelet unasked."""

    @abstractmethod
    def eventually(self, condition: Condition, within: float = WITHIN) -> None:
        """Let time pass until the condition holds. Fails with what is missing after `within` seconds."""

    @abstractmethod
    def always(self, condition: Condition, seconds: float) -> None:
        """Let time pass, during which the condition holds."""

    @abstractmethod
    def now(self) -> float:
        """On the clock of `watched`."""

    @abstractmethod
    def watched(self) -> Iterable[Body]:
        """The watch log up to now, in the format of `tests.invariants.log`."""

    # --- faults ------------------------------------------------------------------------------------------------------

    @abstractmethod
    def crash(self, component: str) -> None:
        """Kill a component's process without warning; of two extenders the one that leads. Nothing if it is down."""

    @abstractmethod
    def start(self, component: str) -> None:
        """Start a component that was killed. Nothing if it is up."""

    @abstractmethod
    def freeze(self, component: str) -> None:
        """Stop it (SIGSTOP), with its connections open."""

    @abstractmethod
    def thaw(self, component: str) -> None:
        """Let all that was frozen of it go on; it may still believe that it leads."""

    @abstractmethod
    def restart_api_server(self, seconds: float) -> None:
        """It is away for so long, and afterwards knows no event from before."""

    @abstractmethod
    def set_readiness(self, node: str, *, ready: bool) -> None:
        """Whether anything is heard of the node's kubelet."""

    @abstractmethod
    def end_pod(self, name: str) -> None:
        """A bound pod ends for good: phase Failed."""

    @abstractmethod
    def limit_pods(self, limit: int | None) -> None:
        """A ResourceQuota on the pods of the namespace; None takes it away."""

    def crash_extender(self) -> None:
        self.crash(EXTENDER)

    def start_extender(self) -> None:
        self.start(EXTENDER)

    @abstractmethod
    def has_priority_class(self, value: int, *, never_preempts: bool = False) -> str:
        """The name of a PriorityClass of that value."""

    # --- hardware ----------------------------------------------------------------------------------------------------

    def has_racks(self, count: int, hosts: int = 16, accelerators: int = PER_HOST, labelled: bool = True) -> None:
        """Add racks to those there are. Racks without their label are still told apart by their hosts' names."""
        nodes = rack_nodes(count, hosts, accelerators=accelerators, prefix=f"{self.namespace}-{self._racks}-")
        self._racks += count
        for node in nodes:
            node["metadata"]["labels"][RACK_LABEL] += f".{self.namespace}"
            if not labelled:
                del node["metadata"]["labels"][RACK_LABEL]
        self.create_nodes(nodes)

    def racks(self) -> dict[str, list[str]]:
        """Host names by rack, both sorted."""
        racks: dict[str, list[str]] = {}
        for node in sorted(self.all(NODES), key=lambda each: str(each["metadata"]["name"])):
            racks.setdefault(node["metadata"]["labels"].get(RACK_LABEL, ""), []).append(node["metadata"]["name"])
        return dict(sorted(racks.items()))

    def fill(self, racks: slice, hosts: int) -> list[str]:
        """Take the first hosts of some racks whole, with pods that nobody may move. Answers with their names."""
        fillers = [
            pod(f"filler-{self._fillers + number}", accelerators=PER_HOST, node=host)
            for number, host in enumerate(host for rack in [*self.racks().values()][racks] for host in rack[:hosts])
        ]
        self._fillers += len(fillers)
        self.create_all(PODS, fillers)
        return [filler["metadata"]["name"] for filler in fillers]

    def create_all(self, resource: str, bodies: Iterable[Body]) -> None:
        for body in bodies:
            self.create(resource, body)

    # --- what a user does --------------------------------------------------------------------------------------------

    def apply(self, manifest: LeaderWorkerSet) -> None:
        self.create(SETS, manifest.body)

    def protect(self, name: str, labels: Mapping[str, str]) -> None:
        """A PodDisruptionBudget that allows no disruption."""
        self.create(
            BUDGETS,
            {
                "apiVersion": "policy/v1",
                "kind": "PodDisruptionBudget",
                "metadata": {"name": name},
                "spec": {"minAvailable": "100%", "selector": {"matchLabels": dict(labels)}},
            },
        )

    def scale(self, name: str, replicas: int) -> None:
        self.merge(SETS, name, {"spec": {"replicas": replicas}})

    def delete_set(self, name: str) -> None:
        self.delete(SETS, name)

    def delete_pod(self, name: str) -> None:
        """A fault: the members that are left are given their time from now on."""
        self.faults.append(self.now())
        self.delete(PODS, name)

    def refusal_of(self, resource: str, body: Body) -> str:
        """What the user reads when the API server refuses an object. Fails where it takes it."""
        try:
            self.create(resource, body)
        except Denied as denied:
            return str(denied)
        raise AssertionError(f"the API server took {body['kind']} {body['metadata']['name']}")

    # --- what can be seen --------------------------------------------------------------------------------------------

    def pods(self, set_name: str) -> dict[str, Body]:
        """The pods of a set by name."""
        return {
            str(each["metadata"]["name"]): each
            for each in self.all(PODS)
            if each["metadata"].get("labels", {}).get(SET_NAME) == set_name
        }

    def groups(self, set_name: str) -> dict[str, list[Body]]:
        """The pods of each group of a set, by the leader's name."""
        groups: dict[str, list[Body]] = {}
        for _, each in sorted(self.pods(set_name).items()):
            groups.setdefault(f"{set_name}-{each['metadata']['labels'].get(GROUP_INDEX)}", []).append(each)
        return groups

    def uids(self, set_name: str) -> dict[str, str]:
        return {name: each["metadata"]["uid"] for name, each in self.pods(set_name).items()}

    def nodes_of(self, set_name: str) -> dict[str, str]:
        """The node of each pod of a set, "" where it has none."""
        return {name: each["spec"].get("nodeName") or "" for name, each in self.pods(set_name).items()}

    def racks_of(self, set_name: str) -> dict[str, set[str]]:
        """The racks in which each group of a set stands."""
        rack_of = {host: rack for rack, hosts in self.racks().items() for host in hosts}
        return {
            leader: {rack_of[each["spec"]["nodeName"]] for each in pods if each["spec"].get("nodeName")}
            for leader, pods in self.groups(set_name).items()
        }

    def record(self, leader: str) -> Body | None:
        return self.find(RECORDS, leader)

    def records(self, set_name: str) -> dict[str, Body]:
        return {
            str(each["metadata"]["name"]): each
            for each in self.all(RECORDS)
            if each["spec"]["leaderWorkerSet"] == set_name
        }

    def notes_on(self, name: str) -> list[str]:
        """What events say about the object of that name."""
        return [each.get("note", "") for each in self.all(EVENTS) if (each.get("regarding") or {}).get("name") == name]

    def history(self, kind: str, name: str) -> list[Body]:
        """The versions of an object that watchers saw, in the order of their resourceVersions."""
        seen = [
            line["object"]
            for line in self.watched()
            if "object" in line and line["object"]["kind"] == kind and line["object"]["metadata"]["name"] == name
        ]
        return sorted(seen, key=lambda each: int(each["metadata"]["resourceVersion"]))

    # --- the end of every scenario -----------------------------------------------------------------------------------

    def judge(self) -> Report:
        """The checker's report on the watch log so far."""
        return check(self.watched(), faults=self.faults, levels={"rack": RACK_LABEL})

    def invariants_hold(self) -> None:
        report = self.judge()
        assert not report.violations, "\n".join([*map(str, report.violations), report.summary()])
        assert report.conclusive, report.summary()
