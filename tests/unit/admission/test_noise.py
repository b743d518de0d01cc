"""Whatever comes to the webhooks' port: every hook answers with a verdict or a sentence, and the server stays fit."""

from __future__ import annotations

import http.client
import json
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lws_sched.admission import certificates, review, web
from lws_sched.admission.hook import ALLOWED, Hook
from lws_sched.admission.server import hook_server
from lws_sched.admission.web import MAX_HEAD_BYTES, READ_SECONDS
from lws_sched.api.core import POD
from lws_sched.api.lws import LEADER_WORKER_SET
from lws_sched.controller import app as controller
from lws_sched.extender import app as extender
from lws_sched.sim.world import World
from tests.scenarios.manifests import lws, pod
from tests.spoilt import EXAMPLES, JSON, spoilt

HOST = "127.0.0.1"


def all_hooks() -> list[Hook]:
    world = World(seed=1)
    apps: list[Any] = [
        world.start("controller", lambda runtime: controller.build(runtime, controller.Options())),
        world.start("extender", lambda runtime: extender.build(runtime, extender.Options(patience=0))),
    ]
    world.settle()
    return [hook for app in apps for hook in app.hooks]


HOOKS = all_hooks()
MEMBER = {
    **pod("llama-0-1", accelerators=8),
    "metadata": {
        "name": "llama-0-1",
        "namespace": "default",
        "uid": "u",
        "labels": {
            "leaderworkerset.sigs.k8s.io/name": "llama",
            "leaderworkerset.sigs.k8s.io/group-index": "0",
            "leaderworkerset.sigs.k8s.io/worker-index": "1",
        },
        "annotations": {"leaderworkerset.sigs.k8s.io/size": "4"},
    },
}
SET = lws("llama", replicas=2, size=4).exclusive().subgroups(2).leader().body
OBJECTS = {LEADER_WORKER_SET.kind: SET, POD.kind: MEMBER}


def told(hook: Hook, sent: bytes) -> dict[str, Any] | str:
    """The response, or why there is none."""
    answer = review.answer(hook, sent)
    assert answer.status in (200, 400)
    return json.loads(answer.body)["response"] if answer.status == 200 else answer.body.decode()


@pytest.mark.parametrize("hook", HOOKS, ids=lambda hook: hook.name)
def test_any_bytes_are_answered(hook: Hook) -> None:
    @given(sent=st.binary(max_size=200) | JSON.map(lambda value: json.dumps(value).encode()))
    @settings(max_examples=EXAMPLES, deadline=None)
    def check(sent: bytes) -> None:
        assert told(hook, sent)

    check()
    assert told(hook, b"[" * 100_000)
    assert told(hook, b'{"request": {"uid": "u", "operation": "CREATE", "object": {"a": ' + b"[" * 100_000)


@pytest.mark.parametrize("hook", HOOKS, ids=lambda hook: hook.name)
def test_an_object_with_any_value_anywhere_is_never_a_fault_of_the_hook(hook: Hook) -> None:
    whole = OBJECTS[hook.kind.kind]

    @given(new=spoilt(whole), old=spoilt(whole) | st.none())
    @settings(max_examples=3 * EXAMPLES, deadline=None)
    def check(new: Any, old: Any) -> None:
        operation = "UPDATE" if old is not None and "UPDATE" in hook.operations else hook.operations[0]
        request = {"uid": "u", "operation": operation, "namespace": "default", "object": new, "oldObject": old}
        answer = told(hook, json.dumps({"request": request}).encode())
        if isinstance(answer, dict) and not answer["allowed"]:
            assert answer["status"]["code"] != 500, answer

    check()


# --- the server ------------------------------------------------------------------------------------------------------
@pytest.fixture(scope="module")
def server() -> Iterator[tuple[web.WebServer, bytes]]:
    hook = Hook("quick.test", "/quick", POD, ("CREATE",), True, lambda _: ALLOWED)
    certificate = certificates.issue([HOST], time.time())
    served = hook_server([hook], HOST, 0, lambda: "")
    served.use(certificate)
    served.start()
    yield served, certificate.authority
    served.stop()


def connected(server: tuple[web.WebServer, bytes]) -> ssl.SSLSocket:
    context = ssl.create_default_context(cadata=server[1].decode())
    return context.wrap_socket(socket.create_connection((HOST, server[0].port), timeout=20), server_hostname=HOST)


def is_fit(server: tuple[web.WebServer, bytes]) -> bool:
    context = ssl.create_default_context(cadata=server[1].decode())
    connection = http.client.HTTPSConnection(HOST, server[0].port, context=context, timeout=10)
    connection.request("GET", "/healthz")
    return connection.getresponse().read() == b"ok"


def test_headers_without_end_are_refused(server: tuple[web.WebServer, bytes]) -> None:
    with connected(server) as loud:
        loud.sendall(b"POST /quick HTTP/1.1\r\n" + b"a: b\r\n" * (MAX_HEAD_BYTES // 6 + 1))
        assert loud.recv(4096).startswith(b"HTTP/1.1 413 ")
    assert is_fit(server)


def test_what_comes_byte_by_byte_has_no_longer_than_any_other_request() -> None:
    """Each byte comes in time for the next one, the whole does not."""
    ours, theirs = socket.socketpair()
    reader = web._PunctualReader(ours, "rb", 8192)
    reader.expect(0.4)
    stopped = threading.Event()

    def drip() -> None:
        while not stopped.wait(0.02):
            theirs.send(b"x")

    threading.Thread(target=drip, daemon=True).start()
    began = time.monotonic()
    with pytest.raises(TimeoutError):
        reader.readline()
    stopped.set()

    assert 0.3 < time.monotonic() - began < READ_SECONDS


def test_after_any_noise_the_next_caller_is_answered(server: tuple[web.WebServer, bytes]) -> None:
    @given(noise=st.binary(max_size=150))
    @settings(max_examples=min(EXAMPLES, 200), deadline=None)
    def check(noise: bytes) -> None:
        with socket.create_connection((HOST, server[0].port), timeout=10) as raw:
            raw.sendall(noise)
        with connected(server) as loud:
            loud.sendall(noise + b"\r\n\r\n")

    check()
    assert is_fit(server)
