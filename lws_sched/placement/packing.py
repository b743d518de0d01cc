"""Inside one domain that has room: which nodes exactly, and which member on which.

The leader goes where it costs the fewest workers, and among those nodes into the part with the most room. The workers
then fill narrower parts (racks of a block, hosts of a rack), largest first, starting with the leader's; the remainder
goes to the tightest part that takes it whole. So a group touches few parts, fills what it touches, and leaves large
holes whole. Of the nodes of one part those go first that have the fewest devices for which the group has no use: a CPU
pod keeps away from GPUs. Ranks follow the parts: workers beside the leader come first, neighbours have neighbouring
ranks.

Any such choice is correct: it never exceeds a node's room, and room suffices by the closed form in `room`.

Domains often look alike: what was chosen in a small one without parts is remembered by the figures of its nodes.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from lws_sched.placement.room import NEVER, Need, Room
from lws_sched.placement.table import ABSENT, Ints, NodeTable

_FIRST = 1 << 40
"""Times what is idle, it decides before any number of workers."""
MOST_REMEMBERED = 128
"""Nodes of a domain of which is remembered who goes where."""


def pack(
    table: NodeTable, room: Room, nodes: Ints, need: Need, levels: tuple[str, ...], idle: Ints | None = None
) -> tuple[int, ...]:
    """A node position per member, the leader's first if one is needed. `nodes` must have room; levels narrow down and
    are wider than a node. `idle`: see `room.idle_devices`."""
    if len(nodes) == 1:
        return (int(nodes[0]),) * (need.leader + need.workers)
    idle = np.zeros(len(nodes), dtype=np.int64) if idle is None else idle
    caps, loss = room.workers[nodes], room.loss[nodes]
    if not levels and len(nodes) <= MOST_REMEMBERED:
        chosen = _remembered(caps.tobytes(), loss.tobytes(), idle.tobytes(), need)
        return tuple(nodes[[*chosen]].tolist())
    if not levels:
        return tuple(nodes[_in_one_part(caps, loss, idle, need)].tolist())
    first = None
    if need.leader:
        leader = roomiest(table, Room(caps, loss), nodes, _able(caps, loss, need.workers), levels, idle)
        first = int(nodes[leader])
        caps[leader] -= loss[leader]
    workers = expand(fill(table, nodes, caps, need.workers, levels, first, idle))
    return tuple(workers) if first is None else (first, *workers)


def _in_one_part(caps: Ints, loss: Ints, idle: Ints, need: Need) -> list[int]:
    """`pack` where nothing divides the nodes: an index per member."""
    first = None
    if need.leader:
        able = _able(caps, loss, need.workers)
        first = int(able[np.argmin(idle[able] * _FIRST - caps[able])])
        caps = caps.copy()
        caps[first] -= loss[first]
    workers = expand(_choose(caps, need.workers, first, idle))
    return workers if first is None else [first, *workers]


@lru_cache(maxsize=4096)
def _remembered(caps: bytes, loss: bytes, idle: bytes, need: Need) -> tuple[int, ...]:
    """`_in_one_part`, by the arrays' bytes."""
    figures = [np.frombuffer(each, dtype=np.int64) for each in (caps, loss, idle)]
    return tuple(_in_one_part(figures[0], figures[1], figures[2], need))


def _able(caps: Ints, loss: Ints, workers: int) -> Ints:
    """The indices of the nodes where the leader leaves room for the workers and costs the fewest."""
    able = np.flatnonzero((loss < NEVER) & (int(caps.sum()) - loss >= workers))
    cheapest: Ints = able[loss[able] == loss[able].min()]
    return cheapest


def roomiest(table: NodeTable, room: Room, nodes: Ints, able: Ints, levels: tuple[str, ...], idle: Ints) -> int:
    """Of the indices `able` into `nodes`, the one in the parts with the most room. `room` is that of `nodes` alone."""
    if len(able) == 1:
        return int(able[0])
    ranks = [able, -room.workers[able], room.loss[able], idle[able]]
    for level in reversed(levels):
        parts = table.column(level).codes[nodes] - ABSENT
        ranks.append(-np.bincount(parts, weights=room.workers)[parts[able]])
    return int(able[np.lexsort(ranks)[0]])


def fill(
    table: NodeTable, nodes: Ints, caps: Ints, count: int, levels: tuple[str, ...], first: int | None, idle: Ints
) -> list[tuple[int, int]]:
    """(node position, workers) pairs in rank order that hold `count` workers; the part of node `first` comes first."""
    if not count:
        return []
    if not levels:
        start = None if first is None else int(np.flatnonzero(nodes == first)[0])
        return [(int(nodes[index]), amount) for index, amount in _choose(caps, count, start, idle)]
    parts = table.column(levels[0]).codes[nodes] - ABSENT
    totals = np.bincount(parts, weights=caps).astype(np.int64)
    start = None if first is None else int(parts[np.flatnonzero(nodes == first)[0]])
    filled: list[tuple[int, int]] = []
    for part, amount in _choose(totals, count, start, np.zeros_like(totals)):
        inside = parts == part
        near = first if part == start else None
        filled += fill(table, nodes[inside], caps[inside], amount, levels[1:], near, idle[inside])
    return filled


def _choose(caps: Ints, count: int, first: int | None, idle: Ints) -> list[tuple[int, int]]:
    """(index, amount) pairs that sum to `count`: `first`, then the largest of those with least that is idle, the rest
    to the tightest that takes it."""
    chosen: list[tuple[int, int]] = []
    if first is not None:
        amount = min(int(caps[first]), count)
        chosen.append((first, amount))
        count -= amount
        caps = caps.copy()
        caps[first] = 0
    if count:
        chosen += sorted(_largest_then_tightest(caps, count, idle))
    return [(index, amount) for index, amount in chosen if amount]


def _largest_then_tightest(caps: Ints, count: int, idle: Ints) -> list[tuple[int, int]]:
    order = np.argsort(idle * _FIRST - caps, kind="stable")
    sums = np.cumsum(caps[order])
    full = int(np.searchsorted(sums, count))
    rest = count - int(sums[full - 1]) if full else count
    enough = order[full:][caps[order[full:]] >= rest]
    tightest = enough[np.argmin(idle[enough] * _FIRST + caps[enough])]
    return [(int(index), int(caps[index])) for index in order[:full]] + [(int(tightest), rest)]


def expand(filled: list[tuple[int, int]]) -> list[int]:
    return [node for node, amount in filled for _ in range(amount)]
