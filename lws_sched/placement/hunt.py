"""The cheapest victims over every domain that could take a group.

Every domain is bounded from below (`Cover.least`) and answered greedily, most promising first; then those whose bound
is still below the best answer are solved: by dynamic programming where hosts are not shared, else by CP-SAT. What a
domain's arithmetic says is enough counts only once it was tried on the fleet without the victims; where the group asks
for more than the arithmetic knows of, sets that are not enough are forbidden and the domain is solved again.

Every answer is minimal: without evicting any one of its victims the group does not fit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from lws_sched.placement import cover_model
from lws_sched.placement.cover import Cover
from lws_sched.placement.request import Budget
from lws_sched.placement.snapshot import Snapshot
from lws_sched.placement.victims import Scale, Victim, without


@dataclass(frozen=True)
class Found:
    """Numbers of the victims, what they cost, and the cost below which there is no set."""

    evicted: frozenset[int]
    weight: int
    bound: int


class Hunt:
    """One search. `fits` has the last word on whether the fleet without some victims takes the group."""

    def __init__(
        self,
        snapshot: Snapshot,
        offered: Sequence[Victim],
        scale: Scale,
        budget: Budget,
        fits: Callable[[Snapshot], bool],
    ) -> None:
        self._snapshot = snapshot
        self._offered = offered
        self._scale = scale
        self._fits = fits
        self._left = budget.deterministic_time
        self._best = frozenset(range(len(offered)))
        """The cheapest set known to be enough."""

    def cheapest(self, covers: Iterable[Cover]) -> Found:
        """`covers` are the domains that could take the group; it must fit once all victims are gone."""
        if self._is_enough(frozenset()):
            return Found(frozenset(), 0, 0)
        promising = sorted(((cover.least(), cover) for cover in covers), key=lambda each: each[0])
        for least, cover in promising:
            if least < self._weight(self._best):
                self._try(cover)
        bounds = [self._solve(cover, least) for least, cover in promising if least < self._weight(self._best)]
        bound = min([self._weight(self._best), *bounds])
        if bound < self._weight(self._best):
            self._best = self._spared(self._best)
        return Found(self._best, self._weight(self._best), bound)

    def _weight(self, evicted: Iterable[int]) -> int:
        return sum(self._scale.weights[each] for each in evicted)

    def _is_enough(self, evicted: Iterable[int]) -> bool:
        gone = without(self._snapshot, [self._offered[each] for each in sorted(evicted)])
        return self._fits(gone)

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
