"""What one LeaderWorkerSet needs now: its revision, leader StatefulSet, service and status, as a plan.

`plan` is a pure function of a snapshot; a rollout takes several, so after every write of the leader StatefulSet it asks
to be called again. The order of its steps is what makes a crash between any two of them harmless:
the revision is stored before anything carries its key, and old revisions go only after the status says that no group
needs them. What is already so makes no step.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from lws_sched.api import names
from lws_sched.api.core import CONTROLLER_REVISION, SERVICE, ControllerRevision, Pod, Service, StatefulSet
from lws_sched.api.lws import LEADER_WORKER_SET, LeaderWorkerSet
from lws_sched.api.quantity import InvalidQuantity
from lws_sched.controller.effects import (
    CREATE,
    DELETE,
    UPDATE,
    Apply,
    Create,
    Delete,
    Merge,
    Note,
    Plan,
    Step,
    reference,
)
from lws_sched.core import desired, group, restart_budget, revision, rollout, status
from lws_sched.core.applied import FIELD_MANAGER, WHOLE_STATEFUL_SET, WholeStatefulSet, fingerprint, is_applied
from lws_sched.core.ownership import is_controlled_by

_TERMINATING_SECONDS = 5.0


@dataclass(frozen=True)
class SetSnapshot:
    """Everything that concerns one set, as the watches show it."""

    lws: LeaderWorkerSet
    content: revision.Data
    """What is versioned of the live set: `revision.data(lws)`."""
    leader_set: WholeStatefulSet | None
    leaders: Sequence[Pod]
    worker_sets: Mapping[str, StatefulSet]
    """By name, those that exist for the leaders."""
    revisions: Sequence[ControllerRevision]
    service: Service | None
    now: str
    """RFC 3339."""
    futile: bytes = b""
    """Fingerprint of an apply that is known to change nothing, though the live object differs."""


@dataclass(frozen=True)
class _Version:
    """The revision to roll out."""

    key: str
    is_new: bool
    """The live templates are not those of the revision that the leader StatefulSet carries."""
    steps: tuple[Step, ...]


def plan(snapshot: SetSnapshot) -> Plan:
    """The steps that bring the set to where its spec wants it."""
    lws, leader_set = snapshot.lws, snapshot.leader_set
    if leader_set is not None:
        if leader_set.metadata.deletion_timestamp:
            return Plan(again=_TERMINATING_SECONDS)
        if leader_set.metadata.controller is not None and not is_controlled_by(leader_set.metadata, lws.metadata):
            return _occupied(leader_set)
    version = _version(snapshot)
    groups = _groups(snapshot)
    replicas = 0 if leader_set is None else leader_set.status.replicas
    seen = status.Observation(groups, version.key, replicas, _failed(snapshot, groups))
    applied = _leader_set_steps(snapshot, version, groups)
    return Plan(
        steps=(
            *version.steps,
            *applied,
            *_service_steps(snapshot, version, seen),
            *_status_steps(snapshot, seen),
            *_truncation_steps(snapshot, version, seen),
        ),
        again=0.0 if applied else None,
    )


def unversionable(error: InvalidQuantity) -> Plan:
    """The set was admitted without its webhook. Nothing can be made of it before it is edited."""
    text = f"Failed to create revision: spec.leaderWorkerTemplate.{error.path}: {error}; correct it"
    return Plan(notes=(Note("FailedCreate", text, CREATE, type="Warning"),))


def _occupied(leader_set: WholeStatefulSet) -> Plan:
    """The name belongs to somebody else; a former set of the same name is being collected and needs no words."""
    owner = leader_set.metadata.controller
    assert owner is not None
    if owner.kind == LEADER_WORKER_SET.kind and owner.name == leader_set.metadata.name:
        return Plan(again=_TERMINATING_SECONDS)
    name = leader_set.metadata.name
    text = (
        f"Failed to update leader statefulset {name}: a StatefulSet of this name belongs to {owner.kind} {owner.name}; "
        "delete it or choose another name for the LeaderWorkerSet"
    )
    return Plan(notes=(Note("FailedUpdate", text, UPDATE, type="Warning"),), again=60.0)


# --- revision --------------------------------------------------------------------------------------------------------
def _version(snapshot: SetSnapshot) -> _Version:
    lws, content = snapshot.lws, snapshot.content
    stored = revision.owned(snapshot.revisions, lws)
    label = "" if snapshot.leader_set is None else snapshot.leader_set.metadata.labels.get(names.REVISION, "")
    own_key = revision.key(content)
    current = revision.find(stored, label or own_key)
    if current is None:
        text = (
            f"Creating missing revision with key {label} for existing LeaderWorkerSet"
            if label
            else f"Creating revision with key {own_key} for a newly created LeaderWorkerSet"
        )
        key = label or own_key
        return _Version(key, is_new=False, steps=(_revision_step(snapshot, key, stored, text),))
    if revision.equal(current, content):
        return _Version(label or own_key, is_new=False, steps=())
    known = revision.find(stored, own_key)
    if known is not None and revision.equal(known, content):
        return _Version(own_key, is_new=True, steps=())
    text = f"Creating revision with key {own_key} for updated LWS"
    return _Version(own_key, is_new=True, steps=(_revision_step(snapshot, own_key, stored, text),))


def _revision_step(snapshot: SetSnapshot, key: str, stored: Sequence[ControllerRevision], text: str) -> Step:
    body = revision.body(snapshot.lws, snapshot.content, key, stored)
    made = reference(CONTROLLER_REVISION, snapshot.lws.metadata.namespace, body["metadata"]["name"])
    return Step(Create(CONTROLLER_REVISION, body), done=(Note("CreatingRevision", text, CREATE, related=made),))


def _truncation_steps(snapshot: SetSnapshot, version: _Version, seen: status.Observation) -> list[Step]:
    lws = snapshot.lws
    if not status.is_update_done(lws, seen):
        return []
    return [
        Step(Delete(CONTROLLER_REVISION, lws.metadata.namespace, old.metadata.name, old.metadata.uid))
        for old in revision.owned(snapshot.revisions, lws)
        if old.metadata.labels.get(names.REVISION) != version.key
    ] + _forgetting_steps(snapshot, version)


def _forgetting_steps(snapshot: SetSnapshot, version: _Version) -> list[Step]:
    """Records of restarts of groups that are gone, or of revisions that are, mean nothing any more."""
    live = snapshot.leader_set
    if live is None:
        return []
    meta = live.metadata
    past = restart_budget.past(meta.annotations, version.key, snapshot.lws.spec.replicas)
    body = {"metadata": {"uid": meta.uid, "annotations": dict.fromkeys(past)}}
    return [Step(Merge(WHOLE_STATEFUL_SET, meta.namespace, meta.name, body))] if past else []


# --- leader StatefulSet ----------------------------------------------------------------------------------------------
def _groups(snapshot: SetSnapshot) -> dict[int, group.Group]:
    found: dict[int, group.Group] = {}
    for leader in snapshot.leaders:
        index = group.index_of(snapshot.lws, leader)
        if index is not None:
            workers = snapshot.worker_sets.get(leader.metadata.name)
            found[index] = group.observed(snapshot.lws, leader, workers)
    return found


def _leader_set_steps(snapshot: SetSnapshot, version: _Version, groups: Mapping[int, group.Group]) -> list[Step]:
    lws, live = snapshot.lws, snapshot.leader_set
    current = None if live is None else live.current
    states = [
        rollout.State(groups[index].is_ready, groups[index].is_updated(version.key))
        if index in groups
        else rollout.State()
        for index in range(max(lws.spec.replicas, 0 if current is None else current.replicas))
    ]
    planned = rollout.next_rollout(lws, current, states, is_new=version.is_new)
    body = desired.leader_stateful_set(lws, version.key, planned)
    if live is not None and (is_applied(live, body) or fingerprint(live, body) == snapshot.futile):
        return []
    name, write = lws.metadata.name, Apply(WHOLE_STATEFUL_SET, body, FIELD_MANAGER)
    if current is None:
        created = Note("GroupsProgressing", f"Created leader statefulset {name}", CREATE)
        return [Step(write, (created,), Note("FailedCreate", f"Failed to create leader statefulset {name}", CREATE))]
    notes = _rollout_notes(lws, current, planned, is_new=version.is_new)
    return [Step(write, notes, Note("FailedUpdate", f"Failed to update leader statefulset {name}", UPDATE))]


def _rollout_notes(
    lws: LeaderWorkerSet, current: rollout.Current, planned: rollout.Rollout, *, is_new: bool
) -> tuple[Note, ...]:
    name, notes = lws.metadata.name, []
    if rollout.is_reclaiming(lws, current, planned):
        first, last = planned.replicas, current.replicas - 1
        text = (
            f"deleting surge replica {name}-{first}"
            if first == last
            else f"deleting surge replicas from {name}-{first} to {name}-{last}"
        )
        notes.append(Note("GroupsProgressing", text, DELETE))
    if not is_new and planned.partition < current.partition:
        first, last = planned.partition, current.partition - 1
        text = f"Updating replica {first}" if first == last else f"Updating replicas {first} to {last} (inclusive)"
        notes.append(Note("GroupsUpdating", text, UPDATE))
    return tuple(notes)


def _failed(snapshot: SetSnapshot, groups: Mapping[int, group.Group]) -> dict[int, str]:
    """Groups that have used up their restart budget, with the sentence that says so."""
    limits = restart_budget.limits(snapshot.lws)
    if limits is None or snapshot.leader_set is None:
        return {}
    annotations = snapshot.leader_set.metadata.annotations
    records = ((index, restart_budget.record_of(annotations, str(index))) for index in groups)
    return {
        index: restart_budget.message(str(index), record)
        for index, record in records
        if record is not None and restart_budget.is_final(limits, record, groups[index].leader)
    }


# --- service and status ----------------------------------------------------------------------------------------------
def _service_steps(snapshot: SetSnapshot, version: _Version, seen: status.Observation) -> list[Step]:
    """The shared service: for a set that shares it, and for as long as a group of an older revision does. Groups' own
    services go with their leaders."""
    lws, service = snapshot.lws, snapshot.service
    is_needed = not desired.is_unique_per_replica(lws) or any(
        leader.metadata.labels.get(names.REVISION) != version.key and not desired.is_made_unique(leader)
        for leader in snapshot.leaders
    )
    if is_needed and service is None:
        failed = Note("FailedCreate", "Failed to create headless service for error", CREATE)
        return [Step(Create(SERVICE, desired.shared_service(lws), or_exists=True), failed=failed)]
    # Before the update is done a leader that is down may come back as it was made, and its workers look for this.
    if is_needed or service is None or not status.is_update_done(lws, seen):
        return []
    if not is_controlled_by(service.metadata, lws.metadata):
        return []
    return [Step(Delete(SERVICE, lws.metadata.namespace, service.metadata.name, service.metadata.uid))]


def _status_steps(snapshot: SetSnapshot, seen: status.Observation) -> list[Step]:
    lws, meta = snapshot.lws, snapshot.lws.metadata
    written = status.next_status(lws, seen, snapshot.now)
    if written == lws.status:
        return []
    changed = status.transition(lws, written)
    notes = () if changed is None else (Note(*changed, UPDATE),)
    body = {"metadata": {"resourceVersion": meta.resource_version}, "status": status.wire(written)}
    return [Step(Merge(LEADER_WORKER_SET, meta.namespace, meta.name, body, subresource="status"), notes)]
