"""How long to wait before trying again: doubling, capped, and drawn at random so that replicas do not march in step."""

from __future__ import annotations

from random import Random


class Backoff:
    """The n-th wait is between half and all of `base * 2**n`, and never more than `cap` (seconds)."""

    def __init__(self, base: float, cap: float, random: Random) -> None:
        self._base, self._cap, self._random = base, cap, random
        self._failures = 0

    def next(self) -> float:
        delay = min(self._cap, self._base * 2.0**self._failures)
        if delay < self._cap:
            self._failures += 1
        return delay * self._random.uniform(0.5, 1.0)

    def reset(self) -> None:
        self._failures = 0
