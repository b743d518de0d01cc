"""Whom the scheduler would evict for groups that have no place: what the extender does, foretold from its objects.

Groups go in the order of their turn. What one of them makes leave is gone for those after it, what it gets is taken.
Disruption budgets are not known here: where they protect a victim, another one may be chosen.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from lws_sched.api import placement as api
from lws_sched.api.core import Pod
from lws_sched.api.meta import key_of
from lws_sched.intake.cluster import Cluster
from lws_sched.intake.standing import held_slots, standing_node, tenant_of
from lws_sched.placement import (
    Amounts,
    Budget,
    Eviction,
    GroupRequest,
    Snapshot,
    Victim,
    pod_requests,
    preempt,
)
from lws_sched.placement.victims import without

MIRROR = "kubernetes.io/config.mirror"
"""Annotation of static pods: deleting them changes nothing on the node."""


def make_room(
    cluster: Cluster, snapshot: Snapshot, requests: Sequence[GroupRequest], budget: Budget
) -> dict[str, Eviction]:
    """By key, for those of the requests that get a place that way. `snapshot` is the fleet with everybody in place who
    has one."""
    found: dict[str, Eviction] = {}
    if not requests:
        return found
    offered = {each.key: each for each in victims(cluster, max(request.priority for request in requests))}
    for request in requests:
        below = [each for each in offered.values() if each.priority < request.priority]
        eviction = preempt(snapshot, request, below, budget) if below else None
        if not isinstance(eviction, Eviction):
            continue
        found[request.key] = eviction
        gone = [offered.pop(key) for key in eviction.victims]
        snapshot = without(snapshot, gone).with_group(request, eviction.placed.slots)
    return found


def victims(cluster: Cluster, below: int) -> list[Victim]:
    """Everybody of a lower priority who stands or holds slots and is not on the way out, as groups where they are in
    one."""
    named = {f"{each.namespace}/{each.name}" for record in cluster.records for each in record.status.predecessors}
    going = (api.WAITING, api.ABORTING)
    found = [
        Victim(
            key=key,
            priority=record.spec.priority,
            pods=tuple((held.node, _amounts(held.requests)) for held in held_slots(record)),
            created=record.metadata.creation_timestamp,
        )
        for key, record in cluster.record_of.items()
        if record.spec.priority < below and record.status.state not in going and key not in named
    ]
    return found + [_of_pods(key, pods) for key, pods in _strangers(cluster).items() if _may_go(pods, below)]


def _strangers(cluster: Cluster) -> dict[str, list[Pod]]:
    """Bound pods that no record tells of, by group or each for itself."""
    strangers: dict[str, list[Pod]] = {}
    for pod in cluster.pods:
        tenant = tenant_of(pod)
        key = tenant.group if tenant else key_of(pod)
        if standing_node(pod) and key not in cluster.record_of:
            strangers.setdefault(key, []).append(pod)
    return strangers


def _of_pods(key: str, pods: Sequence[Pod]) -> Victim:
    return Victim(
        key=key,
        priority=max(pod.spec.priority for pod in pods),
        pods=tuple((pod.spec.node_name, _amounts(pod_requests(pod.spec))) for pod in pods),
        created=min(pod.metadata.creation_timestamp for pod in pods),
    )


def _may_go(pods: Iterable[Pod], below: int) -> bool:
    """Whether deleting these helps: all of a lower priority, nobody on the way out, nobody who is back at once."""
    return all(
        pod.spec.priority < below
        and not pod.metadata.deletion_timestamp
        and MIRROR not in pod.metadata.annotations
        and (pod.metadata.controller is None or pod.metadata.controller.kind != "DaemonSet")
        for pod in pods
    )


def _amounts(requests: Mapping[str, int]) -> Amounts:
    return tuple(sorted(requests.items()))
