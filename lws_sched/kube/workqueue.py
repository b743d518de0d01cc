"""Which key is reconciled when, and the threads that do it.

`QueueState` is the rule, without threads or clock: keys wait in order of arrival, a key is never handed out twice at
once, an addition while it runs makes one more run, a failure is followed by a wait that doubles per key. Of several
delayed additions of one key the earliest counts. `WorkQueue` runs it with worker threads; the simulated runtime runs
the same rule on its own clock.

A queue starts closed: keys gather, each once, and nobody works on them. It is opened when this process may write (all
informers are synced, the Lease is held) and closed when that ends.
"""

from __future__ import annotations

import heapq
import logging
import threading
import time
from collections.abc import Callable

from lws_sched.kube.errors import ApiError, Conflict, LostLease
from lws_sched.kube.port import Clock, Reconcile
from lws_sched.telemetry import families
from lws_sched.telemetry.counts import Counter, Histogram, Instrument

log = logging.getLogger(__name__)

FIRST_BACKOFF = 0.005
LONGEST_BACKOFF = 30.0
UNPERMITTED = 0.01
"""Seconds after which an open queue that may hand out nothing asks again: nobody notifies it of a permission."""
Outcome = float | None | Exception
"""What a run of `reconcile` came to: what it returned (seconds until it wants another run, or None) or raised."""


class QueueState:
    """Times are seconds of one monotonic clock, given by the caller. Not thread-safe."""

    def __init__(self, first_backoff: float = FIRST_BACKOFF, longest_backoff: float = LONGEST_BACKOFF) -> None:
        self._first, self._longest = first_backoff, longest_backoff
        self._ready: dict[str, float] = {}
        """Since when a key could be handed out."""
        self._running: set[str] = set()
        self._again: set[str] = set()
        """Added while running."""
        self._failures: dict[str, int] = {}
        self._due: dict[str, float] = {}
        self._heap: list[tuple[float, int, str]] = []
        """Delayed keys by due time; an entry that `_due` contradicts was overtaken by an earlier one."""
        self._serial = 0
        self.waited = 0.0
        """How long the key handed out last could have been handed out before, seconds."""

    def add(self, key: str, now: float = 0.0) -> None:
        if key in self._running:
            self._again.add(key)
        else:
            self._ready.setdefault(key, now)

    def add_after(self, key: str, seconds: float, now: float) -> None:
        if seconds <= 0:
            self.add(key, now)
            return
        due = now + seconds
        if due < self._due.get(key, float("inf")):
            self._due[key] = due
            self._serial += 1
            heapq.heappush(self._heap, (due, self._serial, key))

    def next(self, now: float) -> str | None:
        """The key to run now, which counts as running until `done`; None where there is none."""
        while self._prune() and self._heap[0][0] <= now:
            _, _, key = heapq.heappop(self._heap)
            del self._due[key]
            self.add(key, now)
        if not self._ready:
            return None
        key = next(iter(self._ready))
        self.waited = now - self._ready.pop(key)
        self._running.add(key)
        return key

    def done(self, key: str, outcome: Outcome, now: float) -> float | None:
        """End a run. Returns the seconds after which the key runs again by itself, if it does."""
        self._running.remove(key)
        after = outcome
        if isinstance(outcome, Exception):
            after = self._backoff(key)
        else:
            self._failures.pop(key, None)
        if key in self._again:
            self._again.remove(key)
            self.add(key, now)
        if isinstance(after, Exception) or after is None:
            return None
        self.add_after(key, after, now)
        return after

    def next_due(self) -> float | None:
        """When the earliest delayed key is due, by the caller's clock; None where none waits."""
        return self._heap[0][0] if self._prune() else None

    def waiting(self) -> int:
        """How many keys could be handed out now."""
        return len(self._ready)

    def running(self) -> int:
        """How many keys are handed out."""
        return len(self._running)

    def _prune(self) -> bool:
        """Drop overtaken entries; whether any is left."""
        while self._heap and self._due.get(self._heap[0][2]) != self._heap[0][0]:
            heapq.heappop(self._heap)
        return bool(self._heap)

    def _backoff(self, key: str) -> float:
        failures = self._failures.get(key, 0)
        delay = self._first * 2.0**failures
        if delay >= self._longest:
            return self._longest
        self._failures[key] = failures + 1
        return delay


class QueueMeter:
    """What is counted of all queues of a process."""

    def __init__(self) -> None:
        self._adds, self._retries = Counter(families.QUEUE_ADDS), Counter(families.QUEUE_RETRIES)
        self._results, self._errors = Counter(families.RECONCILES), Counter(families.RECONCILE_ERRORS)
        self._waits, self._works = Histogram(families.QUEUE_WAIT), Histogram(families.QUEUE_WORK)
        self._reconciles = Histogram(families.RECONCILE_SECONDS)

    def instruments(self) -> tuple[Instrument, ...]:
        return (
            *(self._adds, self._retries, self._results, self._errors),
            *(self._waits, self._works, self._reconciles),
        )

    def added(self, queue: str) -> None:
        self._adds.add(queue)

    def taken(self, queue: str, waited: float) -> None:
        self._waits.observe(waited, queue)

    def ran(self, queue: str, outcome: Outcome, seconds: float) -> None:
        self._works.observe(seconds, queue)
        self._reconciles.observe(seconds, queue)
        if isinstance(outcome, Conflict | LostLease):
            self._results.add(queue, "requeue")
        elif isinstance(outcome, Exception):
            self._results.add(queue, "error")
            self._errors.add(queue)
        else:
            self._results.add(queue, "success" if outcome is None else "requeue_after")
        if isinstance(outcome, Exception):
            self._retries.add(queue)


