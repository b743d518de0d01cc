"""kube-scheduler's in-tree filters and its score, over a `NodeCache`.

In the order of the real plugins: NodeUnschedulable, TaintToleration, NodeAffinity (with nodeSelector),
NodeResourcesFit, InterPodAffinity; a node is counted under the first that refuses it. Scored is what is left of CPU and
memory (LeastAllocated), averaged. Other plugins are left out: they decide nothing for the pods simulated here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from lws_sched.sim.node_cache import NodeCache, NodeState
from lws_sched.sim.objects import Labels, requirement_holds
from lws_sched.sim.pod_rules import UNSCHEDULABLE
from lws_sched.sim.pod_view import PodTerm, PodView

UNSCHEDULABLE_TAINT = {"key": UNSCHEDULABLE, "effect": "NoSchedule"}
AFFINITY_REASON = "node(s) didn't match Pod's node affinity/selector"


@dataclass
class Verdict:
    """Which nodes passed, and why the others did not: counts by reason, and the plugins that refused any."""

    total: int
    passed: list[NodeState] = field(default_factory=list)
    reasons: Counter[str] = field(default_factory=Counter)
    plugins: set[str] = field(default_factory=set)

    def refuse(self, plugin: str, *reasons: str, nodes: int = 1) -> None:
        if nodes:
            self.plugins.add(plugin)
            for reason in reasons:
                self.reasons[reason] += nodes

    def message(self) -> str:
        """The PodScheduled condition's message."""
        parts = sorted(f"{count} {reason}" for reason, count in self.reasons.items())
        return f"0/{self.total} nodes are available: {', '.join(parts)}."


def filter_nodes(view: PodView, cache: NodeCache) -> Verdict:
    verdict = Verdict(len(cache.nodes))
    candidates = _candidates(view, cache, verdict)
    pods = _PodAffinity(view, cache)
    by_shape: dict[object, tuple[tuple[str, str] | None, tuple[str, ...]]] = {}
    has_node_terms = bool(view.selector) or view.node_terms is not None
    for node in candidates:
        shape = node.shape
        if shape not in by_shape:
            by_shape[shape] = _tainted(view, node), _insufficient(view, node)
        tainted, insufficient = by_shape[shape]
        if tainted is not None:
            verdict.refuse(*tainted)
        elif has_node_terms and not _matches_node(view, node):
            verdict.refuse("NodeAffinity", AFFINITY_REASON)
        elif insufficient:
            verdict.refuse("NodeResourcesFit", *insufficient)
        elif reason := pods.refusal(node.labels):
            verdict.refuse("InterPodAffinity", reason)
        else:
            verdict.passed.append(node)
    return verdict


def best(view: PodView, nodes: Iterable[NodeState]) -> list[NodeState]:
    """The nodes with the highest score."""
    scores: dict[object, int] = {}
    found: list[NodeState] = []
    highest = -1
    for node in nodes:
        score = scores.get(node.shape)
        if score is None:
            score = scores[node.shape] = _score(view, node)
        if score > highest:
            highest, found = score, []
        if score == highest:
            found.append(node)
    return found


def _candidates(view: PodView, cache: NodeCache, verdict: Verdict) -> list[NodeState]:
    """The nodes worth a look. Others are counted as what the real filter would say of them."""
    if view.pinned is not None:
        nodes = [cache.nodes[name] for name in view.pinned if name in cache.nodes]
        reason = "node(s) didn't satisfy plugin(s) [NodeAffinity]"
        verdict.refuse("NodeAffinity", reason, nodes=verdict.total - len(nodes))
        return nodes
    if not view.selector:
        return list(cache.nodes.values())
    sets = [cache.with_label(key, value) for key, value in view.selector.items()]
    nodes = [cache.nodes[name] for name in min(sets, key=len)]
    verdict.refuse("NodeAffinity", AFFINITY_REASON, nodes=verdict.total - len(nodes))
    return nodes


def _tainted(view: PodView, node: NodeState) -> tuple[str, str] | None:
    if node.unschedulable and not _tolerates(view, UNSCHEDULABLE_TAINT):
        return "NodeUnschedulable", "node(s) were unschedulable"
    for taint in node.taints:
        if not _tolerates(view, taint):
            return "TaintToleration", f"node(s) had untolerated taint(s) {{{taint['key']}: {taint.get('value', '')}}}"
    return None


