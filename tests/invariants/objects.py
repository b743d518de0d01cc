"""What the rules need to know of each object, picked out of its JSON. Spelled out here, not imported: see the package.

Amounts are what kube-scheduler counts: milli-CPUs, whole units of all else, both rounded up; a pod takes the larger of
its containers together and its largest init container, sidecars running beside both, plus overhead.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from decimal import ROUND_CEILING, Decimal
from functools import lru_cache
from typing import Any

from tests.invariants.log import Json

LWS = "leaderworkerset.sigs.k8s.io/"
SCHEDULER = "lws-sched"
EXCLUSIVE = LWS + "exclusive-topology"
REQUIRED = "lws-sched.io/required-topology"
HOLDING = ("Reserved", "Committed", "Bound", "Sticky", "Aborting")
MEMBER_MARK = "lws-sched.io/member"
PREEMPTED = "PreemptionByScheduler"
"""What kube-scheduler writes into a victim's condition `DisruptionTarget`."""

Amounts = Mapping[str, int]
_NUMBER = re.compile(r"([+-]?[0-9.]+)(?:[eE]([+-]?[0-9]+)|([a-zA-Z]*))")
_POWERS = {"": 0, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18, "m": -3, "u": -6, "n": -9}


@dataclass(frozen=True)
class Pod:
    key: str
    uid: str
    node: str
    gated: bool
    ours: bool
    """A member of a group that goes through the scheduler profile of lws-sched."""
    group: str
    """`namespace/leader` of the group whose member it is, "" for a pod of no group."""
    ended: bool
    """Succeeded or Failed: it takes no room any more."""
    leaving: bool
    preempted: bool
    """kube-scheduler's own preemption has chosen it as a victim."""
    requests: Amounts
    topology: Mapping[str, str]
    """Its own topology annotations."""

    @property
    def namespace(self) -> str:
        return self.key.partition("/")[0]

    @property
    def wants_device(self) -> bool:
        return self.ours or any("/" in resource for resource, amount in self.requests.items() if amount)


@dataclass(frozen=True)
class Node:
    key: str
    labels: Mapping[str, str]
    allocatable: Amounts


@dataclass(frozen=True)
class Slot:
    pod: str
    node: str
    requests: Amounts


@dataclass(frozen=True)
class Record:
    key: str
    state: str
    leader_uid: str
    committed: Mapping[str, str]
    """Pod key to UID."""
    domain_key: str
    slots: tuple[Slot, ...] = ()


@dataclass(frozen=True)
class Set:
    key: str
    topology: Mapping[str, str] = field(default_factory=dict)


def pod_of(body: Json) -> Pod:
    meta, spec = body["metadata"], body.get("spec") or {}
    labels, annotations = meta.get("labels") or {}, meta.get("annotations") or {}
    group = ""
    if labels.get(LWS + "name"):
        group = f"{meta['namespace']}/{labels[LWS + 'name']}-{labels.get(LWS + 'group-index', '?')}"
    status = body.get("status") or {}
    return Pod(
        key=f"{meta['namespace']}/{meta['name']}",
        uid=meta["uid"],
        node=spec.get("nodeName") or "",
        gated=bool(spec.get("schedulingGates")),
        ours=bool(group) and spec.get("schedulerName") == SCHEDULER,
        group=group,
        ended=status.get("phase") in ("Succeeded", "Failed"),
        leaving=bool(meta.get("deletionTimestamp")),
        preempted=any(
            each["type"] == "DisruptionTarget" and each["status"] == "True" and each.get("reason") == PREEMPTED
            for each in status.get("conditions") or ()
        ),
        requests=pod_requests(spec),
        topology=_topology(annotations),
    )


def node_of(body: Json) -> Node:
    meta = body["metadata"]
    return Node(meta["name"], meta.get("labels") or {}, _amounts((body.get("status") or {}).get("allocatable") or {}))


def record_of(body: Json) -> Record:
    meta, spec, status = body["metadata"], body.get("spec") or {}, body.get("status") or {}
    namespace, leader = meta["namespace"], meta["name"]
    state = status.get("state", "Waiting")
    held = status.get("slots") or () if state in HOLDING else ()
    return Record(
        key=f"{namespace}/{leader}",
        state=state,
        leader_uid=status.get("leaderUID", ""),
        committed={f"{namespace}/{pod}": uid for pod, uid in (status.get("committed") or {}).items()},
        domain_key=(status.get("domain") or {}).get("key", ""),
        slots=tuple(
            Slot(
                pod=f"{namespace}/{leader}-{index}" if index else f"{namespace}/{leader}",
                node=node,
                requests={**((spec.get("worker" if index else "leader") or {}).get("requests") or {}), "pods": 1},
            )
            for index, node in enumerate(held)
        ),
    )


def set_of(body: Json) -> Set:
    """The annotation of the set itself wins over the leader template's, that over the worker template's."""
    meta = body["metadata"]
    template = (body.get("spec") or {}).get("leaderWorkerTemplate") or {}
    sources = [(template.get(each) or {}).get("metadata") or {} for each in ("workerTemplate", "leaderTemplate")]
    found: dict[str, str] = {}
    for source in (*sources, meta):
        found |= _topology(source.get("annotations") or {})
    return Set(f"{meta['namespace']}/{meta['name']}", found)


def pod_requests(spec: Json) -> Amounts:
    """What a pod takes from its node, one of `pods` included."""
    running = Counter[str]()
    largest: dict[str, int] = {}
    for container in spec.get("initContainers") or ():
        wants = _container(container)
        if container.get("restartPolicy") == "Always":
            running.update(wants)
            largest = _larger(largest, running)
        else:
            largest = _larger(largest, Counter(wants) + running)
    for container in spec.get("containers") or ():
        running.update(_container(container))
    # Requests of the pod as a whole stand in place of its containers'.
    total = Counter({**_larger(largest, running), **_amounts((spec.get("resources") or {}).get("requests") or {})})
    total.update(_amounts(spec.get("overhead") or {}))
    return {**total, "pods": 1}


@lru_cache(maxsize=4096)
def amount(resource: str, text: str) -> int:
    """A quantity in kube-scheduler's units. Raises ValueError for what is none."""
    match = _NUMBER.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is not a quantity")
    number, exponent, suffix = Decimal(match[1]), match[2], match[3] or ""
    if exponent:
        number = number.scaleb(int(exponent))
    elif suffix.endswith("i"):
        number *= Decimal(1024) ** (_POWERS[suffix[:-1].replace("K", "k")] // 3)
    else:
        number = number.scaleb(_POWERS[suffix])
    return int((number * 1000 if resource == "cpu" else number).to_integral_value(ROUND_CEILING))


def _container(container: Json) -> Amounts:
    # Admission makes a missing request equal to its limit; a log from elsewhere may not have passed it.
    resources = container.get("resources") or {}
    return _amounts({**(resources.get("limits") or {}), **(resources.get("requests") or {})})


def _amounts(quantities: Mapping[str, Any]) -> Amounts:
    return {name: amount(name, str(text)) for name, text in quantities.items() if name != MEMBER_MARK}


def _larger(one: Mapping[str, int], other: Mapping[str, int]) -> dict[str, int]:
    names: Iterable[str] = {**one, **other}
    return {name: max(one.get(name, 0), other.get(name, 0)) for name in names}


def _topology(annotations: Mapping[str, str]) -> dict[str, str]:
    return {key: annotations[key] for key in (EXCLUSIVE, REQUIRED) if annotations.get(key)}
