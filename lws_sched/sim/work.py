"""Work queues on the simulated clock, for the product's components and for the simulated Kubernetes alike.

A run happens at one moment, and keeps its worker busy for as long as its requests would have taken. A refused request
(ApiError) or a lost lease has the key run again after a back-off. Any other exception is a bug: where the real queue
logs it and tries again, here it ends the simulation.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial
from typing import Protocol

from lws_sched.kube.errors import ApiError, LostLease
from lws_sched.kube.port import Reconcile
from lws_sched.kube.workqueue import QueueState
from lws_sched.sim.loop import Loop, Scheduled
from lws_sched.sim.store import ObjectStore

log = logging.getLogger(__name__)

FIRST_BACKOFF, LONGEST_BACKOFF = 0.005, 1000.0
"""Seconds; what kube-controller-manager's controllers wait (client-go's default rate limiter)."""
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
    """`lws_sched.kube.port.Queue`: the rule of the real queues, on the simulated clock."""

    def __init__(self, host: Host, name: str, reconcile: Reconcile, workers: int, rule: QueueState) -> None:
        self.name = name
        self._host = host
        self._reconcile = reconcile
        self._idle = workers
        self._rule = rule
        self._is_open = False
        self._alarm: Scheduled | None = None

    def add(self, key: str) -> None:
        self._rule.add(key)
        self._dispatch()

    def add_after(self, key: str, seconds: float) -> None:
        self._rule.add_after(key, seconds, self._host.loop.elapsed)
        self._dispatch()

    def open(self) -> None:
        """Let keys run: until then they only gather."""
        self._is_open = True
        self._dispatch()

    def waiting(self) -> int:
        """How many keys could be handed out now."""
        return self._rule.waiting()

    def _dispatch(self) -> None:
        loop = self._host.loop
        while self._is_open and self._idle and (key := self._rule.next(loop.elapsed)) is not None:
            self._idle -= 1
            loop.soon(loop.latencies.pickup, self._host.guarded(partial(self._run, key)))
        self._set_alarm()

    def _set_alarm(self) -> None:
        """Look again when the next delayed key is due; with no worker to spare, the next that is done looks."""
        due = self._rule.next_due()
        if due is None or not (self._is_open and self._idle):
            return
        if self._alarm is not None:
            if self._alarm.action is not None and self._alarm.due <= due:
                return
            self._alarm.cancel()
        self._alarm = self._host.loop.at(due, self._host.guarded(self._dispatch))

    def _run(self, key: str) -> None:
        self._host.begin()
        outcome: float | Exception | None
        try:
            outcome = self._reconcile(key)
        except (ApiError, LostLease) as refusal:
            log.info("queue=%s key=%s refused: %s", self.name, key, refusal)
            outcome = refusal
        self._host.loop.after(self._host.end(), self._host.guarded(partial(self._done, key, outcome)))

    def _done(self, key: str, outcome: float | Exception | None) -> None:
        self._idle += 1
        self._rule.done(key, outcome, self._host.loop.elapsed)
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

    def queue(self, name: str, reconcile: Reconcile, workers: int) -> SimQueue:
        queue = SimQueue(self, name, reconcile, workers, QueueState(FIRST_BACKOFF, LONGEST_BACKOFF))
        queue.open()
        return queue
