"""The status of a LeaderWorkerSet: counts, conditions, and the event that tells of a change.

All conditions are decided together from what is observed, so they are right after one pass: at most one of Available
and Progressing holds, UpdateInProgress only with Progressing. UpdateInProgress starts when a desired group is seen at
another revision and lasts until every desired group is updated and ready. Transition times move only when the truth of
a condition does; a condition that no longer holds keeps its reason and message.

Failed is not part of the API: it comes only where groups have a restart budget and one has used it up.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from lws_sched.api import names
from lws_sched.api.core import Condition
from lws_sched.api.lws import LeaderWorkerSet, LeaderWorkerSetStatus
from lws_sched.core.group import Group
from lws_sched.core.rollout import configuration

AVAILABLE = "Available"
PROGRESSING = "Progressing"
UPDATE_IN_PROGRESS = "UpdateInProgress"
FAILED = "Failed"
_FAILED_REASON = "GroupRestartLimitReached"
_TEXTS: Mapping[str, tuple[str, str]] = {
    UPDATE_IN_PROGRESS: ("GroupsUpdating", "Rolling Upgrade is in progress"),
    PROGRESSING: ("GroupsProgressing", "Replicas are progressing"),
    AVAILABLE: ("AllGroupsReady", "All replicas are ready"),
}
"""Reason and message by type, in the order in which new conditions are added and events are chosen."""


@dataclass(frozen=True)
class Observation:
    """What the status is decided from."""

    groups: Mapping[int, Group]
    """By group index, surge groups included."""
    revision_key: str
    replicas: int
    """Leader pods that the leader StatefulSet reports."""
    failed: Mapping[int, str] = field(default_factory=dict)
    """Groups that are left as they are, by index, and why."""


@dataclass(frozen=True)
class Progress:
    """How far the desired groups are."""

    all_ready: bool
    all_done: bool
    """Every group that the rollout must reach (partition <= index < replicas) is updated and ready."""
    any_outdated: bool


def progress(lws: LeaderWorkerSet, seen: Observation) -> Progress:
    replicas = lws.spec.replicas
    rolled = range(min(configuration(lws).partition, replicas), replicas)
    groups, key = seen.groups, seen.revision_key
    return Progress(
        all_ready=all(index in groups and groups[index].is_ready for index in range(replicas)),
        all_done=all(index in groups and groups[index].is_ready and groups[index].is_updated(key) for index in rolled),
        any_outdated=any(index in groups and groups[index].is_outdated(key) for index in rolled),
    )


def is_update_done(lws: LeaderWorkerSet, seen: Observation) -> bool:
    """Whether no group needs an older revision any more: they may be deleted."""
    return configuration(lws).partition == 0 and progress(lws, seen).all_done


def next_status(lws: LeaderWorkerSet, seen: Observation, now: str) -> LeaderWorkerSetStatus:
    """The status to write; equal to the present one where nothing changed. `now` is RFC 3339."""
    groups = seen.groups.values()
    return LeaderWorkerSetStatus(
        conditions=_with_failure(_conditions(lws, _truths(lws, progress(lws, seen)), now), lws, seen.failed, now),
        replicas=seen.replicas,
        ready_replicas=sum(group.is_ready for group in groups),
        updated_replicas=sum(group.is_updated(seen.revision_key) for group in groups),
        hpa_pod_selector=lws.status.hpa_pod_selector or _selector(lws),
        observed_generation=lws.metadata.generation,
    )


def transition(lws: LeaderWorkerSet, status: LeaderWorkerSetStatus) -> tuple[str, str] | None:
    """Reason and note of the event that a new status calls for: one where a condition's truth changed, else None."""
    before, after = _true_types(lws.status), _true_types(status)
    if before == after:
        return None
    reason, message = next(text for type_, text in _TEXTS.items() if type_ in after)
    ready, replicas = status.ready_replicas, lws.spec.replicas
    return reason, f"{message}, with {ready} groups ready of total {replicas} groups"


def wire(status: LeaderWorkerSetStatus) -> dict[str, Any]:
    """The status as a merge patch: whole, with null for what is zero."""
    written: dict[str, Any] = {
        "replicas": status.replicas or None,
        "readyReplicas": status.ready_replicas or None,
        "updatedReplicas": status.updated_replicas or None,
        "hpaPodSelector": status.hpa_pod_selector,
        "observedGeneration": status.observed_generation or None,
    }
    written["conditions"] = [_wire_condition(condition) for condition in status.conditions]
    return written


def _selector(lws: LeaderWorkerSet) -> str:
    return f"{names.SET_NAME}={lws.metadata.name},{names.WORKER_INDEX}=0"


def _truths(lws: LeaderWorkerSet, seen: Progress) -> frozenset[str]:
    was_updating = UPDATE_IN_PROGRESS in _true_types(lws.status)
    if seen.any_outdated or (was_updating and not seen.all_done):
        return frozenset((UPDATE_IN_PROGRESS, PROGRESSING))
    return frozenset((AVAILABLE,)) if seen.all_ready and seen.all_done else frozenset((PROGRESSING,))


def _conditions(lws: LeaderWorkerSet, truths: frozenset[str], now: str) -> tuple[Condition, ...]:
    generation, present = lws.metadata.generation, lws.status.conditions
    kept = tuple(_kept(condition, condition.type in truths, generation, now) for condition in present)
    known = {condition.type for condition in present}
    return kept + tuple(_fresh(type_, generation, now) for type_ in _TEXTS if type_ in truths and type_ not in known)


def _with_failure(
    conditions: tuple[Condition, ...], lws: LeaderWorkerSet, failed: Mapping[int, str], now: str
) -> tuple[Condition, ...]:
    """The conditions with Failed brought up to date: absent until a group fails, then True or False."""
    known = next((condition for condition in conditions if condition.type == FAILED), None)
    if known is None and not failed:
        return conditions
    is_true, was_true = bool(failed), known is not None and known.status == "True"
    written = Condition(
        type=FAILED,
        status=str(is_true),
        reason=_FAILED_REASON,
        message="; ".join(text for _, text in sorted(failed.items())) or (known.message if known else ""),
        last_transition_time=known.last_transition_time if known and is_true == was_true else now,
        observed_generation=lws.metadata.generation,
    )
    return (*(condition for condition in conditions if condition.type != FAILED), written)


def _kept(condition: Condition, holds: bool, generation: int, now: str) -> Condition:
    is_true = condition.status == "True"
    if condition.type in _TEXTS and holds:
        return _fresh(condition.type, generation, condition.last_transition_time if is_true else now)
    if condition.type not in _TEXTS or not is_true:
        return msgspec.structs.replace(condition, observed_generation=generation)
    return msgspec.structs.replace(condition, status="False", last_transition_time=now, observed_generation=generation)


def _fresh(type_: str, generation: int, since: str) -> Condition:
    reason, message = _TEXTS[type_]
    return Condition(
        type=type_,
        status="True",
        reason=reason,
        message=message,
        last_transition_time=since,
        observed_generation=generation,
    )


def _true_types(status: LeaderWorkerSetStatus) -> frozenset[str]:
    return frozenset(_TEXTS.keys() & {condition.type for condition in status.conditions if condition.status == "True"})


def _wire_condition(condition: Condition) -> dict[str, Any]:
    """metav1.Condition requires all of these, empty or not."""
    return {
        "type": condition.type,
        "status": condition.status,
        "reason": condition.reason,
        "message": condition.message,
        "lastTransitionTime": condition.last_transition_time,
        "observedGeneration": condition.observed_generation,
    }
