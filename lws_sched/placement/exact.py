"""One group, placed whole: an exact search over topology domains, by array arithmetic and without a solver.

A group that is kept to one domain (required or exclusive) goes to the tightest that takes it (best fit: least slack),
and within it to the narrowest part that takes it whole, from a single host up, of equal parts to the tightest. Where a
user names a level, groups compete for its domains: a narrower part of a roomier one would break up a large hole that
others wait for, as the queue simulation shows in the waits of large groups. A preferred level goes before that: the
first that takes the group, in the tightest of the domains that all members must share. A group that may stand anywhere
goes to the narrowest domain that takes it, from a single host up; of a level's domains to the tightest, then where
wider domains are tightest, level by level, to gather where nothing large fits. Then come the fewest members of other
groups, and the first by value. Subgroups stand to their inner domains as workers do to nodes (`subgroups`); a group
that asks for a box of hosts is looked for in tori (`boxes`). A group that is to be spread goes first to those domains
of the spread level that take it whole and hold the fewest groups of its LeaderWorkerSet; where none takes it whole,
spreading is forgotten. A group that stood somewhere goes back there as far as it can (`sticky`).

Exact: a group is refused only where no choice of nodes satisfies all that it asks for.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lws_sched.placement import sticky, topology
from lws_sched.placement.boxes import Boxed, is_box
from lws_sched.placement.packing import pack
from lws_sched.placement.request import GroupRequest, Placed
from lws_sched.placement.room import NEVER, Asked, asked, closed_to, idle_devices, room_for, whole_need, worker_of
from lws_sched.placement.snapshot import Snapshot
from lws_sched.placement.space import Space
from lws_sched.placement.subgroups import Nested, layout_of
from lws_sched.placement.table import ABSENT, NODE_NAME, Bools, Ints, NodeTable, Partition
from lws_sched.placement.topology import UnknownLevel


def search(snapshot: Snapshot, request: GroupRequest, within: Bools | None = None) -> Placed | None:
    """The best place for the group, or None where there is none. `within` restricts it to some nodes, shape [nodes]."""
    keys = asked(snapshot.table, request)
    if isinstance(keys, UnknownLevel):
        return None
    space = space_for(snapshot, request, keys)
    if space is None:
        return None
    if within is not None:
        space = space.within(within)
    slots: tuple[int, ...] | None = None
    if request.stay:
        if isinstance(space, Boxed):
            slots = space.settle(snapshot.table.partition(keys.base))
        else:
            slots = sticky.settle(snapshot, request, keys, space.room)
    if slots is None:
        slots = _place(snapshot, request, keys, space)
    return None if slots is None else placed_on(snapshot.table, request, keys, slots)


def fits(snapshot: Snapshot, request: GroupRequest) -> bool:
    """Whether `search` finds a place, for less."""
    keys = asked(snapshot.table, request)
    if isinstance(keys, UnknownLevel):
        return False
    space = space_for(snapshot, request, keys)
    return space is not None and len(space.takers(snapshot.table.partition(keys.base))) > 0


NONE: Ints = np.zeros(0, dtype=np.int64)


@dataclass(frozen=True, eq=False)
class Flat(Space):
    """The room for a group without subgroups. Slack counts workers."""

    def pack(self, nodes: Ints, levels: tuple[str, ...]) -> tuple[int, ...]:
        idle = idle_devices(self.snapshot, self.request.leader, worker_of(self.request), nodes)
        return pack(self.snapshot.table, self.room, nodes, whole_need(self.request), levels, idle)

    def _find_takers(self, partition: Partition) -> Ints:
        """What is learnt where there are none is remembered with the room."""
        workers = self.request.size - 1
        if self.room.takes_at_most(partition) < workers:
            return NONE
        found = super()._find_takers(partition)
        if not len(found):
            self.room.most[partition.keys] = int(self.slack(partition).max(initial=-NEVER)) + workers
        return found

    def _slack(self, partition: Partition) -> Ints:
        return self.room.slack(partition, whole_need(self.request))


def space_for(snapshot: Snapshot, request: GroupRequest, keys: Asked) -> Space | None:
    """The room for the group as it asks for it; None where its members cannot be divided into subgroups, or are not as
    many as the hosts of its box."""
    room = room_for(snapshot, request, closed_to(snapshot, request, keys))
    if request.box:
        return Boxed(snapshot, request, room) if is_box(request, keys) else None
    if not keys.inner:
        return Flat(snapshot, request, room)
    layout = layout_of(request)
    return None if layout is None else Nested(snapshot, request, room, keys, layout)


def _place(snapshot: Snapshot, request: GroupRequest, keys: Asked, space: Space) -> tuple[int, ...] | None:
    table = snapshot.table
    base = table.partition(keys.base)
    if not len(space.takers(base)):
        return None
    if keys.spread:
        space = _least_crowded(snapshot, request, keys, space)
    for level in (*keys.preferred, *(() if keys.base or request.box else table.levels)):
        part = table.partition((*keys.base, level))
        domain = _best(snapshot, space, part, keys)
        if domain is not None:
            return space.pack(part.members(domain), table.levels_within(part))
    domain = _best(snapshot, space, base, keys)
    assert domain is not None
    for part in () if request.box else inner_parts(table, base):
        inside = _best_within(snapshot, space, part, base, domain)
        if inside is not None:
            return space.pack(part.members(inside), table.levels_within(part))
    return space.pack(base.members(domain), table.levels_within(base))


def inner_parts(table: NodeTable, base: Partition) -> tuple[Partition, ...]:
    """What divides the domains that members must share, narrowest first: nodes, then wider levels. Nothing where they
    need not share any."""
    if not base.keys:
        return ()
    wider = [table.partition((*base.keys, level)) for level in reversed(table.levels_within(base))]
    return (table.partition((NODE_NAME,)), *wider)


def _least_crowded(snapshot: Snapshot, request: GroupRequest, keys: Asked, space: Space) -> Space:
    """The room in those domains of the spread level that take the group whole beside the fewest groups of its set."""
    column = snapshot.table.column(keys.spread)
    part = snapshot.table.partition((*keys.base, keys.spread))
    fitting = space.takers(part)
    if not len(fitting):
        return space
    crowd = groups_by_domain(snapshot, request, keys.spread)
    codes = column.codes[part.order[part.starts[fitting]]]
    return space.within(column.marked(codes[crowd[codes] == crowd[codes].min()]))


def groups_by_domain(snapshot: Snapshot, request: GroupRequest, key: str) -> Ints:
    """By value of a label, how many other groups of the request's LeaderWorkerSet have members there."""
    column, tenancy = snapshot.table.column(key), snapshot.tenancy
    entries = tenancy.of_set(request.key)
    codes = column.codes[tenancy.positions[entries]]
    pairs = np.unique(np.stack([tenancy.groups[entries], codes])[:, codes != ABSENT], axis=1)
    return np.bincount(pairs[1], minlength=len(column.values))


