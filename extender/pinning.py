"""What a pod looks like pinned, gated, and marked as a member: pure edits of its JSON, sharing what they leave alone.

A pin is a required node affinity on `metadata.name`: kube-scheduler's NodeAffinity pre-filter then looks at one node
instead of all of them. It is added to every non-empty term, as terms are alternatives and an empty one matches nothing.
The member resource costs nothing (quantity zero) and makes kube-scheduler send the pod to the extender, which lists the
resource as managed, even where the member asks for no accelerator.
"""

from __future__ import annotations

from typing import Any

from lws_sched.api import names

JsonObject = dict[str, Any]
_LEAVE = {"key": names.RESERVED_TAINT, "operator": "Exists", "effect": "NoSchedule"}


def pinned(pod: JsonObject, node: str) -> JsonObject:
    """The pod with its place: only `node` will do, and our gate is lifted."""
    spec: JsonObject = {**pod["spec"]}
    affinity = spec.get("affinity") or {}
    node_affinity = affinity.get("nodeAffinity") or {}
    required = node_affinity.get("requiredDuringSchedulingIgnoredDuringExecution") or {}
    terms = [_with_node(term, node) for term in required.get("nodeSelectorTerms") or [None]]
    required = {**required, "nodeSelectorTerms": terms}
    node_affinity = {**node_affinity, "requiredDuringSchedulingIgnoredDuringExecution": required}
    spec["affinity"] = {**affinity, "nodeAffinity": node_affinity}
    gates = [gate for gate in spec.pop("schedulingGates", None) or [] if gate.get("name") != names.GATE]
    if gates:
        spec["schedulingGates"] = gates
    return {**pod, "spec": spec}


def is_gated(pod: JsonObject) -> bool:
    """Whether our gate holds the pod back."""
    return any(gate.get("name") == names.GATE for gate in pod["spec"].get("schedulingGates") or [])


def gated(pod: JsonObject) -> JsonObject:
    """The pod held back: the API server refuses to bind it, whoever asks, until the gate is lifted."""
    if is_gated(pod):
        return pod
    gates = pod["spec"].get("schedulingGates") or []
    return {**pod, "spec": {**pod["spec"], "schedulingGates": [*gates, {"name": names.GATE}]}}


def as_member(pod: JsonObject) -> JsonObject:
    """The pod with the zero-quantity member resource on its first container, and leave to stand on nodes that groups
    hold."""
    spec: JsonObject = {**pod["spec"]}
    tolerations = spec.get("tolerations") or []
    if _LEAVE not in tolerations:
        spec["tolerations"] = [*tolerations, _LEAVE]
    if spec.get("containers"):
        first, *others = spec["containers"]
        spec["containers"] = [_counted_as_member(first), *others]
    return {**pod, "spec": spec}


def _counted_as_member(container: JsonObject) -> JsonObject:
    resources = container.get("resources") or {}
    amounts = {field: {**(resources.get(field) or {}), names.MEMBER_RESOURCE: "0"} for field in ("requests", "limits")}
    return {**container, "resources": {**resources, **amounts}}


def _with_node(term: JsonObject | None, node: str) -> JsonObject:
    fields = {"key": "metadata.name", "operator": "In", "values": [node]}
    if term is None:
        return {"matchFields": [fields]}
    if not (term.get("matchExpressions") or term.get("matchFields")):
        return term
    return {**term, "matchFields": [*(term.get("matchFields") or []), fields]}
