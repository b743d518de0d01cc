"""Waiting groups against domains, by CP-SAT: which domain takes how many groups of which kind.

Groups that ask for the same topology keys are counted, not named: an integer per (kind of group, domain). Let y[k,d]
be how many groups of kind k domain d takes, a_kr what one of them takes of resource r, C_dr what d has free:

    sum_d y[k,d] <= n_k (= n_k for groups that are admitted already)      y[k,d] <= what d takes of k alone
    sum_k a_kr y[k,d] <= C_dr                                             maximise  sum_k size_k y[k,d]

C_dr counts on every node only what whole members can use (multiples of the members' common divisor). Members that take
more than half of the largest free node stand one to a node, so nodes bound them too. Exclusive domains take one group
of a namespace, or several that are not exclusive. All these are necessary conditions, so the optimum is a bound;
sufficiency is settled by expanding the counts to nodes with the exact search, which may fail where members do not fill
nodes evenly: such groups go wherever they still fit.

Where all members are alike, counting patterns is exact and cheap (`alike`). Else a few domains at a time are emptied
and filled anew, beside what stands in the others: that is cheap, and often reaches the bound. Where it does not, up to
64 domains make one model, which also tells a better bound; then parts again, from there.

The solver runs on one thread with a fixed seed and deterministic time, from the greedy answer as a complete hint.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from math import gcd

import numpy as np

from lws_sched.placement.alike import best_of_alike
from lws_sched.placement.assignment import SEED, Counts, Found, Kind, Model, best_counts, members_of, takes, takings
from lws_sched.placement.board import Board
from lws_sched.placement.exact import placed_on
from lws_sched.placement.node import taken
from lws_sched.placement.repack import repack
from lws_sched.placement.request import Budget, GroupRequest, Placed
from lws_sched.placement.room import Asked, asked, measured
from lws_sched.placement.snapshot import Snapshot, kind_of
from lws_sched.placement.table import Partition

MOST_DOMAINS = 64
"""Domains in one model of the whole."""
MOST_VARIABLES = 1500
"""Of a model of the whole that is given most of the budget; a larger one is asked for its bound only."""
PART_DOMAINS = 10
PART_TIME = 0.03
"""Deterministic time for a part."""
BUILD_TIME = 2e-5
"""What building a model takes per variable, in deterministic time."""
STALE = 40
"""Parts in a row without a gain, after which the search for better parts ends."""
FIRST_STALE = 5
"""The same for parts that are looked at before the whole."""
FIRST_SHARE = 0.3
"""Of the budget that is left: what goes to each way of those that are tried first."""


@dataclass(frozen=True)
class Problem:
    """Who is admitted and must stay so, who wants in, and where greedy put them (the incumbent)."""

    snapshot: Snapshot
    admitted: Sequence[GroupRequest]
    wanting: Sequence[GroupRequest]
    incumbent: dict[str, Placed]


@dataclass(frozen=True)
class Improved:
    """Placements that admit at least as much as the incumbent, and at most how many wanting members can be placed."""

    placed: dict[str, Placed]
    bound: int
    deterministic_time: float


@dataclass(frozen=True)
class _Part:
    """What one model covers: the groups it may move, on the fleet with all others in place."""

    base: Snapshot
    movable: tuple[GroupRequest, ...]
    fixed: tuple[GroupRequest, ...]
    domains: Partition
    chosen: tuple[int, ...]
    complete: bool
    """Nothing that could matter is left out, so that the model's bound holds for the whole problem."""


def improve(problem: Problem, budget: Budget) -> Improved:
    """Look for places that admit more of the wanting than the incumbent, and all of the admitted.

    Groups that ask for the same topology keys are looked at together, those of which most members are left out first:
    as members that are alike, where that settles it; else some parts, all domains at once where there are few enough,
    then part after part.
    """
    bound = ceiling(problem.snapshot, problem.admitted, problem.wanting)
    state = _State(problem, bound, budget.deterministic_time)
    for keys in _left_out(problem):
        if not state.settle_alike(keys):
            state.improve_parts(keys, FIRST_STALE, FIRST_SHARE)
            state.improve_whole(keys)
            state.improve_parts(keys, STALE, 1.0)
    return Improved(state.best, state.bound, state.spent)


