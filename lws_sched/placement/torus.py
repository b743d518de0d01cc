"""Contiguous boxes of hosts in a torus of two or three dimensions: one member to a host, any rotation, across the seam
where an axis wraps around.

`fit_box` places one group: among the spots where its box fits (`torus_grid`: all are looked at) the one with the most
contact wins, which is faces of the box that touch hosts that take nothing more, or a wall. So boxes gather in corners
and large holes stay whole. `preempt_box` finds the cheapest victims whose leaving frees a box: those that stand on the
hosts of a spot, counted once each, over all spots. `pack_boxes` places many groups at once: greedily, largest first,
and on small tori by CP-SAT, highest priority first.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from lws_sched.placement import torus_model
from lws_sched.placement.batch import BatchAnswer
from lws_sched.placement.node import natural_key
from lws_sched.placement.preemption import Eviction, reason_for
from lws_sched.placement.request import Budget, Decision, Placed, Refused
from lws_sched.placement.room import room_for
from lws_sched.placement.snapshot import Snapshot
from lws_sched.placement.table import Bools
from lws_sched.placement.torus_grid import BoxRequest, Grid, Torus, position_of, said
from lws_sched.placement.victims import Scale, Victim, evictable, without
from lws_sched.placement.windows import window_sums

MOST_SOLVED = 128
"""Hosts of the largest torus on which a batch is solved."""
DEFAULT_BUDGET = Budget()


def fit_box(snapshot: Snapshot, torus: Torus, wanted: BoxRequest) -> Placed | Refused:
    """The place with the most contact, exact: refused only where no box of free hosts is left.

    Slots are in the order of the box's hosts, the leader first. Raises ValueError where the box has not as many hosts
    as the group has members, or more axes than the torus.
    """
    grid = Grid(snapshot, torus, wanted)
    found = grid.best()
    if found is None:
        free = int((grid.worker | grid.leader).sum())
        reason = (
            f"it needs a box of {said(wanted.box)} free hosts in {torus.name}; none of its {free} free hosts make one"
        )
        return Refused(
            wanted.request.key, reason, "free hosts that lie together, or ask for a flatter box", "infeasible"
        )
    return grid.placed(snapshot, found)


def preempt_box(snapshot: Snapshot, torus: Torus, wanted: BoxRequest, victims: Iterable[Victim]) -> Eviction | Refused:
    """The cheapest victims of lower priority whose leaving frees a box.

    Exact where at most one victim stands in the way on each host, or all who do must go; otherwise the answer is
    minimal, and the bound says what could be saved at most.
    """
    offered = evictable(victims, wanted.request.priority)
    cleared = Grid(without(snapshot, offered), torus, wanted)
    if cleared.best() is None:
        reason = (
            f"no box of {said(wanted.box)} hosts in {torus.name} would be free, whoever of lower priority is evicted"
        )
        return Refused(wanted.request.key, reason, "repair hosts, or ask for a smaller box", "infeasible")
    scale = Scale(offered)
    evicted, bound = _cheapest(snapshot, torus, wanted, offered, scale, cleared)
    gone = [offered[each] for each in sorted(evicted)]
    after = without(snapshot, gone)
    grid = Grid(after, torus, wanted)
    found = grid.best()
    assert found is not None
    placed = grid.placed(after, found)
    value = scale.cost(sum(scale.weights[each] for each in evicted))
    least = min(value, scale.cost(scale.weight(bound)))
    proof = "optimal" if value == least else "feasible"
    keys = tuple(each.key for each in gone)
    return Eviction(wanted.request.key, keys, placed, value, least, proof, reason_for(gone, placed))


def pack_boxes(
    snapshot: Snapshot, torus: Torus, requests: Sequence[BoxRequest], budget: Budget = DEFAULT_BUDGET
) -> BatchAnswer:
    """All requests at once, decisions in the order asked: as many members of the highest priority as can be, then of
    the next. `value` counts members placed."""
    ordered = sorted(requests, key=_turn)
    placed = _admitted(snapshot, torus, ordered, {})
    alone = sum(each.request.size for each in ordered if isinstance(fit_box(snapshot, torus, each), Placed))
    bound = alone
    if _members(ordered, placed) < alone and len(torus.coordinates) <= MOST_SOLVED and budget.deterministic_time > 0:
        packed, limit = _packed(snapshot, torus, ordered, budget)
        bound = min(alone, limit)
        if _rank(ordered, packed) > _rank(ordered, placed):
            placed = packed
    after = snapshot
    for each in ordered:
        if each.request.key in placed:
            after = after.with_group(each.request, placed[each.request.key].slots)
    value = _members(ordered, placed)
    proof = "optimal" if value == bound else "feasible"
    decisions = tuple(_decision(after, torus, each, placed.get(each.request.key), proof) for each in requests)
    return BatchAnswer(decisions, value, bound, proof)


# --- one box ---------------------------------------------------------------------------------------------------------


# --- eviction --------------------------------------------------------------------------------------------------------


def _cheapest(
    snapshot: Snapshot, torus: Torus, wanted: BoxRequest, offered: Sequence[Victim], scale: Scale, cleared: Grid
) -> tuple[frozenset[int], tuple[int, ...]]:
    """Victims whose leaving frees a box, none of whom can be spared; and a bound on every set, in parts of cost."""

    def enough(evicted: Iterable[int]) -> bool:
        gone = [offered[each] for each in sorted(evicted)]
        return Grid(without(snapshot, gone), torus, wanted).best() is not None

    nothing = (0,) * len(scale.widths)
    if enough(()):
        return frozenset(), nothing
    now = Grid(snapshot, torus, wanted)
    in_the_way = _in_the_way(now, cleared, offered, snapshot)
    parts, evicted = _cheapest_spot(torus, cleared, in_the_way, scale)
    is_exact = _stand_alone(in_the_way) and wanted.request.leader == wanted.request.worker and enough(evicted)
    if not is_exact:
        evicted = evicted if enough(evicted) else frozenset(range(len(offered)))
        for each in sorted(evicted, key=lambda each: (-scale.weights[each], each)):
            if enough(evicted - {each}):
                evicted -= {each}
    return evicted, parts if is_exact else nothing


def _cheapest_spot(
    torus: Torus, cleared: Grid, in_the_way: Sequence[Bools], scale: Scale
) -> tuple[tuple[int, ...], frozenset[int]]:
    """The parts of the cost of the cheapest spot, and the victims that stand there."""
    best: tuple[tuple[int, ...], frozenset[int]] | None = None
    for box in cleared.rotations:
        fits = cleared.fitting(box)
        touched = [window_sums(cells.astype(np.int64), box, torus.wraps) > 0 for cells in in_the_way]
        costs = [np.zeros(fits.shape, dtype=np.int64) for _ in scale.widths]
        for victim, there in enumerate(touched):
            for part, share in enumerate(scale.parts[victim]):
                costs[part] += share * there
        left = fits.copy()
        for cost in costs:
            if left.any():
                left &= cost == cost[left].min()
        if left.any():
            anchor = position_of(int(np.argmax(left)), left.shape)
            parts = tuple(int(cost[anchor]) for cost in costs)
            if best is None or parts < best[0]:
                best = (parts, frozenset(number for number, there in enumerate(touched) if there[anchor]))
    assert best is not None
    return best


def _in_the_way(now: Grid, cleared: Grid, offered: Sequence[Victim], snapshot: Snapshot) -> list[Bools]:
    """Per victim, the hosts that take no worker now, and would without the victims, on which it stands."""
    waiting = cleared.worker & ~now.worker
    found = []
    for victim in offered:
        positions = [snapshot.table.position[node] for node, _ in victim.pods if node in snapshot.table.position]
        found.append(waiting & np.isin(now.nodes, np.array(positions, dtype=np.int64)))
    return found


def _stand_alone(in_the_way: Sequence[Bools]) -> bool:
    """Whether no host is in the way through two victims."""
    return not in_the_way or int(np.sum(in_the_way, axis=0).max(initial=0)) <= 1


# --- many boxes ------------------------------------------------------------------------------------------------------


def _turn(wanted: BoxRequest) -> tuple[object, ...]:
    request = wanted.request
    return (-request.priority, -request.size, request.created, natural_key(request.key))


def _admitted(
    snapshot: Snapshot, torus: Torus, ordered: Sequence[BoxRequest], placed: Mapping[str, Placed]
) -> dict[str, Placed]:
    """Those placed, and all others that still fit, one after the other."""
    found = dict(placed)
    for each in ordered:
        if each.request.key in found:
            snapshot = snapshot.with_group(each.request, found[each.request.key].slots)
    for each in ordered:
        if each.request.key not in found:
            answer = fit_box(snapshot, torus, each)
            if isinstance(answer, Placed):
                found[each.request.key] = answer
                snapshot = snapshot.with_group(each.request, answer.slots)
    return found


def _packed(
    snapshot: Snapshot, torus: Torus, ordered: Sequence[BoxRequest], budget: Budget
) -> tuple[dict[str, Placed], int]:
    """The solver's choice with what else fits beside it, and its bound."""
    alike: dict[BoxRequest, list[BoxRequest]] = {}
    for each in ordered:
        sides = tuple(sorted(each.box))
        alike.setdefault(BoxRequest(replace(each.request, key="/", created="", stay=()), sides), []).append(each)
    grids = [Grid(snapshot, torus, groups[0]) for groups in alike.values()]
    spots = [[*grid.spots()] for grid in grids]
    kinds = [
        torus_model.BoxKind(
            kind.request.priority,
            len(groups),
            kind.request.size,
            tuple(tuple(_number(torus, cell) for cell in grid.at(spot)) for spot in choices),
        )
        for (kind, groups), grid, choices in zip(alike.items(), grids, spots, strict=True)
    ]
    packing = torus_model.pack(kinds, budget.deterministic_time)
    placed: dict[str, Placed] = {}
    after = snapshot
    for groups, choices, boxes in zip(alike.values(), spots, packing.taken or [()] * len(kinds), strict=True):
        for each, box in zip(groups, boxes, strict=False):
            grid, spot = Grid(after, torus, each), choices[box]
            if grid.fitting(spot.box)[spot.anchor]:
                placed[each.request.key] = grid.placed(after, spot)
                after = after.with_group(each.request, placed[each.request.key].slots)
    is_bound = all(_is_whole_host(snapshot, torus, each) for each in ordered)
    everything = sum(each.request.size for each in ordered)
    return _admitted(snapshot, torus, ordered, placed), packing.bound if is_bound else everything


