"""Cases on which other schedulers are known to go wrong, as their users reported them.

Each test names the reports that it answers; `docs/placement.md` lists them. What is tested elsewhere is not repeated.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from lws_sched.placement import (
    Budget,
    Decision,
    Defragmentation,
    Eviction,
    GroupRequest,
    Movable,
    NodeState,
    Placed,
    PodShape,
    Refused,
    Taint,
    Tenant,
    Toleration,
    Victim,
    defragment,
    plan,
    plan_together,
    preempt,
    violations,
)
from tests.unit.placement.cluster import BLOCK, GPU, RACK, Standing, fleet_of, group, host, pod, racks

CLIQUE = "nvidia.com/gpu.clique"
ZONE = "topology.kubernetes.io/zone"
AT_ONCE = Budget(deterministic_time=0.0)


def decide(nodes: list[NodeState], request: GroupRequest, standing: list[Standing] | None = None) -> Decision:
    [decision] = plan(fleet_of(nodes, standing or []).snapshot(), [request])
    return decision


def slots(nodes: list[NodeState], request: GroupRequest, standing: list[Standing] | None = None) -> tuple[str, ...]:
    decision = decide(nodes, request, standing)
    assert isinstance(decision, Placed), decision
    return decision.slots


def racks_of(names: tuple[str, ...]) -> list[str]:
    """The racks in order of rank, each as often as a member stands in it."""
    return [name.split("-")[0] for name in names]


def full(*names: str, gpu: int = 8) -> list[Standing]:
    """Pods of nobody's group that take all GPUs of hosts, or some."""
    return [Standing(f"full-{name}", name, {GPU: gpu}) for name in names]


# --- a leader that differs from its workers --------------------------------------------------------------------------


def test_a_small_leader_takes_the_odd_core_and_four_workers_the_rest() -> None:
    """kueue#7446, kueue#13383: a leader of 1 CPU, four workers of 2 CPU, hosts of 2, 4 and 3 CPU."""
    nodes = [host(f"h-{cpu}", "rack-0", gpu=0, cpu=cpu * 1000) for cpu in (2, 4, 3)]
    group_of_five = group("a-0", 5, pod(cpu=2000), pod(cpu=1000), required=RACK)
    assert sorted(slots(nodes, group_of_five)) == ["h-2", "h-3", "h-3", "h-4", "h-4"]
    assert slots(nodes, group_of_five)[0] == "h-3"


def test_the_room_for_the_leader_is_counted_once_across_several_racks() -> None:
    """kueue#10783: two racks that take two workers each, or one and the leader: four members fit, five do not."""
    nodes = [host(f"r{rack}-h0", f"rack-{rack}", "block-0", gpu=0, cpu=5000) for rack in range(2)]
    wanted = group("a-0", 4, pod(cpu=2000), pod(cpu=3000), required=BLOCK)
    assert sorted(slots(nodes, wanted)) == ["r0-h0", "r0-h0", "r1-h0", "r1-h0"]
    assert isinstance(decide(nodes, replace(wanted, size=5)), Refused)


def test_a_leader_that_asks_for_none_of_the_scarce_resource_still_needs_a_place() -> None:
    """kueue#12417: the workers take every GPU; the leader asks for CPU alone, and stands in the same rack."""
    nodes = [*racks(2, 2), host("router", "rack-1", "block-0", gpu=0)]
    wanted = group("a-0", 3, pod(gpu=8, cpu=64_000), pod(cpu=1000), required=RACK)
    assert slots(nodes, wanted) == ("router", "r1-h0", "r1-h1")
    assert isinstance(decide(nodes[:4], wanted), Refused)


def test_the_tightest_rack_is_passed_over_where_the_leader_has_no_place_in_it() -> None:
    """kueue#15447: rack 0 fits the workers best, but only rack 1 has a host that the leader's selector admits."""
    head = host("r1-h3", "rack-1", "block-0", gpu=0)
    nodes = [*racks(1, 2), *racks(2, 3)[3:], replace(head, labels={**head.labels, "role": "head"})]
    leader = PodShape(requests=(("cpu", 1000),), selector=(("role", "head"),))
    assert slots(nodes, group("a-0", 3, leader=leader, required=RACK)) == ("r1-h3", "r1-h0", "r1-h1")


# --- subgroups and several levels ------------------------------------------------------------------------------------


