"""Informers of the simulated cluster: local copies fed from the watch history, event by event, late, but in order.

An informer lists once, then follows the history of its kind from there. Where the watch breaks, or has fallen behind
the history that is kept, it lists again and works out what it missed. It never goes backwards for one object.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from lws_sched.api.meta import Kind, Object
from lws_sched.kube.errors import Gone
from lws_sched.kube.store import Listing, Store, WatchEvent
from lws_sched.sim.faults import FaultInjector
from lws_sched.sim.loop import Loop
from lws_sched.sim.objects import key_of, selector_of
from lws_sched.sim.store import Event, ObjectStore, Version

T = TypeVar("T", bound=Object)
Action = Callable[[], None]


@dataclass(frozen=True)
class Feed:
    """Where an informer's events come from, and on whose behalf it runs."""

    loop: Loop
    store: ObjectStore
    faults: FaultInjector
    guarded: Callable[[Action], Action]
    """The action as the component runs it: not at all once it is dead."""
    synced: Action
    """Called once, when the first complete list is there."""
    is_reachable: Callable[[], bool]
    """Whether the API server answers."""


class SimInformer(Generic[T]):
    """`lws_sched.kube.port.Informer`: the real informers' store, fed from the simulated history."""

    def __init__(self, feed: Feed, kind: Kind[T], labels: str) -> None:
        self.kind = kind
        self.is_synced = False
        self._feed = feed
        self._is_selected = selector_of(labels)
        self._copies: Store[T] = Store()
        self._seen = 0
        """The resourceVersion up to which the watch has been followed."""
        self._is_busy = True
        """An event or a list is on its way."""
        self.get = self._copies.get
        self.objects = self._copies.objects
        self.by_index = self._copies.by_index
        self.subscribe = self._copies.subscribe
        self.learn = self._copies.learn
        self.add_index = self._copies.add_index

    def start(self) -> None:
        self._feed.loop.soon(self._feed.loop.latencies.read, self._feed.guarded(self._list))

    def wake(self) -> None:
        """There is a new event of this kind."""
        if not self._is_busy:
            self._expect()

    def _expect(self) -> None:
        """Have the next event that concerns this informer delivered when its time comes."""
        loop, faults = self._feed.loop, self._feed.faults
        try:
            event = self._next()
        except Gone:
            self._break()
            return
        self._is_busy = event is not None
        if event is not None:
            due = event.t + loop.jitter(loop.latencies.watch) + faults.delay()
            loop.at(due, self._feed.guarded(lambda: self._deliver(event)))

    def _next(self) -> Event | None:
        while (event := self._feed.store.next_event(self.kind.kind, self._seen)) is not None:
            if self._selects(event.version) or self._copies.get(*key_of(event.body)) is not None:
                return event
            self._seen = event.version.rv
        return None

    def _deliver(self, event: Event) -> None:
        if self._feed.faults.is_dropped() or not self._feed.is_reachable():
            self._break()
            return
        self._seen = event.version.rv
        # An object that the selector no longer matches is gone from this watch.
        type_ = event.type if self._selects(event.version) else "DELETED"
        told = WatchEvent(type_, event.version.rv, event.version.read(self.kind.type))
        self._copies.apply(told)
        if self._feed.faults.is_doubled():
            self._copies.apply(told)
        self._expect()

    def _break(self) -> None:
        self._is_busy = True
        self._feed.loop.soon(self._feed.loop.latencies.relist, self._feed.guarded(self._list))

    def _list(self) -> None:
        if not self._feed.is_reachable():
            self._break()
            return
        store = self._feed.store
        versions = [version for version in store.objects(self.kind.kind) if self._selects(version)]
        self._seen = store.rv
        self._copies.replace(Listing([version.read(self.kind.type) for version in versions], store.rv))
        if not self.is_synced:
            self.is_synced = True
            self._feed.synced()
        self._expect()

    def _selects(self, version: Version) -> bool:
        return self._is_selected(version.body["metadata"].get("labels") or {})
