from __future__ import annotations

import http.client
import json
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import pytest

from lws_sched.admission import certificates
from lws_sched.admission.certificates import Certificate
from lws_sched.admission.hook import ALLOWED, Hook, Request, Verdict
from lws_sched.admission.server import hook_server
from lws_sched.admission.web import MAX_BODY_BYTES, WebServer
from lws_sched.api.core import POD

HOST = "127.0.0.1"
PATIENCE = 8
"""Less than what a stuck accept loop would take, seconds."""


@dataclass
class Served:
    """A running server, and what a test may turn on it."""

    certificate: Certificate
    is_ready: bool = True
    released: threading.Event = field(default_factory=threading.Event)
    waiting: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))
    server: WebServer = field(init=False)

    def __post_init__(self) -> None:
        hooks = [
            Hook("quick.test", "/quick", POD, ("CREATE",), True, lambda _: ALLOWED),
            Hook("patient.test", "/patient", POD, ("CREATE",), True, self._wait),
        ]
        self.server = hook_server(hooks, HOST, 0, lambda: "" if self.is_ready else "still starting")
        self.server.use(self.certificate)

    def _wait(self, _: Request) -> Verdict:
        self.waiting.release()
        self.released.wait(PATIENCE)
        return ALLOWED

    def connection(self, authority: bytes = b"") -> http.client.HTTPSConnection:
        trust = ssl.create_default_context(cadata=(authority or self.certificate.authority).decode())
        return http.client.HTTPSConnection(HOST, self.server.port, context=trust, timeout=PATIENCE)


def issue() -> Certificate:
    return certificates.issue([HOST, "localhost"], time.time())


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    served = Served(issue())
    served.server.start()
    yield served
    served.released.set()
    served.server.stop()


def review(**request: Any) -> bytes:
    whole = {"uid": "u1", "operation": "CREATE", "object": {"metadata": {"name": "a"}}, **request}
    return json.dumps({"request": whole}).encode()


def post(connection: http.client.HTTPSConnection, path: str, body: bytes) -> tuple[int, bytes]:
    connection.request("POST", path, body, {"Content-Type": "application/json"})
    answer = connection.getresponse()
    return answer.status, answer.read()


def get(connection: http.client.HTTPSConnection, path: str) -> tuple[int, bytes]:
    connection.request("GET", path)
    answer = connection.getresponse()
    return answer.status, answer.read()


def test_a_client_that_trusts_the_authority_gets_a_verdict(served: Served) -> None:
    status, body = post(served.connection(), "/quick", review())

    assert status == 200
    assert json.loads(body)["response"] == {"uid": "u1", "allowed": True}


def test_a_client_that_trusts_somebody_else_does_not_connect(served: Served) -> None:
    with pytest.raises(ssl.SSLCertVerificationError):
        get(served.connection(issue().authority), "/healthz")


def test_one_connection_serves_many_reviews(served: Served) -> None:
    connection = served.connection()
    connection.connect()
    first = connection.sock

    assert [post(connection, "/quick", review())[0] for _ in range(5)] == [200] * 5
    assert connection.sock is first


def test_headers_and_body_come_in_one_tls_record(served: Served) -> None:
    connection = served.connection()
    connection.connect()
    body = review()
    head = f"POST /quick HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    connection.sock.sendall(head + body)

    record = connection.sock.recv(65536)
    connection.close()
    assert record.startswith(b"HTTP/1.1 200 OK\r\n")
    assert record.endswith(b'"allowed":true}}')


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        pytest.param("GET", "/healthz", 200, id="alive"),
        pytest.param("GET", "/readyz", 200, id="ready"),
        pytest.param("POST", "/unknown", 404, id="no such hook"),
        pytest.param("GET", "/quick", 405, id="a hook is only posted to"),
    ],
)
def test_paths(served: Served, method: str, path: str, status: int) -> None:
    connection = served.connection()
    connection.request(method, path)

    assert connection.getresponse().status == status


def test_it_is_not_ready_while_the_process_is_not(served: Served) -> None:
    served.is_ready = False
    try:
        assert get(served.connection(), "/readyz") == (503, b"not ready: still starting")
        assert get(served.connection(), "/healthz") == (200, b"ok")
    finally:
        served.is_ready = True


def test_a_body_that_is_no_review_is_a_bad_request(served: Served) -> None:
    status, body = post(served.connection(), "/quick", b"{")

    assert status == 400
    assert body.startswith(b"quick.test: the body is not an AdmissionReview")


def test_a_body_of_three_megabytes_is_read_and_one_beyond_the_limit_refused(served: Served) -> None:
    large = review(object={"metadata": {"annotations": {"a": "x" * 3 * 2**20}}})
    assert post(served.connection(), "/quick", large)[0] == 200

    connection = served.connection()
    connection.putrequest("POST", "/quick")
    connection.putheader("Content-Length", str(MAX_BODY_BYTES + 1))
    connection.endheaders()
    assert connection.getresponse().status == 413


def test_a_connection_that_says_nothing_holds_up_nobody(served: Served) -> None:
    with socket.create_connection((HOST, served.server.port)):
        assert get(served.connection(), "/healthz") == (200, b"ok")


def test_a_client_without_tls_is_disconnected_and_disturbs_nobody(served: Served) -> None:
    with socket.create_connection((HOST, served.server.port), timeout=PATIENCE) as plain:
        plain.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        while plain.recv(4096):
            continue

    assert get(served.connection(), "/healthz") == (200, b"ok")


def test_hooks_that_wait_hold_up_nobody(served: Served) -> None:
    waiting = 40
    with ThreadPoolExecutor(waiting) as threads:
        held = [threads.submit(post, served.connection(), "/patient", review()) for _ in range(waiting)]
        for _ in range(waiting):
            assert served.waiting.acquire(timeout=PATIENCE)
        assert post(served.connection(), "/quick", review())[0] == 200
        assert not any(call.done() for call in held)
        served.released.set()
        assert {call.result()[0] for call in held} == {200}


def test_a_new_certificate_is_served_to_new_connections_and_old_ones_live_on() -> None:
    served = Served(issue())
    served.server.start()
    old = served.connection()
    assert get(old, "/healthz")[0] == 200

    renewed = issue()
    served.server.use(renewed)

    assert get(served.connection(renewed.authority), "/healthz")[0] == 200
    assert get(old, "/healthz")[0] == 200
    with pytest.raises(ssl.SSLCertVerificationError):
        get(served.connection(), "/healthz")
    served.server.stop()


def test_who_connects_while_certificates_change_is_not_refused() -> None:
    served, renewed = Served(issue()), issue()
    served.server.start()
    trust = ssl.create_default_context(cadata=(served.certificate.authority + b"\n" + renewed.authority).decode())

    def connect() -> None:
        with socket.create_connection((HOST, served.server.port), timeout=PATIENCE) as plain:
            trust.wrap_socket(plain, server_hostname=HOST).close()

    with ThreadPoolExecutor(2) as threads:
        calls = [threads.submit(connect) for _ in range(300)]
        while not all(call.done() for call in calls):
            served.server.use(renewed)
            served.server.use(served.certificate)
    assert [call.exception() for call in calls] == [None] * len(calls)
    served.server.stop()


def test_a_port_that_is_taken_is_an_error_at_start(served: Served) -> None:
    second = hook_server([], HOST, served.server.port, lambda: "")

    with pytest.raises(OSError, match="in use"):
        second.start()
