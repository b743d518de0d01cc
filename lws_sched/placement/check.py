"""The independent checker: whether a placement keeps every promise, decided from plain values alone.

It shares no code with the search, so that one mistake cannot hide in both. It reads nodes as `NodeFacts` (before the
placement), a request whose topologies are label keys, and the placement; it answers one sentence per
broken promise. `plan` runs it on every placement before it is returned; tests and tools may run it on anything.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from math import prod

from lws_sched.placement.node import NodeFacts
from lws_sched.placement.request import GroupRequest, Placed, PodShape, Requirement, Toleration
from lws_sched.placement.topology import Level


def violations(
    nodes: Iterable[NodeFacts], request: GroupRequest, placed: Placed, grids: Sequence[Level] = ()
) -> list[str]:
    """Every broken promise as a sentence; empty where the placement is right. `grids` are the levels with axes, for a
    group that asks for a box."""
    by_name = {node.name: node for node in nodes}
    found = list(_of_slots(by_name, request, placed))
    if not found:
        found += _of_capacity(by_name, request, placed)
        found += _of_topology(by_name, request, placed)
        found += _of_subgroups(by_name, request, placed)
        found += _of_box(by_name, request, placed, grids)
        found += _of_neighbours(by_name, request, placed)
    return found


def _of_slots(nodes: Mapping[str, NodeFacts], request: GroupRequest, placed: Placed) -> Iterator[str]:
    if placed.key != request.key:
        yield f"the placement is for {placed.key}, not {request.key}"
    if len(placed.slots) != request.size:
        yield f"{request.key} has {request.size} members but {len(placed.slots)} slots"
    for index, name in enumerate(placed.slots):
        sentence = _refusal(nodes.get(name), request.worker if index else request.leader)
        if name in request.avoid:
            sentence = "is to be avoided"
        if sentence:
            yield f"member {index} of {request.key}: node {name} {sentence}"


def _refusal(node: NodeFacts | None, shape: PodShape) -> str:
    if node is None:
        return "does not exist"
    if not node.schedulable:
        return "takes no new pods"
    if shape.selector and any(node.labels.get(key) != value for key, value in shape.selector):
        return "is not selected by the nodeSelector"
    if shape.terms and not any(term and all(_holds(node, each) for each in term) for term in shape.terms):
        return "is not taken by the node affinity"
    for taint in node.taints:
        hard = taint.effect in ("NoSchedule", "NoExecute")
        if hard and not any(_covers(each, taint.key, taint.value, taint.effect) for each in shape.tolerations):
            return f"has the taint {taint.key}, which is not tolerated"
    return ""


def _holds(node: NodeFacts, wanted: Requirement) -> bool:
    actual = (node.name if wanted.key == "metadata.name" else None) if wanted.field else node.labels.get(wanted.key)
    if wanted.operator in ("NotIn", "DoesNotExist"):
        return actual is None or (wanted.operator == "NotIn" and actual not in wanted.values)
    if actual is None:
        return False
    if wanted.operator in ("Gt", "Lt"):
        try:
            difference = int(actual) - int(wanted.values[0])
        except ValueError:
            return False
        return difference > 0 if wanted.operator == "Gt" else difference < 0
    return wanted.operator == "Exists" or (wanted.operator == "In" and actual in wanted.values)


def _covers(toleration: Toleration, key: str, value: str, effect: str) -> bool:
    same_key = toleration.key in ("", key)
    same_value = toleration.operator == "Exists" or toleration.value == value
    return same_key and same_value and toleration.effect in ("", effect)


def _of_capacity(nodes: Mapping[str, NodeFacts], request: GroupRequest, placed: Placed) -> Iterator[str]:
    leader, worker = ({**dict(shape.requests), "pods": 1} for shape in (request.leader, request.worker))
    first = placed.slots[0]
    workers = dict.fromkeys(placed.slots, 0)
    for name in placed.slots[1:]:
        workers[name] += 1
    loads: dict[tuple[int, bool], list[tuple[str, int]]] = {}
    for name, count in workers.items():
        load = loads.get((count, name == first))
        if load is None:
            load = loads[count, name == first] = _load(leader if name == first else {}, worker, count)
        free = nodes[name].free
        for resource, amount in load:
            if amount > free.get(resource, 0):
                yield f"{request.key} takes {amount} {resource} on node {name}, which has {free.get(resource, 0)} free"


def _load(leader: Mapping[str, int], worker: Mapping[str, int], count: int) -> list[tuple[str, int]]:
    """What a leader and that many workers take, resource by resource."""
    amounts = {**leader}
    for resource, amount in worker.items():
        amounts[resource] = amounts.get(resource, 0) + amount * count
    return [(resource, amount) for resource, amount in amounts.items() if amount]


def _of_topology(nodes: Mapping[str, NodeFacts], request: GroupRequest, placed: Placed) -> Iterator[str]:
    for key in dict.fromkeys((request.required, request.exclusive)):
        if not key:
            continue
        values = {nodes[name].labels.get(key) for name in placed.slots}
        if None in values:
            yield f"{request.key} has members on nodes without the label {key}"
        elif len(values) > 1:
            yield f"{request.key} is spread over {len(values)} domains of {key}"


def _of_subgroups(nodes: Mapping[str, NodeFacts], request: GroupRequest, placed: Placed) -> Iterator[str]:
    """Members of a subgroup share its domains; exclusive ones are shared with no other subgroup."""
    if not request.subgroup_size:
        return
    for key in sorted({request.subgroup_required, request.subgroup_exclusive} - {""}):
        owners: dict[str, int] = {}
        homes: dict[int, str] = {}
        for index, name in enumerate(placed.slots):
            subgroup, value = _subgroup(request, index), nodes[name].labels.get(key)
            if subgroup is None:
                continue
            if value is None:
                yield f"member {index} of {request.key}: node {name} lacks the label {key} of its subgroup's domain"
            elif homes.setdefault(subgroup, value) != value:
                yield f"subgroup {subgroup} of {request.key} is spread over several domains of {key}"
            elif key == request.subgroup_exclusive and owners.setdefault(value, subgroup) != subgroup:
                yield f"subgroups {owners[value]} and {subgroup} of {request.key} share {value}"


def _of_box(
    nodes: Mapping[str, NodeFacts], request: GroupRequest, placed: Placed, grids: Sequence[Level]
) -> Iterator[str]:
    """The members' hosts are all those of a box with the sides asked for, in one domain of a level with axes."""
    if not request.box:
        return
    labels = [nodes[name].labels for name in placed.slots]
    if not any(_make_box(labels, request.box, label, grid) for grid in grids for label in grid.labels):
        yield f"{request.key} asks for a box of {request.box} hosts, and the hosts {placed.slots} make none"


