"""The instruments: numbers that are added to where things happen, and read when somebody scrapes.

Adding costs a fraction of a microsecond. What can be worked out from what is there anyway (a queue's length, sets by
condition) is not counted at all: a `Gauge` asks for it at the time of the scrape.
"""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from lws_sched.telemetry.families import Family

Labels = tuple[str, ...]
"""The values of a family's labels, in the family's order."""


class Counter:
    """A number per combination of labels that only grows. Thread-safe."""

    def __init__(self, family: Family) -> None:
        self.family = family
        self._lock = threading.Lock()
        self._values: dict[Labels, int] = {}

    def add(self, *labels: str, by: int = 1) -> None:
        with self._lock:
            self._values[labels] = self._values.get(labels, 0) + by

    def values(self) -> dict[Labels, int]:
        with self._lock:
            return dict(self._values)


@dataclass
class Distribution:
    """One histogram's content: how many observations fell into each bucket, the last one without bound; their sum."""

    counts: list[int]
    sum: float = 0.0


class Histogram:
    """How observations are distributed over the family's buckets, per combination of labels. Thread-safe."""

    def __init__(self, family: Family) -> None:
        self.family = family
        self._lock = threading.Lock()
        self._values: dict[Labels, Distribution] = {}

    def observe(self, value: float, *labels: str) -> None:
        bucket = bisect_left(self.family.buckets, value)
        with self._lock:
            found = self._values.get(labels)
            if found is None:
                found = self._values[labels] = Distribution([0] * (len(self.family.buckets) + 1))
            found.counts[bucket] += 1
            found.sum += value

    def values(self) -> dict[Labels, Distribution]:
        with self._lock:
            return {labels: Distribution(list(each.counts), each.sum) for labels, each in self._values.items()}


@dataclass(frozen=True)
class Gauge:
    """Numbers that `read` finds out at the time of the scrape."""

    family: Family
    read: Callable[[], Mapping[Labels, float]]


Instrument = Counter | Histogram | Gauge
