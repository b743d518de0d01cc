"""Writes events (events.k8s.io/v1): what users see under `kubectl describe`.

Best effort: the caller never waits. Events go through a bounded queue to one thread; what does not fit, or cannot be
written, is logged with its text, so nothing is lost without a trace. The same warning about the same object for the
same reason, which is what goes on being so, is written at most once in ten minutes; what was done is told each time.

An event lives in the namespace of the object that it is about; about a cluster-scoped object, in `default`.
"""

from __future__ import annotations

import hashlib
import logging
import queue
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from lws_sched.api.core import EVENT
from lws_sched.api.meta import Kind, Object
from lws_sched.api.timestamps import micro_time
from lws_sched.kube.errors import ApiError
from lws_sched.kube.port import Clock, Cluster, ObjectReference
from lws_sched.telemetry import families
from lws_sched.telemetry.counts import Counter

log = logging.getLogger(__name__)
T = TypeVar("T", bound=Object)

NOTE_BYTES = 1024
"""The API server's limit for `note`."""
NAME_BYTES = 128
"""The API server's limit for `reportingInstance`."""
QUIET_SECONDS = 600.0
QUEUED = 1000
REMEMBERED = 10_000


@dataclass(frozen=True)
class Reporter:
    """Who reports: the controller's name (`lws-sched-extender`) and this process's."""

    controller: str
    instance: str


@dataclass(frozen=True)
class Note:
    """What an event says."""

    type: str
    reason: str
    action: str
    text: str
    related: ObjectReference | None = None


def event_body(regarding: Kind[Any], obj: Object, note: Note, reporter: Reporter, now: float) -> dict[str, Any]:
    """The Event to create; its name is a function of what it says, who says it and when (wall time, seconds)."""
    meta = obj.metadata
    time = micro_time(now)
    text = _within(note.text, NOTE_BYTES)
    identity = (regarding.kind, meta.uid, note.reason, text, time, reporter.instance)
    name = f"{meta.name[:200]}.{hashlib.sha1(repr(identity).encode()).hexdigest()[:16]}"
    about = {"apiVersion": regarding.api_version, "kind": regarding.kind, "name": meta.name, "uid": meta.uid}
    if meta.namespace:
        about["namespace"] = meta.namespace
    return EVENT.body(
        {"namespace": meta.namespace or "default", "name": name},
        eventTime=time,
        reportingController=reporter.controller,
        reportingInstance=_within(reporter.instance, NAME_BYTES),
        regarding=about,
        type=note.type,
        reason=note.reason,
        action=note.action,
        note=text,
        **({"related": dict(note.related)} if note.related else {}),
    )


class Repetitions:
    """Which notes were written of late. Times are monotonic seconds, growing from call to call."""

    def __init__(self) -> None:
        self._last: dict[tuple[str, ...], float] = {}

    def is_new(self, note: tuple[str, ...], now: float) -> bool:
        """Whether the note was not written within the quiet time; if so, it counts as written now."""
        while self._last and (now - next(iter(self._last.values())) >= QUIET_SECONDS or len(self._last) >= REMEMBERED):
            del self._last[next(iter(self._last))]
        if note in self._last:
            return False
        self._last[note] = now
        return True


class EventRecorder:
    """Implements `port.Recorder`."""

    def __init__(self, cluster: Cluster, reporter: Reporter, clock: Clock) -> None:
        self._cluster, self._reporter, self._clock = cluster, reporter, clock
        self._repetitions = Repetitions()
        self._lock = threading.Lock()
        self.recorded = Counter(families.EVENTS)
        self._queue: queue.Queue[Mapping[str, Any] | None] = queue.Queue(QUEUED)
        self.thread = threading.Thread(target=self._write_all, name="events", daemon=True)

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
        self.recorded.add(reason, type)
        meta = obj.metadata
        same = (regarding.kind, meta.namespace, meta.name, meta.uid, reason, note)
        with self._lock:
            if type == "Warning" and not self._repetitions.is_new(same, self._clock.monotonic()):
                return
        body = event_body(regarding, obj, Note(type, reason, action, note, related), self._reporter, self._clock.now())
        try:
            self._queue.put_nowait(body)
        except queue.Full:
            _lost(body, f"{QUEUED} others wait to be written")

    def end(self) -> None:
        """Write what is queued, then end the thread."""
        try:
            self._queue.put_nowait(None)
        except queue.Full:
            log.info("events are given up at the end count=%d", self._queue.qsize())

    def _write_all(self) -> None:
        while (body := self._queue.get()) is not None:
            try:
                self._cluster.create(EVENT, body)
            except ApiError as problem:
                _lost(body, problem)
            except Exception:
                log.exception("an event was not written")


def _lost(body: Mapping[str, Any], why: object) -> None:
    about = body["regarding"]
    log.warning(
        "event not written kind=%s object=%s/%s reason=%s note=%s why=%s",
        about["kind"],
        about.get("namespace", ""),
        about["name"],
        body["reason"],
        body["note"],
        why,
    )


def _within(text: str, limit: int) -> str:
    """At most `limit` bytes of UTF-8, cut between characters."""
    encoded = text.encode()
    if len(encoded) <= limit:
        return text
    return encoded[: limit - 3].decode(errors="ignore") + "..."
