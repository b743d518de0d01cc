"""Versions of objects and their history: what etcd and the watch cache are to a real API server.

One resourceVersion grows with every change of any object. A change is told to the listeners at once, in order, and
kept in a history of bounded length per kind; a watch from before its beginning raises Gone. Rules about what may be
written are `api_server`'s; the store only refuses to lose a write.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Any, Literal, TypeVar

import msgspec

from lws_sched.api.meta import Object
from lws_sched.kube.errors import Gone
from lws_sched.sim.loop import SimClock
from lws_sched.sim.objects import Json, Key, key_of

T = TypeVar("T", bound=Object)
EventType = Literal["ADDED", "MODIFIED", "DELETED"]
HISTORY = 100_000
"""Events kept per kind."""


class Version:
    """One object as one write left it, and what it decodes to, worked out once per type."""

    __slots__ = ("_decoded", "body", "rv")

    def __init__(self, body: Json) -> None:
        self.body = body
        self.rv = int(body["metadata"].get("resourceVersion") or 0)
        self._decoded: dict[type[Any], Any] = {}

    @property
    def uid(self) -> str:
        return str(self.body["metadata"]["uid"])

    def read(self, type_: type[T]) -> T:
        decoded = self._decoded.get(type_)
        if decoded is None:
            # By way of text, as from a real API server: what is read shares no part with what is stored.
            decoded = self._decoded[type_] = msgspec.json.decode(msgspec.json.encode(self.body), type=type_)
        return decoded


@dataclass(frozen=True)
class Event:
    """One change. `old` is the version before; a deletion's `version` is the last one, under a resourceVersion of its
    own."""

    type: EventType
    t: float
    kind: str
    version: Version
    old: Version | None

    @property
    def body(self) -> Json:
        return self.version.body

    def as_json(self) -> Json:
        return {"t": round(self.t, 6), "type": self.type, "object": self.version.body}


Listener = Callable[[Event], None]


class ObjectStore:
    def __init__(self, clock: SimClock, rng: Random, history: int = HISTORY) -> None:
        self.rv = 0
        self.listeners: list[Listener] = []
        self._clock = clock
        self._rng = rng
        self._limit = history
        self._objects: dict[str, dict[Key, Version]] = {}
        self._history: dict[str, list[Event]] = {}
        self._dropped: dict[str, int] = {}

    def get(self, kind: str, namespace: str, name: str) -> Version | None:
        return self._objects.get(kind, {}).get((namespace, name))

    def objects(self, kind: str) -> list[Version]:
        """All objects of a kind, by namespace and name."""
        objects = self._objects.get(kind, {})
        return [objects[key] for key in sorted(objects)]

    def new_uid(self) -> str:
        digits = f"{self._rng.getrandbits(128):032x}"
        return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))

    def new_suffix(self) -> str:
        """The five characters that complete a generateName."""
        return "".join(self._rng.choice("bcdfghjklmnpqrstvwxz2456789") for _ in range(5))

    def insert(self, body: Json) -> Version:
        assert self.get(body["kind"], *key_of(body)) is None
        return self._write("ADDED", body, None)

    def update(self, old: Version, body: Json) -> Version:
        assert self.get(body["kind"], *key_of(body)) is old
        return self._write("MODIFIED", body, old)

    def remove(self, old: Version, body: Json) -> Version:
        assert self.get(body["kind"], *key_of(body)) is old
        return self._write("DELETED", body, old)

    def next_event(self, kind: str, rv: int) -> Event | None:
        """The first event of a kind after a resourceVersion; None where there is none yet. Raises Gone where the
        history does not reach back so far."""
        if rv < self._dropped.get(kind, 0):
            raise Gone(f"too old resource version: {rv} ({self._dropped[kind]})", reason="Expired")
        events = self._history.get(kind, [])
        at = bisect_right(events, rv, key=_rv_of)
        return events[at] if at < len(events) else None

    def forget_history(self) -> None:
        """An API server that starts anew knows no event from before: every watch must list again."""
        for kind, events in self._history.items():
            if events:
                self._dropped[kind] = self.rv
                events.clear()

    def _write(self, type_: EventType, body: Json, old: Version | None) -> Version:
        self.rv += 1
        version = Version({**body, "metadata": {**body["metadata"], "resourceVersion": str(self.rv)}})
        objects = self._objects.setdefault(body["kind"], {})
        if type_ == "DELETED":
            del objects[key_of(body)]
        else:
            objects[key_of(body)] = version
        event = Event(type_, self._clock.elapsed, body["kind"], version, old)
        self._remember(event)
        for listener in self.listeners:
            listener(event)
        return version

    def _remember(self, event: Event) -> None:
        events = self._history.setdefault(event.kind, [])
        events.append(event)
        if len(events) > self._limit + self._limit // 4:
            surplus = len(events) - self._limit
            self._dropped[event.kind] = events[surplus - 1].version.rv
            del events[:surplus]


def _rv_of(event: Event) -> int:
    return event.version.rv
