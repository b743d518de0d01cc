"""How many members each node, and each domain, has room for: the exact closed form.

For leader request L, worker request W and free amounts f of node i, over the resources that each asks for:

    workers_i = min_r floor(f_ir / W_r)               beside_i = min_r floor((f_ir - L_r) / W_r)  where L fits on i

A set D of nodes takes a leader and k workers exactly if

    sum_{i in D} workers_i  -  min_{i in D, L fits} (workers_i - beside_i)  >=  k

because workers are alike, so only their number per node matters, and the leader changes one node only. The difference
of the two sides is the slack of D. Nodes that may not be used have room for nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np

from lws_sched.placement import topology
from lws_sched.placement.eligibility import eligible
from lws_sched.placement.node import taken
from lws_sched.placement.request import LEADER_EXCLUDED, NO_SUBGROUP, GroupRequest, PodShape
from lws_sched.placement.snapshot import Snapshot, namespace_of
from lws_sched.placement.table import ABSENT, Bools, Ints, NodeTable, Partition, remember
from lws_sched.placement.topology import UnknownLevel

NEVER = 1 << 60
"""The loss of a node that the leader does not fit on: more than any fleet has room for."""
MOST_PATCHED = 256
"""With more nodes changed, a room is measured afresh."""


@dataclass(frozen=True)
class Need:
    """Members still to be placed."""

    leader: bool
    workers: int


@dataclass(frozen=True, eq=False)
class Room:
    """Per node: how many workers fit, and how many fewer if the leader stands there (NEVER where it does not fit).

    Sums over domains are remembered, as rooms are shared by the snapshots of a lineage.
    """

    workers: Ints
    loss: Ints
    alike: bool = False
    """Leader and workers are: where a worker fits, the loss is 1, and elsewhere NEVER."""
    tallies: dict[tuple[str, ...], tuple[Ints, Ints]] = field(default_factory=dict)
    """Per partition's keys: per domain, the sum of `workers` and the least `loss`."""
    most: dict[tuple[str, ...], int] = field(default_factory=dict)
    """Per partition's keys: what is known of how many workers a domain takes at most, beside the leader."""
    closed: Closed | None = None
    """What was taken away from `open_room`, if anything."""
    open_room: Room | None = None

    @property
    def is_lone(self) -> bool:
        """Whether a leader may stand just where workers may, and takes the room of one: not where some nodes are closed
        to workers only."""
        return self.alike or np.array_equal(self.loss, lone_loss(self.workers))

    def without(self, closed: Closed) -> Room:
        """The room left where some nodes are closed, to all members or to those of subgroups."""
        workers = np.where(closed.to_workers, 0, self.workers)
        loss = np.where(closed.to_workers & (self.loss < NEVER), 0, self.loss)
        loss[closed.to_leader] = NEVER
        return Room(workers, loss, closed=closed, open_room=self)

    def within(self, mask: Bools) -> Room:
        return Room(np.where(mask, self.workers, 0), np.where(mask, self.loss, NEVER))

    def slack(self, partition: Partition, need: Need) -> Ints:
        """Per domain, how many more workers it could take than needed; negative where the need does not fit."""
        closed, room = self.closed, self.open_room
        if closed and room and closed.keys is not None and closed.keys <= {*partition.keys}:
            is_closed = closed.to_leader[partition.order[partition.starts]]
            return np.where(is_closed, -NEVER, room.slack(partition, need))
        total, least = self._tally(partition)
        total = total - need.workers
        return total - least if need.leader else total

    def patched(self, table: NodeTable, nodes: Ints, workers: Ints, loss: Ints) -> Room:
        """With other figures for some nodes."""
        room = Room(self.workers.copy(), self.loss.copy(), self.alike)
        gained = (workers - self.workers[nodes]).tolist()
        room.workers[nodes] = workers
        room.loss[nodes] = loss
        for keys, (total, least) in list(self.tallies.items()):
            part, total = table.partition(keys), total.copy()
            domains = part.renew_total(total, gained, nodes)
            if self.alike:
                least = lone_loss(total)
            else:
                least = least.copy()
                part.renew_least(least, room.loss, domains)
            room.tallies[keys] = (total, least)
        for keys, most in list(self.most.items()):
            part = table.partition(keys)
            takes = workers - loss if part.is_of_nodes else room._takes(part, nodes)
            room.most[keys] = max([most, *takes.tolist()])
        return room

    def takes_at_most(self, partition: Partition) -> int:
        """No domain takes a leader and more workers than this."""
        return (self.open_room or self).most.get(partition.keys, NEVER)

    def _takes(self, partition: Partition, nodes: Ints) -> Ints:
        """How many workers the domains of these nodes take beside the leader."""
        total, least = self._tally(partition)
        codes = partition.codes[nodes]
        codes = codes[codes >= 0]  # nodes without the label are in no domain
        return total[codes] - least[codes]

    def _tally(self, partition: Partition) -> tuple[Ints, Ints]:
        if partition.is_of_nodes:
            return self.workers, self.loss
        tally = self.tallies.get(partition.keys)
        if tally is None:
            total = partition.total(self.workers)
            least = lone_loss(total) if self.alike else partition.least(self.loss)
            tally = self.tallies[partition.keys] = (total, least)
        return tally