class _State:
    """The best answer known, what it cannot exceed, and what it has cost."""

    def __init__(self, problem: Problem, bound: int, budget: float) -> None:
        self.best, self.bound, self.spent = problem.incumbent, bound, 0.0
        self._problem, self._budget = problem, budget
        self._resources = sorted({name for each in problem.wanting for name in takings(each)})
        self._random = np.random.default_rng(SEED)
        self._before, self._added = problem.snapshot, (*problem.admitted, *problem.wanting)
        """A fleet without some of the groups that the best answer places, and these: few, once a part was filled."""
        self._after: Snapshot | None = None
        """The same fleet with them, once somebody has asked for it."""

    @property
    def is_done(self) -> bool:
        return self.spent >= self._budget or _members(self._problem.wanting, self.best) >= self.bound

    def settle_alike(self, base: tuple[str, ...]) -> bool:
        """Where all members of these keys' groups are alike: as many as can be had. Whether that is settled."""
        if self.is_done:
            return True
        part, model = self._whole(base)
        found = best_of_alike(model, FIRST_SHARE * (self._budget - self.spent))
        if found is None:
            return False
        self.spent += found.deterministic_time
        self._lower_bound(part, found)
        # Where there are no more to be had, greedy's places are as good and leave larger holes.
        if _value(model, found) > _members(part.movable, self.best):
            self._take(part, model, found)
        return _members(part.movable, self.best) == found.bound

    def improve_whole(self, base: tuple[str, ...]) -> None:
        """All domains at once, where there are few enough."""
        domains = self._problem.snapshot.table.partition(base)
        if self.is_done or domains.count > MOST_DOMAINS:
            return
        part, model = self._whole(base)
        found = self._solve(model, (self._budget - self.spent) * _share_of_whole(model))
        self._lower_bound(part, found)
        self._take(part, model, found)

    def improve_parts(self, base: tuple[str, ...], most_stale: int, share: float) -> None:
        """Large neighbourhoods: a few domains are emptied of the batch's groups and filled anew, until so many in a row
        have brought nothing, or that share of what is left of the budget is spent."""
        if self._problem.snapshot.table.partition(base).count <= PART_DOMAINS:
            return
        end = self.spent + share * (self._budget - self.spent)
        stale = 0
        while not self.is_done and stale < most_stale and self.spent < end:
            part = _part(self._now(), base, self._neighbourhood(base), self._standing)
            model = _model(self._now(), self.best, part)
            before = _members(self._problem.wanting, self.best)
            self._take(part, model, self._solve(model, min(PART_TIME, self._budget - self.spent)))
            is_better = _members(self._problem.wanting, self.best) > before
            stale = 0 if is_better else stale + 1

    def _whole(self, base: tuple[str, ...]) -> tuple[_Part, Model]:
        domains = range(self._problem.snapshot.table.partition(base).count)
        part = _part(self._now(), base, [*domains], self._standing)
        return part, _model(self._now(), self.best, part)

    def _lower_bound(self, part: _Part, found: Found) -> None:
        if part.complete:
            self.bound = min(self.bound, found.bound - sum(request.size for request in self._problem.admitted))

    def _solve(self, model: Model, deterministic_time: float) -> Found:
        self.spent += BUILD_TIME * len(model.kinds) * len(model.chosen)
        found = best_counts(model, max(deterministic_time, 0.0))
        self.spent += found.deterministic_time
        return found

    def _take(self, part: _Part, model: Model, found: Found) -> None:
        """Adopt what the solver found where it expands to as many members. Equal answers lead on to others."""
        placed = _expand(self._now(), part, model, found.counts) if found.counts is not None else None
        wanting = self._problem.wanting
        if placed is not None and _members(wanting, placed) >= _members(wanting, self.best):
            self.best = placed
            self._before, self._added, self._after = part.base, part.movable, None

    def _now(self) -> Problem:
        return replace(self._problem, incumbent=self.best)

    def _neighbourhood(self, base: tuple[str, ...]) -> list[int]:
        """Some domains: those with most left to use are the likeliest."""
        after = self._standing()
        domains = after.table.partition(base)
        left = np.zeros(domains.count)
        for resource in self._resources:
            free = domains.total(after.available(resource).clip(0))
            left += free / max(int(free.sum()), 1)
        weights = left + 0.1 / domains.count
        size = min(PART_DOMAINS, domains.count)
        chosen = self._random.choice(domains.count, size, replace=False, p=weights / weights.sum())
        return sorted(chosen.tolist())

    def _standing(self) -> Snapshot:
        """The fleet with the best answer in place."""
        if self._after is None:
            self._after = self._before.with_groups(_placed(self._added, self.best))
        return self._after


