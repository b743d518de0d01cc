"""A group as observed: its leader pod and the worker StatefulSet of that leader; what ready and updated mean for it.

Shared by the rollout, the status and the restart rules, so that they cannot disagree. A worker StatefulSet that another
incarnation of the leader left behind is not part of the group.
"""

from __future__ import annotations

from dataclasses import dataclass

from lws_sched.api import names
from lws_sched.api.core import Pod, StatefulSet
from lws_sched.api.lws import LeaderWorkerSet
from lws_sched.core.ownership import is_controlled_by


@dataclass(frozen=True)
class Group:
    """A leader pod that exists, with its workers where it has any. Sets of thousands are looked at often: what is asked
    of every group is worked out once."""

    leader: Pod
    is_ready: bool
    """Leader running, ready and not going away; all workers available and of one template."""
    is_whole: bool
    """All that the group consists of exists, at whatever revision."""
    revisions: frozenset[str]
    """What its members are made from."""

    def is_updated(self, revision_key: str) -> bool:
        """All members are made from the given revision."""
        return self.is_whole and not self.is_outdated(revision_key)

    def is_outdated(self, revision_key: str) -> bool:
        """Some member that exists is made from another revision."""
        return len(self.revisions) > 1 or revision_key not in self.revisions


def observed(lws: LeaderWorkerSet, leader: Pod, workers: StatefulSet | None) -> Group:
    """The group of a leader pod; `workers` is whatever StatefulSet carries its name."""
    mine = workers if workers is not None and is_controlled_by(workers.metadata, leader.metadata) else None
    is_alone = size_of(leader, lws) == 1
    made = {leader.metadata.labels.get(names.REVISION, "")}
    if mine is not None:
        made.add(mine.metadata.labels.get(names.REVISION, ""))
    are_ready = is_ready(leader) and (is_alone or (mine is not None and is_available(mine)))
    return Group(leader, is_ready=are_ready, is_whole=is_alone or mine is not None, revisions=frozenset(made))


def size_of(member: Pod, lws: LeaderWorkerSet) -> int:
    """Members of the pod's group: the size that the pod was made with, which during a resize is not the live one."""
    written = member.metadata.annotations.get(names.SIZE, "")
    return int(written) if written.isdecimal() else lws.spec.leader_worker_template.size


def index_of(lws: LeaderWorkerSet, leader: Pod) -> int | None:
    """The group's index, from the name that the leader StatefulSet gave the pod; None for a pod it cannot have made."""
    parts = names.parent_and_ordinal(leader.metadata.name)
    return parts[1] if parts is not None and parts[0] == lws.metadata.name else None


def is_ready(pod: Pod) -> bool:
    """Running, ready, and not being deleted."""
    return pod.status.phase == "Running" and has_ready_condition(pod) and not pod.metadata.deletion_timestamp


def has_ready_condition(pod: Pod) -> bool:
    return any(condition.type == "Ready" and condition.status == "True" for condition in pod.status.conditions)


def is_gated(pod: Pod) -> bool:
    """Whether the pod waits behind lws-sched's gate, and perhaps others."""
    return any(gate.name == names.GATE for gate in pod.spec.scheduling_gates)


def is_available(workers: StatefulSet) -> bool:
    """Whether all workers are there and ready, and none is about to be replaced."""
    status = workers.status
    return workers.spec.replicas == status.available_replicas and status.current_revision == status.update_revision
