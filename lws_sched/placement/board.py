"""A fleet that groups are put on one after the other: the answers of `exact.search`, a few microseconds each.

Groups of a kind share a room, a list of levels and what is known of both, all brought up to date in place: after a
placement only the nodes that it touched are counted again, and since room only shrinks, a level that once took no
group of a kind is never tried again. What is rare (subgroups, boxes, spreading, returning, nodes to avoid, preferred
levels of an exclusive domain, groups that stand already) is left to the search, on a snapshot of the board.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np

from lws_sched.placement import topology
from lws_sched.placement.exact import fewest, inner_parts, lowest, placed_on, search
from lws_sched.placement.node import taken
from lws_sched.placement.packing import pack
from lws_sched.placement.request import GroupRequest, Placed, PodShape
from lws_sched.placement.room import (
    NEVER,
    Asked,
    Need,
    Room,
    asked,
    held,
    idle_devices,
    lone_loss,
    room_for,
    shrunk,
    unwanted_devices,
    whole_need,
    worker_of,
)
from lws_sched.placement.snapshot import Kinds, Snapshot, namespace_of
from lws_sched.placement.table import ABSENT, Bools, Ints, Partition
from lws_sched.placement.topology import UnknownLevel


class Board:
    """Groups are placed and stay."""

    def __init__(self, snapshot: Snapshot, kinds: Kinds | None = None) -> None:
        """`kinds` numbers the groups to come, none of which stands anywhere that it did not when they were numbered."""
        self.table = snapshot.table
        self.kinds = Kinds(snapshot) if kinds is None else kinds
        self._start = snapshot
        self._latest = snapshot
        """The newest snapshot taken; `_added` came after it, on the nodes from `_shown` on."""
        self._added: list[GroupRequest] = []
        self._put_on: list[int] = []
        """The nodes of the groups that were put here, group after group."""
        self._shown = 0
        self._live = snapshot.copied()
        """Shares its amounts with nobody: they change with every group, but for what the rooms owe."""
        self.touched: list[int] = []
        """Nodes in the order in which they changed."""
        self._rooms: dict[tuple[PodShape, PodShape, str], _LiveRoom] = {}
        self._by_number: dict[int, _Kind | None] = {}
        """By the number of a kind; None where it is left to the search."""
        self._crowds: dict[tuple[str, ...], _Crowd] = {}
        self._occupied: dict[tuple[str, str], Bools] = {}
        self._shut: dict[str, Bools] = {}
        self._taken: dict[PodShape, tuple[Ints, Ints]] = {}

    def snapshot(self) -> Snapshot:
        """The fleet as it is now."""
        if self._added:
            positions = np.array(self._put_on[self._shown :], dtype=np.int64)
            self._latest = self._latest.after(self._added, positions, self.live().free.copy())
            self._added, self._shown = [], len(self._put_on)
        return self._latest

    def live(self) -> Snapshot:
        """The fleet as it is now, but for who stands where; its amounts change with every group."""
        for room in self._rooms.values():
            room.pay(self._live.free)
        return self._live

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
        self._put(request, nodes)
        kind.room.take(nodes, self.touched)
        return placed_on(self.table, request, kind.keys, nodes)

    def add(self, request: GroupRequest, slots: tuple[str, ...]) -> None:
        """Put the group on these nodes, which must be free."""
        nodes = [self.table.position[node] for node in slots]
        take(self._live.free, self._amounts(request.leader), nodes[:1])
        take(self._live.free, self._amounts(request.worker), nodes[1:])
        self._put(request, nodes)

    # --- what kinds share --------------------------------------------------------------------------------------------

    def _kind(self, request: GroupRequest) -> _Kind | None:
        """None for a request that is left to the search."""
        if request.spread:
            return None
        number = self.kinds.number(request)
        if number not in self._by_number:
            self._by_number[number] = self._make_kind(request)
        return self._by_number[number]

    def _make_kind(self, request: GroupRequest) -> _Kind | None:
        if request.stay or request.avoid or request.subgroup_size or request.box:
            return None
        if (request.exclusive and request.preferred) or self._start.tenancy.stands(request.key):
            return None
        keys = asked(self.table, request)
        if isinstance(keys, UnknownLevel):
            return None
        room = self._room(request, worker_of(request))
        return _Kind(self, room, keys, whole_need(request), namespace_of(request))

    def _room(self, request: GroupRequest, worker: PodShape) -> _LiveRoom:
        namespace = namespace_of(request)
        name = (request.leader, worker, namespace)
        room = self._rooms.get(name)
        if room is None:
            shut = self._shut_to(request)
            measured = room_for(self._start, request, None)
            amounts = (self._amounts(request.leader), self._amounts(worker))
            self._rooms[name] = room = _LiveRoom(request.leader, worker, amounts, shut, measured)
            nodes = np.array([*self.touched, *np.flatnonzero(shut).tolist()], dtype=np.int64)
            room.refresh(self.live(), nodes)
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
        """By domain, how many members of groups stand there."""
        crowd = self._crowds.get(part.keys)
        if crowd is None:
            crowd = self._crowds[part.keys] = _Crowd(part.crowd(self._start.tenancy.positions))
        if crowd.stamp < len(self._put_on):
            nodes = np.array(self._put_on[crowd.stamp :], dtype=np.int64)
            np.add.at(crowd.counts, part.codes[nodes] - ABSENT, 1)
            crowd.stamp = len(self._put_on)
        return crowd.counts[1:]

    # --- changes -----------------------------------------------------------------------------------------------------

    def _put(self, request: GroupRequest, nodes: Sequence[int]) -> None:
        """Note that the group stands on these nodes; what it takes there is somebody else's to say."""
        self._added.append(request)
        self._put_on += nodes
        self.touched += nodes
        if not self._occupied and not request.exclusive:
            return
        namespace, positions = namespace_of(request), np.array(nodes, dtype=np.int64)
        for (owner, key), flags in self._occupied.items():
            if owner == namespace:
                flags[self.table.column(key).codes[positions]] = True
        if request.exclusive and namespace in self._shut:
            self._shut_domain(namespace, topology.key_or_name(request.exclusive, self.table.keys), positions)

    def _shut_domain(self, namespace: str, key: str, nodes: Ints) -> None:
        column = self.table.column(key)
        members = np.flatnonzero(column.marked(column.codes[nodes]))
        self._shut[namespace][members] = True
        self.touched += members.tolist()

    def _amounts(self, shape: PodShape) -> Taking:
        if shape not in self._taken:
            rows = self._live.resources
            wanted = [(rows[name], amount) for name, amount in taken(dict(shape.requests)).items() if name in rows]
            columns = np.array(wanted, dtype=np.int64).T[:, :, None]
            self._taken[shape] = (columns[0], columns[1])
        return self._taken[shape]


