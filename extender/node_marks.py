"""Marks on nodes that groups hold: for clusters where other pods go through a scheduler that does not ask us.

While a record holds or claims a slot on a node, bound or not, the node carries

- the taint `lws-sched.io/reserved:NoSchedule`, which members tolerate (the pod hook sees to that) and others do not;
- cluster-autoscaler's `scale-down-disabled`, as a node that waits for its group looks idle.

What is marked is derived from the records, so marks that a crash left behind or out are put right by the first look at
the node.

The taint comes after the reservation, by a write of its own: a pod that the other scheduler binds in between takes its
place. Then kube-scheduler refuses the member there, nothing of the group is bound, and it is planned elsewhere.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import msgspec

from lws_sched.api import names
from lws_sched.api.core import Node
from lws_sched.api.meta import Kind, Meta, Wire
from lws_sched.api.placement import GroupPlacement
from lws_sched.kube.errors import Conflict, NotFound
from lws_sched.kube.port import Change, Informer, Queue, Runtime

AGAIN_SECONDS = 0.1


class RawNode(Wire, frozen=True, kw_only=True):
    """A node whose taints keep every field, for edits."""

    metadata: Meta
    spec: dict[str, Any] = msgspec.field(default_factory=dict)


RAW_NODE = Kind("", "v1", "Node", "nodes", RawNode, namespaced=False)


@dataclass
class NodeMarks:
    runtime: Runtime
    nodes: Informer[Node]
    records: Informer[GroupPlacement]
    by_node: str
    """Name of the records' index by the nodes that they hold or claim."""
    queue: Queue = field(init=False)

    def __post_init__(self) -> None:
        self.queue = self.runtime.queue("node-marks", self.reconcile, workers=4)
        self.records.subscribe(self._record_changed)
        self.nodes.subscribe(self._node_changed)

    def reconcile(self, name: str) -> float | None:
        """Bring one node's marks to what the records say. Answers with when to try again."""
        node = self.nodes.get("", name)
        is_held = bool(self.records.by_index(self.by_node, name))
        if node is None or is_marked(node) == is_held:
            return None
        self.runtime.epoch()
        try:
            raw = self.runtime.cluster.get(RAW_NODE, "", name)
            self.runtime.cluster.merge(RAW_NODE, "", name, marked(raw) if is_held else unmarked(raw))
        except Conflict:
            return AGAIN_SECONDS
        except NotFound:
            return None
        return None

    def _record_changed(self, change: Change[GroupPlacement]) -> None:
        before, after = (set(nodes_of(each)) if each else set() for each in (change.old, change.new))
        for node in sorted(before ^ after):
            self.queue.add(node)

    def _node_changed(self, change: Change[Node]) -> None:
        if change.new is not None and (change.old is None or is_marked(change.old) != is_marked(change.new)):
            self.queue.add(change.new.metadata.name)


def nodes_of(record: GroupPlacement) -> Iterable[str]:
    """The nodes that a record holds or claims slots on."""
    return sorted({*record.status.slots, *record.status.claims})


def is_marked(node: Node) -> bool:
    return any(taint.key == names.RESERVED_TAINT for taint in node.spec.taints)


def marked(node: RawNode) -> dict[str, Any]:
    """The merge patch that marks a node; it only applies to the node as it was read."""
    taint = {"key": names.RESERVED_TAINT, "effect": "NoSchedule"}
    return _patch(node, [*_others(node), taint], "true")


def unmarked(node: RawNode) -> dict[str, Any]:
    return _patch(node, _others(node), None)


def _patch(node: RawNode, taints: list[Any], scale_down_disabled: str | None) -> dict[str, Any]:
    metadata = {
        "resourceVersion": node.metadata.resource_version,
        "annotations": {names.SCALE_DOWN_DISABLED: scale_down_disabled},
    }
    return {"metadata": metadata, "spec": {"taints": taints}}


def _others(node: RawNode) -> list[Any]:
    return [taint for taint in node.spec.get("taints") or [] if taint.get("key") != names.RESERVED_TAINT]
