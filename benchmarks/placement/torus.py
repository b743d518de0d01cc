"""Boxes of hosts in a torus: of what a batch could place, how much is placed?

    python -m benchmarks.placement.torus            (or make bench)

A torus that wraps along every axis, 1 host in 32 out of order, and groups that each want a box with one member to a
host, together about 1.1 times the free hosts. Boxes have sides that are powers of two, or sides of three among them.
Members placed over the best proved bound, for:

- `first fit`: in order of arrival, the first rotation and anchor where the box is free;
- `first fit, largest first`: the same after sorting by size;
- ours in order of arrival, each group alone (`fit_box`: the spot with the most contact);
- ours, all together without a solver, and with one (`pack_boxes`; the solver is asked on small tori only).

The bound is the least of the free hosts, the largest sum of boxes that does not exceed them, and what a model proves
that shares no code with the engine: a boolean per group size, rotation and anchor, and at most one box on every host.
Every box placed is checked here: its hosts are free, no other box is on them, and they are a box of the wanted sides.
"""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import permutations, product
from math import prod
from statistics import mean

import numpy as np
import numpy.typing as npt
from ortools.sat.python import cp_model

from benchmarks.placement import command
from benchmarks.placement.fleets import GPU, GPUS, host
from lws_sched.placement import BoxRequest, Budget, Fleet, GroupRequest, Placed, PodShape, Torus, fit_box, pack_boxes

Bools = npt.NDArray[np.bool_]
Sides = tuple[int, ...]
Cells = frozenset[Sides]

MEMBER = PodShape(requests=((GPU, GPUS),))
BROKEN = 1 / 32
DEMAND = 1.1
BOXES = {
    "powers of two": ((1, 1, 2), (1, 2, 2), (2, 2, 2), (1, 2, 4), (2, 2, 4), (2, 4, 4)),
    "sides of three": ((1, 1, 3), (1, 2, 3), (2, 2, 3), (1, 3, 3), (2, 3, 3), (3, 3, 3)),
}
BOUND_SECONDS, QUICK_BOUND_SECONDS = 4.0, 1.0
OURS, GREEDY, ALONE = "ours", "ours, no solver", "ours, one by one"


@dataclass(frozen=True)
class Case:
    shape: Sides
    boxes: str
    seeds: int

    def __str__(self) -> str:
        return f"{' x '.join(map(str, self.shape))}, {self.boxes}"


QUICK = (Case((4, 4, 4), "sides of three", 1),)
FULL = tuple(
    Case(shape, boxes, seeds) for shape, seeds in (((4, 4, 4), 4), ((4, 4, 8), 3), ((8, 8, 8), 2)) for boxes in BOXES
)


@dataclass(frozen=True)
class Instance:
    """A torus with its free hosts, and the boxes wanted, oldest first."""

    shape: Sides
    free: Cells
    wanted: tuple[Sides, ...]


@dataclass(frozen=True)
class Row:
    """One case, all seeds together."""

    case: str
    hosts: int
    seeds: int
    pct_of_bound: dict[str, float]
    proved: int
    """Seeds on which ours says that it is optimal."""
    seconds: dict[str, float]
    milliseconds_one_box: float
    """The mean decision about one box (`fit_box`)."""


@dataclass(frozen=True)
class Report:
    seed: int
    below_best_baseline: int
    """Instances on which ours places fewer members than the better first fit."""
    checked_boxes: int
    rows: list[Row]


def run(options: command.Options) -> Report:
    rows, below, checked = [], 0, 0
    for case in QUICK if options.quick else FULL:
        row, missed, passed = _row(case, options)
        rows.append(row)
        below += missed
        checked += passed
        said = ", ".join(f"{name} {value:.2f}" for name, value in row.pct_of_bound.items())
        options.say(f"torus, {case}, % of the bound: {said}")
    return Report(options.seed, below, checked, rows)


@dataclass(frozen=True)
class _Answer:
    boxes: list[tuple[Sides, Cells]]
    seconds: float
    optimal: bool = False
    bound: int | None = None

    @property
    def members(self) -> int:
        return sum(len(cells) for _, cells in self.boxes)


