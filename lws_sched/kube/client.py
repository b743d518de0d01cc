"""`port.Cluster` over HTTP: sends requests, decodes what comes back into our types, and turns refusals into errors.

Tried again, a few times, are only requests that cannot have had an effect twice: reads, and whatever the server itself
sent away with 429 and a time to come back. All else is the caller's decision.

A list is fetched in pages; when its continuation expires on the way it starts again. An object that cannot be read is
left out and named in the log: it must not blind the caller to all others.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from random import Random
from typing import Any, Generic, TypeVar, cast

from lws_sched.api.core import POD
from lws_sched.api.meta import Kind, Object
from lws_sched.kube import answers, request
from lws_sched.kube.backoff import Backoff
from lws_sched.kube.config import connect
from lws_sched.kube.errors import ApiError, Gone, Invalid, Unavailable
from lws_sched.kube.http1 import Answer
from lws_sched.kube.limit import RateLimit
from lws_sched.kube.port import Body, PatchOperation
from lws_sched.kube.request import Deletion, Request
from lws_sched.kube.store import Listing, WatchEvent, version_of
from lws_sched.kube.transport import Stream, Transport

log = logging.getLogger(__name__)
T = TypeVar("T", bound=Object)

PAGE = 500
"""Objects per page of a list."""
ATTEMPTS = 4
PATIENCE = 10.0
"""The longest Retry-After that is waited for, seconds."""
WATCH_SECONDS = (240, 360)
"""How long the server keeps one watch open: drawn between these, so that not all are renewed at once."""
SILENCE = 90.0
"""A watch without a byte for this long is dead, seconds: the server sends a bookmark about every minute."""


@dataclass(frozen=True)
class Client:
    """Thread-safe. Every call blocks for at most the transport's time-outs, times `ATTEMPTS` for reads."""

    transport: Transport
    sleep: Callable[[float], None] = time.sleep
    random: Random = field(default_factory=Random)

    @classmethod
    def connect(
        cls,
        user_agent: str,
        kubeconfig: str | None = None,
        context: str | None = None,
        limit: RateLimit | None = None,
    ) -> Client:
        """Raises ConfigError. Writes without a field manager of their own carry the part of `user_agent` before "/"."""
        return cls(Transport(connect(kubeconfig, context), user_agent, limit=limit))

    def token(self) -> str:
        """The bearer token that requests carry now; "" where they carry none. Raises Unavailable."""
        scheme, _, token = (self.transport.connection.authorization() or "").partition(" ")
        return token if scheme.lower() == "bearer" else ""

    def impatient(self, seconds: float) -> Client:
        """The same client, on the same connections, that gives up an answer after `seconds` and waits for no limit."""
        transport = replace(self.transport, connect_timeout=seconds, read_timeout=seconds, limit=None)
        return replace(self, transport=transport)

    def get(self, kind: Kind[T], namespace: str, name: str) -> T:
        return self._object(kind, request.get(kind, namespace, name))

    def list(self, kind: Kind[T], namespace: str = "", labels: str = "") -> list[T]:
        return self.listing(kind, namespace, labels).items

    def listing(self, kind: Kind[T], namespace: str = "", labels: str = "") -> Listing[T]:
        """All pages, and the version that they show the cluster at."""
        for _ in range(ATTEMPTS - 1):
            try:
                return self._listing(kind, namespace, labels)
            except Gone:
                log.info("a list took too long and starts again kind=%s", kind)
        return self._listing(kind, namespace, labels)

    def watch(self, kind: Kind[T], version: int, labels: str = "") -> Watch[T]:
        """Everything that happens after `version`; iterate over it to open the watch."""
        seconds = self.random.randint(*WATCH_SECONDS)
        return Watch(self.transport, kind, request.watch(kind, labels, version, seconds))

    def create(self, kind: Kind[T], body: Body, *, dry_run: bool = False) -> T:
        return self._object(kind, request.create(kind, body, dry_run=dry_run))

    def replace(self, kind: Kind[T], body: Body) -> T:
        return self._object(kind, request.replace(kind, body))

    def apply(self, kind: Kind[T], body: Body, *, manager: str) -> T:
        return self._object(kind, request.apply(kind, body, manager))

    def merge(self, kind: Kind[T], namespace: str, name: str, body: Body, *, subresource: str = "") -> T:
        return self._object(kind, request.merge(kind, namespace, name, body, subresource))

    def patch(self, kind: Kind[T], namespace: str, name: str, operations: Sequence[PatchOperation]) -> T:
        return self._object(kind, request.patch(kind, namespace, name, operations))

    def delete(
        self,
        kind: Kind[T],
        namespace: str,
        name: str,
        *,
        uid: str = "",
        propagation: str = "Background",
        grace_seconds: int | None = None,
    ) -> None:
        self._send(request.delete(kind, namespace, name, Deletion(uid, propagation, grace_seconds)))

    def bind(self, namespace: str, pod: str, uid: str, node: str) -> None:
        self._send(request.bind(POD, namespace, pod, uid, node))

    def _object(self, kind: Kind[T], asked: Request) -> T:
        answer = self._send(asked)
        try:
            return answers.read_object(kind, answer.body)
        except answers.Unreadable as error:
            raise Invalid(str(error), status=answer.status) from error

    def _listing(self, kind: Kind[T], namespace: str, labels: str) -> Listing[T]:
        items: list[T] = []
        unreadable: set[str] = set()
        token = ""
        while True:
            asked = request.list_page(kind, namespace, labels, PAGE, token)
            page = answers.read_page(kind, self._send(asked).body)
            for raw in page.items or ():
                try:
                    items.append(answers.read_object(kind, raw))
                except answers.Unreadable as error:
                    log.error("%s", error)
                    unreadable.add(answers.read_identity(raw).key)
            token = page.metadata.next_token
            if not token:
                return Listing(items, int(page.metadata.resource_version or 0), frozenset(unreadable))

    def _send(self, asked: Request) -> Answer:
        backoff = Backoff(0.2, 2.0, self.random)
        for _ in range(ATTEMPTS - 1):
            pause = backoff.next()
            try:
                answer = self.transport.send(asked)
            except Unavailable:
                if asked.method != "GET":
                    raise
            else:
                if answer.status < 300:
                    return answer
                wished = _seconds_to_come_back(asked, answer)
                if wished is None or wished > PATIENCE:
                    raise _refusal(asked, answer)
                pause = max(pause, wished)
            self.sleep(pause)
        answer = self.transport.send(asked)
        if answer.status < 300:
            return answer
        raise _refusal(asked, answer)


