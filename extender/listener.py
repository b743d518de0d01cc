"""The listener for kube-scheduler's calls: HTTP/1.1 on an event loop of its own, in a thread of its own.

A thread-pool server would deadlock here: bind calls are held until their whole group has arrived, and a group may be
larger than any pool. On the loop a held call costs a future. `filter` is answered on the loop itself, as it only looks
up; `bind` is answered through a callback from whichever thread finished the commit.

Two calls per pod come through here, so the path is short: a parser in C, typed decoding, one write per answer. The
server speaks what kube-scheduler speaks (POST with a length, kept-alive connections, one call at a time on each) and
closes any connection that does otherwise: one that sends a second call before the first is answered, or a call that is
too large or takes longer than `READ_SECONDS` to arrive, or that says nothing for `IDLE_SECONDS`.

Whoever may call `bind` may have members bound, so callers are only let in from this host, or with a client certificate:
given a TLS policy, nobody is answered before `use` has said which certificates those are.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
import threading
from collections.abc import Callable
from typing import Protocol, cast

import httptools
import msgspec
import uvloop

from lws_sched.admission.certificates import Certificate
from lws_sched.admission.web import TlsPolicy
from lws_sched.api.extender import (
    BindingArgs,
    BindingResult,
    ExtenderArgs,
    FilterResult,
    PreemptionArgs,
    PreemptionResult,
)

log = logging.getLogger(__name__)

MAX_BODY_BYTES = 16 * 2**20
"""A filter call for 5,000 nodes is about 300 kB."""
BACKLOG = 4096
MAX_HEAD_BYTES = 64 * 2**10
MAX_CONNECTIONS = 16_384
"""Each held call is one."""
HANDSHAKE_SECONDS = 10.0
READ_SECONDS = 10.0
IDLE_SECONDS = 120.0
"""kube-scheduler gives an idle connection up after 90 s; whoever closes first may meet a call on its way."""
_FILTER_ARGS = msgspec.json.Decoder(ExtenderArgs)
_BINDING_ARGS = msgspec.json.Decoder(BindingArgs)
_PREEMPTION_ARGS = msgspec.json.Decoder(PreemptionArgs)
_ENCODER = msgspec.json.Encoder()


class Verbs(Protocol):
    """What is served: `verbs.Verbs`, or something around it."""

    def filter(self, args: ExtenderArgs) -> FilterResult: ...

    def bind(
        self, args: BindingArgs, respond: Callable[[BindingResult], None], is_alive: Callable[[], bool]
    ) -> None: ...

    def preempt(self, args: PreemptionArgs) -> PreemptionResult: ...


class Listener:
    """Serves the verbs at http://host:port/{filter,bind,preempt}, or https where a TLS policy is given. `start` returns
    once it accepts calls."""

    def __init__(self, verbs: Verbs, host: str, port: int, tls: TlsPolicy | None = None) -> None:
        self._verbs = verbs
        self._host, self._port, self._tls = host, port, tls
        self._socket: socket.socket | None = None
        self._server: asyncio.Server | None = None
        self._open_connections: set[_Connection] = set()
        self._loop: asyncio.AbstractEventLoop = uvloop.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="verbs", daemon=True)
        self._ready = threading.Event()
        self._failure: OSError | None = None
        self._bound_port = 0

    @property
    def port(self) -> int:
        """The port in use, also where 0 was asked for."""
        return self._bound_port

    def start(self) -> None:
        """Raises OSError where the port is taken."""
        self._thread.start()
        self._ready.wait()
        if self._failure is not None:
            raise self._failure

    def use(self, certificate: Certificate) -> None:
        """Serve this certificate to every connection from now on, and let in the clients of its authorities; those that
        are there are not disturbed. Raises OSError, InvalidCertificate."""
        assert self._tls is not None
        context = self._tls.for_clients_of(certificate)
        asyncio.run_coroutine_threadsafe(self._open(context), self._loop).result()

    def stop(self) -> None:
        """Close everything; held calls break off, which kube-scheduler takes as a refusal."""
        if self._failure is None and self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join(timeout=5)

    def _run(self) -> None:
        try:
            family = socket.AF_INET6 if ":" in self._host else socket.AF_INET
            self._socket = socket.create_server((self._host, self._port), family=family, backlog=BACKLOG)
            self._bound_port = int(self._socket.getsockname()[1])
            if self._tls is None:
                self._loop.run_until_complete(self._open(None))
        except OSError as error:
            self._failure = error
            return
        finally:
            self._ready.set()
        self._loop.run_forever()
        if self._server is not None:
            self._server.close()
        self._socket.close()
        self._loop.close()

    async def _open(self, context: ssl.SSLContext | None) -> None:
        """Take new connections in this way. The socket stays the same, so none is refused while the way changes."""
        assert self._socket is not None
        before = self._server
        self._server = await self._loop.create_server(
            lambda: _Connection(self._verbs, self._loop, self._open_connections),
            sock=self._socket.dup(),
            backlog=BACKLOG,
            ssl=context,
            ssl_handshake_timeout=HANDSHAKE_SECONDS if context else None,
        )
        if before is not None:
            before.close()


class _Connection(asyncio.Protocol):
    """One connection of kube-scheduler. httptools calls the `on_...` methods."""

    def __init__(self, verbs: Verbs, loop: asyncio.AbstractEventLoop, others: set[_Connection]) -> None:
        self._verbs, self._loop, self._others = verbs, loop, others
        self._parser = httptools.HttpRequestParser(self)
        self._transport: asyncio.Transport | None = None
        self._path = b""
        self._body: list[bytes] = []
        self._arrived = 0
        """Bytes of the call that is arriving; 0 between calls."""
        self._is_held = False
        """A call has arrived and is not answered yet."""
        self._deadline = 0.0
        """When the connection is closed unless something happens, by the loop's clock."""
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._others.add(self)
        if len(self._others) > MAX_CONNECTIONS:
            log.warning("a connection is refused: %d are open", MAX_CONNECTIONS)
            self._close()
            return
        self._deadline = self._loop.time() + IDLE_SECONDS
        self._look()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        self._transport = None
        self._others.discard(self)
        if self._timer is not None:
            self._timer.cancel()

    def _look(self) -> None:
        """Close the connection where it is time. One timer that is rarely set costs a call nothing."""
        left = READ_SECONDS if self._is_held else self._deadline - self._loop.time()
        if left <= 0:
            self._close()
            return
        self._timer = self._loop.call_later(min(left, READ_SECONDS), self._look)

    def data_received(self, data: bytes) -> None:
        if self._is_held:
            log.warning("a caller does not wait for its answer")
            self._close()
            return
        if not self._arrived:
            self._deadline = self._loop.time() + READ_SECONDS
        self._arrived += len(data)
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            log.warning("a caller does not speak HTTP: %s", error)
            self._close()
        if self._arrived > MAX_HEAD_BYTES + MAX_BODY_BYTES:
            self._answer("413 Content Too Large", b"")
            self._body = []
            self._close()

    def on_message_begin(self) -> None:
        if self._is_held:
            raise ConnectionError("a second call came before the first was answered")
        self._path, self._body = b"", []

    def on_url(self, url: bytes) -> None:
        self._path += url[:MAX_HEAD_BYTES]

    def on_body(self, body: bytes) -> None:
        self._body.append(body)

    def on_message_complete(self) -> None:
        body = b"".join(self._body)
        self._body, self._is_held = [], True
        if self._path == b"/filter":
            self._answer("200 OK", _ENCODER.encode(self._filter(body)))
        elif self._path == b"/bind":
            self._bind(body)
        elif self._path == b"/preempt":
            self._preempt(body)
        else:
            self._answer("200 OK" if self._path == b"/healthz" else "404 Not Found", b"")

    def _filter(self, body: bytes) -> FilterResult:
        try:
            args = _FILTER_ARGS.decode(body)
        except (msgspec.DecodeError, RecursionError) as error:
            return FilterResult(error=f"lws-sched: malformed filter call: {error}")
        try:
            return self._verbs.filter(args)
        except Exception:  # a bug must cost one scheduling attempt, with a reason, and not the listener
            log.exception("filter failed pod=%s/%s", args.pod.metadata.namespace, args.pod.metadata.name)
            return FilterResult(error="lws-sched: the filter failed; see the extender's log")

    def _bind(self, body: bytes) -> None:
        try:
            args = _BINDING_ARGS.decode(body)
        except (msgspec.DecodeError, RecursionError) as error:
            self._answer_bind(BindingResult(error=f"lws-sched: malformed bind call: {error}"))
            return
        self._verbs.bind(args, self._responder(), lambda: self._transport is not None)

    def _preempt(self, body: bytes) -> None:
        """The answer has no field for an error: any status but 200 costs one attempt, and nobody is evicted."""
        try:
            args = _PREEMPTION_ARGS.decode(body)
            self._answer("200 OK", _ENCODER.encode(self._verbs.preempt(args)))
        except msgspec.DecodeError as error:
            log.warning("malformed preempt call: %s", error)
            self._answer("400 Bad Request", b"")
        except Exception:  # a bug must cost one scheduling attempt, and not the listener
            log.exception("preempt failed")
            self._answer("500 Internal Server Error", b"")

    def _responder(self) -> Callable[[BindingResult], None]:
        return lambda result: self._call_soon(lambda: self._answer_bind(result))

    def _call_soon(self, task: Callable[[], None]) -> None:
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(task)

    def _answer_bind(self, result: BindingResult) -> None:
        self._answer("200 OK", _ENCODER.encode(result))

    def _answer(self, status: str, body: bytes) -> None:
        if self._transport is None:
            return
        head = f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        self._transport.write(head.encode() + body)
        self._is_held, self._arrived = False, 0
        self._deadline = self._loop.time() + IDLE_SECONDS
        if not self._parser.should_keep_alive():
            self._close()

    def _close(self) -> None:
        if self._transport is not None:
            self._transport.close()