def test_fifteen_workers_and_their_leader_fill_four_racks_of_four() -> None:
    """kueue#15640: the leader's subgroup has one worker fewer; no host is left over and none is missing."""
    wanted = group("a-0", 16, required=BLOCK, subgroup_size=4, subgroup_required=RACK)
    assert racks_of(slots(racks(4, 4), wanted)) == ["r0"] * 4 + ["r1"] * 4 + ["r2"] * 4 + ["r3"] * 4
    small_leader = replace(wanted, leader=pod(gpu=1))
    assert racks_of(slots(racks(4, 4), small_leader)) == ["r0"] * 4 + ["r1"] * 4 + ["r2"] * 4 + ["r3"] * 4
    assert isinstance(decide(racks(4, 4), wanted, full("r2-h1")), Refused)


def test_forty_eight_pods_in_a_zone_stand_sixteen_to_a_rack() -> None:
    """kueue#9046, two of its three layers: 96 pods as two groups of a set, each in one zone, 16 pods to a rack."""
    nodes = [
        replace(node, labels={**node.labels, ZONE: f"zone-{index // 72}"}) for index, node in enumerate(racks(8, 18))
    ]
    wanted = [
        group(f"a-{number}", 48, required=ZONE, subgroup_size=16, subgroup_required=RACK, spread=ZONE)
        for number in range(2)
    ]
    decisions = plan(fleet_of(nodes).snapshot(), wanted)
    zones = []
    for decision in decisions:
        assert isinstance(decision, Placed)
        homes = racks_of(decision.slots)
        assert [len({*homes[start : start + 16]}) for start in (0, 16, 32)] == [1, 1, 1]
        zones.append(decision.domain_value)
    assert sorted(zones) == ["zone-0", "zone-1"]


def test_subgroups_never_leave_the_block_that_their_group_must_stand_in() -> None:
    """grove#648: each of the three subgroups has a rack, but no block has three racks."""
    wanted = group("a-0", 6, required=BLOCK, subgroup_size=2, subgroup_exclusive=RACK)
    assert isinstance(decide(racks(4, 4, racks_per_block=2), wanted), Refused)
    assert isinstance(decide(racks(6, 4, racks_per_block=3), wanted), Placed)


def test_seventeen_members_fill_a_rack_of_seventeen_hosts_that_one_pod_shares() -> None:
    """kai#577: 17 nodes of an NVLink domain of 18, told as 5 by counting whole devices that are asked for apart."""
    nodes = [replace(node, labels={**node.labels, CLIQUE: "clique-0"}) for node in racks(1, 18)]
    wanted = group("a-0", 17, required="nvlink")
    assert len({*slots(nodes, wanted, full("r0-h4", gpu=1))}) == 17
    assert isinstance(decide(nodes, wanted, full("r0-h4", "r0-h9", gpu=1)), Refused)


def test_leader_and_workers_share_a_rack_and_neighbouring_ranks_share_hosts() -> None:
    """kueue#3533, kueue#4531: ranks follow the hosts as people count them, past host 9 too."""
    names = slots(racks(1, 12), group("a-0", 24, pod(gpu=4), required=RACK))
    assert names == tuple(f"r0-h{index // 2}" for index in range(24))


# --- wishes ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 2, 0)])
def test_a_group_that_prefers_one_rack_gets_one_wherever_the_others_have_room(order: tuple[int, ...]) -> None:
    """volcano#5205, volcano#4343: three racks have room for a pod or two, one for the whole group."""
    nodes = [node for rack in order for node in racks(3, 4)[4 * rack : 4 * rack + 4]]
    taken = full("r0-h0", "r0-h1", "r2-h0")
    assert {*racks_of(slots(nodes, group("a-0", 4, preferred=(RACK,)), taken))} == {"r1"}
    wide = group("a-0", 6, preferred=(RACK,))
    assert len({*racks_of(slots(nodes, wide, taken))}) == 2


def test_a_required_and_a_preferred_level_hold_at_once_for_the_group_and_its_subgroups() -> None:
    """lws#894: the block is a must, the rack a wish; each subgroup has a rack whether or not the wish comes true."""
    wanted = group("a-0", 6, required=BLOCK, preferred=(RACK,), subgroup_size=3, subgroup_required=RACK)
    assert {*racks_of(slots(racks(4, 6, racks_per_block=2), wanted))} == {"r0"}
    assert racks_of(slots(racks(4, 4, racks_per_block=2), wanted)) == ["r0"] * 3 + ["r1"] * 3
    assert isinstance(decide(racks(4, 3, racks_per_block=1), wanted), Refused)


def test_small_groups_gather_in_a_rack_that_is_broken_already() -> None:
    """volcano#4869, volcano#4368: one whole rack stays whole, though every free host fits the small group alike."""
    names = slots(racks(3, 4), group("a-0", 1), full("r1-h0"))
    assert racks_of(names) == ["r1"]
    pair = slots(racks(3, 4), group("a-0", 2, pod(gpu=4)), full("r2-h3"))
    assert {*racks_of(pair)} == {"r2"}
    three = [group(f"a-{number}", 1) for number in range(3)]
    answers = plan_together(fleet_of(racks(3, 4), full("r1-h0")).snapshot(), three, AT_ONCE).decisions
    assert [racks_of(each.slots) for each in answers if isinstance(each, Placed)] == [["r1"], ["r1"], ["r1"]]


