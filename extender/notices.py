"""What users are told: why groups wait or lose their places, and what they would otherwise wait on in vain.

`GroupNotices` speaks about groups, on their LeaderWorkerSet. `Notices` are about things that are no part of any group:

- A pod asks for a topology, but belongs to no group: nobody will look at it.
- A node with accelerators lacks a label that groups ask for as their topology: it stays empty, and nothing says so.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from lws_sched.api import names
from lws_sched.api import placement as api
from lws_sched.api.core import NODE, POD, Node, Pod
from lws_sched.api.lws import LEADER_WORKER_SET, LeaderWorkerSet
from lws_sched.api.meta import split_key
from lws_sched.api.placement import GroupPlacement
from lws_sched.intake.wanted import WantedGroup
from lws_sched.kube.port import Change, Informer, Runtime
from lws_sched.placement import Refused, resolve
from lws_sched.placement.snapshot import set_of

log = logging.getLogger(__name__)

QUIET_SECONDS = 30.0
"""How long a set hears nothing new of its waiting groups: their records always say it."""
MAX_NODES = 10
"""Nodes told of per label: a whole pool that lacks it needs no thousand events."""


@dataclass(frozen=True)
class Notices:
    runtime: Runtime
    nodes: Informer[Node]
    _told: dict[str, set[str]] = field(default_factory=dict)
    """Nodes told of, by the topology label that groups asked for."""
    _asked: set[str] = field(default_factory=set)
    """Levels and labels that were looked at already."""

    def look_at_pod(self, change: Change[Pod]) -> None:
        """Say so on a new pod whose topology nobody will look at: the webhook sees only the pods of our scheduler."""
        pod = change.new
        if change.old is not None or pod is None or names.SET_NAME in pod.metadata.labels:
            return
        for key in names.TOPOLOGY_ANNOTATIONS:
            if key in pod.metadata.annotations:
                note = (
                    f"the annotation {key} has no effect: the pod belongs to no group; put it on a LeaderWorkerSet "
                    f"whose templates have schedulerName: {names.SCHEDULER}"
                )
                self.runtime.recorder.event(
                    POD, pod, type="Warning", reason="TopologyIgnored", action="Place", note=note
                )
                return

    def look_at_topology(self, asked: str) -> None:
        """A group asks for this level or label: look at the nodes that are there, the first time."""
        if asked in self._asked:
            return
        nodes = self.nodes.objects()
        label = resolve(asked, frozenset(key for node in nodes for key in node.metadata.labels))
        if not isinstance(label, str):
            return
        self._asked.add(asked)
        self._told.setdefault(label, set())
        for node in sorted(nodes, key=lambda node: node.metadata.name):
            self._look_at_node(node, label)

    def look_at_node(self, change: Change[Node]) -> None:
        """A node came or changed: look at it for every label that groups have asked for."""
        if change.new is not None:
            for label in sorted(self._told):
                self._look_at_node(change.new, label)

    def _look_at_node(self, node: Node, label: str) -> None:
        told, meta = self._told[label], node.metadata
        has_accelerators = any(resource in node.status.allocatable for resource in names.MANAGED_RESOURCES)
        if label in meta.labels or not has_accelerators or meta.name in told or len(told) >= MAX_NODES:
            return
        told.add(meta.name)
        note = f"no group that asks for {label} is placed on node {meta.name}: it lacks that label; add it to the node"
        self.runtime.recorder.event(NODE, node, type="Warning", reason="NoTopologyLabel", action="Place", note=note)


@dataclass(frozen=True)
class GroupNotices:
    """Events on LeaderWorkerSets about their groups."""

    runtime: Runtime
    sets: Informer[LeaderWorkerSet]
    _told: dict[str, float] = field(default_factory=dict)
    """When waiting was told of last, by the set's UID, on the monotonic clock."""

    def refused(self, lws: LeaderWorkerSet, sentence: str) -> None:
        """None of the set's groups can be placed at all."""
        self._warn(lws, "GroupRefused", sentence)

    def waiting(self, groups: Sequence[tuple[WantedGroup, Refused]]) -> None:
        """One event per set for all of its groups that wait, and not for every change of the reason."""
        now = self.runtime.clock.monotonic()
        by_set: dict[tuple[str, str], list[tuple[WantedGroup, Refused]]] = {}
        for group, refused in groups:
            by_set.setdefault((group.namespace, group.set_name), []).append((group, refused))
        for (namespace, name), waiting in sorted(by_set.items()):
            lws = self.sets.get(namespace, name)
            if lws is None or now - self._told.get(lws.metadata.uid, -QUIET_SECONDS) < QUIET_SECONDS:
                continue
            self._told[lws.metadata.uid] = now
            first, refused = waiting[0]
            more = f" (and {len(waiting) - 1} more of {name})" if len(waiting) > 1 else ""
            self._warn(lws, "GroupWaiting", f"group {first.leader_name}{more} waits: {_sentence(refused)}")

    def pods_wait(self, record: GroupPlacement, pods: Iterable[Pod]) -> None:
        """Say on the gated pods of a waiting group why they wait, in the words of its record."""
        refused = Refused("", record.status.reason, record.status.fix, "")
        for pod in pods:
            note = f"group {record.metadata.name} waits: {_sentence(refused)}"
            self.runtime.recorder.event(POD, pod, type="Warning", reason="GroupWaiting", action="Place", note=note)

    def unknown(self, group: WantedGroup, reason: str) -> None:
        """The API server does not say what the members will be."""
        lws = self.sets.get(group.namespace, group.set_name)
        log.warning("shapes unknown group=%s reason=%s", group.key, reason)
        if lws is not None:
            note = (
                f"groups of {group.set_name} wait: the API server does not say what their pods will ask for: {reason}"
            )
            self._warn(lws, "GroupWaiting", note)

    def not_permitted(self, groups: Iterable[str], said: str) -> None:
        """The API server refuses us what placing these groups takes."""
        for namespace, name in sorted(map(split_key, {set_of(group) for group in groups})):
            lws = self.sets.get(namespace, name)
            if lws is not None:
                self._warn(lws, "NotPermitted", f"groups of {name} wait: {said}")

    def aborting(self, record: GroupPlacement) -> None:
        """Say so where a record that was just written gives up its slots."""
        lws = self.sets.get(record.metadata.namespace, record.spec.leader_worker_set)
        if lws is not None and record.status.state == api.ABORTING:
            name, reason = record.metadata.name, record.status.reason
            self._warn(lws, "GroupReplanned", f"group {name} gives up its slots and is placed anew: {reason}")

    def _warn(self, lws: LeaderWorkerSet, reason: str, note: str) -> None:
        self.runtime.recorder.event(LEADER_WORKER_SET, lws, type="Warning", reason=reason, action="Place", note=note)


def _sentence(refused: Refused) -> str:
    return f"{refused.reason}; {refused.fix}" if refused.fix else refused.reason
