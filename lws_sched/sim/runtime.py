"""The runtime of one component on the simulated cluster: `lws_sched.kube.port.Runtime` on one thread and one seed.

Every handler, key, task and timer of the component is an action of the world's loop. When a write crashes the component
(`faults`), the action ends there, and nothing else of this incarnation runs any more.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from lws_sched.api.core import EVENT
from lws_sched.api.meta import Kind, Object
from lws_sched.kube.errors import ApiError, LostLease
from lws_sched.kube.events import Note, Repetitions, Reporter, event_body
from lws_sched.kube.port import Clock, Cluster, Index, ObjectReference, Reconcile, Recorder
from lws_sched.kube.workqueue import QueueState
from lws_sched.sim.cluster import SimCluster
from lws_sched.sim.faults import FaultInjector, SimCrash
from lws_sched.sim.informer import Feed, SimInformer
from lws_sched.sim.loop import Loop, Scheduled
from lws_sched.sim.store import Event
from lws_sched.sim.work import Action, SimQueue

log = logging.getLogger(__name__)

T = TypeVar("T", bound=Object)


class SimRuntime:
    def __init__(
        self, name: str, loop: Loop, cluster: SimCluster, faults: FaultInjector, epoch: Callable[[], int]
    ) -> None:
        self.name = name
        self.loop = loop
        self.clock: Clock = loop.clock
        self.cluster: Cluster
        self.cluster = self._client = cluster.as_client(faults)
        self.recorder: Recorder = SimRecorder(self, cluster)
        self.epoch = epoch
        self.is_alive = True
        self.is_frozen = False
        """Stopped (SIGSTOP), with its connections open: what comes due waits until it is thawed."""
        self._overslept: list[Action] = []
        self.queues: list[SimQueue] = []
        self._faults = faults
        self._informers: dict[tuple[str, type[Any], str], SimInformer[Any]] = {}
        self._by_kind: dict[str, list[SimInformer[Any]]] = {}
        self._has_begun = False
        self.is_synced = False
        """Whether every informer holds its first complete list."""
        self._on_crash: Action = lambda: None

    # --- for the component -------------------------------------------------------------------------------------------

    def informer(
        self, kind: Kind[T], *, indexes: Mapping[str, Index[T]] | None = None, labels: str = ""
    ) -> SimInformer[T]:
        address = (kind.kind, kind.type, labels)
        informer = self._informers.get(address)
        if informer is None:
            server = self._client.server
            feed = Feed(self.loop, server.store, self._faults, self.guarded, self._synced, lambda: server.is_up)
            informer = self._informers[address] = SimInformer(feed, kind, labels)
            self._by_kind.setdefault(kind.kind, []).append(informer)
        for index, function in (indexes or {}).items():
            informer.add_index(index, function)
        return informer

    def queue(self, name: str, reconcile: Reconcile, *, workers: int = 1) -> SimQueue:
        queue = SimQueue(self, name, reconcile, workers, QueueState())
        self.queues.append(queue)
        return queue

    def submit(self, task: Action) -> None:
        self.loop.soon(self.loop.latencies.pickup, self.guarded(lambda: self._attempt(task)))

    def gather(self, tasks: Sequence[Action]) -> list[BaseException | None]:
        """One after another in seeded order; together they take as long as the longest."""
        outcomes: list[BaseException | None] = [None] * len(tasks)
        order = list(range(len(tasks)))
        self.loop.rng.shuffle(order)
        before, longest = self._client.spent, 0.0
        for position in order:
            self._client.spent = 0.0
            try:
                tasks[position]()
            except (ApiError, LostLease) as error:
                outcomes[position] = error
            longest = max(longest, self._client.spent)
        self._client.spent = before + longest
        return outcomes

    def call_later(self, seconds: float, task: Action) -> Scheduled:
        return self.loop.after(seconds, self.guarded(lambda: self._attempt(task)))

    # --- for the world -----------------------------------------------------------------------------------------------

    def start(self, on_crash: Action) -> None:
        """The component is built: let its informers list, and its queues run once all have."""
        self._on_crash = on_crash
        self._has_begun = True
        for informer in self._informers.values():
            informer.start()
        self._synced()

    def stop(self) -> None:
        """Nothing of this incarnation runs or writes from now on."""
        self.is_alive = False
        self._faults.kill()

    def freeze(self) -> None:
        self.is_frozen = True

    def thaw(self) -> None:
        """Go on with all that came due meanwhile, in seeded order."""
        self.is_frozen = False
        overslept, self._overslept = self._overslept, []
        for action in overslept:
            self.loop.soon(self.loop.latencies.pickup, action)

    def wake(self, event: Event) -> None:
        """A write happened: let the informers of its kind know."""
        for informer in self._by_kind.get(event.kind, ()):
            informer.wake()

    def guarded(self, action: Action) -> Action:
        def run() -> None:
            if not self.is_alive:
                return
            if self.is_frozen:
                self._overslept.append(run)
                return
            try:
                action()
            except SimCrash as crash:
                log.info("component=%s %s", self.name, crash)
                self.is_alive = False
                self._on_crash()

        return run

    def begin(self) -> None:
        self._client.spent = 0.0

    def end(self) -> float:
        return self._client.spent

    def _attempt(self, task: Action) -> None:
        try:
            task()
        except (ApiError, LostLease) as error:
            log.info("component=%s a task failed: %s", self.name, error)

    def _synced(self) -> None:
        if self._has_begun and all(informer.is_synced for informer in self._informers.values()):
            self.is_synced = True
            for queue in self.queues:
                queue.open()


class SimRecorder:
    """Writes events as objects, beside the component's counted writes."""

    def __init__(self, runtime: SimRuntime, cluster: SimCluster) -> None:
        self._runtime = runtime
        self._cluster = cluster
        self._repetitions = Repetitions()

    def event(
        self,
        regarding: Kind[T],
        obj: T,
        *,
        type: str,
        reason: str,
        action: str,
        note: str,
        related: ObjectReference | None = None,
    ) -> None:
        runtime, meta = self._runtime, obj.metadata
        same = (regarding.kind, meta.namespace, meta.name, meta.uid, reason, note)
        if self._repetitions.is_new(same, runtime.clock.monotonic()):
            reporter = Reporter(runtime.name, runtime.name)
            body = event_body(regarding, obj, Note(type, reason, action, note, related), reporter, runtime.clock.now())
            runtime.submit(lambda: self._write(body))

    def _write(self, body: dict[str, Any]) -> None:
        self._cluster.create(EVENT, body)
