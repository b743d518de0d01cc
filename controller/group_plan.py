"""What one group needs now: to be recreated, or its service and its worker StatefulSet, as a plan.

`plan` is a pure function of a snapshot. A group is recreated by deleting its leader in the foreground, so that all its
pods are gone before the next leader comes. Workers are created only when nothing of an earlier incarnation is left:
a StatefulSet that finds its pods' names taken backs off for minutes.

A worker StatefulSet is made once. It is written again only where somebody else changed what it runs, or took away the
labels that it is known by; a newer LeaderWorkerSet reaches it with the next leader.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from lws_sched.api import names
from lws_sched.api.core import POD, SERVICE, STATEFUL_SET, ControllerRevision, Node, Pod, Service, StatefulSet
from lws_sched.api.lws import LEADER_READY, LeaderWorkerSet
from lws_sched.controller.effects import CREATE, DELETE, UPDATE, Create, Delete, Merge, Note, Plan, Step, reference
from lws_sched.core import desired, group, restart, restart_budget, revision
from lws_sched.core.applied import WHOLE_STATEFUL_SET, WholeStatefulSet, has_drifted
from lws_sched.core.ownership import is_controlled_by
from lws_sched.core.restart_budget import Decision, Record

COLLECTED_SECONDS = 5.0
"""How long pods whose StatefulSet is gone are waited for that nobody has begun to delete: where no garbage collector
runs, nobody will."""
_REVISION_SECONDS = 1.0
_NODE_SECONDS = 10.0


@dataclass(frozen=True)
class GroupSnapshot:
    """Everything that concerns one group whose leader pod exists."""

    lws: LeaderWorkerSet
    leader: Pod
    worker_set: StatefulSet | None
    """Whatever StatefulSet carries the leader's name."""
    pods: Sequence[Pod]
    """All pods of the group's names, terminating and left-over ones included."""
    lost: Sequence[Pod]
    """Pods of the group that were seen to disappear since it was last looked at."""
    revision: ControllerRevision | None
    """The revision that the leader is labelled with."""
    service: Service | None
    """The service that carries the leader's name."""
    node: Node | None
    """The leader's node; read only where `follows_leader` says so."""
    waited: float = 0.0
    """Seconds since leftovers were first seen."""
    leader_set: WholeStatefulSet | None = None
    edited: WholeStatefulSet | None = None
    """The worker StatefulSet as the API server has it; read only where its spec was written since it was created."""

    @property
    def workers(self) -> StatefulSet | None:
        """The worker StatefulSet of this very leader."""
        found = self.worker_set
        return found if found is not None and is_controlled_by(found.metadata, self.leader.metadata) else None

    @property
    def leftovers(self) -> list[Pod]:
        """Pods of an earlier incarnation that bear the workers' names, where no StatefulSet does. Pods without an owner
        would be adopted; those that this very leader owns go when it goes."""
        if self.worker_set is not None:
            return []
        mine, owned = self.leader.metadata, ((pod, pod.metadata.controller) for pod in self.pods)
        return [pod for pod, owner in owned if owner is not None and mine.uid not in (pod.metadata.uid, owner.uid)]

    @property
    def index(self) -> str:
        """The group's index, as labels have it."""
        return self.leader.metadata.labels.get(names.GROUP_INDEX, "")

    @property
    def record(self) -> Record | None:
        """What the group's restart budget has come to."""
        known = self.leader_set
        return None if known is None else restart_budget.record_of(known.metadata.annotations, self.index)


def follows_leader(lws: LeaderWorkerSet, leader: Pod) -> str:
    """The topology label by which the workers must follow their leader; "" where they need not.

    lws-sched places leader and workers together, so there nobody waits for the leader to be scheduled.
    """
    if leader.spec.scheduler_name == names.SCHEDULER:
        return ""
    return lws.metadata.annotations.get(names.EXCLUSIVE_TOPOLOGY, "")


