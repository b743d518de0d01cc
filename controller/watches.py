"""The controller's view of the cluster: informers, the indexes over them, and which change concerns which key.

A set's key is `namespace/name` of its LeaderWorkerSet; a group's key is `namespace/leader pod name`. Only objects that
carry the LeaderWorkerSet label are watched. Leader StatefulSets are decoded whole, because they are compared whole;
worker StatefulSets, of which there are many more, are not.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from lws_sched.api import names
from lws_sched.api.core import (
    CONTROLLER_REVISION,
    POD,
    SERVICE,
    STATEFUL_SET,
    ControllerRevision,
    Pod,
    Service,
    StatefulSet,
)
from lws_sched.api.lws import LEADER_WORKER_SET, LeaderWorkerSet
from lws_sched.api.meta import Meta, Object, key_of, split_key
from lws_sched.controller.lost import LostPods
from lws_sched.core import group
from lws_sched.core.applied import WHOLE_STATEFUL_SET, WholeStatefulSet
from lws_sched.core.revision import REVISIONS_OF_SETS
from lws_sched.kube.port import Change, Informer, Queue, Runtime

_FEW_GROUPS = 20
_SECONDS_PER_GROUP = 0.001
"""How long a change of one group waits for others, per group of its set: several times what counting them and writing
the status takes, of which the API server does most."""
_BY_SET = "set"
_BY_GROUP = "group"
_LEADERS_BY_SET = "leaders"
_LEADERS = f"{names.SET_NAME},!{names.GROUP_INDEX}"
_WORKERS = f"{names.SET_NAME},{names.GROUP_INDEX}"


@dataclass(frozen=True)
class Watches:
    """All informers of the controller."""

    sets: Informer[LeaderWorkerSet]
    leader_sets: Informer[WholeStatefulSet]
    worker_sets: Informer[StatefulSet]
    pods: Informer[Pod]
    services: Informer[Service]
    revisions: Informer[ControllerRevision]

    def pods_of_group(self, key: str) -> list[Pod]:
        return self.pods.by_index(_BY_GROUP, key)

    def leaders_of_set(self, key: str) -> list[Pod]:
        return self.pods.by_index(_LEADERS_BY_SET, key)

    def revisions_of_set(self, key: str) -> list[ControllerRevision]:
        return self.revisions.by_index(_BY_SET, key)

    def learn(self, obj: Object) -> None:
        """Take in what a write answered."""
        match obj:
            case LeaderWorkerSet():
                self.sets.learn(obj)
            case WholeStatefulSet():
                self.leader_sets.learn(obj)
            case StatefulSet():
                self.worker_sets.learn(obj)
            case Service():
                self.services.learn(obj)
            case ControllerRevision():
                self.revisions.learn(obj)


def open_watches(runtime: Runtime) -> Watches:
    """The informers, with nobody subscribed yet."""
    return Watches(
        sets=runtime.informer(LEADER_WORKER_SET),
        leader_sets=runtime.informer(WHOLE_STATEFUL_SET, labels=_LEADERS),
        worker_sets=runtime.informer(STATEFUL_SET, labels=_WORKERS),
        pods=runtime.informer(
            POD, indexes={_LEADERS_BY_SET: _sets_of_leaders, _BY_GROUP: _groups_of}, labels=names.SET_NAME
        ),
        services=runtime.informer(SERVICE, labels=names.SET_NAME),
        revisions=runtime.informer(CONTROLLER_REVISION, indexes={_BY_SET: _sets_of}, labels=REVISIONS_OF_SETS),
    )


def is_leader(pod: Pod) -> bool:
    return pod.metadata.labels.get(names.WORKER_INDEX) == "0"


def set_key(meta: Meta) -> str:
    """The key of the set that a labelled object belongs to."""
    return f"{meta.namespace}/{meta.labels.get(names.SET_NAME, '')}"


def group_key(pod: Pod) -> str:
    """The key of the group that a pod belongs to."""
    meta = pod.metadata
    if is_leader(pod):
        return key_of(pod)
    parts = names.parent_and_ordinal(meta.name)
    return f"{meta.namespace}/{parts[0] if parts else meta.name}"


def _sets_of(revision: ControllerRevision) -> Iterable[str]:
    return (set_key(revision.metadata),)


def _sets_of_leaders(pod: Pod) -> Iterable[str]:
    return (set_key(pod.metadata),) if is_leader(pod) else ()


def _groups_of(pod: Pod) -> Iterable[str]:
    return (group_key(pod),)


@dataclass(frozen=True)
class Subscriptions:
    """From a change to the keys that it concerns."""

    watches: Watches
    sets: Queue
    groups: Queue
    lost: LostPods

    def start(self) -> None:
        self.watches.sets.subscribe(self._set_changed)
        self.watches.leader_sets.subscribe(self._leaders_changed)
        self.watches.worker_sets.subscribe(self._workers_changed)
        self.watches.pods.subscribe(self._pod_changed)
        self.watches.services.subscribe(self._service_changed)
        self.watches.revisions.subscribe(self._revision_changed)

    def wrote(self, obj: Object) -> None:
        """Take in what a write answered. The watch will not tell of it: whom else it concerns hears it here."""
        self.watches.learn(obj)
        match obj:
            case WholeStatefulSet():
                self.sets.add(set_key(obj.metadata))
            case StatefulSet():
                self._recount(set_key(obj.metadata))

    def _set_changed(self, change: Change[LeaderWorkerSet]) -> None:
        key = key_of(change.latest)
        self.sets.add(key)
        if change.old is None or change.new is None or _is_edited(change.old, change.new):
            for leader in self.watches.leaders_of_set(key):
                self.groups.add(key_of(leader))

    def _leaders_changed(self, change: Change[WholeStatefulSet]) -> None:
        """How many of its leaders are ready is read from the leaders."""
        old, new, key = change.old, change.new, set_key(change.latest.metadata)
        if old is None or new is None or _what_is_applied(old) != _what_is_applied(new):
            self.sets.add(key)
        elif old.status.replicas != new.status.replicas:
            self._recount(key)

    def _workers_changed(self, change: Change[StatefulSet]) -> None:
        """The set counts its ready groups; the group may have lost its workers, or may have them now. That one worker
        of many is ready concerns neither."""
        old, new = change.old, change.new
        is_edited = old is None or new is None or _identity(old.metadata) != _identity(new.metadata)
        if is_edited:
            self.groups.add(key_of(change.latest))
        if is_edited or (old and new and group.is_available(old) != group.is_available(new)):
            self._recount(set_key(change.latest.metadata))

    def _pod_changed(self, change: Change[Pod]) -> None:
        pod = change.latest
        if change.old is not None and change.new is not None and _what_matters(change.old) == _what_matters(change.new):
            return
        if is_leader(pod) and _what_a_set_counts(change.old) != _what_a_set_counts(change.new):
            self._recount(set_key(pod.metadata))
        if change.new is None:
            self.lost.add(group_key(pod), pod)
        self.groups.add(group_key(pod))

    def _recount(self, key: str) -> None:
        """One group of the set changed. Of many groups others will too, within moments: they are counted together, or
        a large set coming up would be counted without end."""
        lws = self.watches.sets.get(*split_key(key))
        groups = 0 if lws is None else lws.spec.replicas
        self.sets.add_after(key, groups * _SECONDS_PER_GROUP if groups > _FEW_GROUPS else 0.0)

    def _service_changed(self, change: Change[Service]) -> None:
        key = key_of(change.latest)
        (self.sets if key == set_key(change.latest.metadata) else self.groups).add(key)

    def _revision_changed(self, change: Change[ControllerRevision]) -> None:
        """Groups wait for a revision that is missing; the set makes it again."""
        self.sets.add(set_key(change.latest.metadata))


def _what_matters(pod: Pod) -> tuple[object, ...]:
    """What a group or its set is decided from. Whether a worker is ready concerns its StatefulSet alone. Where a member
    stands matters only to workers that follow their leader, and lws-sched's do not: a binding, the most frequent change
    of all, then concerns nobody here."""
    meta, status = pod.metadata, pod.status
    restarts = [each.restart_count for each in (*status.init_container_statuses, *status.container_statuses)]
    is_ready = is_leader(pod) and group.has_ready_condition(pod)
    node = "" if pod.spec.scheduler_name == names.SCHEDULER else pod.spec.node_name
    labels = names.given_labels(meta.labels)
    return (
        *(meta.uid, meta.deletion_timestamp, labels, meta.annotations, meta.owner_references),
        *(status.phase, restarts, is_ready, node),
    )


def _identity(meta: Meta) -> tuple[object, ...]:
    """What of an object others write only when they mean it: not its status."""
    return meta.uid, meta.generation, meta.deletion_timestamp, meta.labels, meta.owner_references


def _what_is_applied(leaders: WholeStatefulSet) -> tuple[object, ...]:
    return _identity(leaders.metadata), leaders.metadata.annotations


def _what_a_set_counts(leader: Pod | None) -> tuple[object, ...] | None:
    """What a set's rollout and status are decided from, of a leader."""
    if leader is None:
        return None
    meta = leader.metadata
    return meta.uid, meta.deletion_timestamp, meta.labels, meta.annotations, group.is_ready(leader)


def _is_edited(old: LeaderWorkerSet, new: LeaderWorkerSet) -> bool:
    """Not just a new status."""
    return (old.metadata.generation, old.metadata.annotations, old.metadata.labels) != (
        new.metadata.generation,
        new.metadata.annotations,
        new.metadata.labels,
    )
