"""What is counted of LeaderWorkerSets: restarts and rollouts by the events that tell of them, all else when asked."""

from __future__ import annotations

from collections import Counter as Tally
from typing import TypeVar

from lws_sched.api.lws import LEADER_WORKER_SET, LeaderWorkerSet
from lws_sched.api.meta import Kind, Object
from lws_sched.core.status import AVAILABLE, FAILED, PROGRESSING, UPDATE_IN_PROGRESS
from lws_sched.kube.port import Informer, ObjectReference, Recorder
from lws_sched.telemetry import families
from lws_sched.telemetry.counts import Counter, Gauge, Instrument, Labels

T = TypeVar("T", bound=Object)
RECREATED = "RecreateGroup"
"""The reason of the event of a group's restart."""
REVISED, UPDATED = "CreatingRevision", "for updated LWS"
"""The reason of the event of a new revision, and how its note ends where an update begins."""
_TELLING = (FAILED, UPDATE_IN_PROGRESS, PROGRESSING, AVAILABLE)
"""Conditions, those that say more first: several may hold."""
UNKNOWN = "Unknown"


class CountingRecorder:
    """Counts what is recorded, and passes it on."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder
        self._restarts, self._rollouts = Counter(families.RESTARTS), Counter(families.ROLLOUTS)

    def instruments(self) -> tuple[Instrument, ...]:
        return (self._restarts, self._rollouts)

    def event(
        self,
        regarding: Kind[T],
        obj: T,
        *,
        type: str,
        reason: str,
        action: str,
        note: str,
        related: ObjectReference | None = None,
    ) -> None:
        if regarding is LEADER_WORKER_SET:
            labels = (obj.metadata.namespace, obj.metadata.name)
            if reason == RECREATED:
                self._restarts.add(*labels)
            elif reason == REVISED and note.endswith(UPDATED):
                self._rollouts.add(*labels)
        self._recorder.event(regarding, obj, type=type, reason=reason, action=action, note=note, related=related)


def gauges(sets: Informer[LeaderWorkerSet]) -> tuple[Gauge, ...]:
    """What the sets themselves tell."""
    return (
        Gauge(families.SETS, lambda: _conditions(sets.objects())),
        Gauge(families.GROUPS, lambda: _groups(sets.objects())),
    )


def _conditions(sets: list[LeaderWorkerSet]) -> dict[Labels, float]:
    found = Tally(_condition(lws) for lws in sets)
    return {(condition,): found[condition] for condition in (*_TELLING, UNKNOWN)}


def _condition(lws: LeaderWorkerSet) -> str:
    """The one condition that says most about a set."""
    holds = {each.type for each in lws.status.conditions if each.status == "True"}
    return next((each for each in _TELLING if each in holds), UNKNOWN)


def _groups(sets: list[LeaderWorkerSet]) -> dict[Labels, float]:
    found: dict[Labels, float] = {}
    for lws in sets:
        meta, status = lws.metadata, lws.status
        numbers = {
            "desired": lws.spec.replicas,
            "existing": status.replicas,
            "ready": status.ready_replicas,
            "updated": status.updated_replicas,
        }
        found |= {(meta.namespace, meta.name, state): number for state, number in numbers.items()}
    return found
