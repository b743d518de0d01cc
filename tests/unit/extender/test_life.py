"""What is done next about one group, state by state."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import pytest
from msgspec.structs import replace as replaced

from lws_sched.api import names
from lws_sched.api import placement as api
from lws_sched.extender import life, records
from lws_sched.extender.life import NOTHING, Step, decide
from lws_sched.extender.records import NO_POD_CAME, Stamp
from lws_sched.placement import Refused
from tests.unit.extender.builders import (
    NODES,
    NOW,
    bound_members,
    group,
    members,
    pod,
    record,
    uids,
    view,
)


def state_of(step: Step) -> str:
    assert step.write is not None
    return step.write.status.state


class TestWithoutARecord:
    def test_a_wanted_group_asks_for_a_place(self) -> None:
        assert decide(view(None)) == Step(plan=True)

    def test_an_unwanted_group_is_nobodys_concern(self) -> None:
        assert decide(view(None, unwanted=True)) == NOTHING

    def test_a_whole_group_whose_record_was_deleted_is_taken_over_as_it_stands(self) -> None:
        step = decide(view(None, bound_members()))
        assert state_of(step) == api.BOUND
        assert step.write is not None
        assert (step.write.status.slots, step.write.status.committed) == (NODES, uids(members()))

    def test_parts_of_a_group_that_no_record_explains_are_deleted_through_the_leader(self) -> None:
        pods = {**members(), 1: pod(1, node="n1")}
        assert decide(view(None, pods)) == Step(delete=(pods[0],), again=life.REFUSED_SECONDS)


class TestARecordOfAnEarlierSetOfTheSameName:
    def test_goes_once_its_pods_are_gone(self) -> None:
        again = replace(group(), set_uid="another-uid")
        assert decide(view(record(api.BOUND), bound_members(), wanted=again)) == NOTHING
        assert decide(view(record(api.BOUND), {0: pod(0, gated=True)}, wanted=again)) == Step(remove=True)


class TestAGroupThatIsNoLongerWanted:
    def test_keeps_its_slots_while_pods_stand_on_them(self) -> None:
        assert decide(view(record(api.BOUND), bound_members(), unwanted=True)) == NOTHING

    def test_loses_its_record_with_its_last_pod(self) -> None:
        assert decide(view(record(api.BOUND), unwanted=True)) == Step(remove=True)


class TestWaiting:
    def test_is_planned_again(self) -> None:
        assert decide(view(record(api.WAITING, reason="too large"))) == Step(plan=True)

    def test_after_its_slots_were_given_back_it_rests_until_a_pod_comes(self) -> None:
        given_back = record(api.WAITING, reason=NO_POD_CAME)
        assert decide(view(given_back)) == NOTHING
        assert decide(view(given_back, {0: pod(0, gated=True)})) == Step(plan=True)


class TestReserved:
    def test_with_all_members_pinned_nothing_is_left_to_do(self) -> None:
        assert decide(view(record(api.RESERVED), members())) == NOTHING

    def test_lifts_the_gates_of_members_that_came_before_the_plan(self) -> None:
        pods = {0: pod(0), 1: pod(1, gated=True)}
        assert decide(view(record(api.RESERVED), pods)).place == ((pods[1], "n1"),)

    def test_leaves_a_member_alone_that_waits_behind_somebody_elses_gate_too(self) -> None:
        pods = {0: pod(0, gated=True, gates=("quota.example/queue",))}
        assert decide(view(record(api.RESERVED), pods)).place == ()

    def test_waits_for_pods_and_then_gives_the_slots_back(self) -> None:
        assert decide(view(record(api.RESERVED, age=10))) == Step(again=life.NO_POD_SECONDS - 10)
        step = decide(view(record(api.RESERVED, age=31)))
        assert state_of(step) == api.WAITING
        assert step.write is not None
        assert step.write.status.slots == ()

    def test_a_leader_of_another_revision_is_planned_anew(self) -> None:
        pods = {0: pod(0, gated=True, revision="other")}
        assert decide(view(record(api.RESERVED), pods)) == Step(plan=True)

    def test_a_set_that_changed_before_any_pod_came_is_planned_anew(self) -> None:
        assert decide(view(record(api.RESERVED), wanted=group(revision="other"))) == Step(plan=True)
        assert decide(view(record(api.RESERVED), wanted=group(size=4))) == Step(plan=True)

    def test_a_lost_node_takes_the_pinned_members_down_through_the_leader(self) -> None:
        pods = members()
        step = decide(view(record(api.RESERVED), pods, lost_nodes=("n2",)))
        assert state_of(step) == api.ABORTING
        assert step.delete == (pods[0],)

    def test_a_slot_that_others_have_filled_takes_the_pinned_members_down_too(self) -> None:
        filled = replace(view(record(api.RESERVED), members()), is_overfull=lambda node: node == "n1")
        step = decide(filled)
        assert state_of(step) == api.ABORTING
        assert step.delete == (members()[0],)
        assert step.write is not None
        assert "others have taken what the group needs on node n1" in step.write.status.reason

    def test_a_lost_node_before_any_pod_came_is_planned_around_at_once(self) -> None:
        step = decide(view(record(api.RESERVED), lost_nodes=("n2",)))
        assert state_of(step) == api.ABORTING
        assert step.plan

    def test_pods_that_never_come_do_not_hold_the_slots_of_those_that_came_for_ever(self) -> None:
        assert decide(view(record(api.RESERVED, age=90), {0: pod(0), 1: pod(1, age=30)})).write is None
        step = decide(view(record(api.RESERVED, age=90), {0: pod(0, age=80), 1: pod(1, age=70)}))
        assert state_of(step) == api.ABORTING
        assert step.write is not None
        assert step.write.status.reason == "1 of its 3 pods were not created within 60 s of the others"

    def test_pods_that_nobody_had_the_time_to_make_are_not_missed(self) -> None:
        """A cluster that makes thousands of pods is behind with them, not out of quota."""

        def seen(attended: float, age: float = 80) -> Step:
            return decide(replace(view(record(api.RESERVED, age=age), {0: pod(0, age=age)}), attended=attended))

        assert seen(math.inf).write is None
        assert seen(NOW - 50).write is None
        assert state_of(seen(NOW - 70)) == api.ABORTING
        assert state_of(seen(math.inf, age=life.BEHIND_SECONDS + 70)) == api.ABORTING

    def test_a_reservation_is_not_given_back_while_nobody_had_the_time_to_make_its_pods(self) -> None:
        assert decide(replace(view(record(api.RESERVED, age=40)), attended=math.inf)).write is None
        assert decide(replace(view(record(api.RESERVED, age=40)), attended=NOW - 20)).write is None
        assert state_of(decide(replace(view(record(api.RESERVED, age=40)), attended=NOW - 35))) == api.WAITING

    def test_workers_that_cannot_exist_before_the_leader_runs_are_not_missed(self) -> None:
        waiting = view(record(api.RESERVED, age=90, leader_first=True), {0: pod(0, age=80)})
        assert decide(waiting).write is None

    def test_two_failed_barriers_are_enough(self) -> None:
        step = decide(view(record(api.RESERVED, failed_barriers=2, reason="a-0-2 did not arrive"), members()))
        assert state_of(step) == api.ABORTING
        assert step.delete == (members()[0],)

    def test_a_slot_that_the_scheduler_refuses_for_a_while_is_remembered_and_left(self) -> None:
        def refused(age: float) -> Step:
            pods = {**members(), 2: pod(2, unschedulable="node(s) didn't have free ports", age=age)}
            return decide(view(record(api.RESERVED, age=60), pods))

        assert refused(1).write is None
        step = refused(6)
        assert state_of(step) == api.ABORTING
        assert step.write is not None
        assert [(slot.node, slot.reason) for slot in step.write.status.refused] == [
            ("n2", "node(s) didn't have free ports")
        ]
        assert step.write.status.refused[0].until > NOW

    def test_a_member_whose_call_is_held_or_that_our_own_filter_sent_back_is_not_refused(self) -> None:
        stale = {**members(), 2: pod(2, unschedulable="node(s) didn't have free ports", age=60)}
        held = replace(view(record(api.RESERVED, age=60), stale), held=frozenset({"a-0-2"}))
        assert decide(held).write is None
        ours = {**members(), 2: pod(2, unschedulable="0/9 nodes: lws-sched: a-0-2 has no slot", age=60)}
        assert decide(view(record(api.RESERVED, age=60), ours)).write is None


class TestCommitted:
    def test_all_bound_is_bound(self) -> None:
        step = decide(view(record(api.COMMITTED, age=5, committed=uids(members())), bound_members()))
        assert state_of(step) == api.BOUND

    def test_is_noted_as_bound_soon_after_its_bindings_were_posted_though_our_copy_of_the_pods_is_late(self) -> None:
        just_now = replace(view(record(api.COMMITTED, committed=uids(members())), members()), posted=True)
        assert decide(just_now) == Step(again=life.BOUND_SECONDS)
        later = replace(view(record(api.COMMITTED, age=3, committed=uids(members())), members()), posted=True)
        assert state_of(decide(later)) == api.BOUND

    def test_is_noted_as_bound_later_while_other_groups_are_being_bound_but_not_for_ever(self) -> None:
        def posted(age: float) -> life.View:
            seen = view(record(api.COMMITTED, age=age, committed=uids(members())), bound_members())
            return replace(seen, posted=True, is_rush=True)

        assert [decide(posted(age)).again for age in (1, 2, 6)] == [1, 2, life.RUSH_SECONDS - 6]
        assert state_of(decide(posted(life.RUSH_SECONDS))) == api.BOUND

    def test_a_member_that_goes_after_the_bindings_were_posted_takes_nobody_with_it(self) -> None:
        pods = bound_members()
        del pods[2]
        seen = replace(view(record(api.COMMITTED, committed=uids(members())), pods), posted=True)
        assert state_of(decide(seen)) == api.BOUND

    def test_is_left_to_the_task_that_committed_it_while_that_runs(self) -> None:
        seen = view(record(api.COMMITTED, committed=uids(members())), members())
        assert decide(replace(seen, committing=True)) == NOTHING

    def test_posts_the_bindings_that_a_crash_left_out(self) -> None:
        pods = {**bound_members(), 1: pod(1)}
        step = decide(view(record(api.COMMITTED, age=5, committed=uids(members())), pods))
        assert step.bind == ((pods[1], "n1"),)

    def test_a_member_lost_before_it_was_bound_takes_all_with_it_once_confirmed(self) -> None:
        pods = bound_members()
        del pods[2]
        step = decide(view(record(api.COMMITTED, committed=uids(members())), pods))
        assert step.confirm_lost == ("a-0-2",)
        assert state_of(step) == api.ABORTING
        assert step.delete == (pods[0],)

    def test_a_member_that_was_replaced_is_lost_too(self) -> None:
        pods = {**bound_members(), 2: pod(2, uid="another")}
        assert decide(view(record(api.COMMITTED, committed=uids(members())), pods)).confirm_lost == ("a-0-2",)

    def test_after_the_leaders_stage_the_workers_gates_are_lifted(self) -> None:
        pods = {0: pod(0, node="n0"), 1: pod(1, gated=True), 2: pod(2)}
        step = decide(view(record(api.COMMITTED, committed={"a-0": "uid-0"}, leader_first=True), pods))
        assert step == Step(place=((pods[1], "n1"),), again=life.REFUSED_SECONDS)

    def test_a_lost_slot_of_the_second_stage_takes_the_group_down(self) -> None:
        pods = {0: pod(0, node="n0"), 1: pod(1), 2: pod(2)}
        first = record(api.COMMITTED, committed={"a-0": "uid-0"}, leader_first=True)
        step = decide(view(first, pods, lost_nodes=("n2",)))
        assert state_of(step) == api.ABORTING
        assert step.delete == (pods[0],)


class TestBound:
    def test_with_all_members_there_nothing_is_left_to_do(self) -> None:
        assert decide(view(record(api.BOUND, leader_uid="uid-0"), bound_members())) == NOTHING

    def test_keeps_the_slots_when_the_leader_goes(self) -> None:
        for pods in ({}, {**bound_members(), 0: pod(0, node="n0", leaving=True)}):
            step = decide(view(record(api.BOUND, leader_uid="uid-0"), pods))
            assert state_of(step) == api.STICKY
            assert step.write is not None
            assert step.write.status.slots == NODES
            assert step.write.status.committed == {}

    def test_notes_the_nodes_that_its_leader_tells_it_to_leave_and_moves_nobody_before_it_goes(self) -> None:
        pods = bound_members()
        pods[0] = replaced(pods[0], metadata=replaced(pods[0].metadata, annotations={names.LEAVE_NODES: "n1, far"}))
        step = decide(view(record(api.BOUND, leader_uid="uid-0"), pods))
        assert step.write is not None
        assert {slot.node for slot in step.write.status.refused} == {"n1", "far"}
        assert (step.write.status.slots, step.delete, step.plan) == (NODES, (), False)
        assert decide(view(step.write, pods)).write is None

    def test_a_group_that_was_told_to_leave_a_node_comes_back_elsewhere(self) -> None:
        noted = records.leaving(record(api.STICKY, leader_uid="old"), ("n1",), NOW + 300, Stamp(1, NOW))
        assert decide(view(noted, {0: pod(0, gated=True)})).plan
        assert life.lost_slots(view(noted), noted) == {1}

    def test_a_leader_of_a_new_incarnation_that_was_gated_asks_for_a_place(self) -> None:
        step = decide(view(record(api.BOUND, leader_uid="old"), {0: pod(0, gated=True)}))
        assert state_of(step) == api.STICKY
        assert step.plan

    def test_a_member_that_came_back_behind_the_gate_gets_its_slot(self) -> None:
        pods = {**bound_members(), 2: pod(2, uid="again", gated=True)}
        assert decide(view(record(api.BOUND, leader_uid="uid-0"), pods)).place == ((pods[2], "n2"),)

    def test_a_member_that_came_back_is_not_sent_to_a_node_that_is_lost(self) -> None:
        pods = {**bound_members(), 2: pod(2, uid="again", gated=True)}
        assert decide(view(record(api.BOUND, leader_uid="uid-0"), pods, lost_nodes=("n2",))).place == ()

    def test_posts_the_binding_of_a_committed_member_that_a_crash_left_out(self) -> None:
        pods = {**bound_members(), 2: pod(2, uid="again")}
        committed = {**uids(members()), "a-0-2": "again"}
        just_now = record(api.BOUND, leader_uid="uid-0", committed=committed)
        assert decide(view(just_now, pods)) == Step(again=life.AGAIN_SECONDS)
        earlier = record(api.BOUND, age=5, leader_uid="uid-0", committed=committed)
        assert decide(view(earlier, pods)).bind == ((pods[2], "n2"),)

    def test_two_members_that_went_together_are_the_restart_policys_concern(self) -> None:
        pods = {0: pod(0, node="n0"), 1: pod(1, uid="again")}
        assert decide(view(record(api.BOUND, leader_uid="uid-0", committed=uids(members())), pods)) == NOTHING


class TestSticky:
    def test_a_leader_that_never_went_is_bound_still(self) -> None:
        assert state_of(decide(view(record(api.STICKY, leader_uid="uid-0"), bound_members()))) == api.BOUND

    def test_waits_for_the_groups_return_and_then_gives_the_slots_back(self) -> None:
        assert decide(view(record(api.STICKY, age=1))).again == life.STICKY_SECONDS - 1
        assert state_of(decide(view(record(api.STICKY, age=301)))) == api.WAITING

    def test_the_old_leader_still_leaving_is_no_return(self) -> None:
        assert decide(view(record(api.STICKY, leader_uid="uid-0"), {0: pod(0, leaving=True)})) == NOTHING

    def test_a_pinned_leader_takes_the_slots_back(self) -> None:
        step = decide(view(record(api.STICKY, leader_uid="old"), {0: pod(0)}))
        assert state_of(step) == api.RESERVED
        assert step.write is not None
        assert (step.write.status.slots, step.write.status.leader_uid) == (NODES, "")

    def test_a_leader_that_was_given_up_behind_its_gate_is_planned_as_it_is(self) -> None:
        """Nothing of it had to go, so no other leader comes."""
        reserved = view(record(api.RESERVED), {0: pod(0, gated=True)}, lost_nodes=("n1",))
        given_up = decide(reserved).write
        assert given_up is not None
        kept = records.kept(given_up, Refused("ns/a-0", "no room", "", "exact"), reserved.stamp)
        assert decide(replace(reserved, record=kept)) == Step(plan=True)

    def test_a_leader_that_went_through_its_gate_unseen_before_the_place_was_given_up_is_deleted(self) -> None:
        pods = {0: pod(0), 1: pod(1, gated=True)}
        assert decide(view(record(api.STICKY, leader_uid="uid-0"), pods)) == Step(again=life.REFUSED_SECONDS)
        later = decide(view(record(api.STICKY, leader_uid="uid-0", age=6), pods))
        assert (state_of(later), later.delete) == (api.ABORTING, (pods[0],))

    def test_a_gated_leader_is_planned_with_its_old_slots_as_first_choice(self) -> None:
        assert decide(view(record(api.STICKY, leader_uid="old"), {0: pod(0, gated=True)})) == Step(plan=True)


class TestAborting:
    def test_waits_until_nothing_but_gated_pods_is_left(self) -> None:
        leaving = {0: pod(0, leaving=True), 1: pod(1, leaving=True)}
        assert decide(view(record(api.ABORTING), leaving)) == Step(again=life.REFUSED_SECONDS)
        assert decide(view(record(api.ABORTING), {0: pod(0, gated=True)})) == Step(plan=True)
        assert decide(view(record(api.ABORTING))) == Step(plan=True)

    def test_deletes_again_what_a_crash_left_alive(self) -> None:
        pods = {0: pod(0), 1: pod(1)}
        assert decide(view(record(api.ABORTING), pods)).delete == (pods[0],)

    def test_without_a_leader_each_worker_is_deleted(self) -> None:
        pods = {1: pod(1), 2: pod(2, leaving=True)}
        assert decide(view(record(api.ABORTING), pods)).delete == (pods[1],)


class TestAMemberThatLostItsSlot:
    def test_of_a_bound_group_is_given_another_one(self) -> None:
        pods = {**bound_members(), 2: pod(2, uid="again", gated=True)}
        step = decide(view(record(api.BOUND, leader_uid="uid-0"), pods, lost_nodes=("n2",)))
        assert step == Step(plan=True)

    def test_waits_while_somebody_else_holds_it_back(self) -> None:
        pods = {**bound_members(), 2: pod(2, uid="again", gated=True, gates=("quota.example/queue",))}
        assert decide(view(record(api.BOUND, leader_uid="uid-0"), pods, lost_nodes=("n2",))) == NOTHING

    def test_does_not_take_a_member_along_that_stands_on_a_lost_node(self) -> None:
        pods = {**bound_members(), 2: pod(2, uid="again", gated=True)}
        seen = view(record(api.BOUND, leader_uid="uid-0"), pods, lost_nodes=("n1", "n2"))
        assert seen.record is not None
        assert life.lost_slots(seen, seen.record) == {2}
        leaving = {**pods, 1: pod(1, node="n1", leaving=True)}
        seen = view(seen.record, leaving, lost_nodes=("n1", "n2"))
        assert life.lost_slots(seen, record(api.BOUND)) == {1, 2}

    def test_is_deleted_where_it_is_pinned_to_it_already(self) -> None:
        pods = {**bound_members(), 2: pod(2, uid="again")}
        step = decide(view(record(api.BOUND, leader_uid="uid-0"), pods, lost_nodes=("n2",)))
        assert step.delete == (pods[2],)

    def test_because_the_scheduler_refuses_it_there_is_remembered_and_gets_another(self) -> None:
        pods = {**bound_members(), 2: pod(2, uid="again", unschedulable="node(s) had volume conflict", age=6)}
        first = decide(view(record(api.BOUND, age=60, leader_uid="uid-0"), pods))
        assert first.write is not None
        assert [slot.node for slot in first.write.status.refused] == ["n2"]
        assert first.write.status.state == api.BOUND
        second = decide(view(first.write, pods))
        assert second.delete == (pods[2],)


def missing(*nodes: str, since: float = NOW) -> Callable[[str], float]:
    return lambda node: since if node in nodes else math.inf


class TestAMemberOnANodeThatIsNoMore:
    def test_is_let_go_once_the_node_had_time_to_come_back(self) -> None:
        pods = bound_members()
        seen = view(record(api.BOUND, leader_uid="uid-0", committed=uids(members())), pods)
        step = decide(replace(seen, missed_since=missing("n1", since=NOW - life.RETURN_SECONDS + 4)))
        assert (step.let_go, step.again) == ((), 4)
        step = decide(replace(seen, missed_since=missing("n1", since=NOW - life.RETURN_SECONDS)))
        assert (step.let_go, step.again) == ((pods[1],), None)

    def test_does_not_put_off_what_is_due_before(self) -> None:
        seen = view(record(api.STICKY, age=life.STICKY_SECONDS - 1), {1: pod(1, node="n1")})
        assert decide(replace(seen, missed_since=missing("n1"))).again == 1


class TestAMemberThatIsLeaving:
    @pytest.mark.parametrize("state", [api.WAITING, api.RESERVED, api.COMMITTED, api.BOUND, api.STICKY, api.ABORTING])
    def test_is_let_go_where_its_node_is_no_more_whatever_becomes_of_the_others(self, state: str) -> None:
        pods = {**bound_members(), 1: pod(1, node="n1", leaving=True)}
        step = decide(replace(view(record(state), pods), missed_since=missing("n1")))
        assert step.let_go == (pods[1],)
        assert replace(step, let_go=()) == decide(view(record(state), pods))

    def test_is_let_go_though_nobody_wants_its_group_any_more(self) -> None:
        pods = {0: pod(0, node="n0", leaving=True)}
        assert decide(replace(view(None, pods, unwanted=True), missed_since=missing("n0"))) == Step(let_go=(pods[0],))

    def test_is_waited_for_where_its_node_is_there(self) -> None:
        pods = {**bound_members(), 1: pod(1, node="n1", leaving=True)}
        assert decide(replace(view(record(api.BOUND), pods), missed_since=missing("n0"))).let_go == ()

    def test_has_nobody_to_let_it_go_before_it_was_bound(self) -> None:
        pods = {**members(), 1: pod(1, leaving=True)}
        assert decide(replace(view(record(api.STICKY), pods), missed_since=missing("", "n1"))).let_go == ()
