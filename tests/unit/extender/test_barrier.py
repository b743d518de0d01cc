"""The barrier gives a stage away once, whole, and only when every member's call is held and alive."""

from __future__ import annotations

from collections.abc import Callable

from hypothesis import given
from hypothesis import strategies as st

from lws_sched.api import placement as api
from lws_sched.api.extender import BindingArgs, BindingResult
from lws_sched.extender.barrier import Arrival, Barrier, BindCall
from lws_sched.extender.stages import expected_members
from tests.unit.extender.builders import record

STAGE = frozenset({"a-0", "a-0-1", "a-0-2"})


def call(name: str, is_alive: Callable[[], bool] = lambda: True) -> BindCall:
    args = BindingArgs(pod_name=name, pod_namespace="ns", pod_uid=f"uid-{name}", node="n")
    return BindCall(args, lambda _: None, is_alive)


def names_of(calls: tuple[BindCall, ...]) -> list[str]:
    return [each.args.pod_name for each in calls]


def test_holds_until_all_have_arrived_and_then_gives_them_away_once() -> None:
    barrier = Barrier()
    assert barrier.arrive("g", STAGE, call("a-0")).opened
    assert not barrier.arrive("g", STAGE, call("a-0-2")).full
    assert barrier.missing("g") == ("a-0-1",)
    assert names_of(barrier.arrive("g", STAGE, call("a-0-1")).full) == sorted(STAGE)
    assert barrier.release("g") == ()


def test_a_call_whose_connection_died_does_not_count() -> None:
    barrier, alive = Barrier(), {"a-0": True}
    barrier.arrive("g", STAGE, call("a-0", lambda: alive["a-0"]))
    barrier.arrive("g", STAGE, call("a-0-1"))
    alive["a-0"] = False
    assert not barrier.arrive("g", STAGE, call("a-0-2")).full
    assert barrier.missing("g") == ("a-0",)


def test_a_second_call_of_the_same_pod_replaces_the_first() -> None:
    barrier = Barrier()
    first = call("a-0")
    barrier.arrive("g", STAGE, first)
    assert barrier.arrive("g", STAGE, call("a-0")).surplus == (first,)


def test_a_stage_of_other_members_ends_the_calls_of_the_one_before() -> None:
    barrier = Barrier()
    worker, leader = call("a-0-1"), call("a-0")
    barrier.arrive("g", STAGE, worker)
    arrival = barrier.arrive("g", frozenset({"a-0"}), leader)
    assert (arrival.full, arrival.surplus) == ((leader,), (worker,))


def test_a_time_out_releases_only_its_own_stage() -> None:
    barrier = Barrier()
    serial = barrier.arrive("g", STAGE, call("a-0")).serial
    assert names_of(barrier.release("g", serial)) == ["a-0"]
    barrier.arrive("g", STAGE, call("a-0"))
    assert barrier.release("g", serial) == ()
    assert barrier.holds("g", "a-0")


def test_draining_takes_every_call_of_every_group() -> None:
    barrier = Barrier()
    barrier.arrive("g", STAGE, call("a-0"))
    barrier.arrive("h", STAGE, call("a-0-1"))
    assert len(barrier.drain()) == 2
    assert barrier.drain() == ()


@given(st.lists(st.tuples(st.sampled_from(["g", "h"]), st.sampled_from(sorted(STAGE))), max_size=40))
def test_every_call_is_held_replaced_or_given_away_exactly_once(arrivals: list[tuple[str, str]]) -> None:
    barrier, accounted, total = Barrier(), 0, 0
    for group, name in arrivals:
        total += 1
        arrival: Arrival = barrier.arrive(group, STAGE, call(name))
        accounted += len(arrival.full) + len(arrival.surplus)
        assert not arrival.full or set(names_of(arrival.full)) == STAGE
    assert accounted + len(barrier.drain()) == total


def test_a_call_can_be_refused_or_confirmed() -> None:
    answers: list[BindingResult] = []
    args = BindingArgs(pod_name="a-0", pod_namespace="ns", pod_uid="u", node="n")
    each = BindCall(args, answers.append, lambda: True)
    each.refuse("no")
    each.confirm()
    assert answers == [BindingResult(error="no"), BindingResult()]


class TestStages:
    def test_normally_all_members_are_one_stage(self) -> None:
        assert expected_members(record(api.RESERVED), None, "a-0-1") == STAGE

    def test_under_leader_ready_the_leader_goes_first_and_the_workers_follow_together(self) -> None:
        first = record(api.RESERVED, leader_first=True)
        assert expected_members(first, None, "a-0") == {"a-0"}
        second = record(api.COMMITTED, leader_first=True, committed={"a-0": "uid-0"})
        assert expected_members(second, None, "a-0-1") == STAGE - {"a-0"}

    def test_a_member_that_comes_back_to_a_bound_group_is_a_stage_of_its_own(self) -> None:
        assert expected_members(record(api.BOUND), None, "a-0-2") == {"a-0-2"}
