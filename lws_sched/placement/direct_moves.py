"""Moves without chains, in whole hosts: who leaves a domain goes straight to hosts that are free elsewhere.

`least_leaving` is a bound from below for each domain: the fewest pods whose leaving makes room there, wherever they
go (a dynamic programme over the hosts freed). `direct` tries, for the domain with the least bound first, the sets that
reach the bound, relocated best-fit decreasing. What it finds at the very least bound is optimal; otherwise it is an
answer to better.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice

from lws_sched.placement.counted import Counted, Counts

MOST_SETS = 64
"""Sets tried per domain."""


def least_leaving(case: Counted) -> dict[int, int]:
    """Per domain that could take the group, the fewest pods that must leave it."""
    found: dict[int, int] = {}
    for domain in sorted(case.targets):
        missing = max(case.size - case.free[domain], 0)
        best = [0] + [-1] * missing
        for kind in case.kinds:
            for _ in range(kind.standing.get(domain, 0)):
                for freed in range(missing, -1, -1):
                    reached = min(freed + kind.frees, missing)
                    pods = best[freed] + kind.size
                    if best[freed] >= 0 and kind.frees and not 0 <= best[reached] <= pods:
                        best[reached] = pods
        if best[missing] >= 0:
            found[domain] = best[missing]
    return found


def direct(case: Counted, least: dict[int, int]) -> Counts | None:
    """Moves of as few pods as `least` says for some domain; None where none were found, or where domains are
    exclusive."""
    if case.exclusive or any(kind.exclusive for kind in case.kinds):
        return None
    for domain in sorted(least, key=lambda each: (least[each], each)):
        for leaving in islice(_sets(case, domain, least[domain]), MOST_SETS):
            entering = _relocated(case, domain, leaving)
            if entering is not None:
                gone = {(number, domain): count for number, count in enumerate(leaving) if count}
                return Counts(gone, entering, domain, least[domain])
    return None


def _sets(case: Counted, domain: int, pods: int) -> Iterator[tuple[int, ...]]:
    """Pieces per kind, exactly so many pods in all, whose leaving makes room."""
    missing = case.size - case.free[domain]

    def extended(number: int, left: int, freed: int) -> Iterator[tuple[int, ...]]:
        if number == len(case.kinds):
            if not left and freed >= missing:
                yield ()
            return
        kind = case.kinds[number]
        for count in range(min(kind.standing.get(domain, 0), left // kind.size), -1, -1):
            for rest in extended(number + 1, left - count * kind.size, freed + count * kind.frees):
                yield (count, *rest)

    return extended(0, pods, 0)


def _relocated(case: Counted, domain: int, leaving: Sequence[int]) -> dict[tuple[int, int], int] | None:
    """Where they all go, largest first, each to the tightest domain that takes it; None where one finds no room."""
    free = dict(enumerate(case.free))
    del free[domain]
    entering: dict[tuple[int, int], int] = {}
    order = sorted(range(len(case.kinds)), key=lambda number: -case.kinds[number].size)
    for number in (each for each in order for _ in range(leaving[each])):
        kind = case.kinds[number]
        fitting = [each for each, room in free.items() if room >= kind.size and each in kind.enters]
        if not fitting:
            return None
        tightest = min(fitting, key=lambda each: (free[each], each))
        free[tightest] -= kind.size
        entering[number, tightest] = entering.get((number, tightest), 0) + 1
    return entering
