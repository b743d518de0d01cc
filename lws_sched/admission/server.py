"""The HTTPS server for hooks, and what keeps it fit to be called: a certificate that is trusted, and a registration.

A hook may wait (the pod hook does, for a plan) without holding up others: there are `THREADS` of them. `/healthz` says
that the server answers; `/readyz` why the process is not ready, if it is not.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING, Protocol

from flask import Flask, Response
from werkzeug.exceptions import MethodNotAllowed

from lws_sched.admission import review
from lws_sched.admission.certificates import Certificate, InvalidCertificate
from lws_sched.admission.hook import Hook
from lws_sched.admission.sources import CertificateSource
from lws_sched.admission.web import TlsPolicy, WebServer
from lws_sched.kube.errors import ApiError
from lws_sched.telemetry import families
from lws_sched.telemetry.counts import Counter, Histogram, Instrument

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

log = logging.getLogger(__name__)

THREADS = 64
FIRST_SECONDS = 0.2
"""Between two looks while the webhooks are not ready yet, the first time; it doubles up to LOOK_SECONDS."""
LOOK_SECONDS = 5.0
"""Between two looks at the certificate and the registration: somebody may change either."""

Readiness = Callable[[], str]
"""Why the process is not ready; "" where it is."""


class HookMeter:
    """What is counted of admission reviews."""

    def __init__(self) -> None:
        self._requests, self._seconds = Counter(families.WEBHOOK_REQUESTS), Histogram(families.WEBHOOK_SECONDS)

    def instruments(self) -> tuple[Instrument, ...]:
        return (self._requests, self._seconds)

    def count(self, status: int, path: str, seconds: float) -> None:
        self._requests.add(str(status), path)
        self._seconds.observe(seconds, path)


def hook_server(
    hooks: Sequence[Hook],
    host: str,
    port: int,
    readiness: Readiness,
    *,
    tls: TlsPolicy | None = None,
    meter: HookMeter | None = None,
) -> WebServer:
    """A server of hooks at `https://host:port<hook.path>`, still without a certificate."""
    app = Reviews({hook.path: hook for hook in hooks}, meter or HookMeter(), probes(readiness))
    return WebServer(app, host, port, threads=THREADS, tls=tls or TlsPolicy())


@dataclass(frozen=True)
class Reviews:
    """The WSGI application of hooks. Each pod of a group passes here, while its creator waits: a review is read and
    answered as it is, and only what is none goes through the framework."""

    hooks: Mapping[str, Hook]
    """By path."""
    meter: HookMeter
    others: Flask

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        hook, length = self.hooks.get(environ["PATH_INFO"]), environ.get("CONTENT_LENGTH", "")
        if hook is None:
            return self.others(environ, start_response)
        if environ["REQUEST_METHOD"] != "POST":
            return MethodNotAllowed(["POST"])(environ, start_response)
        began = time.monotonic()
        answer = review.answer(hook, environ["wsgi.input"].read(*([int(length)] if length else [])))
        self.meter.count(answer.status, hook.path, time.monotonic() - began)
        status = f"{answer.status} {HTTPStatus(answer.status).phrase}"
        start_response(status, [("Content-Type", answer.content_type), ("Content-Length", str(len(answer.body)))])
        return [answer.body]


def probes(readiness: Readiness, *, liveness_path: str = "/healthz", readiness_path: str = "/readyz") -> Flask:
    """An application that answers the two probes."""
    app = Flask(__name__, static_folder=None)
    app.add_url_rule(liveness_path, "healthz", lambda: Response("ok", mimetype="text/plain"))
    app.add_url_rule(readiness_path, "readyz", lambda: _readiness(readiness()))
    return app


def _readiness(problem: str) -> Response:
    text, status = (f"not ready: {problem}", 503) if problem else ("ok", 200)
    return Response(text, status, mimetype="text/plain")


class Serving(Protocol):
    def use(self, certificate: Certificate) -> None:
        """Serve this certificate from now on. Raises OSError where OpenSSL does not want it."""


class Registration(Protocol):
    """What others have to be told of the certificate: `Registrar`, `PublishedAuthority`. Both raise ApiError."""

    def keep(self, certificate: Certificate) -> bool:
        """Tell them, as the leader. Whether they know; if not, look again."""

    def is_trusted(self, certificate: Certificate) -> bool:
        """Whether they know, whoever told them."""


@dataclass
class Upkeep:
    """Looks, again and again, that the server serves the certificate it should and that the API server trusts it.

    Without a registrar the registration is somebody else's: manifests, cert-manager.
    """

    server: Serving
    source: CertificateSource
    registrar: Registration | None
    leads: Callable[[], bool]
    what: str = "the webhook certificate"
    """How its problems call the certificate."""
    problem: str = field(init=False)
    """Why the server cannot be called; "" where it can."""
    _served: Certificate | None = field(default=None)

    def __post_init__(self) -> None:
        self.problem = f"{self.what} is not there yet"

    @property
    def ends(self) -> float | None:
        """When the certificate served ends, seconds since the epoch."""
        return None if self._served is None else self._served.not_after

    def run(self, stopped: threading.Event) -> None:
        pause = FIRST_SECONDS
        while True:
            try:
                self.look()
            except Exception as problem:  # whatever it is, the next look must come
                log.exception("looking after the webhooks failed")
                self.problem = self.problem or f"looking after the webhooks failed ({problem}); see the log"
            pause = min(LOOK_SECONDS, 2 * pause) if self.problem else LOOK_SECONDS
            if stopped.wait(pause):
                return

    def look(self) -> None:
        """One look. What cannot be found out now changes nothing: the certificate served goes on being served."""
        before = self.problem
        try:
            self._serve(self.source.look())
            self.problem = self._registration()
        except InvalidCertificate as problem:
            self.problem = str(problem)
        except OSError as problem:
            # OpenSSL's refusals are of this kind too: a key that it finds too short.
            self.problem = f"{self.what} cannot be served: {problem}"
        except ApiError as problem:
            missing = self.what if self._served is None else "the webhooks' registration"
            self.problem = before and f"{missing} is not there yet: {problem}"
            log.warning("%s not looked after reason=%s", self.what, problem)
        if self.problem != before:
            log.info("%s: %s", self.what, self.problem or "ready")

    def _serve(self, certificate: Certificate) -> None:
        if certificate != self._served:
            self.server.use(certificate)
        self._served = certificate

    def _registration(self) -> str:
        if self.registrar is None or self._served is None:
            return ""
        is_right = self.registrar.keep(self._served) if self.leads() else self.registrar.is_trusted(self._served)
        return "" if is_right else "the webhooks are not registered with our certificate yet: the leader does that"
