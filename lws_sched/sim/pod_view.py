"""What kube-scheduler sees in a pod: its requests and its terms, worked out once per version of its spec."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lws_sched.api.quantity import amount
from lws_sched.sim.objects import Json, Labels, selects
from lws_sched.sim.store import Version

Requests = dict[str, int]
Requirements = tuple[Mapping[str, Any], ...]
UNREQUESTED = {"cpu": 100, "memory": 200 * 2**20}
"""What scoring counts for a container that requests no CPU (thousandths) or no memory (bytes)."""


@dataclass(frozen=True)
class PodTerm:
    """A required pod affinity or anti-affinity term. It looks at pods of its own pod's namespace."""

    topology_key: str
    selector: Mapping[str, Any] | None
    namespaces: tuple[str, ...]

    def matches(self, other: PodView) -> bool:
        return other.namespace in self.namespaces and selects(self.selector, other.labels)


@dataclass(frozen=True)
class NodeTerm:
    expressions: Requirements
    fields: Requirements


@dataclass(frozen=True, eq=False)
class PodView:
    key: str
    uid: str
    namespace: str
    name: str
    labels: Labels
    scheduler: str
    priority: int
    requests: Requests
    """Without zeros, and with one of `pods`."""
    scored: Requests
    """CPU and memory as scoring counts them."""
    named_resources: frozenset[str]
    """Every resource that a container names in requests or limits, whatever the amount."""
    selector: Mapping[str, str]
    node_terms: tuple[NodeTerm, ...] | None
    """Required node affinity; None where there is none."""
    pinned: tuple[str, ...] | None
    """The only nodes that its node affinity can match by name; None where it does not name any."""
    tolerations: tuple[Mapping[str, Any], ...]
    affinity: tuple[PodTerm, ...]
    anti_affinity: tuple[PodTerm, ...]


class PodViews:
    """Views by UID, made anew only where spec or labels are."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[Json, Any, PodView]] = {}

    def of(self, version: Version) -> PodView:
        body = version.body
        spec, labels = body["spec"], body["metadata"].get("labels")
        known = self._known.get(version.uid)
        if known is not None and known[0] is spec and (known[1] is labels or known[1] == labels):
            return known[2]
        view = _view(body)
        self._known[version.uid] = (spec, labels, view)
        return view

    def forget(self, uid: str) -> None:
        self._known.pop(uid, None)


def _view(body: Json) -> PodView:
    meta, spec = body["metadata"], body["spec"]
    affinity = spec.get("affinity") or {}
    namespace = meta["namespace"]
    terms = _node_terms(affinity.get("nodeAffinity") or {})
    return PodView(
        key=f"{namespace}/{meta['name']}",
        uid=meta["uid"],
        namespace=namespace,
        name=meta["name"],
        labels=meta.get("labels") or {},
        scheduler=spec["schedulerName"],
        priority=spec.get("priority", 0),
        requests={**{name: value for name, value in requests_of(spec).items() if value}, "pods": 1},
        scored={name: _scored(spec, name) for name in UNREQUESTED},
        named_resources=frozenset(_named(spec)),
        selector=spec.get("nodeSelector") or {},
        node_terms=terms,
        pinned=_pinned(terms),
        tolerations=tuple(spec.get("tolerations") or ()),
        affinity=_pod_terms(affinity.get("podAffinity") or {}, namespace),
        anti_affinity=_pod_terms(affinity.get("podAntiAffinity") or {}, namespace),
    )


def requests_of(spec: Mapping[str, Any]) -> Requests:
    """A pod's effective requests: containers and sidecars together, or the largest init step, plus overhead."""
    total: Requests = {}
    for container in spec.get("containers") or ():
        _add(total, _requests(container))
    peak: Requests = {}
    sidecars: Requests = {}
    for container in spec.get("initContainers") or ():
        step = dict(_requests(container))
        if container.get("restartPolicy") == "Always":
            _add(sidecars, step)
            step = {}
        _add(step, sidecars)
        peak = {name: max(peak.get(name, 0), step.get(name, 0)) for name in peak.keys() | step.keys()}
    _add(total, sidecars)
    result = {name: max(total.get(name, 0), peak.get(name, 0)) for name in sorted(total.keys() | peak.keys())}
    _add(result, _amounts(spec.get("overhead") or {}))
    return result


def _add(total: Requests, more: Requests) -> None:
    for name, value in more.items():
        total[name] = total.get(name, 0) + value


def _requests(container: Json) -> Requests:
    return _amounts((container.get("resources") or {}).get("requests") or {})


def _amounts(quantities: Mapping[str, Any]) -> Requests:
    return {name: amount(name, value) for name, value in quantities.items()}


def _scored(spec: Json, resource: str) -> int:
    containers = spec.get("containers") or ()
    return sum(_requests(each).get(resource) or UNREQUESTED[resource] for each in containers)


def _named(spec: Json) -> list[str]:
    containers = [*(spec.get("containers") or ()), *(spec.get("initContainers") or ())]
    resources = [each.get("resources") or {} for each in containers]
    return [name for each in resources for field in ("requests", "limits") for name in each.get(field) or ()]


def _node_terms(node_affinity: Json) -> tuple[NodeTerm, ...] | None:
    required = node_affinity.get("requiredDuringSchedulingIgnoredDuringExecution")
    if not required:
        return None
    return tuple(
        NodeTerm(tuple(each.get("matchExpressions") or ()), tuple(each.get("matchFields") or ()))
        for each in required.get("nodeSelectorTerms") or ()
    )


def _pinned(terms: tuple[NodeTerm, ...] | None) -> tuple[str, ...] | None:
    if not terms:
        return None
    found: dict[str, None] = {}
    for term in terms:
        lists = [each["values"] for each in term.fields if each["key"] == "metadata.name" and each["operator"] == "In"]
        if not lists:
            return None
        found |= {name: None for name in lists[0] if all(name in each for each in lists)}
    return tuple(found)


def _pod_terms(affinity: Json, namespace: str) -> tuple[PodTerm, ...]:
    return tuple(
        PodTerm(each["topologyKey"], each.get("labelSelector"), tuple(each.get("namespaces") or (namespace,)))
        for each in affinity.get("requiredDuringSchedulingIgnoredDuringExecution") or ()
    )
