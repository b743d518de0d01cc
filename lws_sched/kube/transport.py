"""HTTP to the API server over the connection pool: one answer, or a stream of lines.

Every request carries time-outs. Whatever goes wrong below HTTP (refused, reset, timed out, TLS) is `Unavailable`, as it
is unknown whether the request took effect. Nothing is tried again here. A stream can be stopped from another thread:
its socket is shut down, which ends the read that is waiting on it.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from http.client import HTTPException

import msgspec
import urllib3
from urllib3.exceptions import HTTPError

from lws_sched.kube.config import Connection
from lws_sched.kube.errors import Unavailable
from lws_sched.kube.request import Request

CHUNK = 1 << 16


@dataclass(frozen=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    body: bytes


class Stream:
    """A response whose body is read line by line while it arrives."""

    def __init__(self, response: urllib3.BaseHTTPResponse) -> None:
        self._response = response
        self._stopped = threading.Event()
        self.status = response.status

    def lines(self) -> Iterator[bytes]:
        """Lines, until the server ends the stream or `stop` is called. Raises Unavailable."""
        rest = b""
        while chunk := self._read():
            *lines, rest = (rest + chunk).split(b"\n")
            yield from lines
        if rest:
            yield rest

    def rest(self) -> Answer:
        """The whole body at once: a refusal is no stream. Raises Unavailable."""
        return Answer(self.status, self._response.headers, b"\n".join(self.lines()))

    def stop(self) -> None:
        self._stopped.set()
        # The reader may have closed it at this very moment.
        with suppress(HTTPError, OSError, ValueError, RuntimeError):
            self._response.shutdown()

    def close(self) -> None:
        """Close the connection: a stream that was not read to its end cannot go back to the pool."""
        self._response.close()

    def _read(self) -> bytes:
        try:
            return b"" if self._stopped.is_set() else self._response.read1(CHUNK)
        except (HTTPError, HTTPException, OSError, ValueError) as error:
            if self._stopped.is_set():
                return b""
            raise Unavailable(f"the stream from the API server broke: {error}") from error


@dataclass(frozen=True)
class Transport:
    """`connect_timeout` and `read_timeout` (between two pieces of an answer) are seconds."""

    connection: Connection
    user_agent: str
    connect_timeout: float = 5.0
    read_timeout: float = 35.0
    """Above the 30 s that the slowest admission webhook may take."""

    def send(self, request: Request) -> Answer:
        """Raises Unavailable where no answer came."""
        response = self._request(request, self.read_timeout, preload=True)
        return Answer(response.status, response.headers, response.data)

    def stream(self, request: Request, silence: float) -> Stream:
        """Open a stream that breaks after `silence` seconds without a byte. Raises Unavailable."""
        return Stream(self._request(request, silence, preload=False))

    def _request(self, request: Request, read_timeout: float, *, preload: bool) -> urllib3.BaseHTTPResponse:
        url = self.connection.base_url + request.target
        try:
            return self.connection.pool.request(
                request.method,
                url,
                body=None if request.body is None else msgspec.json.encode(request.body),
                headers=self._headers(request),
                timeout=urllib3.Timeout(connect=self.connect_timeout, read=read_timeout),
                preload_content=preload,
                retries=False,
                redirect=False,
            )
        except (HTTPError, HTTPException, OSError) as error:
            raise Unavailable(
                f"no answer from the API server to {request.method} {request.path}: {error}", status=0
            ) from error

    def _headers(self, request: Request) -> dict[str, str]:
        headers = {"Accept": "application/json", "User-Agent": self.user_agent}
        if request.body is not None:
            headers["Content-Type"] = request.content_type
        if authorization := self.connection.authorization():
            headers["Authorization"] = authorization
        return headers
