"""Connections that a drill can watch and break, without the programs at their ends knowing of it.

`Relay` passes bytes on to whichever port is chosen, as a Service does. `VerbsRelay` also overhears what kube-scheduler
asks. `BindingProxy` stands between an extender and
the API server: it ends TLS on both sides, sees each binding that is posted, and can have something happen at the k-th.
"""

from __future__ import annotations

import contextlib
import re
import select
import socket
import ssl
import threading
from collections.abc import Callable
from pathlib import Path

from tests.controlplane.ports import LOCALHOST

CHUNK = 65536
BINDING = re.compile(rb"POST [^ ]+/binding HTTP/1.1\r\n")
CALL = re.compile(
    rb"POST (?P<path>[^ ]+) HTTP/1.1\r\n(?:[^\r\n]+\r\n)*?"
    rb"Content-Length: (?P<length>\d+)\r\n(?:[^\r\n]+\r\n)*\r\n"
)
"""The head of a call as Go's client writes it."""
CONNECT_SECONDS = 2.0


class Relay:
    """Listens on `port`; each connection goes to the port that `choose` gives, or is closed where that is None."""

    def __init__(self, choose: Callable[[], int | None]) -> None:
        self._choose = choose
        self._open: set[socket.socket] = set()
        self._listener = socket.create_server((LOCALHOST, 0), backlog=1024)
        self.port = int(self._listener.getsockname()[1])
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._listener.close()
        self.cut()

    def cut(self) -> None:
        """Break every connection that is open."""
        for each in list(self._open):
            _end(each)

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, accepted: socket.socket) -> None:
        # Closed whatever happens: a caller that finds nobody must hear so at once, and not wait for its time-out.
        with contextlib.suppress(OSError), contextlib.closing(self._wrap_client(accepted)) as client:
            port = self._choose()
            if port is not None:
                self._pass_on(client, self._connect(port))

    def _pass_on(self, client: socket.socket, server: socket.socket) -> None:
        self._open |= {client, server}
        for each in (client, server):
            each.setblocking(False)
        with contextlib.suppress(OSError, ValueError):
            self._shuttle(client, server)
        for each in (client, server):
            _end(each)
        self._open -= {client, server}
        server.close()

    def _shuttle(self, client: socket.socket, server: socket.socket) -> None:
        """Both ways, until one side ends. On one thread: OpenSSL does not let two use a connection at a time."""
        peers = {client: server, server: client}
        poll = select.poll()
        for each in peers:
            poll.register(each, select.POLLIN)
        while True:
            # What TLS has deciphered already, no poll would show.
            deciphered = [each for each in peers if isinstance(each, ssl.SSLSocket) and each.pending()]
            ready = {each.fileno() for each in deciphered} or {fd for fd, _ in poll.poll()}
            for source in [each for each in peers if each.fileno() in ready]:
                try:
                    data = source.recv(CHUNK)
                except (BlockingIOError, ssl.SSLWantReadError):
                    continue  # a part of a record, or one that is TLS's own
                if not data or not self._may_pass(data, source, source is client):
                    return
                _send(peers[source], data)

    def _wrap_client(self, accepted: socket.socket) -> socket.socket:
        return accepted

    def _connect(self, port: int) -> socket.socket:
        server = socket.create_connection((LOCALHOST, port), CONNECT_SECONDS)
        server.settimeout(None)
        return server

    def _may_pass(self, data: bytes, source: socket.socket, forth: bool) -> bool:
        return True


class VerbsRelay(Relay):
    """The extender's verbs as kube-scheduler sees them. `hear` is called with the body of each `filter` call."""

    def __init__(self, choose: Callable[[], int | None], hear: Callable[[bytes], None]) -> None:
        self._hear = hear
        self._pending: dict[socket.socket, bytes] = {}
        """What has come of a call that is not complete."""
        super().__init__(choose)

    def _pass_on(self, client: socket.socket, server: socket.socket) -> None:
        try:
            super()._pass_on(client, server)
        finally:
            self._pending.pop(client, None)

    def _may_pass(self, data: bytes, source: socket.socket, forth: bool) -> bool:
        if forth:
            self._pending[source] = self._overhear(self._pending.get(source, b"") + data)
        return True

    def _overhear(self, data: bytes) -> bytes:
        """Take the complete calls off; what is left of the data."""
        while (call := CALL.match(data)) and len(data) >= (end := call.end() + int(call["length"])):
            if call["path"] == b"/filter":
                self._hear(data[call.end() : end])
            data = data[end:]
        return data


class BindingProxy(Relay):
    """The API server as one client sees it.

    `at_binding` is called with the number of each binding posted since it was set, before the API server hears of it;
    where it returns False, the API server hears of it and its answer is lost.
    """

    def __init__(self, api_server: int, certificate: Path, key: Path, authority: Path) -> None:
        self._server_side = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._server_side.load_cert_chain(certificate, key)
        self._client_side = ssl.create_default_context(cafile=str(authority))
        self._lock = threading.Lock()
        self._count = 0
        self._at_binding: Callable[[int], bool] = _let_pass
        self._deaf: set[socket.socket] = set()
        """Connections to the API server whose next answer is lost."""
        self._peer: dict[socket.socket, socket.socket] = {}
        super().__init__(lambda: api_server)

    def watch(self, at_binding: Callable[[int], bool]) -> None:
        with self._lock:
            self._count, self._at_binding = 0, at_binding

    def _wrap_client(self, accepted: socket.socket) -> socket.socket:
        return self._server_side.wrap_socket(accepted, server_side=True)

    def _connect(self, port: int) -> socket.socket:
        return self._client_side.wrap_socket(super()._connect(port), server_hostname=LOCALHOST)

    def _pass_on(self, client: socket.socket, server: socket.socket) -> None:
        self._peer[client] = server
        super()._pass_on(client, server)

    def _may_pass(self, data: bytes, source: socket.socket, forth: bool) -> bool:
        if not forth:
            return source not in self._deaf
        for _ in BINDING.findall(data):
            with self._lock:
                self._count += 1
                if not self._at_binding(self._count):
                    self._deaf.add(self._peer[source])
        return True


def _let_pass(_: int) -> bool:
    return True


def _send(sink: socket.socket, data: bytes) -> None:
    left = memoryview(data)
    while left:
        try:
            left = left[sink.send(left) :]
        except (BlockingIOError, ssl.SSLWantWriteError):
            poll = select.poll()
            poll.register(sink, select.POLLOUT)
            poll.poll()


def _end(connection: socket.socket) -> None:
    with contextlib.suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)