def _tolerates(view: PodView, taint: Mapping[str, Any]) -> bool:
    return any(_covers(each, taint) for each in view.tolerations)


def _covers(toleration: Mapping[str, Any], taint: Mapping[str, Any]) -> bool:
    if toleration.get("effect") and toleration["effect"] != taint["effect"]:
        return False
    if toleration.get("key") and toleration["key"] != taint["key"]:
        return False
    if toleration.get("operator", "Equal") == "Exists":
        return True
    return bool(toleration.get("key")) and toleration.get("value", "") == taint.get("value", "")


def _matches_node(view: PodView, node: NodeState) -> bool:
    if any(node.labels.get(key) != value for key, value in view.selector.items()):
        return False
    if view.node_terms is None:
        return True
    name = {"metadata.name": node.name}
    return any(
        bool(term.expressions or term.fields)
        and all(requirement_holds(each, node.labels) for each in term.expressions)
        and all(requirement_holds(each, name) for each in term.fields)
        for term in view.node_terms
    )


def _insufficient(view: PodView, node: NodeState) -> tuple[str, ...]:
    lacking = [name for name, value in view.requests.items() if value > node.free.get(name, 0)]
    return tuple("Too many pods" if name == "pods" else f"Insufficient {name}" for name in lacking)


def _score(view: PodView, node: NodeState) -> int:
    shares = []
    for resource, wanted in view.scored.items():
        capacity = node.allocatable.get(resource, 0)
        left = capacity - node.scored[resource] - wanted
        shares.append(left * 100 // capacity if capacity and left > 0 else 0)
    return sum(shares) // len(shares)


class _PodAffinity:
    """Required pod affinity and anti-affinity, of the pod and of those placed, as counts per topology value."""

    def __init__(self, view: PodView, cache: NodeCache) -> None:
        self._terms = view.affinity
        self._attracted = _matched_by_all(view, cache) if view.affinity else {}
        # The first pod of an affinity that it matches itself may go anywhere where the topology keys are.
        self._is_first = not self._attracted and all(term.matches(view) for term in view.affinity)
        self._repelled = _matched(view.anti_affinity, view, cache)
        self._repelling = {
            (term.topology_key, value)
            for other, node in cache.repelling.values()
            for term in other.anti_affinity
            if term.matches(view) and (value := cache.label_of(node, term.topology_key)) is not None
        }
        self._keys = {key for key, _ in self._repelled | self._repelling}

    def refusal(self, labels: Labels) -> str:
        """Why a node with these labels will not do, or ""."""
        for term in self._terms:
            value = labels.get(term.topology_key)
            if value is None or not (self._is_first or (term.topology_key, value) in self._attracted):
                return "node(s) didn't match pod affinity rules"
        if self._repelled and any((key, labels.get(key)) in self._repelled for key in self._keys):
            return "node(s) didn't match pod anti-affinity rules"
        if self._repelling and any((key, labels.get(key)) in self._repelling for key in self._keys):
            return "node(s) didn't satisfy existing pods anti-affinity rules"
        return ""


def _matched_by_all(view: PodView, cache: NodeCache) -> dict[tuple[str, str], None]:
    """Topology pairs that hold a pod which matches every affinity term."""
    found: dict[tuple[str, str], None] = {}
    for other, node in cache.placed(view.affinity[0].namespaces):
        if all(term.matches(other) for term in view.affinity):
            for term in view.affinity:
                value = cache.label_of(node, term.topology_key)
                if value is not None:
                    found[term.topology_key, value] = None
    return found


def _matched(terms: tuple[PodTerm, ...], view: PodView, cache: NodeCache) -> set[tuple[str, str]]:
    """Topology pairs that hold a pod which matches any of the terms, for that term's key."""
    found: set[tuple[str, str]] = set()
    for term in terms:
        for other, node in cache.placed(term.namespaces):
            if other.uid != view.uid and term.matches(other):
                value = cache.label_of(node, term.topology_key)
                if value is not None:
                    found.add((term.topology_key, value))
    return found