Taking = tuple[Ints, Ints]
"""The rows of the resources that one pod takes, and how much of each, shape [resources, 1]."""


def take(free: Ints, taking: Taking, nodes: Sequence[int]) -> None:
    """One pod more on each of the nodes, which may repeat."""
    if nodes:
        rows, amounts = taking
        np.subtract.at(free, (rows, np.array(nodes, dtype=np.int64)), amounts)


@dataclass
class _Crowd:
    counts: Ints
    """As `Partition.crowd` has them."""
    stamp: int = 0
    """Members that are counted, of those put on the board."""


@dataclass(eq=False)
class _LiveRoom:
    """The room for one pair of shapes in one namespace, changed in place."""

    leader: PodShape
    worker: PodShape
    takings: tuple[Taking, Taking]
    """The leader's and a worker's."""
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
        self.alike = self.leader == self.worker
        self._owed: tuple[list[int], list[int]] = ([], [])
        """Where leaders and workers stand whose amounts are still to be taken off."""

    def most_by(self, part: Partition) -> Ints:
        """`most` by domain."""
        if part.is_of_nodes:
            return self.most
        known = self.tallies.get(part.keys)
        if known is None:
            total, least = part.total(self.workers), part.least(self.loss)
            known = self.tallies[part.keys] = _Tally(part, total, total - least)
        return known.most

    def refresh(self, live: Snapshot, nodes: Ints) -> None:
        """Count again on nodes that may have less room than they had."""
        workers, loss = shrunk(live, self.now, self.leader, self.worker, nodes)
        is_shut = self.shut[nodes]
        if is_shut.any():
            workers[is_shut] = 0
            loss[is_shut] = NEVER
        self._set(nodes, workers, loss)

    def take(self, slots: Sequence[int], touched: list[int]) -> None:
        """Members of this room's shapes have just been put on these nodes. Where all are alike, each node takes just as
        many fewer."""
        leaders, workers = self._owed
        leaders += slots[:1]
        workers += slots[1:]
        if not self.alike or self.stamp != len(touched) - len(slots):
            return
        counts: dict[int, int] = {}
        for node in slots:
            counts[node] = counts.get(node, 0) + 1
        nodes = np.array([*counts], dtype=np.int64)
        left = self.workers[nodes] - np.array([*counts.values()], dtype=np.int64)
        self._set(nodes, left, lone_loss(left))
        self.stamp = len(touched)

    def pay(self, free: Ints) -> None:
        """Take off what is owed."""
        for taking, nodes in zip(self.takings, self._owed, strict=True):
            take(free, taking, nodes)
            nodes.clear()

    def _set(self, nodes: Ints, workers: Ints, loss: Ints) -> None:
        gained = (workers - self.workers[nodes]).tolist()
        self.workers[nodes] = workers
        self.loss[nodes] = loss
        self.most[nodes] = workers - loss
        for tally in self.tallies.values():
            domains = tally.part.renew_total(tally.total, gained, nodes)
            tally.renew(domains, None if self.alike else self.loss)


