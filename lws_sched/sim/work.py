"""Work queues on the simulated clock, for the product's components and for the simulated Kubernetes alike.

A key is run by one worker at a time; added while it runs, it is run once more afterwards. A run happens at one moment,
and keeps its worker busy for as long as its requests would have taken. A refused request (ApiError) or a lost lease has
the key run again after a back-off that doubles; any other exception is a bug and ends the simulation.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Protocol

from lws_sched.kube.errors import ApiError, LostLease
from lws_sched.kube.port import Reconcile
from lws_sched.sim.loop import Loop, Scheduled
from lws_sched.sim.store import ObjectStore

log = logging.getLogger(__name__)

FIRST_BACKOFF, LAST_BACKOFF = 0.005, 1000.0
"""Seconds; client-go's default rate limiter for controllers."""
Action = Callable[[], None]


class Host(Protocol):
    """On whose behalf a queue runs."""

    loop: Loop

    def guarded(self, action: Action) -> Action:
        """The action as the host runs it: not at all once it is dead."""

    def begin(self) -> None:
        """A unit of work starts."""

    def end(self) -> float:
        """The unit of work ends: the simulated seconds that it took."""


class SimQueue:
    """`lws_sched.kube.port.Queue` on the simulated clock."""

    def __init__(self, host: Host, name: str, reconcile: Reconcile, workers: int, *, is_open: bool = True) -> None:
        self.name = name
        self._host = host
        self._reconcile = reconcile
        self._workers = workers
        self._is_open = is_open
        self._ready: dict[str, None] = {}
        self._running: set[str] = set()
        self._again: set[str] = set()
        self._delayed: dict[str, Scheduled] = {}
        self._failures: dict[str, int] = {}

    def __len__(self) -> int:
        """Keys that are ready or running."""
        return len(self._ready) + len(self._running)

    def add(self, key: str) -> None:
        if key in self._running:
            self._again.add(key)
        else:
            self._ready[key] = None
            self._dispatch()

    def add_after(self, key: str, seconds: float) -> None:
        due = self._host.loop.elapsed + seconds
        known = self._delayed.get(key)
        if known is not None and known.action is not None:
            if known.due <= due:
                return
            known.cancel()
        self._delayed[key] = self._host.loop.at(due, self._host.guarded(lambda: self._ripen(key)))

    def open(self) -> None:
        """Let keys run: until then they only gather."""
        self._is_open = True
        self._dispatch()

    def _ripen(self, key: str) -> None:
        del self._delayed[key]
        self.add(key)

    def _dispatch(self) -> None:
        loop = self._host.loop
        while self._is_open and self._ready and len(self._running) < self._workers:
            key = next(iter(self._ready))
            del self._ready[key]
            self._running.add(key)
            loop.soon(loop.latencies.pickup, self._host.guarded(self._runner(key)))

    def _runner(self, key: str) -> Action:
        return lambda: self._run(key)

    def _run(self, key: str) -> None:
        self._host.begin()
        again: float | None
        try:
            again = self._reconcile(key)
            self._failures.pop(key, None)
        except (ApiError, LostLease) as error:
            again = self._backoff(key)
            log.info("queue=%s key=%s again in %.3f s: %s", self.name, key, again, error)
        self._host.loop.after(self._host.end(), self._host.guarded(lambda: self._done(key, again)))

    def _backoff(self, key: str) -> float:
        failures = self._failures[key] = self._failures.get(key, 0) + 1
        return float(min(FIRST_BACKOFF * 2.0 ** (failures - 1), LAST_BACKOFF))

    def _done(self, key: str, again: float | None) -> None:
        self._running.discard(key)
        if again is not None:
            self.add_after(key, again)
        if key in self._again:
            self._again.discard(key)
            self._ready[key] = None
        self._dispatch()


class Steady:
    """The host of a component of the simulated Kubernetes: it never crashes, and its writes take their time."""

    def __init__(self, loop: Loop, store: ObjectStore) -> None:
        self.loop = loop
        self._store = store
        self._before = 0

    def guarded(self, action: Action) -> Action:
        return action

    def begin(self) -> None:
        self._before = self._store.rv

    def end(self) -> float:
        return (self._store.rv - self._before) * self.loop.jitter(self.loop.latencies.write)
