"""A group that comes back: it returns to the nodes it had, as far as they still take it.

Slots are kept in the domain that keeps most of them. The others move as near as they can: within the narrowest domain
that holds the kept ones and has room for the rest. A subgroup comes back whole to its inner domain or moves whole:
those that cannot come back are placed beside the others. Where nothing is kept, or the kept ones stand in the way of
the rest, there is no answer, and the group is placed afresh.
"""

from __future__ import annotations

from collections import Counter

import numpy as np

from lws_sched.placement.node import taken
from lws_sched.placement.packing import pack
from lws_sched.placement.request import NO_SUBGROUP, GroupRequest
from lws_sched.placement.room import NEVER, Asked, Closed, Need, Room, room_for
from lws_sched.placement.snapshot import Snapshot
from lws_sched.placement.table import ABSENT, Partition

Kept = dict[int, int]
"""Worker index to node position."""


def settle(snapshot: Snapshot, request: GroupRequest, keys: Asked, room: Room) -> tuple[int, ...] | None:
    """A node position per member, most of them those of `request.stay`; None where that cannot be had."""
    kept = _kept(snapshot, request, keys, room)
    if not kept:
        return None
    find = _regroup if keys.inner else _rejoin
    slots = find(snapshot, request, keys, room, kept)
    return None if slots is None else tuple(slots[index] for index in range(request.size))


def _kept(snapshot: Snapshot, request: GroupRequest, keys: Asked, room: Room) -> Kept:
    """The slots that still fit, all in one domain."""
    table = snapshot.table
    codes = table.partition(keys.base).codes
    wanted = {
        index: table.position[node]
        for index, node in enumerate(request.stay[: request.size])
        if node in table.position and codes[table.position[node]] != ABSENT
    }
    domains = sorted(set(codes[list(wanted.values())].tolist()))
    choices = [
        _fitting(snapshot, request, room, {i: node for i, node in wanted.items() if codes[node] == domain})
        for domain in domains
    ]
    return max(choices, key=len, default={})


def _fitting(snapshot: Snapshot, request: GroupRequest, room: Room, wanted: Kept) -> Kept:
    kept: Kept = {}
    used: dict[int, Counter[str]] = {}
    for index, node in sorted(wanted.items()):
        shape = request.worker if index else request.leader
        amounts = taken(dict(shape.requests))
        on_node = used.setdefault(node, Counter())
        has_room = all(
            on_node[resource] + amount <= int(snapshot.available(resource)[node])
            for resource, amount in amounts.items()
        )
        is_open = room.workers[node] > 0 if index else room.loss[node] < NEVER
        if has_room and is_open:
            kept[index] = node
            on_node.update(amounts)
    return kept


def _rejoin(snapshot: Snapshot, request: GroupRequest, keys: Asked, room: Room, kept: Kept) -> Kept | None:
    """Kept slots and places for the other members, in the order of their indices."""
    table = snapshot.table
    lost = [index for index in range(request.size) if index not in kept]
    if not lost:
        return kept
    need = Need(leader=0 not in kept, workers=len(lost) - (0 not in kept))
    left = _left(snapshot, request, room, kept)
    standing = np.array(sorted(kept.values()), dtype=np.int64)
    for nested in (*((level,) for level in table.levels), ()):
        part = table.partition((*keys.base, *nested))
        codes = set(part.codes[standing].tolist())
        if len(codes) == 1 and ABSENT not in codes:
            domain = codes.pop()
            if left.slack(part, need)[domain] >= 0:
                moved = pack(table, left, part.members(domain), need, table.levels_within(part))
                return kept | dict(zip(lost, moved, strict=True))
    return None


def _left(snapshot: Snapshot, request: GroupRequest, room: Room, kept: Kept) -> Room:
    """The room beside the kept members, on the nodes that `room` leaves open."""
    leaders = np.array([kept[0]] if 0 in kept else [], dtype=np.int64)
    workers = np.array([node for index, node in sorted(kept.items()) if index], dtype=np.int64)
    left = room_for(snapshot.without_room(request, leaders, workers), request, None)
    is_open = room.workers > 0
    loss = np.where(left.loss < NEVER, np.where(is_open, left.loss, 0), NEVER)
    return Room(np.where(is_open, left.workers, 0), np.where(room.loss < NEVER, loss, NEVER))


def _regroup(snapshot: Snapshot, request: GroupRequest, keys: Asked, room: Room, kept: Kept) -> Kept | None:
    """Subgroup after subgroup, those with most kept members first; None where one finds no place beside the others."""
    table = snapshot.table
    base = table.partition(keys.base)
    room = room.within(base.codes == base.codes[next(iter(kept.values()))])
    members: dict[int, list[int]] = {}
    for index in range(request.size):
        members.setdefault(request.subgroup_of(index), []).append(index)
    slots = dict(kept)
    """Places found, and kept ones of subgroups still to come."""
    for subgroup in sorted(members, key=lambda each: (-sum(index in kept for index in members[each]), each)):
        old = {index: slots.pop(index) for index in members[subgroup] if index in slots}
        part = base if subgroup == NO_SUBGROUP else table.partition((*keys.base, *keys.inner))
        found = _gather(snapshot, request, room, slots, old, members[subgroup], part)
        if found is None:
            return None
        slots |= found
        if keys.inner_exclusive and subgroup != NO_SUBGROUP:
            units = table.column(keys.inner_exclusive).codes
            is_taken = units == units[found[members[subgroup][0]]]
            room = room.without(Closed(is_taken & (request.subgroup_of(0) != NO_SUBGROUP), is_taken, None))
            slots = {
                index: node
                for index, node in slots.items()
                if request.subgroup_of(index) in (subgroup, NO_SUBGROUP) or not is_taken[node]
            }
    return slots


def _gather(
    snapshot: Snapshot, request: GroupRequest, room: Room, slots: Kept, old: Kept, members: list[int], part: Partition
) -> Kept | None:
    """Places for one subgroup in one domain of `part`: the one where most of it stood, else the tightest."""
    levels = snapshot.table.levels_within(part)
    stood = Counter(int(part.codes[node]) for node in old.values())
    for domain in (*sorted(stood, key=lambda each: (-stood[each], each)), None):
        stays = {index: node for index, node in old.items() if part.codes[node] == domain}
        lost = [index for index in members if index not in stays]
        left = _left(snapshot, request, room, slots | stays)
        need = Need(leader=0 in lost, workers=len(lost) - (0 in lost))
        slack = left.slack(part, need)
        fitting = np.flatnonzero(slack >= 0)
        target = domain if domain is not None else int(min(fitting, key=lambda each: slack[each], default=ABSENT))
        if target != ABSENT and slack[target] >= 0:
            if not lost:
                return stays
            return stays | dict(zip(lost, pack(snapshot.table, left, part.members(target), need, levels), strict=True))
    return None
