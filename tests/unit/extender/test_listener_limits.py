"""What the verbs' listener does with callers that are not kube-scheduler: slow, silent, hasty, too loud, or noise."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, cast

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from lws_sched.api.extender import BindingArgs, BindingResult, ExtenderArgs, FilterResult
from lws_sched.extender import listener as module
from lws_sched.extender.listener import IDLE_SECONDS, MAX_BODY_BYTES, MAX_HEAD_BYTES, READ_SECONDS, Listener, Verbs
from tests.spoilt import EXAMPLES

BIND = b'{"PodName": "p", "PodNamespace": "ns", "PodUID": "u", "Node": "n"}'
FILTER = b'{"Pod": {"metadata": {"name": "p"}}, "NodeNames": ["a"]}'


class Scheduled:
    """What `call_later` gives."""

    def __init__(self, due: float, task: Callable[[], None]) -> None:
        self.due, self.task, self.is_off = due, task, False

    def cancel(self) -> None:
        self.is_off = True


@dataclass
class Loop:
    """An event loop whose time a test moves."""

    now: float = 1000.0
    scheduled: list[Scheduled] = field(default_factory=list)

    def time(self) -> float:
        return self.now

    def call_later(self, seconds: float, task: Callable[[], None]) -> Scheduled:
        self.scheduled.append(Scheduled(self.now + seconds, task))
        return self.scheduled[-1]

    def call_soon_threadsafe(self, task: Callable[[], None]) -> None:
        task()

    def is_closed(self) -> bool:
        return False

    def run_for(self, seconds: float) -> None:
        end = self.now + seconds
        while due := [each for each in self.scheduled if not each.is_off and each.due <= end]:
            first = min(due, key=lambda each: each.due)
            self.scheduled.remove(first)
            self.now = max(self.now, first.due)
            first.task()
        self.now = end


@dataclass
class Transport:
    written: bytes = b""
    is_closed: bool = False

    def write(self, data: bytes) -> None:
        self.written += data

    def close(self) -> None:
        self.is_closed = True


@dataclass
class Both:
    """Answers filter, holds bind."""

    held: list[Callable[[BindingResult], None]] = field(default_factory=list)

    def filter(self, args: ExtenderArgs) -> FilterResult:
        return FilterResult(node_names=args.node_names)

    def bind(self, args: BindingArgs, respond: Callable[[BindingResult], None], is_alive: Callable[[], bool]) -> None:
        self.held.append(respond)


@dataclass
class Line:
    """A connection without a network."""

    loop: Loop = field(default_factory=Loop)
    verbs: Both = field(default_factory=Both)
    transport: Transport = field(default_factory=Transport)
    others: set[Any] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.connection = module._Connection(cast(Verbs, self.verbs), cast(Any, self.loop), self.others)
        self.connection.connection_made(cast(Any, self.transport))

    def say(self, data: bytes) -> None:
        self.connection.data_received(data)


def post(path: str, body: bytes) -> bytes:
    return f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


def test_a_connection_that_says_nothing_is_kept_longer_than_kube_scheduler_keeps_it_and_then_closed() -> None:
    line = Line()
    line.loop.run_for(IDLE_SECONDS - 1)
    assert not line.transport.is_closed
    line.say(post("/filter", FILTER))
    line.loop.run_for(IDLE_SECONDS - 1)
    assert not line.transport.is_closed

    line.loop.run_for(2)
    assert line.transport.is_closed


def test_a_call_that_arrives_byte_by_byte_has_no_longer_than_any_other() -> None:
    line = Line()
    for byte in post("/filter", FILTER)[: int(READ_SECONDS)]:
        line.say(bytes([byte]))
        line.loop.run_for(1)

    assert line.transport.is_closed


def test_a_call_that_is_held_is_not_hurried() -> None:
    line = Line()
    line.say(post("/bind", BIND))
    line.loop.run_for(10 * IDLE_SECONDS)
    assert not line.transport.is_closed

    line.verbs.held[0](BindingResult())
    assert line.transport.written.startswith(b"HTTP/1.1 200 OK")


@pytest.mark.parametrize("at_once", [True, False], ids=["in one piece", "after it"])
def test_a_second_call_before_the_first_is_answered_closes_the_connection(at_once: bool) -> None:
    line, bind, more = Line(), post("/bind", BIND), post("/filter", FILTER)
    for piece in [bind + more] if at_once else [bind, more]:
        line.say(piece)

    assert line.transport.is_closed
    assert line.transport.written == b""


def test_what_is_too_large_is_refused_while_it_arrives() -> None:
    line = Line()
    line.say(b"POST /filter HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n")
    piece = b"100000\r\n" + bytes(0x100000) + b"\r\n"
    for _ in range((MAX_BODY_BYTES + MAX_HEAD_BYTES) // len(piece) + 1):
        assert not line.transport.is_closed
        line.say(piece)

    assert line.transport.is_closed
    assert line.transport.written.startswith(b"HTTP/1.1 413 ")


def test_a_path_that_arrives_in_pieces_is_one_path() -> None:
    line, whole = Line(), post("/filter", FILTER)
    for at in range(0, len(whole), 3):
        line.say(whole[at : at + 3])

    assert line.transport.written.startswith(b"HTTP/1.1 200 OK")


def test_so_many_connections_and_no_more() -> None:
    others: set[Any] = set(range(module.MAX_CONNECTIONS - 1))
    assert not Line(others=others).transport.is_closed
    assert Line(others=others).transport.is_closed


def test_one_that_wants_another_protocol_is_closed() -> None:
    line = Line()
    line.say(b"GET / HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")

    assert line.transport.is_closed


# --- noise -----------------------------------------------------------------------------------------------------------
BODIES = st.binary(max_size=80) | st.sampled_from(
    [FILTER, b"[" * 100_000, b'{"Pod":' * 10_000, b'{"Pod": {"spec": ' + b"[" * 10_000, b"\xff\xfe", b'{"Pod": 1}']
)
NOISE = st.binary(max_size=120) | st.builds(
    lambda path, body, lie: post(path, body).replace(b"Content-Length: ", b"Content-Length: " + lie),
    st.sampled_from(["/filter", "/bind", "/", "*", "/filter?x"]),
    BODIES,
    st.sampled_from([b"", b"", b"-", b"9", b"99999999999999999999"]),
)


@given(pieces=st.lists(NOISE, max_size=4))
@settings(max_examples=EXAMPLES, deadline=None)
@example(pieces=[post("/filter", b'{"Pod": {"x": ' + b"[" * 200_000)])
def test_any_bytes_are_answered_or_end_their_own_connection(pieces: list[bytes]) -> None:
    line = Line()
    for piece in pieces:
        line.say(piece)
    line.loop.run_for(2 * IDLE_SECONDS)

    if line.transport.written:
        assert line.transport.written.startswith(b"HTTP/1.1 ")
    assert line.transport.is_closed or line.verbs.held


@pytest.fixture(scope="module")
def listener() -> Iterator[Listener]:
    listener = Listener(cast(Verbs, Both()), "127.0.0.1", 0)
    listener.start()
    yield listener
    listener.stop()


@given(noise=NOISE)
@settings(max_examples=min(EXAMPLES, 500), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_after_any_noise_the_next_caller_is_answered(listener: Listener, noise: bytes) -> None:
    with socket.create_connection(("127.0.0.1", listener.port), timeout=10) as loud:
        loud.sendall(noise)
        with socket.create_connection(("127.0.0.1", listener.port), timeout=10) as polite:
            polite.sendall(post("/filter", FILTER))
            assert polite.recv(4096).endswith(b'{"NodeNames":["a"]}')
