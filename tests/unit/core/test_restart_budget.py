"""How often a group may be recreated, and when."""

from __future__ import annotations

from itertools import pairwise

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lws_sched.api import names
from lws_sched.api.core import ContainerState, ContainerStatus, Pod, PodStatus, Terminated
from lws_sched.api.timestamps import micro_time, seconds_of
from lws_sched.core import restart_budget
from lws_sched.core.restart_budget import Limits, Record
from tests.unit.core.samples import leader, sample, worker, workers

NOW = 1_767_268_800.0
WORKER = worker(workers(leader()))


def _record(**fields: object) -> Record:
    given_ = {"leader": "former", "revision": "new", "restarts": 1, "at": micro_time(NOW), "pod": "p", "reason": "r"}
    return msgspec.convert(given_ | fields, Record)


@pytest.mark.parametrize(
    ("annotations", "wanted"),
    [
        ({}, None),
        ({names.MAX_GROUP_RESTARTS: "3"}, Limits(3, 0.0)),
        ({names.MAX_GROUP_RESTARTS: "0"}, Limits(0, 0.0)),
        ({names.RESTART_BACKOFF: "1h2m3s"}, Limits(None, 3723.0)),
        ({names.RESTART_BACKOFF: "10s", names.MAX_GROUP_RESTARTS: "two"}, Limits(None, 10.0)),
        ({names.RESTART_BACKOFF: "soon", names.MAX_GROUP_RESTARTS: "-1"}, None),
        ({names.RESTART_BACKOFF: ""}, None),
    ],
)
def test_limits_are_those_asked_for(annotations: dict[str, str], wanted: Limits | None) -> None:
    assert restart_budget.limits(sample(annotations=annotations)) == wanted


def test_the_first_recreation_is_at_once_and_the_next_ones_pause_twice_as_long_each_up_to_a_bound() -> None:
    asked = Limits(None, 10.0)
    assert [asked.pause_after(restarts) for restarts in (0, 1, 2, 3, 6, 100)] == [0.0, 10.0, 20.0, 40.0, 300.0, 300.0]
    first = restart_budget.spend(asked, None, leader(), WORKER, NOW)
    assert (first.recreate, first.again) == (True, None)
    second = restart_budget.spend(asked, _record(), leader(), WORKER, NOW + 4)
    assert (second.recreate, second.again) == (False, 6.0)
    late = restart_budget.spend(asked, _record(), leader(), WORKER, NOW + 400)
    assert (late.recreate, late.again) == (True, None)


def test_a_pause_is_waited_for_from_the_record_alone() -> None:
    record = restart_budget.spend(Limits(None, 10.0), _record(), leader(), WORKER, NOW).write
    assert restart_budget.pending(record, leader()) == record
    assert record is not None
    assert restart_budget.due(record, NOW + 3).again == 7.0
    assert restart_budget.due(record, NOW + 10).recreate


def test_a_failure_beyond_the_maximum_is_final_until_the_maximum_is_raised_or_a_revision_comes() -> None:
    asked = Limits(2, 0.0)
    decision = restart_budget.spend(asked, _record(restarts=2), leader(), WORKER, NOW)
    assert decision.write is not None
    assert (decision.recreate, decision.write.final, decision.write.restarts) == (False, True, 2)
    assert restart_budget.is_final(asked, decision.write, leader())
    assert not restart_budget.is_final(Limits(3, 0.0), decision.write, leader())
    assert not restart_budget.is_final(asked, decision.write, leader(uid="next"))
    fresh = restart_budget.spend(asked, _record(restarts=2), leader(revision="newer"), WORKER, NOW)
    assert fresh.write is not None
    assert (fresh.recreate, fresh.write.restarts) == (True, 1)


@settings(max_examples=60, deadline=None)
@given(
    most=st.one_of(st.none(), st.integers(0, 5)),
    pause=st.sampled_from([0.0, 1.0, 10.0]),
    gaps=st.lists(st.floats(0.0, 50.0), min_size=1, max_size=12),
)
def test_whatever_fails_when_the_budget_and_the_pauses_are_kept(
    most: int | None, pause: float, gaps: list[float]
) -> None:
    """Leader after leader fails; each failure is looked at once more when its time has come."""
    asked, record, now = Limits(most, pause), None, NOW
    recreated: list[float] = []
    for number, gap in enumerate(gaps):
        now += gap
        mine = leader(uid=f"leader-{number}")
        if restart_budget.is_final(asked, record, mine):
            break
        decision = restart_budget.spend(asked, record, mine, WORKER, now)
        record = decision.write
        assert record is not None
        if record.final:
            assert len(recreated) == most
            assert restart_budget.is_final(asked, record, mine)
            break
        now += decision.again or 0.0
        assert decision.recreate or restart_budget.due(record, now + 1e-3).recreate
        recreated.append(now)
        assert record.restarts == len(recreated)
    assert most is None or len(recreated) <= most
    assert all(
        later - earlier >= asked.pause_after(number) - 1e-3
        for number, (earlier, later) in enumerate(pairwise(recreated), start=1)
    )


def _ended(code: int, why: str) -> PodStatus:
    state = ContainerState(terminated=Terminated(exit_code=code, reason=why))
    return PodStatus(
        phase="Running", container_statuses=(ContainerStatus(name="main", restart_count=1, last_state=state),)
    )


@pytest.mark.parametrize(
    ("pod", "wanted"),
    [
        (worker(workers(leader()), status=_ended(137, "OOMKilled")),
         "container main restarted, it had ended with exit code 137 (OOMKilled)"),
        (worker(workers(leader()), status=PodStatus(phase="Failed", reason="Evicted")),
         "the pod ended as Failed (Evicted)"),
        (WORKER, "the pod was deleted"),
    ],
)  # fmt: skip
def test_the_reason_is_what_the_pod_tells(pod: Pod, wanted: str) -> None:
    assert restart_budget.reason(pod) == wanted


def test_records_survive_their_annotation_and_a_damaged_one_is_none() -> None:
    record = _record(final=True)
    assert restart_budget.record_of(restart_budget.annotation("3", record), "3") == record
    assert restart_budget.record_of({names.RESTARTS_PREFIX + "3": "{"}, "3") is None


def test_records_of_groups_and_revisions_that_are_gone_are_past() -> None:
    kept, other, beyond = (restart_budget.annotation(*each) for each in (
        ("0", _record()), ("1", _record(revision="old")), ("2", _record())
    ))  # fmt: skip
    assert restart_budget.past({**kept, **other, **beyond, "note": "x"}, "new", 2) == sorted({**other, **beyond})
    assert seconds_of(_record().at) == NOW
