"""How many groups of which kind go to which domain, by CP-SAT.

Let y[k,d] be how many groups of kind k domain d takes, a_kr what one of them takes of resource r, C_dr what d has free:

    must_k <= sum_d y[k,d] <= n_k          y[k,d] <= what d takes of k alone
    sum_k a_kr y[k,d] <= C_dr              maximise  sum_k size_k y[k,d]

C_dr counts on every node only what whole members can use (multiples of the members' common divisor). Members that take
more than half of a domain's largest node stand one to a node, so the nodes bound them too; so does what a domain holds
of one shape alone. An exclusive domain takes one exclusive group of a namespace, or any that are not. All are necessary
conditions, so the optimum is a bound on what can be had; whether counts can be expanded to nodes is for the caller to
find out.

One thread, a fixed seed and deterministic time: equal input gives equal counts. The solver library takes over a second
to import, so it is imported on first use.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import gcd
from typing import Any

import numpy as np

from lws_sched.placement.node import taken
from lws_sched.placement.request import GroupRequest, PodShape
from lws_sched.placement.room import NEVER, Asked, Room, closed_to, measured, room_for, whole_need, worker_of
from lws_sched.placement.snapshot import Snapshot, namespace_of
from lws_sched.placement.table import Bools, Ints, Partition

SEED = 1
PACKING_TIME = 0.02
"""Deterministic time for the nodes of one domain."""
Counts = Sequence[Mapping[int, int]]
"""Per kind, how many groups each domain takes; zeros left out."""


@dataclass(frozen=True)
class Kind:
    """Groups that are alike, those that must stay admitted first, then oldest first."""

    groups: tuple[GroupRequest, ...]
    keys: Asked
    must: int
    standing: Mapping[int, int]
    """Groups per domain in the incumbent."""

    @property
    def request(self) -> GroupRequest:
        return self.groups[0]

    @property
    def members(self) -> tuple[tuple[PodShape, int], ...]:
        return members_of(self.request)


def members_of(request: GroupRequest) -> tuple[tuple[PodShape, int], ...]:
    """(shape, count) of the leader and of the workers."""
    return ((request.leader, 1), (request.worker, request.size - 1))


def takes(request: GroupRequest, resource: str) -> int:
    """What one group takes of a resource."""
    return takings(request).get(resource, 0)


def takings(request: GroupRequest) -> dict[str, int]:
    """What one group takes of each resource."""
    amounts: dict[str, int] = {}
    for shape, count in members_of(request):
        for resource, amount in _asks(shape).items():
            amounts[resource] = amounts.get(resource, 0) + amount * count
    return amounts


@dataclass(frozen=True)
class Found:
    """The solver's counts, if it has any, and its bound on all members placed."""

    counts: Counts | None
    bound: int
    deterministic_time: float