def _best(snapshot: Snapshot, space: Space, part: Partition, keys: Asked) -> int | None:
    """The domain in the tightest of those that all members must share, and there the tightest; where they need not
    share any, the tightest, then the one in the tightest wider domains; then the one with the fewest members standing
    there, then the first by value."""
    table, fitting = snapshot.table, space.takers(part)
    if not len(fitting):
        return None
    if len(fitting) > 1 and keys.base and part.keys != keys.base:
        fitting = _in_tightest(space, table.partition(keys.base), part, fitting)
    fitting = lowest(fitting, space.slack(part)[fitting])
    for level in () if keys.base or len(fitting) == 1 else table.levels_around(part):
        fitting = _in_tightest(space, table.partition((level,)), part, fitting)
    return _least_visited(snapshot, part, fitting)


def _best_within(snapshot: Snapshot, space: Space, part: Partition, base: Partition, domain: int) -> int | None:
    """The tightest part of a domain that takes the group, if one does; then as `_best`."""
    fitting = space.takers(part)
    if len(fitting):
        fitting = fitting[part.homes(base, fitting) == domain]
    if not len(fitting):
        return None
    return _least_visited(snapshot, part, lowest(fitting, space.slack(part)[fitting]))


def _least_visited(snapshot: Snapshot, part: Partition, domains: Ints) -> int:
    """The one with the fewest members standing there; of equal ones the first by value."""
    if len(domains) > 1 and len(snapshot.tenancy.positions):
        return fewest(domains, part.crowd(snapshot.tenancy.positions)[1:])
    return int(domains[0])


def fewest(domains: Ints, crowd: Ints) -> int:
    """The first of the least crowded; `crowd` by number of a domain."""
    return int(domains[crowd[domains].argmin()])


def _in_tightest(space: Space, outer: Partition, part: Partition, domains: Ints) -> Ints:
    """Those of the part's domains that lie in the tightest domain of the outer partition."""
    homes = part.homes(outer, domains)
    return lowest(domains, np.where(homes == ABSENT, NEVER, space.slack(outer)[homes]))


def lowest(domains: Ints, measure: Ints) -> Ints:
    """The domains of the least measure; one measure each."""
    return domains[measure == np.minimum.reduce(measure)] if len(domains) > 1 else domains


def placed_on(table: NodeTable, request: GroupRequest, keys: Asked, slots: tuple[int, ...]) -> Placed:
    """The decision that puts each member on a node, by position."""
    key, value = _domain(table, keys, slots)
    names = tuple([table.names[slot] for slot in slots])
    return Placed(request.key, names, key, value, "exact", value=request.size, bound=request.size)


def _domain(table: NodeTable, keys: Asked, slots: tuple[int, ...]) -> tuple[str, str]:
    """What the members share: the required or exclusive domain, else the narrowest level that holds them all."""
    if keys.base:
        column = table.column(keys.base[0])
        return keys.base[0], column.values[column.codes[slots[0]]]
    for key in (*keys.preferred, *table.levels):
        column = table.column(key)
        codes = set(column.codes[list(slots)].tolist())
        if len(codes) == 1 and ABSENT not in codes:
            return (topology.HOSTNAME if key == NODE_NAME else key), column.values[codes.pop()]
    return "", ""
