"""One connection to the extender's `filter`, as kube-scheduler has one: calls in a row, each timed from outside.

A bare socket, so that the caller takes next to no processor time from what it measures.
"""

from __future__ import annotations

import json
import socket
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from itertools import cycle
from typing import NamedTuple, Self
from urllib.parse import urlsplit

from benchmarks.gang_plane import NAMESPACE, Json, percentile

PAUSE_SECONDS = 0.002
"""Between two calls, where kube-scheduler does other work: a caller without pause would be a load of its own."""
Took = dict[str, list[float]]
"""Milliseconds per call, by what was asked about."""


class Question(NamedTuple):
    """What kube-scheduler asks: may this pod stand on one of these nodes?"""

    pod: Json
    nodes: Sequence[str]


class FilterCaller:
    """Asks the same questions over and over, one after the other, over one connection."""

    def __init__(self, verbs_url: str, questions: Mapping[str, Question]) -> None:
        address = urlsplit(verbs_url)
        self._requests = {
            what: request_bytes(address.netloc, "/filter", _arguments(each)) for what, each in questions.items()
        }
        self._socket = socket.create_connection((address.hostname or "", address.port or 80), timeout=30)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def calls(self, seconds: float, between: Callable[[], object] = lambda: None) -> Took:
        """Ask for that long; `between` is called after each call, untimed. Raises RuntimeError where it is refused."""
        took: Took = {what: [] for what in self._requests}
        end = time.monotonic() + seconds
        for what in cycle(self._requests):
            started = time.perf_counter()
            answer = self._ask(self._requests[what])
            took[what].append((time.perf_counter() - started) * 1000)
            if answer.get("Error") or not answer.get("NodeNames"):
                raise RuntimeError(f"filter refused what it should allow: {answer}")
            between()
            if time.monotonic() > end:
                return took
            time.sleep(PAUSE_SECONDS)
        raise AssertionError("there is nothing to ask")

    def _ask(self, request: bytes) -> Json:
        self._socket.sendall(request)
        received = b""
        while (body := body_of(received)) is None:
            more = self._socket.recv(1 << 18)
            if not more:
                raise RuntimeError("the extender closed the connection")
            received += more
        answer: Json = json.loads(body)
        return answer


def request_bytes(host: str, path: str, body: bytes) -> bytes:
    head = f"POST {path} HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


def body_of(received: bytes) -> bytes | None:
    """The answer's body; None where it is not all there yet."""
    head, separator, body = received.partition(b"\r\n\r\n")
    if not separator:
        return None
    length = next(int(line[15:]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:"))
    return body if len(body) >= length else None


def as_scheduler_sends(pod: Json) -> Json:
    """kube-scheduler sends pods without managedFields, apiVersion and kind."""
    metadata = {key: value for key, value in pod["metadata"].items() if key != "managedFields"}
    return {"metadata": {"namespace": NAMESPACE, **metadata}, "spec": pod["spec"], "status": pod.get("status", {})}


def slot_of(pod: Json) -> str:
    """The node that a member is pinned to."""
    terms = pod["spec"]["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
    return str(terms["nodeSelectorTerms"][0]["matchFields"][0]["values"][0])


def told(took: Sequence[float]) -> Json:
    """Milliseconds: median, 99th percentile, worst; and how many calls."""
    return {
        "p50": round(statistics.median(took), 3),
        "p99": round(percentile(took, 0.99), 3),
        "max": round(max(took), 3),
        "calls": len(took),
    }


def _arguments(question: Question) -> bytes:
    arguments = {"Pod": as_scheduler_sends(question.pod), "Nodes": None, "NodeNames": list(question.nodes)}
    return json.dumps(arguments).encode()
