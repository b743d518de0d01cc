"""The cluster at one resourceVersion: replays the versions of a log one by one.

`apply` takes in the next version and answers with the step that it was: what the object was before, what it is now.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeVar

from tests.invariants import objects
from tests.invariants.log import Version
from tests.invariants.objects import Node, Pod, Record, Set, Slot

CALM_SECONDS = 1.5
"""How old a node's labels must be at a commit for the group to be held to them: watches take their time."""
T = TypeVar("T", Pod, Node, Record, Set)


@dataclass(frozen=True)
class PodStep:
    old: Pod | None
    """The same pod, not merely one of the same name."""
    new: Pod | None

    @property
    def bound(self) -> Pod | None:
        """The pod, if this step bound it."""
        return self.new if self.new and self.new.node and not (self.old and self.old.node) else None


@dataclass(frozen=True)
class RecordStep:
    old: Record | None
    new: Record | None


Step = PodStep | RecordStep | None


class State:
    """Everything that exists, with the indexes that the rules ask for."""

    def __init__(self) -> None:
        self.pods: dict[str, Pod] = {}
        self.nodes: dict[str, Node] = {}
        self.records: dict[str, Record] = {}
        self.sets: dict[str, Set] = {}
        self.living: dict[str, Pod] = {}
        """By UID."""
        self.committed: dict[tuple[str, str], str] = {}
        """The group whose record was the first to commit a pod, by pod key and UID; kept after the pod is gone."""
        self._committed_at: dict[tuple[str, str], float] = {}
        self._relabelled_at: dict[str, float] = {}
        self._on: defaultdict[str, dict[str, Pod]] = defaultdict(dict)
        self._members: defaultdict[str, dict[str, Pod]] = defaultdict(dict)
        self._slots: defaultdict[str, dict[tuple[str, str], Slot]] = defaultdict(dict)
        self._owners: defaultdict[str, set[str]] = defaultdict(set)
        self._domains: dict[str, dict[str, list[str]]] = {}

    def apply(self, version: Version) -> Step:
        match version.kind:
            case "Pod":
                return self._apply_pod(version)
            case "GroupPlacement":
                return self._apply_record(version)
            case "Node":
                self._note_labels(version)
                _keep(self.nodes, version.key, None if version.deleted else objects.node_of(version.body))
                self._domains.clear()
            case "LeaderWorkerSet":
                _keep(self.sets, version.key, None if version.deleted else objects.set_of(version.body))
        return None

    def on(self, node: str) -> list[Pod]:
        """Pods that take room on a node."""
        return list(self._on[node].values())

    def held_on(self, node: str) -> list[Slot]:
        """Slots held on a node whose member does not stand there itself."""
        standing = self._on[node]
        return [slot for slot in self._slots[node].values() if slot.pod not in standing]

    def owners(self, pod: str) -> set[str]:
        """The records that hold a slot for the pod of that name."""
        return self._owners[pod]

    def members(self, group: str) -> list[Pod]:
        return list(self._members[group].values())

    def is_settled(self, pod: Pod) -> bool:
        """Whether the labels of a pod's node have been what they are since well before the pod was committed: a node
        that is moved to another rack under a group is no fault of whoever placed it."""
        if pod.node not in self.nodes:
            return False
        relabelled = self._relabelled_at.get(pod.node)
        return relabelled is None or self._committed_at.get((pod.key, pod.uid), 0.0) >= relabelled + CALM_SECONDS

    def _note_labels(self, version: Version) -> None:
        before = self.nodes.get(version.key)
        if before is not None and not version.deleted and before.labels != objects.node_of(version.body).labels:
            self._relabelled_at[version.key] = version.t

    def domain(self, key: str, value: str) -> list[str]:
        """The nodes whose label `key` has that value, sorted."""
        if key not in self._domains:
            domains: dict[str, list[str]] = {}
            for name, node in sorted(self.nodes.items()):
                domains.setdefault(node.labels.get(key, ""), []).append(name)
            self._domains[key] = domains
        return self._domains[key].get(value, [])

    def topology(self, pod: Pod) -> Mapping[str, str]:
        """The topology annotations that a member's set asks with: its own where the set is not there."""
        owner = self.sets.get(pod.group.rpartition("-")[0])
        return owner.topology if owner else pod.topology

    def _apply_pod(self, version: Version) -> PodStep:
        new = objects.pod_of(version.body)
        before = self.pods.get(new.key)
        if before is not None:
            self._forget_pod(before)
        if version.deleted:
            return PodStep(before or new, None)
        self.pods[new.key] = self.living[new.uid] = new
        if new.node and not new.ended:
            self._on[new.node][new.key] = new
        if new.group:
            self._members[new.group][new.key] = new
        return PodStep(before if before and before.uid == new.uid else None, new)

    def _forget_pod(self, pod: Pod) -> None:
        del self.pods[pod.key]
        self.living.pop(pod.uid, None)
        self._on[pod.node].pop(pod.key, None)
        self._members[pod.group].pop(pod.key, None)

    def _apply_record(self, version: Version) -> RecordStep:
        new = None if version.deleted else objects.record_of(version.body)
        old = self.records.get(version.key)
        for slot in old.slots if old else ():
            self._slots[slot.node].pop((version.key, slot.pod), None)
            self._owners[slot.pod].discard(version.key)
        for slot in new.slots if new else ():
            self._slots[slot.node][version.key, slot.pod] = slot
            self._owners[slot.pod].add(version.key)
        if new and new.state in ("Committed", "Bound"):
            for pod, uid in new.committed.items():
                self.committed.setdefault((pod, uid), new.key)
                self._committed_at.setdefault((pod, uid), version.t)
        _keep(self.records, version.key, new)
        return RecordStep(old, new)


def _keep(where: dict[str, T], key: str, value: T | None) -> None:
    if value is None:
        where.pop(key, None)
    else:
        where[key] = value
