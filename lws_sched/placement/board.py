"""A fleet that groups are put on one after the other: the answers of `exact.search`, a few microseconds each.

Groups of a kind share a room, a list of levels and what is known of both, all brought up to date in place: after a
placement only the nodes that it touched are counted again, and since room only shrinks, a level that once took no
group of a kind is never tried again. What is rare (subgroups, boxes, spreading, returning, nodes to avoid, preferred
levels of an exclusive domain, groups that stand already) is left to the search, on a snapshot of the board.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from lws_sched.placement import topology
from lws_sched.placement.exact import inner_parts, lowest, placed_on, search
from lws_sched.placement.node import taken
from lws_sched.placement.packing import pack
from lws_sched.placement.request import GroupRequest, Placed, PodShape
from lws_sched.placement.room import (
    NEVER,
    Asked,
    Need,
    Room,
    asked,
    figures,
    held,
    idle_devices,
    room_for,
    whole_need,
    worker_of,
)
from lws_sched.placement.snapshot import Snapshot, namespace_of
from lws_sched.placement.table import ABSENT, Bools, Ints, Partition
from lws_sched.placement.topology import UnknownLevel


class Board:
    """Groups are placed and stay."""

    def __init__(self, snapshot: Snapshot) -> None:
        self.table = snapshot.table
        self._start = snapshot
        self._latest = snapshot
        """The newest snapshot taken; `_added` came after it."""
        self._added: list[tuple[GroupRequest, tuple[str, ...]]] = []
        self._put_on: list[Ints] = []
        """The nodes of the groups that were put here."""
        self._live = snapshot.copied()
        """Shares its amounts with nobody: they change with every group."""
        self.touched: list[int] = []
        """Nodes in the order in which they changed."""
        self._rooms: dict[tuple[PodShape, PodShape, str], _LiveRoom] = {}
        self._kinds: dict[tuple[object, ...], _Kind] = {}
        self._crowds: dict[tuple[str, ...], Ints] = {}
        self._occupied: dict[tuple[str, str], Bools] = {}
        self._shut: dict[str, Bools] = {}
        self._taken: dict[PodShape, tuple[Ints, Ints]] = {}

    def snapshot(self) -> Snapshot:
        """The fleet as it is now."""
        self._latest = self._latest.with_groups(self._added)
        self._added = []
        return self._latest

    def place(self, request: GroupRequest, within: Bools | None = None) -> Placed | None:
        """Put the group on its best place, or nowhere if there is none. `within` restricts it to some nodes."""
        kind = self._kind(request) if within is None else None
        if kind is None:
            found = search(self.snapshot(), request, within)
            if found is not None:
                self.add(request, found.slots)
            return found
        nodes = kind.place()
        if nodes is None:
            return None
        placed = placed_on(self.table, request, kind.keys, nodes)
        self._put(request, placed.slots, np.array(nodes, dtype=np.int64))
        kind.room.take(nodes, self.touched)
        return placed

    def add(self, request: GroupRequest, slots: tuple[str, ...]) -> None:
        """Put the group on these nodes, which must be free."""
        self._put(request, slots, np.array([self.table.position[node] for node in slots], dtype=np.int64))

    # --- what kinds share --------------------------------------------------------------------------------------------

    def _kind(self, request: GroupRequest) -> _Kind | None:
        """None for a request that is left to the search."""
        if request.stay or request.avoid or request.spread or request.subgroup_size or request.box:
            return None
        if (request.exclusive and request.preferred) or self._start.tenancy.stands(request.key):
            return None
        worker = worker_of(request)
        namespace = namespace_of(request)
        topologies = (request.required, request.exclusive, request.preferred)
        name = (request.leader, worker, request.size, namespace, topologies)
        kind = self._kinds.get(name)
        if kind is None:
            keys = asked(self.table, request)
            if isinstance(keys, UnknownLevel):
                return None
            kind = self._kinds[name] = _Kind(self, self._room(request, worker), keys, whole_need(request), namespace)
        return kind

    def _room(self, request: GroupRequest, worker: PodShape) -> _LiveRoom:
        namespace = namespace_of(request)
        name = (request.leader, worker, namespace)
        room = self._rooms.get(name)
        if room is None:
            shut = self._shut_to(request)
            measured = room_for(self._start, request, None)
            self._rooms[name] = room = _LiveRoom(self._live, request.leader, worker, shut, measured)
            room.refresh(np.array([*self.touched, *np.flatnonzero(shut).tolist()], dtype=np.int64))
            room.stamp = len(self.touched)
        return room

    def _shut_to(self, request: GroupRequest) -> Bools:
        """The nodes of domains that groups of the request's namespace hold. Shared, and changed in place."""
        namespace = namespace_of(request)
        if namespace not in self._shut:
            self._shut[namespace] = held(self.snapshot(), namespace)
        return self._shut[namespace]

    def occupied(self, namespace: str, key: str) -> Bools:
        """By value of a label, whether groups of the namespace stand there; one more entry for nodes without it."""
        name = (namespace, key)
        if name not in self._occupied:
            tenancy, column = self.snapshot().tenancy, self.table.column(key)
            flags = np.zeros(len(column.values) + 1, dtype=np.bool_)
            flags[column.codes[tenancy.positions[tenancy.others(namespace, "")]]] = True
            self._occupied[name] = flags
        return self._occupied[name]

    def crowd(self, part: Partition) -> Ints:
        """By domain, how many members of groups stand there; led by an entry for nodes in none."""
        if part.keys not in self._crowds:
            positions = np.concatenate([self._start.tenancy.positions, *self._put_on])
            self._crowds[part.keys] = part.crowd(positions)
        return self._crowds[part.keys]

    # --- changes -----------------------------------------------------------------------------------------------------

    def _put(self, request: GroupRequest, slots: tuple[str, ...], nodes: Ints) -> None:
        alone = request.leader == request.worker
        for shape, positions in (
            ((request.worker, nodes),) if alone else ((request.leader, nodes[:1]), (request.worker, nodes[1:]))
        ):
            rows, amounts = self._amounts(shape)
            np.subtract.at(self._live.free, (rows, positions), amounts)
        self._added.append((request, slots))
        self._put_on.append(nodes)
        self.touched += nodes.tolist()
        for keys, crowd in self._crowds.items():
            np.add.at(crowd, self.table.partition(keys).codes[nodes] - ABSENT, 1)
        namespace = namespace_of(request)
        for (owner, key), flags in self._occupied.items():
            if owner == namespace:
                flags[self.table.column(key).codes[nodes]] = True
        if request.exclusive and namespace in self._shut:
            self._shut_domain(namespace, topology.key_or_name(request.exclusive, self.table.keys), nodes)

    def _shut_domain(self, namespace: str, key: str, nodes: Ints) -> None:
        column = self.table.column(key)
        members = np.flatnonzero(column.marked(column.codes[nodes]))
        self._shut[namespace][members] = True
        self.touched += members.tolist()

    def _amounts(self, shape: PodShape) -> tuple[Ints, Ints]:
        """The rows of the resources that one pod takes, and how much of each, shape [resources, 1]."""
        if shape not in self._taken:
            rows = self._live.resources
            wanted = [(rows[name], amount) for name, amount in taken(dict(shape.requests)).items() if name in rows]
            columns = np.array(wanted, dtype=np.int64).T[:, :, None]
            self._taken[shape] = (columns[0], columns[1])
        return self._taken[shape]


