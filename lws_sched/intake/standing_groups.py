"""Groups that stand on a cluster, as requests that could be placed elsewhere: what moving or draining them takes.

What a group asks for is read from its LeaderWorkerSet. Where the cluster's objects do not have it, the members that are
there tell their shapes, and the domain that they share now is taken for what they need.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from msgspec.structs import replace as changed

from lws_sched.api import names
from lws_sched.api.core import Pod
from lws_sched.api.lws import LeaderWorkerSet
from lws_sched.api.meta import key_of
from lws_sched.intake.cluster import Cluster
from lws_sched.intake.standing import standing_node, tenant_of
from lws_sched.intake.wanted import Ask, MemberShapes, WantedGroup, ask_of
from lws_sched.placement import Fleet, GroupRequest, PodShape, Snapshot, Tenant, shape_of
from lws_sched.placement.table import NODE_NAME


@dataclass(frozen=True)
class Charge:
    """What one member takes in the fleet."""

    owner: str
    requests: Mapping[str, int]
    tenant: Tenant | None


@dataclass(frozen=True)
class Standing:
    """A group all of whose members are bound, or a pod of no group as a group of one."""

    request: GroupRequest
    slots: tuple[str, ...]
    charges: tuple[Charge, ...]
    pods: tuple[str, ...]
    """Names by worker index."""
    lws: LeaderWorkerSet | None = None
    is_owned: bool = True
    """Whether somebody makes its pods anew."""


def standing_groups(cluster: Cluster, snapshot: Snapshot) -> tuple[Standing, ...]:
    """By key. Groups of which members are missing cannot be moved whole and are left out."""
    sets = {key_of(lws): lws for lws in cluster.sets}
    found = []
    for key, pods in sorted(cluster.pods_of.items()):
        members = _by_index(pods.values())
        if (
            not members
            or [*members] != [*range(len(members))]
            or any(not standing_node(pod) for pod in members.values())
        ):
            continue
        leader = members[0]
        lws = sets.get(f"{leader.metadata.namespace}/{leader.metadata.labels.get(names.SET_NAME, '')}")
        if lws is not None and len(members) != lws.spec.leader_worker_template.size:
            continue
        found.append(_standing(key, [*members.values()], lws, snapshot))
    return tuple(found)


def standing_pods(cluster: Cluster, resources: Iterable[str]) -> Iterator[Standing]:
    """Pods of no group that take one of the resources and that could stand elsewhere: none of a DaemonSet, of a node's
    own or of the system's namespaces."""
    wanted = {*resources}
    for pod in cluster.pods:
        node, meta = standing_node(pod), pod.metadata
        owner = meta.controller
        if not node or tenant_of(pod) is not None or meta.namespace.startswith("kube-"):
            continue
        if owner is not None and owner.kind in ("DaemonSet", "Node"):
            continue
        shape = _shape(pod)
        if not wanted & {resource for resource, _ in shape.requests}:
            continue
        request = GroupRequest(key=key_of(pod), size=1, leader=shape, worker=shape, priority=pod.spec.priority)
        charge = Charge(f"pod:{key_of(pod)}", dict(shape.requests), None)
        yield Standing(request, (node,), (charge,), (meta.name,), is_owned=owner is not None)


def relocate(fleet: Fleet, group: Standing, members: Iterable[int], nodes: Iterable[str]) -> None:
    """Charge members on other nodes than before."""
    for index, node in zip(members, nodes, strict=True):
        charge = group.charges[index]
        fleet.charge(charge.owner, node, charge.requests, charge.tenant)


def _by_index(pods: Iterable[Pod]) -> dict[int, Pod]:
    found: dict[int, Pod] = {}
    for pod in pods:
        index = pod.metadata.labels.get(names.WORKER_INDEX, "")
        if index.isdigit():
            found[int(index)] = pod
    return dict(sorted(found.items()))


def _standing(key: str, members: list[Pod], lws: LeaderWorkerSet | None, snapshot: Snapshot) -> Standing:
    leader = members[0]
    slots = tuple(standing_node(pod) for pod in members)
    ask = ask_of(lws) if lws is not None else _ask_of_members(leader, slots, snapshot)
    wanted = WantedGroup(
        namespace=leader.metadata.namespace,
        set_name=leader.metadata.labels[names.SET_NAME],
        set_uid="",
        index=int(leader.metadata.labels[names.GROUP_INDEX]),
        size=len(members),
        revision="",
        ask=ask,
        leader_first=False,
        created="",
        shapes=MemberShapes(_shape(leader), _shape(members[-1]), leader.spec.priority),
    )
    assert wanted.key == key
    charges = tuple(Charge(f"pod:{key_of(pod)}", dict(_shape(pod).requests), tenant_of(pod)) for pod in members)
    return Standing(wanted.request(), slots, charges, tuple(pod.metadata.name for pod in members), lws)


def _ask_of_members(leader: Pod, slots: tuple[str, ...], snapshot: Snapshot) -> Ask:
    table = snapshot.table
    exclusive = leader.metadata.annotations.get(names.EXCLUSIVE_TOPOLOGY, "")
    labels = [table.nodes[table.position[node]].labels for node in slots if node in table.position]
    levels = [level for level in table.levels if level != NODE_NAME]
    shared = (level for level in levels if labels and len({each.get(level) for each in labels} | {None}) == 2)
    return Ask(required=next(shared, "") if len(slots) > 1 else "", exclusive=exclusive)


def _shape(pod: Pod) -> PodShape:
    """What the pod needs of a node, without the pin that its slot gave it."""
    shape = shape_of(pod.spec)
    terms = tuple(tuple(each for each in term if not each.field) for term in shape.terms)
    return replace(shape, terms=terms if all(terms) else ())


def without_nodes(cluster: Cluster, nodes: Iterable[str]) -> Cluster:
    """The cluster with these nodes cordoned."""
    closed = {*nodes}
    return replace(
        cluster,
        nodes=tuple(
            changed(node, spec=changed(node.spec, unschedulable=True)) if node.metadata.name in closed else node
            for node in cluster.nodes
        ),
    )
