"""A web server inside this process: a WSGI application on cheroot, with or without TLS, on threads of its own.

Guarantees, each of them a setting or a subclass below:

* A connection that says nothing, or says it slowly, costs one thread for `READ_SECONDS`, never the accept loop: the TLS
  handshake runs on the worker thread, not where cheroot would run it, and a request has to arrive in that time as a
  whole, not only its next byte.
* A request has `MAX_HEAD_BYTES` of headers and `MAX_BODY_BYTES` of body at most.
* A request may wait without holding up others: there are `threads` of them.
* An idle connection is kept longer than the API server keeps it. A server that closes first can meet a request on its
  way, and a POST is not sent twice: a pod's creation would fail.
* One write per answer: headers and body leave in one TLS record.
* The private key is on disk only while OpenSSL reads it, in a folder that nobody else may enter.
"""

from __future__ import annotations

import logging
import socket
import ssl
import tempfile
import threading
import time
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cheroot import wsgi
from cheroot.makefile import StreamReader, StreamWriter
from cheroot.server import HTTPConnection
from cheroot.ssl import Adapter

from lws_sched.admission.certificates import Certificate, InvalidCertificate

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

log = logging.getLogger(__name__)

READ_SECONDS = 10
IDLE_SECONDS = 120
"""The API server's transport gives an idle connection up after 90 s."""
MAX_CONNECTIONS = 1024
BACKLOG = 256
MAX_BODY_BYTES = 4 * 2**20
"""A review holds up to two objects, and etcd refuses objects beyond 1.5 MiB."""
MAX_HEAD_BYTES = 64 * 2**10
STOP_SECONDS = 5
LOOK_SECONDS = 0.1
"""How often idle connections are gone through, and how long an idle server may take to notice that it shall stop."""


