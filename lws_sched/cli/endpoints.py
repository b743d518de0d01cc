"""What a process serves about itself: the probes over plain HTTP, the metrics over TLS to those who may read them."""

from __future__ import annotations

from collections.abc import Callable
from http import HTTPStatus
from pathlib import Path
from urllib.parse import urlsplit

from flask import Flask, Response, request

from lws_sched.admission import certificates
from lws_sched.admission.callers import Callers, on_path
from lws_sched.admission.server import Readiness, probes
from lws_sched.admission.sources import CertificateFiles, CertificateSource, SharedCertificate
from lws_sched.admission.web import TlsPolicy, WebServer
from lws_sched.cli.config import CIPHER_SUITES, TLS_VERSIONS, Common, Health, Metrics, Tls, address
from lws_sched.kube.port import Clock, Cluster

METRICS_CERTIFICATES = Path("/tmp/k8s-metrics-server/serving-certs")
"""Where a certificate for /metrics may be mounted; without one it is self-signed."""
THREADS = 4
SCRAPE = on_path("get", "/metrics", role="lws-sched-metrics")
Text = Callable[[str], tuple[bytes, str]]
"""The metrics for an Accept header, and their content type."""


def tls_policy(tls: Tls) -> TlsPolicy:
    return TlsPolicy(TLS_VERSIONS[tls.min_version], [CIPHER_SUITES[suite] for suite in tls.cipher_suites])


def health_server(health: Health, readiness: Readiness) -> WebServer | None:
    """None where it is turned off."""
    where = address(health.health_probe_bind_address)
    if where is None:
        return None
    app = probes(readiness, liveness_path=health.liveness_endpoint_name, readiness_path=health.readiness_endpoint_name)
    return WebServer(app, *where, threads=THREADS)


def metrics_server(metrics: Metrics, tls: Tls, text: Text, callers: Callers) -> WebServer | None:
    """None where it is turned off; else a server that still needs a certificate."""
    where = address(metrics.bind_address)
    if where is None:
        return None
    app = Flask(__name__, static_folder=None)
    app.add_url_rule("/metrics", "metrics", lambda: _metrics(text, callers))
    return WebServer(app, *where, threads=THREADS, tls=tls_policy(tls))


def metrics_certificate(clock: Clock, folder: Path = METRICS_CERTIFICATES) -> CertificateSource:
    """Files where there are some, else one of our own that nobody can check."""
    return CertificateFiles(folder, clock) if folder.is_dir() else SelfSigned(clock)


def webhook_certificate(configuration: Common, cluster: Cluster, clock: Clock, namespace: str) -> CertificateSource:
    """The certificate of the process's Service: in a Secret that we keep ourselves, or in files."""
    management = configuration.internal_cert_management
    if not management.enable:
        return CertificateFiles(Path(configuration.webhook.cert_dir), clock)
    url = configuration.webhook.url
    name = urlsplit(url).hostname if url else f"{management.webhook_service_name}.{namespace}.svc"
    return SharedCertificate(cluster, clock, namespace, management.webhook_secret_name, (name or "localhost",))


class SelfSigned:
    """A certificate that encrypts and proves nothing."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._issued = self._issue()

    def look(self) -> certificates.Certificate:
        if self._issued.expires_soon(self._clock.now()):
            self._issued = self._issue()
        return self._issued

    def _issue(self) -> certificates.Certificate:
        return certificates.issue(["localhost", "127.0.0.1"], self._clock.now())


def _metrics(text: Text, callers: Callers) -> Response:
    verdict = callers.judge(request.headers.get("Authorization", ""), SCRAPE)
    if verdict.status is not HTTPStatus.OK:
        return Response(f"{verdict.status.phrase}: {verdict.sentence}\n", verdict.status, mimetype="text/plain")
    body, content_type = text(request.headers.get("Accept", ""))
    return Response(body, content_type=content_type)
