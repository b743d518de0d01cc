"""`port.Runtime` with threads, on a real API server.

Order of a life: components ask for informers and queues; `start` starts the informers and waits until each has its
first complete list, and only then, if a Lease is asked for, stands for election. Informers run on every replica;
queues hand out keys only while this process is the leader, so keys gather on the others and a new leader looks at
everything once. Losing the Lease closes the queues at once, by the clock, whether or not the network answers.

Threads: one per informer, the workers of each queue, one each for election, events and alarms, and pools that grow as
needed. All are daemons, and `stop` ends them within seconds.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from random import Random
from typing import Any, TypeVar

from lws_sched.api.meta import Kind, Object
from lws_sched.kube.client import Client
from lws_sched.kube.clock import SystemClock
from lws_sched.kube.events import EventRecorder, Reporter
from lws_sched.kube.informer import Informer, Reflector
from lws_sched.kube.lease import Elector, LeaseName, Terms
from lws_sched.kube.pool import Alarm, Alarms, TaskPool, gather
from lws_sched.kube.port import Clock, Cluster, Index, Reconcile, Recorder
from lws_sched.kube.workqueue import QueueMeter, WorkQueue
from lws_sched.telemetry import families
from lws_sched.telemetry.counts import Gauge, Instrument, Labels

log = logging.getLogger(__name__)
T = TypeVar("T", bound=Object)

SUBMITTED = 8
"""Threads for submitted tasks. Few: beyond what keeps the API server busy they only fight for the interpreter."""
SIDE_BY_SIDE = 8
"""Threads for gathered tasks, beside the callers' own."""
RINGING = 8
"""Threads for tasks whose time has come."""
LEASE_PATIENCE = 3.0
"""Seconds that a request for the Lease may take: several must fit into its renew deadline."""
STOP_SECONDS = 5.0
GOODBYE_SECONDS = 1.0
"""Of these, kept for what comes after the work under way has ended."""
PROGRESS_SECONDS = 5.0


@dataclass(frozen=True)
class Settings:
    """`name` is what logs, events and field managers call the component; `instance` is unique to the process."""

    name: str
    instance: str
    lease: LeaseName | None = None
    """None: no election, this process always leads, at epoch 0."""
    terms: Terms = field(default_factory=Terms)
    reporter: str = ""
    """What events say who wrote them; "" for `name`."""


