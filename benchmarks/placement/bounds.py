"""What no placement of a batch can exceed, from a model that shares no code with the engine's.

Per rack d let c_ds be the members of shape s that it holds if they come alone, C_dr what it has free of resource r. For
groups of class k (a_ks members of shape s, each with w_sr of resource r) and y[k,d] of them in rack d,

    sum_k a_ks y[k,d] <= c_ds      sum_ks a_ks w_sr y[k,d] <= C_dr      sum_d y[k,d] <= n_k
    maximise sum_k size_k y[k,d]

(an exclusive rack takes one group). All are necessary, so every proved bound of the model is a bound of the problem.
The linear relaxation, SCIP and CP-SAT each give one, with wall-clock limits: bounds may differ a little from run to
run, and each is true.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np
from ortools.linear_solver import pywraplp
from ortools.sat.python import cp_model

from benchmarks.placement.fleets import RACK
from benchmarks.placement.floor import PODS, Ints
from benchmarks.placement.instances import Instance

ROUNDING = 1e-4
SMALL = 6_000
"""Variables up to which the integer solvers are asked: beyond, seconds only get them the relaxation's bound."""

Row = tuple[tuple[int, ...], Ints]
"""What one group of each class takes, and what each rack has."""


@dataclass(frozen=True)
class Model:
    """Classes of groups against racks; `most` has the shape [classes, racks]."""

    sizes: tuple[int, ...]
    numbers: tuple[int, ...]
    most: Ints
    rows: tuple[Row, ...]
    exclusive: bool

    @property
    def demand(self) -> int:
        return sum(size * number for size, number in zip(self.sizes, self.numbers, strict=True))


def best_bound(instance: Instance, seconds: float) -> int:
    """The least proved bound on the members placed, found within about so many seconds."""
    model = model_of(instance)
    bound = min(model.demand, _linear(model, "GLOP", seconds))
    if model.most.size <= SMALL:
        bound = min(bound, _constraint(model, seconds / 2))
        bound = min(bound, _linear(model, "SCIP", seconds / 2))
    return bound


def model_of(instance: Instance) -> Model:
    floor = instance.floor(with_fleet=False)
    classes = Counter((each.leader, each.worker, each.size, bool(each.exclusive)) for each in instance.requests)
    groups = [Counter({leader: 1}) + Counter({worker: size - 1}) for leader, worker, size, _ in classes]
    racks = floor.levels[RACK]
    shapes = sorted({shape for group in groups for shape in group}, key=lambda shape: shape.requests)
    rows: list[Row] = [
        (tuple(group[shape] for group in groups), _per_rack(racks, floor.room(shape))) for shape in shapes
    ]
    for name, row in floor.resources.items():
        taken = tuple(sum(int(floor.amounts(s)[row]) * count for s, count in group.items()) for group in groups)
        if any(taken) and name != PODS:
            rows.append((taken, _per_rack(racks, np.maximum(floor.free[row], 0))))
    limits = [np.min([has // takes[kind] for takes, has in rows if takes[kind]], axis=0) for kind in range(len(groups))]
    exclusive = any(key[3] for key in classes)
    numbers = tuple(classes.values())
    most = np.minimum(np.array(limits), 1 if exclusive else np.array(numbers)[:, None])
    return Model(tuple(sum(group.values()) for group in groups), numbers, most, tuple(rows), exclusive)


def _per_rack(racks: Ints, amounts: Ints) -> Ints:
    return np.bincount(racks, weights=amounts).astype(np.int64)


def _cells(model: Model) -> list[tuple[int, int]]:
    return [(int(kind), int(rack)) for kind, rack in np.argwhere(model.most > 0)]


def _constraints(model: Model) -> list[tuple[dict[tuple[int, int], int], int]]:
    """(coefficient by cell, limit) pairs."""
    cells = _cells(model)
    found: list[tuple[dict[tuple[int, int], int], int]] = []
    for takes, has in (*model.rows, *([((1,) * len(model.sizes), np.ones(model.most.shape[1]))] * model.exclusive)):
        by_rack: dict[int, dict[tuple[int, int], int]] = {}
        for kind, rack in cells:
            if takes[kind]:
                by_rack.setdefault(rack, {})[kind, rack] = takes[kind]
        found += [(terms, int(has[rack])) for rack, terms in by_rack.items()]
    by_kind: dict[int, dict[tuple[int, int], int]] = {}
    for kind, rack in cells:
        by_kind.setdefault(kind, {})[kind, rack] = 1
    return found + [(terms, model.numbers[kind]) for kind, terms in by_kind.items()]


def _linear(model: Model, solver_name: str, seconds: float) -> int:
    """The bound of the relaxation (GLOP) or of branch and cut (SCIP)."""
    solver = pywraplp.Solver.CreateSolver(solver_name)
    solver.SetTimeLimit(int(seconds * 1000))
    whole = solver_name != "GLOP"
    variables = {cell: solver.Var(0, int(model.most[cell]), whole, "") for cell in _cells(model)}
    for terms, limit in _constraints(model):
        row = solver.Constraint(-solver.infinity(), limit)
        for cell, amount in terms.items():
            row.SetCoefficient(variables[cell], amount)
    objective = solver.Objective()
    objective.SetMaximization()
    for cell, variable in variables.items():
        objective.SetCoefficient(variable, model.sizes[cell[0]])
    status = solver.Solve()
    if status != pywraplp.Solver.OPTIMAL and not (whole and status == pywraplp.Solver.FEASIBLE):
        return model.demand
    return int((objective.BestBound() if whole else objective.Value()) + ROUNDING)


def _constraint(model: Model, seconds: float) -> int:
    """CP-SAT's bound."""
    solver_model = cp_model.CpModel()
    variables = {cell: solver_model.new_int_var(0, int(model.most[cell]), "") for cell in _cells(model)}
    for terms, limit in _constraints(model):
        expressions = [variables[cell] for cell in terms]
        solver_model.add(cp_model.LinearExpr.weighted_sum(expressions, list(terms.values())) <= limit)
    sizes = [model.sizes[kind] for kind, _ in variables]
    solver_model.maximize(cp_model.LinearExpr.weighted_sum(list(variables.values()), sizes))
    solver = cp_model.CpSolver()
    solver.parameters.max_time_in_seconds = seconds
    solver.parameters.num_workers = 2
    status = solver.solve(solver_model)
    if status not in (cp_model.OPTIMAL, cp_model.FEASIBLE):
        # Out of time before the first solution: the bound that the solver reports then means nothing.
        return model.demand
    return min(model.demand, int(solver.best_objective_bound + ROUNDING))