@dataclass(eq=False)
class _LiveRoom:
    """The room for one pair of shapes in one namespace, changed in place."""

    live: Snapshot
    leader: PodShape
    worker: PodShape
    shut: Bools
    measured: Room
    stamp: int = 0
    tallies: dict[tuple[str, ...], _Tally] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.workers, self.loss = self.measured.workers.copy(), self.measured.loss.copy()
        self.now = Room(self.workers, self.loss)
        """The same arrays."""
        self.most = self.workers - self.loss
        """Per node, the workers that it takes beside the leader; negative without room for the leader."""

    def most_by(self, part: Partition) -> Ints:
        """`most` by domain."""
        if part.is_of_nodes:
            return self.most
        known = self.tallies.get(part.keys)
        if known is None:
            total, least = part.total(self.workers), part.least(self.loss)
            known = self.tallies[part.keys] = _Tally(part, total, total - least)
        return known.most

    def catch_up(self, touched: list[int]) -> None:
        if self.stamp < len(touched):
            self.refresh(np.array(sorted({*touched[self.stamp :]}), dtype=np.int64))
            self.stamp = len(touched)

    def refresh(self, nodes: Ints) -> None:
        workers, loss = figures(self.live, self.leader, self.worker, nodes)
        is_shut = self.shut[nodes]
        if is_shut.any():
            workers[is_shut] = 0
            loss[is_shut] = NEVER
        self._set(nodes, workers, loss)

    def take(self, slots: Sequence[int], touched: list[int]) -> None:
        """Members of this room's shapes have just been put on these nodes. Where all are alike, each node takes just as
        many fewer."""
        if self.leader != self.worker or self.stamp != len(touched) - len(slots):
            return
        counts = Counter(slots)
        nodes = np.array([*counts], dtype=np.int64)
        workers = self.workers[nodes] - np.array([*counts.values()], dtype=np.int64)
        self._set(nodes, workers, np.where(workers > 0, 1, NEVER))
        self.stamp = len(touched)

    def _set(self, nodes: Ints, workers: Ints, loss: Ints) -> None:
        gained = (workers - self.workers[nodes]).tolist()
        self.workers[nodes] = workers
        self.loss[nodes] = loss
        self.most[nodes] = workers - loss
        for tally in self.tallies.values():
            tally.renew(nodes, gained, self.loss)


