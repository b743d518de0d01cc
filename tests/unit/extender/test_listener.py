"""The listener: held calls cost nothing, a dead caller is noticed, and a malformed call gets one sentence."""

from __future__ import annotations

import json
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPSConnection
from pathlib import Path
from typing import Any, cast

import pytest

from lws_sched.admission.certificates import Certificate, InvalidCertificate, issue, issue_with_client
from lws_sched.admission.web import TlsPolicy
from lws_sched.api.extender import (
    BindingArgs,
    BindingResult,
    ExtenderArgs,
    FilterResult,
    PreemptionArgs,
    PreemptionResult,
)
from lws_sched.extender.listener import Listener
from lws_sched.extender.verbs import Verbs

HELD = 100


@dataclass
class StandIn:
    """Answers `filter` at once and holds every `bind` until `let_go`."""

    held: list[tuple[BindingArgs, Callable[[BindingResult], None], Callable[[], bool]]] = field(default_factory=list)
    arrived: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))

    def filter(self, args: ExtenderArgs) -> FilterResult:
        if args.pod.metadata.name == "bug":
            raise ZeroDivisionError
        return FilterResult(node_names=args.node_names)

    def bind(self, args: BindingArgs, respond: Callable[[BindingResult], None], is_alive: Callable[[], bool]) -> None:
        self.held.append((args, respond, is_alive))
        self.arrived.release()

    def preempt(self, args: PreemptionArgs) -> PreemptionResult:
        victims = args.victims or {}
        return PreemptionResult(victims={node: victims[node] for node in victims if node != "spared"})


@pytest.fixture
def verbs() -> StandIn:
    return StandIn()


@pytest.fixture
def listener(verbs: StandIn) -> Iterator[Listener]:
    listener = Listener(cast(Verbs, verbs), "127.0.0.1", 0)
    listener.start()
    yield listener
    listener.stop()


def post(listener: Listener, path: str, body: Any) -> Any:
    connection = HTTPConnection("127.0.0.1", listener.port, timeout=10)
    connection.request("POST", path, body if isinstance(body, str) else json.dumps(body))
    answer = json.loads(connection.getresponse().read())
    connection.close()
    return answer


def binding(name: str) -> dict[str, str]:
    return {"PodName": name, "PodNamespace": "ns", "PodUID": "u", "Node": "n"}


def test_filter_answers_with_the_protocols_names(listener: Listener) -> None:
    args = {"Pod": {"metadata": {"name": "p"}, "spec": {}}, "Nodes": None, "NodeNames": ["a", "b"]}
    assert post(listener, "/filter", args) == {"NodeNames": ["a", "b"]}


def test_a_hundred_binds_held_at_once_delay_no_filter_and_are_all_answered(listener: Listener, verbs: StandIn) -> None:
    with ThreadPoolExecutor(HELD) as pool:
        binds = [pool.submit(post, listener, "/bind", binding(f"p{index}")) for index in range(HELD)]
        for _ in range(HELD):
            assert verbs.arrived.acquire(timeout=10)
        args = {"Pod": {"metadata": {"name": "p"}}, "NodeNames": ["a"]}
        assert post(listener, "/filter", args) == {"NodeNames": ["a"]}
        for bound, respond, is_alive in verbs.held:
            assert is_alive()
            respond(BindingResult(error=bound.pod_name))
        assert {bind.result()["Error"] for bind in binds} == {f"p{index}" for index in range(HELD)}


def test_a_caller_that_hangs_up_is_no_longer_alive(listener: Listener, verbs: StandIn) -> None:
    connection = HTTPConnection("127.0.0.1", listener.port, timeout=10)
    connection.request("POST", "/bind", json.dumps(binding("p")))
    assert verbs.arrived.acquire(timeout=10)
    _, respond, is_alive = verbs.held[0]
    connection.close()
    # A later call is answered after the loop has seen the hang-up, which came first.
    post(listener, "/filter", {"Pod": {"metadata": {"name": "p"}}})
    post(listener, "/filter", {"Pod": {"metadata": {"name": "p"}}})
    assert not is_alive()
    respond(BindingResult())


@pytest.mark.parametrize("path", ["/filter", "/bind"])
def test_a_malformed_call_is_answered_with_one_sentence(listener: Listener, path: str) -> None:
    error = post(listener, path, "{not json")["Error"]
    assert error.startswith(f"lws-sched: malformed {path[1:]} call: ")


