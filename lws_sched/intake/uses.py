"""What each host is used for: by groups first, by any other pod that asks for an accelerator next."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import Enum

from lws_sched.api import names
from lws_sched.api.core import Pod
from lws_sched.api.meta import key_of
from lws_sched.intake.cluster import Cluster
from lws_sched.intake.standing import standing_node, tenant_of


class Use(Enum):
    FREE = "free"
    HELD = "held"
    """Slots of a group are on it, and no member yet."""
    TAKEN = "taken"
    """By pods of no group."""
    STRANDED = "stranded"
    """By members of a group of which others are missing."""
    COMPLETE = "complete"


@dataclass(frozen=True)
class HostUse:
    use: Use = Use.FREE
    groups: tuple[str, ...] = ()
    """Keys of the groups whose members stand on the host; where none does, of those that hold slots of it."""


IDLE = HostUse()


def host_use(pods: Iterable[Pod], holders: Iterable[str], is_whole: Callable[[str], bool]) -> HostUse:
    """The use of one host, from the pods that stand on it and the groups that hold slots of it."""
    pods = tuple(pods)
    groups = tuple(sorted({tenant.group for pod in pods if (tenant := tenant_of(pod)) is not None}))
    if groups:
        return HostUse(Use.COMPLETE if all(map(is_whole, groups)) else Use.STRANDED, groups)
    if any(map(_wants_accelerator, pods)):
        return HostUse(Use.TAKEN)
    holding = tuple(sorted({*holders}))
    return HostUse(Use.HELD, holding) if holding else IDLE


def host_uses(cluster: Cluster) -> Mapping[str, HostUse]:
    """The use of every host on which anything stands or is held, by name."""
    pods: dict[str, list[Pod]] = {}
    bound: set[str] = set()
    for pod in cluster.pods:
        node = standing_node(pod)
        if node:
            pods.setdefault(node, []).append(pod)
            bound.add(key_of(pod))
    holders: dict[str, list[str]] = {}
    for held in cluster.held():
        if held.pod not in bound:
            holders.setdefault(held.node, []).append(held.tenant.group)
    whole = {key for key in cluster.pods_of if len(cluster.members_of(key)) >= _size(cluster, key)}
    return {
        node: host_use(pods.get(node, ()), holders.get(node, ()), whole.__contains__)
        for node in sorted(pods.keys() | holders.keys())
    }


def _size(cluster: Cluster, group: str) -> int:
    pods = cluster.pods_of.get(group, {}).values()
    sizes = [int(size) for pod in pods if (size := pod.metadata.annotations.get(names.SIZE, "")).isdigit()]
    return max(sizes, default=len(pods))


def _wants_accelerator(pod: Pod) -> bool:
    wanted = {name for each in pod.spec.containers for name in (*each.resources.requests, *each.resources.limits)}
    return any(resource in wanted for resource in names.MANAGED_RESOURCES if resource != names.MEMBER_RESOURCE)
