from __future__ import annotations

from dataclasses import replace

import pytest

from lws_sched.placement import GroupRequest, NodeState, Placed, PodShape, Requirement, Taint, Tenant, violations
from tests.unit.placement.cluster import GPU, RACK, Standing, fleet_of, group, pod, racks


def found(
    request: GroupRequest, *slots: str, nodes: list[NodeState] | None = None, standing: list[Standing] | None = None
) -> list[str]:
    facts = fleet_of(nodes or racks(2, 3), standing or []).snapshot().facts().values()
    return violations(facts, request, Placed(request.key, slots, "", "", "exact"))


def test_a_right_placement_breaks_no_promise() -> None:
    assert found(group("a-0", 2, required=RACK), "r0-h0", "r0-h1") == []
    assert found(group("a-0", 2, pod(gpu=4)), "r0-h0", "r0-h0") == []


@pytest.mark.parametrize(
    ("request_", "slots", "sentence"),
    [
        pytest.param(group("a-0", 3), ("r0-h0", "r0-h1"), "default/a-0 has 3 members but 2 slots", id="a missing slot"),
        pytest.param(
            group("a-0", 1), ("r9-h0",), "member 0 of default/a-0: node r9-h0 does not exist", id="no such node"
        ),
        pytest.param(
            group("a-0", 2),
            ("r0-h0", "r0-h0"),
            f"default/a-0 takes 16 {GPU} on node r0-h0, which has 8 free",
            id="too much",
        ),
        pytest.param(
            group("a-0", 2, required=RACK),
            ("r0-h0", "r1-h0"),
            f"default/a-0 is spread over 2 domains of {RACK}",
            id="spread",
        ),
        pytest.param(
            group("a-0", 1, exclusive="hall"),
            ("r0-h0",),
            "default/a-0 has members on nodes without the label hall",
            id="no label",
        ),
        pytest.param(
            group("a-0", 1, avoid=frozenset({"r0-h0"})),
            ("r0-h0",),
            "member 0 of default/a-0: node r0-h0 is to be avoided",
            id="avoided",
        ),
        pytest.param(
            group("a-0", 1, PodShape(selector=(("x", "y"),))),
            ("r0-h0",),
            "member 0 of default/a-0: node r0-h0 is not selected by the nodeSelector",
            id="not selected",
        ),
        pytest.param(
            group("a-0", 1, PodShape(terms=((Requirement("x", "Exists"),),))),
            ("r0-h0",),
            "member 0 of default/a-0: node r0-h0 is not taken by the node affinity",
            id="no affinity",
        ),
    ],
)
def test_a_broken_promise_is_named(request_: GroupRequest, slots: tuple[str, ...], sentence: str) -> None:
    assert found(request_, *slots) == [sentence]


def test_nodes_that_take_no_pods_are_named() -> None:
    nodes = racks(1, 2)
    nodes[0] = replace(nodes[0], schedulable=False)
    nodes[1] = replace(nodes[1], taints=(Taint("gpu", "", "NoExecute"),))
    assert found(group("a-0", 2), "r0-h0", "r0-h1", nodes=nodes) == [
        "member 0 of default/a-0: node r0-h0 takes no new pods",
        "member 1 of default/a-0: node r0-h1 has the taint gpu, which is not tolerated",
    ]


def test_a_shared_exclusive_domain_is_named_whoever_holds_it() -> None:
    shared = Standing("p", "r0-h2", {}, Tenant("default/b-0", "default"))
    owner = Standing("p", "r0-h2", {}, Tenant("default/b-0", "default", RACK))
    sentence = "default/a-0 and default/b-0 share rack-0, which one of them holds exclusively"
    assert found(group("a-0", 1, exclusive=RACK), "r0-h0", standing=[shared]) == [sentence]
    assert found(group("a-0", 1), "r0-h0", standing=[owner]) == [sentence]
    assert found(group("a-0", 1), "r0-h0", standing=[shared]) == []
    assert found(group("a-0", 1, exclusive=RACK), "r1-h0", standing=[shared]) == []