def ceiling(snapshot: Snapshot, admitted: Sequence[GroupRequest], wanting: Sequence[GroupRequest]) -> int:
    """At most how many wanting members all nodes together hold, topology aside: a bound that costs next to nothing.

    Per resource, groups count from the cheapest member up, the last one in part (fractional knapsack). On every node
    only multiples of the members' common divisor count.
    """
    everyone = (*admitted, *wanting)
    bound = min(sum(request.size for request in wanting), _reachable(snapshot, admitted, wanting))
    shapes = {shape for request in everyone for shape, count in members_of(request) if count}
    amounts = [taken(dict(shape.requests)) for shape in shapes]
    for resource in sorted({name for each in amounts for name in each}):
        unit = gcd(*(each.get(resource, 0) for each in amounts))
        free = np.where(snapshot.schedulable, snapshot.available(resource).clip(0), 0)
        left = int((free // unit * unit).sum()) - sum(takes(request, resource) for request in admitted)
        bound = min(bound, _most_members(left, [(takes(each, resource), each.size) for each in wanting]))
    return bound


def _reachable(snapshot: Snapshot, admitted: Sequence[GroupRequest], wanting: Sequence[GroupRequest]) -> int:
    """Where all members are alike and all groups want a domain of the same keys: the most members that groups of these
    sizes can make up in each domain, summed over domains, less those that must stay."""
    everyone = (*admitted, *wanting)
    alike = {(*_base(snapshot, each), each.leader, each.worker if each.size > 1 else each.leader) for each in everyone}
    own = sum(request.size for request in admitted)
    if len(alike) > 1 or everyone[0].leader != everyone[0].worker:
        return sum(request.size for request in wanting)
    domains = snapshot.table.partition(_base(snapshot, everyone[0]))
    rooms = domains.total(measured(snapshot, everyone[0].leader, everyone[0].leader).workers)
    sizes, most = {each.size for each in everyone}, int(rooms.max(initial=0))
    sums = 1
    """Bit n: some groups have n members together."""
    for _ in range(most):
        grown = sums
        for size in sizes:
            grown |= grown << size
        if grown & ((2 << most) - 1) == sums:
            break
        sums = grown & ((2 << most) - 1)
    best = [0] * (most + 1)
    for room in range(1, most + 1):
        best[room] = room if sums >> room & 1 else best[room - 1]
    return sum(best[int(room)] for room in rooms) - own


def _most_members(capacity: int, groups: list[tuple[int, int]]) -> int:
    """(amount, members) pairs, cheapest member first, until the capacity is used up."""
    held = 0
    for amount, size in sorted(groups, key=lambda each: Fraction(*each)):
        if amount > capacity:
            return held + capacity * size // amount
        capacity -= amount
        held += size
    return held


def _members(wanting: Sequence[GroupRequest], placed: Mapping[str, Placed]) -> int:
    return sum(request.size for request in wanting if request.key in placed)


def _left_out(problem: Problem) -> list[tuple[str, ...]]:
    """The topology keys under which somebody is left out, those with most members first."""
    left: Counter[tuple[str, ...]] = Counter()
    for request in problem.wanting:
        if request.key not in problem.incumbent:
            left[_base(problem.snapshot, request)] += request.size
    return sorted(left, key=lambda keys: (-left[keys], keys))


def _part(problem: Problem, base: tuple[str, ...], chosen: Sequence[int], standing: Callable[[], Snapshot]) -> _Part:
    """The groups that ask for these keys and stand in the chosen domains or nowhere; all others stay. `standing` is the
    fleet with the incumbent in place."""
    snapshot = problem.snapshot
    domains = snapshot.table.partition(base)
    inside = set(chosen)
    movable, fixed = [], []
    for request in (*problem.admitted, *problem.wanting):
        placed = problem.incumbent.get(request.key)
        is_inside = placed is None or _domain_of(snapshot, domains, placed) in inside
        if _is_movable(request) and _base(snapshot, request) == base and is_inside:
            movable.append(request)
        elif placed is not None:
            fixed.append(request)
    if len(fixed) < len(movable):
        start = snapshot.with_groups(_placed(fixed, problem.incumbent))
    else:
        start = standing().without_groups(_placed(movable, problem.incumbent))
    complete = len(movable) == len(problem.admitted) + len(problem.wanting) and len(inside) == domains.count
    return _Part(start, tuple(movable), tuple(fixed), domains, tuple(chosen), complete)


def _placed(groups: Sequence[GroupRequest], placed: Mapping[str, Placed]) -> list[tuple[GroupRequest, tuple[str, ...]]]:
    """Those that have a place, each with its slots."""
    return [(each, placed[each.key].slots) for each in groups if each.key in placed]


def _value(model: Model, found: Found) -> int:
    """Members that the counts place."""
    rows = zip(model.kinds, found.counts or (), strict=False)
    return sum(kind.request.size * sum(row.values()) for kind, row in rows)


def _is_movable(request: GroupRequest) -> bool:
    """Groups that return and groups with subgroups or in boxes are left where they are."""
    return not (request.stay or request.box or request.subgroup_required or request.subgroup_exclusive)


def _share_of_whole(model: Model) -> float:
    """Of the budget that is left: all where there are no parts to look at after it."""
    if len(model.chosen) <= PART_DOMAINS:
        return 1.0
    return 0.6 if len(model.kinds) * len(model.chosen) <= MOST_VARIABLES else 0.3


def _base(snapshot: Snapshot, request: GroupRequest) -> tuple[str, ...]:
    keys = asked(snapshot.table, request)
    return keys.base if isinstance(keys, Asked) else ()


def _domain_of(snapshot: Snapshot, domains: Partition, placed: Placed) -> int:
    return int(domains.codes[snapshot.table.position[placed.slots[0]]])


def _model(problem: Problem, incumbent: Mapping[str, Placed], part: _Part) -> Model:
    """Kinds with their members, and per kind how many groups are there, must stay, and stand where now."""
    members: dict[Hashable, list[GroupRequest]] = {}
    for request in part.movable:
        members.setdefault(kind_of(part.base, request), []).append(request)
    must_stay = {request.key for request in problem.admitted}
    kinds = []
    for groups in members.values():
        keys = asked(part.base.table, groups[0])
        assert isinstance(keys, Asked)
        standing = Counter(
            _domain_of(part.base, part.domains, incumbent[each.key]) for each in groups if each.key in incumbent
        )
        kinds.append(Kind(tuple(groups), keys, sum(each.key in must_stay for each in groups), standing))
    return Model(part.base, part.domains, part.chosen, tuple(kinds))


def _expand(problem: Problem, part: _Part, model: Model, counts: Counts) -> dict[str, Placed] | None:
    """Concrete places for the counts; None where a group that must stay finds none."""
    incumbent = problem.incumbent
    assigned: dict[int, list[GroupRequest]] = {}
    for kind, row in zip(model.kinds, counts, strict=True):
        for request, domain in _share_out(incumbent, part, kind, row):
            assigned.setdefault(domain, []).append(request)
    before: dict[int, set[str]] = {}
    for request in part.movable:
        if request.key in incumbent:
            domain = _domain_of(part.base, part.domains, incumbent[request.key])
            before.setdefault(domain, set()).add(request.key)
    keys_of = {request.key: kind.keys for kind in model.kinds for request in kind.groups}
    placed = {request.key: incumbent[request.key] for request in part.fixed}
    board, homeless = Board(part.base), []
    for domain, groups in sorted(assigned.items()):
        same = {each.key for each in groups} == before.get(domain, set())
        homes = None if same else repack(part.base, part.domains.members(domain), [(g, keys_of[g.key]) for g in groups])
        for request in sorted(groups, key=_bulk):
            if same:
                placed[request.key] = incumbent[request.key]
            elif homes is not None:
                placed[request.key] = placed_on(part.base.table, request, keys_of[request.key], homes[request.key])
            else:
                homeless.append((request, domain))
                continue
            board.add(request, placed[request.key].slots)
    for request, domain in homeless:
        inside = board.place(request, part.domains.codes == domain) or board.place(request)
        if inside is not None:
            placed[request.key] = inside
    return placed if all(request.key in placed for request in problem.admitted) else None


def _share_out(
    incumbent: Mapping[str, Placed], part: _Part, kind: Kind, row: Mapping[int, int]
) -> list[tuple[GroupRequest, int]]:
    """(group, domain) pairs: the first groups of the kind, each where it stands already if it may."""
    room = dict(row)
    going = kind.groups[: sum(row.values())]
    stays: dict[str, int] = {}
    for request in going:
        if request.key in incumbent:
            domain = _domain_of(part.base, part.domains, incumbent[request.key])
            if room.get(domain, 0) > 0:
                room[domain] -= 1
                stays[request.key] = domain
    free = [domain for domain, count in sorted(room.items()) for _ in range(count)]
    moving = iter(free)
    return [(each, stays[each.key] if each.key in stays else next(moving)) for each in going]


def _bulk(request: GroupRequest) -> tuple[object, ...]:
    """Groups of large members first: small ones fit around them."""
    largest = max((amount for shape in (request.leader, request.worker) for _, amount in shape.requests), default=0)
    return (-largest, -request.size, request.created, request.key)
