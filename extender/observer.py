"""What is seen of a group: its set, the place it should have, its record and its pods. Reads only, from watches.

The one question that costs a request is what admission makes of a template (`shapes`); it is asked once per revision.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TypeVar

from lws_sched.api import names
from lws_sched.api import placement as api
from lws_sched.api.core import ControllerRevision, Pod, StatefulSet
from lws_sched.api.lws import LeaderWorkerSet
from lws_sched.api.meta import key_of, split_key
from lws_sched.api.placement import GroupPlacement
from lws_sched.api.quantity import InvalidQuantity
from lws_sched.api.timestamps import micro_time, seconds_of
from lws_sched.core import revision
from lws_sched.extender import life, records
from lws_sched.extender.barrier import Barrier
from lws_sched.extender.commit import Committer
from lws_sched.extender.ledger import Ledger
from lws_sched.extender.life import View
from lws_sched.extender.records import RecordStore, Stamp
from lws_sched.extender.shapes import REMEMBERED, AdmittedShapes
from lws_sched.extender.stages import is_made_by, is_member
from lws_sched.intake import wanted
from lws_sched.intake.shapes import member_shapes
from lws_sched.intake.wanted import MemberShapes, SetReading, WantedGroup
from lws_sched.kube.port import Informer, Runtime

Key = TypeVar("Key", bound=Hashable)

BY_GROUP = "group"
BY_SET = "set"
BY_PREDECESSOR = "predecessor"
ON_NODE = "node"
VETOED = "vetoed"


@dataclass(frozen=True)
class Sources:
    """The informers that the planner reads."""

    sets: Informer[LeaderWorkerSet]
    stateful_sets: Informer[StatefulSet]
    pods: Informer[Pod]
    records: Informer[GroupPlacement]
    revisions: Informer[ControllerRevision]


@dataclass
class Observer:
    """Makes views of groups. Groups are named by key, `namespace/leader`."""

    runtime: Runtime
    sources: Sources
    ledger: Ledger
    records: RecordStore
    committer: Committer
    barrier: Barrier
    shapes: AdmittedShapes = field(init=False)
    _revisions: dict[str, tuple[int, str]] = field(default_factory=dict)
    """Generation and revision hash by the set's UID."""
    _restored: dict[tuple[str, str], tuple[int, LeaderWorkerSet]] = field(default_factory=dict)
    """Generation and the set at an older revision, by the set's UID and that revision."""
    _attended_at: dict[tuple[str, int], float] = field(default_factory=dict)
    """When the StatefulSet controller was first seen to have looked at a StatefulSet, by UID and generation."""
    _missed_at: dict[str, float] = field(default_factory=dict)
    """When a node on which members stand was first missed, by its name."""
    _readings: dict[tuple[str, str], SetReading] = field(default_factory=dict)
    """By the set's UID and, for a set at an older revision, that revision."""

    def __post_init__(self) -> None:
        self.shapes = AdmittedShapes(self.runtime)

    def stamp(self) -> Stamp:
        return Stamp(self.runtime.epoch(), self.runtime.clock.now())

    def view(self, group: str) -> View:
        record = self.records.get(group)
        if record is None or record.status.state != api.COMMITTED:
            self.committer.forget(group)
        pods = self._members(group)
        return View(
            record=record,
            wanted=self._wanted(group),
            pods=pods,
            is_healthy=partial(self.ledger.is_healthy, domain=records.required_domain(record) if record else None),
            is_overfull=self.ledger.is_overfull,
            missed_since=self._missed_since,
            stamp=self.stamp(),
            committing=self.committer.is_committing(group),
            attended=self._attended(record, pods),
            posted=record is not None and self.committer.has_posted(record),
            is_rush=self.committer.was_busy(life.BOUND_SECONDS),
            held=self.barrier.held(group),
        )

    def may_be_wanted(self, group: str) -> bool:
        """Whether the group's set wants it, or is not known yet: it is about to be, as its pods cannot come before."""
        namespace, leader = split_key(group)
        parts = names.parent_and_ordinal(leader)
        if parts is None or self.sources.sets.get(namespace, parts[0]) is None:
            return True
        found = self._set_of(group)
        return found is not None and not self.reading(found[0]).is_queued

    def reading(self, lws: LeaderWorkerSet, at: str = "") -> SetReading:
        """What the set says, kept until there is a newer version of it. `at`: the older revision that it shows."""
        key = (lws.metadata.uid, at)
        known = self._readings.get(key)
        if known is None or known.lws is not lws:
            if len(self._readings) >= REMEMBERED:
                self._readings.clear()
            known = self._readings[key] = SetReading(lws)
        return known

    def leader_replicas(self, lws: LeaderWorkerSet) -> int | None:
        leaders = self.sources.stateful_sets.get(lws.metadata.namespace, lws.metadata.name)
        return leaders.spec.replicas if leaders else None

    def shaped(self, group: WantedGroup) -> WantedGroup:
        """The group with the shapes of its members. Raises what the API server answers when it cannot say now."""
        if group.is_of_pods:
            return replace(group, shapes=self._shapes_of_pods(self._members(group.key)))
        found = self._set_of(group.key)
        if found is None:
            return group
        return replace(group, shapes=self.shapes.of(self._at(found[0], group.revision), group.revision))

    def wanted_since(self, group: WantedGroup, record: GroupPlacement | None) -> str:
        """When the group began to want a place, RFC 3339: its record tells; of groups that have none yet, those of a
        new set are as old as the set, and those that a set has grown by are the youngest of all."""
        if record is not None and record.metadata.creation_timestamp:
            created, waits = seconds_of(record.metadata.creation_timestamp), seconds_of(record.status.since)
            is_first = record.status.state == api.WAITING and int(waits) == int(created)
            return micro_time(waits if is_first else created)
        siblings = self.sources.records.by_index(BY_SET, f"{group.namespace}/{group.set_name}")
        # The API server's times are whole seconds: of one second, those with a record came first.
        return micro_time(self.runtime.clock.now() if siblings else seconds_of(group.created) + 0.999999)

    def _set_of(self, group: str) -> tuple[LeaderWorkerSet, int] | None:
        """The LeaderWorkerSet that wants this group, and the group's index."""
        namespace, leader = split_key(group)
        parts = names.parent_and_ordinal(leader)
        lws = self.sources.sets.get(namespace, parts[0]) if parts else None
        if lws is None or parts is None or lws.metadata.deletion_timestamp:
            return None
        reading = self.reading(lws)
        if not reading.is_ours or reading.unsupported:
            return None
        if parts[1] >= wanted.group_count(lws, self.leader_replicas(lws)):
            return None
        if not self._revision(lws):
            return None
        return lws, parts[1]

    def _wanted(self, group: str) -> WantedGroup | None:
        """The group as its set wants it now; where it has a leader, of that leader's revision and size."""
        found = self._set_of(group)
        if found is None:
            return self._wanted_by_pods(group)
        lws, index = found
        leader = self.sources.pods.get(*split_key(group))
        current, size = self._revision(lws), lws.spec.leader_worker_template.size
        if leader is None or life.is_leaving(leader):
            return self.reading(lws).group(index, revision=current, size=size)
        current = life.revision_of(leader) or current
        reading = self.reading(self._at(lws, current), current)
        return reading.group(index, revision=current, size=life.size_of(leader) or size)

    def _wanted_by_pods(self, group: str) -> WantedGroup | None:
        """A group of plain pods: its leader carries the labels and the size, and there is no set of that name."""
        namespace, name = split_key(group)
        parts, leader = names.parent_and_ordinal(name), self.sources.pods.get(namespace, name)
        if parts is None or leader is None or self.sources.sets.get(namespace, parts[0]) is not None:
            return None
        is_leader = leader.metadata.labels.get(names.WORKER_INDEX) == "0" and is_member(leader)
        size = life.size_of(leader)
        if not is_leader or not size or leader.metadata.controller is not None or life.is_leaving(leader):
            return None
        return wanted.group_of_pods(*parts, leader, size)

    def _shapes_of_pods(self, pods: Mapping[int, Pod]) -> MemberShapes:
        """What the members ask for that are there: admission has seen them already."""
        leader, worker = pods[0].spec, pods[max(pods, key=lambda index: (index > 0, -index))].spec
        return member_shapes((leader, worker))

    def _at(self, lws: LeaderWorkerSet, key: str) -> LeaderWorkerSet:
        """The set as it was at a revision: a group below a rollout's partition keeps its templates. Where the revision
        is not known, as the set is now."""
        meta = lws.metadata
        if key == self._revision(lws):
            return lws
        known = self._restored.get((meta.uid, key))
        if known is None or known[0] != meta.generation:
            revisions = self.sources.revisions.by_index(BY_SET, key_of(lws))
            found = revision.find(revision.owned(revisions, lws), key)
            if found is None:
                return lws
            if len(self._restored) >= REMEMBERED:
                self._restored.clear()
            known = self._restored[meta.uid, key] = (meta.generation, revision.restored(lws, found))
        return known[1]

    def _revision(self, lws: LeaderWorkerSet) -> str:
        """The hash that new members of the set will carry, worked out once per generation; "" where the set cannot be
        versioned, of which its controller tells."""
        meta = lws.metadata
        known = self._revisions.get(meta.uid)
        if known is None or known[0] != meta.generation:
            try:
                made = revision.key(revision.data(lws))
            except InvalidQuantity:
                made = ""
            known = self._revisions[meta.uid] = (meta.generation, made)
        return known[1]

    def _missed_since(self, node: str) -> float:
        """As `View.missed_since`."""
        if not self.ledger.is_gone(node):
            self._missed_at.pop(node, None)
            return math.inf
        return self._since(self._missed_at, node)

    def _attended(self, record: GroupPlacement | None, pods: Mapping[int, Pod]) -> float:
        """As `View.attended`: of the StatefulSet of the leaders as long as there is no leader, then of the workers'."""
        if record is None or record.status.state != api.RESERVED or len(pods) >= record.spec.size:
            return 0.0
        leader = pods.get(0)
        if leader is not None and leader.metadata.controller is None:
            return 0.0
        name = record.spec.leader_worker_set if leader is None else record.metadata.name
        maker = self.sources.stateful_sets.get(record.metadata.namespace, name)
        if maker is None:
            return 0.0 if leader is None else math.inf
        if not maker.is_attended:
            return math.inf
        return self._since(self._attended_at, (maker.metadata.uid, maker.metadata.generation))

    def _since(self, first_seen: dict[Key, float], key: Key) -> float:
        """When it was first asked about; the first time, now."""
        if key not in first_seen and len(first_seen) >= REMEMBERED:
            first_seen.clear()
        return first_seen.setdefault(key, self.runtime.clock.now())

    def _members(self, group: str) -> Mapping[int, Pod]:
        """The pods of a group by worker index. A pod whose name does not fit its labels is nobody's member; nor is one
        that carries the labels of a set's group, and was not made by the set's StatefulSets."""
        namespace, leader = split_key(group)
        parts = names.parent_and_ordinal(leader)
        lws = self.sources.sets.get(namespace, parts[0]) if parts else None
        found: dict[int, Pod] = {}
        for pod in self.sources.pods.by_index(BY_GROUP, group):
            index = pod.metadata.labels.get(names.WORKER_INDEX, "")
            if not index.isdigit() or pod.metadata.name != names.member_name(leader, int(index)):
                continue
            if lws is None or is_made_by(pod, leader if int(index) else lws.metadata.name):
                found[int(index)] = pod
        return found
