"""What was decided lately, from records as they change."""

from __future__ import annotations

from lws_sched.api.placement import GROUP_PLACEMENT
from lws_sched.api.timestamps import micro_time
from lws_sched.web.timeline import REMEMBERED, TOGETHER_SECONDS, Timeline
from tests.unit.web.stage import Stage

HOSTS = ("rack-00-host-00", "rack-00-host-01")


def test_the_life_of_a_group_is_told_the_latest_first() -> None:
    stage = Stage().racks(1, 2)
    for state in ("Reserved", "Committed", "Bound", "Sticky", "Reserved", "Aborting"):
        stage.recorded("llama-0", HOSTS, state).after(10)
    stage.gone(GROUP_PLACEMENT, "llama-0")

    kinds = [kind for kind, _, _ in stage.decisions()]
    assert kinds == ["gone", "aborted", "returned", "down", "bound", "committed", "reserved"]
    assert stage.state()["timeline"]["entries"][-1]["groups"] == [[0, "rack-00"]]


def test_a_refusal_is_told_with_its_reason_and_fix_once_until_these_change() -> None:
    stage = Stage().racks(1, 2)
    for why in ("no room", "no room", "no rack"):
        stage.recorded("llama-0", state="Waiting", reason=why, fix="add a rack").after(10)

    entries = stage.state()["timeline"]["entries"]
    assert [(each["kind"], each["reason"], each["fix"]) for each in entries] == [
        ("waiting", "no rack", "add a rack"),
        ("waiting", "no room", "add a rack"),
    ]


def test_making_room_is_told_with_who_has_to_leave() -> None:
    stage = Stage().racks(1, 2).recorded("big-0", state="Waiting", reason="no room")
    stage.recorded(
        "big-0",
        state="Waiting",
        predecessors=[{"namespace": "default", "name": "batch-3"}],
        reason="it waits until default/batch-3, evicted for it, have left rack-00",
    )

    [evicting, _] = stage.state()["timeline"]["entries"]
    assert evicting["kind"] == "evicting"
    assert "batch-3" in evicting["reason"]


def test_members_that_get_other_slots_while_their_group_runs_are_told() -> None:
    stage = Stage().racks(1, 3).recorded("llama-0", HOSTS, "Bound").after(10)
    stage.recorded("llama-0", (HOSTS[0], "rack-00-host-02"), "Bound")

    assert [kind for kind, _, _ in stage.decisions()] == ["moved", "bound"]


def test_a_write_that_decides_nothing_is_not_told() -> None:
    stage = Stage().racks(1, 2).recorded("llama-0", HOSTS)
    stage.recorded("llama-0", HOSTS, failedBarriers=1, reason="1 of 2 came")
    stage.recorded("new-0", state="Waiting")

    assert [kind for kind, _, _ in stage.decisions()] == ["reserved"]


def test_decisions_about_groups_of_a_set_are_told_together_where_they_came_together() -> None:
    stage = Stage().racks(1, 2)
    for index in range(3):
        stage.recorded(f"llama-{index}", HOSTS).after(1)
    stage.recorded("other-0", HOSTS).after(TOGETHER_SECONDS + 1)
    stage.recorded("llama-3", HOSTS)

    assert stage.decisions() == [
        ("reserved", "llama", [3]),
        ("reserved", "other", [0]),
        ("reserved", "llama", [2, 1, 0]),
    ]


def test_after_a_restart_each_records_last_decision_is_told_at_the_time_it_was_made() -> None:
    stage = Stage().racks(1, 2).after(1000)
    began = stage.clock.now()
    stage.recorded("llama-0", HOSTS, "Bound", since=micro_time(began - 500))
    later = Timeline(stage.sources.records, stage.clock)

    [entry] = later.entries()
    assert (entry.kind, entry.at, later.since) == ("bound", began - 500, began)


def test_a_time_ahead_of_the_clock_is_told_as_now() -> None:
    stage = Stage().racks(1, 2).recorded("llama-0", HOSTS, "Bound", since=micro_time(Stage().clock.now() + 3600))

    assert stage.state()["timeline"]["entries"][0]["at"] <= stage.clock.now()


def test_what_is_remembered_is_bounded() -> None:
    stage = Stage().racks(1, 2)
    for number in range(REMEMBERED // 2 + 5):
        stage.recorded(f"s{number}-0", HOSTS).gone(GROUP_PLACEMENT, f"s{number}-0").after(1)

    entries = stage.state()["timeline"]["entries"]
    assert len(entries) == 100
    assert entries[0]["kind"] == "gone"
