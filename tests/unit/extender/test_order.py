"""Priority, then age; one domain is kept free for the head."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lws_sched.extender.order import hold_for, plan_in_order
from lws_sched.placement import (
    Budget,
    Decision,
    Fleet,
    GroupRequest,
    NodeState,
    Placed,
    PodShape,
    Refused,
    Tenant,
    plan,
)

RACK = "topology.lws-sched.io/rack"
BUDGET = Budget(deterministic_time=0.05)
WHOLE = PodShape(requests=(("nvidia.com/gpu", 8),))


def fleet(racks: int, hosts: int) -> Fleet:
    made = Fleet()
    for rack in range(racks):
        for host in range(hosts):
            made.set_node(
                NodeState(
                    name=f"r{rack}-h{host}",
                    labels={RACK: f"r{rack}"},
                    allocatable={"nvidia.com/gpu": 8, "pods": 10},
                )
            )
    return made


def request(name: str, size: int, *, created: int = 0, priority: int = 0, required: str = "rack") -> GroupRequest:
    return GroupRequest(
        key=f"ns/{name}",
        size=size,
        worker=WHOLE,
        leader=WHOLE,
        required=required,
        priority=priority,
        created=f"2026-01-01T00:00:{created:02d}Z",
    )


def take(made: Fleet, *nodes: str, group: str = "ns/old-0") -> None:
    for node in nodes:
        made.charge(f"{group}/{node}", node, {"nvidia.com/gpu": 8}, Tenant(group=group, namespace="ns"))


def decide(made: Fleet, *requests: GroupRequest) -> dict[str, Decision]:
    return plan_in_order(made.snapshot(), requests, BUDGET)


def slots(decision: Decision) -> tuple[str, ...]:
    assert isinstance(decision, Placed), decision
    return decision.slots


def refused(decision: Decision) -> Refused:
    assert isinstance(decision, Refused), decision
    return decision


class TestTheHead:
    def test_keeps_the_domain_with_the_fewest_members_to_leave(self) -> None:
        made = fleet(3, 4)
        take(made, "r0-h0", "r0-h1", "r0-h2", "r1-h0", "r2-h0", "r2-h1")
        decisions = decide(made, request("large", 4), request("small", 2, created=1))
        assert f"{RACK} r1 is kept free for it" in refused(decisions["ns/large"]).reason
        assert slots(decisions["ns/small"])[0].startswith("r2")

    def test_makes_others_wait_who_would_need_a_host_of_it(self) -> None:
        made = fleet(1, 4)
        take(made, "r0-h0")
        decisions = decide(made, request("large", 4), request("small", 1, created=1))
        said = refused(decisions["ns/small"])
        assert (
            said.reason == f"it would fit, but {RACK} r0 is kept free for group ns/large, whose turn is before its own"
        )
        assert said.fix

    def test_is_the_highest_priority_and_then_the_oldest(self) -> None:
        made = fleet(1, 4)
        take(made, "r0-h0")
        late_but_high = request("high", 4, created=9, priority=5)
        assert "kept free for it" in refused(decide(made, request("old", 4), late_but_high)["ns/high"]).reason
        older = decide(made, request("young", 4, created=3), request("old", 4, created=2))
        assert "kept free for it" in refused(older["ns/old"]).reason

    def test_that_fits_is_not_left_out_for_younger_groups_that_are_larger_together(self) -> None:
        made = fleet(2, 4)
        take(made, "r0-h0", "r1-h0", "r1-h1")
        # Three and two free: the old group of two, or the young ones of three and two.
        decisions = decide(
            made, request("old", 2, created=0), request("young", 3, created=1), request("younger", 2, created=2)
        )
        assert isinstance(decisions["ns/old"], Placed)
        made = fleet(1, 4)
        take(made, "r0-h0")
        crowded = decide(made, request("old", 2), request("young", 3, created=1))
        assert slots(crowded["ns/old"])
        assert isinstance(crowded["ns/young"], Refused)

    def test_none_of_many_is_left_out_for_younger_groups_that_are_larger_together(self) -> None:
        made = fleet(6, 4)
        old = [request(f"old{index}", 1, created=index) for index in range(6)]
        young = [request(f"young{index}", 4, created=10 + index) for index in range(6)]
        decisions = decide(made, *old, *young)
        assert all(slots(decisions[each.key]) for each in old)
        assert sum(isinstance(decisions[each.key], Placed) for each in young) == 4

    @pytest.mark.parametrize(
        "impossible",
        [
            request("head", 9),
            request("head", 2, required="nowhere"),
            replace(request("head", 2), worker=PodShape((("x", 1),))),
        ],
        ids=["larger than any rack", "an unknown level", "a resource that nobody offers"],
    )
    def test_that_fits_no_healthy_domain_holds_none(self, impossible: GroupRequest) -> None:
        made = fleet(1, 4)
        assert hold_for(made.snapshot(), impossible) is None
        assert slots(decide(made, impossible, request("small", 4, created=1))["ns/small"])

    def test_does_not_hold_a_domain_that_only_fits_it_with_a_cordoned_node(self) -> None:
        made = fleet(2, 2)
        made.set_node(
            NodeState(
                name="r0-h0", labels={RACK: "r0"}, allocatable={"nvidia.com/gpu": 8, "pods": 10}, schedulable=False
            )
        )
        take(made, "r1-h0", "r1-h1")
        decisions = decide(made, request("head", 2), request("small", 1, created=1))
        assert f"{RACK} r1 is kept free" in refused(decisions["ns/head"]).reason
        assert slots(decisions["ns/small"]) == ("r0-h1",)

    def test_of_another_pool_does_not_wait_for_the_first(self) -> None:
        made = fleet(1, 4)
        for host in range(2):
            made.set_node(
                NodeState(name=f"tpu-{host}", labels={RACK: "t0"}, allocatable={"google.com/tpu": 4, "pods": 10})
            )
        take(made, "r0-h0")
        made.charge("x", "tpu-0", {"google.com/tpu": 4})
        tpu = PodShape(requests=(("google.com/tpu", 4),))
        second = replace(request("tpu", 2, created=1), worker=tpu, leader=tpu)
        decisions = decide(made, request("large", 4), second, replace(second, key="ns/late", size=1, created="2027"))
        assert f"{RACK} t0 is kept free for it" in refused(decisions["ns/tpu"]).reason
        assert "for group ns/tpu" in refused(decisions["ns/late"]).reason

    def test_without_a_topology_holds_just_enough_nodes(self) -> None:
        made = fleet(2, 3)
        take(made, "r0-h0", "r0-h1", "r0-h2", "r1-h0")
        hold = hold_for(made.snapshot(), request("any", 3, required=""))
        assert hold is not None
        assert int(hold.nodes.sum()) == 3
        assert {"r1-h1", "r1-h2"} <= {made.snapshot().table.names[i] for i in hold.nodes.nonzero()[0]}


@settings(max_examples=25, deadline=None)
@given(sizes=st.lists(st.integers(1, 4), min_size=6, max_size=14), racks=st.integers(2, 4))
def test_the_first_that_is_refused_has_no_room_beside_those_before_it(sizes: list[int], racks: int) -> None:
    made = fleet(racks, 4)
    asked = [request(f"g{index}", size, created=index) for index, size in enumerate(sizes)]
    decisions, ahead = decide(made, *asked), made.snapshot()
    for each in asked:
        decision = decisions[each.key]
        if isinstance(decision, Refused):
            [alone] = plan(ahead, [each], BUDGET)
            assert isinstance(alone, Refused)
            return
        assert len(set(decision.slots)) == each.size
        ahead = ahead.with_group(each, decision.slots)


@settings(max_examples=25, deadline=None)
@given(data=st.data(), racks=st.integers(1, 4), hosts=st.integers(2, 6))
def test_a_large_group_is_not_starved_by_a_stream_of_small_ones(data: st.DataObject, racks: int, hosts: int) -> None:
    """Whatever comes and goes, the large group has its place once those that ran when it came have left."""
    made = fleet(racks, hosts)
    running: dict[str, Sequence[str]] = {}
    names = iter(range(10**6))

    def place(asked: list[GroupRequest]) -> bool:
        placed = {key: each.slots for key, each in decide(made, *asked).items() if isinstance(each, Placed)}
        for key, nodes in placed.items():
            take(made, *nodes, group=key)
            running[key] = nodes
        return "ns/large" in placed

    def leave(key: str) -> None:
        for node in running.pop(key):
            made.release(f"{key}/{node}")

    def small(created: int) -> list[GroupRequest]:
        sizes = data.draw(st.lists(st.integers(1, max(1, hosts // 2)), max_size=3)) + [1] * racks * hosts
        return [request(f"small{next(names)}-0", size, created=created) for size in sizes]

    for _ in range(2):
        place(small(0))
    before = set(running)
    large = request("large", data.draw(st.integers(max(1, hosts - 1), hosts)), created=1)
    if place([large, *small(2)]):
        return
    while before & running.keys():
        for key in data.draw(st.sets(st.sampled_from(sorted(running)), min_size=1)):
            leave(key)
        if place([large, *small(2)]):
            return
    raise AssertionError("the large group still waits")
