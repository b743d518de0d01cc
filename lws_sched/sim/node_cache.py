"""kube-scheduler's cache: nodes, what stands on them (assumed pods included), and which nodes are alike.

Nodes that have the same room, taints and capacity share a `shape`: filters that depend on nothing else, and the score,
are worked out once per shape and cycle, so that a look at a thousand nodes costs little more than a look at a few.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from lws_sched.api.quantity import amounts
from lws_sched.sim.objects import Json, Labels
from lws_sched.sim.pod_view import UNREQUESTED, PodView, Requests


class NodeState:
    """One node. `free` may be negative where pods were bound past the scheduler."""

    __slots__ = ("_shape", "allocatable", "free", "labels", "name", "pods", "scored", "taints", "unschedulable")

    def __init__(self, body: Json) -> None:
        self.name: str = body["metadata"]["name"]
        self.pods: dict[str, PodView] = {}
        self.scored = dict.fromkeys(UNREQUESTED, 0)
        self.allocatable: Requests = {}
        self.free: Requests = {}
        self.set(body)

    def set(self, body: Json) -> None:
        spec = body.get("spec") or {}
        self.labels: Labels = body["metadata"].get("labels") or {}
        self.taints: tuple[Mapping[str, Any], ...] = tuple(
            each for each in spec.get("taints") or () if each["effect"] in ("NoSchedule", "NoExecute")
        )
        self.unschedulable: bool = bool(spec.get("unschedulable"))
        self.allocatable = amounts((body.get("status") or {}).get("allocatable") or {})
        self.free = dict(self.allocatable)
        for view in self.pods.values():
            self._take(view, 1)
        self._shape: object = None

    @property
    def shape(self) -> object:
        """Equal for nodes that no filter on room or taints, and no score, can tell apart."""
        if self._shape is None:
            taints = tuple((each["key"], each.get("value", ""), each["effect"]) for each in self.taints)
            self._shape = (
                tuple(sorted(self.free.items())),
                tuple(sorted(self.allocatable.items())),
                tuple(self.scored.values()),
                self.unschedulable,
                taints,
            )
        return self._shape

    def add(self, view: PodView) -> None:
        self.pods[view.uid] = view
        for resource in UNREQUESTED:
            self.scored[resource] += view.scored[resource]
        self._take(view, 1)
        self._shape = None

    def remove(self, uid: str) -> None:
        view = self.pods.pop(uid)
        for resource in UNREQUESTED:
            self.scored[resource] -= view.scored[resource]
        self._take(view, -1)
        self._shape = None

    def _take(self, view: PodView, times: int) -> None:
        for resource, value in view.requests.items():
            self.free[resource] = self.free.get(resource, 0) - times * value


class NodeCache:
    def __init__(self) -> None:
        self.nodes: dict[str, NodeState] = {}
        self.repelling: dict[str, tuple[PodView, str]] = {}
        """Placed pods with anti-affinity of their own, and their nodes, by UID."""
        self._node_of: dict[str, str] = {}
        self._by_label: dict[tuple[str, str], dict[str, None]] = {}
        self._homeless: dict[str, dict[str, PodView]] = {}
        """Pods on nodes that are not known (yet, or any more), by node."""
        self._in_namespace: dict[str, dict[str, tuple[PodView, str]]] = {}

    def set_node(self, body: Json) -> None:
        name = body["metadata"]["name"]
        node = self.nodes.get(name)
        if node is None:
            node = self.nodes[name] = NodeState(body)
            for view in self._homeless.pop(name, {}).values():
                node.add(view)
        else:
            self._unlabel(node)
            node.set(body)
        for label in node.labels.items():
            self._by_label.setdefault(label, {})[name] = None

    def remove_node(self, name: str) -> None:
        node = self.nodes.pop(name)
        self._unlabel(node)
        self._homeless[name] = dict(node.pods)

    def place(self, view: PodView, node: str) -> None:
        """Count a pod, bound or assumed, on a node; one counted before is moved."""
        self.displace(view.uid)
        self._node_of[view.uid] = node
        self._in_namespace.setdefault(view.namespace, {})[view.uid] = (view, node)
        if view.anti_affinity:
            self.repelling[view.uid] = (view, node)
        if node in self.nodes:
            self.nodes[node].add(view)
        else:
            self._homeless.setdefault(node, {})[view.uid] = view

    def displace(self, uid: str) -> bool:
        """Count a pod no more; whether it was counted."""
        node = self._node_of.pop(uid, None)
        if node is None:
            return False
        if node in self.nodes:
            view = self.nodes[node].pods[uid]
            self.nodes[node].remove(uid)
        else:
            view = self._homeless[node].pop(uid)
        del self._in_namespace[view.namespace][uid]
        self.repelling.pop(uid, None)
        return True

    def with_label(self, key: str, value: str) -> Mapping[str, None]:
        """Names of the nodes with a label."""
        return self._by_label.get((key, value), {})

    def placed(self, namespaces: Iterable[str]) -> Iterator[tuple[PodView, str]]:
        """Pods of some namespaces that are on nodes, and their nodes."""
        for namespace in namespaces:
            yield from self._in_namespace.get(namespace, {}).values()

    def label_of(self, node: str, key: str) -> str | None:
        state = self.nodes.get(node)
        return state.labels.get(key) if state is not None else None

    def _unlabel(self, node: NodeState) -> None:
        for label in node.labels.items():
            self._by_label[label].pop(node.name, None)
