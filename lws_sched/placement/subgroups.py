"""Subgroups with a domain of their own inside the group's: the closed form of `room`, one storey higher.

Let the inner domains p be those whose keys all members of a subgroup share, W_p = sum of workers_i over the nodes of p,
s the workers of a plain subgroup, and a the workers beside the leader in subgroup 0 (LeaderWorker). Workers are alike,
so p takes floor(W_p / s) plain subgroups, and with the leader on its node i

    LeaderWorker:    floor((W_p - loss_i - a) / s), where W_p - loss_i >= a
    LeaderExcluded:  floor((W_p - loss_i) / s)

A leader that is in no subgroup may stand outside all inner domains, at no loss. So the subgroups stand to the inner
domains as workers do to nodes: a group of m plain subgroups fits exactly where the sum of what its inner domains take,
less the least loss of a leader's node, is at least m. Where inner domains are exclusive, units that take one subgroup
or none (the exclusive domains) stand in for floor(W_p / s); the one with subgroup 0 takes no other.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np

from lws_sched.placement.packing import expand, fill, pack, roomiest
from lws_sched.placement.request import NO_SUBGROUP, GroupRequest
from lws_sched.placement.room import NEVER, Asked, Need, Room, idle_devices, worker_of
from lws_sched.placement.space import Space
from lws_sched.placement.table import ABSENT, Ints, Partition


@dataclass(frozen=True)
class Layout:
    """How the members fall into subgroups."""

    size: int
    """Workers of a plain subgroup."""
    plain: int
    """Subgroups without the leader."""
    beside: int
    """Workers in the leader's subgroup."""
    leader_inside: bool


def layout_of(request: GroupRequest) -> Layout | None:
    """None where the workers cannot be divided into subgroups of `subgroup_size`."""
    counts = Counter(request.subgroup_of(index) for index in range(1, request.size))
    leaders = request.subgroup_of(0)
    beside = counts.pop(leaders, 0) if leaders != NO_SUBGROUP else 0
    if any(count != request.subgroup_size for count in counts.values()):
        return None
    return Layout(request.subgroup_size, len(counts), beside, leaders != NO_SUBGROUP)


@dataclass(frozen=True, eq=False)
class Nested(Space):
    """The room for a group's subgroups. `pack` and `slack` are those of a group without subgroups, one storey up: slack
    counts plain subgroups."""

    keys: Asked
    layout: Layout

    def _slack(self, partition: Partition) -> Ints:
        table = self.snapshot.table
        inner = table.partition((*partition.keys, *self.keys.inner))
        units = inner
        if self.keys.inner_exclusive:
            units = table.partition((*partition.keys, self.keys.inner_exclusive))
        raised = _raise(self.room, inner.codes, units.codes, self.layout, bool(self.keys.inner_exclusive))
        count = np.zeros(len(table), dtype=np.int64)
        count[units.order[units.starts]] = raised.count
        return Room(count, raised.loss).slack(partition, Need(True, self.layout.plain))

    def pack(self, nodes: Ints, levels: tuple[str, ...]) -> tuple[int, ...]:
        return _Packing(self, nodes, levels).slots()


@dataclass(frozen=True, eq=False)
class _Raised:
    count: Ints
    """Per unit, the plain subgroups that it takes."""
    loss: Ints
    """Per node, how many fewer all units take if the leader stands there; NEVER where it cannot."""


