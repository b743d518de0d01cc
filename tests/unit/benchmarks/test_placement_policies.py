"""The baselines do what they are named for, and the floor lets nobody cheat."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.placement import baselines
from benchmarks.placement.bounds import best_bound
from benchmarks.placement.fleets import GPU, RACK, generated
from benchmarks.placement.floor import Floor, Waiting, WrongPlacement
from benchmarks.placement.instances import near_full
from benchmarks.placement.ours import Ours, OursTogether
from benchmarks.placement.snapshot import OURS, answer_all
from lws_sched.placement import GroupRequest, PodShape

WHOLE = PodShape(requests=(("cpu", 8_000), (GPU, 8)))
HALF = PodShape(requests=(("cpu", 8_000), (GPU, 4)))


def group(name: str, size: int, member: PodShape = WHOLE, exclusive: bool = False) -> GroupRequest:
    key = f"bench/{name}"
    if exclusive:
        return GroupRequest(key=key, size=size, leader=member, worker=member, exclusive=RACK)
    return GroupRequest(key=key, size=size, leader=member, worker=member, required=RACK)


def floor(racks: int, hosts: int, taken: tuple[int, ...] = (), with_fleet: bool = False) -> Floor:
    """Racks of empty hosts; the hosts at the given positions are full."""
    made = Floor(generated(racks, hosts), with_fleet)
    for number, host in enumerate(taken):
        made.occupy(f"standing-{number}", host, WHOLE)
    return made


def racks_of(on: Floor, waiting: Waiting) -> set[int]:
    return {int(on.levels[RACK][host]) for host in waiting.held.values()}


def serve(on: Floor, policy: baselines.Policy, *requests: GroupRequest) -> list[Waiting]:
    queue = [Waiting(request) for request in requests]
    policy.serve(on, queue)
    return queue


def pod_by_pod(leaders_first: bool = False) -> baselines.Policy:
    return baselines.PodByPod(seed=1, leaders_first=leaders_first)


def test_pod_by_pod_stops_half_way_and_holds_what_it_has() -> None:
    on = floor(racks=2, hosts=2)
    [waiting] = serve(on, pod_by_pod(), group("big", 3))
    assert len(waiting.held) == 2
    assert len(racks_of(on, waiting)) == 1
    assert not waiting.complete


def test_a_gang_that_does_not_fit_where_its_first_pod_went_gives_everything_back() -> None:
    on = floor(racks=1, hosts=2)
    before = on.free.copy()
    [waiting] = serve(on, baselines.policies(seed=1)[2], group("big", 3))
    assert not waiting.held
    assert (on.free == before).all()


def test_leaders_take_the_hosts_that_workers_of_others_need() -> None:
    two = (group("a", 2), group("b", 2))
    one_by_one = serve(floor(racks=1, hosts=2), pod_by_pod(), *two)
    leaders_first = serve(floor(racks=1, hosts=2), pod_by_pod(leaders_first=True), *two)
    assert [each.complete for each in one_by_one] == [True, False]
    assert [each.complete for each in leaders_first] == [False, False]
    assert [len(each.held) for each in leaders_first] == [1, 1]


@pytest.mark.parametrize(("name", "rack"), [("best-fit", 1), ("emptiest", 0), ("ours", 1)])
def test_which_rack_a_policy_of_whole_groups_takes(name: str, rack: int) -> None:
    policies = {policy.name: policy for policy in (*baselines.policies(seed=1), Ours())}
    on = floor(racks=3, hosts=4, taken=(4, 8, 9, 10), with_fleet=True)
    [waiting] = serve(on, policies[name], group("three", 3))
    assert racks_of(on, waiting) == {rack}


def test_best_fit_fills_the_tightest_host_with_the_remainder() -> None:
    on = floor(racks=1, hosts=3)
    on.occupy("half", 1, HALF)
    [waiting] = serve(on, baselines.AllOrNothing("best-fit", baselines.place_best_fit), group("three", 3, HALF))
    assert 1 in waiting.held.values()
    assert len(set(waiting.held.values())) == 2


def test_every_policy_gives_an_exclusive_group_a_rack_of_its_own() -> None:
    for policy in (*baselines.policies(seed=3), Ours(), OursTogether()):
        on = floor(racks=3, hosts=4, with_fleet=True)
        queue = serve(on, policy, *(group(f"own-{number}", 2, exclusive=True) for number in range(4)))
        complete = [waiting for waiting in queue if waiting.complete]
        assert len(complete) == 3, policy.name
        assert len({rack for waiting in complete for rack in racks_of(on, waiting)}) == 3, policy.name


def test_the_independent_checker_stops_a_policy_that_leaves_the_rack() -> None:
    on = floor(racks=2, hosts=1)
    with pytest.raises(WrongPlacement, match="spread over 2 domains"):
        on.bind(Waiting(group("wide", 2)), {0: 0, 1: 1})


def test_the_independent_checker_counts_members_that_were_bound_before() -> None:
    on = floor(racks=1, hosts=2)
    waiting = Waiting(group("same", 2))
    on.bind(waiting, {0: 0})
    with pytest.raises(WrongPlacement, match="takes 16"):
        on.bind(waiting, {1: 0})


def test_a_group_that_leaves_gives_back_all_it_took() -> None:
    on = floor(racks=1, hosts=4, with_fleet=True)
    before = on.free.copy()
    [waiting] = serve(on, Ours(), group("guest", 3))
    on.remove(waiting)
    assert (on.free == before).all()
    assert not on.members.any()
    assert on.fleet is not None
    assert (on.fleet.snapshot().free.sum(axis=1) > 0).any()


def test_equal_seeds_give_equal_instances() -> None:
    assert near_full(8, 2, seed=5) == near_full(8, 2, seed=5)
    assert near_full(8, 2, seed=5) != near_full(8, 2, seed=6)


@settings(max_examples=4, deadline=None)
@given(seed=st.integers(0, 1_000), resources=st.integers(1, 3), exclusive=st.booleans())
def test_nobody_admits_more_than_the_bound(seed: int, resources: int, exclusive: bool) -> None:
    instance = near_full(2, resources, seed, exclusive)
    answers, checked = answer_all(instance)
    bound = best_bound(instance, seconds=0.2)
    assert max(answer.members for answer in answers.values()) <= bound
    assert checked >= answers[OURS].groups