def test_preempt_answers_with_the_nodes_that_are_left(listener: Listener) -> None:
    victims = {"Pods": [{"UID": "u"}], "NumPDBViolations": 1}
    args = {"Pod": {"metadata": {"name": "p"}}, "NodeNameToVictims": None}
    answer = post(listener, "/preempt", {**args, "NodeNameToMetaVictims": {"n": victims, "spared": victims}})
    assert answer == {"NodeNameToMetaVictims": {"n": victims}}


def test_a_malformed_preempt_call_is_an_error_and_no_leave_to_evict(listener: Listener) -> None:
    connection = HTTPConnection("127.0.0.1", listener.port, timeout=10)
    connection.request("POST", "/preempt", "{not json")
    assert connection.getresponse().status == 400
    connection.close()


def test_a_bug_in_the_filter_costs_one_attempt_and_not_the_listener(listener: Listener) -> None:
    assert "see the extender's log" in post(listener, "/filter", {"Pod": {"metadata": {"name": "bug"}}})["Error"]
    assert post(listener, "/filter", {"Pod": {"metadata": {"name": "p"}}, "NodeNames": ["a"]}) == {"NodeNames": ["a"]}


def test_a_taken_port_is_an_error_at_start(listener: Listener, verbs: StandIn) -> None:
    with pytest.raises(OSError, match="Address already in use"):
        Listener(cast(Verbs, verbs), "127.0.0.1", listener.port).start()


# --- from other hosts ------------------------------------------------------------------------------------------------
def pair() -> tuple[Certificate, Certificate]:
    return issue_with_client(["127.0.0.1"], "scheduler", time.time(), 3600)


def caller(listener: Listener, folder: Path, trusted: bytes, shown: Certificate | None) -> HTTPSConnection:
    """A connection of somebody who trusts these authorities and shows that certificate."""
    context = ssl.create_default_context(cadata=trusted.decode())
    if shown is not None:
        path = folder / "shown.pem"
        path.write_bytes(shown.key + shown.certificate)
        context.load_cert_chain(path)
    return HTTPSConnection("127.0.0.1", listener.port, timeout=10, context=context)


def asked(connection: HTTPSConnection) -> Any:
    connection.request("POST", "/filter", json.dumps({"Pod": {"metadata": {"name": "p"}}, "NodeNames": ["a"]}))
    return json.loads(connection.getresponse().read())


@pytest.fixture
def secured(verbs: StandIn) -> Iterator[Listener]:
    listener = Listener(cast(Verbs, verbs), "127.0.0.1", 0, tls=TlsPolicy())
    listener.start()
    yield listener
    listener.stop()


def test_the_holder_of_the_client_certificate_is_answered_over_tls(secured: Listener, tmp_path: Path) -> None:
    server, client = pair()
    secured.use(server)

    assert asked(caller(secured, tmp_path, server.authority, client)) == {"NodeNames": ["a"]}


@pytest.mark.parametrize("shown", ["nothing", "the server's own", "another authority's"])
def test_anybody_else_is_refused(secured: Listener, tmp_path: Path, shown: str) -> None:
    server, _ = pair()
    secured.use(server)
    given = {"nothing": None, "the server's own": server, "another authority's": pair()[1]}[shown]

    # TLS 1.3 tells a client of its refusal with the first answer.
    with pytest.raises((ssl.SSLError, ConnectionError)):
        asked(caller(secured, tmp_path, server.authority, given))


def test_plain_http_is_not_answered(secured: Listener) -> None:
    secured.use(pair()[0])

    with pytest.raises((ConnectionError, OSError)):
        post(secured, "/filter", {})


def test_a_change_of_certificates_disturbs_no_connection_and_ends_old_trust(secured: Listener, tmp_path: Path) -> None:
    (first, first_client), (second, second_client) = pair(), pair()
    secured.use(first)
    kept = caller(secured, tmp_path, first.authority, first_client)
    assert asked(kept) == {"NodeNames": ["a"]}

    secured.use(second)

    assert asked(kept) == {"NodeNames": ["a"]}
    assert asked(caller(secured, tmp_path, second.authority, second_client)) == {"NodeNames": ["a"]}
    with pytest.raises((ssl.SSLError, ConnectionError)):
        asked(caller(secured, tmp_path, second.authority, first_client))


def test_a_certificate_that_does_not_say_whom_to_trust_is_not_served(secured: Listener) -> None:
    alone = issue(["127.0.0.1"], time.time())

    with pytest.raises(InvalidCertificate, match="is missing"):
        secured.use(Certificate(alone.certificate, alone.key, b""))