def _raise(room: Room, inner: Ints, units: Ints, layout: Layout, exclusive: bool) -> _Raised:
    """`inner` and `units` number the nodes' inner domains and units from 0, or ABSENT."""
    inside = (inner != ABSENT) & (units != ABSENT)
    total = np.bincount(inner[inside], room.workers[inside], minlength=1).astype(np.int64)
    each = total // layout.size
    able = room.loss < NEVER
    rest = np.where(inside & able, total[inner] - room.loss - layout.beside, -1)
    after = np.where(rest >= 0, rest // layout.size, 0)
    if not exclusive:
        count, loss = each, each[inner] - after
    else:
        unit_of = np.zeros(len(total), dtype=np.int64)
        unit_of[inner[inside]] = units[inside]
        takers = np.bincount(unit_of, each > 0, minlength=int(units.max(initial=0)) + 1).astype(np.int64)
        count = np.minimum(takers, 1)
        left = takers[units] - (each[inner] > 0) + (after > 0)
        loss = count[units] - (0 if layout.leader_inside else np.minimum(left, 1))
    fits = inside & (rest >= 0)
    if layout.leader_inside:
        return _Raised(count, np.where(fits, loss, NEVER))
    return _Raised(count, np.where(fits, loss, np.where(able & ~inside, 0, NEVER)))


class _Packing:
    """Puts one group onto the nodes of its domain: the leader's subgroup, then the others, near each other."""

    def __init__(self, nested: Nested, nodes: Ints, levels: tuple[str, ...]) -> None:
        table, keys = nested.snapshot.table, nested.keys
        self._table = table
        self._idle = idle_devices(nested.snapshot, nested.request.leader, worker_of(nested.request), nodes)
        self._nested, self._nodes, self._levels = nested, nodes, levels
        self._inner = _dense(table.partition(keys.inner).codes[nodes])
        self._units = self._inner
        if keys.inner_exclusive:
            self._units = _dense(table.column(keys.inner_exclusive).codes[nodes])
        self._room = Room(nested.room.workers[nodes], nested.room.loss[nodes])
        self._caps = self._room.workers.copy()
        """Workers that each node still takes."""

    def slots(self) -> tuple[int, ...]:
        layout = self._nested.layout
        leader = self._leader()
        beside: list[int] = []
        if layout.leader_inside:
            local = np.flatnonzero(self._inner == self._inner[leader])
            first, *beside = pack(
                self._table,
                self._nested.room,
                self._nodes[local],
                Need(True, layout.beside),
                self._levels,
                self._idle[local],
            )
            leader = int(np.searchsorted(self._nodes, first))
        self._caps[leader] -= self._room.loss[leader]
        np.subtract.at(self._caps, np.searchsorted(self._nodes, np.array(beside, dtype=np.int64)), 1)
        placed = (int(self._nodes[leader]), *beside)
        return (*placed, *self._plain(leader, placed[-1]))

    def _leader(self) -> int:
        """Index of the leader's node: where it costs the fewest subgroups, then in the roomiest parts."""
        layout, exclusive = self._nested.layout, bool(self._nested.keys.inner_exclusive)
        raised = _raise(self._room, self._inner, self._units, layout, exclusive)
        able = np.flatnonzero(raised.count.sum() - raised.loss >= layout.plain)
        able = able[raised.loss[able] == raised.loss[able].min()]
        return roomiest(self._table, self._room, self._nodes, able, self._levels, self._idle)

    def _plain(self, leader: int, last: int) -> list[int]:
        """The workers of the subgroups without the leader, subgroup by subgroup. Ranks go on where they stopped: `last`
        is the node of the one before."""
        layout = self._nested.layout
        parts, counts = self._parts(leader)
        heads = np.array([self._members(part)[0] for part in parts], dtype=np.int64)
        near = [head for part, head in zip(parts, heads.tolist(), strict=True) if part == self._inner[leader]]
        first = int(self._nodes[near[0]]) if near else None
        chosen = fill(self._table, self._nodes[heads], counts, layout.plain, self._levels, first, np.zeros_like(counts))
        part_of = {int(self._nodes[head]): part for part, head in zip(parts, heads.tolist(), strict=True)}
        workers: list[int] = []
        for head, count in chosen:
            members = self._members(part_of[head])
            start = last if last in self._nodes[members] else None
            workers += expand(
                fill(
                    self._table,
                    self._nodes[members],
                    self._caps[members],
                    count * layout.size,
                    self._levels,
                    start,
                    self._idle[members],
                )
            )
        return workers

    def _parts(self, leader: int) -> tuple[list[int], Ints]:
        """The inner domains to choose from, in order of their first nodes, and how many plain subgroups each takes."""
        inside = (self._inner != ABSENT) & (self._units != ABSENT)
        totals = np.bincount(self._inner[inside], self._caps[inside], minlength=1).astype(np.int64)
        counts = totals // self._nested.layout.size
        parts = list(dict.fromkeys(self._inner[inside].tolist()))
        if self._nested.keys.inner_exclusive:
            parts, counts = self._one_per_unit(parts, totals, counts, leader)
        return parts, counts[parts]

    def _one_per_unit(self, parts: list[int], totals: Ints, counts: Ints, leader: int) -> tuple[list[int], Ints]:
        """Of every unit the tightest inner domain that takes a subgroup, or its first; none beside the leader's."""
        units = {part: int(self._units[self._members(part)[0]]) for part in parts}
        best: dict[int, int] = {}
        for part in sorted(parts, key=lambda part: (counts[part] == 0, totals[part])):
            best.setdefault(units[part], part)
        counts = np.minimum(counts, 1)
        if self._nested.layout.leader_inside:
            own = int(self._units[leader])
            counts[[part for part in parts if units[part] == own]] = 0
            best[own] = int(self._inner[leader])
        return [part for part in parts if best[units[part]] == part], counts

    def _members(self, part: int) -> Ints:
        return np.flatnonzero(self._inner == part)


def _dense(codes: Ints) -> Ints:
    """The codes numbered from 0 without gaps; ABSENT stays."""
    values, numbers = np.unique(codes, return_inverse=True)
    dense: Ints = numbers.astype(np.int64) - (1 if len(values) and values[0] == ABSENT else 0)
    return dense
