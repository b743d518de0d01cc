"""Wiring: one runtime, the extender's parts, and which event concerns which of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from lws_sched.admission.hook import Hook
from lws_sched.api import names
from lws_sched.api import placement as api
from lws_sched.api.core import (
    CONTROLLER_REVISION,
    DAEMON_SET,
    NODE,
    POD,
    POD_DISRUPTION_BUDGET,
    STATEFUL_SET,
    ControllerRevision,
    DaemonSet,
    Node,
    Pod,
    StatefulSet,
)
from lws_sched.api.lws import LEADER_WORKER_SET, LeaderWorkerSet
from lws_sched.api.meta import key_of, split_key
from lws_sched.api.placement import GROUP_PLACEMENT, GroupPlacement
from lws_sched.api.topology import TOPOLOGY, Topology
from lws_sched.core.revision import REVISIONS_OF_SETS
from lws_sched.extender import preemption, vetoed
from lws_sched.extender.barrier import Barrier
from lws_sched.extender.commit import Committer
from lws_sched.extender.effects import Effects
from lws_sched.extender.evictions import Evictions
from lws_sched.extender.ledger import Ledger
from lws_sched.extender.node_marks import NodeMarks, nodes_of
from lws_sched.extender.notices import GroupNotices, Notices
from lws_sched.extender.observer import BY_GROUP, BY_PREDECESSOR, BY_SET, ON_NODE, VETOED, Observer, Sources
from lws_sched.extender.plan_meter import PlanMeter, RoomMeter
from lws_sched.extender.planner import Planner
from lws_sched.extender.pod_hook import PATIENCE_SECONDS, Arrivals, PodHook
from lws_sched.extender.records import RecordStore
from lws_sched.extender.stages import is_member
from lws_sched.extender.verbs import Verbs
from lws_sched.intake.standing import standing_node, tenant_of
from lws_sched.kube.port import Change, Informer, Runtime
from lws_sched.telemetry.counts import Instrument

if TYPE_CHECKING:
    from lws_sched.telemetry.tracing import Tracer

BY_NODE = "node"
OF_A_SET = names.SET_NAME
"""Label selector: StatefulSets of any LeaderWorkerSet."""


@dataclass(frozen=True)
class Options:
    patience: float = PATIENCE_SECONDS
    """How long the pod hook may wait for a plan, seconds; 0 where nothing else runs meanwhile."""
    taint_reserved_nodes: bool = False
    """Keep other pods off nodes that groups hold by a taint: where their scheduler does not ask us."""
    tracer: Tracer | None = None
    """Who is told of plans, commits and bindings."""


@dataclass(frozen=True)
class App:
    """What the process serves: the hooks to the API server, the verbs to kube-scheduler."""

    hooks: tuple[Hook, ...]
    verbs: Verbs
    instruments: tuple[Instrument, ...]
    """What is told of plans and of the room that is left."""


def build(runtime: Runtime, options: Options | None = None) -> App:
    """Assemble the extender on a runtime. Nothing runs until the runtime does."""
    options = options or Options()
    nodes, topologies = runtime.informer(NODE), runtime.informer(TOPOLOGY)
    sources = Sources(
        sets=runtime.informer(LEADER_WORKER_SET),
        stateful_sets=runtime.informer(STATEFUL_SET, labels=OF_A_SET),
        pods=runtime.informer(
            POD, indexes={BY_GROUP: groups_of_pod, ON_NODE: preemption.on_node, VETOED: vetoed.index}
        ),
        records=runtime.informer(
            GROUP_PLACEMENT,
            indexes={BY_SET: _set_of_record, BY_NODE: nodes_of, BY_PREDECESSOR: _predecessors_of_record},
        ),
        revisions=runtime.informer(CONTROLLER_REVISION, indexes={BY_SET: _set_of_revision}, labels=REVISIONS_OF_SETS),
    )
    ledger, arrivals = Ledger(), Arrivals()
    records = RecordStore(runtime.cluster, sources.records)
    meter, make_committer = _meter_and_committer(options.tracer)

    def look_at_group(group: str) -> None:
        planner.look_at_group(group)

    committer = make_committer(runtime, records, sources.pods, ledger, look_at_group)
    notices, group_notices = Notices(runtime, nodes), GroupNotices(runtime, sources.sets)
    barrier = Barrier()
    observer = Observer(runtime, sources, ledger, records, committer, barrier)
    effects = Effects(runtime, records, committer, group_notices, arrivals.notify)
    evictions = Evictions(observer, runtime.informer(POD_DISRUPTION_BUDGET), group_notices)
    planner = Planner(runtime, observer, effects, notices, group_notices, evictions, arrivals.notify_all, meter)
    verbs = Verbs(runtime, ledger, records, sources.pods, barrier, committer)
    hook = PodHook(ledger, records, sources.pods, sources.stateful_sets, planner.expects, arrivals, options.patience)

    wiring = _Wiring(sources, topologies, ledger, planner, verbs, notices, arrivals)
    topologies.subscribe(wiring.topology_changed)
    nodes.subscribe(wiring.node_changed)
    if options.taint_reserved_nodes:
        NodeMarks(runtime, nodes, sources.records, BY_NODE)
    sources.pods.subscribe(wiring.pod_changed)
    runtime.informer(DAEMON_SET).subscribe(wiring.daemon_set_changed)
    sources.sets.subscribe(wiring.set_changed)
    sources.stateful_sets.subscribe(wiring.stateful_set_changed)
    sources.records.subscribe(wiring.record_changed)
    instruments = (*planner.meter.instruments(), *RoomMeter(ledger, runtime.clock).instruments())
    return App(hooks=(hook.hook(),), verbs=verbs, instruments=instruments)


def _meter_and_committer(tracer: Tracer | None) -> tuple[PlanMeter, Callable[..., Committer]]:
    if tracer is None:
        return PlanMeter(), Committer
    from lws_sched.extender.tracing import TracedCommitter, TracedMeter

    meter = TracedMeter(tracer=tracer)
    return meter, partial(TracedCommitter, tracer=tracer, decisions=meter.decisions)


@dataclass(frozen=True)
class _Wiring:
    """Which event concerns whom. The ledger comes first: what the others then read must already be true."""

    sources: Sources
    topologies: Informer[Topology]
    ledger: Ledger
    planner: Planner
    verbs: Verbs
    notices: Notices
    arrivals: Arrivals

    def topology_changed(self, _: Change[Topology]) -> None:
        self.ledger.topologies_changed(self.topologies.objects())
        self.planner.room_was_freed()

    def node_changed(self, change: Change[Node]) -> None:
        if self.ledger.node_changed(change):
            self.planner.room_was_freed()
            for record in self.sources.records.by_index(BY_NODE, change.latest.metadata.name):
                self.planner.look_at_group(key_of(record))
            if change.new is None:
                self._look_at_orphans(change.latest)
            self.notices.look_at_node(change)

    def _look_at_orphans(self, node: Node) -> None:
        """Members on a node that is no more: their groups may stand elsewhere by now, and wait for these to go."""
        for pod in self.sources.pods.by_index(ON_NODE, node.metadata.name):
            for group in groups_of_pod(pod):
                self.planner.look_at_group(group)

    def pod_changed(self, change: Change[Pod]) -> None:
        if self.ledger.pod_changed(change):
            self.planner.room_was_freed()
        if change.new is not None and vetoed.is_vetoed(change.new):
            self.planner.pod_was_vetoed()
        if not is_member(change.latest):
            self.notices.look_at_pod(change)
            self._look_at_what_it_fills(change)
        elif (tenant := tenant_of(change.latest)) is not None:
            self._member_changed(tenant.group, change)

    def _look_at_what_it_fills(self, change: Change[Pod]) -> None:
        """A pod that did not come to us may stand where slots are held."""
        node = standing_node(change.new)
        if node and node != standing_node(change.old) and self.ledger.is_overfull(node):
            for record in self.sources.records.by_index(BY_NODE, node):
                self.planner.look_at_group(key_of(record))

    def daemon_set_changed(self, change: Change[DaemonSet]) -> None:
        if self.ledger.daemon_set_changed(change):
            self.planner.room_was_freed()

    def _member_changed(self, group: str, change: Change[Pod]) -> None:
        if change.old is not None and change.new is not None and _what_matters(change.old) == _what_matters(change.new):
            return
        if change.new is None or change.new.metadata.deletion_timestamp:
            self.verbs.member_left(group, change.latest.metadata.name)
        if change.old is None and change.new is not None and _is_at_its_place(change.new):
            self.planner.look_at_group_soon(group)
        else:
            self.planner.look_at_group(group)
        if change.old is None:
            self.arrivals.notify(group)

    def set_changed(self, change: Change[LeaderWorkerSet]) -> None:
        if _spec_changed(change):
            self.planner.look_at_set(change.latest.metadata.namespace, change.latest.metadata.name)

    def stateful_set_changed(self, change: Change[StatefulSet]) -> None:
        meta = change.latest.metadata
        if meta.labels.get(names.SET_NAME) == meta.name:
            if _what_is_read(change.old) != _what_is_read(change.new):
                self.planner.look_at_set(meta.namespace, meta.name)
        elif change.old is None or change.old.metadata.uid != meta.uid:
            self.arrivals.notify(key_of(change.latest))  # the workers' bears their leader's name

    def record_changed(self, change: Change[GroupPlacement]) -> None:
        if change.new is None:
            self._keep_room(change.latest)
        if self.ledger.record_changed(change):
            self.planner.room_was_freed()
        self.planner.look_at_group(key_of(change.latest))
        self.arrivals.notify(key_of(change.latest))

    def _keep_room(self, record: GroupPlacement) -> None:
        """The set was deleted while its members were being bound, say. Pods that our copy lacks are asked for: it may
        be late."""

        def is_gone(pod: str, uid: str) -> bool:
            known = self.sources.pods.get(*split_key(pod))
            return record.status.state != api.COMMITTED and (known is None or known.metadata.uid != uid)

        for pod, uid in self.ledger.keep_for(record, is_gone):
            self.planner.look_at_kept(pod, uid)


def _what_matters(pod: Pod) -> tuple[object, ...]:
    """What decides about a group. Its binding does not: whoever posts bindings looks at the group afterwards."""
    unscheduled = tuple(
        each for each in pod.status.conditions if each.type == "PodScheduled" and each.status == "False"
    )
    meta, spec = pod.metadata, pod.spec
    told, labels = meta.annotations.get(names.LEAVE_NODES), names.given_labels(meta.labels)
    return (meta.uid, meta.deletion_timestamp, labels, told, spec.scheduling_gates, unscheduled)


def _is_at_its_place(pod: Pod) -> bool:
    """Whether a new member is a worker that was pinned when it was created, which all groups with room have: it waits
    for nothing that a look at its group could bring. What a leader changes, others may wait for."""
    is_worker = pod.metadata.labels.get(names.WORKER_INDEX, "0") != "0"
    return is_worker and not pod.spec.scheduling_gates and not pod.metadata.deletion_timestamp


def _what_is_read(leaders: StatefulSet | None) -> tuple[str, int, bool] | None:
    """Of a leader StatefulSet: its size, and whether the StatefulSet controller has attended to it. The rest of its
    status changes with each of its pods."""
    if leaders is None:
        return None
    return leaders.metadata.uid, leaders.spec.replicas, leaders.is_attended


def _spec_changed(change: Change[LeaderWorkerSet]) -> bool:
    """Status updates of a set concern nobody here."""
    if change.old is None or change.new is None:
        return True
    old, new = change.old.metadata, change.new.metadata
    return (old.uid, old.generation, old.annotations, old.deletion_timestamp) != (
        new.uid,
        new.generation,
        new.annotations,
        new.deletion_timestamp,
    )


def groups_of_pod(pod: Pod) -> Iterable[str]:
    tenant = tenant_of(pod)
    return (tenant.group,) if tenant and is_member(pod) else ()


def _set_of_record(record: GroupPlacement) -> Iterable[str]:
    return (f"{record.metadata.namespace}/{record.spec.leader_worker_set}",)


def _set_of_revision(revision: ControllerRevision) -> Iterable[str]:
    return (f"{revision.metadata.namespace}/{revision.metadata.labels.get(names.SET_NAME, '')}",)


def _predecessors_of_record(record: GroupPlacement) -> Iterable[str]:
    return sorted({f"{each.namespace}/{each.name}" for each in record.status.predecessors})