@dataclass(frozen=True, eq=False)
class _Tally:
    """By domain: the workers that it takes, and `most` of a room."""

    part: Partition
    total: Ints
    most: Ints

    def renew(self, domains: Iterable[int], loss: Ints | None) -> None:
        """After the totals of these domains changed. `loss` by node; None where it is 1 on every node with room."""
        for domain in domains:
            total = self.total[domain]
            lone = 1 if total else NEVER
            self.most[domain] = total - (lone if loss is None else np.minimum.reduce(loss[self.part.members(domain)]))


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
        self._catch_up()
        self._inner = [
            part
            for part in inner_parts(table, self._levels[-1])
            if self.room.most_by(part).max(initial=-1) >= self.need.workers
        ]
        """Those that take no group now never will."""
        self._may_idle = bool(unwanted_devices(self.board.live(), self.room.leader, self.room.worker))
        self._next = 0
        """Levels before this one take no group of the kind any more."""

    def place(self) -> tuple[int, ...] | None:
        """A node per member, by worker index; None where there is no place."""
        self._catch_up()
        for number in range(self._next, len(self._levels)):
            part = self._levels[number]
            domain = self._best(part, self._most_by(part))
            if domain is not None:
                return self._settled(part, domain)
            self._next = number + 1
            if part is not self._levels[-1]:
                self._forget(part)
        return None

    def _catch_up(self) -> None:
        touched, room = self.board.touched, self.room
        if room.stamp < len(touched):
            room.refresh(self.board.live(), np.array(sorted({*touched[room.stamp :]}), dtype=np.int64))
            room.stamp = len(touched)

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
        return self._least_visited(part, fitting)

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
        return self._least_visited(part, fitting) if len(fitting) else None

    def _least_visited(self, part: Partition, domains: Ints) -> int:
        """The one with the fewest members; of equal ones the first."""
        if len(domains) > 1:
            return fewest(domains, self.board.crowd(part))
        return int(domains[0])

    def _in_tightest(self, outer: Partition, part: Partition, domains: Ints) -> Ints:
        """Those of the part's domains that lie in the tightest domain of the outer partition."""
        homes = part.homes(outer, domains)
        return lowest(domains, np.where(homes == ABSENT, NEVER, self.room.most_by(outer)[homes]))

    def _pack(self, part: Partition, nodes: Ints) -> tuple[int, ...]:
        table, levels = self.board.table, self.board.table.levels_within(part)
        room = self.room
        idle = idle_devices(self.board.live(), room.leader, room.worker, nodes) if self._may_idle else None
        return pack(table, room.now, nodes, self.need, levels, idle)