@dataclass(frozen=True, eq=False)
class Closed:
    """Nodes that are not for the group, shape [nodes] each. What is closed to the leader is closed to the workers."""

    to_leader: Bools
    to_workers: Bools
    keys: frozenset[str] | None
    """The masks are one, and alike for all nodes of a domain of these keys; None where that is not so."""


@dataclass(frozen=True)
class Asked:
    """The topology of a request as label keys that nodes carry."""

    base: tuple[str, ...]
    """All members share one value of each: the required key, then the exclusive one."""
    exclusive: str
    preferred: tuple[str, ...]
    """Narrowest first; levels that this fleet does not have are left out, and those that must be shared anyway."""
    inner: tuple[str, ...] = ()
    """All members of a subgroup share one value of each."""
    inner_exclusive: str = ""
    spread: str = ""
    """"" also where this fleet does not have the level."""


def asked(table: NodeTable, request: GroupRequest) -> Asked | UnknownLevel:
    subgroups = (request.subgroup_required, request.subgroup_exclusive) if request.has_subgroups else None
    names = (request.required, request.exclusive, request.preferred, request.spread, subgroups)
    found: Asked | UnknownLevel | None = table.topologies.get(names)
    return found if found is not None else remember(table.topologies, names, _as_labels(table, request))


def _as_labels(table: NodeTable, request: GroupRequest) -> Asked | UnknownLevel:
    base = _resolved(table, (request.required, request.exclusive))
    inner = _resolved(table, (request.subgroup_required, request.subgroup_exclusive)) if request.has_subgroups else ()
    if isinstance(base, UnknownLevel):
        return base
    if isinstance(inner, UnknownLevel):
        return inner
    preferred = {topology.key_or_name(name, table.keys): None for name in request.preferred}
    narrowest_first = table.narrowest_first(key for key in preferred if key in table.keys and key not in base)
    spread = topology.key_or_name(request.spread, table.keys)
    return Asked(
        base=base,
        exclusive=topology.key_or_name(request.exclusive, table.keys),
        preferred=narrowest_first,
        inner=inner,
        inner_exclusive=topology.key_or_name(request.subgroup_exclusive, table.keys) if inner else "",
        spread=spread if spread in table.keys else "",
    )


def _resolved(table: NodeTable, names: tuple[str, ...]) -> tuple[str, ...] | UnknownLevel:
    keys: dict[str, None] = {}
    for name in names:
        if not name:
            continue
        found = topology.resolve(name, table.keys)
        if isinstance(found, UnknownLevel):
            return found
        keys[found] = None
    return tuple(keys)


def whole_need(request: GroupRequest) -> Need:
    return Need(leader=True, workers=request.size - 1)


def worker_of(request: GroupRequest) -> PodShape:
    """What its room is measured by: a group of one has no worker, and measures by its leader."""
    return request.worker if request.size > 1 else request.leader


def room_for(snapshot: Snapshot, request: GroupRequest, closed: Closed | None) -> Room:
    """The room for members of the request on nodes that take new pods and are not closed to it."""
    room = measured(snapshot, request.leader, worker_of(request))
    return room if closed is None else room.without(closed)


def measured(snapshot: Snapshot, leader: PodShape, worker: PodShape) -> Room:
    """The room whoever asks; brought up to date where it was measured for an earlier snapshot of the lineage."""
    lineage, key = snapshot.lineage, (leader, worker)
    room: Room | None
    room, changed = lineage.recall(key, snapshot.stamp)
    if room is not None and not len(changed):
        return room
    if room is not None and len(changed) <= MOST_PATCHED:
        room = room.patched(snapshot.table, changed, *figures(snapshot, leader, worker, changed))
    else:
        room = Room(*figures(snapshot, leader, worker, None), leader == worker)
    lineage.keep(key, snapshot.stamp, room)
    return room


def lone_loss(workers: Ints) -> Ints:
    """The loss where leader and workers are alike, by node or by domain."""
    return _LONE_LOSS.take(workers > 0)


_LONE_LOSS: Ints = np.array([NEVER, 1], dtype=np.int64)
"""Where no worker fits, and where one does."""


