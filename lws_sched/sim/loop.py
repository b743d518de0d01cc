"""The simulated clock and what happens when: one thread, one seed, one order.

Everything that happens is an action with a due time. `step` runs the one that is due first and moves the clock there;
actions due at the same time run in seeded order. Durations are drawn around their usual value (`jitter`), so that
different seeds interleave the components differently, and the same seed always in the same way.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from dataclasses import dataclass
from random import Random

START = 1767225600.0
"""2026-01-01T00:00:00Z, when every simulated world begins."""
MAX_ACTIONS_AT_ONCE = 200_000
"""More actions than this without the clock moving are a loop."""


@dataclass(frozen=True)
class Latencies:
    """How long things usually take, seconds."""

    read: float = 0.001
    """A component's GET or LIST."""
    write: float = 0.002
    """A component's write."""
    watch: float = 0.001
    """From a write to a watcher's informer."""
    pickup: float = 0.0002
    """From a key in a queue to the worker that takes it."""
    relist: float = 0.05
    scheduling_cycle: float = 0.002
    extender_call: float = 0.001
    extender_timeout: float = 15.0
    """`httpTimeout` of the scheduler configuration that users are given."""
    collector: float = 0.005
    """From a deletion to the garbage collector's answer."""
    container_start: float = 0.2
    container_stop: float = 0.2
    node_lifecycle: float = 0.1
    """From a change of a node's readiness to its taints."""
    orphaned_pod: float = 40.0
    """How long pods of a deleted node are kept at least."""


class SimClock:
    """The clock that components see: moved by the loop alone."""

    def __init__(self) -> None:
        self.elapsed = 0.0

    def now(self) -> float:
        return START + self.elapsed

    def monotonic(self) -> float:
        return self.elapsed


class Scheduled:
    """An action to come."""

    __slots__ = ("action", "due")

    def __init__(self, due: float, action: Callable[[], None] | None) -> None:
        self.due, self.action = due, action

    def cancel(self) -> None:
        self.action = None


class Livelock(Exception):
    """Actions follow each other and the clock does not move."""


class Loop:
    def __init__(self, seed: int, latencies: Latencies) -> None:
        self.clock = SimClock()
        self.rng = Random(seed)
        self.latencies = latencies
        self._heap: list[tuple[float, float, int, Scheduled]] = []
        self._serial = 0
        self._at_once = 0

    @property
    def elapsed(self) -> float:
        """Simulated seconds since the start."""
        return self.clock.elapsed

    def at(self, due: float, action: Callable[[], None]) -> Scheduled:
        scheduled = Scheduled(max(due, self.clock.elapsed), action)
        self._serial += 1
        heapq.heappush(self._heap, (scheduled.due, self.rng.random(), self._serial, scheduled))
        return scheduled

    def after(self, seconds: float, action: Callable[[], None]) -> Scheduled:
        return self.at(self.clock.elapsed + seconds, action)

    def soon(self, usual: float, action: Callable[[], None]) -> Scheduled:
        """After about `usual` seconds."""
        return self.after(self.jitter(usual), action)

    def jitter(self, usual: float) -> float:
        """Between half and one and a half times the usual value."""
        return usual * (0.5 + self.rng.random())

    def next_due(self) -> float | None:
        """When the next action is due, in elapsed seconds; None where there is none."""
        while self._heap and self._heap[0][3].action is None:
            heapq.heappop(self._heap)
        return self._heap[0][0] if self._heap else None

    def step(self) -> bool:
        """Run the next action; False where there is none."""
        if self.next_due() is None:
            return False
        due, _, _, scheduled = heapq.heappop(self._heap)
        self._at_once = 0 if due > self.clock.elapsed else self._at_once + 1
        if self._at_once > MAX_ACTIONS_AT_ONCE:
            raise Livelock(f"{MAX_ACTIONS_AT_ONCE} actions at {due:.3f} s: something answers itself without end")
        self.clock.elapsed = due
        action = scheduled.action
        assert action is not None
        scheduled.action = None
        action()
        return True

    def sleep_until(self, when: float) -> None:
        """Move the clock where nothing is due before."""
        self.clock.elapsed = max(self.clock.elapsed, when)