def test_the_groups_of_a_set_do_not_all_fall_with_one_rack() -> None:
    """dynamo#8172, kueue#13746: a rack each while there is one, then two to a rack; never refused for it."""
    wanted = [group(f"a-{number}", 2, spread=RACK) for number in range(4)]
    decisions = plan(fleet_of(racks(3, 4)).snapshot(), wanted)
    homes = [racks_of(each.slots)[0] for each in decisions if isinstance(each, Placed)]
    assert sorted(homes.count(rack) for rack in ("r0", "r1", "r2")) == [1, 1, 2]


# --- several groups at once ------------------------------------------------------------------------------------------


def test_leaders_never_take_the_hosts_that_workers_of_a_group_before_them_need() -> None:
    """lws#167, lws#379: nine hosts, three groups of four: two are whole and one waits whole."""
    wanted = [group(f"a-{number}", 4, required=BLOCK) for number in range(3)]
    decisions = plan(fleet_of(racks(3, 3)).snapshot(), wanted)
    assert [isinstance(each, Placed) for each in decisions] == [True, True, False]


def test_two_sets_that_want_racks_for_themselves_do_not_block_each_other() -> None:
    """lws#540: four racks for two sets of two exclusive groups each; leader by leader they could take three and one."""
    wanted = [group(f"{name}-{number}", 4, exclusive=RACK) for number in range(2) for name in ("a", "b")]
    decisions = plan(fleet_of(racks(4, 4)).snapshot(), wanted)
    homes = [{*racks_of(each.slots)} for each in decisions if isinstance(each, Placed)]
    assert len(homes) == 4
    assert set.union(*homes) == {"r0", "r1", "r2", "r3"}


def test_no_two_groups_of_one_decision_get_the_same_room() -> None:
    """kueue#14570, kueue#12419, jobset#341: groups of several sets, all planned at once on one rack too few."""
    wanted = [group(f"{name}-0", 3, pod(gpu=4), required=RACK) for name in ("a", "b", "c", "d", "e")]
    answers = plan_together(fleet_of(racks(2, 3)).snapshot(), wanted, Budget())
    names = [name for each in answers.decisions if isinstance(each, Placed) for name in each.slots]
    assert (answers.value, answers.bound) == (12, 12)
    assert all(names.count(name) == 2 for name in {*names})


def test_a_group_that_can_never_fit_keeps_nobody_else_out() -> None:
    """scheduler-plugins#682, #358."""
    wanted = [group("huge-0", 9, required=RACK, priority=9), *(group(f"a-{number}", 4) for number in range(2))]
    decisions = plan(fleet_of(racks(2, 4)).snapshot(), wanted)
    assert [isinstance(each, Placed) for each in decisions] == [False, True, True]
    assert isinstance(decisions[0], Refused)
    assert decisions[0].proof == "infeasible"


def test_what_the_scheduler_would_refuse_is_no_place() -> None:
    """kueue#3755, kueue#4571, kueue#4270: selectors, taints and the number of pods count as well as devices."""
    plain, crowded, tainted, fast = (
        host(name, "rack-0", pods=pods) for name, pods in zip("pctf", (9, 1, 9, 9), strict=True)
    )
    nodes = [
        plain,
        replace(crowded, labels={**crowded.labels, "tier": "fast"}),
        replace(tainted, labels={**tainted.labels, "tier": "fast"}, taints=(Taint("gpu", "x", "NoSchedule"),)),
        replace(fast, labels={**fast.labels, "tier": "fast"}),
    ]
    shape = PodShape(requests=((GPU, 4),), selector=(("tier", "fast"),))
    assert sorted(slots(nodes, group("a-0", 3, shape))) == ["c", "f", "f"]
    assert isinstance(decide(nodes, group("a-0", 4, shape)), Refused)
    tolerant = replace(shape, tolerations=(Toleration("gpu", "Exists"),))
    assert sorted(slots(nodes, group("a-0", 5, tolerant))) == ["c", "f", "f", "t", "t"]


def test_a_member_made_anew_comes_back_to_its_place_and_not_out_of_its_rack() -> None:
    """koordinator#3181, kueue#9210: only the lost rank moves, and to the rack that the others stand in."""
    stay = ("r1-h3", "r1-h0", "r1-h1")
    wanted = group("a-0", 3, required=RACK, stay=stay)
    assert slots(racks(3, 4), wanted) == stay
    assert slots(racks(3, 4), wanted, full("r1-h0")) == ("r1-h3", "r1-h2", "r1-h1")


