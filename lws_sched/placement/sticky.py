"""A group that comes back: it returns to the nodes it had, as far as they still take it.

Slots are kept in the domain that keeps most of them. The others move as near as they can: within the narrowest domain
that holds the kept ones and has room for the rest. Where nothing is kept, or the kept ones stand in the way of the
rest, there is no answer, and the group is placed afresh.
"""

from __future__ import annotations

from collections import Counter

import numpy as np

from lws_sched.placement.eligibility import eligible
from lws_sched.placement.node import taken
from lws_sched.placement.packing import pack
from lws_sched.placement.request import GroupRequest, PodShape
from lws_sched.placement.room import Asked, Need, room_for
from lws_sched.placement.snapshot import Snapshot
from lws_sched.placement.table import ABSENT, Bools, NodeTable

Kept = dict[int, int]
"""Worker index to node position."""


def settle(snapshot: Snapshot, request: GroupRequest, keys: Asked, allowed: Bools) -> tuple[int, ...] | None:
    """A node position per member, most of them those of `request.stay`; None where that cannot be had."""
    kept = _kept(snapshot, request, keys, allowed)
    lost = [index for index in range(request.size) if index not in kept]
    if not kept:
        return None
    moved = _move(snapshot, request, keys, allowed, kept) if lost else ()
    if moved is None:
        return None
    slots = kept | dict(zip(lost, moved, strict=True))
    return tuple(slots[index] for index in range(request.size))


def _kept(snapshot: Snapshot, request: GroupRequest, keys: Asked, allowed: Bools) -> Kept:
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
        _fitting(snapshot, request, allowed, {i: node for i, node in wanted.items() if codes[node] == domain})
        for domain in domains
    ]
    return max(choices, key=len, default={})


def _fitting(snapshot: Snapshot, request: GroupRequest, allowed: Bools, wanted: Kept) -> Kept:
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
        if has_room and _takes(snapshot.table, shape, node, allowed):
            kept[index] = node
            on_node.update(amounts)
    return kept


def _takes(table: NodeTable, shape: PodShape, node: int, allowed: Bools) -> bool:
    return bool(allowed[node] and eligible(table, shape)[node])


def _move(snapshot: Snapshot, request: GroupRequest, keys: Asked, allowed: Bools, kept: Kept) -> tuple[int, ...] | None:
    """Places for the members that are not kept, in the order of their indices."""
    table = snapshot.table
    standing = np.array(sorted(kept.values()), dtype=np.int64)
    leaders = np.array([kept[0]] if 0 in kept else [], dtype=np.int64)
    workers = np.array([node for index, node in sorted(kept.items()) if index], dtype=np.int64)
    need = Need(leader=0 not in kept, workers=request.size - 1 - len(workers))
    room = room_for(snapshot.without_room(request, leaders, workers), request, allowed)
    for nested in (*((level,) for level in table.levels), ()):
        part = table.partition((*keys.base, *nested))
        codes = set(part.codes[standing].tolist())
        if len(codes) == 1 and ABSENT not in codes:
            domain = codes.pop()
            if room.slack(part, need)[domain] >= 0:
                return pack(table, room, part.members(domain), need, tuple(reversed(table.levels)))
    return None
