"""Faults that last: what is down or frozen."""

from __future__ import annotations

from tests.invariants.stages import LIMIT_SECONDS


class Outages:
    """When a component was down or frozen: a fault from beginning to end, however long."""

    def __init__(self) -> None:
        self._open: dict[str, float] = {}
        self._over: list[tuple[float, float]] = []

    def begin(self, component: str, now: float) -> None:
        self._open.setdefault(component, now)

    def end(self, component: str, now: float) -> None:
        if component in self._open:
            self._over.append((self._open.pop(component), now))

    def moments(self, now: float) -> list[float]:
        """Moments of all of them, as close together as half the time that a stage has after a fault."""
        spans = [*self._over, *((began, now) for began in self._open.values())]
        step = LIMIT_SECONDS / 2
        return [began + step * count for began, ended in spans for count in range(int((ended - began) // step) + 1)]
