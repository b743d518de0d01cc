from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lws_sched.placement import GroupRequest, NodeState, Placed, Refused, Tenant, plan, violations
from tests.unit.placement.cluster import (
    BLOCK,
    GPU,
    RACK,
    Instance,
    Standing,
    fits_somewhere,
    fleet_of,
    group,
    host,
    instances,
    pod,
    racks,
)


def decide(nodes: list[NodeState], request: GroupRequest, standing: list[Standing] | None = None) -> Placed | Refused:
    [decision] = plan(fleet_of(nodes, standing or []).snapshot(), [request])
    return decision


def placed(nodes: list[NodeState], request: GroupRequest, standing: list[Standing] | None = None) -> Placed:
    decision = decide(nodes, request, standing)
    assert isinstance(decision, Placed), decision
    return decision


def racks_of(decision: Placed) -> set[str]:
    return {slot.split("-")[0] for slot in decision.slots}


@settings(max_examples=80, deadline=None)
@given(instances())
def test_a_group_is_placed_exactly_where_some_assignment_exists(instance: Instance) -> None:
    snapshot = fleet_of(instance.nodes, instance.standing).snapshot()
    facts = list(snapshot.facts().values())
    [decision] = plan(snapshot, [instance.request])
    assert isinstance(decision, Placed) == fits_somewhere(facts, instance.request), decision
    if isinstance(decision, Placed):
        assert violations(facts, instance.request, decision) == []


@settings(max_examples=60, deadline=None)
@given(instances(), st.randoms(use_true_random=False))
def test_the_order_of_events_changes_nothing(instance: Instance, random: st.DataObject) -> None:
    nodes, standing = list(instance.nodes), list(instance.standing)
    before = plan(fleet_of(nodes, standing).snapshot(), [instance.request])
    random.shuffle(nodes)  # type: ignore[attr-defined]
    random.shuffle(standing)  # type: ignore[attr-defined]
    assert plan(fleet_of(nodes, standing).snapshot(), [instance.request]) == before


@pytest.mark.parametrize(
    ("cpus", "leader", "worker", "size", "fits"),
    [
        pytest.param((2, 4, 3), 1, 2, 5, True, id="the leader takes the odd core and four workers the rest"),
        pytest.param((3, 4, 3), 1, 2, 5, True, id="either odd host will do for the leader"),
        pytest.param((2, 4, 4), 1, 2, 6, False, id="the leader costs a worker wherever it stands"),
        pytest.param((2, 4, 4), 1, 2, 5, True, id="one worker fewer and it fits"),
        pytest.param((5, 1), 5, 1, 2, True, id="a large leader takes the large host"),
        pytest.param((5, 1), 1, 5, 2, True, id="a small leader leaves the large host alone"),
        pytest.param((6, 6), 3, 3, 4, True, id="two members to a host"),
        pytest.param((6, 6), 3, 3, 5, False, id="five members do not fit"),
    ],
)
def test_the_leader_stands_where_the_workers_still_fit(
    cpus: tuple[int, ...], leader: int, worker: int, size: int, fits: bool
) -> None:
    nodes = [host(f"h-{index}", "rack-0", gpu=0, cpu=cpu * 1000) for index, cpu in enumerate(cpus)]
    request = group("a-0", size, pod(cpu=worker * 1000), pod(cpu=leader * 1000), required="rack")
    assert isinstance(decide(nodes, request), Placed) == fits


def test_a_group_takes_the_rack_that_it_fills_best() -> None:
    standing = [Standing(f"p{i}", f"r2-h{i}", {GPU: 8}) for i in range(2)]
    decision = placed(racks(4, 6), group("a-0", 4, required="rack"), standing)
    assert (decision.domain_key, decision.domain_value) == (RACK, "rack-2")


def test_a_group_without_topology_stays_in_the_narrowest_domain_that_takes_it() -> None:
    assert len(set(placed(racks(4, 4), group("a-0", 4, pod(gpu=2))).slots)) == 1
    assert len(racks_of(placed(racks(4, 4), group("a-0", 4)))) == 1
    assert placed(racks(8, 4), group("a-0", 16)).domain_value == "block-0"
    assert len(placed(racks(8, 4), group("a-0", 30)).slots) == 30


def test_a_preferred_level_is_a_wish_and_a_required_level_is_not() -> None:
    nodes = racks(4, 4, racks_per_block=2)
    assert len(racks_of(placed(nodes, group("a-0", 6, required=BLOCK, preferred=(RACK,))))) == 2
    assert isinstance(decide(nodes, group("a-0", 6, required=RACK)), Refused)
    assert len(racks_of(placed(nodes, group("a-0", 4, required=BLOCK, preferred=("rack",))))) == 1


def test_of_preferred_levels_with_equally_many_domains_the_narrower_one_goes_first() -> None:
    """Two racks and two blocks. Three hosts of block 0 are in no rack, and are its roomiest part."""
    loose = [host(f"a{number}", "", "block-0") for number in range(3)]
    nodes = [*loose, *(host(name, "rack-0", "block-0") for name in "bc"), host("d", "rack-1", "block-1")]
    assert set(placed(nodes, group("a-0", 2, preferred=(BLOCK, RACK))).slots) == {"b", "c"}


def test_required_and_exclusive_topologies_hold_together() -> None:
    nodes = racks(4, 4, racks_per_block=2)
    other = Standing("o", "r0-h0", {GPU: 8}, Tenant("default/other-0", "default"))
    decision = placed(nodes, group("a-0", 4, required=RACK, exclusive=BLOCK), [other])
    assert racks_of(decision) <= {"r2", "r3"}


