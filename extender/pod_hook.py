"""The pod webhook: every member is pinned to its slot or gated, at creation, before any scheduler sees it.

A member whose reservation matches its name, revision and incarnation is pinned; any other is gated, and the planner
lifts the gate once there is a place. The hook touches nothing. Plans are made before pods come, but by milliseconds: so
it waits a moment for a plan, or for the StatefulSet that made a worker, to reach this process, which is cheaper than
gating the pod and patching it afterwards.

The incarnation of a worker is its leader's UID, found through its StatefulSet, whose owner the leader is. A worker of
an earlier leader never gets a slot of the group that took its place.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum, auto

import msgspec

from lws_sched.admission.hook import Hook, Request, Verdict, changed, denied
from lws_sched.api import names
from lws_sched.api import placement as api
from lws_sched.api.core import POD, Pod, StatefulSet
from lws_sched.api.placement import GroupPlacement
from lws_sched.extender import pinning, records
from lws_sched.extender.ledger import Ledger, Slot
from lws_sched.extender.records import RecordStore
from lws_sched.extender.stages import is_made_by
from lws_sched.kube.port import Informer

PATIENCE_SECONDS = 1.0
"""How long the API server's CREATE may wait for a plan that is on its way."""


class Place(Enum):
    """What is known about a member's place."""

    MATCHES = auto()
    NONE = auto()
    UNKNOWN = auto()
    """Not known yet, though it should be any moment."""


