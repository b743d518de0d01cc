"""What a StatefulSet with podManagementPolicy Parallel does next: pure, as Kubernetes 1.37 decides it.

Missing pods are made all at once, surplus ones deleted highest ordinal first. A pod that terminates keeps its name: it
is made anew once it is gone. Of a rolling update, pods at or above the partition are deleted: those that are not
available anyway first, then available ones from the highest ordinal down, as long as at most maxUnavailable are not
available. Below the partition a missing pod is made from the revision that was current before.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from lws_sched.api.core import POD, STATEFUL_SET
from lws_sched.sim.objects import Json, clone, is_ready, is_terminating

REVISION = "controller-revision-hash"
POD_NAME = "statefulset.kubernetes.io/pod-name"
POD_INDEX = "apps.kubernetes.io/pod-index"


@dataclass(frozen=True)
class Revision:
    """One version of the pod template."""

    name: str
    template: Json


@dataclass(frozen=True)
class Revisions:
    current: Revision
    """What pods below the partition are made from."""
    update: Revision
    """What the spec says now."""


@dataclass(frozen=True)
class Plan:
    create: tuple[Json, ...]
    """Pod bodies, lowest ordinal first."""
    replace: tuple[Json, ...]
    """Pods that ended and are deleted so that they are made anew."""
    surplus: tuple[Json, ...]
    """Pods beyond the replicas, highest ordinal first."""
    outdated: tuple[Json, ...]
    """Pods that a rolling update deletes now, in this order."""


def revision_name(stateful_set: Json, template: Json) -> str:
    digest = hashlib.sha256(msgspec.json.encode(template, order="sorted")).hexdigest()
    return f"{stateful_set['metadata']['name']}-{digest[:10]}"


def ordinal(name: str) -> int:
    """The ordinal in a pod's name; -1 where there is none."""
    _, _, digits = name.rpartition("-")
    return int(digits) if digits.isdigit() else -1


def plan(stateful_set: Json, revisions: Revisions, pods: list[Json]) -> Plan:
    spec = stateful_set["spec"]
    start, replicas = _start(spec), spec.get("replicas", 1)
    by_ordinal = {ordinal(pod["metadata"]["name"]): pod for pod in pods}
    wanted = range(start, start + replicas)
    standing = [by_ordinal[each] for each in wanted if each in by_ordinal]
    return Plan(
        create=tuple(_new_pod(stateful_set, revisions, each) for each in wanted if each not in by_ordinal),
        replace=tuple(pod for pod in standing if _has_ended(pod) and not is_terminating(pod)),
        surplus=tuple(
            by_ordinal[each]
            for each in sorted(by_ordinal.keys() - wanted, reverse=True)
            if each >= 0 and not is_terminating(by_ordinal[each])
        ),
        outdated=_outdated(spec, revisions.update.name, standing, missing=replicas - len(standing)),
    )


def status(stateful_set: Json, revisions: Revisions, pods: list[Json]) -> Json:
    """The status to write; the current revision moves on once all replicas are updated and ready."""
    replicas = stateful_set["spec"].get("replicas", 1)
    ready = sum(_is_running_and_ready(pod) for pod in pods)
    alive = [pod["metadata"]["labels"].get(REVISION) for pod in pods if not is_terminating(pod)]
    updated = alive.count(revisions.update.name)
    is_complete = updated == ready == len(pods) == replicas
    current = revisions.update if is_complete else revisions.current
    return {
        "observedGeneration": stateful_set["metadata"]["generation"],
        "replicas": len(pods),
        "readyReplicas": ready,
        "availableReplicas": ready,
        "currentReplicas": alive.count(current.name),
        "updatedReplicas": updated,
        "currentRevision": current.name,
        "updateRevision": revisions.update.name,
        "collisionCount": 0,
    }


def _outdated(spec: Json, update: str, standing: list[Json], *, missing: int) -> tuple[Json, ...]:
    strategy = spec.get("updateStrategy") or {}
    if strategy.get("type", "RollingUpdate") != "RollingUpdate":
        return ()
    rolling = strategy.get("rollingUpdate") or {}
    first = _start(spec) + rolling.get("partition", 0)
    unavailable = missing + sum(not _is_available(pod) for pod in standing)
    budget = max_unavailable(rolling.get("maxUnavailable"), spec.get("replicas", 1)) - unavailable
    old = [
        pod
        for pod in reversed(standing)
        if pod["metadata"]["labels"].get(REVISION) != update and ordinal(pod["metadata"]["name"]) >= first
    ]
    broken = [pod for pod in old if not _is_running_and_ready(pod) and not is_terminating(pod)]
    return (*broken, *[pod for pod in old if _is_available(pod)][: max(0, budget)])


def max_unavailable(value: int | str | None, replicas: int) -> int:
    """An absolute number, or a percentage of the replicas rounded down; never less than 1."""
    if isinstance(value, str):
        value = int(value.removesuffix("%")) * replicas // 100
    return max(1, 1 if value is None else value)


def _start(spec: Json) -> int:
    return int((spec.get("ordinals") or {}).get("start", 0))


def _has_ended(pod: Json) -> bool:
    return pod["status"].get("phase") in ("Failed", "Succeeded")


def _is_running_and_ready(pod: Json) -> bool:
    return pod["status"].get("phase") == "Running" and is_ready(pod)


def _is_available(pod: Json) -> bool:
    return is_ready(pod) and not is_terminating(pod)


def _new_pod(stateful_set: Json, revisions: Revisions, ordinal_: int) -> Json:
    spec, meta = stateful_set["spec"], stateful_set["metadata"]
    strategy = spec.get("updateStrategy") or {}
    partition = (strategy.get("rollingUpdate") or {}).get("partition", 0)
    is_rolling = strategy.get("type", "RollingUpdate") == "RollingUpdate"
    revision = revisions.current if is_rolling and ordinal_ < _start(spec) + partition else revisions.update
    name = f"{meta['name']}-{ordinal_}"
    template: Mapping[str, Any] = revision.template
    given = template.get("metadata") or {}
    metadata: Json = {
        "name": name,
        "namespace": meta["namespace"],
        "generateName": f"{meta['name']}-",
        "labels": {
            **(given.get("labels") or {}),
            POD_NAME: name,
            POD_INDEX: str(ordinal_),
            REVISION: revision.name,
        },
        "ownerReferences": [
            {
                "apiVersion": STATEFUL_SET.api_version,
                "kind": STATEFUL_SET.kind,
                "name": meta["name"],
                "uid": meta["uid"],
                "controller": True,
                "blockOwnerDeletion": True,
            }
        ],
    }
    if given.get("annotations"):
        metadata["annotations"] = given["annotations"]
    identity = {"hostname": name, "subdomain": spec.get("serviceName", "")}
    return POD.body(metadata, spec={**clone(template.get("spec") or {}), **identity})
