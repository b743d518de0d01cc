"""Who takes room where: nodes, bound pods and held slots, as the placement engine counts them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from lws_sched.api import names
from lws_sched.api import placement as api
from lws_sched.api.core import Node, Pod
from lws_sched.api.meta import key_of
from lws_sched.api.placement import GroupPlacement
from lws_sched.api.quantity import amounts
from lws_sched.placement import GroupRequest, NodeState, PodShape, Taint, Tenant
from lws_sched.placement.request import NO_SUBGROUP, subgroup_of

STATE_TAINTS = tuple(f"node.kubernetes.io/{state}" for state in ("unschedulable", "not-ready", "unreachable"))
"""What the node-lifecycle controller puts on nodes that are cordoned or not Ready."""


@dataclass(frozen=True)
class Held:
    """A slot that a record holds: its member takes this room, whether it stands there yet or not."""

    pod: str
    node: str
    requests: Mapping[str, int]
    tenant: Tenant


def held_slots(record: GroupPlacement) -> tuple[Held, ...]:
    """What a record takes: nothing while Waiting, else one slot per member in worker-index order."""
    if record.status.state not in api.HOLDING:
        return ()
    return slots_on(record, record.status.slots)


def slots_on(record: GroupPlacement, nodes: Sequence[str]) -> tuple[Held, ...]:
    """The members of a record's group on these nodes, by worker index."""
    meta, spec = record.metadata, record.spec
    return tuple(
        Held(
            pod=f"{meta.namespace}/{names.member_name(meta.name, index)}",
            node=node,
            requests=(spec.worker if index else spec.leader).requests,
            tenant=_tenant(record, index),
        )
        for index, node in enumerate(nodes)
    )


def _tenant(record: GroupPlacement, index: int) -> Tenant:
    spec = record.spec
    subgroup = subgroup_of(index, spec.size, spec.subgroup_size, spec.subgroup_policy)
    return Tenant(
        group=key_of(record),
        namespace=record.metadata.namespace,
        exclusive=spec.exclusive_key,
        subgroup=subgroup,
        subgroup_exclusive=spec.subgroup_exclusive_key if subgroup != NO_SUBGROUP else "",
    )


def exclusions_of(record: GroupPlacement) -> GroupRequest:
    """What a record's group asks of exclusive topologies, and of nothing else."""
    nothing = PodShape()
    return GroupRequest(
        key=key_of(record),
        size=record.spec.size,
        leader=nothing,
        worker=nothing,
        exclusive=record.spec.exclusive_key,
        subgroup_size=record.spec.subgroup_size,
        subgroup_policy=record.spec.subgroup_policy,
        subgroup_exclusive=record.spec.subgroup_exclusive_key,
    )


def tenant_of(pod: Pod) -> Tenant | None:
    """The group whose member a pod is, for exclusive topologies; None for a pod of no group."""
    labels = pod.metadata.labels
    set_name, group = labels.get(names.SET_NAME), labels.get(names.GROUP_INDEX, "")
    subgroup = labels.get(names.SUBGROUP_INDEX, "")
    if not set_name or not group.isdigit():
        return None
    return Tenant(
        group=f"{pod.metadata.namespace}/{names.leader_name(set_name, int(group))}",
        namespace=pod.metadata.namespace,
        exclusive=pod.metadata.annotations.get(names.EXCLUSIVE_TOPOLOGY, ""),
        subgroup=int(subgroup) if subgroup.isdigit() else NO_SUBGROUP,
        subgroup_exclusive=pod.metadata.annotations.get(names.SUBGROUP_EXCLUSIVE_TOPOLOGY, "") if subgroup else "",
    )


def node_state(node: Node) -> NodeState:
    """The node as placement sees it; a NotReady, cordoned or leaving node takes no new pods. Our own taint keeps no
    member away, and the taints that repeat such a state are left out: what would help is an uncordon, no toleration."""
    ready = any(each.type == "Ready" and each.status == "True" for each in node.status.conditions)
    schedulable = ready and not node.spec.unschedulable and not node.metadata.deletion_timestamp
    ignored = {names.RESERVED_TAINT} if schedulable else {names.RESERVED_TAINT, *STATE_TAINTS}
    return NodeState(
        name=node.metadata.name,
        labels=node.metadata.labels,
        allocatable=amounts(node.status.allocatable),
        taints=tuple(
            Taint(key=each.key, value=each.value, effect=each.effect)
            for each in node.spec.taints
            if each.key not in ignored
        ),
        schedulable=schedulable,
    )


def standing_node(pod: Pod | None) -> str:
    """The node that a pod takes room on: not once all its containers have ended."""
    if pod is None or pod.status.phase in ("Succeeded", "Failed"):
        return ""
    return pod.spec.node_name
