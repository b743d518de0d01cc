"""An HTTP server that answers as a test tells it to."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from random import Random
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import urllib3

from lws_sched.kube.client import Client
from lws_sched.kube.config import Connection
from lws_sched.kube.http1 import Wires
from lws_sched.kube.transport import Transport


@dataclass(frozen=True)
class Asked:
    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: Any


@dataclass(frozen=True)
class Reply:
    """A JSON answer; or lines sent one by one, after which the stream `ends` in order, `breaks`, or stays open."""

    status: int = 200
    body: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)
    lines: list[Any] | None = None
    ending: str = "ends"


Script = Callable[[Asked], Reply]


class ScriptedServer(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, script: Script) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.script = script
        self.asked: list[Asked] = []
        self.closing = threading.Event()
        self.sleeps: list[float] = []
        self.connections = 0

    def get_request(self) -> tuple[Any, Any]:
        self.connections += 1
        return super().get_request()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def client(self) -> Client:
        return client_of(self.url, self.sleeps)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hangs up is part of the tests."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: ScriptedServer

    def _answer(self) -> None:
        length = int(self.headers.get("Content-Length", 0))
        data = self.rfile.read(length)
        url = urlsplit(self.path)
        body = json.loads(data) if data else None
        asked = Asked(self.command, url.path, dict(parse_qsl(url.query)), dict(self.headers), body)
        self.server.asked.append(asked)
        reply = self.server.script(asked)
        if reply.lines is None:
            self._send(reply)
        else:
            self._stream(reply)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _answer

    def _send(self, reply: Reply) -> None:
        data = reply.body.encode() if isinstance(reply.body, str) else json.dumps(reply.body).encode()
        self.send_response(reply.status)
        for name, value in {"Content-Length": str(len(data)), **reply.headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)

    def _stream(self, reply: Reply) -> None:
        self.send_response(reply.status)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for line in reply.lines or ():
            self._chunk((line if isinstance(line, str) else json.dumps(line)).encode() + b"\n")
        if reply.ending == "ends":
            self._chunk(b"")
        elif reply.ending == "breaks":
            self.connection.shutdown(socket.SHUT_RDWR)
        else:
            self.server.closing.wait(30)
            self.close_connection = True

    def _chunk(self, data: bytes) -> None:
        self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
        self.wfile.flush()

    def log_message(self, format: str, *args: Any) -> None:
        return


@contextmanager
def serving(script: Script) -> Iterator[ScriptedServer]:
    server = ScriptedServer(script)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server
    finally:
        server.closing.set()
        server.shutdown()
        thread.join()
        server.server_close()


def client_of(url: str, sleeps: list[float]) -> Client:
    """A client whose pauses between attempts are noted instead of waited."""
    connection = Connection(Wires(urllib3.PoolManager(), url), lambda: "Bearer secret")
    return Client(Transport(connection, "lws-sched-test/1"), sleep=sleeps.append, random=Random(1))


def in_turn(*replies: Reply) -> Script:
    """Give the replies one after another, the last one for ever."""
    left = list(replies)
    return lambda _: left.pop(0) if len(left) > 1 else left[0]


def pod_json(name: str, version: int, **fields: Any) -> dict[str, Any]:
    meta = {"namespace": "ns", "name": name, "uid": f"uid-of-{name}", "resourceVersion": str(version)}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": meta, **fields}


def page_json(*items: Any, version: int = 10, token: str = "") -> dict[str, Any]:
    return {"kind": "PodList", "metadata": {"resourceVersion": str(version), "continue": token}, "items": list(items)}


def refusal(status: int, reason: str, message: str, **details: Any) -> Reply:
    body = {"kind": "Status", "status": "Failure", "code": status, "reason": reason, "message": message, **details}
    return Reply(status, body)