def failed_member(snapshot: GroupSnapshot) -> Pod | None:
    """The member for whose sake the group must be recreated."""
    members = restart.Members(snapshot.leader, snapshot.workers, snapshot.pods, snapshot.lost)
    return restart.failed_member(snapshot.lws, members)


def recreation(snapshot: GroupSnapshot, failed: Pod) -> Plan:
    """Delete the leader and, before it, everything that it owns."""
    return _recreation(snapshot, failed.metadata.name)


def _recreation(snapshot: GroupSnapshot, failed: str) -> Plan:
    leader = snapshot.leader.metadata
    member = reference(POD, leader.namespace, failed)
    note = Note("RecreateGroup", restart.note(failed, snapshot.leader), DELETE, related=member)
    delete = Delete(POD, leader.namespace, leader.name, leader.uid, propagation="Foreground")
    return Plan(steps=(Step(delete, done=(note,)),))


def within_budget(snapshot: GroupSnapshot, decision: Decision, failed: str) -> Plan:
    """Recreate a group that has a restart budget: write down what it has come to, then delete the leader, now or when
    the pause is over. `failed` names the member."""
    record, steps = decision.write, []
    if record is not None and snapshot.leader_set is not None:
        meta, noted = snapshot.leader_set.metadata, restart_budget.annotation(snapshot.index, record)
        body = {"metadata": {"uid": meta.uid, "annotations": noted}}
        write = Merge(WHOLE_STATEFUL_SET, meta.namespace, meta.name, body)
        steps.append(Step(write, done=_budget_notes(snapshot, record, decision)))
    if decision.recreate:
        steps.extend(_recreation(snapshot, failed).steps)
    return Plan(steps=tuple(steps), again=decision.again)


def _budget_notes(snapshot: GroupSnapshot, record: Record, decision: Decision) -> tuple[Note, ...]:
    if record.final:
        text = restart_budget.message(snapshot.index, record)
        return (Note("GroupFailed", f"{text[0].upper()}{text[1:]}", UPDATE, type="Warning"),)
    if decision.recreate:
        return ()
    text = (
        f"Group {snapshot.index} is recreated in {decision.again:.0f} s (restart {record.restarts}): "
        f"{record.pod}: {record.reason}"
    )
    return (Note("RestartBackOff", text, UPDATE, type="Warning"),)


def plan(snapshot: GroupSnapshot) -> Plan:
    """The steps that complete a group that stays."""
    leader = snapshot.leader
    if names.LEADER_NAME in leader.metadata.annotations:
        text = (
            f"leader pod {leader.metadata.name} carries the annotation {names.LEADER_NAME}, which is for workers only; "
            "StatefulSets with a start ordinal need Kubernetes 1.27 or newer"
        )
        return _warning(text)
    if leader.metadata.deletion_timestamp:
        return Plan()
    services = _service_steps(snapshot)
    workers = _workers(snapshot)
    return Plan(steps=(*services, *workers.steps), notes=workers.notes, again=workers.again)


def _service_steps(snapshot: GroupSnapshot) -> tuple[Step, ...]:
    lws, leader = snapshot.lws, snapshot.leader
    if snapshot.service is not None or not (desired.is_made_unique(leader) or desired.is_unique_per_replica(lws)):
        return ()
    failed = Note("FailedCreate", f"Failed to create headless service for leader pod {leader.metadata.name}", CREATE)
    return (Step(Create(SERVICE, desired.group_service(lws, leader), or_exists=True), failed=failed),)