class WorkQueue:
    """Implements `port.Queue` with worker threads. `permitted` is asked before each run: a run is not begun without."""

    def __init__(
        self,
        name: str,
        reconcile: Reconcile,
        workers: int,
        clock: Clock,
        permitted: Callable[[], bool],
        meter: QueueMeter | None = None,
    ) -> None:
        self.name, self.workers = name, workers
        self._reconcile, self._clock, self._permitted = reconcile, clock, permitted
        self._meter = meter or QueueMeter()
        self._begun: dict[str, float] = {}
        """When the runs under way began."""
        self._state = QueueState()
        self._changed = threading.Condition()
        self._sleepers: dict[int, float] = {}
        """When the next key was due, as each thread that waits knows it; infinite where there was none."""
        self._open = self._ended = False
        self._threads = [
            threading.Thread(target=self._work, name=f"{name}-{number}", daemon=True) for number in range(workers)
        ]

    def add(self, key: str) -> None:
        with self._changed:
            self._state.add(key, self._clock.monotonic())
            self._changed.notify()
        self._meter.added(self.name)

    def add_after(self, key: str, seconds: float) -> None:
        self._meter.added(self.name)
        with self._changed:
            self._state.add_after(key, seconds, self._clock.monotonic())
            self._wake_another()

    def waiting(self) -> int:
        """How many keys could be worked on now."""
        with self._changed:
            return self._state.waiting()

    def running(self) -> int:
        """How many keys are worked on now."""
        with self._changed:
            return self._state.running()

    def longest(self) -> float:
        """For how many seconds the oldest of these has been worked on."""
        with self._changed:
            return self._clock.monotonic() - min(self._begun.values()) if self._begun else 0.0

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def open(self) -> None:
        with self._changed:
            self._open = True
            self._changed.notify_all()

    def close(self) -> None:
        """Hand out no more keys. Runs under way go on."""
        with self._changed:
            self._open = False

    def end(self) -> None:
        """Close for good: the workers end after the runs under way."""
        with self._changed:
            self._open, self._ended = False, True
            self._changed.notify_all()

    def join(self, deadline: float) -> bool:
        """Wait for the workers until `deadline` (monotonic, real); whether all have ended."""
        for thread in self._threads:
            if thread.ident is not None:
                thread.join(max(0.0, deadline - time.monotonic()))
        return not any(thread.is_alive() for thread in self._threads)

    def _work(self) -> None:
        while (key := self._take()) is not None:
            outcome = self._run(key)
            now = self._clock.monotonic()
            with self._changed:
                again = self._state.done(key, outcome, now)
                began = self._begun.pop(key)
            self._meter.ran(self.name, outcome, now - began)
            if isinstance(outcome, Exception):
                self._report(key, outcome, again)

    def _take(self) -> str | None:
        """Wait for a key; None once the queue has ended."""
        with self._changed:
            while not self._ended:
                if self._open and self._permitted():
                    now = self._clock.monotonic()
                    key = self._state.next(now)
                    if key is not None:
                        self._begun[key] = now
                        self._meter.taken(self.name, self._state.waited)
                        self._wake_another()
                        return key
                due = self._state.next_due()
                self._sleepers[threading.get_ident()] = float("inf") if due is None else due
                self._changed.wait(self._patience())
                del self._sleepers[threading.get_ident()]
        return None

    def _wake_another(self) -> None:
        """See to it that somebody works on what can be handed out, and that somebody wakes when the next key is due. To
        wake a thread for nothing costs more than most looks at a group."""
        due = self._state.next_due()
        is_overslept = due is not None and due < min(self._sleepers.values(), default=due)
        if self._state.waiting() or is_overslept:
            self._changed.notify()

    def _patience(self) -> float | None:
        """How long to wait for a notice, seconds; None for as long as it takes."""
        if not self._open:
            return None
        if self._state.waiting():
            return UNPERMITTED
        due = self._state.next_due()
        if due is None:
            return None
        left = due - self._clock.monotonic()
        return left if left > 0 else UNPERMITTED

    def _run(self, key: str) -> Outcome:
        try:
            return self._reconcile(key)
        except Exception as problem:
            return problem

    def _report(self, key: str, problem: Exception, again: float | None) -> None:
        if isinstance(problem, Conflict | LostLease):
            log.debug("reconcile again queue=%s key=%s in=%.3fs reason=%s", self.name, key, again, problem)
        elif isinstance(problem, ApiError):
            log.warning("reconcile failed queue=%s key=%s in=%.3fs reason=%s", self.name, key, again, problem)
        else:
            log.error("reconcile failed queue=%s key=%s in=%.3fs", self.name, key, again, exc_info=problem)