class Arrivals:
    """Wakes the hooks that wait, whenever something came that they may be waiting for. Each waits for one group: many
    wait at once while a large set comes up, and most news concerns few of them."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: dict[str, _Waiting] = {}

    def notify(self, group: str) -> None:
        """Something of this group (`namespace/leader`) came."""
        with self._lock:
            if (waiting := self._waiting.get(group)) is not None:
                waiting.changed.notify_all()

    def notify_all(self) -> None:
        """Something came that may concern any group."""
        with self._lock:
            for waiting in self._waiting.values():
                waiting.changed.notify_all()

    def wait_for(self, group: str, known: Callable[[], bool], seconds: float) -> None:
        with self._lock:
            waiting = self._waiting.setdefault(group, _Waiting(threading.Condition(self._lock)))
            waiting.hooks += 1
            try:
                waiting.changed.wait_for(known, timeout=seconds)
            finally:
                waiting.hooks -= 1
                if not waiting.hooks:
                    del self._waiting[group]


@dataclass
class _Waiting:
    changed: threading.Condition
    hooks: int = 0


@dataclass(frozen=True)
class PodHook:
    """Decides about one member at CREATE. `patience` is 0 where nothing else can run meanwhile."""

    ledger: Ledger
    records: RecordStore
    pods: Informer[Pod]
    stateful_sets: Informer[StatefulSet]
    expects: Callable[[str], bool]
    """Whether a place for a group (`namespace/leader`) is being decided right now."""
    arrivals: Arrivals = field(default_factory=Arrivals)
    patience: float = PATIENCE_SECONDS

    def hook(self) -> Hook:
        return Hook(
            name="pods.lws-sched.io",
            path="/mutate-pod-placement",
            kind=POD,
            operations=("CREATE",),
            mutating=True,
            decide=self.decide,
            scheduler=names.SCHEDULER,
        )

    def decide(self, request: Request) -> Verdict:
        pod = msgspec.convert(request.object, Pod)
        if names.SET_NAME not in pod.metadata.labels:
            return _stranger(pod)
        group = group_of(pod, request.namespace)
        if group is None:
            return denied(
                f"pod {pod.metadata.name} carries the label {names.SET_NAME} but not {names.GROUP_INDEX} and "
                f"{names.WORKER_INDEX}: the LeaderWorkerSet pod webhook did not see it; check that its controller runs"
            )
        member = pinning.as_member(request.object)
        if not request.dry_run:
            is_held_back = any(gate.name != names.GATE for gate in pod.spec.scheduling_gates)
            slot = None if is_held_back else self._slot(pod, request.namespace, group)
            member = pinning.pinned(member, slot.node) if slot else pinning.gated(member)
        return Verdict(patch=changed(request.object, member))

    def _slot(self, pod: Pod, namespace: str, group: str) -> Slot | None:
        def place() -> Place:
            return self._place(pod, namespace, group)

        if self.patience and place() is Place.UNKNOWN:
            self.arrivals.wait_for(group, lambda: place() is not Place.UNKNOWN, self.patience)
        return self.ledger.slot(f"{namespace}/{pod.metadata.name}") if place() is Place.MATCHES else None

    def _place(self, pod: Pod, namespace: str, group: str) -> Place:
        record = self.records.get(group)
        if record is None:
            is_made = pod.metadata.controller is not None
            return Place.UNKNOWN if is_made and self.expects(group) else Place.NONE
        if record.status.state not in (api.RESERVED, api.COMMITTED, api.BOUND, api.STICKY):
            return Place.NONE
        if record.spec.revision != pod.metadata.labels.get(names.REVISION):
            return Place.UNKNOWN if self.expects(group) else Place.NONE
        slot = self.ledger.slot(f"{namespace}/{pod.metadata.name}")
        needed = record.status.slots if slot is not None and slot.index == 0 else (slot.node if slot else "",)
        refused, domain = {each.node for each in record.status.refused}, records.required_domain(record)
        if slot is None or not all(self.ledger.is_healthy(node, domain) and node not in refused for node in needed):
            return Place.NONE  # a leader stands for its whole group: what is lost of it is replaced first
        if slot.index:
            return self._worker_place(record, pod, namespace)
        return self._leader_place(record) if is_made_by(pod, record.spec.leader_worker_set) else Place.NONE

    def _leader_place(self, record: GroupPlacement) -> Place:
        """A leader can only be created once the one before is gone, so a record that still serves that one lags."""
        return Place.MATCHES if record.status.state in (api.RESERVED, api.STICKY) else Place.UNKNOWN

    def _worker_place(self, record: GroupPlacement, pod: Pod, namespace: str) -> Place:
        owner = pod.metadata.controller
        if owner is None or owner.kind != "StatefulSet":
            return Place.NONE
        maker = self.stateful_sets.get(namespace, owner.name)
        if maker is None or maker.metadata.uid != owner.uid:
            return Place.UNKNOWN
        leader_ref = maker.metadata.controller
        if leader_ref is None or leader_ref.name != record.metadata.name:
            return Place.NONE
        leader = self.pods.get(namespace, record.metadata.name)
        if leader is None or leader.metadata.uid != leader_ref.uid:
            return Place.UNKNOWN
        if leader.metadata.deletion_timestamp:
            return Place.NONE
        if record.status.state == api.RESERVED:
            return Place.MATCHES
        if record.status.leader_uid != leader_ref.uid:
            return Place.UNKNOWN
        return Place.NONE if record.status.state == api.STICKY else Place.MATCHES


def group_of(pod: Pod, namespace: str) -> str | None:
    """`namespace/leader` of the group that a member's labels and name agree on; None where they do not."""
    labels = pod.metadata.labels
    index, worker = labels.get(names.GROUP_INDEX, ""), labels.get(names.WORKER_INDEX, "")
    if not index.isdigit() or not worker.isdigit():
        return None
    leader = names.leader_name(labels[names.SET_NAME], int(index))
    if pod.metadata.name != names.member_name(leader, int(worker)):
        return None
    return f"{namespace}/{leader}"


def _stranger(pod: Pod) -> Verdict:
    asked = [key for key in names.TOPOLOGY_ANNOTATIONS if key in pod.metadata.annotations]
    if not asked:
        return Verdict()
    return denied(
        f"pod {pod.metadata.name or pod.metadata.generate_name} has the annotation {asked[0]} but belongs to no group: "
        f"put the annotation on a LeaderWorkerSet, or remove it"
    )
