"""HTTP/1.1 exchanges with the API server, on connections that urllib3 opens.

urllib3 does what is hard to get right: TLS, client certificates, server names, proxies. What it then does in Python for
each request and for each chunk of a watch costs more than everything else that a binding needs here, so on the open
socket requests are written by this module and answers are parsed by httptools, in C.

One exchange at a time on a connection; no pipelining, no redirects, no compression is asked for. Errors are those of
the socket, of urllib3 (while connecting) and of the parser (`FAILURES`); `transport` gives them their meaning.
"""

from __future__ import annotations

import socket
import ssl
import time
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from http.client import HTTPException
from urllib.parse import urlsplit

import httptools
import urllib3
from urllib3.connection import HTTPConnection
from urllib3.exceptions import HTTPError
from urllib3.util.wait import wait_for_read

FAILURES = (OSError, HTTPError, HTTPException, httptools.HttpParserError)
CHUNK = 1 << 16
IDLE_SECONDS = 60.0
"""A connection unused for longer is not used again: the API server closes idle ones after 90 s."""


@dataclass(frozen=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    """Names in lower case."""
    body: bytes


class Incoming:
    """One answer while it arrives. httptools calls the `on_...` methods."""

    def __init__(self) -> None:
        self._parser = httptools.HttpResponseParser(self)
        self._headers: list[tuple[bytes, bytes]] = []
        self._body: list[bytes] = []
        self.has_head = self.is_complete = False
        self.keeps_alive = False
        """Whether the connection can carry another exchange: known once the answer is complete."""

    def feed(self, data: bytes) -> None:
        """Take in what the socket gave; nothing means that the server has closed the connection."""
        if data:
            self._parser.feed_data(data)
        elif self.has_head and not self._has_length():
            self.is_complete = True
        else:
            raise ConnectionResetError("the server closed the connection in the middle of its answer")

    @property
    def status(self) -> int:
        return int(self._parser.get_status_code())

    @property
    def headers(self) -> dict[str, str]:
        return {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in self._headers}

    def body(self) -> bytes:
        """What has arrived of the body since the last call."""
        body, self._body = b"".join(self._body), []
        return body

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers.append((name, value))

    def on_headers_complete(self) -> None:
        self.has_head = True

    def on_body(self, body: bytes) -> None:
        self._body.append(body)

    def on_message_complete(self) -> None:
        self.is_complete = True
        self.keeps_alive = bool(self._parser.should_keep_alive())

    def _has_length(self) -> bool:
        return any(name in self.headers for name in ("content-length", "transfer-encoding"))


class Wire:
    """An open connection. Only `stop` may be called by another thread than the one that uses it."""

    def __init__(self, connection: HTTPConnection) -> None:
        self._connection = connection
        opened = connection.sock
        assert opened is not None
        self._socket: socket.socket = opened
        self._incoming = Incoming()
        self._idle_since = time.monotonic()

    @property
    def is_usable(self) -> bool:
        """Whether it may carry the next exchange. An idle connection on which something arrives is being closed."""
        fresh = time.monotonic() - self._idle_since < IDLE_SECONDS
        return fresh and not wait_for_read(self._socket, timeout=0)

    @property
    def keeps_alive(self) -> bool:
        return self._incoming.keeps_alive

    def begin(self, message: bytes, timeout: float) -> Incoming:
        """Send a request and receive the head of its answer. `timeout`: seconds without a byte, from now on."""
        self._incoming = incoming = Incoming()
        self._socket.settimeout(timeout)
        self._socket.sendall(message)
        while not incoming.has_head:
            incoming.feed(self._socket.recv(CHUNK))
        return incoming

    def exchange(self, message: bytes, timeout: float) -> Answer:
        incoming = self.begin(message, timeout)
        body = b"".join(self.pieces(incoming))
        self._idle_since = time.monotonic()
        return Answer(incoming.status, incoming.headers, body)

    def pieces(self, incoming: Incoming) -> Iterator[bytes]:
        """The body as it arrives, to its end."""
        while not incoming.is_complete:
            if piece := incoming.body():
                yield piece
            incoming.feed(self._socket.recv(CHUNK))
        if piece := incoming.body():
            yield piece

    def stop(self) -> None:
        """End the read that another thread waits in."""
        with suppress(OSError):
            # Not that of an SSLSocket, which takes the TLS state from under the reader.
            socket.socket.shutdown(self._socket, socket.SHUT_RDWR)

    def close(self) -> None:
        with suppress(OSError, ssl.SSLError):
            self._connection.close()


class Wires:
    """Connections to one server. Thread-safe: a connection is with one thread, or idle here."""

    def __init__(self, manager: urllib3.PoolManager, base_url: str) -> None:
        self._pool = manager.connection_from_url(base_url)
        self._idle: deque[Wire] = deque()
        parts = urlsplit(base_url)
        self.host = parts.netloc.rpartition("@")[2]
        self.root = parts.path.rstrip("/")
        """What every path begins with where the API server stands behind a gateway."""

    def take(self, connect_timeout: float) -> Wire:
        """The connection used last, or a new one. Seconds for connecting; raises one of FAILURES."""
        while True:
            try:
                wire = self._idle.pop()
            except IndexError:
                return Wire(self._connect(connect_timeout))
            if wire.is_usable:
                return wire
            wire.close()

    def give(self, wire: Wire) -> None:
        """Keep a connection for the next exchange, if its last one came to an end."""
        if wire.keeps_alive:
            self._idle.append(wire)
        else:
            wire.close()

    def _connect(self, timeout: float) -> HTTPConnection:
        connection = self._pool._new_conn()
        connection.timeout = timeout
        if self._pool.proxy is not None:
            self._pool._prepare_proxy(connection)
        else:
            connection.connect()
        return connection  # type: ignore[return-value]
