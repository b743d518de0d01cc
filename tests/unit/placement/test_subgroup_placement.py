from __future__ import annotations

from dataclasses import replace

import pytest

from lws_sched.placement import GroupRequest, NodeState, Placed, Refused, Tenant, plan
from tests.unit.placement.cluster import BLOCK, GPU, RACK, Standing, fleet_of, group, host, pod, racks

ZONE = "topology.kubernetes.io/zone"


def decide(nodes: list[NodeState], request: GroupRequest, standing: list[Standing] | None = None) -> Placed | Refused:
    [decision] = plan(fleet_of(nodes, standing or []).snapshot(), [request])
    return decision


def racks_by_member(decision: Placed | Refused) -> list[str]:
    assert isinstance(decision, Placed), decision
    return [slot.split("-")[0] for slot in decision.slots]


@pytest.mark.parametrize(
    ("size", "subgroup", "policy", "expected"),
    [
        pytest.param(8, 4, "LeaderWorker", [0, 0, 0, 0, 1, 1, 1, 1], id="the leader is one of the first subgroup"),
        pytest.param(5, 2, "LeaderWorker", [0, 0, 0, 1, 1], id="the leader comes on top of the first subgroup"),
        pytest.param(5, 2, "LeaderExcluded", [-1, 0, 0, 1, 1], id="the leader is in no subgroup"),
        pytest.param(3, 1, "LeaderWorker", [0, 1, 2], id="subgroups of one"),
        pytest.param(3, 1, "LeaderExcluded", [-1, 1, 2], id="subgroups of one without the leader"),
        pytest.param(3, 0, "LeaderWorker", [-1, -1, -1], id="no subgroups"),
    ],
)
def test_members_belong_to_subgroups_as_leaderworkerset_counts_them(
    size: int, subgroup: int, policy: str, expected: list[int]
) -> None:
    request = group("a-0", size, subgroup_size=subgroup, subgroup_policy=policy)
    assert [request.subgroup_of(index) for index in range(size)] == expected


def test_every_subgroup_has_its_members_in_one_rack_of_the_groups_block() -> None:
    request = group("a-0", 12, required=BLOCK, subgroup_size=4, subgroup_required=RACK)
    assert racks_by_member(decide(racks(4, 6), request)) == ["r0"] * 4 + ["r1"] * 4 + ["r2"] * 4


def test_subgroups_share_a_rack_where_it_takes_several() -> None:
    request = group("a-0", 8, required=BLOCK, subgroup_size=2, subgroup_required=RACK)
    assert racks_by_member(decide(racks(4, 5), request)) == ["r0"] * 4 + ["r1"] * 4


def test_the_next_subgroup_goes_on_where_the_one_before_stopped() -> None:
    """The first subgroup takes one device of the last host; the second begins with the other one."""
    nodes = [host(f"h{number}", "rack-0", gpu=gpu) for number, gpu in enumerate((3, 3, 2))]
    decision = decide(nodes, group("a-0", 8, pod(gpu=1), subgroup_size=4, subgroup_required=RACK))
    assert isinstance(decision, Placed)
    assert decision.slots == ("h0", "h0", "h0", "h2", "h2", "h1", "h1", "h1")


def test_exclusive_subgroups_take_a_rack_each() -> None:
    request = group("a-0", 6, subgroup_size=2, subgroup_exclusive=RACK)
    assert racks_by_member(decide(racks(4, 8), request)) == ["r0"] * 2 + ["r1"] * 2 + ["r2"] * 2
    assert isinstance(decide(racks(2, 8), request), Refused)


def test_a_leader_outside_all_subgroups_may_stand_beside_one_of_them() -> None:
    request = group("a-0", 3, subgroup_size=2, subgroup_policy="LeaderExcluded", subgroup_exclusive=RACK)
    assert racks_by_member(decide(racks(1, 3), request)) == ["r0"] * 3


def test_a_leader_alone_needs_nothing_that_is_asked_for_its_subgroups() -> None:
    request = group("a-0", 1, subgroup_size=1, subgroup_policy="LeaderExcluded", subgroup_exclusive="nobody.io/has-it")
    assert racks_by_member(decide(racks(1, 1), request)) == ["r0"]
    assert isinstance(decide(racks(1, 1), replace(request, subgroup_policy="LeaderWorker")), Refused)


