"""The fewest pods to move, found by trying all moves in all orders. One resource; shares no code with the engine."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from heapq import heappop, heappush
from itertools import combinations_with_replacement, count


@dataclass(frozen=True)
class Host:
    rack: str
    capacity: int


@dataclass(frozen=True)
class Set:
    """Pods that are alike and move together; `bound` ones share a rack."""

    pods: int
    each: int
    bound: bool


Slots = tuple[str, ...]


def fewest_pods(
    hosts: Mapping[str, Host], sets: Sequence[Set], start: Sequence[Slots], wanted: Set, once: bool
) -> int | None:
    """Pods moved until `wanted` fits, every move into room that is free then; None where it never does. `once`: no set
    moves twice."""
    tie = count()
    first = (tuple(tuple(sorted(slots)) for slots in start), frozenset[int]())
    queue = [(0, next(tie), *first)]
    done: set[tuple[tuple[Slots, ...], frozenset[int]]] = set()
    while queue:
        pods, _, places, moved = heappop(queue)
        if (places, moved) in done:
            continue
        done.add((places, moved))
        free = _free(hosts, sets, places)
        if any(True for _ in _options(hosts, free, wanted)):
            return pods
        for number, each in enumerate(sets):
            if once and number in moved:
                continue
            for slots in _options(hosts, free, each):
                after = (*places[:number], slots, *places[number + 1 :])
                gone = moved | {number} if once else moved
                heappush(queue, (pods + each.pods, next(tie), after, gone))
    return None


def _free(hosts: Mapping[str, Host], sets: Sequence[Set], places: Sequence[Slots]) -> dict[str, int]:
    free = {name: host.capacity for name, host in hosts.items()}
    for each, slots in zip(sets, places, strict=True):
        for name in slots:
            free[name] -= each.each
    return free


def _options(hosts: Mapping[str, Host], free: Mapping[str, int], wanted: Set) -> Iterator[Slots]:
    racks = sorted({host.rack for host in hosts.values()}) if wanted.bound else [None]
    for rack in racks:
        names = sorted(name for name, host in hosts.items() if rack is None or host.rack == rack)
        for slots in combinations_with_replacement(names, wanted.pods):
            if all(free[name] >= wanted.each * number for name, number in Counter(slots).items()):
                yield slots
