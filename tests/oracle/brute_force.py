"""Whether a group fits, decided by trying; and whether a placement is right, decided from the rules alone.

`fits` tries every choice of the group's domain, of the leader's node and of a domain for each subgroup, and fills in
workers one by one: workers are alike, so that any node that takes one will do. Of a group that asks for a box it tries
every box and every host of it for the leader. `fits_in_any_way` tries every node for every member, which few nodes and
members allow; it is there to check `fits`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations_with_replacement, product

from lws_sched.placement import GroupRequest
from tests.oracle.instances import Instance
from tests.oracle.pods import Amounts, admits, requests_of
from tests.oracle.tori import boxes_of

Free = Amounts


@dataclass(frozen=True)
class Node:
    """A node with what is left on it. `leader` and `worker`: whether it may take them, room aside."""

    name: str
    labels: Mapping[str, str]
    free: Free
    leader: bool
    worker: bool


def fits(instance: Instance, *levels: str, among: Collection[str] | None = None) -> bool:
    """Whether the group fits; in one domain of each of the `levels` as well, on the nodes `among` these only."""
    group, nodes = instance.group, nodes_of(instance)
    nodes = nodes if among is None else [node for node in nodes if node.name in among]
    keys = _keys(group.required, group.exclusive, *levels)
    find = _box_fits_in if group.box else _fits_in
    return any(find(instance, domain) for domain in _domains(nodes, keys))


def hosts_of_boxes(instance: Instance) -> set[frozenset[str]]:
    """The nodes of every box of the group's sides."""
    found = boxes_of(instance.group, instance.nodes, instance.levels)
    return {frozenset(torus[cell] for cell in cells) for _, torus, cells in found}


def _box_fits_in(instance: Instance, domain: Sequence[Node]) -> bool:
    nodes = {node.name: node for node in domain}
    leaders, workers = taking(instance, domain)
    return any(
        hosts <= nodes.keys() and any(hosts - {leader} <= workers for leader in hosts & leaders)
        for hosts in hosts_of_boxes(instance)
    )


def taking(instance: Instance, nodes: Sequence[Node]) -> tuple[set[str], set[str]]:
    """The nodes that take the leader, and those that take a worker, if no other member stands there."""
    leader, worker = requests_of(instance.leader), requests_of(instance.worker)
    return (
        {node.name for node in nodes if node.leader and _holds(node.free, leader)},
        {node.name for node in nodes if node.worker and _holds(node.free, worker)},
    )


def _fits_in(instance: Instance, domain: Sequence[Node]) -> bool:
    wanted, subgroups = requests_of(instance.leader), _subgroups(instance.group)
    for leader in domain:
        if leader.leader and _holds(leader.free, wanted):
            left = {node.name: dict(node.free) for node in domain}
            _take(left[leader.name], wanted)
            if _workers_fit(instance, domain, left, leader, subgroups):
                return True
    return False


def _workers_fit(
    instance: Instance, domain: Sequence[Node], left: dict[str, Free], leader: Node, subgroups: dict[int, int]
) -> bool:
    group = instance.group
    keys = _keys(group.subgroup_required, group.subgroup_exclusive)
    if not group.subgroup_size or not keys:
        return _fill(domain, left, requests_of(instance.worker), sum(subgroups.values()))
    homes = [*_domains(domain, keys)]
    own = [number for number, home in enumerate(homes) if leader in home]
    others = [number for number in subgroups if number != _subgroup(group, 0)]
    if _subgroup(group, 0) is not None:
        return bool(own) and _each_fits(
            instance, homes, left, own, [subgroups[0]], [subgroups[each] for each in others]
        )
    return _each_fits(instance, homes, left, [], [], [subgroups[each] for each in others])


def _each_fits(
    instance: Instance,
    homes: list[list[Node]],
    left: dict[str, Free],
    own: list[int],
    beside: list[int],
    plain: list[int],
) -> bool:
    """Whether some choice of homes takes the leader's subgroup (in `own`) and the plain ones, which are alike."""
    worker = requests_of(instance.worker)
    for chosen in combinations_with_replacement(range(len(homes)), len(plain)):
        picked = [*own, *chosen]
        if key := instance.group.subgroup_exclusive:
            values = [homes[each][0].labels[key] for each in picked]
            if len(set(values)) < len(values):
                continue
        trial = {name: dict(free) for name, free in left.items()}
        if all(_fill(homes[home], trial, worker, count) for home, count in zip(picked, (*beside, *plain), strict=True)):
            return True
    return False


def count_on(instance: Instance) -> dict[str, int]:
    """By node, how many workers it takes if no other member stands there."""
    wanted, found = requests_of(instance.worker), {}
    for node in nodes_of(instance):
        left = {node.name: dict(node.free)}
        found[node.name] = next(count for count in range(99) if not _fill([node], left, wanted, 1))
    return found


def fits_in_any_way(instance: Instance) -> bool:
    """Every node for every member."""
    names = [node.name for node in instance.nodes]
    return any(not wrongs(instance, slots) for slots in product(names, repeat=instance.group.size))


