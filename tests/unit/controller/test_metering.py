from __future__ import annotations

from typing import Any

from lws_sched.api.core import POD, Condition, Pod
from lws_sched.api.lws import LEADER_WORKER_SET, LeaderWorkerSet, LeaderWorkerSetSpec, LeaderWorkerSetStatus
from lws_sched.api.meta import Meta
from lws_sched.controller.metering import CountingRecorder, gauges
from lws_sched.kube.informer import Informer
from lws_sched.kube.store import Listing


class Recorder:
    def __init__(self) -> None:
        self.notes: list[str] = []

    def event(self, *_: Any, note: str, **__: Any) -> None:
        self.notes.append(note)


def lws(name: str, *holds: str, ready: int = 0) -> LeaderWorkerSet:
    conditions = tuple(Condition(type=each, status="True") for each in holds)
    status = LeaderWorkerSetStatus(conditions=conditions, replicas=3, ready_replicas=ready, updated_replicas=1)
    return LeaderWorkerSet(
        metadata=Meta(namespace="ns", name=name, uid=name, resource_version="1"),
        spec=LeaderWorkerSetSpec(replicas=4),
        status=status,
    )


def test_restarts_and_rollouts_are_counted_by_set_and_every_event_is_passed_on() -> None:
    inner = Recorder()
    recorder, about = CountingRecorder(inner), lws("a")

    def record(reason: str, note: str) -> None:
        recorder.event(LEADER_WORKER_SET, about, type="Normal", reason=reason, action="Update", note=note)

    record("RecreateGroup", "Worker pod a-0-1 failed, deleted leader pod a-0 to recreate group 0")
    record("RecreateGroup", "Worker pod a-0-1 failed, deleted leader pod a-0 to recreate group 0")
    record("CreatingRevision", "Creating revision with key k for a newly created LeaderWorkerSet")
    record("CreatingRevision", "Creating revision with key l for updated LWS")
    pod = Pod(metadata=Meta(namespace="ns", name="p"))
    recorder.event(POD, pod, type="Normal", reason="RecreateGroup", action="Delete", note="of another kind")

    restarts, rollouts = recorder.instruments()
    assert (restarts.family.name, rollouts.family.name) == (
        "lws_sched_group_restarts_total",
        "lws_sched_rollouts_total",
    )
    assert [each.values() for each in (restarts, rollouts)] == [{("ns", "a"): 2}, {("ns", "a"): 1}]  # type: ignore[union-attr]
    assert len(inner.notes) == 5


def test_sets_and_groups_are_told_at_the_scrape() -> None:
    informer: Informer[LeaderWorkerSet] = Informer(LEADER_WORKER_SET)
    found = [
        lws("a", "Available", ready=4),
        lws("b", "Progressing", "UpdateInProgress"),
        lws("c"),
        lws("d", "Available", "Failed"),
    ]
    informer.store.replace(Listing(found, 1, frozenset()))

    sets, groups = (gauge.read() for gauge in gauges(informer))

    assert sets == {
        ("Failed",): 1,
        ("UpdateInProgress",): 1,
        ("Progressing",): 0,
        ("Available",): 1,
        ("Unknown",): 1,
    }
    assert [groups["ns", "a", state] for state in ("desired", "existing", "ready", "updated")] == [4, 3, 4, 1]
