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

The solver runs on one thread with a fixed seed and deterministic time, from the greedy answer as a complete hint.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from math import gcd

import numpy as np

from lws_sched.placement.assignment import Counts, Kind, Model, best_counts, members_of, takes
from lws_sched.placement.exact import search
from lws_sched.placement.node import taken
from lws_sched.placement.request import Budget, GroupRequest, Placed
from lws_sched.placement.room import Asked, asked, closed_to, room_for, whole_need
from lws_sched.placement.snapshot import Snapshot, kind_of
from lws_sched.placement.table import Ints, Partition

MOST_DOMAINS = 64
"""Domains in one model; of more, those that come closest to taking a group that is left out."""


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

    Groups that ask for the same topology keys are looked at together, those of which most members are left out first.
    """
    best, spent = problem.incumbent, 0.0
    bound = ceiling(problem.snapshot, problem.admitted, problem.wanting)
    for keys in _left_out(problem):
        if spent >= budget.deterministic_time or _members(problem.wanting, best) >= bound:
            break
        part = _part(replace(problem, incumbent=best), keys)
        model = _model(problem, best, part)
        found = best_counts(model, budget.deterministic_time - spent)
        spent += found.deterministic_time
        if part.complete:
            bound = min(bound, found.bound - sum(request.size for request in problem.admitted))
        placed = _expand(problem, best, part, model, found.counts) if found.counts is not None else None
        if placed is not None and _members(problem.wanting, placed) > _members(problem.wanting, best):
            best = placed
    return Improved(best, bound, spent)


def ceiling(snapshot: Snapshot, admitted: Sequence[GroupRequest], wanting: Sequence[GroupRequest]) -> int:
    """At most how many wanting members all nodes together hold, topology aside: a bound that costs next to nothing.

    Per resource, groups count from the cheapest member up, the last one in part (fractional knapsack). On every node
    only multiples of the members' common divisor count.
    """
    everyone = (*admitted, *wanting)
    bound = sum(request.size for request in wanting)
    shapes = {shape for request in everyone for shape, count in members_of(request) if count}
    amounts = [taken(dict(shape.requests)) for shape in shapes]
    for resource in sorted({name for each in amounts for name in each}):
        unit = gcd(*(each.get(resource, 0) for each in amounts))
        free = np.where(snapshot.schedulable, snapshot.available(resource).clip(0), 0)
        left = int((free // unit * unit).sum()) - sum(takes(request, resource) for request in admitted)
        bound = min(bound, _most_members(left, [(takes(each, resource), each.size) for each in wanting]))
    return bound


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


def _part(problem: Problem, base: tuple[str, ...]) -> _Part:
    """The groups that ask for these keys and stand in the domains to be rearranged; all others stay."""
    snapshot = problem.snapshot
    domains = snapshot.table.partition(base)
    chosen = _chosen(problem, base, domains)
    movable, fixed = [], []
    for request in (*problem.admitted, *problem.wanting):
        placed = problem.incumbent.get(request.key)
        is_inside = placed is None or _domain_of(snapshot, domains, placed) in chosen
        if not request.stay and _base(snapshot, request) == base and is_inside:
            movable.append(request)
        elif placed is not None:
            fixed.append(request)
    start = snapshot
    for request in fixed:
        start = start.with_group(request, problem.incumbent[request.key].slots)
    complete = len(movable) == len(problem.admitted) + len(problem.wanting) and len(chosen) == domains.count
    return _Part(start, tuple(movable), tuple(fixed), domains, tuple(sorted(chosen)), complete)


def _chosen(problem: Problem, base: tuple[str, ...], domains: Partition) -> set[int]:
    """All domains, or of many those with the most room left for a group that is left out."""
    if domains.count <= MOST_DOMAINS:
        return set(range(domains.count))
    after = problem.snapshot
    for request in (*problem.admitted, *problem.wanting):
        if request.key in problem.incumbent:
            after = after.with_group(request, problem.incumbent[request.key].slots)
    out = [each for each in problem.wanting if each.key not in problem.incumbent]
    kinds = {kind_of(after, each): each for each in out if _base(after, each) == base}
    room = np.max([_slack(after, each, domains) for each in kinds.values()], axis=0)
    return set(np.argsort(-room, kind="stable")[:MOST_DOMAINS].tolist())


def _slack(snapshot: Snapshot, request: GroupRequest, domains: Partition) -> Ints:
    keys = asked(snapshot.table, request)
    assert isinstance(keys, Asked)
    return room_for(snapshot, request, closed_to(snapshot, request, keys)).slack(domains, whole_need(request))


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


def _expand(
    problem: Problem, incumbent: Mapping[str, Placed], part: _Part, model: Model, counts: Counts
) -> dict[str, Placed] | None:
    """Concrete places for the counts; None where a group that must stay finds none."""
    assigned: dict[int, list[GroupRequest]] = {}
    for kind, row in zip(model.kinds, counts, strict=True):
        for request, domain in _share_out(incumbent, part, kind, row):
            assigned.setdefault(domain, []).append(request)
    before: dict[int, set[str]] = {}
    for request in part.movable:
        if request.key in incumbent:
            domain = _domain_of(part.base, part.domains, incumbent[request.key])
            before.setdefault(domain, set()).add(request.key)
    placed = {request.key: incumbent[request.key] for request in part.fixed}
    snapshot, homeless = part.base, []
    for domain, groups in sorted(assigned.items()):
        same = {each.key for each in groups} == before.get(domain, set())
        inside = part.domains.codes == domain
        for request in sorted(groups, key=_bulk):
            found = incumbent[request.key] if same else search(snapshot, request, inside)
            if found is None:
                homeless.append(request)
            else:
                placed[request.key] = found
                snapshot = snapshot.with_group(request, found.slots)
    for request in homeless:
        found = search(snapshot, request)
        if found is not None:
            placed[request.key] = found
            snapshot = snapshot.with_group(request, found.slots)
    return placed if all(request.key in placed for request in problem.admitted) else None


def _share_out(
    incumbent: Mapping[str, Placed], part: _Part, kind: Kind, row: dict[int, int]
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
