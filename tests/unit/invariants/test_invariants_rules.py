"""Each invariant is found broken in a log that breaks it, and kept in a log that comes close."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from tests.invariants.check import check
from tests.invariants.story import RACK, Story


def broken(story: Story, **options: object) -> set[str]:
    """The invariants that a story breaks."""
    return {each.invariant for each in check(story.lines, **options).violations}  # type: ignore[arg-type]


def sentences(story: Story) -> str:
    return "\n".join(str(each) for each in check(story.lines).violations)


@pytest.fixture
def story() -> Story:
    """Two racks of two nodes, and a set."""
    story = Story()
    for rack in ("r1", "r2"):
        for host in ("a", "b"):
            story.node(f"{rack}{host}", rack)
    return story


def group_of_two(story: Story, leader: str, nodes: Sequence[str], devices: int = 8) -> None:
    """A whole group: reserved, created, committed, bound."""
    members = (leader, f"{leader}-1")
    story.record(leader, "Reserved", nodes, devices=devices)
    uids = {name: story.member(name, leader, devices) for name in members}
    story.record(leader, "Committed", nodes, uids, devices=devices, leaderUID=uids[leader])
    for name, node in zip(members, nodes, strict=True):
        story.bind(name, node)
    story.record(leader, "Bound", nodes, uids, devices=devices, leaderUID=uids[leader])


def test_a_group_that_goes_by_the_book_breaks_nothing(story: Story) -> None:
    story.set("llama", exclusive=RACK)
    group_of_two(story, "llama-0", ["r1a", "r1b"])
    group_of_two(story, "llama-1", ["r2a", "r2b"])
    report = check(story.lines)
    assert report.violations == ()
    assert (report.bindings, report.stages, report.placements, report.conclusive) == (4, 2, 2, True)
    assert 0 < report.longest_unsettled < 0.1


# --- I1 --------------------------------------------------------------------------------------------------------------


def test_i1_a_member_bound_without_a_commit_is_found(story: Story) -> None:
    story.record("llama-0", "Reserved", ["r1a"])
    story.member("llama-0", "llama-0")
    story.bind("llama-0", "r1a")
    assert broken(story) == {"I1"}
    assert "llama-0 (uid-1) was bound to r1a before any record committed it" in sentences(story)


def test_i1_a_commit_of_the_pods_predecessor_does_not_count(story: Story) -> None:
    group_of_two(story, "llama-0", ["r1a", "r1b"])
    story.delete("llama-0-1")
    story.member("llama-0-1", "llama-0")
    story.bind("llama-0-1", "r1b")
    assert broken(story) == {"I1"}


def test_i1_a_commit_that_comes_after_the_binding_is_too_late_in_whatever_order_they_arrive(story: Story) -> None:
    uid = story.member("llama-0", "llama-0")
    story.bind("llama-0", "r1a")
    story.record("llama-0", "Committed", ["r1a"], {"llama-0": uid})
    story.lines[-1], story.lines[-2] = story.lines[-2], story.lines[-1]
    assert broken(story) == {"I1"}


def test_i1_a_commit_that_arrives_after_the_binding_but_was_written_before_it_is_in_time(story: Story) -> None:
    uid = story.member("llama-0", "llama-0")
    story.record("llama-0", "Committed", ["r1a"], {"llama-0": uid})
    story.bind("llama-0", "r1a")
    story.lines[-1], story.lines[-2] = story.lines[-2], story.lines[-1]
    assert broken(story) == set()


def test_i1_a_reservation_that_lists_uids_is_no_commit(story: Story) -> None:
    uid = story.member("llama-0", "llama-0")
    story.record("llama-0", "Reserved", ["r1a"], {"llama-0": uid})
    story.bind("llama-0", "r1a")
    assert broken(story) == {"I1"}


def test_i1_the_record_of_another_group_commits_nothing(story: Story) -> None:
    uid = story.member("llama-0", "llama-0")
    story.record("other-0", "Committed", ["r1b"], {"llama-0": uid})
    story.bind("llama-0", "r1a")
    assert broken(story) == {"I1"}


def test_i1_pods_of_other_schedulers_and_of_no_group_are_free(story: Story) -> None:
    story.stranger("batch", devices="8")
    story.bind("batch", "r1a")
    story.stranger("ours", scheduler="lws-sched", devices="8")
    story.bind("ours", "r1b")
    assert broken(story) == set()


# --- I2 --------------------------------------------------------------------------------------------------------------


def half_bound(story: Story) -> None:
    uids = {name: story.member(name, "llama-0") for name in ("llama-0", "llama-0-1")}
    story.record("llama-0", "Committed", ["r1a", "r1b"], uids)
    story.bind("llama-0", "r1a")


def test_i2_a_stage_that_stays_half_bound_is_found(story: Story) -> None:
    half_bound(story)
    story.wait(11)
    story.node("later", "r3")
    assert broken(story) == {"I2"}
    assert "never settled; never bound: uid-2" in sentences(story)
    assert check(story.lines).longest_unsettled == pytest.approx(11, abs=0.1)


def test_i2_a_stage_that_is_bound_late_is_found_and_one_just_in_time_is_not(story: Story) -> None:
    half_bound(story)
    story.wait(9)
    story.bind("llama-0-1", "r1b")
    assert broken(story) == set()
    assert broken(story, limit=5.0) == {"I2"}


def test_i2_a_fault_gives_the_stage_its_time_anew(story: Story) -> None:
    half_bound(story)
    fault = story.now + 8
    story.wait(17)
    story.bind("llama-0-1", "r1b")
    assert broken(story) == {"I2"}
    assert broken(story, faults=[fault]) == set()
    assert broken(story, faults=[fault - 20, fault + 20]) == {"I2"}


def test_i2_a_stage_is_settled_once_all_its_members_are_gone(story: Story) -> None:
    half_bound(story)
    story.delete("llama-0-1")
    story.delete("llama-0")
    story.wait(60)
    story.node("later", "r3")
    assert broken(story) == set()


def test_i2_a_member_that_is_lost_leaves_the_others_half_bound(story: Story) -> None:
    half_bound(story)
    story.delete("llama-0-1")
    story.wait(60)
    story.node("later", "r3")
    assert broken(story) == {"I2"}


def test_i2_losing_a_member_of_a_bound_group_is_no_matter_of_the_commit(story: Story) -> None:
    group_of_two(story, "llama-0", ["r1a", "r1b"])
    story.delete("llama-0-1")
    story.wait(60)
    story.node("later", "r3")
    assert broken(story) == set()


def test_i2_a_member_that_returns_alone_is_a_stage_of_its_own(story: Story) -> None:
    group_of_two(story, "llama-0", ["r1a", "r1b"])
    leader = story.uid("llama-0")
    story.delete("llama-0-1")
    uid = story.member("llama-0-1", "llama-0")
    story.record("llama-0", "Committed", ["r1a", "r1b"], {"llama-0": leader, "llama-0-1": uid})
    story.wait(60)
    story.node("later", "r3")
    assert broken(story) == {"I2"}


# --- I3 --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("asked", ["exclusive", "required"])
def test_i3_a_group_in_two_racks_is_found(story: Story, asked: str) -> None:
    story.set("llama", **{asked: RACK})
    group_of_two(story, "llama-0", ["r1a", "r2b"])
    assert broken(story) == {"I3"}


def test_i3_a_group_that_asks_for_no_topology_may_be_anywhere(story: Story) -> None:
    story.set("llama")
    group_of_two(story, "llama-0", ["r1a", "r2b"])
    assert broken(story) == set()


def test_i3_two_groups_of_an_exclusive_set_in_one_rack_are_found(story: Story) -> None:
    story.set("llama", exclusive=RACK)
    group_of_two(story, "llama-0", ["r1a", "r1b"], devices=4)
    group_of_two(story, "llama-1", ["r1a", "r1b"], devices=4)
    assert broken(story) == {"I3"}


def test_i3_a_rack_that_is_merely_required_may_be_shared(story: Story) -> None:
    story.set("llama", required=RACK)
    group_of_two(story, "llama-0", ["r1a", "r1b"], devices=4)
    group_of_two(story, "llama-1", ["r1a", "r1b"], devices=4)
    assert broken(story) == set()


def test_i3_a_group_that_asks_for_nothing_may_not_join_an_exclusive_one(story: Story) -> None:
    story.set("llama", exclusive=RACK)
    story.set("mixtral")
    group_of_two(story, "llama-0", ["r1a", "r1b"], devices=4)
    group_of_two(story, "mixtral-0", ["r1a", "r2b"], devices=4)
    assert broken(story) == {"I3"}


def test_i3_members_of_an_earlier_incarnation_may_still_be_leaving_elsewhere(story: Story) -> None:
    story.set("llama", required=RACK)
    group_of_two(story, "llama-0", ["r1a", "r1b"])
    story.record("llama-0", "Sticky", ["r1a", "r1b"])
    story.delete("llama-0")
    story.record("llama-0", "Reserved", ["r2a", "r2b"])
    uid = story.member("llama-0", "llama-0")
    story.record("llama-0", "Committed", ["r2a", "r2b"], {"llama-0": uid})
    story.bind("llama-0", "r2a")
    assert broken(story) == set()


def test_i3_a_level_name_stands_for_the_label_that_it_is_given(story: Story) -> None:
    story.set("llama", required="rack")
    group_of_two(story, "llama-0", ["r1a", "r2b"])
    assert broken(story, levels={"rack": RACK}) == {"I3"}


def test_i3_a_level_name_that_is_not_given_is_what_the_record_says(story: Story) -> None:
    story.set("llama", required="rack")
    uids = {name: story.member(name, "llama-0") for name in ("llama-0", "llama-0-1")}
    domain = {"key": RACK, "value": "r1"}
    story.record("llama-0", "Committed", ["r1a", "r2b"], uids, domain=domain)
    story.bind("llama-0", "r1a")
    story.bind("llama-0-1", "r2b")
    assert broken(story) == {"I3"}


# --- I4 --------------------------------------------------------------------------------------------------------------


def test_i4_pods_that_do_not_fit_together_are_found(story: Story) -> None:
    for name in ("one", "two"):
        story.stranger(name, devices="5")
        story.bind(name, "r1a")
    assert broken(story) == {"I4"}
    assert "bound pods take 10 example.com/gpu of 8 on node r1a" in sentences(story)


def test_i4_a_pod_may_take_the_place_of_one_that_ended_or_is_gone(story: Story) -> None:
    for name in ("one", "two"):
        story.stranger(name, devices="8")
    story.bind("one", "r1a")
    story.end("one")
    story.bind("two", "r1a")
    story.delete("two")
    story.stranger("three", devices="8")
    story.bind("three", "r1a")
    assert broken(story) == set()


def test_i4_a_pod_that_is_leaving_still_takes_its_place(story: Story) -> None:
    for name in ("one", "two"):
        story.stranger(name, devices="8")
    story.bind("one", "r1a")
    story.leave("one")
    story.bind("two", "r1a")
    assert broken(story) == {"I4"}


def test_i4_a_slot_held_on_a_full_node_is_found(story: Story) -> None:
    story.stranger("one", devices="8")
    story.bind("one", "r1a")
    story.record("llama-0", "Reserved", ["r1a"])
    assert broken(story) == {"I4"}
    assert "with the slot of default/llama-0" in sentences(story)


@pytest.mark.parametrize("state", ["Reserved", "Committed", "Bound", "Sticky", "Aborting"])
def test_i4_a_pod_bound_into_a_held_slot_is_found(story: Story, state: str) -> None:
    story.record("llama-0", state, ["r1a"])
    story.stranger("one", devices="1")
    story.bind("one", "r1a")
    assert broken(story) == {"I4"}


def test_i4_a_waiting_record_holds_nothing(story: Story) -> None:
    story.record("llama-0", "Reserved", ["r1a"])
    story.record("llama-0", "Waiting")
    story.stranger("one", devices="8")
    story.bind("one", "r1a")
    assert broken(story) == set()


def test_i4_a_member_on_its_slot_counts_once_and_its_slot_counts_again_when_it_is_gone(story: Story) -> None:
    group_of_two(story, "llama-0", ["r1a", "r1b"])
    assert broken(story) == set()
    story.delete("llama-0-1")
    story.stranger("one", devices="1")
    story.bind("one", "r1b")
    assert broken(story) == {"I4"}


def test_i4_a_pod_that_wants_no_device_may_take_cpu_from_under_a_slot_but_not_from_under_a_pod(story: Story) -> None:
    story.node("small", "r3", cpu="2")
    story.record("llama-0", "Reserved", ["small"])
    story.stranger("one", cpu="2")
    story.bind("one", "small")
    assert broken(story) == set()
    story.stranger("two", cpu="1")
    story.bind("two", "small")
    assert broken(story) == {"I4"}


def test_i4_a_node_that_shrinks_under_its_pods_is_no_over_commitment(story: Story) -> None:
    story.stranger("one", devices="8")
    story.bind("one", "r1a")
    story.node("r1a", "r1", devices=4)
    assert broken(story) == set()


# --- I5 --------------------------------------------------------------------------------------------------------------


def test_i5_a_slot_with_two_owners_is_found(story: Story) -> None:
    story.record("llama-1", "Reserved", ["r1a", "r1b"])
    story.record("llama-1-1", "Reserved", ["r2a"])
    assert broken(story) == {"I5"}


def test_i5_a_slot_may_change_hands_once_it_is_given_up(story: Story) -> None:
    story.record("llama-1", "Reserved", ["r1a", "r1b"])
    story.delete_record("llama-1")
    story.record("llama-1-1", "Reserved", ["r2a"])
    assert broken(story) == set()


def test_i5_two_live_leaders_in_one_record_are_found(story: Story) -> None:
    group_of_two(story, "llama-0", ["r1a", "r1b"])
    uids = {"llama-0": story.uid("llama-0")}
    story.record("llama-0", "Bound", ["r1a", "r1b"], uids, leaderUID=story.uid("llama-0-1"))
    assert broken(story) == {"I5"}


def test_i5_the_uid_of_a_leader_that_is_gone_does_no_harm(story: Story) -> None:
    group_of_two(story, "llama-0", ["r1a", "r1b"])
    old = story.uid("llama-0")
    story.delete("llama-0")
    new = story.member("llama-0", "llama-0")
    story.record("llama-0", "Aborting", ["r1a", "r1b"], {"llama-0": old}, leaderUID=new)
    assert broken(story) == set()


def test_i5_a_uid_under_the_wrong_name_is_found(story: Story) -> None:
    group_of_two(story, "llama-0", ["r1a", "r1b"])
    story.record("llama-0", "Bound", ["r1a", "r1b"], {"llama-0-1": story.uid("llama-0")})
    assert broken(story) == {"I5"}


def test_i4_beside_a_scheduler_that_does_not_ask_only_members_and_slots_are_judged(story: Story) -> None:
    story.record("llama-0", "Reserved", ["r1a", "r1a"])
    story.stranger("rival", devices="8")
    story.bind("rival", "r1b")
    story.record("llama-1", "Reserved", ["r1b"])
    found = [str(each) for each in check(story.lines, all_ask=False).violations]
    assert found
    assert all("2 held slots take 16" in each for each in found)


# --- I6 --------------------------------------------------------------------------------------------------------------


def test_i6_a_member_that_the_scheduler_preempts_alone_is_found(story: Story) -> None:
    group_of_two(story, "llama-0", ["r1a", "r1b"])
    story.preempt("llama-0-1")
    assert broken(story) == {"I6"}
    assert "preempted on r1b" in sentences(story)


def test_i6_of_a_group_that_is_deleted_the_scheduler_may_take_what_is_left(story: Story) -> None:
    group_of_two(story, "llama-0", ["r1a", "r1b"])
    story.delete_record("llama-0")
    story.preempt("llama-0-1")
    assert broken(story) == set()


def test_i6_a_group_on_one_node_may_be_preempted_whole(story: Story) -> None:
    group_of_two(story, "llama-0", ["r1a", "r1a"], devices=4)
    for name in ("llama-0", "llama-0-1"):
        story.preempt(name)
    assert broken(story) == set()


def test_i6_a_pod_of_no_group_may_be_preempted(story: Story) -> None:
    story.stranger("alone", devices="8")
    story.bind("alone", "r1a")
    story.preempt("alone")
    assert broken(story) == set()


def test_i6_a_group_that_is_planned_anew_with_a_member_still_bound_is_found(story: Story) -> None:
    group_of_two(story, "llama-0", ["r1a", "r1b"])
    story.record("llama-0", "Aborting", ["r1a", "r1b"])
    story.delete("llama-0")
    story.record("llama-0", "Waiting")
    assert broken(story) == {"I6"}


def test_i6_a_group_that_is_gone_whole_may_be_planned_anew(story: Story) -> None:
    group_of_two(story, "llama-0", ["r1a", "r1b"])
    story.record("llama-0", "Aborting", ["r1a", "r1b"])
    for name in ("llama-0", "llama-0-1"):
        story.delete(name)
    story.record("llama-0", "Waiting")
    assert broken(story) == set()


# --- I9 --------------------------------------------------------------------------------------------------------------


def test_i9_a_gated_pod_that_is_bound_is_found(story: Story) -> None:
    uid = story.member("llama-0", "llama-0", gated=True)
    story.record("llama-0", "Committed", ["r1a"], {"llama-0": uid})
    story.bind("llama-0", "r1a")
    assert broken(story) == {"I9"}


def test_i9_a_pod_may_be_bound_once_its_gate_is_lifted(story: Story) -> None:
    uid = story.member("llama-0", "llama-0", gated=True)
    story.lift_gate("llama-0")
    story.record("llama-0", "Committed", ["r1a"], {"llama-0": uid})
    story.bind("llama-0", "r1a")
    assert broken(story) == set()
