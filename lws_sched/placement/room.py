"""How many members each node, and each domain, has room for: the exact closed form.

For leader request L, worker request W and free amounts f of node i, over the resources that each asks for:

    workers_i = min_r floor(f_ir / W_r)               beside_i = min_r floor((f_ir - L_r) / W_r)  where L fits on i

A set D of nodes takes a leader and k workers exactly if

    sum_{i in D} workers_i  -  min_{i in D, L fits} (workers_i - beside_i)  >=  k

because workers are alike, so only their number per node matters, and the leader changes one node only. The difference
of the two sides is the slack of D. Nodes that may not be used have room for nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from lws_sched.placement import topology
from lws_sched.placement.eligibility import eligible
from lws_sched.placement.node import taken
from lws_sched.placement.request import GroupRequest, PodShape
from lws_sched.placement.snapshot import Snapshot, namespace_of
from lws_sched.placement.table import ABSENT, Bools, Ints, NodeTable, Partition
from lws_sched.placement.topology import UnknownLevel

NEVER = 1 << 60
"""The loss of a node that the leader does not fit on: more than any fleet has room for."""


@dataclass(frozen=True)
class Need:
    """Members still to be placed."""

    leader: bool
    workers: int


@dataclass(frozen=True, eq=False)
class Room:
    """Per node: how many workers fit, and how many fewer if the leader stands there (NEVER where it does not fit)."""

    workers: Ints
    loss: Ints

    def within(self, mask: Bools) -> Room:
        return Room(np.where(mask, self.workers, 0), np.where(mask, self.loss, NEVER))

    def slack(self, partition: Partition, need: Need) -> Ints:
        """Per domain, how many more workers it could take than needed; negative where the need does not fit."""
        total = partition.total(self.workers) - need.workers
        return total - partition.least(self.loss) if need.leader else total


@dataclass(frozen=True)
class Asked:
    """The topology of a request as label keys that nodes carry."""

    base: tuple[str, ...]
    """All members share one value of each: the required key, then the exclusive one."""
    exclusive: str
    preferred: tuple[str, ...]
    """Narrowest first; levels that this fleet does not have are left out."""


def asked(table: NodeTable, request: GroupRequest) -> Asked | UnknownLevel:
    base: list[str] = []
    for name in (request.required, request.exclusive):
        found = topology.resolve(name, table.keys) if name else ""
        if isinstance(found, UnknownLevel):
            return found
        if found and found not in base:
            base.append(found)
    preferred = {topology.key_or_name(name, table.keys): None for name in request.preferred}
    narrowest_first = sorted(
        (key for key in preferred if key in table.keys), key=lambda key: -len(table.column(key).values)
    )
    return Asked(
        base=tuple(base),
        exclusive=topology.key_or_name(request.exclusive, table.keys),
        preferred=tuple(narrowest_first),
    )


def whole_need(request: GroupRequest) -> Need:
    return Need(leader=True, workers=request.size - 1)


def room_for(snapshot: Snapshot, request: GroupRequest, allowed: Bools) -> Room:
    """The room for members of the request on the allowed nodes. A group of one measures by its leader's shape."""
    worker = request.worker if request.size > 1 else request.leader
    workers = np.where(allowed & eligible(snapshot.table, worker), _count(snapshot, worker, {}), 0)
    if request.leader == worker:
        return Room(workers, np.where(workers > 0, 1, NEVER))
    fits = allowed & eligible(snapshot.table, request.leader) & (_count(snapshot, request.leader, {}) > 0)
    beside = _count(snapshot, worker, taken(dict(request.leader.requests)))
    return Room(workers, np.where(fits, np.maximum(workers - beside, 0), NEVER))


def usable(snapshot: Snapshot, request: GroupRequest, keys: Asked) -> Bools:
    """The nodes that exclusive topologies, recent refusals and the nodes' own state leave to the group."""
    return snapshot.schedulable & ~barred(snapshot, request, keys) & ~avoided(snapshot.table, request)


def avoided(table: NodeTable, request: GroupRequest) -> Bools:
    """The nodes that the scheduler refused for the group lately."""
    mask = np.zeros(len(table), dtype=np.bool_)
    mask[[table.position[node] for node in request.avoid if node in table.position]] = True
    return mask


def barred(snapshot: Snapshot, request: GroupRequest, keys: Asked) -> Bools:
    """The nodes that exclusive topologies keep the group from.

    A group that asks for an exclusive domain may not enter one where another group of its namespace stands; no group
    may enter a domain that another group of its namespace holds exclusively.
    """
    mask = np.zeros(len(snapshot.table), dtype=np.bool_)
    for key, entries in _exclusions(snapshot, request, keys):
        mask |= _domains_of(snapshot.table, key, snapshot.tenancy.positions[entries])
    return mask


def barring(snapshot: Snapshot, request: GroupRequest, keys: Asked, nodes: Ints) -> Ints:
    """The entries of the tenancy that keep the group from some of these nodes."""
    found = np.zeros(len(snapshot.tenancy.positions), dtype=np.bool_)
    for key, entries in _exclusions(snapshot, request, keys):
        near = _domains_of(snapshot.table, key, nodes)
        found[entries[near[snapshot.tenancy.positions[entries]]]] = True
    return np.flatnonzero(found)


def _exclusions(snapshot: Snapshot, request: GroupRequest, keys: Asked) -> Iterator[tuple[str, Ints]]:
    """(label key, entries of the tenancy) pairs: the domains of the key where these entries stand are closed."""
    table, tenancy = snapshot.table, snapshot.tenancy
    others = np.flatnonzero(tenancy.others(namespace_of(request), request.key))
    if keys.exclusive:
        yield keys.exclusive, others
    for number in np.unique(tenancy.exclusives[others]):
        key = topology.key_or_name(tenancy.exclusive_keys[int(number)], table.keys)
        if key in table.keys:
            yield key, others[tenancy.exclusives[others] == number]


def _domains_of(table: NodeTable, key: str, positions: Ints) -> Bools:
    """The nodes that share a domain of `key` with one of the positions."""
    column = table.column(key)
    codes = column.codes[positions]
    return column.marked(codes[codes != ABSENT])


def _count(snapshot: Snapshot, shape: PodShape, beside: dict[str, int]) -> Ints:
    """Per node, how many pods of a shape fit in what `beside` leaves free; never negative."""
    counts: list[Ints] = [
        (snapshot.available(resource) - beside.get(resource, 0)) // amount
        for resource, amount in taken(dict(shape.requests)).items()
    ]
    least: Ints = np.minimum.reduce(counts)
    return np.maximum(least, 0)