@dataclass(frozen=True)
class Model:
    """Kinds of groups against the chosen domains of a partition."""

    snapshot: Snapshot
    domains: Partition
    chosen: tuple[int, ...]
    kinds: tuple[Kind, ...]

    @cached_property
    def rooms(self) -> tuple[Room, ...]:
        """Per kind, the room on every node."""
        return tuple(
            room_for(self.snapshot, kind.request, closed_to(self.snapshot, kind.request, kind.keys))
            for kind in self.kinds
        )

    @cached_property
    def used(self) -> Bools:
        """The nodes that take a member of some kind."""
        masks = [(room.workers > 0) | (room.loss < NEVER) for room in self.rooms]
        used: Bools = np.logical_or.reduce(masks)
        return used

    @cached_property
    def resources(self) -> tuple[str, ...]:
        """The resources that somebody asks for."""
        shapes = {shape for kind in self.kinds for shape, count in kind.members if count}
        return tuple(sorted({name for shape in shapes for name in _asks(shape)}))

    def most(self, kind: int) -> Ints:
        """Per domain, at most how many groups of a kind it takes alone."""
        request, room = self.kinds[kind].request, self.rooms[kind]
        is_alike = request.leader == worker_of(request) and room.is_lone
        counted = request.size if is_alike else request.size - 1
        total = self.domains.total(room.workers)
        most = np.minimum(total // counted if counted else NEVER, len(self.kinds[kind].groups))
        if self.kinds[kind].keys.exclusive:
            most = np.minimum(most, 1)
        return np.where(room.slack(self.domains, whole_need(request)) >= 0, np.maximum(most, 1), 0)

    def capacity(self, resource: str) -> Ints:
        """Per domain, what whole members can use of a resource."""
        asks = [_asks(shape).get(resource, 0) for kind in self.kinds for shape, count in kind.members if count]
        unit = gcd(*asks)
        free = np.where(self.used, self.snapshot.available(resource).clip(0), 0)
        return self.domains.total(free // unit * unit)


def best_counts(model: Model, deterministic_time: float) -> Found:
    """The counts that place most members, from the incumbent as a hint."""
    from ortools.sat.python import cp_model

    solver_model = cp_model.CpModel()
    variables = _variables(solver_model, model)
    _bound_kinds(solver_model, model, variables)
    _bound_resources(solver_model, model, variables)
    _bound_large(solver_model, model, variables)
    _bound_shapes(solver_model, model, variables)
    _keep_exclusive(solver_model, model, variables)
    sizes = [model.kinds[kind].request.size for kind, _ in variables]
    solver_model.maximize(cp_model.LinearExpr.weighted_sum(list(variables.values()), sizes))
    everything = sum(kind.request.size * len(kind.groups) for kind in model.kinds)
    solved = solve(solver_model, everything, deterministic_time)
    if solved.value is None:
        return Found(None, solved.bound, solved.deterministic_time)
    counts: list[dict[int, int]] = [{} for _ in model.kinds]
    for (kind, domain), variable in variables.items():
        if count := solved.value(variable):
            counts[kind][domain] = count
    return Found(counts, solved.bound, solved.deterministic_time)


def spread_over(free: Ints, needs: Ints, allowed: Ints, wanted: Sequence[int]) -> Ints | None:
    """Members per part and node, [parts, nodes], that respect `free`, [resources, nodes]; None where none are found.

    `needs` has the shape [parts, resources], `allowed` [parts, nodes].
    """
    from ortools.sat.python import cp_model

    solver_model = cp_model.CpModel()
    parts, nodes = allowed.shape
    cells = [
        [solver_model.new_int_var(0, wanted[part] * int(allowed[part, node]), "") for node in range(nodes)]
        for part in range(parts)
    ]
    for part in range(parts):
        solver_model.add(sum(cells[part]) == wanted[part])
    for resource in range(len(free)):
        takers = [part for part in range(parts) if needs[part, resource]]
        for node in range(nodes):
            terms = [int(needs[part, resource]) * cells[part][node] for part in takers]
            if terms:
                solver_model.add(sum(terms) <= int(free[resource, node]))
    value = solve(solver_model, 0, PACKING_TIME).value
    return None if value is None else np.array([[value(cell) for cell in row] for row in cells], dtype=np.int64)


@dataclass(frozen=True)
class Solved:
    """The value of every variable, if the solver has any; its bound on the objective; its time."""

    value: Callable[[Any], int] | None
    bound: int
    deterministic_time: float


def solve(solver_model: Any, most: int, deterministic_time: float) -> Solved:
    """The best found in that time; `most` is what the objective cannot exceed anyway."""
    from ortools.sat.python import cp_model

    solver = cp_model.CpSolver()
    # Knapsacks over domains: the relaxation's cuts bound them, and what the bound allows is looked for first.
    solver.parameters.linearization_level = 2
    solver.parameters.use_objective_lb_search = True
    solver.parameters.num_workers = 1
    solver.parameters.random_seed = SEED
    solver.parameters.max_deterministic_time = deterministic_time
    status = solver.solve(solver_model)
    spent = float(solver.response_proto.deterministic_time)
    if status not in (cp_model.OPTIMAL, cp_model.FEASIBLE):
        return Solved(None, most, spent)
    return Solved(solver.value, min(most, int(solver.best_objective_bound + 1e-6)), spent)


Variables = dict[tuple[int, int], Any]
"""By kind and domain."""


def _variables(solver_model: Any, model: Model) -> Variables:
    """An integer per kind and domain that takes at least one of it, hinted at the incumbent."""
    variables: Variables = {}
    for kind, each in enumerate(model.kinds):
        most = model.most(kind)
        for domain in model.chosen:
            if most[domain]:
                variable = solver_model.new_int_var(0, int(most[domain]), "")
                solver_model.add_hint(variable, each.standing.get(domain, 0))
                variables[kind, domain] = variable
    return variables


def _bound_kinds(solver_model: Any, model: Model, variables: Variables) -> None:
    by_kind: dict[int, list[Any]] = {}
    for (kind, _), variable in variables.items():
        by_kind.setdefault(kind, []).append(variable)
    for kind, each in enumerate(model.kinds):
        solver_model.add_linear_constraint(sum(by_kind.get(kind, ())), each.must, len(each.groups))


def _bound_resources(solver_model: Any, model: Model, variables: Variables) -> None:
    for resource in model.resources:
        capacity = model.capacity(resource)
        amounts = [takes(kind.request, resource) for kind in model.kinds]
        for domain, inside in _by_domain(variables).items():
            terms = [amounts[kind] * variable for kind, variable in inside if amounts[kind]]
            if terms:
                solver_model.add(sum(terms) <= int(capacity[domain]))


def _bound_large(solver_model: Any, model: Model, variables: Variables) -> None:
    """Members of more than half a node stand one to a node."""
    for resource in model.resources:
        free = np.where(model.used, model.snapshot.available(resource), 0)
        for domain, inside in _by_domain(variables).items():
            on_nodes = free[model.domains.members(domain)]
            largest = int(on_nodes.max(initial=0))
            terms, least = [], largest
            for kind, variable in inside:
                large = [
                    (_asks(shape)[resource], count)
                    for shape, count in model.kinds[kind].members
                    if count and 2 * _asks(shape).get(resource, 0) > largest
                ]
                if large:
                    terms.append(sum(count for _, count in large) * variable)
                    least = min(least, *(amount for amount, _ in large))
            if terms:
                solver_model.add(sum(terms) <= int((on_nodes >= least).sum()))


def _bound_shapes(solver_model: Any, model: Model, variables: Variables) -> None:
    """No more members of a shape than the domain holds if they come alone."""
    shapes = {shape: None for kind in model.kinds for shape, count in kind.members if count}
    for shape in shapes:
        most = model.domains.total(measured(model.snapshot, shape, shape).workers)
        counts = [sum(count for each, count in kind.members if each == shape) for kind in model.kinds]
        for domain, inside in _by_domain(variables).items():
            terms = [counts[kind] * variable for kind, variable in inside if counts[kind]]
            if terms:
                solver_model.add(sum(terms) <= int(most[domain]))


def _keep_exclusive(solver_model: Any, model: Model, variables: Variables) -> None:
    """One exclusive group of a namespace to a domain, and no other of it beside that one."""
    for owners, guests in _exclusive_domains(model, variables):
        solver_model.add(sum(owners) <= 1)
        for guest, most in guests:
            solver_model.add(guest <= most * (1 - sum(owners)))


def _exclusive_domains(model: Model, variables: Variables) -> Iterator[tuple[list[Any], list[tuple[Any, int]]]]:
    """Per namespace, exclusive key and domain of it: the variables of groups that want it for themselves, and the
    others' with their upper limits."""
    table = model.snapshot.table
    first = {domain: int(model.domains.members(domain)[0]) for domain in model.chosen}
    wanted = {(namespace_of(kind.request), kind.keys.exclusive) for kind in model.kinds if kind.keys.exclusive}
    for namespace, key in sorted(wanted):
        codes = table.column(key).codes
        for code in sorted({int(codes[node]) for node in first.values()}):
            owners, guests = [], []
            for (number, domain), variable in variables.items():
                kind = model.kinds[number]
                if int(codes[first[domain]]) != code or namespace_of(kind.request) != namespace:
                    continue
                if kind.keys.exclusive == key:
                    owners.append(variable)
                else:
                    guests.append((variable, len(kind.groups)))
            if owners:
                yield owners, guests


def _by_domain(variables: Variables) -> dict[int, list[tuple[int, Any]]]:
    """Per domain, (kind, variable) pairs."""
    found: dict[int, list[tuple[int, Any]]] = {}
    for (kind, domain), variable in variables.items():
        found.setdefault(domain, []).append((kind, variable))
    return found


def _asks(shape: PodShape) -> dict[str, int]:
    return taken(dict(shape.requests))
