from __future__ import annotations

from dataclasses import replace
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lws_sched.placement import (
    BatchAnswer,
    Budget,
    GroupRequest,
    Placed,
    Refused,
    Tenant,
    plan,
    plan_together,
    violations,
)
from lws_sched.placement.batch import Trial, admit
from lws_sched.placement.board import Board
from lws_sched.placement.joint import BUILD_TIME, Problem, improve
from lws_sched.placement.request import LEADER_EXCLUDED
from tests.unit.placement.cluster import (
    BLOCK,
    GPU,
    RACK,
    Instance,
    Standing,
    fit_together,
    fleet_of,
    group,
    host,
    instances,
    pod,
    racks,
    requests,
)

GREEDY = Budget(deterministic_time=0)


def half_full(count: int, size: int) -> list[Standing]:
    return [Standing(f"p-{r}-{h}", f"r{r}-h{h}", {GPU: 8}) for r in range(1, count, 2) for h in range(size // 2)]


def test_groups_that_all_fit_are_all_placed_each_on_a_rack_of_its_own() -> None:
    snapshot = fleet_of(racks(62, 16), half_full(62, 16)).snapshot()
    answer = plan_together(snapshot, [group(f"g-{i}", 12, exclusive=RACK) for i in range(24)], Budget())
    domains = [each.domain_value for each in answer.decisions if isinstance(each, Placed)]
    assert (len(domains), len(set(domains))) == (24, 24)
    assert (answer.value, answer.bound, answer.proof) == (288, 288, "optimal")


@pytest.mark.parametrize("budget", [GREEDY, Budget()], ids=["greedy", "solver"])
def test_large_groups_do_not_starve_behind_small_ones(budget: Budget) -> None:
    snapshot = fleet_of(racks(2, 10)).snapshot()
    sizes = {"a-0": 4, "b-0": 4, "c-0": 6, "d-0": 6}
    assert all(
        isinstance(each, Placed)
        for each in plan(snapshot, [group(n, s, required=RACK) for n, s in sizes.items()], budget)
    )


def test_the_solver_admits_what_no_greedy_order_does() -> None:
    snapshot = fleet_of(racks(2, 10)).snapshot()
    waiting = [group(f"g{i}-0", size, required=RACK, created=str(i)) for i, size in enumerate((5, 4, 4, 3, 2, 2))]
    assert plan_together(snapshot, waiting, GREEDY).value < 20
    answer = plan_together(snapshot, waiting, Budget())
    assert (answer.value, answer.bound, answer.proof) == (20, 20, "optimal")


def test_a_group_that_has_its_place_takes_no_room_for_a_second_one() -> None:
    first, other = group("first-0", 1), group("other-0", 3, required=RACK)
    trial = admit(Trial(Board(fleet_of(racks(1, 4)).snapshot())), [first])
    assert {*admit(trial, [first, other]).placed} == {first.key, other.key}


def test_a_higher_priority_goes_first_and_keeps_its_place() -> None:
    snapshot = fleet_of(racks(1, 4)).snapshot()
    low = [group(f"low-{i}", 2, required=RACK, created="1") for i in range(2)]
    high = group("high-0", 3, required=RACK, created="2", priority=10)
    decisions = plan(snapshot, [*low, high])
    assert [isinstance(each, Placed) for each in decisions] == [False, False, True]


def test_a_higher_priority_moves_over_for_a_lower_one_but_never_leaves() -> None:
    snapshot = fleet_of([*racks(1, 6), *racks(2, 4)[4:]]).snapshot()
    high = group("high-0", 3, required=RACK, priority=10)
    low = [group("low-0", 3, required=RACK), group("low-1", 3, required=RACK)]
    assert all(isinstance(each, Placed) for each in plan(snapshot, [*low, high]))


def test_exclusive_and_shared_groups_are_told_apart() -> None:
    snapshot = fleet_of(racks(3, 4)).snapshot()
    alone = [group(f"alone-{i}", 2, exclusive=RACK) for i in range(2)]
    shared = [group(f"shared-{i}", 2, required=RACK) for i in range(3)]
    answer = plan_together(snapshot, [*alone, *shared], Budget())
    by_rack: dict[str, list[str]] = {}
    for each in answer.decisions:
        if isinstance(each, Placed):
            by_rack.setdefault(each.domain_value, []).append(each.key)
    assert all(len(keys) == 1 for keys in by_rack.values() if any("alone" in key for key in keys))
    assert (answer.value, answer.proof) == (8, "optimal")


def test_a_refused_group_says_whether_it_is_the_queue_or_the_cluster() -> None:
    snapshot = fleet_of(racks(1, 4)).snapshot()
    first, second, never = plan(
        snapshot,
        [group("a-0", 3, required=RACK), group("b-0", 3, required=RACK), group("c-0", 9, required=RACK)],
    )
    assert isinstance(first, Placed)
    assert isinstance(second, Refused)
    assert "groups before it" in second.reason
    assert isinstance(never, Refused)
    assert "even when empty" in never.reason
    assert never.proof == "infeasible"


def test_groups_of_different_levels_are_improved_in_turn() -> None:
    snapshot = fleet_of(racks(4, 4, racks_per_block=2)).snapshot()
    waiting = [
        *(group(f"r{i}-0", size, required=RACK, created=f"1{i}") for i, size in enumerate((3, 2, 2, 1))),
        group("b-0", 8, required=BLOCK, created="2"),
    ]
    assert plan_together(snapshot, waiting, Budget()).value == 16


def test_leaders_that_may_stand_where_no_worker_may_are_counted_too() -> None:
    inner = Tenant("default/inner-0", "default", subgroup=0, subgroup_exclusive="kubernetes.io/hostname")
    outer = Tenant("default/outer-0", "default", exclusive=RACK)
    standing = [Standing(f"inner-{host}", f"r0-h{host}", {}, inner) for host in range(2)]
    snapshot = fleet_of(racks(2, 4), [*standing, Standing("outer", "r1-h0", {}, outer)]).snapshot()
    waiting = [
        group(f"g{number}-0", 2, required=RACK, subgroup_size=1, subgroup_policy=LEADER_EXCLUDED) for number in range(3)
    ]
    answer = plan_together(snapshot, waiting, Budget())
    assert (answer.value, answer.bound, answer.proof) == (4, 4, "optimal")


def test_a_few_domains_are_looked_at_once() -> None:
    snapshot = fleet_of([host("n0", "a", gpu=4), host("n1", "a", gpu=4)]).snapshot()
    waiting = [group("a-0", 2, pod(gpu=3), required=RACK), group("b-0", 1, pod(gpu=2), required=RACK)]
    greedy = plan_together(snapshot, waiting, GREEDY)
    incumbent = {each.key: each for each in greedy.decisions if isinstance(each, Placed)}
    improved = improve(Problem(snapshot, (), waiting, incumbent), Budget())
    assert (improved.placed.keys(), improved.bound) == (incumbent.keys(), 3)
    assert BUILD_TIME * len(waiting) < improved.deterministic_time < 2 * BUILD_TIME * len(waiting)


@settings(max_examples=30, deadline=None)
@given(
    free=st.lists(st.integers(0, 7), min_size=1, max_size=3),
    sizes=st.lists(st.integers(1, 6), min_size=2, max_size=6),
)
def test_whole_host_batches_are_optimal_or_say_that_they_may_not_be(free: list[int], sizes: list[int]) -> None:
    taken = [Standing(f"p{r}-{h}", f"r{r}-h{h}", {GPU: 8}) for r, count in enumerate(free) for h in range(count, 7)]
    snapshot = fleet_of(racks(len(free), 7), taken).snapshot()
    waiting = [group(f"g{i}-0", size, required=RACK) for i, size in enumerate(sizes)]
    answer = plan_together(snapshot, waiting, Budget())
    best = max(
        sum(size for size, rack in zip(sizes, choice, strict=True) if rack)
        for choice in product(range(len(free) + 1), repeat=len(sizes))
        if all(
            sum(size for size, rack in zip(sizes, choice, strict=True) if rack == number + 1) <= count
            for number, count in enumerate(free)
        )
    )
    assert answer.value <= best <= answer.bound
    assert answer.value == best
    assert answer.proof == "optimal"


@st.composite
def batches(draw: st.DrawFn) -> tuple[Instance, list[GroupRequest]]:
    instance = draw(instances())
    count = draw(st.integers(2, 5))
    return instance, [
        replace(draw(requests(name=f"g{i}-0", most=3)), priority=draw(st.sampled_from([0, 0, 5]))) for i in range(count)
    ]


@settings(max_examples=30, deadline=None)
@given(batches(), st.randoms(use_true_random=False))
def test_any_batch_is_valid_fair_to_priority_and_independent_of_order(
    batch: tuple[Instance, list[GroupRequest]], random: st.DataObject
) -> None:
    instance, waiting = batch
    snapshot = fleet_of(instance.nodes, instance.standing).snapshot()
    answer = plan_together(snapshot, waiting, Budget())
    assert (
        sum(each.size for each, d in zip(waiting, answer.decisions, strict=True) if isinstance(d, Placed))
        == answer.value
    )
    assert answer.value <= answer.bound
    assert _by_priority(waiting, plan_together(snapshot, waiting, GREEDY)) <= _by_priority(waiting, answer)
    _assert_valid(instance, waiting, [each for each in answer.decisions if isinstance(each, Placed)])
    high = [each for each in waiting if each.priority == 5]
    kept = {each.key for each in answer.decisions if isinstance(each, Placed)} & {each.key for each in high}
    assert kept == {each.key for each in plan_together(snapshot, high, Budget()).decisions if isinstance(each, Placed)}
    shuffled = list(waiting)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert {d.key: d for d in plan(snapshot, shuffled)} == {d.key: d for d in plan(snapshot, waiting)}


@settings(max_examples=25, deadline=None)
@given(instances(), st.data())
def test_a_bound_is_never_below_what_can_be_had(instance: Instance, data: st.DataObject) -> None:
    waiting = [replace(data.draw(requests(name=f"g{i}-0", most=2)), preferred=()) for i in range(3)]
    snapshot = fleet_of(instance.nodes[:4], [each for each in instance.standing if each.node < "n-4"]).snapshot()
    answer = plan_together(snapshot, waiting, Budget())
    facts = list(snapshot.facts().values())
    subsets = [
        [each for each, is_in in zip(waiting, choice, strict=True) if is_in] for choice in product((0, 1), repeat=3)
    ]
    best = max(sum(each.size for each in subset) for subset in subsets if fit_together(facts, subset))
    assert answer.value <= best <= answer.bound


def _by_priority(waiting: list[GroupRequest], answer: BatchAnswer) -> tuple[int, ...]:
    """Members placed, the highest priority first."""
    placed = {each.key for each in answer.decisions if isinstance(each, Placed)}
    return tuple(
        sum(each.size for each in waiting if each.priority == priority and each.key in placed) for priority in (5, 0)
    )


def _assert_valid(instance: Instance, waiting: list[GroupRequest], placed: list[Placed]) -> None:
    """Put the groups in place one after the other, each checked against the nodes as they then are."""
    fleet = fleet_of(instance.nodes, instance.standing)
    by_key = {each.key: each for each in waiting}
    for each in placed:
        request = by_key[each.key]
        assert violations(fleet.snapshot().facts().values(), request, each) == []
        for index, node in enumerate(each.slots):
            shape = request.worker if index else request.leader
            tenant = Tenant(each.key, each.key.split("/")[0], request.exclusive)
            fleet.charge(f"{each.key}-{index}", node, dict(shape.requests), tenant)