def test_an_exclusive_group_keeps_away_from_other_groups_of_its_namespace_only() -> None:
    mine = Standing("m", "r0-h0", {}, Tenant("default/other-0", "default"))
    theirs = Standing("t", "r1-h0", {}, Tenant("elsewhere/other-0", "elsewhere"))
    request = group("a-0", 2, pod(gpu=1), exclusive=RACK)
    assert placed(racks(2, 4), request, [mine, theirs]).domain_value == "rack-1"


def test_no_group_enters_a_domain_that_another_holds_exclusively() -> None:
    owner = Standing("o", "r0-h0", {}, Tenant("default/owner-0", "default", exclusive=RACK))
    assert racks_of(placed(racks(2, 4), group("a-0", 2), [owner])) == {"r1"}
    assert isinstance(decide(racks(1, 4), group("a-0", 2), [owner]), Refused)
    own = replace(owner, tenant=Tenant("default/a-0", "default", exclusive=RACK))
    assert isinstance(decide(racks(1, 4), group("a-0", 2, exclusive=RACK), [own]), Placed)


def test_an_exclusive_group_takes_the_tightest_domain_even_if_a_smaller_part_of_another_would_do() -> None:
    nodes = [*racks(1, 6), *(host(f"r9-h{i}", "rack-9", gpu=4) for i in range(3))]
    assert placed(nodes, group("a-0", 2, pod(gpu=4), exclusive=RACK)).domain_value == "rack-9"


def test_a_group_kept_to_a_rack_leaves_the_roomier_one_whole_though_one_host_there_would_do() -> None:
    """No host of rack 0 has four devices free, but two have three and two; in rack 1 all is free."""
    standing = [Standing("a", "r0-h0", {GPU: 5}), Standing("b", "r0-h1", {GPU: 6}), Standing("c", "r0-h2", {GPU: 8})]
    nodes = racks(2, 3)
    assert racks_of(placed(nodes, group("a-0", 4, pod(gpu=1), required=RACK), standing)) == {"r0"}
    assert racks_of(placed(nodes, group("a-0", 4, pod(gpu=1)), standing)) == {"r1"}


def test_within_the_domain_to_share_a_group_stays_in_the_narrowest_part_that_takes_it() -> None:
    nodes = racks(4, 4, racks_per_block=2)
    assert len({*placed(nodes, group("a-0", 4, pod(gpu=2), required=RACK)).slots}) == 1
    assert len(racks_of(placed(nodes, group("a-0", 4, required=BLOCK)))) == 1
    assert len(racks_of(placed(nodes, group("a-0", 6, required=BLOCK)))) == 2


def test_a_group_returns_to_its_nodes() -> None:
    stay = ("r1-h3", "r1-h0", "r1-h1")
    assert placed(racks(3, 4), group("a-0", 3, required=RACK, stay=stay)).slots == stay


def test_only_lost_slots_move_and_they_stay_near() -> None:
    stay = ("r1-h3", "r1-h0", "r1-h1")
    taken = Standing("p", "r1-h0", {GPU: 8})
    assert placed(racks(3, 4), group("a-0", 3, required=RACK, stay=stay), [taken]).slots == ("r1-h3", "r1-h2", "r1-h1")
    avoiding = group("a-0", 3, required=RACK, stay=stay, avoid=frozenset({"r1-h3"}))
    assert placed(racks(3, 4), avoiding).slots == ("r1-h2", "r1-h0", "r1-h1")


def test_a_group_whose_rack_is_full_moves_whole() -> None:
    stay = ("r1-h3", "r1-h0", "r1-h1")
    standing = [Standing(f"p{i}", f"r1-h{i}", {GPU: 8}) for i in (0, 2)]
    assert racks_of(placed(racks(3, 4), group("a-0", 3, required=RACK, stay=stay), standing)) == {"r0"}


def test_ranks_follow_the_hosts_as_people_count_them() -> None:
    decision = placed(racks(1, 12), group("a-0", 12, required=RACK))
    assert decision.slots == tuple(f"r0-h{index}" for index in range(12))


def test_workers_beside_the_leader_come_first() -> None:
    decision = placed(racks(1, 2), group("a-0", 8, pod(gpu=2), required=RACK))
    assert decision.slots == ("r0-h0",) * 4 + ("r0-h1",) * 4


def test_a_group_that_spans_racks_fills_few_of_them() -> None:
    standing = [Standing(f"p{i}", f"r0-h{i}", {GPU: 8}) for i in range(3)]
    assert racks_of(placed(racks(4, 4), group("a-0", 8, required=BLOCK), standing)) == {"r1", "r2"}


def test_a_pod_that_asks_for_nothing_still_takes_a_pod_slot() -> None:
    nodes = [host("h-0", pods=2)]
    assert isinstance(decide(nodes, group("a-0", 2, pod())), Placed)
    assert isinstance(decide(nodes, group("a-0", 3, pod())), Refused)


def test_more_taken_than_there_is_never_counts_as_room() -> None:
    standing = [Standing("p", "h-0", {"cpu": 70_000})]
    assert isinstance(decide([host("h-0")], group("a-0", 1, pod(cpu=1)), standing), Refused)
    assert isinstance(decide([host("h-0")], group("a-0", 1, pod(gpu=1)), standing), Placed)


def test_two_levels_that_no_node_has_both_labels_of_are_passed_over_whenever_a_node_changes() -> None:
    fleet = fleet_of([*(host(f"r{index}", rack="r") for index in range(4)), host("b0", block="b")])
    request = group("it-0", 2, required=RACK, preferred=(BLOCK,))
    for turn in range(3):
        [decision] = plan(fleet.snapshot(), [request])
        assert isinstance(decision, Placed)
        fleet.charge(f"other-{turn}", f"r{turn}", {"cpu": 1})