class Watch(Generic[T]):
    """One watch: iterate for its events until the server ends it or `stop` is called, which any thread may do.

    Iterating raises Gone where the version is too old to start from, and Unavailable where the stream breaks.
    """

    def __init__(self, transport: Transport, kind: Kind[T], asked: Request) -> None:
        self._transport, self._kind, self._request = transport, kind, asked
        self._lock = threading.Lock()
        self._stream: Stream | None = None
        self._stopped = False

    def __iter__(self) -> Iterator[WatchEvent[T]]:
        if self._stopped:
            return
        stream = self._transport.stream(self._request, SILENCE)
        try:
            if not self._adopt(stream):
                return
            if stream.status >= 300:
                raise _refusal(self._request, stream.rest())
            for line in stream.lines():
                yield self._event(line)
        finally:
            stream.close()

    def stop(self) -> None:
        with self._lock:
            self._stopped = True
            if self._stream is not None:
                self._stream.stop()

    def _adopt(self, stream: Stream) -> bool:
        """Keep the stream for `stop`; False where it was already called."""
        with self._lock:
            self._stream = stream
            return not self._stopped

    def _event(self, line: bytes) -> WatchEvent[T]:
        frame = answers.read_frame(self._kind, line)
        if frame.type == "ERROR":
            body = bytes(frame.object)
            raise answers.error_of(answers.decoder_of(answers.Status).decode(body).code, body, f"watch {self._kind}")
        kind = cast(Any, frame.type)
        if frame.type == "BOOKMARK":
            return WatchEvent(kind, answers.read_identity(frame.object).version)
        try:
            obj = answers.read_object(self._kind, frame.object)
        except answers.Unreadable as error:
            log.error("%s", error)
            if frame.type == "DELETED":
                # Whoever holds an older, readable version must drop it; the next list will say so.
                raise Gone(str(error)) from error
            return WatchEvent("BOOKMARK", answers.read_identity(frame.object).version)
        return WatchEvent(kind, version_of(obj), obj)


def _seconds_to_come_back(asked: Request, answer: Answer) -> float | None:
    """How long to wait before the same request may be sent again; None where it may not be."""
    header = answer.headers.get("retry-after", "")
    wished = float(header) if header.isdigit() else None
    if answer.status == 429:
        return wished
    if asked.method == "GET" and answer.status >= 500:
        return wished or 0.0
    return None


def _refusal(asked: Request, answer: Answer) -> ApiError:
    return answers.error_of(answer.status, answer.body, f"{asked.method} {asked.path}")
