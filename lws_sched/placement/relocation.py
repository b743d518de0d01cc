"""What can be moved, a piece at a time, and the fleet after a move.

A piece is what must move at once: a whole group where its members must share a domain (or its subgroups must), a
single member otherwise, as a member of such a group may stand anywhere.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np

from lws_sched.placement.node import natural_key, taken
from lws_sched.placement.request import GroupRequest, PodShape
from lws_sched.placement.snapshot import Snapshot, Tenancy, namespace_of
from lws_sched.placement.table import ABSENT, Bools


@dataclass(frozen=True)
class Movable:
    """A group, or a pod as a group of one, that may be moved: what it asks for, and where its members are by worker
    index."""

    request: GroupRequest
    slots: tuple[str, ...]


@dataclass(frozen=True)
class Piece:
    """What moves at once: a request of its own for these members of a group."""

    request: GroupRequest
    members: tuple[int, ...]
    """Worker indices."""
    slots: tuple[str, ...]
    """Their nodes now."""

    @property
    def pods(self) -> int:
        return len(self.members)


@dataclass(frozen=True)
class Move:
    """Members of one group that change nodes together."""

    key: str
    members: tuple[int, ...]
    """Worker indices."""
    before: tuple[str, ...]
    after: tuple[str, ...]


def pieces_of(movables: Iterable[Movable]) -> tuple[Piece, ...]:
    """All pieces, in one order whatever order the groups came in."""
    found: list[Piece] = []
    for movable in sorted(movables, key=lambda each: natural_key(each.request.key)):
        request = replace(movable.request, stay=())
        if _hangs_together(request):
            found.append(Piece(request, tuple(range(request.size)), movable.slots))
            continue
        for index, node in enumerate(movable.slots):
            shape = request.worker if index else request.leader
            found.append(Piece(replace(request, size=1, leader=shape, worker=shape), (index,), (node,)))
    return tuple(found)


def lifted(snapshot: Snapshot, pieces: Iterable[Piece]) -> Snapshot:
    """The fleet without these pieces. Members on nodes that it does not know give nothing back."""
    free, tenancy, table = snapshot.free.copy(), snapshot.tenancy, snapshot.table
    members: Counter[tuple[PodShape, int]] = Counter()
    entries: list[tuple[int, int]] = []
    for piece in pieces:
        group = tenancy.group_numbers.get(piece.request.key, ABSENT)
        for index, node in enumerate(piece.slots):
            position = table.position.get(node)
            if position is not None:
                members[piece.request.worker if index else piece.request.leader, position] += 1
                entries.append((group, position))
    for (shape, position), count in members.items():
        for resource, amount in taken(dict(shape.requests)).items():
            if resource in snapshot.resources:
                free[snapshot.resources[resource], position] += amount * count
    return replace(snapshot, free=free, tenancy=tenancy.without(_marked(tenancy, entries)))


def _marked(tenancy: Tenancy, wanted: Iterable[tuple[int, int]]) -> Bools:
    """As many entries of a (group, position) as are wanted."""
    counts = Counter(wanted)
    mask = np.zeros(len(tenancy.positions), dtype=np.bool_)
    near = np.isin(tenancy.positions, np.array([position for _, position in counts], dtype=np.int64))
    for entry in np.flatnonzero(near).tolist():
        key = (int(tenancy.groups[entry]), int(tenancy.positions[entry]))
        if counts[key] > 0:
            counts[key] -= 1
            mask[entry] = True
    return mask


def moved(snapshot: Snapshot, piece: Piece, slots: tuple[str, ...]) -> Snapshot:
    """The fleet with a piece on other nodes, which must have room for it."""
    return lifted(snapshot, (piece,)).with_group(piece.request, slots)


def _hangs_together(request: GroupRequest) -> bool:
    return bool(request.size == 1 or request.required or request.exclusive or request.subgroup_size or request.box)


def alike(request: GroupRequest) -> GroupRequest:
    """The request without what makes it one among equals."""
    return replace(request, key=f"{namespace_of(request)}/", created="", priority=0, preferred=(), spread="", stay=())
