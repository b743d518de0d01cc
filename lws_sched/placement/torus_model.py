"""Which boxes to place in a small torus, by CP-SAT.

x[k,b] = 1 where a group of kind k takes box b (an anchor and a rotation):

    sum_b x[k,b] <= n_k       sum of x[k,b] over the boxes that contain a host <= 1       maximise sum size_k x[k,b]

one priority after the other, highest first, each held at its best from then on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from lws_sched.placement.assignment import SEED


@dataclass(frozen=True)
class BoxKind:
    """Groups that are alike, and the boxes that each could take: their hosts by number."""

    priority: int
    count: int
    size: int
    boxes: tuple[tuple[int, ...], ...]


@dataclass(frozen=True)
class Packing:
    """Per kind, the numbers of the boxes taken, None where the budget ended first; at most how many members can have a
    place."""

    taken: tuple[tuple[int, ...], ...] | None
    bound: int


def pack(kinds: Sequence[BoxKind], deterministic_time: float) -> Packing:
    """`kinds` come highest priority first."""
    from ortools.sat.python import cp_model

    model = cp_model.CpModel()
    taken = [[model.new_bool_var("") for _ in kind.boxes] for kind in kinds]
    on_host: dict[int, list[Any]] = {}
    for kind, variables in zip(kinds, taken, strict=True):
        model.add(sum(variables) <= kind.count)
        for box, variable in zip(kind.boxes, variables, strict=True):
            for host in box:
                on_host.setdefault(host, []).append(variable)
    for variables in on_host.values():
        model.add_at_most_one(variables)
    best: tuple[tuple[int, ...], ...] | None = None
    bound, left = 0, deterministic_time
    for _, level in groupby(range(len(kinds)), key=lambda number: kinds[number].priority):
        numbers = [*level]
        members = sum(kinds[number].size * sum(taken[number]) for number in numbers)
        most = sum(kinds[number].size * kinds[number].count for number in numbers)
        if left <= 0:
            bound += most
            continue
        model.maximize(members)
        solver = cp_model.CpSolver()
        solver.parameters.num_workers = 1
        solver.parameters.random_seed = SEED
        solver.parameters.max_deterministic_time = left
        status = solver.solve(model)
        left -= float(solver.response_proto.deterministic_time)
        bound += min(most, int(solver.best_objective_bound + 1e-6))
        if status not in (cp_model.OPTIMAL, cp_model.FEASIBLE):
            left = 0.0
            continue
        best = tuple(
            tuple(box for box, variable in enumerate(variables) if solver.boolean_value(variable))
            for variables in taken
        )
        model.add(members >= int(solver.objective_value + 0.5))
        model.clear_hints()
        for variables, boxes in zip(taken, best, strict=True):
            for number, variable in enumerate(variables):
                model.add_hint(variable, number in boxes)
    return Packing(best, bound)
