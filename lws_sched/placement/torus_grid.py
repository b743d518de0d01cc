"""A torus of hosts as arrays: which of them take a member, and where a box of them fits.

Whether a box fits at an anchor is a sum over a window, and the sums of all windows of a rotation come from one
cumulative sum per axis (`windows`): every anchor is looked at, so the answers are exact.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import permutations, product
from math import prod

import numpy as np

from lws_sched.placement.request import GroupRequest, Placed
from lws_sched.placement.room import NEVER, Asked, asked, closed_to, room_for
from lws_sched.placement.snapshot import Snapshot
from lws_sched.placement.table import ABSENT, Bools, Ints
from lws_sched.placement.verify import verify
from lws_sched.placement.winding import Step, corner_walks, way_from
from lws_sched.placement.windows import Box, contact, window_sums


@dataclass(frozen=True)
class Torus:
    """Hosts by coordinates. Coordinates without a host are holes."""

    shape: tuple[int, ...]
    """Hosts along each axis: two or three axes."""
    wraps: tuple[bool, ...]
    """Per axis, whether the last host is next to the first."""
    coordinates: Mapping[str, tuple[int, ...]]
    """Per node name."""
    name: str = "the torus"

    def __post_init__(self) -> None:
        """Raises ValueError where the parts do not agree."""
        if len(self.shape) not in (2, 3) or len(self.wraps) != len(self.shape) or min(self.shape) < 1:
            raise ValueError(f"{self.name} needs two or three axes, each with a length and a wrap; it has {self.shape}")
        for node, place in self.coordinates.items():
            if len(place) != len(self.shape) or not all(0 <= at < to for at, to in zip(place, self.shape, strict=True)):
                raise ValueError(f"{self.name} of shape {self.shape} has no coordinates {place}, where {node} is")
        if len({*self.coordinates.values()}) < len(self.coordinates):
            raise ValueError(f"two nodes of {self.name} have the same coordinates")


@dataclass(frozen=True)
class BoxRequest:
    """A group that wants a box with as many hosts as it has members."""

    request: GroupRequest
    box: tuple[int, ...]
    """Hosts along each axis, in any order of axes."""


@dataclass(frozen=True)
class Spot:
    """A rotation of the box and its anchor."""

    box: Box
    anchor: tuple[int, ...]


class Cells:
    """The hosts of one torus as arrays of its shape: which take a leader and which a worker of a group that wants a
    box.

    `domains` numbers the domains that all members must share, ABSENT for hosts in none.
    """

    def __init__(
        self, nodes: Ints, wraps: tuple[bool, ...], box: tuple[int, ...], leader: Bools, worker: Bools, domains: Ints
    ) -> None:
        self.nodes, self.leader, self.worker = nodes, leader, worker
        self._wraps, self._domains = wraps, domains
        self.rotations = rotations(nodes.shape, box)

    def fitting(self, box: Box) -> Bools:
        """Per anchor, whether the box fits: every host takes a worker, but one that takes the leader."""
        found: Bools | None = None
        for domain in self._numbers():
            fits = self._fitting(box, domain)
            found = fits if found is None else found | fits
        return np.zeros_like(self._sums(self.worker, box), dtype=np.bool_) if found is None else found

    def takers(self) -> list[int]:
        """The domains in which a box fits."""
        numbers = self._numbers()
        return [each for each in numbers if any(self._fitting(box, each).any() for box in self.rotations)]

    def best(self) -> Spot | None:
        """The spot with the most contact; the first of them."""
        blocked = (~(self.leader | self.worker)).astype(np.int64)
        return self._first(lambda box: contact(blocked, box, self._wraps))

    def around(self, kept: Bools, count: int) -> Iterator[Spot]:
        """The spots where the box fits and contains all `count` hosts that are kept."""
        for box in self.rotations:
            for anchor in np.argwhere(self.fitting(box) & (self._sums(kept, box) == count)).tolist():
                yield Spot(box, tuple(anchor))

    def cheapest(self, cost: Ints) -> Iterator[tuple[int, Spot]]:
        """Per rotation that fits somewhere, the first spot of the least cost, and that cost."""
        for box in self.rotations:
            fits = self.fitting(box)
            if fits.any():
                sums = np.where(fits, window_sums(cost, box, self._wraps), NEVER)
                yield int(sums.min()), Spot(box, position_of(int(np.argmin(sums)), sums.shape))

    def spots(self) -> Iterator[Spot]:
        """All spots where the box fits."""
        return self.around(np.zeros_like(self.worker), 0)

    def at(self, spot: Spot) -> list[tuple[int, ...]]:
        """The coordinates of the box's hosts, in order."""
        return [self._shifted(spot, step) for step in product(*(range(length) for length in spot.box))]

    def ranks(self, spot: Spot) -> list[tuple[int, ...]]:
        """The coordinates of the box's hosts by rank, each next to the one before: a walk along its longest side and
        back. The leader, which comes first, takes a corner where one takes it; elsewhere a way is looked for, and if
        none is found, the walk begins with its second host."""
        walks, box = corner_walks(spot.box), spot.box
        leaders = self._leaders(spot, walks[0])
        way = next((walk for walk in walks if walk[0] in leaders), None)
        if way is None:
            sides = zip(box, self.nodes.shape, self._wraps, strict=True)
            way = way_from(leaders, box, [wraps and length == size for length, size, wraps in sides])
        if way is None:
            way = [leaders[0], *(step for step in walks[0] if step != leaders[0])]
        return [self._shifted(spot, step) for step in way]

    def _leaders(self, spot: Spot, steps: Sequence[Step]) -> list[Step]:
        """Which of the box's hosts may be the leader's: one that takes no worker, or any that takes the leader."""
        cells = {step: self._shifted(spot, step) for step in steps}
        return [step for step in steps if not self.worker[cells[step]]] or [
            step for step in steps if self.leader[cells[step]]
        ]

    def _first(self, measure: Callable[[Box], Ints]) -> Spot | None:
        """The first of the spots of the highest measure, which is below zero where a spot does not count."""
        best: tuple[int, Spot] | None = None
        for box in self.rotations:
            measured = np.where(self.fitting(box), measure(box), -1)
            top = int(measured.max(initial=-1))
            if top >= 0 and (best is None or top > best[0]):
                best = (top, Spot(box, position_of(int(np.argmax(measured)), measured.shape)))
        return None if best is None else best[1]

    def _fitting(self, box: Box, domain: int) -> Bools:
        inside = self._domains == domain
        lacks = ~(self.worker & inside)
        lacking = self._sums(lacks, box)
        leaders = self._sums(self.leader & inside, box)
        led = self._sums(lacks & self.leader & inside, box)
        fits: Bools = ((lacking == 0) & (leaders > 0)) | ((lacking == 1) & (led == 1))
        return fits

    def _numbers(self) -> list[int]:
        found: list[int] = np.unique(self._domains[self._domains != ABSENT]).tolist()
        return found

    def _shifted(self, spot: Spot, step: tuple[int, ...]) -> tuple[int, ...]:
        moved = zip(spot.anchor, step, self.nodes.shape, strict=True)
        return tuple((anchor + by) % size for anchor, by, size in moved)

    def _sums(self, cells: Bools, box: Box) -> Ints:
        return window_sums(cells.astype(np.int64), box, self._wraps)


