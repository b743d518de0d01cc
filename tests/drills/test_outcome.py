"""What counts as a group that stands in part, and what does not."""

from __future__ import annotations

from typing import Any

import pytest

from tests.drills.outages import Outages
from tests.drills.outcome import Picture, partial
from tests.scenarios.manifests import lws

Body = dict[str, Any]


def member(index: int, node: str, *, leaving: bool = False) -> Body:
    labels = {"leaderworkerset.sigs.k8s.io/name": "llama", "leaderworkerset.sigs.k8s.io/group-index": "0"}
    meta: Body = {"name": f"llama-0-{index}", "labels": labels, "ownerReferences": [{}]}
    if leaving:
        meta["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    return {"metadata": meta, "spec": {"nodeName": node, "containers": []}}


def picture(*pods: Body) -> Picture:
    nodes = [{"metadata": {"name": name, "labels": {}}, "spec": {}, "status": {"allocatable": {}}} for name in "ab"]
    return Picture([lws("llama", size=2).body], [*pods], nodes, {}, {})


@pytest.mark.parametrize(
    ("pods", "stands_in_part"),
    [
        pytest.param((), False, id="no member is there"),
        pytest.param((member(0, ""), member(1, "")), False, id="none is bound"),
        pytest.param((member(0, "a"), member(1, "b")), False, id="all are bound"),
        pytest.param((member(0, "a"), member(1, "")), True, id="one of two is bound"),
        pytest.param((member(0, "a", leaving=True),), True, id="one is leaving a node that is there"),
        pytest.param((member(0, "gone", leaving=True),), True, id="one is leaving a node that is no more"),
        pytest.param((member(0, "gone", leaving=True), member(1, "b")), True, id="and the other has stayed"),
    ],
)
def test_a_group_stands_whole_or_not_at_all(pods: tuple[Body, ...], stands_in_part: bool) -> None:
    assert bool(partial(picture(*pods))) == stands_in_part


def test_what_is_down_or_frozen_is_a_fault_until_it_is_back() -> None:
    outages = Outages()
    outages.begin("extender", 100.0)
    outages.begin("extender", 103.0)
    assert outages.moments(112.0) == [100.0, 105.0, 110.0]
    outages.end("extender", 106.0)
    outages.end("extender", 107.0)
    assert outages.moments(200.0) == [100.0, 105.0]
