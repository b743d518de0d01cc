"""The probes and the metrics as a caller gets them over the network."""

from __future__ import annotations

import http.client
import ssl
import time
from collections.abc import Iterator
from http import HTTPStatus
from typing import cast

import pytest

from lws_sched.admission import certificates
from lws_sched.admission.callers import Callers, Right, Verdict
from lws_sched.admission.web import WebServer
from lws_sched.cli.config import Health, Metrics, Tls
from lws_sched.cli.endpoints import SelfSigned, health_server, metrics_certificate, metrics_server
from lws_sched.kube.clock import SystemClock
from lws_sched.sim.loop import SimClock

ANYWHERE = "127.0.0.1:0"


class Judge:
    """Lets one token in."""

    def judge(self, authorization: str, *rights: Right) -> Verdict:
        if authorization == "Bearer good":
            return Verdict(HTTPStatus.OK)
        status = HTTPStatus.FORBIDDEN if authorization else HTTPStatus.UNAUTHORIZED
        return Verdict(status, sentence=f"{rights[0]} with the role {rights[0].role}")


def metrics(tls: Tls | None = None) -> WebServer:
    text = lambda accept: (f"for {accept or 'anybody'}".encode(), "text/plain")  # noqa: E731
    server = metrics_server(Metrics(bind_address=ANYWHERE), tls or Tls(), text, cast("Callers", Judge()))
    assert server is not None
    server.use(certificates.issue(["localhost"], time.time()))
    server.start()
    return server


@pytest.fixture(scope="module")
def served() -> Iterator[WebServer]:
    server = metrics()
    yield server
    server.stop()


def scrape(server: WebServer, maximum: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3, **headers: str) -> tuple[int, str]:
    trust = ssl._create_unverified_context()
    trust.maximum_version = maximum
    connection = http.client.HTTPSConnection("127.0.0.1", server.port, context=trust, timeout=8)
    connection.request("GET", "/metrics", headers=headers)
    answer = connection.getresponse()
    return answer.status, answer.read().decode()


def test_metrics_come_in_the_format_asked_for(served: WebServer) -> None:
    assert scrape(served, Authorization="Bearer good") == (200, "for anybody")
    assert scrape(served, Authorization="Bearer good", Accept="text/x") == (200, "for text/x")


def test_who_may_not_have_them_is_told_what_to_do(served: WebServer) -> None:
    status, text = scrape(served)
    assert (status, text.startswith("Unauthorized: ")) == (401, True)

    status, text = scrape(served, Authorization="Bearer bad")
    assert (status, text) == (403, "Forbidden: GET the nonResourceURL /metrics with the role lws-sched-metrics\n")


def test_the_oldest_tls_is_as_configured(served: WebServer) -> None:
    assert scrape(served, ssl.TLSVersion.TLSv1_2, Authorization="Bearer good")[0] == 200
    strict = metrics(Tls(min_version="VersionTLS13"))
    try:
        assert scrape(strict, Authorization="Bearer good")[0] == 200
        with pytest.raises(ssl.SSLError):
            scrape(strict, ssl.TLSVersion.TLSv1_2)
    finally:
        strict.stop()


def test_probes_are_plain_and_at_the_configured_paths() -> None:
    problems = ["still listing Pod"]
    health = Health(health_probe_bind_address=ANYWHERE, readiness_endpoint_name="/r", liveness_endpoint_name="/l")
    server = health_server(health, lambda: problems[0])
    assert server is not None
    server.start()
    try:
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=8)
        answers = []
        for path in ("/l", "/r", "/readyz"):
            connection.request("GET", path)
            answer = connection.getresponse()
            answers.append((answer.status, answer.read()))
        assert answers[:2] == [(200, b"ok"), (503, b"not ready: still listing Pod")]
        assert answers[2][0] == 404
        problems[0] = ""
        connection.request("GET", "/r")
        assert connection.getresponse().status == 200
    finally:
        server.stop()


def test_an_endpoint_that_is_turned_off_is_not_served() -> None:
    assert health_server(Health(health_probe_bind_address="0"), lambda: "") is None
    assert metrics_server(Metrics(bind_address="0"), Tls(), lambda _: (b"", ""), cast("Callers", Judge())) is None


def test_a_self_signed_certificate_is_renewed_in_time() -> None:
    clock = SimClock()
    source = SelfSigned(clock)
    first = source.look()
    assert source.look() is first

    clock.elapsed += 300 * 86400

    assert source.look() is not first
    assert isinstance(metrics_certificate(SystemClock()), SelfSigned)
