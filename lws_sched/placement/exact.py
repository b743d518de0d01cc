"""One group, placed whole: an exact search over topology domains, by array arithmetic and without a solver.

The narrowest domain that takes the whole group wins: preferred levels first, then every known level from a single host
up to what is required. Among the domains of a level the one with the least slack wins (best fit), then the one with
the fewest members of other groups, then the first by value. An exclusive domain is chosen by its own slack first,
since all that is left of it is lost to others of the namespace. A group that stood somewhere goes back there as far as
it can (`sticky`).

Exact: a group is refused only where no choice of nodes satisfies all that it asks for.
"""

from __future__ import annotations

import numpy as np

from lws_sched.placement import sticky, topology
from lws_sched.placement.packing import pack
from lws_sched.placement.request import GroupRequest, Placed
from lws_sched.placement.room import Asked, Need, Room, asked, room_for, usable, whole_need
from lws_sched.placement.snapshot import Snapshot
from lws_sched.placement.table import ABSENT, NODE_NAME, Bools, Ints, NodeTable, Partition
from lws_sched.placement.topology import UnknownLevel


def search(snapshot: Snapshot, request: GroupRequest, within: Bools | None = None) -> Placed | None:
    """The best place for the group, or None where there is none. `within` restricts it to some nodes, shape [nodes]."""
    keys = asked(snapshot.table, request)
    if isinstance(keys, UnknownLevel):
        return None
    allowed = usable(snapshot, request, keys)
    if within is not None:
        allowed &= within
    slots: tuple[int, ...] | None = None
    if request.stay:
        slots = sticky.settle(snapshot, request, keys, allowed)
    if slots is None:
        slots = _place(snapshot, keys, room_for(snapshot, request, allowed), whole_need(request))
    return None if slots is None else _placed(snapshot.table, request, keys, slots)


def _place(snapshot: Snapshot, keys: Asked, room: Room, need: Need) -> tuple[int, ...] | None:
    table = snapshot.table
    base = table.partition(keys.base)
    slack = room.slack(base, need)
    if not (slack >= 0).any():
        return None
    narrow_down = tuple(reversed(table.levels))
    for level in keys.preferred:
        part = table.partition((*keys.base, level))
        outer = slack[base.codes[part.order[part.starts]]] if keys.exclusive else None
        domain = _best(snapshot, part, room.slack(part, need), outer)
        if domain is not None:
            return pack(table, room, part.members(domain), need, narrow_down)
    if keys.exclusive:
        room = room.within(base.codes == _best(snapshot, base, slack, None))
    for level in table.levels:
        part = table.partition((*keys.base, level))
        domain = _best(snapshot, part, room.slack(part, need), None)
        if domain is not None:
            return pack(table, room, part.members(domain), need, narrow_down)
    domain = _best(snapshot, base, room.slack(base, need), None)
    assert domain is not None
    return pack(table, room, base.members(domain), need, narrow_down)


def _best(snapshot: Snapshot, part: Partition, slack: Ints, outer: Ints | None) -> int | None:
    """The tightest domain that fits: by `outer` slack where given, own slack, fewest members standing there, value."""
    fitting = np.flatnonzero(slack >= 0)
    for measure in (outer, slack):
        if measure is not None and len(fitting) > 1:
            values = measure[fitting]
            fitting = fitting[values == values.min()]
    if len(fitting) > 1 and len(snapshot.tenancy.positions):
        standing = part.codes[snapshot.tenancy.positions]
        crowd = np.bincount(standing[standing != ABSENT], minlength=part.count)[fitting]
        fitting = fitting[crowd == crowd.min()]
    return int(fitting[0]) if len(fitting) else None


def _placed(table: NodeTable, request: GroupRequest, keys: Asked, slots: tuple[int, ...]) -> Placed:
    key, value = _domain(table, keys, slots)
    names = tuple(table.names[slot] for slot in slots)
    return Placed(key=request.key, slots=names, domain_key=key, domain_value=value, proof="exact")


def _domain(table: NodeTable, keys: Asked, slots: tuple[int, ...]) -> tuple[str, str]:
    """What the members share: the required or exclusive domain, else the narrowest level that holds them all."""
    for key in keys.base or (*keys.preferred, *table.levels):
        column = table.column(key)
        codes = set(column.codes[list(slots)].tolist())
        if len(codes) == 1 and ABSENT not in codes:
            return (topology.HOSTNAME if key == NODE_NAME else key), column.values[codes.pop()]
    return "", ""
