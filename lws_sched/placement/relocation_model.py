"""The fewest pods to move so that a domain has room, counted in whole hosts: a CP-SAT model over kinds and domains.

Where every member takes a host to itself and every host takes any member, only numbers matter. With out[k,d] and
in[k,d] pieces of kind k that leave and enter domain d, s_k hosts each, and b_d = 1 where the waiting group goes:

    sum_d b_d = 1       sum_d out[k,d] = sum_d in[k,d]       out[k,d] <= pieces of kind k in d
    n b_d + sum_k s_k in[k,d] <= free_d + sum_k s_k out[k,d]          minimise sum_k s_k out[k,d]

A domain that a group holds exclusively takes no other group of its namespace. The size of the model does not depend on
the number of groups. It says nothing of the order of the moves: a solution for which there is none is forbidden, and
the next best is asked for (`CountModel.forbid`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lws_sched.placement.assignment import SEED
from lws_sched.placement.counted import Counted, Counts
from lws_sched.placement.move_order import Cell


@dataclass(frozen=True)
class Answer:
    """The best counts, None where there are none within the budget; the least that any can come to, None where none
    exist; the solver's time."""

    counts: Counts | None
    bound: int | None
    deterministic_time: float


class CountModel:
    """One model, solved again whenever a solution was forbidden.

    `least` has the domains that can take the group, each with a number of pods that must move if it goes there;
    `known` is a solution, if there is one.
    """

    def __init__(self, case: Counted, least: Mapping[int, int], known: Counts | None) -> None:
        from ortools.sat.python import cp_model

        self._cp = cp_model
        self._case = case
        self._model = cp_model.CpModel()
        self._target = {domain: self._model.new_bool_var("") for domain in sorted(least)}
        self._leaving: dict[Cell, Any] = {}
        self._entering: dict[Cell, Any] = {}
        for number, kind in enumerate(case.kinds):
            for domain, count in sorted(kind.standing.items()):
                self._leaving[number, domain] = self._model.new_int_var(0, count, "")
            total = sum(kind.standing.values())
            for domain in sorted(kind.enters):
                most = min(total - kind.standing.get(domain, 0), self._room(domain) // kind.size)
                if most > 0:
                    self._entering[number, domain] = self._model.new_int_var(0, most, "")
        self._moved = cp_model.LinearExpr.weighted_sum(
            list(self._leaving.values()), [case.kinds[number].size for number, _ in self._leaving]
        )
        self._constrain()
        self._model.add(self._moved >= sum(pods * self._target[domain] for domain, pods in least.items()))
        self._model.minimize(self._moved)
        if known is not None:
            for variables, values in ((self._leaving, known.leaving), (self._entering, known.entering)):
                for cell, variable in variables.items():
                    self._model.add_hint(variable, values.get(cell, 0))
            for domain, variable in self._target.items():
                self._model.add_hint(variable, domain == known.target)

    def solve(self, deterministic_time: float) -> Answer:
        cp = self._cp
        solver = cp.CpSolver()
        solver.parameters.num_workers = 1
        solver.parameters.random_seed = SEED
        solver.parameters.max_deterministic_time = deterministic_time
        status = solver.solve(self._model)
        spent = float(solver.response_proto.deterministic_time)
        if status == cp.INFEASIBLE:
            return Answer(None, None, spent)
        bound = max(int(solver.best_objective_bound - 1e-6) + 1, 0) if status != cp.OPTIMAL else 0
        if status not in (cp.OPTIMAL, cp.FEASIBLE):
            return Answer(None, bound, spent)
        counts = self._read(solver)
        return Answer(counts, counts.pods if status == cp.OPTIMAL else bound, spent)

    def forbid(self, counts: Counts) -> None:
        """From now on, no solution moves these pieces between these domains and no others."""
        model, differs = self._model, []
        for variables, values in ((self._leaving, counts.leaving), (self._entering, counts.entering)):
            for cell, variable in variables.items():
                if cell in values:
                    fewer, more = model.new_bool_var(""), model.new_bool_var("")
                    model.add(variable <= values[cell] - 1).only_enforce_if(fewer)
                    model.add(variable >= values[cell] + 1).only_enforce_if(more)
                    differs += [fewer, more]
            others = [variable for cell, variable in variables.items() if cell not in values]
            if others:
                another = model.new_bool_var("")
                model.add(sum(others) >= 1).only_enforce_if(another)
                differs.append(another)
        differs.append(self._target[counts.target].negated())
        model.add_bool_or(differs)

    def _room(self, domain: int) -> int:
        """Hosts of the domain once all pieces have left."""
        return self._case.free[domain] + sum(kind.frees * kind.standing.get(domain, 0) for kind in self._case.kinds)

    def _constrain(self) -> None:
        case, model = self._case, self._model
        model.add_exactly_one(self._target.values())
        balance: list[Any] = [0] * len(case.kinds)
        fuller: list[Any] = [0] * len(case.free)
        for (number, domain), variable in self._leaving.items():
            balance[number] -= variable
            fuller[domain] -= case.kinds[number].frees * variable
        for (number, domain), variable in self._entering.items():
            balance[number] += variable
            fuller[domain] += case.kinds[number].size * variable
        for each in balance:
            model.add(each == 0)
        for domain, free in enumerate(case.free):
            model.add(case.size * self._target.get(domain, 0) + fuller[domain] <= free)
        self._keep_exclusive()

    def _keep_exclusive(self) -> None:
        """One exclusive group of a namespace to a domain, and no other group of it beside that one."""
        case = self._case
        spaces = {kind.namespace for kind in case.kinds if kind.exclusive}
        spaces |= {case.namespace} if case.exclusive else set()
        for namespace in sorted(spaces):
            for domain in range(len(case.free)):
                self._keep_alone(namespace, domain)

    def _keep_alone(self, namespace: str, domain: int) -> None:
        case = self._case
        owners: list[Any] = []
        guests: list[Any] = []
        if domain in self._target and case.namespace == namespace:
            (owners if case.exclusive else guests).append(self._target[domain])
        for number, kind in enumerate(case.kinds):
            if kind.namespace == namespace:
                (owners if kind.exclusive else guests).append(self._after(number, domain))
        alone = self._model.new_bool_var("")
        self._model.add(sum(owners) <= alone)
        self._model.add(sum(guests) == 0).only_enforce_if(alone)

    def _after(self, number: int, domain: int) -> Any:
        """Pieces of a kind in a domain after all moves."""
        standing = self._case.kinds[number].standing.get(domain, 0)
        return standing - self._leaving.get((number, domain), 0) + self._entering.get((number, domain), 0)

    def _read(self, solver: Any) -> Counts:
        leaving, entering = (
            {cell: solver.value(variable) for cell, variable in variables.items() if solver.value(variable)}
            for variables in (self._leaving, self._entering)
        )
        target = next(domain for domain, variable in self._target.items() if solver.boolean_value(variable))
        pods = sum(self._case.kinds[number].size * count for (number, _), count in leaving.items())
        return Counts(leaving, entering, target, pods)
