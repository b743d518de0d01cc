"""Small fleets and groups in few words, and an oracle that finds places by trying all of them.

The oracle shares no code with the engine but the value types.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations_with_replacement

from hypothesis import strategies as st

from lws_sched.placement import Fleet, GroupRequest, NodeFacts, NodeState, PodShape, Taint, Tenant, Toleration

RACK = "topology.lws-sched.io/rack"
BLOCK = "topology.lws-sched.io/block"
GPU = "nvidia.com/gpu"


@dataclass(frozen=True)
class Standing:
    """Something that takes room on a node."""

    owner: str
    node: str
    requests: Mapping[str, int]
    tenant: Tenant | None = None


def host(name: str, rack: str = "", block: str = "", gpu: int = 8, cpu: int = 64_000, pods: int = 110) -> NodeState:
    labels = {key: value for key, value in ((RACK, rack), (BLOCK, block)) if value}
    labels["kubernetes.io/hostname"] = name
    return NodeState(name=name, labels=labels, allocatable={"cpu": cpu, GPU: gpu, "pods": pods})


def racks(count: int, size: int, racks_per_block: int = 4) -> list[NodeState]:
    return [
        host(f"r{rack}-h{index}", f"rack-{rack}", f"block-{rack // racks_per_block}")
        for rack in range(count)
        for index in range(size)
    ]


def fleet_of(nodes: Iterable[NodeState], standing: Iterable[Standing] = ()) -> Fleet:
    fleet = Fleet()
    for node in nodes:
        fleet.set_node(node)
    for each in standing:
        fleet.charge(each.owner, each.node, each.requests, each.tenant)
    return fleet


def pod(gpu: int = 0, cpu: int = 0) -> PodShape:
    return PodShape(requests=tuple(sorted((key, amount) for key, amount in ((GPU, gpu), ("cpu", cpu)) if amount)))


def group(
    name: str, size: int, worker: PodShape | None = None, leader: PodShape | None = None, **more: object
) -> GroupRequest:
    worker = worker or pod(gpu=8)
    request = GroupRequest(key=f"default/{name}", size=size, worker=worker, leader=leader or worker)
    return replace(request, **more)  # type: ignore[arg-type]


# --- the oracle ------------------------------------------------------------------------------------------------------


def fits_somewhere(nodes: Sequence[NodeFacts], request: GroupRequest) -> bool:
    """Whether some assignment of members to nodes keeps every promise: tries all of them."""
    usable = [node for node in nodes if node.schedulable and node.name not in request.avoid]
    return any(_fits_in(list(part), request) for part in _parts(usable, nodes, request))


def _parts(usable: list[NodeFacts], everyone: Sequence[NodeFacts], request: GroupRequest) -> Iterator[list[NodeFacts]]:
    keys = sorted({request.required, request.exclusive} - {""})
    free = [node for node in usable if not _is_closed(node, everyone, request)]
    values = {tuple(node.labels.get(key) for key in keys) for node in free}
    for value in sorted(values, key=str):
        if None not in value:
            yield [node for node in free if tuple(node.labels.get(key) for key in keys) == value]


def _is_closed(node: NodeFacts, everyone: Sequence[NodeFacts], request: GroupRequest) -> bool:
    for other in everyone:
        for tenant in other.tenants:
            if tenant.group == request.key or tenant.namespace != request.key.split("/")[0]:
                continue
            for key in {request.exclusive, tenant.exclusive} - {""}:
                if key in node.labels and node.labels.get(key) == other.labels.get(key):
                    return True
    return False


def _fits_in(nodes: list[NodeFacts], request: GroupRequest) -> bool:
    free = {node.name: dict(node.free) for node in nodes}
    return any(
        _take(free, node, request.leader)
        and _workers_fit(free, nodes, request.worker, request.size - 1, put_back=(node, request.leader))
        for node in nodes
        if _admits(node, request.leader)
    )


def _workers_fit(
    free: dict[str, dict[str, int]],
    nodes: list[NodeFacts],
    worker: PodShape,
    count: int,
    put_back: tuple[NodeFacts, PodShape],
) -> bool:
    """Workers are alike, so filling node after node as far as each goes tries every distinct outcome."""
    taken: list[NodeFacts] = []
    for node in nodes:
        while len(taken) < count and _admits(node, worker) and _take(free, node, worker):
            taken.append(node)
    for node in taken:
        _give(free, node, worker)
    _give(free, *put_back)
    return len(taken) == count


def fit_together(nodes: Sequence[NodeFacts], groups: Sequence[GroupRequest]) -> bool:
    """Whether all groups can be placed at once: tries every assignment of every member. A few members only."""
    if not groups:
        return True
    first, *rest = groups
    return any(fit_together(_with_members(nodes, first, slots), rest) for slots in _all_slots(nodes, first))


def _all_slots(nodes: Sequence[NodeFacts], request: GroupRequest) -> Iterator[tuple[NodeFacts, ...]]:
    usable = [node for node in nodes if node.schedulable and node.name not in request.avoid]
    for part in _parts(usable, nodes, request):
        for leader in part:
            for workers in combinations_with_replacement(part, request.size - 1):
                if _all_fit((leader, *workers), request):
                    yield leader, *workers


def _all_fit(slots: tuple[NodeFacts, ...], request: GroupRequest) -> bool:
    free = {node.name: dict(node.free) for node in slots}
    shapes = (request.leader, *(request.worker,) * (request.size - 1))
    return all(_admits(node, shape) and _take(free, node, shape) for node, shape in zip(slots, shapes, strict=True))


def _with_members(nodes: Sequence[NodeFacts], request: GroupRequest, slots: tuple[NodeFacts, ...]) -> list[NodeFacts]:
    after = {node.name: node._replace(free=dict(node.free)) for node in nodes}
    tenant = Tenant(request.key, request.key.split("/")[0], request.exclusive)
    for index, slot in enumerate(slots):
        node = after[slot.name]
        _take({node.name: node.free}, node, request.worker if index else request.leader)
        after[slot.name] = node._replace(tenants=(*node.tenants, tenant))
    return list(after.values())


def _take(free: dict[str, dict[str, int]], node: NodeFacts, shape: PodShape) -> bool:
    wanted = {**dict(shape.requests), "pods": 1}
    if any(free[node.name].get(resource, 0) < amount for resource, amount in wanted.items()):
        return False
    for resource, amount in wanted.items():
        free[node.name][resource] -= amount
    return True


def _give(free: dict[str, dict[str, int]], node: NodeFacts, shape: PodShape) -> None:
    for resource, amount in {**dict(shape.requests), "pods": 1}.items():
        free[node.name][resource] += amount


def _admits(node: NodeFacts, shape: PodShape) -> bool:
    tolerated = {toleration.key for toleration in shape.tolerations}
    taints = {taint.key for taint in node.taints if taint.effect != "PreferNoSchedule"}
    return taints <= tolerated and all(node.labels.get(key) == value for key, value in shape.selector)


preferences: st.SearchStrategy[tuple[str, ...]] = st.sampled_from([(), (RACK,), (BLOCK, RACK)])

# --- random small instances ------------------------------------------------------------------------------------------

RESOURCES = ("cpu", "memory", GPU)


@dataclass(frozen=True)
class Instance:
    nodes: tuple[NodeState, ...]
    standing: tuple[Standing, ...]
    request: GroupRequest


# Made once: a strategy that a composite makes at every draw is checked at every draw, which takes longer than drawing.
_RACKS = st.sampled_from(["a", "b", "a", "b", "a", ""])
_BLOCKS = st.sampled_from(["x", "x", "x", "y", ""])
_OFFERED = st.sampled_from([1, 2, 3, 3, 3])
_ALLOCATABLE = st.sampled_from([0, 2, 4, 5, 6, 7])
_PODS = st.sampled_from([0, 2, 4, 8, 8])
_EFFECTS = st.sampled_from(["NoSchedule", "PreferNoSchedule"])
_AMOUNTS = st.sampled_from([0, 0, 1, 2, 3])
_KEYS = st.sampled_from(["", "", RACK, BLOCK])
_EXCLUSIVE = st.sampled_from(["", "", "", RACK, BLOCK])
_TENANTS = st.sampled_from(["default/other-0", "default/other-1", "elsewhere/other-0", "default/it-0"])
_BOOLEANS = st.booleans()
_UP_TO_2, _UP_TO_3, _UP_TO_4, _UP_TO_5, _UP_TO_7 = (st.integers(0, most) for most in (2, 3, 4, 5, 7))


def _node_state(draw: st.DrawFn, index: int) -> NodeState:
    labels = {}
    rack, block = draw(_RACKS), draw(_BLOCKS)
    if rack:
        labels[RACK] = rack
    if block:
        labels[BLOCK] = block
    if draw(_UP_TO_3):
        labels["kind"] = "fast"
    allocatable = {resource: draw(_ALLOCATABLE) for resource in RESOURCES[: draw(_OFFERED)]}
    allocatable["pods"] = draw(_PODS)
    taints = (Taint("reserved", "", draw(_EFFECTS)),)
    return NodeState(
        name=f"n-{index}",
        labels=labels,
        allocatable=allocatable,
        taints=taints if draw(_UP_TO_4) == 0 else (),
        schedulable=draw(_UP_TO_7) > 0,
    )


def _shape(draw: st.DrawFn) -> PodShape:
    requests = {resource: draw(_AMOUNTS) for resource in RESOURCES}
    return PodShape(
        requests=tuple(sorted((key, amount) for key, amount in requests.items() if amount)),
        selector=(("kind", "fast"),) if draw(_UP_TO_5) == 0 else (),
        tolerations=(Toleration(key="reserved", operator="Exists"),) if draw(_BOOLEANS) else (),
    )


@st.composite
def requests(draw: st.DrawFn, name: str = "it-0", most: int = 6, node_names: Sequence[str] = ()) -> GroupRequest:
    leader = _shape(draw)
    size = draw(st.integers(1, most))
    names = list(node_names)
    was_there = bool(names) and draw(_BOOLEANS)
    before = draw(st.lists(st.sampled_from(names), min_size=size, max_size=size)) if was_there else []
    avoided = draw(st.lists(st.sampled_from(names), max_size=1)) if names else []
    return GroupRequest(
        key=f"default/{name}",
        size=size,
        leader=leader,
        worker=leader if draw(_BOOLEANS) else _shape(draw),
        required=draw(_KEYS),
        exclusive=draw(_EXCLUSIVE),
        preferred=draw(preferences),
        avoid=frozenset(avoided),
        stay=tuple(before),
    )


@st.composite
def instances(draw: st.DrawFn) -> Instance:
    nodes = tuple(_node_state(draw, index) for index in range(draw(st.integers(1, 8))))
    names = [node.name for node in nodes]
    standing = []
    for index in range(draw(_UP_TO_3)):
        name = draw(_TENANTS)
        tenant = Tenant(name, name.split("/")[0], draw(_KEYS))
        taken = {resource: draw(_UP_TO_2) for resource in RESOURCES}
        standing.append(
            Standing(f"pod-{index}", draw(st.sampled_from(names)), taken, tenant if draw(_BOOLEANS) else None)
        )
    return Instance(nodes, tuple(standing), draw(requests(node_names=names)))
