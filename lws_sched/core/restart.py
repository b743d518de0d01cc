"""Whether a group must be recreated because one of its members failed.

A member has failed when one of its containers restarted, when it ended, when it is being deleted, or when it was seen
to disappear. Only members of the present incarnation count: pods that an earlier leader left behind, and pods of
another revision, say nothing about this group; nor do pods beyond its size. The answer is decided from the whole group
at once, so it does not depend on which pod's change was noticed first. Recreating means deleting the leader: the
controller does that.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from lws_sched.api import names
from lws_sched.api.core import Pod, StatefulSet
from lws_sched.api.lws import RECREATE_AFTER_START, RECREATE_ON_POD_RESTART, LeaderWorkerSet
from lws_sched.core.group import size_of

_ENDED = ("Failed", "Succeeded")


@dataclass(frozen=True)
class Members:
    """Everything observed of one group."""

    leader: Pod
    workers: StatefulSet | None
    """The worker StatefulSet of this leader; None where there is none, or only another incarnation's."""
    pods: Sequence[Pod]
    """All pods that carry the group's labels, terminating and foreign ones included."""
    lost: Sequence[Pod] = ()
    """Pods of the group that were seen to disappear, as they were last seen."""


def failed_member(lws: LeaderWorkerSet, group: Members) -> Pod | None:
    """The member for whose sake the leader must be deleted now; None where the group stays.

    With several, the one of the lowest name. A group whose policy waits for its start is left alone while a member is
    missing or pending.
    """
    policy = lws.spec.leader_worker_template.restart_policy
    if policy not in (RECREATE_ON_POD_RESTART, RECREATE_AFTER_START) or group.leader.metadata.deletion_timestamp:
        return None
    lost = [pod for pod in group.lost if _belongs(pod, group)]
    failed = [*lost, *(pod for pod in group.pods if _has_failed(pod) and _belongs(pod, group))]
    waits_for_start = policy == RECREATE_AFTER_START or names.RECREATE_AFTER_START in lws.metadata.annotations
    if not failed or (waits_for_start and not _has_started(group, lost, size_of(group.leader, lws))):
        return None
    return min(failed, key=lambda pod: (pod.metadata.name, pod.metadata.uid))


def note(failed: str, leader: Pod) -> str:
    """The text of the RecreateGroup event; `failed` is the member's name."""
    group = leader.metadata.labels.get(names.GROUP_INDEX, "")
    return f"Worker pod {failed} failed, deleted leader pod {leader.metadata.name} to recreate group {group}"


def _has_failed(pod: Pod) -> bool:
    status = pod.status
    if pod.metadata.deletion_timestamp or status.phase in _ENDED:
        return True
    containers = (*status.init_container_statuses, *status.container_statuses)
    return status.phase in ("Running", "Pending") and any(container.restart_count > 0 for container in containers)


def _belongs(pod: Pod, group: Members) -> bool:
    leader = group.leader.metadata
    if pod.metadata.uid == leader.uid:
        return True
    owner = pod.metadata.controller
    owners = {leader.uid} | ({group.workers.metadata.uid} if group.workers is not None else set())
    same_revision = pod.metadata.labels.get(names.REVISION) == leader.labels.get(names.REVISION)
    return owner is not None and owner.uid in owners and same_revision and not _is_surplus(pod)


def _is_surplus(pod: Pod) -> bool:
    """Beyond the group's size: somebody scaled the worker StatefulSet by hand, and it is scaled back."""
    index, size = pod.metadata.labels.get(names.WORKER_INDEX, ""), pod.metadata.annotations.get(names.SIZE, "")
    return index.isdecimal() and size.isdecimal() and int(index) >= int(size)


def _has_started(group: Members, lost: Sequence[Pod], size: int) -> bool:
    """Every member has come, and none is pending. A lost pod stands for its name: its successor is expected to wait."""
    seen = {pod.metadata.name: pod for pod in (*group.pods, *lost)}
    return len(seen) >= size and all(pod.status.phase != "Pending" for pod in seen.values())
