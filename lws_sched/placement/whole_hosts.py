"""A fleet counted in whole hosts, where that loses nothing: every member takes a host to itself, and every host that
takes one of the members takes any of them.

Then a domain's room is a number of free hosts, whatever the members ask for, and moving groups is a matter of counts
(`relocation_model`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from lws_sched.placement.counted import Counted, Counts, Kind
from lws_sched.placement.direct_moves import direct, least_leaving
from lws_sched.placement.exact import search
from lws_sched.placement.move_order import Cell, Proposal, Proposed
from lws_sched.placement.relocation import Piece, alike, lifted
from lws_sched.placement.relocation_model import CountModel
from lws_sched.placement.request import GroupRequest, PodShape
from lws_sched.placement.room import Asked, asked, closed_to, room_for
from lws_sched.placement.snapshot import Snapshot, namespace_of
from lws_sched.placement.table import ABSENT, Bools, Ints, Partition
from lws_sched.placement.topology import UnknownLevel


@dataclass(frozen=True, eq=False)
class HostCount:
    """The case in numbers, and the pieces behind them."""

    case: Counted
    domains: Partition
    pieces: dict[Cell, list[Piece]]
    """Per kind and domain."""

    def proposal(self, counts: Counts) -> Proposal:
        leaving = {cell: self.pieces[cell][:count] for cell, count in counts.leaving.items()}
        return Proposal(leaving, counts.entering, self._place, counts.pods)

    def _place(self, snapshot: Snapshot, piece: Piece, target: Cell) -> tuple[str, ...] | None:
        found = search(snapshot, piece.request, self.domains.codes == target[1])
        return None if found is None else found.slots


class WholeHosts:
    """Proposals for a fleet counted in whole hosts, the fewest pods first."""

    def __init__(self, count: HostCount) -> None:
        self._count = count
        self._least = least_leaving(count.case)
        self._direct = direct(count.case, self._least)
        self._last: Counts | None = None

    @cached_property
    def _model(self) -> CountModel:
        return CountModel(self._count.case, self._least, self._direct)

    def propose(self, deterministic_time: float) -> Proposed:
        if not self._least:
            return Proposed(None, None, 0.0)
        least = min(self._least.values())
        if self._last is None and self._direct is not None and self._direct.pods == least:
            self._last = self._direct
            return Proposed(self._count.proposal(self._direct), least, 0.0)
        answer = self._model.solve(deterministic_time)
        self._last = answer.counts
        proposal = None if answer.counts is None else self._count.proposal(answer.counts)
        return Proposed(proposal, answer.bound, answer.deterministic_time)

    def forbid(self) -> None:
        """Never propose the last again."""
        assert self._last is not None
        self._model.forbid(self._last)


def count_hosts(snapshot: Snapshot, request: GroupRequest, pieces: Sequence[Piece]) -> HostCount | None:
    """None where counts would not tell all: members share hosts, hosts differ in whom they take, or a piece keeps to
    other domains than the request."""
    keys = asked(snapshot.table, request)
    if isinstance(keys, UnknownLevel) or keys.inner or not keys.base:
        return None
    if not all(_keeps_to(snapshot, keys, piece.request) for piece in pieces):
        return None
    domains, cleared = snapshot.table.partition(keys.base), lifted(snapshot, pieces)
    hosts = _hosts(snapshot, cleared, request, pieces)
    if hosts is None or (hosts & (domains.codes == ABSENT)).any():
        return None
    kinds: dict[tuple[GroupRequest, int], int] = {}
    cells: dict[Cell, list[Piece]] = {}
    for piece in pieces:
        positions = np.array([snapshot.table.position.get(node, ABSENT) for node in piece.slots], dtype=np.int64)
        standing = {int(code) for code in domains.codes[positions[positions != ABSENT]]}
        if len(standing) != 1 or ABSENT in standing:
            return None
        frees = int(hosts[positions[positions != ABSENT]].sum())
        number = kinds.setdefault((alike(piece.request), frees), len(kinds))
        cells.setdefault((number, standing.pop()), []).append(piece)
    room = _room(snapshot, request.leader)
    targets = _open_to(cleared, domains, hosts, request)
    enters = [_open_to(cleared, domains, hosts, kind) for kind, _ in kinds]
    if targets is None or None in enters:
        return None
    counted = tuple(
        Kind(
            size=kind.size,
            frees=frees,
            standing={domain: len(each) for (k, domain), each in sorted(cells.items()) if k == number},
            enters=enters[number] or frozenset(),
            namespace=namespace_of(kind),
            exclusive=bool(kind.exclusive),
        )
        for (kind, frees), number in kinds.items()
    )
    free = tuple(domains.total(room).tolist())
    case = Counted(request.size, free, targets, counted, namespace_of(request), bool(request.exclusive))
    return HostCount(case, domains, cells)


def _keeps_to(snapshot: Snapshot, keys: Asked, request: GroupRequest) -> bool:
    """Whether pieces of the request fill the same domains, or are single and free to go anywhere."""
    own = asked(snapshot.table, request)
    if isinstance(own, UnknownLevel) or own.inner or request.avoid:
        return False
    return {*own.base} == {*keys.base} or (request.size == 1 and not own.base)


def _hosts(snapshot: Snapshot, cleared: Snapshot, request: GroupRequest, pieces: Sequence[Piece]) -> Bools | None:
    """The hosts that take one member, whichever, once all pieces are gone; None where that differs from member to
    member, or where a piece's member leaves room beside it."""
    shapes = {shape for each in (request, *(piece.request for piece in pieces)) for shape in (each.leader, each.worker)}
    positions = snapshot.table.position
    held = [positions[node] for piece in pieces for node in piece.slots if node in positions]
    members = np.bincount(np.array(held, dtype=np.int64), minlength=len(snapshot.table))
    hosts = _room(cleared, request.leader)
    now = np.where(members > 0, 0, hosts)
    if ((members > 1) & (hosts > 0)).any():
        return None
    uniform = all((_room(cleared, shape) == hosts).all() and (_room(snapshot, shape) == now).all() for shape in shapes)
    return hosts > 0 if uniform and hosts.max(initial=0) <= 1 else None


def _room(snapshot: Snapshot, shape: PodShape) -> Ints:
    """Per node, how many pods of the shape it takes."""
    return room_for(snapshot, GroupRequest(key="/", size=1, leader=shape, worker=shape), None).workers


def _open_to(cleared: Snapshot, domains: Partition, hosts: Bools, request: GroupRequest) -> frozenset[int] | None:
    """The domains whose hosts nothing closes to the group; None where some are closed in part."""
    keys = asked(cleared.table, request)
    assert isinstance(keys, Asked)
    closed = closed_to(cleared, request, keys)
    if closed is None:
        return frozenset(range(domains.count))
    shut = domains.total((hosts & (closed.to_leader | closed.to_workers)).astype(np.int64))
    total = domains.total(hosts.astype(np.int64))
    if ((shut > 0) & (shut < total)).any():
        return None
    return frozenset(np.flatnonzero(shut == 0).tolist())
