"""A local copy of all objects of one kind: fed by lists, watch events and our own writes, never going backwards.

Every object carries a resourceVersion, and for one kind these grow with every write to the cluster. So whatever arrives
late or twice is recognised: an object is taken in only if it is newer than the one held; and if none of its name is
held, only if it is newer than the deletion of that name, than the last list, and (learnt from a writer) than all that
the watch has told, for then it has been deleted since.

Order: one thing is taken in at a time. Its `Change`s are queued, and the thread that took it in calls the handlers, one
after another, before it lets the next thread in. `learn` therefore returns when the handlers have run; it must not be
called while holding a lock that a handler takes. Reads wait for no handler.

Used by the informers here and in the simulated cluster; it has no thread, no clock and no I/O of its own.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Generic, Literal, TypeVar

from lws_sched.api.meta import Object, key_of
from lws_sched.kube.port import Change, Index

T = TypeVar("T", bound=Object)
Handler = Callable[[Change[T]], None]

TOMBSTONES = 10_000
"""Deletions remembered. A list makes them unnecessary, and a stale event is not that late."""


@dataclass(frozen=True)
class WatchEvent(Generic[T]):
    """`obj` is None where the event only says how far the watch has come: a bookmark, or an unreadable object."""

    type: Literal["ADDED", "MODIFIED", "DELETED", "BOOKMARK"]
    version: int
    obj: T | None = None


@dataclass(frozen=True)
class Listing(Generic[T]):
    """All objects of a kind as of `version`, and the keys of those that could not be read."""

    items: list[T]
    version: int
    unreadable: frozenset[str] = frozenset()


def version_of(obj: Object) -> int:
    return int(obj.metadata.resource_version or 0)


class Store(Generic[T]):
    """Implements `port.Informer`'s surface."""

    def __init__(self, indexes: Mapping[str, Index[T]] | None = None) -> None:
        self._turn = threading.RLock()
        """Held while something is taken in and delivered."""
        self._content = threading.Lock()
        """Held for each single change of the objects and their indexes, and for each read of an index."""
        self._objects: dict[str, T] = {}
        self._versions: dict[str, int] = {}
        self._deleted: dict[str, int] = {}
        self._listed = 0
        self._index_functions: dict[str, Index[T]] = {}
        self._indexes: dict[str, dict[str, set[str]]] = {}
        self._handlers: tuple[Handler[T], ...] = ()
        self._undelivered: deque[tuple[Change[T], tuple[Handler[T], ...]]] = deque()
        self._delivering = False
        self.version = 0
        """How far lists and watch have come."""
        for name, function in (indexes or {}).items():
            self.add_index(name, function)

    def add_index(self, name: str, function: Index[T]) -> None:
        """File all objects, present and future, under `function`'s values. Raises ValueError if the name is taken."""
        if self._index_functions.get(name, function) is not function:
            raise ValueError(f"there is already another index named {name!r}; give this one a name of its own")
        with self._turn, self._content:
            self._index_functions[name] = function
            buckets = self._indexes[name] = {}
            for key, obj in self._objects.items():
                for value in function(obj):
                    buckets.setdefault(value, set()).add(key)

    def get(self, namespace: str, name: str) -> T | None:
        return self._objects.get(f"{namespace}/{name}" if namespace else name)

    def objects(self) -> list[T]:
        with self._content:
            return list(self._objects.values())

    def by_index(self, index: str, value: str) -> list[T]:
        """Objects filed under `value`, in the order of their keys."""
        with self._content:
            return [self._objects[key] for key in sorted(self._indexes[index].get(value, ()))]

    def subscribe(self, handler: Handler[T]) -> None:
        """Call `handler` for every change from now on, and first for each object already there, as if just created."""
        with self._turn:
            self._undelivered.extend((Change(None, obj), (handler,)) for obj in self.objects())
            self._handlers = (*self._handlers, handler)
            self._deliver()

    def learn(self, obj: T) -> None:
        """Take in what a write answered. Returns when the handlers have run; the watch will not run them again."""
        with self._turn:
            key = key_of(obj)
            if key in self._objects or version_of(obj) > self.version:
                self._take(key, obj)
            self._deliver()

    def apply(self, event: WatchEvent[T]) -> None:
        """Take in one event of the watch."""
        with self._turn:
            if event.obj is not None and event.type == "DELETED":
                self._bury(key_of(event.obj), event.version)
            elif event.obj is not None:
                self._take(key_of(event.obj), event.obj)
            self.version = max(self.version, event.version)
            self._deliver()

    def replace(self, listing: Listing[T]) -> None:
        """Take in a complete list: what it lacks is gone, unless it is newer than the list, or could not be read."""
        with self._turn:
            listed = {key_of(obj): obj for obj in listing.items}
            for key in [key for key in self._objects if key not in listed and key not in listing.unreadable]:
                self._bury(key, listing.version)
            for key, obj in listed.items():
                self._take(key, obj)
            self._listed = listing.version
            self.version = max(self.version, listing.version)
            self._deleted = {key: version for key, version in self._deleted.items() if version > listing.version}
            self._deliver()

    def rewind(self) -> None:
        """The cluster was restored from a backup, and its versions start again from an older one: the next list is
        taken in as it is."""
        with self._turn:
            self.version = self._listed = 0
            self._deleted.clear()
            self._versions = dict.fromkeys(self._versions, 0)

    def _take(self, key: str, obj: T) -> None:
        held, version = self._objects.get(key), version_of(obj)
        known = max(self._deleted.get(key, 0), self._listed) if held is None else self._versions[key]
        if version <= known:
            return
        self._put(key, held, obj)
        self._deleted.pop(key, None)
        self._versions[key] = version
        if held is not None and held.metadata.uid != obj.metadata.uid:
            # Another object of the same name: whoever keeps something per object must see the end of the old one.
            self._announce(Change(held, None))
            held = None
        self._announce(Change(held, obj))

    def _bury(self, key: str, version: int) -> None:
        held = self._objects.get(key)
        if held is not None and self._versions[key] > version:
            return
        self._deleted[key] = max(version, self._deleted.pop(key, 0))
        if len(self._deleted) > TOMBSTONES:
            del self._deleted[next(iter(self._deleted))]
        if held is not None:
            self._put(key, held, None)
            del self._versions[key]
            self._announce(Change(held, None))

    def _put(self, key: str, old: T | None, new: T | None) -> None:
        moves = [
            (self._indexes[name], _values(function, old), _values(function, new))
            for name, function in self._index_functions.items()
        ]
        with self._content:
            for buckets, before, after in moves:
                _refile(buckets, key, before, after)
            if new is None:
                del self._objects[key]
            else:
                self._objects[key] = new

    def _announce(self, change: Change[T]) -> None:
        self._undelivered.append((change, self._handlers))

    def _deliver(self) -> None:
        """Call the handlers. One that learns something itself must not overtake what is being delivered."""
        if self._delivering:
            return
        self._delivering = True
        try:
            while self._undelivered:
                change, handlers = self._undelivered.popleft()
                for handler in handlers:
                    handler(change)
        finally:
            self._delivering = False


def _values(function: Index[T], obj: T | None) -> set[str]:
    return set() if obj is None else set(function(obj))


def _refile(buckets: dict[str, set[str]], key: str, old: set[str], new: set[str]) -> None:
    for value in old - new:
        bucket = buckets[value]
        bucket.discard(key)
        if not bucket:
            del buckets[value]
    for value in new - old:
        buckets.setdefault(value, set()).add(key)