def wrongs(instance: Instance, slots: Sequence[str]) -> list[str]:
    """What is wrong with placing member i on node slots[i]; empty where nothing is."""
    group = instance.group
    nodes = {node.name: node for node in nodes_of(instance)}
    if len(slots) != group.size or any(slot not in nodes for slot in slots):
        return ["not one known node for every member"]
    found = [*_wrong_rooms(instance, nodes, slots)]
    if group.box and (len({*slots}) < len(slots) or frozenset(slots) not in hosts_of_boxes(instance)):
        found.append("hosts that make no box")
    for key in _keys(group.required, group.exclusive):
        if len({nodes[slot].labels.get(key, f"none on {slot}") for slot in slots}) > 1:
            found.append(f"members in several domains of {key}")
        if any(key not in nodes[slot].labels for slot in slots):
            found.append(f"a member outside all domains of {key}")
    for key in _keys(group.subgroup_required, group.subgroup_exclusive):
        homes: dict[int, set[str]] = {}
        for index, slot in enumerate(slots):
            subgroup = _subgroup(group, index)
            if subgroup is not None:
                homes.setdefault(subgroup, set()).add(nodes[slot].labels.get(key, ""))
        if any(len(values) > 1 or "" in values for values in homes.values()):
            found.append(f"a subgroup not in one domain of {key}")
        if key == group.subgroup_exclusive and len(set.union(*homes.values(), set())) < len(homes):
            found.append(f"subgroups that share a domain of {key}")
    return found


def _wrong_rooms(instance: Instance, nodes: Mapping[str, Node], slots: Sequence[str]) -> Iterator[str]:
    leader, worker = requests_of(instance.leader), requests_of(instance.worker)
    left = {name: dict(node.free) for name, node in nodes.items()}
    for index, slot in enumerate(slots):
        wanted, may = (worker, nodes[slot].worker) if index else (leader, nodes[slot].leader)
        if not may:
            yield f"member {index} may not stand on {slot}"
        if not _holds(left[slot], wanted):
            yield f"{slot} has no room for member {index}"
        _take(left[slot], wanted)


# --- what a node offers ----------------------------------------------------------------------------------------------


def nodes_of(instance: Instance) -> list[Node]:
    group, nodes = instance.group, []
    leader_in = _subgroup(group, 0) is not None
    worker_in = group.size > 1 and _subgroup(group, 1) is not None
    for node in instance.nodes:
        free = dict(node.allocatable)
        for each in instance.standing:
            if each.node == node.name:
                for name, amount in (*each.requests.items(), ("pods", 1)):
                    free[name] = free.get(name, 0) - amount
        is_open = node.schedulable and node.name not in group.avoid
        may = [
            is_open and admits(node, pod) and not _is_held(instance, node.labels, in_subgroup)
            for pod, in_subgroup in ((instance.leader, leader_in), (instance.worker, worker_in))
        ]
        nodes.append(Node(node.name, {**node.labels, "name": node.name}, free, may[0], may[1]))
    return nodes


def _is_held(instance: Instance, labels: Mapping[str, str], in_subgroup: bool) -> bool:
    """Whether an exclusive domain keeps a member of the group away from a node with these labels."""
    group = instance.group
    where = {node.name: node.labels for node in instance.nodes}
    for each in instance.standing:
        other = each.tenant
        if other is None or other.group == group.key or other.namespace != group.key.split("/")[0]:
            continue
        keys = _keys(group.exclusive, other.exclusive)
        if in_subgroup and other.subgroup >= 0:
            keys += _keys(group.subgroup_exclusive, other.subgroup_exclusive)
        if any(key in labels and labels[key] == where[each.node].get(key) for key in keys):
            return True
    return False


# --- counting --------------------------------------------------------------------------------------------------------


def _fill(nodes: Sequence[Node], left: dict[str, Free], wanted: Amounts, count: int) -> bool:
    for node in nodes:
        while count and node.worker and _holds(left[node.name], wanted):
            _take(left[node.name], wanted)
            count -= 1
    return not count


def _holds(free: Free, wanted: Amounts) -> bool:
    return all(free.get(name, 0) >= amount for name, amount in wanted.items() if amount)


def _take(free: Free, wanted: Amounts) -> None:
    for name, amount in wanted.items():
        free[name] = free.get(name, 0) - amount


def _domains(nodes: Sequence[Node], keys: list[str]) -> Iterator[list[Node]]:
    values = {tuple(node.labels[key] for key in keys) for node in nodes if all(key in node.labels for key in keys)}
    for value in sorted(values):
        yield [node for node in nodes if tuple(node.labels.get(key) for key in keys) == value]


def _keys(*names: str) -> list[str]:
    return [name for name in dict.fromkeys(names) if name]


def _subgroup(group: GroupRequest, index: int) -> int | None:
    """As LeaderWorkerSet labels its pods."""
    if not group.subgroup_size or (index == 0 and group.subgroup_policy == "LeaderExcluded"):
        return None
    if index and (group.size - 1) % group.subgroup_size == 0 and group.size % group.subgroup_size:
        return (index - 1) // group.subgroup_size
    return index // group.subgroup_size


def _subgroups(group: GroupRequest) -> dict[int, int]:
    """Workers by subgroup; 0 is there even without workers."""
    counts = {0: 0} if _subgroup(group, 0) is not None or not group.subgroup_size else {}
    for index in range(1, group.size):
        number = _subgroup(group, index) or 0
        counts[number] = counts.get(number, 0) + 1
    return counts