def _workers(snapshot: GroupSnapshot) -> Plan:
    """Create the worker StatefulSet, or wait: every event that ends the waiting brings the group back here."""
    lws, leader = snapshot.lws, snapshot.leader
    if snapshot.worker_set is not None:
        return _present(snapshot, snapshot.worker_set)
    if snapshot.revision is None:
        return Plan(again=_REVISION_SECONDS)
    at_revision = revision.restored(lws, snapshot.revision)
    if at_revision.spec.leader_worker_template.size <= 1:
        return Plan()
    if snapshot.leftovers:
        left = COLLECTED_SECONDS - snapshot.waited
        if left > 0 or any(pod.metadata.deletion_timestamp for pod in snapshot.leftovers):
            return Plan(again=left if left > 0 else None)
    if lws.spec.startup_policy == LEADER_READY and not group.has_ready_condition(leader):
        return Plan()
    topology = follows_leader(lws, leader)
    if topology and not leader.spec.node_name:
        return Plan()
    selector = {}
    if topology:
        value = "" if snapshot.node is None else snapshot.node.metadata.labels.get(topology, "")
        if not value:
            return _no_domain(leader, topology)
        selector = {topology: value}
    return _creation(leader, desired.Workers(lws, at_revision, leader, selector))


def _creation(leader: Pod, workers: desired.Workers) -> Plan:
    name = leader.metadata.name
    text, pod = f"worker statefulset for leader pod {name}", reference(POD, leader.metadata.namespace, name)
    created = Note("GroupsProgressing", f"Created {text}", CREATE, related=pod)
    failed = Note("FailedCreate", f"Failed to create {text}", CREATE, related=pod)
    return Plan(steps=(Step(Create(STATEFUL_SET, desired.worker_stateful_set(workers)), (created,), failed),))


def _present(snapshot: GroupSnapshot, found: StatefulSet) -> Plan:
    """A namesake: ours, a former leader's (about to be collected), or a stranger's."""
    owner = found.metadata.controller
    if snapshot.workers is not None:
        return _repair(snapshot, snapshot.workers)
    if owner is not None and owner.kind == POD.kind and owner.name == snapshot.leader.metadata.name:
        return Plan()
    name = found.metadata.name
    return _warning(
        f"Failed to create worker statefulset for leader pod {name}: a StatefulSet {name} exists that is not this "
        "group's; delete it or rename the LeaderWorkerSet"
    )


def _repair(snapshot: GroupSnapshot, workers: StatefulSet) -> Plan:
    """Undo what somebody else changed of the workers. Workers of another revision than their leader's are about to go;
    those that are being deleted stay as they are."""
    leader, known = snapshot.leader.metadata, workers.metadata
    wanted = desired.worker_labels(snapshot.lws, snapshot.leader)
    revision_label = known.labels.get(names.REVISION, wanted[names.REVISION])
    if snapshot.revision is None or known.deletion_timestamp or revision_label != wanted[names.REVISION]:
        return Plan()
    change: dict[str, Any] = {}
    if any(known.labels.get(label) != value for label, value in wanted.items()):
        change["metadata"] = {"labels": wanted}
    if snapshot.edited is not None:
        at_revision = revision.restored(snapshot.lws, snapshot.revision)
        made = desired.worker_stateful_set(desired.Workers(snapshot.lws, at_revision, snapshot.leader, {}))
        if has_drifted(snapshot.edited, desired.without_live_annotations(made)):
            change["spec"] = {field: made["spec"][field] for field in ("replicas", "template")}
    if not change:
        return Plan()
    change["metadata"] = {**change.get("metadata", {}), "uid": known.uid}
    failed = Note("FailedUpdate", f"Failed to restore worker statefulset {leader.name}", UPDATE)
    return Plan(steps=(Step(Merge(STATEFUL_SET, known.namespace, known.name, change), failed=failed),))


def _no_domain(leader: Pod, topology: str) -> Plan:
    text = (
        f"Failed to create worker statefulset for leader pod {leader.metadata.name}: its node {leader.spec.node_name} "
        f"is gone or has no label {topology}; label the node or change {names.EXCLUSIVE_TOPOLOGY}"
    )
    return Plan(notes=_warning(text).notes, again=_NODE_SECONDS)


def _warning(text: str) -> Plan:
    return Plan(notes=(Note("FailedCreate", text, CREATE, type="Warning"),))