def test_a_leader_outside_all_subgroups_needs_no_node_with_their_label() -> None:
    plain = NodeState("plain", {}, {GPU: 8, "pods": 10})
    request = group("a-0", 5, subgroup_size=2, subgroup_policy="LeaderExcluded", subgroup_required=RACK)
    decision = decide([*racks(2, 2), plain], request)
    assert isinstance(decision, Placed)
    assert decision.slots[0] == "plain"


def test_the_leader_stands_where_it_costs_no_subgroup() -> None:
    nodes = [*racks(1, 4), *racks(2, 5)[5:]]
    request = group("a-0", 9, required=BLOCK, subgroup_size=4, subgroup_policy="LeaderExcluded", subgroup_required=RACK)
    assert racks_by_member(decide(nodes, request)) == ["r1"] + ["r1"] * 4 + ["r0"] * 4


def test_subgroups_keep_out_of_racks_that_other_subgroups_hold() -> None:
    holder = Tenant("default/other-0", "default", subgroup=1, subgroup_exclusive=RACK)
    held = [Standing("o", "r0-h0", {}, holder)]
    request = group("a-0", 2, subgroup_size=2, subgroup_required=RACK)
    assert racks_by_member(decide(racks(2, 4), request, held)) == ["r1"] * 2
    assert racks_by_member(decide(racks(1, 4), group("a-0", 2), held)) == ["r0"] * 2


def test_a_subgroup_returns_to_its_rack_and_one_that_cannot_moves_whole() -> None:
    stay = ("r2-h0", "r2-h1", "r1-h3", "r1-h2", "r3-h0", "r3-h1")
    request = group("a-0", 6, required=BLOCK, subgroup_size=2, subgroup_required=RACK, stay=stay)
    assert decide(racks(4, 4), request) == decide(racks(4, 4), request)
    [decision] = plan(fleet_of(racks(4, 4)).snapshot(), [request])
    assert isinstance(decision, Placed)
    assert decision.slots == stay
    taken = [Standing(f"p{h}", f"r1-h{h}", {GPU: 8}) for h in (0, 1, 3)]
    moved = decide(racks(4, 4), request, taken)
    assert isinstance(moved, Placed)
    assert (moved.slots[:2], moved.slots[4:]) == (stay[:2], stay[4:])
    assert len({slot.split("-")[0] for slot in moved.slots[2:4]}) == 1
    lost = decide(racks(4, 4), request, [Standing("p", "r1-h3", {GPU: 8})])
    assert isinstance(lost, Placed)
    assert (lost.slots[2].split("-")[0], lost.slots[3]) == ("r1", "r1-h2")


def zoned(zones: int, size: int) -> list[NodeState]:
    nodes = racks(zones, size)
    return [
        NodeState(each.name, {**each.labels, ZONE: each.labels[RACK].replace("rack", "zone")}, each.allocatable)
        for each in nodes
    ]


def test_the_groups_of_a_set_are_spread_as_evenly_as_can_be() -> None:
    snapshot = fleet_of(zoned(3, 8)).snapshot()
    decisions = plan(snapshot, [group(f"a-{i}", 2, required=RACK, spread=ZONE) for i in range(6)])
    homes = [racks_by_member(each)[0] for each in decisions]
    assert sorted(homes) == ["r0", "r0", "r1", "r1", "r2", "r2"]


def test_groups_of_other_sets_do_not_count_for_spreading() -> None:
    standing = [
        Standing("x", "r0-h0", {GPU: 8}, Tenant("default/b-0", "default")),
        Standing("y", "r1-h0", {GPU: 8}, Tenant("default/a-1", "default")),
    ]
    assert racks_by_member(decide(zoned(2, 4), group("a-0", 2, required=RACK, spread="zone"), standing)) == ["r0"] * 2


def test_spreading_refuses_nothing_that_fits() -> None:
    decisions = plan(fleet_of(zoned(2, 4)).snapshot(), [group(f"a-{i}", 3, pod(gpu=8), spread=ZONE) for i in range(2)])
    assert all(isinstance(each, Placed) for each in decisions)
    wide = group("a-0", 6, spread=ZONE)
    assert isinstance(decide(zoned(2, 4), wide), Placed)
    assert isinstance(decide(racks(2, 4), group("a-0", 2, spread="zone")), Placed)
