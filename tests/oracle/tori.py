"""Random instances with a torus and a group that asks for a box in it, and the boxes there, all of them written down.

A level with axes makes a torus of each of its domains: labels hold the coordinates, counted from 0. A node without one
of them, or with one beyond the axis, is in no torus; of two nodes at one place the first by name counts.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import product
from math import prod
from random import Random

from lws_sched.placement import LEVELS, GroupRequest, Level, NodeState
from lws_sched.placement.topology import Axis
from tests.oracle.moves_torus import Cell, boxes

POD = "example.com/pod"
"""A level of its own for tori; others are tori too where they have axes."""
AXES = ("example.com/x", "example.com/y", "example.com/z")
STRAY = ("", "x", "9", "-1", "1.0")
"""Coordinates that are none."""

Torus = Mapping[Cell, str]
"""Node names by place."""


# --- random tori -----------------------------------------------------------------------------------------------------


def levels(random: Random, label: str, most_nodes: int) -> tuple[Level, ...]:
    """The usual levels, of which that with this label is one of tori with up to `most_nodes` hosts each."""
    shape: list[int] = []
    for _ in range(random.choice([2, 3])):
        longest = min(6, most_nodes // prod(shape))
        shape.append(min(max(random.randint(1, longest), 2), longest))
    random.shuffle(shape)
    axes = tuple(Axis(name, length, random.random() < 0.5) for name, length in zip(AXES, shape, strict=False))
    if label == POD:
        return (*LEVELS[:-1], Level("pod", (POD,), axes), LEVELS[-1])
    return tuple(replace(level, axes=axes) if label in level.labels else level for level in LEVELS)


def wired(random: Random, nodes: tuple[NodeState, ...], level: Level, label: str, odd: float) -> tuple[NodeState, ...]:
    """The nodes with their coordinates, torus after torus as far as they go; each of four oddities, such as a wrong
    coordinate, befalls the share `odd` of them."""
    cells = [*product(*(range(axis.length) for axis in level.axes))]
    made = []
    for number, node in enumerate(nodes):
        where, place = divmod(number, len(cells))
        if random.random() < odd:
            place = random.randrange(len(cells))
        at = {axis.label: f"{coordinate}" for axis, coordinate in zip(level.axes, cells[place], strict=True)}
        if random.random() < odd:
            at[random.choice([*at])] = random.choice(STRAY)
        elif random.random() < odd:
            del at[random.choice([*at])]
        domain = {label: f"{where}"} if random.random() > odd else {}
        others = {key: value for key, value in node.labels.items() if key != label}
        made.append(replace(node, labels={**others, **domain, **at}))
    return tuple(made)


def sides(random: Random, level: Level, most_pods: int) -> Cell:
    """Of a box with up to `most_pods` hosts; three in four are no longer than the torus in some rotation."""
    lengths = [axis.length for axis in level.axes] if random.random() < 0.75 else [4] * random.choice([2, 3])
    random.shuffle(lengths)
    found: list[int] = []
    for length in lengths:
        longest = min(length, most_pods // prod(found))
        found.append(max(random.randint(1, longest), random.randint(1, longest)))
    return tuple(found)


# --- what they say ---------------------------------------------------------------------------------------------------


def tori(nodes: tuple[NodeState, ...], levels: tuple[Level, ...]) -> Iterator[tuple[Level, Torus]]:
    for level in levels:
        for value in sorted({node.labels[label] for node in nodes for label in level.labels if label in node.labels}):
            found: dict[Cell, str] = {}
            for node in nodes:
                place = _place(node, level)
                if place is not None and value in (node.labels.get(label) for label in level.labels):
                    found.setdefault(place, node.name)
            if level.axes and found:
                yield level, found


def _place(node: NodeState, level: Level) -> Cell | None:
    texts = [node.labels.get(axis.label, "") for axis in level.axes]
    if not all(text in map(str, range(axis.length)) for text, axis in zip(texts, level.axes, strict=True)):
        return None
    return tuple(int(text) for text in texts)


def boxes_of(
    group: GroupRequest, nodes: tuple[NodeState, ...], levels: tuple[Level, ...]
) -> Iterator[tuple[Level, Torus, frozenset[Cell]]]:
    """Every box of hosts that the group may stand on, room aside."""
    if prod(group.box) != group.size:
        return
    for level, torus in tori(nodes, levels):
        shape, wraps = zip(*((axis.length, axis.wraps) for axis in level.axes), strict=True)
        for cells in {*boxes(shape, wraps, group.box)}:
            if cells <= torus.keys():
                yield level, torus, cells


def are_neighbours(one: Cell, other: Cell, level: Level) -> bool:
    return other in around(one, level)


def around(cell: Cell, level: Level) -> list[Cell | None]:
    """What lies next to a place, on either side along every axis: None for a wall."""
    found: list[Cell | None] = []
    for number, axis in enumerate(level.axes):
        for step in (-1, 1):
            at = cell[number] + step
            is_inside = 0 <= at < axis.length
            beside = (*cell[:number], at % axis.length, *cell[number + 1 :])
            found.append(beside if is_inside or axis.wraps else None)
    return found
