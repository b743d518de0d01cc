"""Exchanges with a server on a socket: what it sends is given byte by byte."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import urllib3

from lws_sched.api.core import POD
from lws_sched.kube.config import Connection
from lws_sched.kube.errors import Unavailable
from lws_sched.kube.http1 import FAILURES, Answer, Wires
from lws_sched.kube.request import get
from lws_sched.kube.transport import Transport
from tests.unit.kube.apiserver import Asked, Reply, in_turn, pod_json, serving

ASKED = b"GET /x HTTP/1.1\r\nHost: h\r\n\r\n"


@contextmanager
def answering(*answers: bytes) -> Iterator[Wires]:
    """A server that gives each connection it accepts the next of these answers, whatever is asked."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            for answer in answers:
                connection, _ = listener.accept()
                connection.recv(65536)
                connection.sendall(answer)
                connection.close()

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield Wires(urllib3.PoolManager(), f"http://127.0.0.1:{listener.getsockname()[1]}")
        thread.join(5)


def ask(wires: Wires) -> Answer:
    wire = wires.take(1.0)
    answer = wire.exchange(ASKED, 5.0)
    wires.give(wire)
    return answer


def test_an_answer_with_a_length() -> None:
    with answering(b"HTTP/1.1 201 Created\r\nRetry-After: 3\r\nContent-Length: 2\r\n\r\nok") as wires:
        assert ask(wires) == Answer(201, {"retry-after": "3", "content-length": "2"}, b"ok")


def test_an_answer_in_chunks() -> None:
    chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"
    with answering(chunked) as wires:
        assert ask(wires).body == b"abcde"


def test_an_answer_that_ends_with_the_connection() -> None:
    with answering(b"HTTP/1.1 200 OK\r\n\r\nall of it") as wires:
        assert ask(wires).body == b"all of it"


@pytest.mark.parametrize(
    "broken",
    [
        b"",
        b"HTTP/1.1 200 O",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab",
        b"SSH-2.0-OpenSSH_9.2\r\n",
    ],
)
def test_an_answer_cut_short_is_a_failure(broken: bytes) -> None:
    with answering(broken) as wires, pytest.raises(FAILURES):
        ask(wires)


def test_what_breaks_below_http_is_unavailable() -> None:
    with answering(b"no HTTP at all\r\n\r\n") as wires:
        transport = Transport(Connection(wires, lambda: None), "test/1")
        with pytest.raises(
            Unavailable, match=r"no answer from the API server at 127.0.0.1:\d+ to GET /api/v1/namespaces/ns/pods/a"
        ):
            transport.send(get(POD, "ns", "a"))


def test_connections_are_kept() -> None:
    with serving(in_turn(Reply(body=pod_json("a", 1)))) as server:
        client = server.client()
        for _ in range(5):
            client.get(POD, "ns", "a")
        assert server.connections == 1


def test_a_connection_that_the_server_gives_up_is_not_used_again() -> None:
    last = Reply(body=pod_json("a", 1), headers={"Connection": "close"})
    with serving(in_turn(last)) as server:
        client = server.client()
        for _ in range(3):
            client.get(POD, "ns", "a")
        assert server.connections == 3


def test_a_connection_that_was_closed_while_idle_is_replaced() -> None:
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n"
    with answering(answer + b"a", answer + b"b") as wires:
        wire = wires.take(1.0)
        assert wire.exchange(ASKED, 5.0).body == b"a"
        wires.give(wire)
        deadline = time.monotonic() + 5
        while wire.is_usable and time.monotonic() < deadline:
            time.sleep(0.001)
        assert ask(wires).body == b"b"


def test_a_connection_in_use_is_with_one_thread() -> None:
    both_asked = threading.Barrier(2, timeout=5)

    def script(asked: Asked) -> Reply:
        both_asked.wait()
        return Reply(body=pod_json("a", 1))

    with serving(script) as server:
        client = server.client()
        threads = [threading.Thread(target=client.get, args=(POD, "ns", "a")) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert server.connections == 2