def _row(case: Case, options: command.Options) -> tuple[Row, int, int]:
    answers: dict[str, list[_Answer]] = {}
    bounds, below, checked, asked = [], 0, 0, 0
    for seed in range(options.seed, options.seed + case.seeds):
        instance = drawn(case, seed)
        asked += len(instance.wanted)
        given = {name: policy(instance) for name, policy in POLICIES.items()}
        for name, answer in given.items():
            check(instance, answer.boxes)
            checked += len(answer.boxes)
            answers.setdefault(name, []).append(answer)
        bound = best_bound(instance, QUICK_BOUND_SECONDS if options.quick else BOUND_SECONDS)
        bounds.append(min(bound, given[OURS].bound or bound))
        if max(answer.members for answer in given.values()) > bounds[-1]:
            raise AssertionError(f"seed {seed} of {case}: more members placed than the bound {bounds[-1]}")
        theirs = max(answer.members for name, answer in given.items() if not name.startswith(OURS))
        below += given[OURS].members < theirs
    row = Row(
        case=str(case),
        hosts=prod(case.shape),
        seeds=case.seeds,
        pct_of_bound={
            name: round(100 * sum(answer.members for answer in each) / sum(bounds), 2) for name, each in answers.items()
        },
        proved=sum(answer.optimal for answer in answers[OURS]),
        seconds={name: round(mean(answer.seconds for answer in each), 4) for name, each in answers.items()},
        milliseconds_one_box=round(1000 * sum(answer.seconds for answer in answers[ALONE]) / asked, 2),
    )
    return row, below, checked


def drawn(case: Case, seed: int) -> Instance:
    random = np.random.default_rng([seed, *case.shape, list(BOXES).index(case.boxes)])
    cells = [*product(*map(range, case.shape))]
    broken = set(random.permutation(len(cells))[: round(BROKEN * len(cells))].tolist())
    free = frozenset(cell for number, cell in enumerate(cells) if number not in broken)
    wanted: list[Sides] = []
    while sum(map(prod, wanted)) < DEMAND * len(free):
        wanted.append(BOXES[case.boxes][int(random.integers(len(BOXES[case.boxes])))])
    return Instance(case.shape, free, tuple(wanted))


def check(instance: Instance, boxes: Iterable[tuple[Sides, Cells]]) -> None:
    """Raises AssertionError where a box is none, is not free, or was not wanted."""
    left, wanted = set(instance.free), Counter(tuple(sorted(sides)) for sides in instance.wanted)
    for sides, cells in boxes:
        if not any(cells == cells_of(instance.shape, anchor, turned) for anchor in cells for turned in turns(sides)):
            raise AssertionError(f"{sorted(cells)} is no box of {sides}")
        if not cells <= left:
            raise AssertionError(f"{sorted(cells - left)} is not free")
        left -= cells
        wanted[tuple(sorted(sides))] -= 1
    if min(wanted.values()) < 0:
        raise AssertionError("more boxes were placed than wanted")


def turns(sides: Sides) -> list[Sides]:
    return sorted({*permutations(sides)})


def cells_of(shape: Sides, anchor: Sides, sides: Sides) -> Cells:
    """The box's hosts, across the seams."""
    steps = product(*map(range, sides))
    return frozenset(tuple((a + s) % size for a, s, size in zip(anchor, step, shape, strict=True)) for step in steps)


# --- policies --------------------------------------------------------------------------------------------------------


def first_fit(instance: Instance) -> _Answer:
    return _first_fit(instance, instance.wanted)


def first_fit_decreasing(instance: Instance) -> _Answer:
    return _first_fit(instance, sorted(instance.wanted, key=prod, reverse=True))


def _first_fit(instance: Instance, wanted: Sequence[Sides]) -> _Answer:
    free = np.zeros(instance.shape, dtype=np.bool_)
    free[tuple(np.array(sorted(instance.free)).T)] = True
    boxes, started = [], time.perf_counter()
    for sides in wanted:
        found = next((each for turned in turns(sides) if (each := _first(free, turned))), None)
        if found is not None:
            free[tuple(np.array(sorted(found)).T)] = False
            boxes.append((sides, found))
    return _Answer(boxes, time.perf_counter() - started)


def _first(free: Bools, sides: Sides) -> Cells | None:
    anchors = np.argwhere(_fits(free, sides))
    return cells_of(free.shape, tuple(anchors[0].tolist()), sides) if len(anchors) else None


