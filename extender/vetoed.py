"""Pods of no group that our own filter kept off nodes because of held slots, and that now wait.

kube-scheduler writes its filters' words into the pod's condition, so who waits because of us can be read from the pods
themselves, also after a restart. Of those with a higher priority than a group, a place is left to them before the group
gets one, and a reservation of which nothing is committed yet gives way to them.
"""

from __future__ import annotations

from collections.abc import Iterable

from lws_sched.api.core import Pod
from lws_sched.api.meta import key_of
from lws_sched.extender.stages import is_member
from lws_sched.placement import GroupRequest, shape_of

RESERVED_FOR_A_GROUP = "is reserved for a group"
"""What the filter says of a node that it keeps a pod off."""


def is_vetoed(pod: Pod) -> bool:
    waits = not pod.spec.node_name and not pod.metadata.deletion_timestamp and not is_member(pod)
    return waits and any(
        each.type == "PodScheduled" and each.status == "False" and RESERVED_FOR_A_GROUP in each.message
        for each in pod.status.conditions
    )


def index(pod: Pod) -> Iterable[str]:
    return ("",) if is_vetoed(pod) else ()


def request_of(pod: Pod) -> GroupRequest:
    """What the pod wants, as a group of one."""
    shape = shape_of(pod.spec)
    return GroupRequest(
        key=key_of(pod),
        size=1,
        leader=shape,
        worker=shape,
        priority=pod.spec.priority,
        created=pod.metadata.creation_timestamp,
    )
