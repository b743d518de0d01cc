"""What evictions can achieve, found by trying all of them. Shares no code with the engine but the value types."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import combinations

from lws_sched.placement import Victim

Enough = Callable[[frozenset[str]], bool]
"""Whether the group fits once the victims with these keys are gone."""


def cheapest_eviction(offered: Sequence[Victim], enough: Enough) -> tuple[int, tuple[int, ...], int, int] | None:
    """What the cheapest set of victims costs, part by part; None where all of them are not enough."""
    sets = [
        evicted
        for count in range(len(offered) + 1)
        for evicted in combinations(offered, count)
        if enough(frozenset(each.key for each in evicted))
    ]
    return min((cost_of(each, offered) for each in sets), default=None)


def cost_of(evicted: Sequence[Victim], offered: Sequence[Victim]) -> tuple[int, tuple[int, ...], int, int]:
    """Protected victims, pods per priority from the highest, victims, and for each how many are younger."""
    priorities = sorted({each.priority for each in offered}, reverse=True)
    return (
        sum(each.protected for each in evicted),
        tuple(sum(len(each.pods) for each in evicted if each.priority == priority) for priority in priorities),
        len(evicted),
        sum(other.created > each.created for each in evicted for other in offered),
    )
