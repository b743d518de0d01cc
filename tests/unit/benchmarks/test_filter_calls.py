"""Calls of the extender's verbs as benchmarks make them."""

from __future__ import annotations

from typing import Any

from benchmarks.filter_calls import as_scheduler_sends, body_of, request_bytes, slot_of, told

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 11\r\n\r\n" + b'{"Error":1}'


def test_an_answer_counts_only_once_its_last_byte_is_there() -> None:
    assert [body_of(ANSWER[:length]) for length in range(len(ANSWER))] == [None] * len(ANSWER)
    assert body_of(ANSWER) == b'{"Error":1}'


def test_a_request_says_how_long_its_body_is() -> None:
    request = request_bytes("127.0.0.1:8900", "/filter", b"{}")
    assert request.startswith(b"POST /filter HTTP/1.1\r\nHost: 127.0.0.1:8900\r\n")
    assert request.endswith(b"Content-Length: 2\r\n\r\n{}")


def test_a_pod_is_sent_as_kube_scheduler_sends_it() -> None:
    pod: dict[str, Any] = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "a-0", "managedFields": [{"manager": "somebody"}]},
        "spec": {"containers": []},
    }
    sent = as_scheduler_sends(pod)
    assert sent == {"metadata": {"namespace": "bench", "name": "a-0"}, "spec": {"containers": []}, "status": {}}


def test_the_slot_is_read_from_the_pin() -> None:
    required = {"nodeSelectorTerms": [{"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["n7"]}]}]}
    affinity = {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": required}}
    assert slot_of({"spec": {"affinity": affinity}}) == "n7"


def test_of_a_hundred_calls_the_worst_is_not_the_99th_percentile() -> None:
    took = [1.0] * 98 + [2.0, 50.0, 1.0] + [1.0] * 99
    assert told(took) == {"p50": 1.0, "p99": 2.0, "max": 50.0, "calls": 200}