def figures(snapshot: Snapshot, leader: PodShape, worker: PodShape, nodes: Ints | None) -> tuple[Ints, Ints]:
    """Workers and loss, as in `Room`, on the given nodes or on all."""
    workers = _count(snapshot, worker, {}, nodes) * _usable(snapshot, worker, nodes)
    if leader is worker or leader == worker:
        return workers, lone_loss(workers)
    return workers, _loss(snapshot, leader, worker, workers, _usable(snapshot, leader, nodes), nodes)


def shrunk(snapshot: Snapshot, before: Room, leader: PodShape, worker: PodShape, nodes: Ints) -> tuple[Ints, Ints]:
    """`figures` on nodes of which nothing became free since they had this room, nor open to more pods."""
    workers = np.minimum(before.workers[nodes], _count_on(snapshot, worker, {}, nodes))
    if leader == worker:
        return workers, lone_loss(workers)
    return workers, _loss(snapshot, leader, worker, workers, before.loss[nodes] < NEVER, nodes)


def _loss(
    snapshot: Snapshot, leader: PodShape, worker: PodShape, workers: Ints, is_open: Bools, nodes: Ints | None
) -> Ints:
    """How many workers fewer a node takes beside the leader; NEVER where it does not fit, or may not stand."""
    fits = is_open & (_count(snapshot, leader, {}, nodes) > 0)
    beside = _count(snapshot, worker, taken(dict(leader.requests)), nodes)
    return np.where(fits, np.maximum(workers - beside, 0), NEVER)


def idle_devices(snapshot: Snapshot, leader: PodShape, worker: PodShape, nodes: Ints) -> Ints:
    """Per given node, how much of it would lie idle beside the group: the devices (extended resources) free there that
    no member asks for, in thousandths of the largest node's, summed over resources."""
    idle = np.zeros(len(nodes), dtype=np.int64)
    for resource in unwanted_devices(snapshot, leader, worker):
        free = snapshot.available(resource)[nodes]
        idle += 1000 * free.clip(0) // max(snapshot.table.largest(snapshot.resources[resource]), 1)
    return idle


def unwanted_devices(snapshot: Snapshot, leader: PodShape, worker: PodShape) -> list[str]:
    """The extended resources that no member asks for."""
    devices = [resource for resource in snapshot.resources if "/" in resource]
    wanted = {resource for shape in (leader, worker) for resource, _ in shape.requests} if devices else ()
    return [resource for resource in devices if resource not in wanted]


def closed_to(snapshot: Snapshot, request: GroupRequest, keys: Asked) -> Closed | None:
    """The nodes that exclusive topologies and recent refusals keep the group from; None where there are none."""
    whole, inner = _closing(snapshot, request, keys)
    avoid = any(node in snapshot.table.position for node in request.avoid)
    if not whole and not inner and not avoid:
        return None
    to_leader = _nodes_of(snapshot, whole)
    if avoid:
        to_leader |= avoided(snapshot.table, request)
    if not inner:
        uniform = frozenset(key for key, _ in whole) if not avoid else None
        return Closed(to_leader, to_leader, uniform)
    return Closed(
        to_leader | _nodes_of(snapshot, inner) if request.subgroup_policy != LEADER_EXCLUDED else to_leader,
        to_leader | _nodes_of(snapshot, inner),
        None,
    )


def barred(snapshot: Snapshot, request: GroupRequest, keys: Asked) -> Bools:
    """The nodes that exclusive topologies keep every member of the group from."""
    return _nodes_of(snapshot, _closing(snapshot, request, keys)[0])


def held(snapshot: Snapshot, namespace: str) -> Bools:
    """The nodes in domains that groups of a namespace hold exclusively."""
    tenancy = snapshot.tenancy
    return _nodes_of(snapshot, _held(snapshot, tenancy.others(namespace, ""), tenancy.exclusives))


def avoided(table: NodeTable, request: GroupRequest) -> Bools:
    """The nodes that the scheduler refused for the group lately."""
    mask = np.zeros(len(table), dtype=np.bool_)
    mask[[table.position[node] for node in request.avoid if node in table.position]] = True
    return mask


def barring(snapshot: Snapshot, request: GroupRequest, keys: Asked, nodes: Ints) -> Ints:
    """The entries of the tenancy that keep the group from some of these nodes."""
    found = np.zeros(len(snapshot.tenancy.positions), dtype=np.bool_)
    for closing in _closing(snapshot, request, keys):
        for key, entries in closing:
            near = _domains_of(snapshot.table, key, nodes)
            found[entries[near[snapshot.tenancy.positions[entries]]]] = True
    return np.flatnonzero(found)