def _is_whole_host(snapshot: Snapshot, torus: Torus, wanted: BoxRequest) -> bool:
    """Whether no host of the torus takes two of the group's members."""
    nodes = np.array([snapshot.table.position[each] for each in torus.coordinates if each in snapshot.table.position])
    room = room_for(snapshot, wanted.request, None)
    return len(nodes) == 0 or bool(((room.workers + (room.loss == 0))[nodes] <= 1).all())


def _number(torus: Torus, cell: tuple[int, ...]) -> int:
    return int(np.ravel_multi_index(cell, torus.shape))


def _members(ordered: Iterable[BoxRequest], placed: Mapping[str, Placed]) -> int:
    return sum(each.request.size for each in ordered if each.request.key in placed)


def _rank(ordered: Sequence[BoxRequest], placed: Mapping[str, Placed]) -> tuple[int, ...]:
    """Members placed per priority, highest first."""
    levels = dict.fromkeys(each.request.priority for each in ordered)
    return tuple(_members((each for each in ordered if each.request.priority == level), placed) for level in levels)


def _decision(after: Snapshot, torus: Torus, wanted: BoxRequest, placed: Placed | None, proof: str) -> Decision:
    if placed is not None:
        return replace(placed, proof=proof)
    refused = fit_box(after, torus, wanted)
    assert isinstance(refused, Refused)
    return replace(refused, proof="infeasible" if proof == "optimal" else "undecided")
