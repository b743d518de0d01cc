"""Conditions, counts and the events that tell of them."""

from __future__ import annotations

from tests.hand_made.stage import (
    AVAILABLE,
    NAME,
    PROGRESSING,
    SETS,
    Stage,
    rolling,
)


def test_progress_readiness_and_growth_are_told_in_conditions_and_events(stage: Stage) -> None:
    stage.create()
    stage.sees(counts=(0, 2), true=PROGRESSING)
    stage.says("GroupsProgressing", "Replicas are progressing, with 0 groups ready of total 2 groups")
    stage.ready(0, 1)
    stage.sees(counts=(2, 2), true=AVAILABLE)
    displaced = stage.conditions()["Progressing"]
    assert (displaced["status"], displaced["message"]) == ("False", "Replicas are progressing")
    stage.says("AllGroupsReady", "All replicas are ready, with 2 groups ready of total 2 groups")
    stage.edit(replicas=3)
    stage.sees(true=PROGRESSING)
    displaced = stage.conditions()["Available"]
    assert (displaced["status"], displaced["message"]) == ("False", "All replicas are ready")
    stage.says("GroupsProgressing", "Replicas are progressing, with 2 groups ready of total 3 groups")
    lws = stage.set
    assert lws["status"]["observedGeneration"] == lws["metadata"]["generation"]
    assert {each["observedGeneration"] for each in lws["status"]["conditions"]} == {lws["metadata"]["generation"]}


def test_conditions_that_somebody_wiped_come_back(stage: Stage) -> None:
    stage.create()
    stage.sees(true=PROGRESSING)
    stage.change(SETS, NAME, lambda lws: lws["status"].update({"conditions": []}), "status")
    stage.sees(true=PROGRESSING)


def test_a_fresh_set_with_surge_is_progressing_and_not_updating(stage: Stage) -> None:
    stage.create(replicas=4, **rolling(maxSurge=2))
    stage.sees(replicas=4, true=PROGRESSING)
    assert "UpdateInProgress" not in stage.conditions()
