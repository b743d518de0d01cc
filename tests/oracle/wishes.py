"""What a group wishes for beyond fitting, decided by trying: the narrowest domain, spread groups, ranks side by side.

Rules, from the words of `GroupRequest` and not from the search:

- spread: of the domains of that level that take the whole group, one beside the fewest groups of its LeaderWorkerSet;
- level: the first preferred level of which one domain takes the whole group; with none, the narrowest of all levels,
  from a single node up. Of a group that must share a domain, the levels count within the domain where it stands;
- ranks: a node that ranks have left is not returned to, nor is a wider domain where levels nest;
- parts: a group of equal members that spans several domains of a level touches as few as can be, widest level first;
- stay: where every member whose slot is known can have it again, every one has it. Nothing else is asked of a group
  that goes back to nodes it had.

A group that asks for a box has its levels from `preferred` alone. Beside these:

- spot: the torus with the fewest hosts that take a member, of those that take the box; in it the spot where most faces
  of the box touch hosts that take none, or a wall;
- ranks: each member's host is next to that of the one before, if there is such a way through the box.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise, product

from lws_sched.placement import Level
from tests.oracle.brute_force import count_on, fits, nodes_of, taking, wrongs
from tests.oracle.instances import LEVELS, Instance
from tests.oracle.moves_torus import Cell
from tests.oracle.tori import Torus, are_neighbours, around, boxes_of

WISHES = ("spread", "level", "ranks", "parts", "stay", "spot")


def unmet(instance: Instance, slots: Sequence[str]) -> dict[str, bool]:
    """Of the wishes that mean something for this group: whether the placement leaves them unmet."""
    if instance.group.stay:
        left = _leaves(instance, slots)
        return {} if left is None else {"stay": left}
    labels = {node.name: {**node.labels, "name": node.name} for node in instance.nodes}
    among = _least_crowded(instance, labels)
    found = {} if instance.group.box else {"ranks": _returns(instance, labels, slots)}
    if among is not None:
        found["spread"] = not {*slots} <= among
    level = _level(instance, among, _home(instance, labels, slots))
    if level:
        found["level"] = not _is_one(labels, slots, level)
    if instance.group.box:
        return found | _of_box(instance, labels, level, among, slots)
    if not instance.group.subgroup_size and instance.leader == instance.worker:
        within = [key for key in (instance.group.required, instance.group.exclusive, level) if key]
        nodes = {name for name in among or labels if all(_is_one(labels, (name, slots[0]), key) for key in within)}
        more = _more_parts(instance, labels, nodes, slots)
        if more is not None:
            found["parts"] = more
    return found


Labels = Mapping[str, Mapping[str, str]]
"""By node, with its name as one more label."""


def _least_crowded(instance: Instance, labels: Labels) -> set[str] | None:
    """The nodes of the domains to spread to; None where there is nothing to choose."""
    key = instance.group.spread
    if not key:
        return None
    domains: dict[str, set[str]] = {}
    for name, each in labels.items():
        if key in each:
            domains.setdefault(each[key], set()).add(name)
    taking = [nodes for nodes in domains.values() if fits(instance, among=nodes)]
    crowds = [len(_sisters(instance, nodes)) for nodes in taking]
    return {name for nodes, crowd in zip(taking, crowds, strict=True) if crowd == min(crowds) for name in nodes} or None


def _sisters(instance: Instance, nodes: set[str]) -> set[str]:
    """Other groups of the LeaderWorkerSet on these nodes."""
    own = instance.group.key
    return {
        each.tenant.group
        for each in instance.standing
        if each.tenant is not None
        and each.node in nodes
        and each.tenant.group != own
        and each.tenant.group.rpartition("-")[0] == own.rpartition("-")[0]
    }


def _narrowest_first(instance: Instance, keys: Sequence[str]) -> list[str]:
    """Those that some node carries: the more values, the narrower; among equals as `LEVELS` has them."""
    values = {key: {node.labels[key] for node in instance.nodes if key in node.labels} for key in keys}
    return sorted((key for key in keys if values[key]), key=lambda key: (-len(values[key]), -LEVELS.index(key)))


def _home(instance: Instance, labels: Labels, slots: Sequence[str]) -> set[str]:
    """The nodes of the domain that all members must share."""
    keys = [key for key in (instance.group.required, instance.group.exclusive) if key]
    return {name for name in labels if all(_is_one(labels, (name, slots[0]), key) for key in keys)}


def _level(instance: Instance, among: set[str] | None, home: set[str]) -> str:
    """The level of which one domain must take the group; "" where none does."""
    for level in _narrowest_first(instance, instance.group.preferred):
        if fits(instance, level, among=among):
            return level
    if instance.group.box:
        return ""
    inside = home if among is None else home & among
    levels = ["name", *_narrowest_first(instance, LEVELS[:3])]
    return next((level for level in levels if fits(instance, level, among=inside)), "")


def _is_one(labels: Labels, slots: Sequence[str], key: str) -> bool:
    values = {labels[slot].get(key, f"none on {slot}") for slot in slots}
    return len(values) == 1


def _returns(instance: Instance, labels: Labels, slots: Sequence[str]) -> bool:
    """Whether some rank stands in a domain that an earlier one has left."""
    paths = [tuple(path) for path in _paths(instance, labels, slots)]
    return any(
        path[:depth] in {other[:depth] for other in paths[: at - 1]}
        for at, (before, path) in enumerate(pairwise(paths), start=1)
        for depth in range(1, len(path) + 1)
        if path[:depth] != before[:depth]
    )


def _paths(instance: Instance, labels: Labels, slots: Sequence[str]) -> Iterator[list[str]]:
    """Per rank, its domains from wide to narrow, down to the node; of groups with subgroups the node alone."""
    levels = [] if instance.group.subgroup_size else [*reversed(_narrowest_first(instance, LEVELS[:3]))]
    for slot in slots:
        yield [*(labels[slot].get(key, "") for key in levels), slot]


def _more_parts(instance: Instance, labels: Labels, nodes: set[str], slots: Sequence[str]) -> bool | None:
    """Whether more domains of the widest level that divides the group are touched than the room on these nodes asks
    for; None where no level divides it."""
    for key in reversed(_narrowest_first(instance, LEVELS[:3])):
        touched = {labels[slot].get(key, "") for slot in slots}
        if len(touched) > 1:
            rooms = dict.fromkeys((labels[name].get(key, "") for name in nodes), 0)
            for name, count in count_on(instance).items():
                if name in nodes:
                    rooms[labels[name].get(key, "")] += count
            return sum(sorted(rooms.values())[-(len(touched) - 1) :]) >= len(slots)
        nodes = {name for name in nodes if labels[name].get(key, "") in touched}
    return None


def _leaves(instance: Instance, slots: Sequence[str]) -> bool | None:
    """Whether a member is not where it was although all could be; None where they could not, or too few slots are known
    to try."""
    stay = instance.group.stay
    lost = [index for index, node in enumerate(stay) if not node]
    if len(lost) == len(stay) or len(lost) > MOST_LOST:
        return None
    for nodes in product([node.name for node in instance.nodes], repeat=len(lost)):
        spare = iter(nodes)
        if not wrongs(instance, [node or next(spare) for node in stay]):
            return any(node not in ("", slot) for node, slot in zip(stay, slots, strict=True))
    return None


MOST_LOST = 2


# --- boxes -----------------------------------------------------------------------------------------------------------


def _of_box(
    instance: Instance, labels: Labels, level: str, among: set[str] | None, slots: Sequence[str]
) -> dict[str, bool]:
    within = [key for key in (instance.group.required, instance.group.exclusive, level) if key]
    inside = {name for name in among or labels if all(_is_one(labels, (name, slots[0]), key) for key in within)}
    leaders, workers = taking(instance, [node for node in nodes_of(instance) if node.name in inside])
    able = leaders | workers
    spots = []
    for grid, torus, cells in boxes_of(instance.group, instance.nodes, instance.levels):
        hosts = {torus[cell] for cell in cells}
        if any(hosts - {leader} <= workers for leader in hosts & leaders):
            beside = [place for cell in cells for place in around(cell, grid) if place not in cells]
            contact = sum(place is None or torus.get(place) not in able for place in beside)
            spots.append((len(able & {*torus.values()}), contact, grid, torus, hosts == {*slots}))
    crowd, contact, grid, torus, _ = next(spot for spot in spots if spot[-1])
    is_tightest = crowd == min(spot[0] for spot in spots)
    places = {name: cell for cell, name in torus.items()}
    path = [places[slot] for slot in slots]
    apart = not all(are_neighbours(one, other, grid) for one, other in pairwise(path))
    return {
        "spot": not is_tightest or contact < max(spot[1] for spot in spots if spot[3] == torus),
        "ranks": apart and _is_way(torus, grid, {*path}, leaders, workers),
    }


def _is_way(torus: Torus, grid: Level, cells: set[Cell], leaders: set[str], workers: set[str]) -> bool:
    """Whether some way through all cells, each step to a neighbour, begins where the leader can stand."""
    return any(
        torus[first] in leaders
        and {torus[cell] for cell in cells - {first}} <= workers
        and _goes_on(grid, first, cells - {first})
        for first in cells
    )


def _goes_on(grid: Level, last: Cell, left: set[Cell]) -> bool:
    return not left or any(_goes_on(grid, cell, left - {cell}) for cell in left if are_neighbours(last, cell, grid))
