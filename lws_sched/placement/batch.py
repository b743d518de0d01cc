"""Many waiting groups, placed together: highest priority first, and as many members of each priority as can be had.

Per priority, oldest first: greedy best fit, then largest first as a second try; where groups that would fit an empty
queue are left out, the solver (`joint`) looks for an assignment that admits more. Whoever a higher priority admitted
stays admitted, though it may move; so no group ever loses its place to one of lower priority. The best answer known
is kept outside the solver, and what the solver proposes counts only once it has been expanded to nodes by the exact
search.

The value is the number of members placed; `bound` is what no answer can exceed.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import groupby

from lws_sched.placement import joint
from lws_sched.placement.assignment import takings
from lws_sched.placement.board import Board
from lws_sched.placement.exact import fits
from lws_sched.placement.explain import Diagnosis, diagnose
from lws_sched.placement.node import natural_key
from lws_sched.placement.request import Budget, Decision, GroupRequest, Placed, Refused
from lws_sched.placement.snapshot import Kinds, Snapshot
from lws_sched.placement.verify import Referee


@dataclass(frozen=True)
class BatchAnswer:
    """The decisions in the order asked, and how good they are as a whole: members placed, at most possible, proof."""

    decisions: tuple[Decision, ...]
    value: int
    bound: int
    proof: str
    """`optimal` or `feasible`."""


@dataclass(frozen=True)
class Trial:
    """A fleet with some of the groups in place."""

    board: Board
    placed: dict[str, Placed] = field(default_factory=dict)

    @cached_property
    def snapshot(self) -> Snapshot:
        return self.board.snapshot()

    def members(self, requests: Iterable[GroupRequest]) -> int:
        return sum(request.size for request in requests if request.key in self.placed)


def plan_together(snapshot: Snapshot, requests: Sequence[GroupRequest], budget: Budget) -> BatchAnswer:
    """Decide all requests at once. Keys must differ."""
    ordered, kinds = sorted(requests, key=_turn), Kinds(snapshot)
    alone = Possible(snapshot, kinds)
    trial, bound, left = Trial(Board(snapshot, kinds)), 0, budget
    done: list[GroupRequest] = []
    for _, same in groupby(ordered, key=lambda request: request.priority):
        level = [*same]
        step = _admit_level(snapshot, trial, done, level, alone, left)
        trial, left, bound = step.trial, step.budget, bound + step.bound
        done += level
    _verify_all(snapshot, done, trial)
    value = trial.members(done)
    proof = "optimal" if value == bound else "feasible"
    decide = _Decide(trial, alone, proof)
    decisions = {request.key: decide(request) for request in done}
    return BatchAnswer(tuple(decisions[request.key] for request in requests), value, bound, proof)


class Possible:
    """Which groups would fit if no other group of the batch were placed. Groups that are alike are asked about once."""

    def __init__(self, snapshot: Snapshot, kinds: Kinds) -> None:
        self._snapshot = snapshot
        self._kinds = kinds
        self._known: dict[int, bool] = {}

    def __call__(self, request: GroupRequest) -> bool:
        kind = self._kinds.number(request)
        if kind not in self._known:
            self._known[kind] = fits(self._snapshot, request)
        return self._known[kind]


@dataclass(frozen=True)
class _Step:
    trial: Trial
    budget: Budget
    bound: int


def admit(trial: Trial, requests: Iterable[GroupRequest]) -> Trial:
    """Place each request that fits and has no place yet, one after the other. Room only shrinks, so one refusal speaks
    for its kind."""
    kinds = trial.board.kinds
    board, placed = Board(trial.snapshot, kinds), dict(trial.placed)
    refused: set[int] = set()
    for request in requests:
        if request.key in placed:
            continue
        kind = kinds.number(request)
        if kind in refused:
            continue
        found = board.place(request)
        if found is None:
            refused.add(kind)
        else:
            placed[request.key] = found
    return Trial(board, placed)


def _admit_level(
    start: Snapshot,
    trial: Trial,
    done: Sequence[GroupRequest],
    level: Sequence[GroupRequest],
    alone: Possible,
    budget: Budget,
) -> _Step:
    """Admit the groups of one priority beside those of higher ones."""
    best = admit(trial, level)
    possible = [request for request in level if alone(request)]
    bound = sum(request.size for request in possible)
    if best.members(level) < bound:
        largest_first = admit(trial, _largest_first(start, level, trial.board.kinds))
        if largest_first.members(level) > best.members(level):
            best = largest_first
    if best.members(level) == bound or budget.deterministic_time <= 0:
        return _Step(best, budget, bound)
    admitted = [request for request in done if request.key in trial.placed]
    improved = joint.improve(joint.Problem(start, admitted, possible, best.placed), budget)
    best = admit(_rebuild(start, (*admitted, *possible), improved.placed, trial.board.kinds), level)
    spent = replace(budget, deterministic_time=budget.deterministic_time - improved.deterministic_time)
    return _Step(best, spent, min(bound, improved.bound))


def _rebuild(start: Snapshot, requests: Iterable[GroupRequest], placed: dict[str, Placed], kinds: Kinds) -> Trial:
    standing = [(request, placed[request.key].slots) for request in requests if request.key in placed]
    return Trial(Board(start.with_groups(standing), kinds), dict(placed))


def _turn(request: GroupRequest) -> tuple[object, ...]:
    return (-request.priority, request.created, natural_key(request.key))


def _largest_first(snapshot: Snapshot, requests: Iterable[GroupRequest], kinds: Kinds) -> list[GroupRequest]:
    """By the largest share of the fleet's free capacity that a group takes, over all resources."""
    free: dict[str, int] = {}
    shares: dict[int, float] = {}

    def share(request: GroupRequest) -> float:
        kind = kinds.number(request)
        if kind not in shares:
            amounts = takings(request)
            for resource in amounts:
                if resource not in free:
                    free[resource] = max(int(snapshot.available(resource).clip(0).sum()), 1)
            shares[kind] = max((amount / free[resource] for resource, amount in amounts.items()), default=0.0)
        return shares[kind]

    return sorted(requests, key=lambda request: -share(request))


def _verify_all(start: Snapshot, ordered: Sequence[GroupRequest], trial: Trial) -> None:
    """Check every placement on the fleet with all placements before it in place."""
    placed = [(request, trial.placed[request.key]) for request in ordered if request.key in trial.placed]
    referee = Referee(start, placed)
    for request, each in placed:
        referee.admit(request, each)


class _Decide:
    """A trial's outcome as decisions. Refusals of a kind have one cause, which is looked for once."""

    def __init__(self, trial: Trial, alone: Possible, proof: str) -> None:
        self._trial = trial
        self._alone = alone
        self._proof = proof
        self._causes: dict[int, Diagnosis] = {}

    def __call__(self, request: GroupRequest) -> Decision:
        placed = self._trial.placed.get(request.key)
        if placed is not None:
            return replace(placed, proof=self._proof)
        cause = self._cause(request)
        if not self._alone(request):
            return Refused(request.key, cause.reason, cause.fix, "infeasible")
        reason = f"{cause.reason}, now that the groups before it have their places"
        if self._proof == "optimal":
            return Refused(request.key, reason, cause.fix, "infeasible")
        return Refused(request.key, reason, cause.fix, "undecided", bound=request.size)

    def _cause(self, request: GroupRequest) -> Diagnosis:
        kind = self._trial.board.kinds.number(request)
        if kind not in self._causes:
            self._causes[kind] = diagnose(self._trial.snapshot, request)
        return self._causes[kind]
