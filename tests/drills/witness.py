"""Overhears kube-scheduler's `filter` calls on the real control plane, and asks each of them again.

What comes of it goes into the drill's watch log, where `tests.invariants.calls` judges it: every call is asked twice
more at once, and at the end of a drill, when the cluster is at rest, all that were heard are asked once more in rounds.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from itertools import takewhile
from pathlib import Path
from queue import Empty, Full, Queue
from typing import Any

import msgspec

from tests.controlplane.ports import LOCALHOST
from tests.invariants.watchlog import Sink

KEPT = 100
"""Calls about different pods that are remembered, and that wait to be asked again."""
TIMEOUT = 2.0
PATIENCE_SECONDS = 10.0
ROUNDS = 5
"""At most: one that was answered and that no write follows is enough."""


@dataclass(frozen=True)
class Pace:
    """Seconds."""

    quiet: float = 0.5
    """Of a cluster at rest: nothing was written for so long."""
    afterwards: float = 0.5
    """How long after a round a write may be its doing."""
    look: float = 0.1


class FilterWitness:
    """`port` gives the listener of the extender that leads, None where there is none."""

    def __init__(self, port: Callable[[], int | None], pace: Pace) -> None:
        self._port, self._pace = port, pace
        self._calls: dict[str, bytes] = {}
        """The last call about each pod."""
        self._waiting: Queue[bytes] = Queue(KEPT)
        self._log: Path | None = None
        self._sink: Sink | None = None
        self._closing = threading.Event()
        threading.Thread(target=self._run, name="filter-witness", daemon=True).start()

    def write_to(self, log: Path) -> None:
        """Note everything there from now on, and forget what was heard before."""
        self._calls.clear()
        self._log, self._sink = log, Sink(log)

    def close(self) -> None:
        self._closing.set()

    def hear(self, body: bytes) -> None:
        """kube-scheduler has sent this to `filter`. On a busy cluster not every call is asked again at once."""
        pod = msgspec.json.decode(body)["Pod"]["metadata"]
        self._calls.pop(_key(pod), None)
        self._calls[_key(pod)] = body
        while len(self._calls) > KEPT:
            self._calls.pop(next(iter(self._calls)))
        with contextlib.suppress(Full):
            self._waiting.put_nowait(body)

    def ask_at_rest(self) -> None:
        """Ask everything that was heard again, in rounds that each begin when nothing has been written for a while."""
        assert self._log is not None
        assert self._sink is not None
        bodies = list(self._calls.values())
        for _ in range(ROUNDS if bodies else 0):
            size, begun = self._size_at_rest(), time.monotonic()
            asked = len([*takewhile(self._ask, bodies)])
            time.sleep(self._pace.afterwards)
            self._sink.write(round={"calls": asked, "begun": begun, "ended": time.monotonic()})
            if asked and b'"object":' not in self._log.read_bytes()[size:]:
                return

    def _size_at_rest(self) -> int:
        """The size of the log once it has not grown for a while."""
        assert self._log is not None
        size, since, end = -1, time.monotonic(), time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() - since < self._pace.quiet and time.monotonic() < end:
            now = self._log.stat().st_size
            if now != size:
                size, since = now, time.monotonic()
            time.sleep(self._pace.look)
        return size

    def _run(self) -> None:
        while not self._closing.is_set():
            with contextlib.suppress(Empty):
                self._ask(self._waiting.get(timeout=self._pace.look))

    def _ask(self, body: bytes) -> bool:
        """Twice. Whether there were two answers: the extender may just be gone."""
        port, sink = self._port(), self._sink
        if port is None or sink is None:
            return False
        connection = HTTPConnection(LOCALHOST, port, timeout=TIMEOUT)
        begun = time.monotonic()
        try:
            answers = [_answer(connection, body) for _ in range(2)]
        except (OSError, HTTPException, msgspec.DecodeError):
            return False
        finally:
            connection.close()
        pod = msgspec.json.decode(body)["Pod"]
        call = {"pod": _key(pod["metadata"]), "resources": _resources(pod), "begun": begun, "ended": time.monotonic()}
        sink.write(filter={**call, "answers": answers})
        return True


def _answer(connection: HTTPConnection, body: bytes) -> Any:
    connection.request("POST", "/filter", body, {"Content-Type": "application/json"})
    return msgspec.json.decode(connection.getresponse().read())


def _key(meta: dict[str, Any]) -> str:
    return f"{meta['namespace']}/{meta['name']}"


def _resources(pod: dict[str, Any]) -> list[str]:
    """The names of all resources that its containers ask for."""
    containers = [*pod["spec"]["containers"], *(pod["spec"].get("initContainers") or ())]
    amounts = [each.get("resources") or {} for each in containers]
    return sorted({name for each in amounts for field in ("requests", "limits") for name in each.get(field) or {}})
