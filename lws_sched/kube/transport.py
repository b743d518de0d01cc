"""Requests to the API server over kept-alive connections: one answer, or a stream of lines.

Every request carries time-outs. Whatever goes wrong below HTTP (refused, reset, timed out, TLS) is `Unavailable`, as it
is unknown whether the request took effect. Nothing is tried again here. A stream can be stopped from another thread:
its socket is shut down, which ends the read that is waiting on it.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

import msgspec
from urllib3.exceptions import NewConnectionError

from lws_sched.kube.config import Connection
from lws_sched.kube.errors import Unavailable
from lws_sched.kube.http1 import FAILURES, Answer, Incoming, Wire
from lws_sched.kube.limit import RateLimit
from lws_sched.kube.request import Request
from lws_sched.telemetry import families
from lws_sched.telemetry.counts import Counter, Histogram, Instrument


class Stream:
    """An answer whose body is read line by line while it arrives."""

    def __init__(self, wire: Wire, incoming: Incoming) -> None:
        self._wire, self._incoming = wire, incoming
        self._stopped = threading.Event()
        self.status = incoming.status

    def lines(self) -> Iterator[bytes]:
        """Lines, until the server ends the stream or `stop` is called. Raises Unavailable."""
        rest = b""
        for piece in self._pieces():
            *lines, rest = (rest + piece).split(b"\n")
            yield from lines
        if rest:
            yield rest

    def rest(self) -> Answer:
        """The whole body at once: a refusal is no stream. Raises Unavailable."""
        return Answer(self.status, self._incoming.headers, b"".join(self._pieces()))

    def stop(self) -> None:
        self._stopped.set()
        self._wire.stop()

    def close(self) -> None:
        """Close the connection: a stream that was not read to its end cannot be followed by another request."""
        self._wire.close()

    def _pieces(self) -> Iterator[bytes]:
        try:
            yield from self._wire.pieces(self._incoming)
        except FAILURES as error:
            if not self._stopped.is_set():
                raise Unavailable(f"the stream from the API server broke: {error}") from error


class RequestMeter:
    """What is counted of the requests to one API server."""

    def __init__(self) -> None:
        self._requests, self._seconds = Counter(families.REQUESTS), Histogram(families.REQUEST_SECONDS)

    def instruments(self) -> tuple[Instrument, ...]:
        return (self._requests, self._seconds)

    def count(self, status: int | None, host: str, method: str, seconds: float) -> None:
        """`status` is None where no answer came."""
        self._requests.add("<error>" if status is None else str(status), host, method)
        self._seconds.observe(seconds, host, method)


@dataclass(frozen=True)
class Transport:
    """`connect_timeout` and `read_timeout` (between two pieces of an answer) are seconds."""

    connection: Connection
    user_agent: str
    meter: RequestMeter = field(default_factory=RequestMeter)
    limit: RateLimit | None = None
    connect_timeout: float = 5.0
    read_timeout: float = 35.0
    """Above the 30 s that the slowest admission webhook may take."""

    def send(self, request: Request) -> Answer:
        """Raises Unavailable where no answer came."""
        with self._metered(request) as outcome:
            message, wire = self._message(request), self._wire(request)
            try:
                answer = wire.exchange(message, self.read_timeout)
            except FAILURES as error:
                wire.close()
                raise _no_answer(request, self.connection.wires.host, error) from error
            outcome.status = answer.status
        self.connection.wires.give(wire)
        return answer

    def stream(self, request: Request, silence: float) -> Stream:
        """Open a stream that breaks after `silence` seconds without a byte. Raises Unavailable."""
        with self._metered(request) as outcome:
            message, wire = self._message(request), self._wire(request)
            try:
                stream = Stream(wire, wire.begin(message, silence))
            except FAILURES as error:
                wire.close()
                raise _no_answer(request, self.connection.wires.host, error) from error
            outcome.status = stream.status
        return stream

    def _metered(self, request: Request) -> _Metered:
        if self.limit is not None:
            self.limit.wait()
        return _Metered(self.meter, self.connection.wires.host, request.method)

    def _wire(self, request: Request) -> Wire:
        try:
            return self.connection.wires.take(self.connect_timeout)
        except FAILURES as error:
            raise _no_answer(request, self.connection.wires.host, error) from error

    def _message(self, request: Request) -> bytes:
        """The request as it goes over the wire. Raises Unavailable where there are no credentials."""
        wires = self.connection.wires
        body = b"" if request.body is None else msgspec.json.encode(request.body)
        head = (
            f"{request.method} {wires.root}{request.target} HTTP/1.1\r\n"
            f"Host: {wires.host}\r\nAccept: application/json\r\nUser-Agent: {self.user_agent}\r\n"
        )
        if authorization := self.connection.authorization():
            head += f"Authorization: {authorization}\r\n"
        if request.body is not None:
            head += f"Content-Type: {request.content_type}\r\nContent-Length: {len(body)}\r\n"
        return f"{head}\r\n".encode("latin-1") + body


class _Metered:
    """Counts one request when it is over; `status` stays None unless an answer came."""

    __slots__ = ("_began", "_host", "_meter", "_method", "status")

    def __init__(self, meter: RequestMeter, host: str, method: str) -> None:
        self._meter, self._host, self._method = meter, host, method
        self.status: int | None = None

    def __enter__(self) -> _Metered:
        self._began = time.monotonic()
        return self

    def __exit__(self, *_: object) -> None:
        self._meter.count(self.status, self._host, self._method, time.monotonic() - self._began)


def _no_answer(request: Request, host: str, error: Exception) -> Unavailable:
    # urllib3 says once more to which host, and wraps the cause into how it was tried.
    cause = error.__cause__ if isinstance(error, NewConnectionError) else None
    said = f"no answer from the API server at {host} to {request.method} {request.path}: {cause or error}"
    return Unavailable(said, status=0)