@dataclass(frozen=True, eq=False)
class _Tally:
    """By domain: the workers that it takes, and `most` of a room."""

    part: Partition
    total: Ints
    most: Ints

    def renew(self, nodes: Ints, gained: Sequence[int], loss: Ints) -> None:
        for domain in self.part.renew_total(self.total, gained, nodes):
            self.most[domain] = self.total[domain] - np.minimum.reduce(loss[self.part.members(domain)])


@dataclass(eq=False)
class _Kind:
    """Groups that are alike: where the next one goes."""

    board: Board
    room: _LiveRoom
    keys: Asked
    need: Need
    namespace: str

    def __post_init__(self) -> None:
        table, base = self.board.table, self.keys.base
        wider = (*self.keys.preferred, *(() if base else table.levels))
        self._levels = [table.partition((*base, level)) for level in wider] + [table.partition(base)]
        self._inner = inner_parts(table, self._levels[-1])
        self._next = 0
        """Levels before this one take no group of the kind any more."""

    def place(self) -> tuple[int, ...] | None:
        """A node per member, by worker index; None where there is no place."""
        self.room.catch_up(self.board.touched)
        for number in range(self._next, len(self._levels)):
            part = self._levels[number]
            domain = self._best(part, self._most_by(part))
            if domain is not None:
                return self._settled(part, domain)
            self._next = number + 1
            if part is not self._levels[-1]:
                self._forget(part)
        return None

    def _settled(self, part: Partition, domain: int) -> tuple[int, ...]:
        """In this domain; where it is one that members must share, in the narrowest part of it that takes them."""
        nodes = part.members(domain)
        for inner in self._inner if part is self._levels[-1] else ():
            inside = self._best_within(inner, nodes)
            if inside is not None:
                return self._pack(inner, inner.members(inside))
        return self._pack(part, nodes)

    def _forget(self, part: Partition) -> None:
        """A sum that this kind needs no more is made again by another that does."""
        self.room.tallies.pop(part.keys, None)

    def _most_by(self, part: Partition) -> Ints:
        """`most` of the room, but nothing where another group of the namespace keeps an exclusive one away."""
        most, key = self.room.most_by(part), self.keys.exclusive
        if not key:
            return most
        codes = self.board.table.column(key).codes[part.order[part.starts]]
        return np.where(self.board.occupied(self.namespace, key)[codes], -1, most)

    def _best_within(self, part: Partition, nodes: Ints) -> int | None:
        """Of a domain's nodes, the tightest part that takes the group, if one does; with the fewest members, the
        first."""
        most = self.room.most_by(part)
        domains = nodes if part.is_of_nodes else np.unique(part.codes[nodes])
        domains = domains[domains != ABSENT]
        fitting = domains[most[domains] >= self.need.workers]
        if not len(fitting):
            return None
        fitting = lowest(fitting, most[fitting])
        return int(lowest(fitting, self.board.crowd(part)[1:][fitting])[0])

    def _best(self, part: Partition, most: Ints) -> int | None:
        """As `exact` chooses: in the tightest domain to share, the tightest; where none is shared, in the tightest
        wider ones; with the fewest members, the first."""
        table, base = self.board.table, self.keys.base
        fitting = (most >= self.need.workers).nonzero()[0]
        if len(fitting) > 1 and base and part.keys != base:
            fitting = self._in_tightest(table.partition(base), part, fitting)
        fitting = lowest(fitting, most[fitting])
        for level in () if base or len(fitting) <= 1 else table.levels_around(part):
            fitting = self._in_tightest(table.partition((level,)), part, fitting)
        if len(fitting) > 1:
            fitting = lowest(fitting, self.board.crowd(part)[1:][fitting])
        return int(fitting[0]) if len(fitting) else None

    def _in_tightest(self, outer: Partition, part: Partition, domains: Ints) -> Ints:
        """Those of the part's domains that lie in the tightest domain of the outer partition."""
        homes = part.homes(outer, domains)
        return lowest(domains, np.where(homes == ABSENT, NEVER, self.room.most_by(outer)[homes]))

    def _pack(self, part: Partition, nodes: Ints) -> tuple[int, ...]:
        table, levels = self.board.table, self.board.table.levels_within(part)
        idle = idle_devices(self.room.live, self.room.leader, self.room.worker, nodes)
        return pack(table, self.room.now, nodes, self.need, levels, idle)
