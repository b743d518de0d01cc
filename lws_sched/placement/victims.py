"""Groups and pods that may be evicted: what they hold, what evicting them costs, and the fleet without them.

The cost of a set of victims is compared in this order, each only where all before it are equal:

1. victims that a PodDisruptionBudget protects, fewest first;
2. pods evicted of the highest priority among those offered, fewest first, then of the next priority, down to the
   lowest: no pod of a priority is evicted where pods of lower priorities are enough;
3. victims, fewest first: equal numbers of pods, but fewer groups disturbed;
4. the sum of the victims' age ranks, least first: a victim's rank is how many of those offered are younger.

Every part is a sum over the victims, so a cost can be written as one whole number (`Scale`), and the cheapest set is a
covering problem with one weight per victim.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from lws_sched.placement.node import natural_key, taken
from lws_sched.placement.request import Amounts
from lws_sched.placement.snapshot import Snapshot


@dataclass(frozen=True)
class Victim:
    """A whole group, or a pod that is in none. Never a part of a group."""

    key: str
    """Of a group, the key that its charges carry in the fleet: `namespace/leader-pod-name`."""
    priority: int
    pods: tuple[tuple[str, Amounts], ...]
    """Per pod, its node and what it requests."""
    protected: bool = False
    """A PodDisruptionBudget does not allow the eviction now."""
    created: str = ""
    """RFC 3339; the youngest go first among equals."""


@dataclass(frozen=True, order=True)
class Cost:
    """What evicting a set of victims costs; smaller is better, fields compared in order."""

    protected: int
    pods: tuple[int, ...]
    """Pods evicted per priority, highest priority first, of the priorities that the offered victims have."""
    victims: int
    age: int


class Scale:
    """Costs of the offered victims as whole numbers that compare and add as the costs do."""

    def __init__(self, offered: Sequence[Victim]) -> None:
        self._priorities = sorted({each.priority for each in offered}, reverse=True)
        created = sorted(each.created for each in offered)
        self._younger = [len(created) - bisect_right(created, each.created) for each in offered]
        self.parts = tuple(self._parts(number, each) for number, each in enumerate(offered))
        """Per victim, its share of every part of the cost."""
        self.widths = tuple(1 + sum(column) for column in zip(*self.parts, strict=True))
        """Per part, one more than it can come to."""
        self.weights = tuple(self.weight(parts) for parts in self.parts)
        """Per victim, its cost as a number."""

    def weight(self, parts: Iterable[int]) -> int:
        number = 0
        for amount, width in zip(parts, self.widths, strict=True):
            number = number * width + amount
        return number

    def cost(self, weight: int) -> Cost:
        """The cost that a number stands for."""
        parts = []
        for width in reversed(self.widths):
            weight, part = divmod(weight, width)
            parts.append(part)
        protected, *pods, victims, age = reversed(parts) if parts else (0, 0, 0)
        return Cost(protected, tuple(pods), victims, age)

    def _parts(self, number: int, victim: Victim) -> tuple[int, ...]:
        pods = [len(victim.pods) if victim.priority == each else 0 for each in self._priorities]
        return (int(victim.protected), *pods, 1, self._younger[number])


def evictable(victims: Iterable[Victim], priority: int) -> tuple[Victim, ...]:
    """Those of lower priority, in one order whatever order they came in."""
    return tuple(sorted((each for each in victims if each.priority < priority), key=lambda each: natural_key(each.key)))


def without(snapshot: Snapshot, victims: Iterable[Victim]) -> Snapshot:
    """The fleet once these are gone. Pods on nodes that it does not know give nothing back."""
    gone = tuple(victims)
    if not gone:
        return snapshot
    free, table = snapshot.free.copy(), snapshot.table
    freed: Counter[tuple[int, int]] = Counter()
    for victim in gone:
        for node, requests in victim.pods:
            position = table.position.get(node)
            if position is not None:
                for resource, amount in taken(dict(requests)).items():
                    freed[snapshot.resources.get(resource, -1), position] += amount
    for (row, position), amount in freed.items():
        if row >= 0:
            free[row, position] += amount
    numbers = [snapshot.tenancy.group_numbers[each.key] for each in gone if each.key in snapshot.tenancy.group_numbers]
    return replace(snapshot, free=free, tenancy=snapshot.tenancy.without(np.isin(snapshot.tenancy.groups, numbers)))
