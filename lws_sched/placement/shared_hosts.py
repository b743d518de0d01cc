"""The fewest pods to move where members share hosts or hosts differ: a CP-SAT model over kinds and nodes.

With z_u = 1 where piece u leaves, in[k,d] pieces of kind k that enter domain d of its own, and l[k,i], w[k,i] leaders
and workers of that kind that come to node i (the waiting group is a kind of one piece that must come):

    sum_d in[k,d] = sum_{u of k} z_u
    sum_{i in d} l[k,i] = in[k,d]       sum_{i in d} w[k,i] = (size_k - 1) in[k,d]
    sum_k L_kr l[k,i] + W_kr w[k,i] <= f_ir + sum_u a_uir z_u  for every node that something comes to
    minimise  sum_u pods_u z_u

Subgroups and exclusive topologies are not in the model: it allows more than they do, so its optimum is a bound, and
`search` has the last word on every move. A proposal says on which nodes each piece shall stand.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from lws_sched.placement.assignment import SEED
from lws_sched.placement.exact import search
from lws_sched.placement.move_order import Cell, Proposal, Proposed
from lws_sched.placement.node import taken
from lws_sched.placement.relocation import Piece, alike, lifted
from lws_sched.placement.request import GroupRequest, PodShape
from lws_sched.placement.room import NEVER, Asked, asked, closed_to, room_for
from lws_sched.placement.snapshot import Snapshot
from lws_sched.placement.table import ABSENT


@dataclass(frozen=True, eq=False)
class _Arrivals:
    """The variables of one kind: pieces per domain, leaders and workers per node."""

    request: GroupRequest
    into: dict[int, Any]
    leaders: dict[int, Any]
    workers: dict[int, Any]


class SharedHosts:
    """Proposals, the fewest pods first."""

    def __init__(self, snapshot: Snapshot, request: GroupRequest, pieces: Sequence[Piece]) -> None:
        from ortools.sat.python import cp_model

        self._cp = cp_model
        self._snapshot = snapshot
        self._cleared = lifted(snapshot, pieces)
        self._model = cp_model.CpModel()
        self._kinds: dict[GroupRequest, list[Piece]] = {}
        for piece in pieces:
            self._kinds.setdefault(alike(piece.request), []).append(piece)
        self._goes = [[self._model.new_bool_var("") for _ in each] for each in self._kinds.values()]
        self._arrivals = [self._arriving(kind, len(each)) for kind, each in self._kinds.items()]
        for arrivals, goes in zip(self._arrivals, self._goes, strict=True):
            self._model.add(sum(arrivals.into.values()) == sum(goes))
        self._waiting = self._arriving(request, 1)
        self._model.add(sum(self._waiting.into.values()) == 1)
        self._bound_nodes()
        self._model.minimize(
            sum(
                piece.pods * variable
                for pieces, goes in zip(self._kinds.values(), self._goes, strict=True)
                for piece, variable in zip(pieces, goes, strict=True)
            )
        )
        self._last: list[tuple[Any, int]] = []
        """What the last proposal was made of: variables and values."""

    def propose(self, deterministic_time: float) -> Proposed:
        cp = self._cp
        solver = cp.CpSolver()
        solver.parameters.num_workers = 1
        solver.parameters.random_seed = SEED
        solver.parameters.max_deterministic_time = deterministic_time
        status = solver.solve(self._model)
        spent = float(solver.response_proto.deterministic_time)
        if status == cp.INFEASIBLE:
            return Proposed(None, None, spent)
        bound = max(int(np.ceil(solver.best_objective_bound - 1e-6)), 0)
        if status not in (cp.OPTIMAL, cp.FEASIBLE):
            return Proposed(None, bound, spent)
        counted = [each for goes in self._goes for each in goes]
        counted += [each for arrivals in self._arrivals for each in arrivals.into.values()]
        self._last = [(variable, solver.value(variable)) for variable in counted]
        return Proposed(self._read(solver), bound, spent)

    def forbid(self) -> None:
        """Never again the same pieces to the same domains."""
        differs = []
        for variable, value in self._last:
            other = self._model.new_bool_var("")
            self._model.add(variable != value).only_enforce_if(other)
            differs.append(other)
        self._model.add_bool_or(differs)

    def _arriving(self, request: GroupRequest, count: int) -> _Arrivals:
        table, model = self._snapshot.table, self._model
        keys = asked(table, request)
        assert isinstance(keys, Asked)
        room = room_for(self._cleared, request, closed_to(self._cleared, request, keys))
        domains = table.partition(keys.base)
        alone = request.size == 1
        leaders = {
            node: model.new_int_var(0, count if not alone else min(count, int(room.workers[node])), "")
            for node in np.flatnonzero((room.loss < NEVER) & (domains.codes != ABSENT)).tolist()
        }
        workers = {
            node: model.new_int_var(0, min(int(room.workers[node]), count * (request.size - 1)), "")
            for node in np.flatnonzero((room.workers > 0) & (domains.codes != ABSENT)).tolist()
            if not alone
        }
        into = {domain: model.new_int_var(0, count, "") for domain in sorted({int(domains.codes[n]) for n in leaders})}
        led: dict[int, list[Any]] = {domain: [] for domain in into}
        filled: dict[int, list[Any]] = {domain: [] for domain in into}
        for node, variable in leaders.items():
            led[int(domains.codes[node])].append(variable)
        for node, variable in workers.items():
            if int(domains.codes[node]) in filled:
                filled[int(domains.codes[node])].append(variable)
            else:
                model.add(variable == 0)
        for domain, variable in into.items():
            model.add(sum(led[domain]) == variable)
            model.add(sum(filled[domain]) == (request.size - 1) * variable)
        return _Arrivals(request, into, leaders, workers)

    def _bound_nodes(self) -> None:
        coming: dict[int, list[tuple[Any, PodShape]]] = {}
        for arrivals in (*self._arrivals, self._waiting):
            for variables, shape in (
                (arrivals.leaders, arrivals.request.leader),
                (arrivals.workers, arrivals.request.worker),
            ):
                for node, variable in variables.items():
                    coming.setdefault(node, []).append((variable, shape))
        held = self._held()
        for node, members in coming.items():
            resources = sorted({resource for _, shape in members for resource in taken(dict(shape.requests))})
            for resource in resources:
                needs = [(variable, taken(dict(shape.requests)).get(resource, 0)) for variable, shape in members]
                taking = sum(amount * variable for variable, amount in needs if amount)
                given = sum(amounts.get(resource, 0) * goes for goes, amounts in held.get(node, ()))
                free = int(self._snapshot.available(resource)[node])
                if free >= 0:
                    self._model.add(taking <= free + given)
                    continue
                comes = self._model.new_bool_var("")
                self._model.add(taking <= free + given).only_enforce_if(comes)
                self._model.add(taking <= 0).only_enforce_if(comes.negated())

    def _held(self) -> dict[int, list[tuple[Any, dict[str, int]]]]:
        """Per node, the pieces there, as variables, with what each of their members holds."""
        found: dict[int, list[tuple[Any, dict[str, int]]]] = {}
        positions = self._snapshot.table.position
        for pieces, goes in zip(self._kinds.values(), self._goes, strict=True):
            for piece, variable in zip(pieces, goes, strict=True):
                for index, node in enumerate(piece.slots):
                    shape = piece.request.worker if index else piece.request.leader
                    if node in positions:
                        found.setdefault(positions[node], []).append((variable, taken(dict(shape.requests))))
        return found

    def _read(self, solver: Any) -> Proposal:
        leaving: dict[Cell, list[Piece]] = {}
        targets: dict[Cell, tuple[int, ...]] = {}
        for number, (pieces, goes) in enumerate(zip(self._kinds.values(), self._goes, strict=True)):
            gone = [piece for piece, variable in zip(pieces, goes, strict=True) if solver.boolean_value(variable)]
            leaving |= {(number, place): [piece] for place, piece in enumerate(gone)}
            arrivals = [self._slots(solver, self._arrivals[number])]
            targets |= {(number, place): slots for place, slots in enumerate(arrivals[0])}
        pods = sum(piece.pods for each in leaving.values() for piece in each)
        return Proposal(leaving, dict.fromkeys(targets, 1), _Target(targets), pods, settles=False)

    def _slots(self, solver: Any, arrivals: _Arrivals) -> list[tuple[int, ...]]:
        """The nodes of each piece that comes."""
        domains = self._snapshot.table.partition(_base(self._snapshot, arrivals.request)).codes
        members = arrivals.request.size - 1
        found: list[tuple[int, ...]] = []
        for domain, variable in arrivals.into.items():
            leaders, workers = (
                [node for node, each in variables.items() if domains[node] == domain for _ in range(solver.value(each))]
                for variables in (arrivals.leaders, arrivals.workers)
            )
            found += [
                (leaders[piece], *workers[piece * members : (piece + 1) * members])
                for piece in range(solver.value(variable))
            ]
        return found


@dataclass(frozen=True, eq=False)
class _Target:
    """Puts a piece where the proposal says, once there is room."""

    nodes: dict[Cell, tuple[int, ...]]

    def __call__(self, snapshot: Snapshot, piece: Piece, target: Cell) -> tuple[str, ...] | None:
        names = tuple(snapshot.table.names[node] for node in self.nodes[target])
        within = np.zeros(len(snapshot.table), dtype=np.bool_)
        within[[*self.nodes[target]]] = True
        found = search(snapshot, replace(piece.request, stay=names), within)
        if found is None or (found.slots != names and not (piece.request.subgroup_size or piece.request.box)):
            return None
        return found.slots


def _base(snapshot: Snapshot, request: GroupRequest) -> tuple[str, ...]:
    keys = asked(snapshot.table, request)
    assert isinstance(keys, Asked)
    return keys.base
