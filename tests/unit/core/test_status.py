"""Counts, conditions and events of the status."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import msgspec
import pytest

from lws_sched.api.core import Pod, StatefulSet
from lws_sched.api.lws import LeaderWorkerSet
from lws_sched.core.group import Group, observed
from lws_sched.core.status import Observation, is_update_done, next_status, transition, wire
from tests.unit.core.samples import leader, rolling, sample, workers

NOON, LATER = "2026-01-01T12:00:00Z", "2026-01-01T12:05:00Z"


def _group(
    index: int, *, ready: bool = True, revision: str = "new", made: bool = True
) -> tuple[Pod, StatefulSet | None]:
    pod = leader(index, revision=revision)
    return pod, workers(pod, ready=ready) if made else None


def _leaving(index: int) -> tuple[Pod, StatefulSet | None]:
    pod = leader(index, deletion_timestamp=NOON)
    return pod, workers(pod)


def _seen(lws: LeaderWorkerSet, *groups: tuple[Pod, StatefulSet | None]) -> Observation:
    found: Mapping[int, Group] = {
        int(pod.metadata.name.rpartition("-")[2]): observed(lws, pod, made) for pod, made in groups
    }
    return Observation(found, "new", len(groups))


def _after(lws: LeaderWorkerSet, seen: Observation, now: str = NOON) -> LeaderWorkerSet:
    return msgspec.structs.replace(lws, status=next_status(lws, seen, now))


def _truths(lws: LeaderWorkerSet) -> dict[str, str]:
    return {condition.type: condition.status for condition in lws.status.conditions}


@pytest.mark.parametrize(
    ("replicas", "groups", "wanted"),
    [
        pytest.param(2, [], {"Progressing": "True"}, id="nothing there yet"),
        pytest.param(0, [], {"Available": "True"}, id="nothing wanted"),
        pytest.param(1, [_group(0, made=False)], {"Progressing": "True"}, id="a new leader, no workers"),
        pytest.param(1, [_group(0, ready=False)], {"Progressing": "True"}, id="not ready"),
        pytest.param(1, [_group(0)], {"Available": "True"}, id="ready"),
        pytest.param(2, [_group(0)], {"Progressing": "True"}, id="one of two ready"),
        pytest.param(1, [_leaving(0)], {"Progressing": "True"}, id="a leader about to go is not ready"),
        pytest.param(
            2, [_group(0, revision="old"), _group(1)], {"UpdateInProgress": "True", "Progressing": "True"},
            id="one of two at the old revision",
        ),
        pytest.param(
            1, [_group(0, revision="old", made=False)], {"UpdateInProgress": "True", "Progressing": "True"},
            id="an old leader without workers is an update",
        ),
    ],
)  # fmt: skip
def test_conditions_of_a_first_pass(
    replicas: int, groups: list[tuple[Pod, StatefulSet | None]], wanted: dict[str, str]
) -> None:
    lws = sample(replicas=replicas)
    after = _after(lws, _seen(lws, *groups))
    assert _truths(after) == wanted
    assert _after(after, _seen(after, *groups), LATER) == after


def test_a_displaced_condition_keeps_its_words_and_turns_false() -> None:
    lws = sample(replicas=1)
    progressing = _after(lws, _seen(lws))
    available = _after(progressing, _seen(progressing, _group(0)), LATER)
    first, second = available.status.conditions
    assert (first.type, first.status, first.message) == ("Progressing", "False", "Replicas are progressing")
    assert (second.type, second.status, second.reason) == ("Available", "True", "AllGroupsReady")
    assert second.message == "All replicas are ready"
    assert first.last_transition_time == second.last_transition_time == LATER


def test_failed_is_there_only_from_a_groups_failure_on_and_keeps_its_words() -> None:
    lws = sample(replicas=1)
    seen = _seen(lws, _group(0, ready=False))
    fine = _after(lws, seen)
    assert "Failed" not in _truths(fine)
    failed = _after(fine, replace(seen, failed={0: "group 0 failed"}), LATER)
    assert _truths(failed) == {"Progressing": "True", "Failed": "True"}
    last = failed.status.conditions[-1]
    assert (last.reason, last.message) == ("GroupRestartLimitReached", "group 0 failed")
    assert last.last_transition_time == LATER
    again = _after(failed, seen, NOON)
    assert _truths(again) == {"Progressing": "True", "Failed": "False"}
    assert again.status.conditions[-1].message == "group 0 failed"


def test_a_new_generation_alone_moves_no_transition_time_and_makes_no_event() -> None:
    lws = sample(replicas=1)
    before = _after(lws, _seen(lws))
    edited = msgspec.structs.replace(before, metadata=msgspec.structs.replace(before.metadata, generation=2))
    status = next_status(edited, _seen(edited), LATER)
    assert [(c.observed_generation, c.last_transition_time) for c in status.conditions] == [(2, NOON)]
    assert status.observed_generation == 2
    assert transition(edited, status) is None


def test_a_condition_that_holds_has_its_own_words_whoever_wrote_others() -> None:
    lws = sample(replicas=1)
    before = _after(lws, _seen(lws))
    (right,) = before.status.conditions
    wrong = msgspec.structs.replace(right, reason="Other", message="other words")
    tampered = msgspec.structs.replace(before, status=msgspec.structs.replace(before.status, conditions=(wrong,)))
    status = next_status(tampered, _seen(tampered), LATER)
    assert status.conditions == (right,)
    assert transition(tampered, status) is None


def test_an_update_lasts_until_every_group_is_updated_and_ready() -> None:
    lws = sample(replicas=2)
    rolled = _after(lws, _seen(lws, _group(0, revision="old"), _group(1)))
    missing = _after(rolled, _seen(rolled, _group(1)))
    assert _truths(missing) == {"UpdateInProgress": "True", "Progressing": "True"}
    done = _after(missing, _seen(missing, _group(0), _group(1)))
    assert _truths(done) == {"UpdateInProgress": "False", "Progressing": "False", "Available": "True"}


def test_after_a_rollout_scaling_up_is_progress_and_no_update() -> None:
    lws = sample(replicas=1)
    rolled = _after(lws, _seen(lws, _group(0, revision="old")))
    done = _after(rolled, _seen(rolled, _group(0)))
    bigger = msgspec.structs.replace(done, spec=msgspec.structs.replace(done.spec, replicas=2))
    after = _after(bigger, _seen(bigger, _group(0)))
    assert _truths(after) == {"UpdateInProgress": "False", "Progressing": "True", "Available": "False"}


def test_groups_below_the_partition_may_stay_old() -> None:
    lws = sample(replicas=2, rolloutStrategy=rolling(partition=1))
    seen = _seen(lws, _group(0, revision="old"), _group(1))
    assert _truths(_after(lws, seen)) == {"Available": "True"}
    assert not is_update_done(lws, seen)


def test_surge_groups_count_in_the_numbers_but_not_in_the_conditions() -> None:
    lws = sample(replicas=1)
    status = next_status(lws, _seen(lws, _group(0, ready=False), _group(1)), NOON)
    assert (status.replicas, status.ready_replicas, status.updated_replicas) == (2, 1, 2)
    assert [condition.type for condition in status.conditions] == ["Progressing"]


def test_workers_of_a_former_leader_do_not_make_a_group_ready() -> None:
    lws = sample(replicas=1)
    status = next_status(lws, _seen(lws, (leader(0), workers(leader(0, uid="former")))), NOON)
    assert (status.ready_replicas, status.updated_replicas) == (0, 0)


@pytest.mark.parametrize(
    ("groups", "wanted"),
    [
        ([], ("GroupsProgressing", "Replicas are progressing, with 0 groups ready of total 2 groups")),
        ([_group(0), _group(1)], ("AllGroupsReady", "All replicas are ready, with 2 groups ready of total 2 groups")),
        (
            [_group(0, revision="old"), _group(1, revision="old")],
            ("GroupsUpdating", "Rolling Upgrade is in progress, with 2 groups ready of total 2 groups"),
        ),
    ],
    ids=["progressing", "ready", "updating"],
)
def test_the_event_of_a_change(groups: list[tuple[Pod, StatefulSet | None]], wanted: tuple[str, str]) -> None:
    lws = sample()
    assert transition(lws, next_status(lws, _seen(lws, *groups), NOON)) == wanted


def test_the_scale_selector_is_exact_and_zeros_are_absent_on_the_wire() -> None:
    lws = sample()
    written = wire(next_status(lws, _seen(lws), NOON))
    assert written["hpaPodSelector"] == (
        "leaderworkerset.sigs.k8s.io/name=test-sample,leaderworkerset.sigs.k8s.io/worker-index=0"
    )
    assert written["readyReplicas"] is None
