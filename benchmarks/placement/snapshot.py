"""How much of what could be admitted is admitted: near-full fleets, a batch that waits, one decision.

    python -m benchmarks.placement.snapshot            (or make bench)

For each number of racks (8 to 640) and resources (1 to 3), and for groups that want a rack to themselves, over several
seeds: members of complete groups over the best proved bound (`bounds`), for every baseline, for ours without a solver
and for ours with the engine's default budget (the extender's own is a fifth of it). Every baseline takes the queue in
order of arrival. Where ours is below the best baseline, or below the target, the instance is listed with its seed.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import mean

from benchmarks.placement import baselines, command
from benchmarks.placement.bounds import best_bound
from benchmarks.placement.floor import Floor, Waiting
from benchmarks.placement.instances import Instance, near_full
from benchmarks.placement.ours import GREEDY, members_of, snapshot_of
from lws_sched.placement import Budget, Placed, plan_together

TARGET = 99.5
"""Percent of the bound, up to `TARGET_RACKS` racks and two resources, within `TARGET_SECONDS`."""
TARGET_RACKS = 64
TARGET_SECONDS = 1.0
QUICK_BOUND, FULL_BOUND = 1.5, 4.0
"""Seconds for the bound of an instance."""
OURS = "ours"
GREEDY_NAME = "ours, no solver"


@dataclass(frozen=True)
class Case:
    racks: int
    resources: int
    seeds: int
    exclusive: bool = False

    @property
    def has_target(self) -> bool:
        return self.racks <= TARGET_RACKS and self.resources <= 2

    def __str__(self) -> str:
        own = ", a rack each" if self.exclusive else ""
        return f"{self.racks} racks, {self.resources} resource{'s' if self.resources > 1 else ''}{own}"


QUICK = (Case(8, 1, 3), Case(8, 2, 3), Case(32, 2, 1), Case(64, 1, 1))
FULL = (
    *(Case(racks, resources, 5) for resources in (1, 2, 3) for racks in (8, 16)),
    *(Case(64, resources, 3) for resources in (1, 2, 3)),
    *(Case(racks, resources, 1) for resources in (1, 2, 3) for racks in (320, 640)),
    *(Case(racks, 1, 3, exclusive=True) for racks in (8, 64)),
)


@dataclass(frozen=True)
class Answer:
    """One policy's answer to one instance."""

    members: int
    groups: int
    seconds: float


@dataclass(frozen=True)
class Miss:
    """An instance where ours is not good enough; `near_full(racks, resources, seed, exclusive)` makes it again."""

    case: str
    seed: int
    ours: int
    bound: int
    best_baseline: int
    seconds: float


@dataclass(frozen=True)
class Row:
    """One case, all seeds together."""

    case: str
    racks: int
    resources: int
    exclusive: bool
    seeds: int
    has_target: bool
    pct_of_bound: dict[str, float]
    groups: dict[str, float]
    seconds: dict[str, float]
    below_best_baseline: list[Miss]
    below_target: list[Miss]
    checked: int

    @property
    def best_baseline(self) -> float:
        return max(value for name, value in self.pct_of_bound.items() if not name.startswith(OURS))


@dataclass(frozen=True)
class Report:
    """The means are over the rows that have a target."""

    seed: int
    ours_pct_of_bound: float
    ours_worst_row_pct_of_bound: float
    best_baseline_pct_of_bound: float
    instances_below_best_baseline: int
    instances_below_target: int
    checked_placements: int
    rows: list[Row]


def run(options: command.Options) -> Report:
    rows = []
    for case in QUICK if options.quick else FULL:
        rows.append(row := _row(case, options))
        said = ", ".join(f"{name} {value:.2f}" for name, value in row.pct_of_bound.items())
        options.say(f"snapshot, {case}, % of the bound: {said}")
    judged = [row for row in rows if row.has_target]
    return Report(
        seed=options.seed,
        ours_pct_of_bound=round(mean(row.pct_of_bound[OURS] for row in judged), 3),
        ours_worst_row_pct_of_bound=round(min(row.pct_of_bound[OURS] for row in judged), 3),
        best_baseline_pct_of_bound=round(mean(row.best_baseline for row in judged), 3),
        instances_below_best_baseline=sum(len(row.below_best_baseline) for row in rows),
        instances_below_target=sum(len(row.below_target) for row in rows),
        checked_placements=sum(row.checked for row in rows),
        rows=rows,
    )


