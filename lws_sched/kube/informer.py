"""Keeps a store equal to the cluster: one list, then a watch from there on, for ever.

After an interruption the watch goes on from where it was. Everything is listed anew only when that is too far back
(410 Gone), when watches keep failing, and when one was cut off after a minute without even a bookmark: a cluster
restored from a backup lets a watch wait in silence for a version that it will reach much later. Failures are followed
by a growing, random wait, and so is a watch that ends as soon as it begins: a server that refuses is never asked in a
tight loop. A silent connection breaks on its read time-out.

`Informer` is what components see: the store, plus the shield that one failing handler does not stop the others.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator, Mapping
from random import Random
from typing import Generic, Protocol, TypeVar

from lws_sched.api.meta import Kind, Object
from lws_sched.kube.backoff import Backoff
from lws_sched.kube.errors import ApiError, Gone, NotFound
from lws_sched.kube.port import Change, Clock, Index
from lws_sched.kube.store import Listing, Store, WatchEvent

log = logging.getLogger(__name__)
T = TypeVar("T", bound=Object)

FIRST_WAIT = 0.5
LONGEST_WAIT = 10.0
STEADY = 2.0
"""A watch that lived this long (seconds) was a good one: the next failure starts from the shortest wait."""
SUSPICIOUS_SILENCE = 75.0
"""Seconds. The API server sends a bookmark about every minute."""
PATIENCE = 5
"""Failed watches in a row before everything is listed again."""


class Events(Protocol[T]):
    """An open watch."""

    def __iter__(self) -> Iterator[WatchEvent[T]]: ...

    def stop(self) -> None: ...


class Source(Protocol):
    """Where objects come from: `client.Client`."""

    def listing(self, kind: Kind[T], namespace: str = "", labels: str = "") -> Listing[T]: ...

    def watch(self, kind: Kind[T], version: int, labels: str = "") -> Events[T]: ...


class Informer(Generic[T]):
    """Implements `port.Informer`."""

    def __init__(self, kind: Kind[T], labels: str = "") -> None:
        self.kind, self.labels = kind, labels
        self.store: Store[T] = Store()

    def get(self, namespace: str, name: str) -> T | None:
        return self.store.get(namespace, name)

    def objects(self) -> list[T]:
        return self.store.objects()

    def by_index(self, index: str, value: str) -> list[T]:
        return self.store.by_index(index, value)

    def learn(self, obj: T) -> None:
        self.store.learn(obj)

    def subscribe(self, handler: Callable[[Change[T]], None]) -> None:
        def shielded(change: Change[T]) -> None:
            try:
                handler(change)
            except Exception:
                meta = change.latest.metadata
                log.exception("a handler failed kind=%s object=%s/%s", self.kind, meta.namespace, meta.name)

        self.store.subscribe(shielded)

    def add_indexes(self, indexes: Mapping[str, Index[T]]) -> None:
        for name, function in sorted(indexes.items()):
            self.store.add_index(name, function)

    def __str__(self) -> str:
        return f"{self.kind}[{self.labels}]" if self.labels else str(self.kind)


class Reflector(Generic[T]):
    """Feeds one informer's store. `run` returns after `stop`; `wait(seconds)` returns True once it was called."""

    def __init__(
        self,
        source: Source,
        informer: Informer[T],
        clock: Clock,
        random: Random,
        wait: Callable[[float], bool] | None = None,
    ) -> None:
        self._source, self.informer, self._clock = source, informer, clock
        self._stopping = threading.Event()
        self._wait = wait or self._stopping.wait
        self._backoff = Backoff(FIRST_WAIT, LONGEST_WAIT, random)
        self._lock = threading.Lock()
        self._watch: Events[T] | None = None
        self._version: int | None = None
        self._failures = 0
        self._told = False
        self.synced = threading.Event()

    def run(self) -> None:
        was_gone = False
        while not self._stopping.is_set():
            problem, lived = self._round()
            # Gone is the answer of a server that works: nothing speaks against listing now, if only once in a row.
            is_gone = isinstance(problem, Gone)
            if lived >= STEADY or (is_gone and not was_gone):
                self._backoff.reset()
                self._failures = 0
                if problem is None:
                    continue
            was_gone = is_gone
            if self._stopping.is_set() or self._wait(self._pause(problem)):
                return

    def stop(self) -> None:
        with self._lock:
            self._stopping.set()
            if self._watch is not None:
                self._watch.stop()

    def _round(self) -> tuple[Exception | None, float]:
        """List if there is need, then watch until that ends: the problem it ended with, if any, and how many seconds
        the watch lived."""
        opened, self._told = None, False
        problem: Exception | None = None
        try:
            if self._version is None:
                self._version = self._list()
            opened = self._clock.monotonic()
            self._follow(self._version)
        except Exception as caught:
            problem = caught
            self._failures += 1
        lived = 0.0 if opened is None else self._clock.monotonic() - opened
        silent = problem is not None and not self._told and lived >= SUSPICIOUS_SILENCE
        if silent or isinstance(problem, Gone) or self._failures >= PATIENCE:
            self._version = None
            self._failures = 0
        return problem, lived

    def _list(self) -> int:
        started = self._clock.monotonic()
        listing = self._source.listing(self.informer.kind, labels=self.informer.labels)
        store = self.informer.store
        if listing.version < store.version:
            log.error(
                "the cluster went back in time kind=%s from=%d to=%d", self.informer, store.version, listing.version
            )
            store.rewind()
        store.replace(listing)
        seconds = self._clock.monotonic() - started
        log.info("listed kind=%s objects=%d seconds=%.2f", self.informer, len(listing.items), seconds)
        self.synced.set()
        return listing.version

    def _follow(self, version: int) -> None:
        watch = self._source.watch(self.informer.kind, version, self.informer.labels)
        with self._lock:
            self._watch = watch
            if self._stopping.is_set():
                return
        for event in watch:
            self._told = True
            self.informer.store.apply(event)
            self._version = version = max(version, event.version)

    def _pause(self, problem: Exception | None) -> float:
        seconds = self._backoff.next()
        if isinstance(problem, NotFound):
            reason: object = f"{self.informer.kind} is not served by this API server; install its CRD"
        else:
            reason = problem or "the watch ended at once"
        # What the API server says needs no traceback; anything else is a fault of ours.
        trace = None if problem is None or isinstance(problem, ApiError) else problem
        log.warning(
            "watch interrupted kind=%s again_in=%.1fs reason=%s", self.informer, seconds, reason, exc_info=trace
        )
        return seconds
