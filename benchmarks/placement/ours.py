"""Our own engine as a policy: under the common queue discipline, and under its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from benchmarks.placement.baselines import backfill
from benchmarks.placement.floor import Floor, Waiting, WrongPlacement
from lws_sched.placement import (
    Budget,
    Defragmentation,
    Fleet,
    GroupRequest,
    Movable,
    Move,
    Placed,
    Snapshot,
    defragment,
    plan,
)
from lws_sched.placement.exact import fits

GREEDY = Budget(deterministic_time=0.0)
TOGETHER = 64
"""Waiting groups that are planned together, oldest first, in our own discipline."""
PATIENCE = 3_600.0
"""Seconds that a group waits before others are moved for it."""
BETWEEN = 24 * 3_600.0
"""Seconds between two searches for moves."""
SEARCH = Budget(deterministic_time=0.2)


def snapshot_of(floor: Floor) -> Snapshot:
    fleet: Fleet | None = floor.fleet
    if fleet is None:
        raise ValueError("our policies need a floor that keeps a fleet")
    return fleet.snapshot()


def place_ours(floor: Floor, request: GroupRequest) -> dict[int, int] | None:
    snapshot = snapshot_of(floor)
    if not fits(snapshot, request):
        return None  # as `plan` would say, which would also look for the reason and a fix
    [decision] = plan(snapshot, [request])
    return members_of(floor, decision) if isinstance(decision, Placed) else None


def members_of(floor: Floor, placed: Placed) -> dict[int, int]:
    return {index: floor.position[node] for index, node in enumerate(placed.slots)}


class Ours:
    """One group at a time, under the common queue discipline."""

    name = "ours"
    needs_fleet = True

    def serve(self, floor: Floor, queue: Sequence[Waiting]) -> None:
        backfill(floor, queue, place_ours)


class OursTogether:
    """The oldest waiting groups in one plan, without a solver; then the rest in order."""

    name = "ours, planned together"
    needs_fleet = True

    def serve(self, floor: Floor, queue: Sequence[Waiting]) -> None:
        by_key: Mapping[str, Waiting] = {waiting.request.key: waiting for waiting in queue[:TOGETHER]}
        decisions = plan(snapshot_of(floor), [waiting.request for waiting in by_key.values()], GREEDY)
        for decision in decisions:
            if isinstance(decision, Placed):
                floor.bind(by_key[decision.key], members_of(floor, decision))
        backfill(floor, queue[TOGETHER:], place_ours)


class OursMoving:
    """As `Ours`; and once a day others are moved out of the way of the group that has waited longest."""

    name = "ours, with defragmentation"
    needs_fleet = True

    def __init__(self) -> None:
        self._next = 0.0

    def serve(self, floor: Floor, queue: Sequence[Waiting]) -> None:
        backfill(floor, queue, place_ours)
        late = [each for each in queue if not each.complete and floor.now - each.since >= PATIENCE]
        if late and floor.now >= self._next:
            self._next = floor.now + BETWEEN
            self._make_room(floor, late[0])

    def _make_room(self, floor: Floor, waiting: Waiting) -> None:
        movables = [Movable(each.request, floor.slots(each)) for each in floor.standing.values()]
        answer = defragment(snapshot_of(floor), waiting.request, movables, SEARCH)
        if isinstance(answer, Defragmentation):
            for move in answer.moves:
                carry_out(floor, move)
            floor.bind(waiting, members_of(floor, answer.placed))


def carry_out(floor: Floor, move: Move) -> None:
    """Move a whole group; raises WrongPlacement where it goes to hosts that are not free at this moment."""
    waiting = floor.standing[move.key]
    if sorted(move.members) != list(range(waiting.request.size)):
        raise WrongPlacement(f"{move.key}, whose members share a domain, is moved in part")
    floor.move(waiting, dict(zip(move.members, (floor.position[node] for node in move.after), strict=True)))
