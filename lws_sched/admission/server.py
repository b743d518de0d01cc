"""The HTTPS server for hooks: a Flask application on cheroot, inside this process, on threads of its own.

Guarantees, each of them a setting or a subclass below:

* A connection that says nothing costs one thread for `READ_SECONDS`, never the accept loop: the TLS handshake runs on
  the worker thread, not where cheroot would run it.
* A hook may wait (the pod hook does, for a plan) without holding up others: there are `THREADS` of them.
* An idle connection is kept longer than the API server keeps it. A server that closes first can meet a request on its
  way, and a POST is not sent twice: a pod's creation would fail.
* One write per answer: headers and body leave in one TLS record.
* The private key is on disk only while OpenSSL reads it, in a folder that nobody else may enter.

`/healthz` says that the server answers; `/readyz` what `ready` says.
"""

from __future__ import annotations

import functools
import logging
import ssl
import tempfile
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any

from cheroot import wsgi
from cheroot.makefile import StreamReader, StreamWriter
from cheroot.server import HTTPConnection
from cheroot.ssl import Adapter
from flask import Flask, Response, request

from lws_sched.admission import review
from lws_sched.admission.certificates import Certificate
from lws_sched.admission.hook import Hook

log = logging.getLogger(__name__)

THREADS = 64
READ_SECONDS = 10
IDLE_SECONDS = 120
"""The API server's transport gives an idle connection up after 90 s."""
MAX_CONNECTIONS = 1024
BACKLOG = 256
MAX_BODY_BYTES = 4 * 2**20
"""A review holds up to two objects, and etcd refuses objects beyond 1.5 MiB."""
STOP_SECONDS = 5


class HookServer:
    """Serves hooks at `https://host:port<hook.path>`; `ready` is asked for every `/readyz`."""

    def __init__(
        self, hooks: Sequence[Hook], host: str, port: int, certificate: Certificate, ready: Callable[[], bool]
    ) -> None:
        self._tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._tls.minimum_version = ssl.TLSVersion.TLSv1_2
        self.use(certificate)
        self._server = _Server(application(hooks, ready), host, port, self._tls)

    @property
    def port(self) -> int:
        """The port in use once started, also where 0 was asked for."""
        return int(self._server.bind_addr[1])

    def use(self, certificate: Certificate) -> None:
        """Serve this certificate to every connection from now on; those that exist are not disturbed."""
        with tempfile.TemporaryDirectory(prefix="lws-sched-") as folder:
            path = Path(folder) / "serving.pem"
            path.write_bytes(certificate.key + certificate.certificate)
            self._tls.load_cert_chain(path)

    def start(self) -> None:
        """Returns once connections are accepted. Raises OSError where the port is taken."""
        listening: Future[None] = Future()
        threading.Thread(target=self._serve, args=(listening,), name="hooks", daemon=True).start()
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


def application(hooks: Sequence[Hook], ready: Callable[[], bool]) -> Flask:
    """The WSGI application: one route per hook, and the probes."""
    app = Flask(__name__, static_folder=None)
    for hook in hooks:
        app.add_url_rule(hook.path, hook.path, functools.partial(_review, hook), methods=["POST"])
    app.add_url_rule("/healthz", "healthz", lambda: Response("ok", mimetype="text/plain"))
    app.add_url_rule("/readyz", "readyz", lambda: _readiness(ready()))
    return app


def _review(hook: Hook) -> Response:
    answer = review.answer(hook, request.get_data(cache=False))
    return Response(answer.body, answer.status, content_type=answer.content_type)


def _readiness(ready: bool) -> Response:
    return Response("ok" if ready else "not ready: still starting", 200 if ready else 503, mimetype="text/plain")


class _Server(wsgi.Server):
    """cheroot's server with the settings of this module."""

    keep_alive_conn_limit = MAX_CONNECTIONS
    max_request_body_size = MAX_BODY_BYTES

    def __init__(self, app: Flask, host: str, port: int, tls: ssl.SSLContext) -> None:
        super().__init__(
            (host, port),
            app,
            numthreads=THREADS,
            server_name="lws-sched",
            request_queue_size=BACKLOG,
            timeout=IDLE_SECONDS,
            shutdown_timeout=STOP_SECONDS,
        )
        self.gateway = _Gateway
        self.ConnectionClass = _Connection
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
        return StreamReader(sock, mode, bufsize) if "r" in mode else _CorkedWriter(sock, mode, bufsize)


class _Connection(HTTPConnection):
    """One client's connection; `communicate` runs on a worker thread, once per request."""

    def __init__(self, server: Any, sock: Any, makefile: Any) -> None:
        # The server's own time-out is how long a connection may idle between requests.
        sock.settimeout(READ_SECONDS)
        super().__init__(server, sock, makefile)
        self._is_secured = False

    def communicate(self) -> bool:
        if not self._is_secured:
            try:
                self.socket.do_handshake()
            except OSError as error:
                log.info("TLS handshake failed client=%s error=%s", self.remote_addr, error)
                return False
            self._is_secured = True
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
