"""What kube-scheduler asks is overheard on its way and asked again: a `filter` that is not pure is found out."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.client import HTTPConnection, HTTPException
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import msgspec
import pytest

from tests.controlplane.ports import LOCALHOST, free_ports
from tests.controlplane.wait import wait_until
from tests.drills.relay import VerbsRelay
from tests.drills.witness import FilterWitness, Pace
from tests.invariants.check import check
from tests.invariants.log import read

POD = {"metadata": {"namespace": "default", "name": "llama-0"}}
WANTS = {"spec": {"containers": [{"resources": {"limits": {"nvidia.com/gpu": "1"}}}]}}
BODY = msgspec.json.encode({"Pod": {**POD, **WANTS}, "NodeNames": [f"node-{index:05}" for index in range(20_000)]})
QUICK = Pace(quiet=0.05, afterwards=0.05, look=0.01)


class Extender:
    """Answers with its number of the call, or always the same."""

    def __init__(self, *, is_pure: bool) -> None:
        self.calls = 0
        extender = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                self.rfile.read(int(self.headers["Content-Length"]))
                extender.calls += 1
                answer = msgspec.json.encode({"NodeNames": ["n1" if is_pure else f"n{extender.calls}"], "Error": ""})
                self.send_response(200)
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, format: str, *args: object) -> None:
                return

        self.server = ThreadingHTTPServer((LOCALHOST, 0), Handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()

    @property
    def port(self) -> int:
        return int(self.server.server_address[1])


@pytest.fixture(params=[True, False], ids=["pure", "not pure"])
def extender(request: pytest.FixtureRequest) -> Iterator[tuple[Extender, bool]]:
    extender = Extender(is_pure=request.param)
    yield extender, request.param
    extender.server.shutdown()
    extender.server.server_close()


def test_a_call_that_comes_in_pieces_is_asked_twice_more_and_judged(
    extender: tuple[Extender, bool], tmp_path: Path
) -> None:
    served, is_pure = extender
    witness = FilterWitness(lambda: served.port, QUICK)
    witness.write_to(tmp_path / "watch.log")
    relay = VerbsRelay(lambda: served.port, witness.hear)
    caller = HTTPConnection(LOCALHOST, relay.port, timeout=5)
    for path in ("/bind", "/filter", "/filter"):
        caller.request("POST", path, BODY, {"Content-Type": "application/json"})
        assert caller.getresponse().read()
    wait_until(lambda: served.calls == 3 + 2 * 2, "each filter call was asked twice more")
    witness.ask_at_rest()
    for each in (caller, relay, witness):
        each.close()
    report = check(read(tmp_path / "watch.log"))
    assert report.calls == 3
    assert {each.invariant for each in report.violations} == (set() if is_pure else {"I7"})


def test_a_round_that_nobody_answered_is_not_the_last(tmp_path: Path) -> None:
    served, log = Extender(is_pure=True), tmp_path / "watch.log"
    witness = FilterWitness(lambda: served.port if b'"round"' in log.read_bytes() else None, QUICK)
    witness.write_to(log)
    witness.hear(BODY)
    witness.ask_at_rest()
    witness.close()
    served.server.shutdown()
    served.server.server_close()
    assert [line["round"]["calls"] for line in read(log) if "round" in line] == [0, 1]


def test_a_caller_whose_extender_is_down_hears_so_at_once() -> None:
    [nobody] = free_ports(1)
    relay = VerbsRelay(lambda: nobody, lambda _: None)
    caller = HTTPConnection(LOCALHOST, relay.port, timeout=5)
    with pytest.raises((ConnectionError, HTTPException)):
        answer_to(caller)
    relay.close()


def answer_to(caller: HTTPConnection) -> bytes:
    caller.request("POST", "/filter", BODY)
    return caller.getresponse().read()
