"""Random pod specs, and what they say by Kubernetes' own rules: what a pod takes from a node, and which nodes take it.

Specs are plain mappings, as in a manifest. Requests are found by playing the pod's start step by step; the engine has
a formula for them.
"""

from __future__ import annotations

from collections.abc import Mapping
from random import Random
from typing import Any

from lws_sched.placement import NodeState, Taint

Spec = Mapping[str, Any]
Amounts = dict[str, int]

RESOURCES = ("cpu", "memory", "nvidia.com/gpu")
UNITS = {"cpu": "m"}
"""What an amount of 1 is written with."""
HARD = ("NoSchedule", "NoExecute")
KINDS = ("fast", "slow")
TAINTS = ("", "a", "b")
"""Values of the taint `reserved`."""


# --- random specs ----------------------------------------------------------------------------------------------------


def spec(random: Random, scale: int, rack: str) -> Spec:
    """A pod that asks for up to about `scale` of a resource. `rack` is the label of racks, whose values are numbers."""
    made: dict[str, Any] = {"containers": [_container(random, scale)]}
    if random.random() < 0.15:
        made["containers"].append(_container(random, 1))
    if random.random() < 0.25:
        made["initContainers"] = [_starting(random, scale) for _ in range(random.randint(1, 3))]
    if random.random() < 0.1:
        made["overhead"] = {"cpu": "1m", "memory": "1"}
    if random.random() < 0.1:
        made["nodeSelector"] = {"kind": "fast"}
    if random.random() < 0.15:
        terms = [{"matchExpressions": _expressions(random, rack)} for _ in range(random.randint(1, 2))]
        if random.random() < 0.3:
            terms[0]["matchFields"] = [{"key": "metadata.name", "operator": "NotIn", "values": ["n0"]}]
        made["affinity"] = {
            "nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}}
        }
    if random.random() < 0.4:
        made["tolerations"] = [random.choice(_TOLERATIONS)]
    return made


_TOLERATIONS: tuple[dict[str, str], ...] = (
    {"key": "reserved", "operator": "Exists"},
    {"key": "reserved", "operator": "Exists"},
    {"operator": "Exists"},
    {"key": "reserved", "operator": "Exists", "effect": "NoSchedule"},
    {"key": "reserved", "operator": "Equal", "value": "a"},
    {"key": "reserved", "value": "b", "effect": "NoExecute"},
)


def _container(random: Random, scale: int) -> dict[str, Any]:
    amounts = {name: random.choice([0, 0, 0, 1, 1, 2, scale]) for name in RESOURCES}
    written = {name: f"{amount}{UNITS.get(name, '')}" for name, amount in amounts.items() if amount}
    if random.random() < 0.3:
        return {"resources": {"limits": written}}
    return {"resources": {"requests": written, "limits": {name: "9" for name in written if random.random() < 0.2}}}


def _starting(random: Random, scale: int) -> dict[str, Any]:
    made = _container(random, random.choice([1, scale]))
    return {**made, "restartPolicy": "Always"} if random.random() < 0.4 else made


def _expressions(random: Random, rack: str) -> list[dict[str, Any]]:
    return random.choice(
        [
            [{"key": "kind", "operator": "In", "values": ["fast"]}],
            [{"key": "kind", "operator": "DoesNotExist"}, {"key": rack, "operator": "NotIn", "values": ["0", "1"]}],
            [{"key": rack, "operator": "Gt", "values": ["1"]}],
            [{"key": rack, "operator": "Lt", "values": ["2"]}, {"key": "kind", "operator": "Exists"}],
        ]
    )


# --- what they say ---------------------------------------------------------------------------------------------------


def requests_of(pod: Spec) -> Amounts:
    """The most that the pod ever has running at once, and one of `pods`."""
    running: Amounts = {}
    most: Amounts = {}
    for container in pod.get("initContainers", ()):
        now = _plus(running, _asked(container))
        most = _larger(most, now)
        if container.get("restartPolicy") == "Always":
            running = now
    for container in pod["containers"]:
        running = _plus(running, _asked(container))
    overhead = {name: _number(text) for name, text in pod.get("overhead", {}).items()}
    return {**_plus(_larger(most, running), overhead), "pods": 1}


def admits(node: NodeState, pod: Spec) -> bool:
    """Whether the node takes the pod, room aside."""
    tolerations = pod.get("tolerations", ())
    if any(not any(_tolerates(each, taint) for each in tolerations) for taint in node.taints if taint.effect in HARD):
        return False
    if any(node.labels.get(key) != value for key, value in pod.get("nodeSelector", {}).items()):
        return False
    if "affinity" not in pod:
        return True
    terms = pod["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]["nodeSelectorTerms"]
    return any(
        all(_meets(node.labels.get(each["key"]), each) for each in term["matchExpressions"])
        and all(node.name not in each["values"] for each in term.get("matchFields", ()))
        for term in terms
    )


def _tolerates(toleration: Mapping[str, str], taint: Taint) -> bool:
    if toleration.get("effect", taint.effect) != taint.effect or toleration.get("key", taint.key) != taint.key:
        return False
    return toleration.get("operator") == "Exists" or toleration.get("value", "") == taint.value


def _meets(value: str | None, wanted: Mapping[str, Any]) -> bool:
    values = wanted.get("values", [])
    match wanted["operator"]:
        case "In":
            return value in values
        case "NotIn":
            return value not in values
        case "Exists":
            return value is not None
        case "DoesNotExist":
            return value is None
        case "Gt":
            return value is not None and int(value) > int(values[0])
        case "Lt":
            return value is not None and int(value) < int(values[0])
    raise ValueError(wanted["operator"])


def _asked(container: Mapping[str, Any]) -> Amounts:
    resources = container["resources"]
    return {
        name: _number(text) for name, text in {**resources.get("limits", {}), **resources.get("requests", {})}.items()
    }


def _number(text: str) -> int:
    return int(text.removesuffix("m"))


def _plus(first: Amounts, second: Amounts) -> Amounts:
    return {name: first.get(name, 0) + second.get(name, 0) for name in {**first, **second}}


def _larger(first: Amounts, second: Amounts) -> Amounts:
    return {name: max(first.get(name, 0), second.get(name, 0)) for name in {**first, **second}}
