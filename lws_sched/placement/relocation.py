"""What can be moved, a piece at a time, and the fleet after a move.

A piece is what must move at once: a whole group where its members must share a domain (or its subgroups must), a
single member otherwise, as a member of such a group may stand anywhere.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from lws_sched.placement.node import natural_key
from lws_sched.placement.request import GroupRequest
from lws_sched.placement.snapshot import Snapshot, namespace_of


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
    return snapshot.without_groups([(piece.request, piece.slots) for piece in pieces])


def moved(snapshot: Snapshot, piece: Piece, slots: tuple[str, ...]) -> Snapshot:
    """The fleet with a piece on other nodes, which must have room for it."""
    return lifted(snapshot, (piece,)).with_group(piece.request, slots)


def _hangs_together(request: GroupRequest) -> bool:
    return bool(request.size == 1 or request.required or request.exclusive or request.subgroup_size or request.box)


def alike(request: GroupRequest) -> GroupRequest:
    """The request without what makes it one among equals."""
    return replace(request, key=f"{namespace_of(request)}/", created="", priority=0, preferred=(), spread="", stay=())
