"""What the API server does with pods beyond storing them: defaults, priority, gates, and what of a spec may change.

Facts as of Kubernetes 1.37: a gate may be taken away and never added; while a pod is gated its node selector and its
required node affinity may be narrowed and never widened; all else of a spec stays, but for images, added tolerations
and the active deadline.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lws_sched.kube.errors import Forbidden, Invalid
from lws_sched.sim.objects import Json, named

GRACE_SECONDS = 30
NOT_READY, UNREACHABLE = "node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"
UNSCHEDULABLE = "node.kubernetes.io/unschedulable"
LOST_NODE_SECONDS = 300
_MUTABLE = ("schedulingGates", "nodeSelector", "affinity", "tolerations", "activeDeadlineSeconds", "containers")


def defaulted(pod: Json, priority_classes: Mapping[str, int]) -> Json:
    """A pod about to be created, with the defaults and the priority that the API server gives it."""
    spec = {
        "schedulerName": "default-scheduler",
        "restartPolicy": "Always",
        "terminationGracePeriodSeconds": GRACE_SECONDS,
        **pod.get("spec", {}),
    }
    for field in ("containers", "initContainers"):
        if spec.get(field):
            spec[field] = [_with_requests(container) for container in spec[field]]
    spec["tolerations"] = _with_lost_node_tolerations(spec.get("tolerations") or [])
    spec["priority"] = _priority(pod, spec, priority_classes)
    return {**pod, "spec": spec}


def pending(pod: Json, now: str) -> Json:
    """The pod as it is first stored: a gated one says so in its conditions."""
    status: Json = {"phase": "Pending"}
    if pod["spec"].get("schedulingGates"):
        status["conditions"] = [
            {
                "type": "PodScheduled",
                "status": "False",
                "reason": "SchedulingGated",
                "message": "Scheduling is blocked due to non-empty scheduling gates",
                "lastTransitionTime": now,
            }
        ]
    return {**pod, "status": status}


def _with_requests(container: Json) -> Json:
    """Requests not given are the limits."""
    resources = container.get("resources") or {}
    limits = resources.get("limits")
    if not limits:
        return container
    return {**container, "resources": {**resources, "requests": {**limits, **(resources.get("requests") or {})}}}


def _with_lost_node_tolerations(tolerations: list[Json]) -> list[Json]:
    """A pod stays on a lost node for five minutes unless it says otherwise."""
    added = [
        {"key": key, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": LOST_NODE_SECONDS}
        for key in (NOT_READY, UNREACHABLE)
        if not any(each.get("key") in (key, None) and each.get("effect") in ("NoExecute", None) for each in tolerations)
    ]
    return [*tolerations, *added]


def _priority(pod: Json, spec: Json, classes: Mapping[str, int]) -> int:
    name = spec.get("priorityClassName", "")
    if name and name not in classes:
        raise Forbidden(f"{named(pod)} is forbidden: no PriorityClass with name {name} was found")
    value = classes[name] if name else 0
    given = spec.get("priority")
    if given is not None and given != value:
        raise Forbidden(
            f"{named(pod)} is forbidden: the integer value of priority ({given}) must not be provided in pod spec; "
            f"priority admission controller computed {value} from the given PriorityClass name"
        )
    return value


def check_update(old: Json, new: Json) -> None:
    """Raises Invalid where an update changes what a pod's spec must keep."""
    before, after = old.get("spec", {}), new.get("spec", {})
    if before is after:
        return
    gates = [gate["name"] for gate in before.get("schedulingGates") or []]
    for gate in after.get("schedulingGates") or []:
        if gate["name"] not in gates:
            raise Invalid(
                f"{named(old)} is invalid: spec.schedulingGates: only deletion is allowed, "
                f"but found new scheduling gate '{gate['name']}'"
            )
    if gates:
        _check_narrowed(old, before, after)
    elif any(before.get(field) != after.get(field) for field in ("nodeSelector", "affinity")):
        raise _immutable(old)
    if any(before.get(field) != after.get(field) for field in before.keys() | after.keys() if field not in _MUTABLE):
        raise _immutable(old)
    _check_containers(old, before, after)


def _check_containers(old: Json, before: Json, after: Json) -> None:
    def without_image(spec: Json) -> list[Json]:
        return [{**each, "image": ""} for each in spec.get("containers") or []]

    kept = all(each in (after.get("tolerations") or []) for each in before.get("tolerations") or [])
    if not kept or without_image(before) != without_image(after):
        raise _immutable(old)


def _check_narrowed(old: Json, before: Json, after: Json) -> None:
    selector, narrower = before.get("nodeSelector") or {}, after.get("nodeSelector") or {}
    if any(narrower.get(key) != value for key, value in selector.items()):
        raise Invalid(f"{named(old)} is invalid: spec.nodeSelector: only additions are allowed")
    affinity, tighter = before.get("affinity") or {}, after.get("affinity") or {}
    if any(affinity.get(field) != tighter.get(field) for field in ("podAffinity", "podAntiAffinity")):
        raise _immutable(old)
    terms, narrowed = _node_terms(affinity), _node_terms(tighter)
    if not terms:
        return
    if len(terms) != len(narrowed) or not all(map(_only_adds, terms, narrowed)):
        raise Invalid(
            f"{named(old)} is invalid: spec.affinity.nodeAffinity: of required node selector terms only additions of "
            "requirements to non-empty terms are allowed"
        )


def _only_adds(term: Json, narrower: Json) -> bool:
    expressions, fields = term.get("matchExpressions") or [], term.get("matchFields") or []
    more_expressions, more_fields = narrower.get("matchExpressions") or [], narrower.get("matchFields") or []
    if not expressions and not fields:
        return not more_expressions and not more_fields
    return more_expressions[: len(expressions)] == expressions and more_fields[: len(fields)] == fields


def _node_terms(affinity: Mapping[str, Any]) -> list[Json]:
    node_affinity = affinity.get("nodeAffinity") or {}
    required = node_affinity.get("requiredDuringSchedulingIgnoredDuringExecution") or {}
    return required.get("nodeSelectorTerms") or []


def _immutable(pod: Json) -> Invalid:
    return Invalid(
        f"{named(pod)} is invalid: spec: pod updates may not change fields other than images, scheduling gates, "
        "added tolerations and, while gated, a narrower node selector or node affinity"
    )