@dataclass(frozen=True)
class TlsPolicy:
    """Which TLS is spoken. `ciphers` are OpenSSL's names of TLS 1.2 suites; none leaves the choice to OpenSSL."""

    minimum: ssl.TLSVersion = ssl.TLSVersion.TLSv1_2
    ciphers: Sequence[str] = ()

    def context(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = self.minimum
        if self.ciphers:
            context.set_ciphers(":".join(self.ciphers))
        return context

    def serving(self, certificate: Certificate) -> ssl.SSLContext:
        """Serves the certificate. Raises OSError where OpenSSL does not want it."""
        context = self.context()
        with tempfile.TemporaryDirectory(prefix="lws-sched-") as folder:
            path = Path(folder) / "serving.pem"
            path.write_bytes(certificate.key + b"\n" + certificate.certificate)
            context.load_cert_chain(path)
        return context

    def for_clients_of(self, certificate: Certificate) -> ssl.SSLContext:
        """Serves the certificate, to clients only that show one which its authorities signed for clients. Raises
        OSError, InvalidCertificate."""
        context = self.serving(certificate)
        if not certificate.authority:
            raise InvalidCertificate("ca.crt is missing: it says whose client certificates are good")
        context.load_verify_locations(cadata=certificate.authority.decode())
        context.verify_mode = ssl.CERT_REQUIRED
        return context


class WebServer:
    """Serves `app`; over TLS where a policy is given, once it has a certificate to `use`."""

    def __init__(
        self, app: WSGIApplication, host: str, port: int, *, threads: int, tls: TlsPolicy | None = None
    ) -> None:
        self._tls = tls
        self._server = _Server(app, host, port, threads, tls.context() if tls else None)

    @property
    def port(self) -> int:
        """The port in use once started, also where 0 was asked for."""
        return int(self._server.bind_addr[1])

    def use(self, certificate: Certificate) -> None:
        """Serve this certificate to every connection from now on; those that exist are not disturbed. Raises OSError
        where OpenSSL does not want it."""
        assert self._tls is not None
        # Not into the context in use: OpenSSL takes the certificate and its key one after the other, and whoever
        # connects in between would be refused.
        self._server.ssl_adapter.context = self._tls.serving(certificate)

    def start(self) -> None:
        """Returns once connections are accepted. Raises OSError where the port is taken."""
        listening: Future[None] = Future()
        threading.Thread(target=self._serve, args=(listening,), name="web", daemon=True).start()
        listening.result()

    def stop(self) -> None:
        """Stop accepting, let running calls end, close all connections."""
        self._server.stop()

    def _serve(self, listening: Future[None]) -> None:
        # Worker threads are made here, so they are daemons too: a process that forgets to stop can still end.
        try:
            self._server.prepare()
        except OSError as error:
            listening.set_exception(error)
            return
        listening.set_result(None)
        self._server.serve()


class _Server(wsgi.Server):
    """cheroot's server with the settings of this module."""

    keep_alive_conn_limit = MAX_CONNECTIONS
    max_request_body_size = MAX_BODY_BYTES
    max_request_header_size = MAX_HEAD_BYTES
    expiration_interval = LOOK_SECONDS

    def __init__(self, app: WSGIApplication, host: str, port: int, threads: int, tls: ssl.SSLContext | None) -> None:
        super().__init__(
            (host, port),
            app,
            numthreads=threads,
            server_name="lws-sched",
            request_queue_size=BACKLOG,
            timeout=IDLE_SECONDS,
            shutdown_timeout=STOP_SECONDS,
        )
        self.gateway = _Gateway
        self.ConnectionClass = _Connection
        if tls is not None:
            self.ssl_adapter = _Tls(tls)

    def error_log(self, msg: str = "", level: int = logging.INFO, traceback: bool = False) -> None:
        log.log(level, "%s", msg, exc_info=traceback)


class _Tls(Adapter):
    """Wraps accepted sockets without the handshake."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self.context = context

    def bind(self, sock: Any) -> Any:
        return sock

    def wrap(self, sock: Any) -> tuple[Any, dict[str, str]]:
        wrapped = self.context.wrap_socket(sock, server_side=True, do_handshake_on_connect=False)
        return wrapped, self.get_environ()

    def get_environ(self) -> dict[str, str]:
        return {"wsgi.url_scheme": "https"}

    def makefile(self, sock: Any, mode: str = "r", bufsize: int = -1) -> Any:
        return _makefile(sock, mode, bufsize)


def _makefile(sock: Any, mode: str = "r", bufsize: int = -1) -> Any:
    return _PunctualReader(sock, mode, bufsize) if "r" in mode else _CorkedWriter(sock, mode, bufsize)


class _Punctual(socket.SocketIO):
    """Reads until a deadline, by the monotonic clock."""

    deadline = 0.0

    def __init__(self, sock: Any, mode: Any) -> None:
        super().__init__(sock, mode)
        self._of = sock

    def readinto(self, b: Any) -> int | None:
        left = self.deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError("timed out")
        self._of.settimeout(left)
        try:
            return super().readinto(b)
        finally:
            self._of.settimeout(READ_SECONDS)


class _PunctualReader(StreamReader):
    """cheroot's reader over `_Punctual`."""

    def __init__(self, sock: Any, mode: str, bufsize: int) -> None:
        self._punctual = _Punctual(sock, mode)
        # What StreamReader would do with a reader of its own.
        super(StreamReader, self).__init__(self._punctual, bufsize)
        self.bytes_read = 0

    def expect(self, seconds: float) -> None:
        """All that is read from now on has to come within so many seconds."""
        self._punctual.deadline = time.monotonic() + seconds


class _Connection(HTTPConnection):
    """One client's connection; `communicate` runs on a worker thread, once per request."""

    def __init__(self, server: Any, sock: Any, makefile: Any) -> None:  # noqa: ARG002 - cheroot's signature
        # The server's own time-out is how long a connection may idle between requests.
        sock.settimeout(READ_SECONDS)
        # Without TLS, too, an answer must leave in one piece.
        super().__init__(server, sock, _makefile)
        self._is_secured = server.ssl_adapter is None

    def communicate(self) -> bool:
        if not self._is_secured:
            try:
                self.socket.do_handshake()
            except OSError as error:
                log.info("TLS handshake failed client=%s error=%s", self.remote_addr, error)
                return False
            self._is_secured = True
        self.rfile.expect(READ_SECONDS)
        return bool(super().communicate())  # type: ignore[no-untyped-call]


class _CorkedWriter(StreamWriter):
    """Holds writes back while corked, then sends them as one."""

    def __init__(self, sock: Any, mode: str, bufsize: int) -> None:
        super().__init__(sock, mode, bufsize)
        self._held: bytearray | None = None

    def cork(self) -> None:
        self._held = bytearray()

    def uncork(self) -> None:
        held, self._held = self._held, None
        if held:
            self.write(held)

    def write(self, b: Any) -> int:
        if self._held is None:
            return int(super().write(b))  # type: ignore[no-untyped-call]
        self._held += b
        return len(b)


class _Gateway(wsgi.Gateway_10):
    """Sends the headers together with the first piece of the body."""

    def write(self, chunk: bytes) -> None:
        writer = self.req.conn.wfile
        writer.cork()
        try:
            super().write(chunk)
        finally:
            writer.uncork()
