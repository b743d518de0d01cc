"""A torus of hosts as arrays: which of them take a member, and where a box of them fits.

Whether a box fits at an anchor is a sum over a window, and the sums of all windows of a rotation come from one
cumulative sum per axis (`windows`): every anchor is looked at, so the answers are exact.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import permutations, product
from math import prod

import numpy as np

from lws_sched.placement.request import GroupRequest, Placed
from lws_sched.placement.room import NEVER, Asked, asked, closed_to, room_for
from lws_sched.placement.snapshot import Snapshot
from lws_sched.placement.table import ABSENT, Bools, Ints
from lws_sched.placement.verify import verify
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


class Grid:
    """Which hosts of the torus take a leader and which a worker, as arrays of the torus's shape."""

    def __init__(self, snapshot: Snapshot, torus: Torus, wanted: BoxRequest) -> None:
        request, table = wanted.request, snapshot.table
        _check(torus, wanted)
        self._torus = torus
        self._request = request
        self.rotations = _rotations(torus, wanted.box)
        self.nodes: Ints = np.full(torus.shape, ABSENT, dtype=np.int64)
        for node, place in torus.coordinates.items():
            self.nodes[place] = table.position.get(node, ABSENT)
        keys = asked(table, request)
        nobody = np.zeros(torus.shape, dtype=np.bool_)
        self.leader, self.worker, self._domains = nobody, nobody, np.full(torus.shape, ABSENT, dtype=np.int64)
        if isinstance(keys, Asked) and len(table):
            room = room_for(snapshot, request, closed_to(snapshot, request, keys))
            there = self.nodes != ABSENT
            self._domains = np.where(there, table.partition(keys.base).codes[self.nodes], ABSENT)
            self.leader = there & (self._domains != ABSENT) & (room.loss[self.nodes] < NEVER)
            self.worker = there & (self._domains != ABSENT) & (room.workers[self.nodes] > 0)

    def fitting(self, box: Box) -> Bools:
        """Per anchor, whether the box fits: every host takes a worker, but one that takes the leader."""
        found: Bools | None = None
        for domain in np.unique(self._domains[self._domains != ABSENT]).tolist():
            inside = self._domains == domain
            lacks = ~(self.worker & inside)
            lacking = self._sums(lacks, box)
            leaders = self._sums(self.leader & inside, box)
            led = self._sums(lacks & self.leader & inside, box)
            fits = ((lacking == 0) & (leaders > 0)) | ((lacking == 1) & (led == 1))
            found = fits if found is None else found | fits
        return np.zeros_like(self._sums(self.worker, box), dtype=np.bool_) if found is None else found

    def best(self) -> Spot | None:
        """The spot with the most contact; the first of them."""
        blocked = (~(self.leader | self.worker)).astype(np.int64)
        best: tuple[int, Spot] | None = None
        for box in self.rotations:
            touching = np.where(self.fitting(box), contact(blocked, box, self._torus.wraps), -1)
            top = int(touching.max(initial=-1))
            if top >= 0 and (best is None or top > best[0]):
                best = (top, Spot(box, position_of(int(np.argmax(touching)), touching.shape)))
        return None if best is None else best[1]

    def spots(self) -> Iterator[Spot]:
        """All spots where the box fits."""
        for box in self.rotations:
            for anchor in np.argwhere(self.fitting(box)).tolist():
                yield Spot(box, tuple(anchor))

    def cells(self, spot: Spot) -> list[tuple[int, ...]]:
        """The coordinates of the box's hosts, in order."""
        sides = zip(spot.anchor, spot.box, self._torus.shape, strict=True)
        axes = [[(anchor + step) % size for step in range(length)] for anchor, length, size in sides]
        return [tuple(each) for each in product(*axes)]

    def placed(self, snapshot: Snapshot, spot: Spot) -> Placed:
        """The placement at a spot that fits, checked."""
        cells = self.cells(spot)
        able = [each for each in cells if self.leader[each]]
        leader = next((each for each in able if not self.worker[each]), able[0])
        order = [leader, *(each for each in cells if each != leader)]
        slots = tuple(snapshot.table.names[int(self.nodes[each])] for each in order)
        size = self._request.size
        found = Placed(self._request.key, slots, "", self._torus.name, "exact", value=size, bound=size)
        verify(snapshot, self._request, found)
        return found

    def _sums(self, cells: Bools, box: Box) -> Ints:
        return window_sums(cells.astype(np.int64), box, self._torus.wraps)


def _check(torus: Torus, wanted: BoxRequest) -> None:
    request = wanted.request
    if prod(wanted.box) != request.size or len(wanted.box) > len(torus.shape):
        raise ValueError(
            f"{request.key} has {request.size} members, which is no box of {said(wanted.box)} hosts in {torus.name}"
        )
    if request.subgroup_required or request.subgroup_exclusive:
        raise ValueError(f"{request.key} asks for a box and for domains of its subgroups: ask for one of them")


def _rotations(torus: Torus, box: tuple[int, ...]) -> tuple[Box, ...]:
    padded = (*box, *(1,) * (len(torus.shape) - len(box)))
    fitting = {each for each in permutations(padded) if all(a <= b for a, b in zip(each, torus.shape, strict=True))}
    return tuple(sorted(fitting))


def position_of(index: int, shape: tuple[int, ...]) -> tuple[int, ...]:
    """The coordinates of an index into a flattened array."""
    return tuple(int(each) for each in np.unravel_index(index, shape))


def said(box: tuple[int, ...]) -> str:
    """The box in words: `2 x 4`."""
    return " x ".join(str(side) for side in box)
