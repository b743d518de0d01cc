"""The cheapest victims in one domain whose nodes are shared, by CP-SAT.

With z_v = 1 where victim v goes, w_i workers and l_i leaders on node i:

    sum_i w_i >= size - 1     sum_i l_i = 1     minimise the cost of z, part by part
    W_r w_i + L_r l_i <= f_ir + sum_v a_vir z_v  where a member that asks for r stands on node i
    w_i, l_i = 0 unless every victim that bars node i goes

The parts of the cost are joined into as few whole numbers as stay well within what the solver counts exactly, and
minimised one after the other, each held at its least from then on. Sets known not to be enough (the group may ask for
more than the model knows of) are forbidden with all that they contain.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

from lws_sched.placement.assignment import SEED
from lws_sched.placement.cover import Cover
from lws_sched.placement.victims import Scale

LARGEST = 1 << 32
"""No objective counts further."""


@dataclass(frozen=True)
class Cheapest:
    """The cheapest set found, the weight below which there is none, and the solver's time."""

    evicted: frozenset[int]
    bound: int
    deterministic_time: float


def cheapest(
    cover: Cover, scale: Scale, known: frozenset[int], short: Collection[frozenset[int]], deterministic_time: float
) -> Cheapest:
    """The cheapest set that makes room, none of which is within one of `short`. `known` is a set that does."""
    from ortools.sat.python import cp_model

    model = cp_model.CpModel()
    goes = [model.new_bool_var("") for _ in cover.victims]
    _make_room(model, cover, goes)
    for each in short:
        model.add(sum(goes[victim] for victim in range(len(goes)) if victim not in each) >= 1)
    best, spent, least = known, 0.0, list[int]()
    for objective in _objectives(cover, scale):
        total = sum(factor * variable for factor, variable in zip(objective.factors, goes, strict=True) if factor)
        model.minimize(total)
        model.clear_hints()
        for victim, variable in enumerate(goes):
            model.add_hint(variable, victim in best)
        solver = cp_model.CpSolver()
        solver.parameters.num_workers = 1
        solver.parameters.random_seed = SEED
        solver.parameters.max_deterministic_time = max(deterministic_time - spent, 0.0)
        status = solver.solve(model)
        spent += float(solver.response_proto.deterministic_time)
        if status in (cp_model.OPTIMAL, cp_model.FEASIBLE):
            best = frozenset(victim for victim, variable in enumerate(goes) if solver.boolean_value(variable))
        if status != cp_model.OPTIMAL:
            least += objective.parts_of(max(int(np.ceil(solver.best_objective_bound - 1e-6)), 0))
            return Cheapest(best, scale.weight(least + [0] * (len(scale.widths) - len(least))), spent)
        value = sum(objective.factors[victim] for victim in best)
        least += objective.parts_of(value)
        model.add(total == value)
    return Cheapest(best, cover.weight(best), spent)


@dataclass(frozen=True)
class _Objective:
    """Neighbouring parts of the cost as one number."""

    factors: tuple[int, ...]
    """Per victim."""
    widths: tuple[int, ...]
    """Per part, one more than it can come to in this domain."""

    def parts_of(self, value: int) -> list[int]:
        parts = []
        for width in reversed(self.widths):
            value, part = divmod(value, width)
            parts.append(part)
        return parts[::-1]


def _objectives(cover: Cover, scale: Scale) -> list[_Objective]:
    """The parts of the cost, first to last, joined as far as they stay below LARGEST."""
    found: list[_Objective] = []
    for part in range(len(scale.widths)):
        shares = tuple(scale.parts[victim][part] for victim in cover.victims)
        width = 1 + sum(shares)
        if found and prod(found[-1].widths) * width <= LARGEST:
            factors = tuple(factor * width + share for factor, share in zip(found[-1].factors, shares, strict=True))
            found[-1] = _Objective(factors, (*found[-1].widths, width))
        else:
            found.append(_Objective(shares, (width,)))
    return found


def _make_room(model: Any, cover: Cover, goes: Sequence[Any]) -> None:
    """Enough workers and one leader on nodes that hold them once the victims are gone."""
    demand, (most, _) = cover.demand, cover.room(range(len(cover.victims)))
    workers, leaders, holders = [], [], _holders(cover)
    for node in range(len(cover.nodes)):
        members = []
        if most[node]:
            count, is_there = model.new_int_var(0, int(most[node]), ""), model.new_bool_var("")
            model.add(count <= int(most[node]) * is_there)
            workers.append(count)
            members.append(_Members(count, is_there, demand.worker.tolist()))
        if cover.takes_leader[node]:
            leader = model.new_bool_var("")
            leaders.append(leader)
            members.append(_Members(leader, leader, demand.leader.tolist()))
        for each in members:
            for victim in cover.bars.get(node, ()):
                model.add_implication(each.is_there, goes[victim])
        for row in range(len(demand.resources)):
            free = int(cover.free[row, node])
            _hold(model, row, members, free + sum(held[row] * goes[victim] for victim, held in holders[node]))
    model.add(sum(workers) >= demand.workers)
    model.add_exactly_one(leaders)


@dataclass(frozen=True)
class _Members:
    """Members that are alike on one node: how many, whether there is one, and what each takes of every resource."""

    count: Any
    is_there: Any
    shape: Sequence[int]


def _hold(model: Any, row: int, members: Sequence[_Members], free: Any) -> None:
    """The node holds its members' share of one resource. Where it is over-committed, it is closed to those alone who
    ask for the resource."""
    asking = [each for each in members if each.shape[row]]
    for each in asking:
        model.add(sum(other.shape[row] * other.count for other in asking) <= free).only_enforce_if(each.is_there)


def _holders(cover: Cover) -> list[list[tuple[int, list[int]]]]:
    """Per node, who holds what there: (victim, amount per resource)."""
    found: list[list[tuple[int, list[int]]]] = [[] for _ in cover.nodes]
    for victim, (where, amounts) in enumerate(cover.holds):
        for node, held in zip(where.tolist(), amounts.T.tolist(), strict=True):
            found[node].append((victim, held))
    return found