def _row(case: Case, options: command.Options) -> Row:
    answers: dict[str, list[Answer]] = {}
    bounds, below, missed, checked = [], [], [], 0
    for seed in range(options.seed, options.seed + case.seeds):
        instance = near_full(case.racks, case.resources, seed, case.exclusive)
        given, passed = answer_all(instance)
        bound = best_bound(instance, QUICK_BOUND if options.quick else FULL_BOUND)
        miss = _compare(case, seed, given, bound)
        if miss.ours < miss.best_baseline:
            below.append(miss)
        if case.has_target and (100 * miss.ours < TARGET * bound or miss.seconds > TARGET_SECONDS):
            missed.append(miss)
        checked += passed
        bounds.append(bound)
        for name, answer in given.items():
            answers.setdefault(name, []).append(answer)
    return Row(
        case=str(case),
        racks=case.racks,
        resources=case.resources,
        exclusive=case.exclusive,
        seeds=case.seeds,
        has_target=case.has_target,
        pct_of_bound={name: _percent((a.members for a in each), bounds) for name, each in answers.items()},
        groups={name: round(mean(a.groups for a in each), 1) for name, each in answers.items()},
        seconds={name: round(mean(a.seconds for a in each), 4) for name, each in answers.items()},
        below_best_baseline=below,
        below_target=missed,
        checked=checked,
    )


def _compare(case: Case, seed: int, given: dict[str, Answer], bound: int) -> Miss:
    others = max(answer.members for name, answer in given.items() if not name.startswith(OURS))
    ours = given[OURS]
    if bound < max(others, ours.members):
        raise AssertionError(f"seed {seed} of {case}: {max(others, ours.members)} members placed, bound {bound}")
    return Miss(str(case), seed, ours.members, bound, others, round(ours.seconds, 3))


def answer_all(instance: Instance) -> tuple[dict[str, Answer], int]:
    """Every policy's answer, and how many placements the independent checker has passed."""
    answers, checked = {}, 0
    for policy in baselines.policies(instance.seed):
        floor, queue = instance.floor(policy.needs_fleet), instance.queue()
        started = time.perf_counter()
        policy.serve(floor, queue)
        answers[policy.name] = _answer(queue, time.perf_counter() - started)
        checked += floor.checked
    for name, budget in ((GREEDY_NAME, GREEDY), (OURS, Budget())):
        floor, queue = instance.floor(with_fleet=True), instance.queue()
        seconds = _plan(floor, queue, budget)
        answers[name] = _answer(queue, seconds)
        checked += floor.checked
    return answers, checked


def _plan(floor: Floor, queue: Sequence[Waiting], budget: Budget) -> float:
    """Plan the queue together and bind what was placed; seconds for the decision."""
    snapshot = snapshot_of(floor)
    started = time.perf_counter()
    answer = plan_together(snapshot, [waiting.request for waiting in queue], budget)
    seconds = time.perf_counter() - started
    for waiting, decision in zip(queue, answer.decisions, strict=True):
        if isinstance(decision, Placed):
            floor.bind(waiting, members_of(floor, decision))
    return seconds


def _answer(queue: Sequence[Waiting], seconds: float) -> Answer:
    complete = [waiting.request.size for waiting in queue if waiting.complete]
    return Answer(sum(complete), len(complete), seconds)


def _percent(members: Iterable[int], bounds: Sequence[int]) -> float:
    return round(100 * sum(members) / sum(bounds), 3)


if __name__ == "__main__":
    sys.exit(command.main("placement.snapshot", __doc__, run))
