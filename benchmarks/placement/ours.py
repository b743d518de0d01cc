"""Our own engine as a policy: under the common queue discipline, and under its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from benchmarks.placement.baselines import backfill
from benchmarks.placement.floor import Floor, Waiting
from lws_sched.placement import Budget, Fleet, GroupRequest, Placed, Snapshot, plan

GREEDY = Budget(deterministic_time=0.0)
TOGETHER = 64
"""Waiting groups that are planned together, oldest first, in our own discipline."""


def snapshot_of(floor: Floor) -> Snapshot:
    fleet: Fleet | None = floor.fleet
    if fleet is None:
        raise ValueError("our policies need a floor that keeps a fleet")
    return fleet.snapshot()


def place_ours(floor: Floor, request: GroupRequest) -> dict[int, int] | None:
    [decision] = plan(snapshot_of(floor), [request])
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