def intruder(snapshot: Snapshot, request: GroupRequest, slots: Sequence[str]) -> tuple[str, str] | None:
    """The first node among a group's slots that exclusive topologies keep its member from, and a group that is the
    cause. None where there is none, as when the slots were found; nodes may have been relabelled since."""
    keys = asked(snapshot.table, request)
    if isinstance(keys, UnknownLevel) or (closed := closed_to(snapshot, request, keys)) is None:
        return None
    for index, node in enumerate(slots):
        at = snapshot.table.position.get(node, ABSENT)
        if at != ABSENT and (closed.to_workers if index else closed.to_leader)[at]:
            causes = barring(snapshot, request, keys, np.array([at], dtype=np.int64))
            return node, snapshot.tenancy.group_names(causes)[0]
    return None


Closing = list[tuple[str, Ints]]
"""(label key, entries of the tenancy) pairs: the domains of the key where these entries stand are closed."""


def _closing(snapshot: Snapshot, request: GroupRequest, keys: Asked) -> tuple[Closing, Closing]:
    """What closes domains to all members, and what closes them to the members of subgroups.

    A group that asks for an exclusive domain may not enter one where another group of its namespace stands; no group
    may enter a domain that another group of its namespace holds exclusively. The same holds between the subgroups of a
    namespace for domains that are exclusive to subgroups.
    """
    tenancy = snapshot.tenancy
    if not (keys.exclusive or keys.inner_exclusive or tenancy.is_exclusive):
        return [], []
    others = tenancy.others(namespace_of(request), request.key)
    if not len(others):
        return [], []
    whole = [(keys.exclusive, others)] if keys.exclusive else []
    whole += _held(snapshot, others, tenancy.exclusives)
    if not request.subgroup_size:
        return whole, []
    grouped = others[tenancy.subgroups[others] != NO_SUBGROUP]
    inner = [(keys.inner_exclusive, grouped)] if keys.inner_exclusive and len(grouped) else []
    return whole, inner + _held(snapshot, grouped, tenancy.inner)


def _held(snapshot: Snapshot, entries: Ints, numbers: Ints) -> Closing:
    """The entries by the key whose domain they hold; `numbers` are the keys' by entry."""
    names = snapshot.tenancy.exclusive_keys
    held = numbers[entries]
    closing = []
    for number in np.flatnonzero(np.bincount(held, minlength=len(names))).tolist():
        key = topology.key_or_name(names[number], snapshot.table.keys)
        if key in snapshot.table.keys:
            closing.append((key, entries[held == number]))
    return closing


def _nodes_of(snapshot: Snapshot, closing: Closing) -> Bools:
    mask = np.zeros(len(snapshot.table), dtype=np.bool_)
    for key, entries in closing:
        mask |= _domains_of(snapshot.table, key, snapshot.tenancy.positions[entries])
    return mask


def _domains_of(table: NodeTable, key: str, positions: Ints) -> Bools:
    """The nodes that share a domain of `key` with one of the positions."""
    column = table.column(key)
    codes = column.codes[positions]
    return column.marked(codes[codes != ABSENT])


def _usable(snapshot: Snapshot, shape: PodShape, nodes: Ints | None) -> Bools:
    mask = eligible(snapshot.table, shape)
    return mask & snapshot.schedulable if nodes is None else mask[nodes] & snapshot.schedulable[nodes]


def _count(snapshot: Snapshot, shape: PodShape, beside: Mapping[str, int], nodes: Ints | None) -> Ints:
    """Per node, how many pods of a shape fit in what `beside` leaves free; never negative."""
    if nodes is not None:
        return _count_on(snapshot, shape, beside, nodes)
    wanted = taken(dict(shape.requests))
    least: Ints | None = None
    for resource, amount in wanted.items():
        free = snapshot.available(resource)
        if resource in beside:
            free = free - beside[resource]
        count = free // amount if amount > 1 else free
        least = count if least is None else np.minimum(least, count)
    assert least is not None
    return np.maximum(least, 0)


def _count_on(snapshot: Snapshot, shape: PodShape, beside: Mapping[str, int], nodes: Ints) -> Ints:
    """`_count` on a few nodes, all resources at once."""
    resources, amounts = _wanted(shape)
    rows = [snapshot.resources.get(resource, ABSENT) for resource in resources]
    if ABSENT in rows:
        return np.zeros(len(nodes), dtype=np.int64)
    free = snapshot.free.take(nodes, axis=1).take(rows, axis=0)
    if beside:
        free -= np.array([[beside.get(resource, 0)] for resource in resources], dtype=np.int64)
    counts: Ints = np.minimum.reduce(free // amounts)
    return np.maximum(counts, 0)


@lru_cache(maxsize=1024)
def _wanted(shape: PodShape) -> tuple[tuple[str, ...], Ints]:
    """The resources that a pod takes, and how much of each, shape [resources, 1]."""
    wanted = taken(dict(shape.requests))
    return tuple(wanted), np.array([*wanted.values()], dtype=np.int64)[:, None]
