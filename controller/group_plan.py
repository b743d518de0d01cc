"""What one group needs now: to be recreated, or its service and its worker StatefulSet, as a plan.

`plan` is a pure function of a snapshot. A group is recreated by deleting its leader in the foreground, so that all its
pods are gone before the next leader comes. Workers are created only when nothing of an earlier incarnation is left:
a StatefulSet that finds its pods' names taken backs off for minutes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from lws_sched.api import names
from lws_sched.api.core import POD, SERVICE, STATEFUL_SET, ControllerRevision, Node, Pod, Service, StatefulSet
from lws_sched.api.lws import LEADER_READY, UNIQUE_PER_REPLICA, LeaderWorkerSet
from lws_sched.controller.effects import CREATE, DELETE, Create, Delete, Note, Plan, Step
from lws_sched.core import desired, group, restart, revision
from lws_sched.core.ownership import is_controlled_by

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

    @property
    def workers(self) -> StatefulSet | None:
        """The worker StatefulSet of this very leader."""
        found = self.worker_set
        return found if found is not None and is_controlled_by(found.metadata, self.leader.metadata) else None


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
    leader = snapshot.leader.metadata
    note = Note("RecreateGroup", restart.note(failed, snapshot.leader), DELETE)
    delete = Delete(POD, leader.namespace, leader.name, leader.uid, propagation="Foreground")
    return Plan(steps=(Step(delete, done=(note,)),))


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
    made_unique = leader.metadata.annotations.get(names.SUBDOMAIN_POLICY) == UNIQUE_PER_REPLICA
    if snapshot.service is not None or not (made_unique or desired.is_unique_per_replica(lws)):
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
    if at_revision.spec.leader_worker_template.size <= 1 or _has_leftovers(snapshot):
        return Plan()
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
    created = Note("GroupsProgressing", f"Created worker statefulset for leader pod {name}", CREATE)
    failed = Note("FailedCreate", f"Failed to create worker statefulset for leader pod {name}", CREATE)
    return Plan(steps=(Step(Create(STATEFUL_SET, desired.worker_stateful_set(workers)), (created,), failed),))


def _present(snapshot: GroupSnapshot, found: StatefulSet) -> Plan:
    """A namesake: ours, a former leader's (about to be collected), or a stranger's."""
    owner = found.metadata.controller
    if snapshot.workers is not None or (
        owner is not None and owner.kind == POD.kind and owner.name == snapshot.leader.metadata.name
    ):
        return Plan()
    name = found.metadata.name
    return _warning(
        f"Failed to create worker statefulset for leader pod {name}: a StatefulSet {name} exists that is not this "
        "group's; delete it or rename the LeaderWorkerSet"
    )


def _no_domain(leader: Pod, topology: str) -> Plan:
    text = (
        f"Failed to create worker statefulset for leader pod {leader.metadata.name}: its node {leader.spec.node_name} "
        f"has no label {topology}; label the node or change {names.EXCLUSIVE_TOPOLOGY}"
    )
    return Plan(notes=_warning(text).notes, again=_NODE_SECONDS)


def _has_leftovers(snapshot: GroupSnapshot) -> bool:
    """Whether pods of an earlier incarnation still bear the workers' names. Pods without an owner would be adopted."""
    leader = snapshot.leader.metadata
    return any(pod.metadata.uid != leader.uid and pod.metadata.controller is not None for pod in snapshot.pods)


def _warning(text: str) -> Plan:
    return Plan(notes=(Note("FailedCreate", text, CREATE, type="Warning"),))