class ThreadedRuntime:
    """Implements `port.Runtime`."""

    def __init__(
        self, client: Client, settings: Settings, clock: Clock | None = None, random: Random | None = None
    ) -> None:
        self._client = client
        self.cluster: Cluster = client
        self.settings = settings
        self.clock: Clock = clock or SystemClock()
        self._random = random or Random()
        self._recorder = EventRecorder(
            client, Reporter(settings.reporter or settings.name, settings.instance), self.clock
        )
        self.recorder: Recorder = self._recorder
        self._tasks = TaskPool("task", SUBMITTED)
        self._gathered = TaskPool("gather", SIDE_BY_SIDE)
        self._ringing = TaskPool("alarm", RINGING)
        self._alarms = Alarms("alarms", self._ringing, self.clock)
        self._reflectors: dict[tuple[Kind[Any], str], Reflector[Any]] = {}
        self._queues: list[WorkQueue] = []
        self._queue_meter = QueueMeter()
        self._elector = self._elect(settings.lease) if settings.lease else None
        self._threads: list[threading.Thread] = []
        self._followers: list[tuple[Callable[[int], None], Callable[[], None]]] = []
        self._started = False
        self._stopping = threading.Event()

    def informer(
        self, kind: Kind[T], *, indexes: Mapping[str, Index[T]] | None = None, labels: str = ""
    ) -> Informer[T]:
        """One informer per kind and selector, with the indexes of all who ask. Raises RuntimeError after `start`."""
        self._check_not_started("informer")
        reflector: Reflector[T] | None = self._reflectors.get((kind, labels))
        if reflector is None:
            reflector = Reflector(self._client, Informer(kind, labels), self.clock, Random(self._random.random()))
            self._reflectors[kind, labels] = reflector
        reflector.informer.add_indexes(indexes or {})
        return reflector.informer

    def queue(self, name: str, reconcile: Reconcile, *, workers: int = 1) -> WorkQueue:
        """Raises RuntimeError after `start`."""
        self._check_not_started("queue")
        queue = WorkQueue(name, reconcile, workers, self.clock, self.leads, self._queue_meter)
        self._queues.append(queue)
        return queue

    def submit(self, task: Callable[[], None]) -> None:
        self._tasks.submit(task)

    def gather(self, tasks: Sequence[Callable[[], None]]) -> list[BaseException | None]:
        return gather(self._gathered, tasks, SIDE_BY_SIDE)

    def call_later(self, seconds: float, task: Callable[[], None]) -> Alarm:
        return self._alarms.set(seconds, task)

    def epoch(self) -> int:
        return self._elector.epoch() if self._elector else 0

    def leads(self) -> bool:
        return self._elector is None or self._elector.holds()

    def stand_down(self) -> None:
        """Stand for election no more: a process that ends because it lost the Lease must not win it once again."""
        if self._elector:
            self._elector.stop()

    def on_leadership(self, started: Callable[[int], None], lost: Callable[[], None]) -> None:
        """Be told, on the election's thread, when this process becomes the leader (with its epoch) and when it stops
        being so. Ask before `start`. Without an election `started` is called once."""
        self._followers.append((started, lost))

    def instruments(self) -> tuple[Instrument, ...]:
        """What is counted here: queues, requests to the API server, events, leadership."""
        return (
            *self._queue_meter.instruments(),
            *self._client.transport.meter.instruments(),
            self._recorder.recorded,
            Gauge(families.QUEUE_DEPTH, lambda: self._by_queue(WorkQueue.waiting)),
            Gauge(families.QUEUE_LONGEST, lambda: self._by_queue(WorkQueue.longest)),
            Gauge(families.ACTIVE_WORKERS, lambda: self._by_queue(WorkQueue.running)),
            Gauge(families.WORKERS, lambda: self._by_queue(lambda queue: queue.workers)),
            Gauge(families.LEADS, lambda: {(self.settings.lease.name,): self.leads()} if self.settings.lease else {}),
        )

    def _by_queue(self, read: Callable[[WorkQueue], float]) -> dict[Labels, float]:
        return {(queue.name,): read(queue) for queue in self._queues}

    def start(self) -> None:
        """Start all, and return when every informer is synced and the election has begun (or `stop` was called)."""
        self._started = True
        for reflector in self._reflectors.values():
            self._run(f"watch-{reflector.informer}", reflector.run)
        for thread in (self._alarms.thread, self._recorder.thread):
            thread.start()
            self._threads.append(thread)
        for queue in self._queues:
            queue.start()
        while not self.until_synced(PROGRESS_SECONDS):
            if self._stopping.is_set():
                return
            log.info("waiting for first lists name=%s missing=%s", self.settings.name, ",".join(self.unsynced()))
        log.info("synced name=%s informers=%d", self.settings.name, len(self._reflectors))
        if self._elector:
            self._run("election", self._elector.run)
        else:
            self._lead(0)

    def until_synced(self, timeout: float) -> bool:
        """Wait up to `timeout` seconds for every informer's first complete list; whether all have it."""
        deadline = time.monotonic() + timeout
        return all(each.synced.wait(max(0.0, deadline - time.monotonic())) for each in self._reflectors.values())

    def unsynced(self) -> list[str]:
        """The informers that still lack their first list."""
        return sorted(str(each.informer) for each in self._reflectors.values() if not each.synced.is_set())

    def stop(self) -> None:
        """End all threads; give the Lease back once nothing that needs it runs. Returns within seconds."""
        deadline = time.monotonic() + STOP_SECONDS
        self._stopping.set()
        for queue in self._queues:
            queue.end()
        for pool in (self._tasks, self._ringing):
            pool.end()
        quiet = [queue.join(deadline - GOODBYE_SECONDS) for queue in self._queues]
        quiet.append(self._tasks.quiet(max(0.0, deadline - GOODBYE_SECONDS - time.monotonic())))
        self._gathered.end()
        if self._elector:
            self._elector.stop()
        self._alarms.end()
        self._recorder.end()
        for reflector in self._reflectors.values():
            reflector.stop()
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        if self._elector and all(quiet):
            self._elector.release()

    def _elect(self, lease: LeaseName) -> Elector:
        return Elector(
            self._client.impatient(LEASE_PATIENCE),
            lease,
            self.clock,
            self._random,
            on_started=self._lead,
            on_lost=self._follow,
            terms=self.settings.terms,
        )

    def _lead(self, epoch: int) -> None:
        for started, _ in self._followers:
            _tell(partial(started, epoch))
        if not self._stopping.is_set():
            for queue in self._queues:
                queue.open()

    def _follow(self) -> None:
        for queue in self._queues:
            queue.close()
        for _, lost in self._followers:
            _tell(lost)

    def _run(self, name: str, target: Callable[[], None]) -> None:
        thread = threading.Thread(target=target, name=name, daemon=True)
        thread.start()
        self._threads.append(thread)

    def _check_not_started(self, what: str) -> None:
        if self._started:
            raise RuntimeError(f"ask for the {what} before the runtime is started")


def _tell(follower: Callable[[], None]) -> None:
    try:
        follower()
    except Exception:
        log.exception("a follower of the leadership failed")
