"""A group that asks for a box of hosts in a torus, one member to a host, as `exact` asks for the room of any group.

A level with axes says that each of its domains is a torus (or a grid, where nothing wraps): node labels hold the
coordinates, counted from 0. A node that lacks one of them, or has one beyond the axis, is in no torus; of two nodes at
one place the first by name counts. The tightest torus that takes the box wins, and in it the spot with the most contact
(`torus_grid`); ranks wind through the box so that neighbours in rank are neighbours in the torus. A group that comes
back returns to the very hosts it had, or is placed afresh; one that lost members keeps the others where they are.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from lws_sched.placement import topology
from lws_sched.placement.request import GroupRequest
from lws_sched.placement.room import NEVER, Asked
from lws_sched.placement.space import Space
from lws_sched.placement.table import ABSENT, Ints, NodeTable, Partition
from lws_sched.placement.torus_grid import Cells, Spot

_LATTICES = "lattices"
NEEDED = 0
"""The slack of a domain that takes the box; others have less."""


@dataclass(frozen=True, eq=False)
class Lattice:
    """One domain of a level with axes: which node stands where."""

    level: str
    value: str
    nodes: Ints
    """Node positions, of the torus's shape; ABSENT for none."""
    wraps: tuple[bool, ...]


def lattices(table: NodeTable) -> tuple[Lattice, ...]:
    """All tori that the nodes' labels tell of, narrowest level first, in the order of the domains."""
    found: tuple[Lattice, ...] | None = table.topologies.get(_LATTICES)
    if found is None:
        levels = sorted(topology.with_axes(table.keys), key=lambda level: -topology.rank(level.labels[0], table.keys))
        found = table.topologies[_LATTICES] = tuple(each for level in levels for each in _of_level(table, level))
    return found


def _of_level(table: NodeTable, level: topology.Level) -> Iterator[Lattice]:
    label = next((label for label in level.labels if label in table.keys), None)
    if label is None:
        return
    column = table.column(label)
    shape = tuple(axis.length for axis in level.axes)
    grids = {code: np.full(shape, ABSENT, dtype=np.int64) for code in range(len(column.values))}
    for position, code in enumerate(column.codes.tolist()):
        place = topology.coordinates(table.nodes[position].labels, level.axes)
        if code != ABSENT and place is not None and grids[code][place] == ABSENT:
            grids[code][place] = position
    for code, nodes in grids.items():
        if (nodes != ABSENT).any():
            yield Lattice(label, column.values[code], nodes, tuple(axis.wraps for axis in level.axes))


@dataclass(frozen=True, eq=False)
class Boxed(Space):
    """The room for a group that asks for a box. Slack is NEEDED where a domain takes it, and less where not."""

    def pack(self, nodes: Ints, _: tuple[str, ...]) -> tuple[int, ...]:
        inside = np.zeros(len(self.snapshot.table), dtype=np.bool_)
        inside[nodes] = True
        tightest: tuple[int, Cells, Spot] | None = None
        for cells in self.within(inside).cells(None):
            able = int((cells.worker | cells.leader).sum())
            spot = cells.best() if tightest is None or able < tightest[0] else None
            if spot is not None:
                tightest = (able, cells, spot)
        assert tightest is not None
        return tuple(int(tightest[1].nodes[place]) for place in tightest[1].ranks(tightest[2]))

    def settle(self, base: Partition) -> tuple[int, ...] | None:
        """A node position per member, all in one domain, that keeps every member whose node `stay` names; None where no
        box does. Those without a node stand on what is left of the box."""
        table, wanted = self.snapshot.table, self.request.stay
        kept = {index: table.position.get(node, ABSENT) for index, node in enumerate(wanted) if node}
        positions = [*kept.values()]
        if not kept or ABSENT in positions or len({*positions}) < len(positions):
            return None
        return next(
            (
                slots
                for cells in self.cells(base)
                for spot in cells.around(np.isin(cells.nodes, positions), len(positions))
                if (slots := _filled(cells, spot, kept, self.request.size)) is not None
            ),
            None,
        )

    def cells(self, partition: Partition | None) -> Iterator[Cells]:
        """Every torus, with what each of its hosts takes; domains of the partition count as apart."""
        for lattice in lattices(self.snapshot.table):
            there = lattice.nodes != ABSENT
            codes = np.zeros_like(lattice.nodes) if partition is None else partition.codes[lattice.nodes]
            domains = np.where(there, codes, ABSENT)
            there = domains != ABSENT
            leader = there & (self.room.loss[lattice.nodes] < NEVER)
            worker = there & (self.room.workers[lattice.nodes] > 0)
            yield Cells(lattice.nodes, lattice.wraps, self.request.box, leader, worker, domains)

    def _slack(self, partition: Partition) -> Ints:
        slack = np.full(partition.count, NEEDED - 1, dtype=np.int64)
        for cells in self.cells(partition):
            slack[cells.takers()] = NEEDED
        return slack


def _filled(cells: Cells, spot: Spot, kept: dict[int, int], size: int) -> tuple[int, ...] | None:
    """The kept members on their nodes and the others, in rank order, on the rest; None where one cannot stand there."""
    places = {int(cells.nodes[place]): place for place in cells.ranks(spot)}
    free = [node for node in places if node not in kept.values()]
    if 0 not in kept:
        free.sort(key=lambda node: (not cells.leader[places[node]], cells.worker[places[node]]))
    spare = iter(free)
    slots = [kept[index] if index in kept else next(spare) for index in range(size)]
    able = [cells.worker[places[node]] if index else cells.leader[places[node]] for index, node in enumerate(slots)]
    return tuple(slots) if all(able) else None


@dataclass(frozen=True, eq=False)
class Nearest:
    """Where the fewest hosts must become free for a box, as node positions."""

    value: str
    """Of the torus."""
    hosts: Ints
    blocked: Ints
    """Those that take no worker now."""


def nearest(now: Boxed, empty: Boxed, base: Partition) -> Nearest | None:
    """The spot with the fewest hosts that are not free; None where not even empty hosts make a box. `empty` is the same
    group on the fleet with nothing on it."""
    best: tuple[int, Nearest] | None = None
    for lattice, cells in zip(lattices(now.snapshot.table), empty.cells(base), strict=True):
        blocked = (lattice.nodes != ABSENT) & (now.room.workers <= 0)[lattice.nodes]
        for count, spot in cells.cheapest(blocked.astype(np.int64)):
            if best is None or count < best[0]:
                places = cells.at(spot)
                hosts = np.array([lattice.nodes[place] for place in places], dtype=np.int64)
                best = (count, Nearest(lattice.value, hosts, hosts[[bool(blocked[place]) for place in places]]))
    return None if best is None else best[1]


def flatter(request: GroupRequest) -> Iterator[GroupRequest]:
    """The same group asking for boxes of as many hosts with other sides, the most cube-like first."""
    count, axes = request.size, 3
    sides = {
        tuple(sorted((a, b, count // (a * b)), reverse=True))
        for a in range(1, count + 1)
        if count % a == 0
        for b in range(1, count // a + 1)
        if count // a % b == 0
    }
    own = tuple(sorted((*request.box, *(1,) * (axes - len(request.box))), reverse=True))
    for each in sorted(sides - {own}, key=lambda each: (sum(each), each)):
        yield replace(request, box=tuple(side for side in each if side > 1) or (1,), stay=())


def is_box(request: GroupRequest, keys: Asked) -> bool:
    """Whether the group has as many members as the box has hosts, and no domains of its subgroups."""
    return not keys.inner and int(np.prod(request.box)) == request.size
