"""Where kube-scheduler's calls are let in, by the address that is configured."""

from __future__ import annotations

import ssl
import time
from collections.abc import Callable, Iterator
from http.client import HTTPConnection, HTTPSConnection
from pathlib import Path
from typing import cast

import pytest

from lws_sched.admission import certificates, verb_access
from lws_sched.api.core import SECRET
from lws_sched.cli.config import ExtenderConfiguration, InternalCertManagement, Verbs, is_loopback
from lws_sched.cli.verb_server import VerbServer, verb_server
from lws_sched.extender import listener
from lws_sched.sim.world import World
from lws_sched.telemetry.counts import Gauge

NAMESPACE = "lws-system"
NAME = "lws-sched-extender-verbs.lws-system.svc"
Start = Callable[[ExtenderConfiguration], VerbServer]


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def start(world: World) -> Iterator[Start]:
    started: list[VerbServer] = []

    def started_with(configuration: ExtenderConfiguration) -> VerbServer:
        verbs = cast(listener.Verbs, None)
        server = verb_server(configuration, verbs, world.cluster, RealTime(), NAMESPACE)
        server.start()
        started.append(server)
        return server

    yield started_with
    for each in started:
        each.stop()


class RealTime:
    def now(self) -> float:
        return time.time()

    def monotonic(self) -> float:
        return time.monotonic()


def until_ready(server: VerbServer) -> None:
    deadline = time.monotonic() + 10
    while problem := server.problem():
        assert time.monotonic() < deadline, problem
        time.sleep(0.02)


def health(connection: HTTPConnection) -> int:
    connection.request("POST", "/healthz", "")
    return connection.getresponse().status


@pytest.mark.parametrize(
    ("host", "expected"),
    [("127.0.0.1", True), ("::1", True), ("localhost", True), ("0.0.0.0", False), ("10.1.2.3", False), ("lws", False)],
)
def test_only_this_host_can_call_a_loopback_address(host: str, expected: bool) -> None:
    assert is_loopback(host) is expected


def test_on_a_loopback_address_calls_are_plain(start: Start) -> None:
    server = start(ExtenderConfiguration(verbs=Verbs(bind_address="127.0.0.1:0")))

    assert server.problem() == ""
    assert server.instruments() == ()
    assert health(HTTPConnection("127.0.0.1", server.listener.port, timeout=10)) == 200


def test_elsewhere_they_need_the_certificate_that_is_kept_in_the_secret(start: Start, world: World) -> None:
    server = start(ExtenderConfiguration(verbs=Verbs(bind_address=":0")))
    until_ready(server)

    data = world.cluster.get(SECRET, NAMESPACE, "lws-sched-extender-verbs").data
    access = verb_access.read(data)
    assert access.held.serving is not None
    assert access.held.serving.names == (NAME,)
    with pytest.raises((ConnectionError, OSError)):
        health(HTTPConnection("127.0.0.1", server.listener.port, timeout=10))
    (ends,) = server.instruments()
    assert isinstance(ends, Gauge)
    assert ends.read() == {(): access.held.serving.not_after}


def test_certificates_of_others_are_read_from_their_folder(start: Start, tmp_path: Path) -> None:
    configuration = ExtenderConfiguration(
        verbs=Verbs(bind_address=":0", cert_dir=str(tmp_path)),
        internal_cert_management=InternalCertManagement(enable=False),
    )
    server = start(configuration)
    time.sleep(0.05)
    assert server.problem().startswith("kube-scheduler cannot call: ")
    assert str(tmp_path) in server.problem()

    serving, client = certificates.issue_with_client(["127.0.0.1"], "scheduler", time.time(), 3600)
    for name, text in (("tls.key", serving.key), ("ca.crt", serving.authority), ("tls.crt", serving.certificate)):
        (tmp_path / name).write_bytes(text)
    until_ready(server)

    shown = tmp_path / "shown.pem"
    shown.write_bytes(client.key + client.certificate)
    context = ssl.create_default_context(cadata=serving.authority.decode())
    context.load_cert_chain(shown)
    assert health(HTTPSConnection("127.0.0.1", server.listener.port, timeout=10, context=context)) == 200
