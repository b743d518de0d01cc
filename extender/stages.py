"""Which members must be bound together.

Normally all n. Where the workers cannot exist before the leader is bound, the leader is a stage and the n-1 workers are
the second: under LeaderReady, and for groups of a controller that creates the workers only once the leader is scheduled
(the upstream one, with exclusive-topology; told by the pod affinity it gives the leader). A member that is re-created
alone, after all were bound once, is a stage of its own.
"""

from __future__ import annotations

from functools import lru_cache

from lws_sched.api import names
from lws_sched.api import placement as api
from lws_sched.api.core import Pod
from lws_sched.api.placement import GroupPlacement


def is_member(pod: Pod) -> bool:
    """Whether a pod belongs to a group that goes through our profile."""
    return pod.spec.scheduler_name == names.SCHEDULER and names.SET_NAME in pod.metadata.labels


def is_made_by(pod: Pod, stateful_set: str) -> bool:
    """Whether the pod's controller is the StatefulSet of that name. Labels are anybody's to write."""
    owner = pod.metadata.controller
    return owner is not None and owner.kind == "StatefulSet" and owner.name == stateful_set


def expected_members(record: GroupPlacement, leader: Pod | None, arriving: str) -> frozenset[str]:
    """The pod names whose bind calls must all be held before the stage of `arriving` is committed."""
    name = record.metadata.name
    everyone = _everyone(name, record.spec.size)
    if record.status.state == api.BOUND:
        return frozenset((arriving,))
    if not is_leader_first(record, leader):
        return everyone
    return everyone - {name} if name in record.status.committed else frozenset((name,))


@lru_cache(maxsize=4096)
def _everyone(leader: str, size: int) -> frozenset[str]:
    """Asked once for each member that arrives, of groups whose members arrive together."""
    return frozenset(names.member_name(leader, index) for index in range(size))


def is_leader_first(record: GroupPlacement, leader: Pod | None) -> bool:
    return record.spec.leader_first or (leader is not None and _follows_affinity(leader))


def _follows_affinity(leader: Pod) -> bool:
    affinity = leader.spec.affinity.pod_affinity if leader.spec.affinity else None
    return affinity is not None and any(
        requirement.key == names.GROUP_KEY
        for term in affinity.required
        if term.label_selector is not None
        for requirement in term.label_selector.match_expressions
    )
