"""What a pod looks like pinned, gated, and marked as a member: pure edits of its JSON.

A pin is a required node affinity on `metadata.name`: kube-scheduler's NodeAffinity pre-filter then looks at one node
instead of all of them. It is added to every non-empty term, as terms are alternatives and an empty one matches nothing.
The member resource costs nothing (quantity zero) and makes kube-scheduler send the pod to the extender, which lists the
resource as managed, even where the member asks for no accelerator.
"""

from __future__ import annotations

import copy
from typing import Any

from lws_sched.api import names

JsonObject = dict[str, Any]
_LEAVE = {"key": names.RESERVED_TAINT, "operator": "Exists", "effect": "NoSchedule"}


def pinned(pod: JsonObject, node: str) -> JsonObject:
    """The pod with its place: only `node` will do, and our gate is lifted."""
    pod = copy.deepcopy(pod)
    spec = pod["spec"]
    affinity = spec.get("affinity") or {}
    node_affinity = affinity.get("nodeAffinity") or {}
    required = node_affinity.get("requiredDuringSchedulingIgnoredDuringExecution") or {}
    terms = required.get("nodeSelectorTerms") or [None]
    required["nodeSelectorTerms"] = [_with_node(term, node) for term in terms]
    node_affinity["requiredDuringSchedulingIgnoredDuringExecution"] = required
    affinity["nodeAffinity"] = node_affinity
    spec["affinity"] = affinity
    gates = [gate for gate in spec.get("schedulingGates") or [] if gate.get("name") != names.GATE]
    if gates:
        spec["schedulingGates"] = gates
    else:
        spec.pop("schedulingGates", None)
    return pod


def gated(pod: JsonObject) -> JsonObject:
    """The pod held back: the API server refuses to bind it, whoever asks, until the gate is lifted."""
    pod = copy.deepcopy(pod)
    gates = pod["spec"].get("schedulingGates") or []
    if all(gate.get("name") != names.GATE for gate in gates):
        pod["spec"]["schedulingGates"] = [*gates, {"name": names.GATE}]
    return pod


def as_member(pod: JsonObject) -> JsonObject:
    """The pod with the zero-quantity member resource on its first container, and leave to stand on nodes that groups
    hold."""
    pod = copy.deepcopy(pod)
    tolerations = pod["spec"].get("tolerations") or []
    if _LEAVE not in tolerations:
        pod["spec"]["tolerations"] = [*tolerations, dict(_LEAVE)]
    containers = pod["spec"].get("containers") or []
    if containers:
        resources = containers[0].get("resources") or {}
        for field in ("requests", "limits"):
            resources[field] = {**(resources.get(field) or {}), names.MEMBER_RESOURCE: "0"}
        containers[0]["resources"] = resources
    return pod


def _with_node(term: JsonObject | None, node: str) -> JsonObject:
    fields = {"key": "metadata.name", "operator": "In", "values": [node]}
    if term is None:
        return {"matchFields": [fields]}
    if not (term.get("matchExpressions") or term.get("matchFields")):
        return term
    return {**term, "matchFields": [*(term.get("matchFields") or []), fields]}
