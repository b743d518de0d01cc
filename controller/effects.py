"""A plan's writes and events, and the one place that carries them out.

A plan is a sequence of steps. They are carried out in order and stop at the first refusal, which is returned: the
reconciler then starts again from a fresh snapshot. Events are recorded after the write that they tell of.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from lws_sched.api.lws import LEADER_WORKER_SET, LeaderWorkerSet
from lws_sched.api.meta import Kind, Object
from lws_sched.kube.errors import AlreadyExists, ApiError, NotFound
from lws_sched.kube.port import ObjectReference, Recorder, Runtime

CREATE, UPDATE, DELETE = "Create", "Update", "Delete"
"""The actions that events name."""


@dataclass(frozen=True)
class Note:
    """An event about the LeaderWorkerSet."""

    reason: str
    text: str
    action: str
    type: str = "Normal"
    related: ObjectReference | None = None


def reference(kind: Kind[Any], namespace: str, name: str) -> ObjectReference:
    return {"apiVersion": kind.api_version, "kind": kind.kind, "namespace": namespace, "name": name}


@dataclass(frozen=True)
class Create:
    kind: Kind[Any]
    body: Mapping[str, Any]
    or_exists: bool = False
    """An object of that name will do, whoever made it."""


@dataclass(frozen=True)
class Apply:
    """Server-side apply, forced."""

    kind: Kind[Any]
    body: Mapping[str, Any]
    manager: str


@dataclass(frozen=True)
class Merge:
    """A merge patch; the body's resourceVersion or UID is the precondition."""

    kind: Kind[Any]
    namespace: str
    name: str
    body: Mapping[str, Any]
    subresource: str = ""


@dataclass(frozen=True)
class Delete:
    """Deletes the object of this UID. One that is gone already is no refusal."""

    kind: Kind[Any]
    namespace: str
    name: str
    uid: str
    propagation: str = "Background"


Write = Create | Apply | Merge | Delete


@dataclass(frozen=True)
class Step:
    """One write with the events that follow it. `failed` is recorded with the error appended."""

    write: Write
    done: tuple[Note, ...] = ()
    failed: Note | None = None


@dataclass(frozen=True)
class Plan:
    """What to do for one key: steps, events that no write goes with, and when to look again (seconds)."""

    steps: tuple[Step, ...] = ()
    notes: tuple[Note, ...] = ()
    again: float | None = None


@dataclass(frozen=True)
class Refusal:
    """A step that the API server refused."""

    step: Step
    error: ApiError


@dataclass(frozen=True)
class Effects:
    """Carries out plans."""

    runtime: Runtime
    wrote: Callable[[Object], None]
    """Told what every write answered."""

    def carry_out(self, plan: Plan, lws: LeaderWorkerSet) -> Refusal | None:
        """Perform all steps, or all before the first refusal."""
        self._record(plan.notes, lws)
        return self._perform(plan.steps, lws)

    def _perform(self, steps: Sequence[Step], lws: LeaderWorkerSet) -> Refusal | None:
        for step in steps:
            try:
                self._write(step.write)
            except ApiError as error:
                return Refusal(step, error)
            self._record(step.done, lws)
        return None

    def report(self, refusal: Refusal, lws: LeaderWorkerSet) -> None:
        """Tell the user of a refusal that concerns them."""
        note = refusal.step.failed
        if note is not None:
            text = f"{note.text}: {refusal.error}"
            self._record((replace(note, text=text, type="Warning"),), lws)

    def _write(self, write: Write) -> None:
        cluster = self.runtime.cluster
        match write:
            case Create(kind, body, or_exists):
                try:
                    self.wrote(cluster.create(kind, body))
                except AlreadyExists:
                    if not or_exists:
                        raise
            case Apply(kind, body, manager):
                self.wrote(cluster.apply(kind, body, manager=manager))
            case Merge(kind, namespace, name, body, subresource):
                self.wrote(cluster.merge(kind, namespace, name, body, subresource=subresource))
            case Delete(kind, namespace, name, uid, propagation):
                try:
                    cluster.delete(kind, namespace, name, uid=uid, propagation=propagation)
                except NotFound:
                    return

    def _record(self, notes: Sequence[Note], lws: LeaderWorkerSet) -> None:
        recorder: Recorder = self.runtime.recorder
        for note in notes:
            recorder.event(
                LEADER_WORKER_SET,
                lws,
                type=note.type,
                reason=note.reason,
                action=note.action,
                note=note.text,
                related=note.related,
            )