class Grid(Cells):
    """The hosts of a torus that is given by coordinates, for one group."""

    def __init__(self, snapshot: Snapshot, torus: Torus, wanted: BoxRequest) -> None:
        request, table = wanted.request, snapshot.table
        _check(torus, wanted)
        self._torus = torus
        self._request = request
        nodes: Ints = np.full(torus.shape, ABSENT, dtype=np.int64)
        for node, place in torus.coordinates.items():
            nodes[place] = table.position.get(node, ABSENT)
        keys = asked(table, request)
        leader = worker = np.zeros(torus.shape, dtype=np.bool_)
        domains = np.full(torus.shape, ABSENT, dtype=np.int64)
        if isinstance(keys, Asked) and len(table):
            room = room_for(snapshot, request, closed_to(snapshot, request, keys))
            domains = np.where(nodes != ABSENT, table.partition(keys.base).codes[nodes], ABSENT)
            leader = (domains != ABSENT) & (room.loss[nodes] < NEVER)
            worker = (domains != ABSENT) & (room.workers[nodes] > 0)
        super().__init__(nodes, torus.wraps, wanted.box, leader, worker, domains)

    def placed(self, snapshot: Snapshot, spot: Spot) -> Placed:
        """The placement at a spot that fits, checked."""
        slots = tuple(snapshot.table.names[int(self.nodes[each])] for each in self.ranks(spot))
        size = self._request.size
        found = Placed(self._request.key, slots, "", self._torus.name, "exact", value=size, bound=size)
        verify(snapshot, self._request, found)
        return found


def _check(torus: Torus, wanted: BoxRequest) -> None:
    request = wanted.request
    if prod(wanted.box) != request.size or len(wanted.box) > len(torus.shape):
        raise ValueError(
            f"{request.key} has {request.size} members, which is no box of {said(wanted.box)} hosts in {torus.name}"
        )
    if request.subgroup_required or request.subgroup_exclusive:
        raise ValueError(f"{request.key} asks for a box and for domains of its subgroups: ask for one of them")


def rotations(shape: tuple[int, ...], box: tuple[int, ...]) -> tuple[Box, ...]:
    """The box along the torus's axes in every way in which it is no longer than they are."""
    if len(box) > len(shape):
        box = tuple(side for side in box if side > 1) or (1,)
    if len(box) > len(shape):
        return ()
    padded = (*box, *(1,) * (len(shape) - len(box)))
    fitting = {each for each in permutations(padded) if all(a <= b for a, b in zip(each, shape, strict=True))}
    return tuple(sorted(fitting))


def position_of(index: int, shape: tuple[int, ...]) -> tuple[int, ...]:
    """The coordinates of an index into a flattened array."""
    return tuple(int(each) for each in np.unravel_index(index, shape))


def said(box: tuple[int, ...]) -> str:
    """The box in words: `2 x 4`."""
    return " x ".join(str(side) for side in box)