# --- room that is made -----------------------------------------------------------------------------------------------


def victim(name: str, *nodes: str, requests: tuple[tuple[str, int], ...] = ((GPU, 8),)) -> Victim:
    return Victim(f"default/{name}", 0, tuple((node, requests) for node in nodes))


def evicted(
    nodes: list[NodeState], request: GroupRequest, victims: list[Victim], kept: Sequence[Standing] = ()
) -> list[str]:
    """Names of the victims; the place promised must hold once they are gone."""
    leaving = [
        Standing(f"{each.key}#{index}", node, dict(requests), Tenant(each.key, "default"))
        for each in victims
        for index, (node, requests) in enumerate(each.pods)
    ]
    answer = preempt(fleet_of(nodes, [*leaving, *kept]).snapshot(), replace(request, priority=1), victims)
    assert isinstance(answer, Eviction), answer
    assert (answer.proof, answer.value) == ("optimal", answer.bound)
    left = [each for each in leaving if each.tenant and each.tenant.group not in answer.victims]
    assert violations(fleet_of(nodes, [*left, *kept]).snapshot().facts().values(), request, answer.placed) == []
    return [key.removeprefix("default/") for key in answer.victims]


def test_pods_are_evicted_where_they_free_a_whole_host_and_not_one_on_each_of_four() -> None:
    """kueue#5243: four small pods free eight GPUs on four hosts, two larger ones free eight on one."""
    thin = [victim(f"thin-{index}", f"r0-h{index}", requests=((GPU, 2),)) for index in range(4)]
    thick = [victim(f"thick-{index}", "r1-h0", requests=((GPU, 4),)) for index in range(2)]
    nodes = [*racks(1, 4), host("r1-h0", "rack-1")]
    kept = full(*(f"r0-h{index}" for index in range(4)), gpu=6)
    assert evicted(nodes, group("a-0", 1), [*thin, *thick], kept) == ["thick-0", "thick-1"]


def test_whoever_holds_the_cpu_of_a_host_goes_too_and_not_only_who_holds_its_gpus() -> None:
    """kueue#10497: freeing the GPUs alone would leave the member without CPU."""
    victims = [victim("gpus-0", "r0-h0"), victim("cores-0", "r0-h0", requests=(("cpu", 60_000),))]
    assert evicted(racks(1, 1), group("a-0", 1, pod(gpu=8, cpu=32_000)), victims) == ["cores-0", "gpus-0"]


def test_a_rack_of_which_every_host_is_taken_can_be_cleared() -> None:
    """kueue#10929, volcano#4374: the cheapest rack is cleared, and of no other anything."""
    victims = [victim(f"a-{index}", f"r0-h{index}") for index in range(4)]
    victims += [victim("b-0", *(f"r1-h{index}" for index in range(4)))]
    assert evicted(racks(2, 4), group("new-0", 4, required=RACK), victims) == ["b-0"]


def test_each_subgroup_gets_an_nvlink_domain_and_only_as_many_are_cleared() -> None:
    """kueue#10815: two of three NVLink domains are needed; one is free but for a single group."""
    nodes = [
        replace(node, labels={**node.labels, CLIQUE: node.labels[RACK].replace("rack", "clique")})
        for node in racks(3, 4)
    ]
    victims = [
        victim("one-0", "r0-h1"),
        victim("two-0", "r1-h0", "r1-h1"),
        victim("all-0", *(f"r2-h{index}" for index in range(4))),
    ]
    wanted = group("new-0", 8, subgroup_size=4, subgroup_required=CLIQUE)
    assert evicted(nodes, wanted, victims) == ["one-0", "two-0"]


def test_one_pod_of_a_running_group_moves_where_that_makes_room_for_another_group() -> None:
    """kueue#11078, kueue#4329, kai#1311: nobody is evicted; the pod goes to a host that is free already."""
    loose = Movable(group("loose-0", 3), ("r0-h0", "r1-h0", "r2-h0"))
    standing = [
        Standing(f"loose#{index}", node, {GPU: 8}, Tenant("default/loose-0", "default"))
        for index, node in enumerate(loose.slots)
    ]
    taken = full("r1-h1", "r1-h2", "r2-h1")
    answer = defragment(
        fleet_of(racks(3, 4), [*standing, *taken]).snapshot(), group("new-0", 4, required=RACK), [loose]
    )
    assert isinstance(answer, Defragmentation)
    assert (answer.value, answer.bound, answer.proof) == (1, 1, "optimal")
    assert [(move.before, racks_of(move.after)[0] in ("r1", "r2")) for move in answer.moves] == [(("r0-h0",), True)]