def _fits(free: Bools, sides: Sides) -> Bools:
    """Per anchor, whether all hosts of the box are free."""
    fits = np.ones_like(free)
    if any(side > size for side, size in zip(sides, free.shape, strict=True)):
        return ~fits
    for step in product(*map(range, sides)):
        fits &= np.roll(free, tuple(-each for each in step), axis=tuple(range(free.ndim)))
    return fits


def ours_alone(instance: Instance) -> _Answer:
    fleet, torus, requests = _engine(instance)
    snapshot, boxes, seconds = fleet.snapshot(), [], 0.0
    for each in requests:
        started = time.perf_counter()
        answer = fit_box(snapshot, torus, each)
        seconds += time.perf_counter() - started
        if isinstance(answer, Placed):
            snapshot = snapshot.with_group(each.request, answer.slots)
            boxes.append((each.box, _cells(torus, answer)))
    return _Answer(boxes, seconds)


def ours_together(instance: Instance, budget: Budget) -> _Answer:
    fleet, torus, requests = _engine(instance)
    snapshot = fleet.snapshot()
    started = time.perf_counter()
    answer = pack_boxes(snapshot, torus, requests, budget)
    seconds = time.perf_counter() - started
    boxes = [
        (wanted.box, _cells(torus, decision))
        for wanted, decision in zip(requests, answer.decisions, strict=True)
        if isinstance(decision, Placed)
    ]
    return _Answer(boxes, seconds, answer.proof == "optimal", answer.bound)


def _cells(torus: Torus, placed: Placed) -> Cells:
    return frozenset(torus.coordinates[node] for node in placed.slots)


def _engine(instance: Instance) -> tuple[Fleet, Torus, list[BoxRequest]]:
    fleet, coordinates = Fleet(), {}
    for cell in sorted(instance.free):
        name = "host-" + "-".join(map(str, cell))
        fleet.set_node(host(name, f"rack-{cell[0]}", "block-0"))
        coordinates[name] = cell
    torus = Torus(instance.shape, (True,) * len(instance.shape), coordinates)
    requests = [
        BoxRequest(GroupRequest(f"bench/group-{number}", prod(sides), MEMBER, MEMBER, created=f"{number:06}"), sides)
        for number, sides in enumerate(instance.wanted)
    ]
    return fleet, torus, requests


POLICIES: dict[str, Callable[[Instance], _Answer]] = {
    "first fit": first_fit,
    "first fit, largest first": first_fit_decreasing,
    ALONE: ours_alone,
    GREEDY: lambda instance: ours_together(instance, Budget(deterministic_time=0.0)),
    OURS: lambda instance: ours_together(instance, Budget()),
}


# --- the bound -------------------------------------------------------------------------------------------------------


def best_bound(instance: Instance, seconds: float) -> int:
    """At most how many members can be placed."""
    reachable = 1
    for sides in instance.wanted:
        reachable |= reachable << prod(sides)
    sums = reachable & ((1 << (len(instance.free) + 1)) - 1)
    return min(sums.bit_length() - 1, _model_bound(instance, seconds))


def _model_bound(instance: Instance, seconds: float) -> int:
    model = cp_model.CpModel()
    free = np.zeros(instance.shape, dtype=np.bool_)
    free[tuple(np.array(sorted(instance.free)).T)] = True
    on: dict[Sides, list[cp_model.IntVar]] = {}
    terms = []
    for sides, count in Counter(tuple(sorted(each)) for each in instance.wanted).items():
        spots = {
            cells_of(instance.shape, tuple(anchor), turned)
            for turned in turns(sides)
            for anchor in np.argwhere(_fits(free, turned)).tolist()
        }
        taken = []
        for cells in sorted(spots, key=sorted):
            taken.append(model.new_bool_var(""))
            for cell in cells:
                on.setdefault(cell, []).append(taken[-1])
        model.add(sum(taken) <= count)
        terms.append(prod(sides) * sum(taken))
    for here in on.values():
        model.add_at_most_one(here)
    model.maximize(sum(terms))
    solver = cp_model.CpSolver()
    solver.parameters.num_workers = 2
    solver.parameters.max_time_in_seconds = seconds
    status = solver.solve(model)
    if status in (cp_model.OPTIMAL, cp_model.FEASIBLE):
        return int(solver.best_objective_bound + 1e-6)
    return len(instance.free)


if __name__ == "__main__":
    sys.exit(command.main("placement.torus", __doc__, run))
