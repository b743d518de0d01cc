"""Which groups and pods of lower priority to evict so that a group fits: the cheapest set over every domain.

Every domain that could take the group with all victims gone is bounded from below (`Cover.least`) and answered
greedily, most promising first; then those whose bound is still below the best answer are solved: by dynamic
programming where hosts are not shared, else by CP-SAT. What a domain's arithmetic says is enough counts only once
`search` has found a place on the fleet without the victims; where the group asks for more than the arithmetic knows
of, sets that are not enough are forbidden and the domain is solved again.

Every answer is minimal: without evicting any one of its victims the group does not fit. Its placement is checked by
code that shares nothing with all this. The order of costs is that of `victims.Cost`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from lws_sched.placement import cover_model, wording
from lws_sched.placement.cover import Cover
from lws_sched.placement.exact import search
from lws_sched.placement.explain import diagnose
from lws_sched.placement.obstruction import covers
from lws_sched.placement.request import Budget, GroupRequest, Placed, Refused
from lws_sched.placement.snapshot import Snapshot
from lws_sched.placement.verify import verify
from lws_sched.placement.victims import Cost, Scale, Victim, evictable, without

DEFAULT_BUDGET = Budget()


@dataclass(frozen=True)
class Eviction:
    """Whom to evict, and the place that the group has once they are gone."""

    key: str
    victims: tuple[str, ...]
    """Keys, in natural order; empty where the group fits as things are."""
    placed: Placed
    value: Cost
    bound: Cost
    """No set that makes room costs less."""
    proof: str
    """`optimal` where value and bound agree, else `feasible`."""
    reason: str


def preempt(
    snapshot: Snapshot, request: GroupRequest, victims: Iterable[Victim], budget: Budget = DEFAULT_BUDGET
) -> Eviction | Refused:
    """The cheapest victims of lower priority than the request's, whose leaving lets it in.

    `snapshot` is the fleet with the victims in place, their members charged to tenants named like the victims. The
    budget bounds the solver alone: with none, answers are greedy, and exact where hosts are not shared. Refused where
    the group does not fit even with all of them gone.
    """
    offered = evictable(victims, request.priority)
    cleared = without(snapshot, offered)
    if search(cleared, request) is None:
        return _refused(cleared, request, len(offered))
    scale = Scale(offered)
    found = _Hunt(snapshot, request, offered, scale, budget).cheapest()
    gone = [offered[each] for each in sorted(found.evicted)]
    after = without(snapshot, gone)
    placed = search(after, request)
    assert placed is not None
    verify(after, request, placed)
    value, bound = (scale.cost(each) for each in (found.weight, found.bound))
    return Eviction(
        key=request.key,
        victims=tuple(each.key for each in gone),
        placed=placed,
        value=value,
        bound=bound,
        proof="optimal" if value == bound else "feasible",
        reason=_reason(gone, placed),
    )


def _refused(cleared: Snapshot, request: GroupRequest, count: int) -> Refused:
    diagnosis = diagnose(cleared, request)
    others = f"all {count} groups and pods" if count > 1 else "the one group or pod"
    evicted = f", even with {others} of lower priority evicted" if count else "; nothing of lower priority is there"
    return Refused(request.key, diagnosis.reason + evicted, diagnosis.fix, "infeasible")


def _reason(gone: Sequence[Victim], placed: Placed) -> str:
    where = placed.domain_value or "the cluster"
    if not gone:
        return f"it fits in {where} as things are"
    named = wording.listed([each.key for each in gone], "group or pod")
    pods = sum(len(each.pods) for each in gone)
    highest = max(each.priority for each in gone)
    protected = [each.key for each in gone if each.protected]
    despite = f", although disruption budgets protect {wording.listed(protected, 'group')}" if protected else ""
    return (
        f"evicting {named} ({pods} pod{'s' if pods > 1 else ''} of priority {highest} at most) "
        f"makes room in {where}{despite}"
    )


@dataclass(frozen=True)
class _Found:
    evicted: frozenset[int]
    weight: int
    bound: int


class _Hunt:
    """The search for the cheapest set over all domains."""

    def __init__(
        self, snapshot: Snapshot, request: GroupRequest, offered: Sequence[Victim], scale: Scale, budget: Budget
    ) -> None:
        self._snapshot = snapshot
        self._request = request
        self._offered = offered
        self._scale = scale
        self._left = budget.deterministic_time
        self._best = frozenset(range(len(offered)))
        """The cheapest set known to be enough."""

    def cheapest(self) -> _Found:
        if self._is_enough(frozenset()):
            return _Found(frozenset(), 0, 0)
        domains = covers(self._snapshot, self._request, self._offered, self._scale)
        promising = sorted(((cover.least(), cover) for cover in domains), key=lambda each: each[0])
        for least, cover in promising:
            if least < self._weight(self._best):
                self._try(cover)
        bounds = [self._solve(cover, least) for least, cover in promising if least < self._weight(self._best)]
        bound = min([self._weight(self._best), *bounds])
        if bound < self._weight(self._best):
            self._best = self._spared(self._best)
        return _Found(self._best, self._weight(self._best), bound)

    def _weight(self, evicted: Iterable[int]) -> int:
        return sum(self._scale.weights[each] for each in evicted)

    def _is_enough(self, evicted: Iterable[int]) -> bool:
        gone = without(self._snapshot, [self._offered[each] for each in sorted(evicted)])
        return search(gone, self._request) is not None

    def _keep(self, evicted: frozenset[int]) -> None:
        if self._weight(evicted) < self._weight(self._best):
            self._best = evicted

    def _try(self, cover: Cover) -> None:
        """A cheap set for one domain, if it improves on what is known."""
        found = _named(cover, cover.greedy())
        if self._weight(found) >= self._weight(self._best):
            return
        if self._is_enough(found):
            self._keep(found)
        elif self._is_enough(cover.victims):
            self._keep(self._spared(frozenset(cover.victims)))

    def _spared(self, evicted: frozenset[int]) -> frozenset[int]:
        """Without those that can be spared, the dearest first."""
        for each in sorted(evicted, key=lambda each: (-self._scale.weights[each], each)):
            if self._is_enough(evicted - {each}):
                evicted -= {each}
        return evicted

    def _solve(self, cover: Cover, least: int) -> int:
        """Find the cheapest set for one domain; the weight below which there is none."""
        exact = cover.knapsack()
        if exact is not None:
            found = _named(cover, exact)
            if self._weight(found) >= self._weight(self._best):
                return self._weight(found)
            if self._is_enough(found):
                self._keep(found)
                return self._weight(found)
            least = self._weight(found)
        short: list[frozenset[int]] = []
        known = cover.greedy()
        while least < self._weight(self._best) and self._left > 0:
            answer = cover_model.cheapest(cover, self._scale, known, short, self._left)
            self._left -= answer.deterministic_time
            least = max(least, answer.bound)
            found = _named(cover, answer.evicted)
            if self._is_enough(found):
                self._keep(found)
                return least
            if not short and not self._is_enough(cover.victims):
                return self._weight(range(len(self._offered)))
            short.append(self._widened(cover, answer.evicted))
        return least

    def _widened(self, cover: Cover, evicted: frozenset[int]) -> frozenset[int]:
        """As many of the domain's victims as can go and the group still does not fit."""
        for each in range(len(cover.victims)):
            if not self._is_enough(_named(cover, evicted | {each})):
                evicted |= {each}
        return evicted


def _named(cover: Cover, evicted: Iterable[int]) -> frozenset[int]:
    """The numbers among all that are offered of a domain's victims."""
    return frozenset(cover.victims[each] for each in evicted)