def _make_box(labels: Sequence[Mapping[str, str]], box: tuple[int, ...], label: str, grid: Level) -> bool:
    if len({each.get(label) for each in labels}) != 1 or label not in labels[0]:
        return False
    try:
        cells = {tuple(int(each[axis.label]) for axis in grid.axes) for each in labels}
    except (KeyError, ValueError):
        return False
    sides = []
    for number, axis in enumerate(grid.axes):
        along = {cell[number] for cell in cells}
        if min(along) < 0 or max(along) >= axis.length:
            return False
        ends = sum((at + 1) % axis.length not in along if axis.wraps else at + 1 not in along for at in along)
        if ends > 1:
            return False
        sides.append(len(along))
    wanted = sorted(side for side in box if side > 1)
    return len(cells) == len(labels) == prod(sides) and sorted(side for side in sides if side > 1) == wanted


def _subgroup(request: GroupRequest, index: int) -> int | None:
    """The subgroup of a member, None for none; LeaderWorkerSet's own rule."""
    size, excluded = request.subgroup_size, request.subgroup_policy == "LeaderExcluded"
    if not size or (excluded and index == 0):
        return None
    if request.size % size != 0 and (request.size - 1) % size == 0:
        return (index - 1) // size if index else 0
    return index // size


def _of_neighbours(nodes: Mapping[str, NodeFacts], request: GroupRequest, placed: Placed) -> Iterator[str]:
    inhabited = [node for node in nodes.values() if node.tenants]
    if not inhabited:
        return
    namespace = request.key.split("/")[0]
    for node in sorted(inhabited, key=lambda each: each.name):
        for tenant in node.tenants:
            if tenant.namespace != namespace or tenant.group == request.key:
                continue
            for key in sorted({request.exclusive, tenant.exclusive} - {""}):
                value = node.labels.get(key)
                if value is not None and any(nodes[name].labels.get(key) == value for name in placed.slots):
                    yield f"{request.key} and {tenant.group} share {value}, which one of them holds exclusively"
            if tenant.subgroup < 0:
                continue
            members = [name for index, name in enumerate(placed.slots) if _subgroup(request, index) is not None]
            for key in sorted({request.subgroup_exclusive, tenant.subgroup_exclusive} - {""}):
                value = node.labels.get(key)
                if value is not None and any(nodes[name].labels.get(key) == value for name in members):
                    yield f"subgroups of {request.key} and {tenant.group} share {value}, which one holds exclusively"
