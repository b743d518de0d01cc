"""What a group wishes for beyond fitting, decided by trying: the narrowest domain, spread groups, ranks side by side.

Rules, from the words of `GroupRequest` and not from the search:

- spread: of the domains of that level that take the whole group, one beside the fewest groups of its LeaderWorkerSet;
- level: the first preferred level of which one domain takes the whole group; with none, the narrowest of all levels,
  from a single node up. Of a group that must share a domain, the levels count within the domain where it stands;
- ranks: a node that ranks have left is not returned to, nor is a wider domain where levels nest;
- parts: a group of equal members that spans several domains of a level touches as few as can be, widest level first.

A group that goes back to nodes it had (`stay`) is not asked for any of this.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise

from tests.oracle.brute_force import count_on, fits
from tests.oracle.instances import LEVELS, Instance

WISHES = ("spread", "level", "ranks", "parts")


def unmet(instance: Instance, slots: Sequence[str]) -> dict[str, bool]:
    """Of the wishes that mean something for this group: whether the placement leaves them unmet."""
    if instance.group.stay:
        return {}
    labels = {node.name: {**node.labels, "name": node.name} for node in instance.nodes}
    among = _least_crowded(instance, labels)
    found = {"ranks": _returns(instance, labels, slots)}
    if among is not None:
        found["spread"] = not {*slots} <= among
    level = _level(instance, among, _home(instance, labels, slots))
    if level:
        found["level"] = not _is_one(labels, slots, level)
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
