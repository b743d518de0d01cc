"""What the pod webhook makes of a member: its place in the group as labels, addresses as environment, and affinity.

`mutated` is a function from pod JSON to pod JSON; whatever it does not know survives. It runs when the StatefulSet
controller creates a leader (known by `worker-index: "0"` in its template) or a worker (its index is the ordinal in its
name). Exclusive placement becomes a pair of affinity terms for every scheduler but lws-sched, whose placement already
holds what affinity would ask for, at a fraction of the cost.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import msgspec

from lws_sched.api import names
from lws_sched.api.core import Container, PodSpec
from lws_sched.api.lws import UNIQUE_PER_REPLICA
from lws_sched.core import tpu

JsonObject = dict[str, Any]

_LEADER_EXCLUDED = "LeaderExcluded"
_LWS_VARIABLES = (names.ENV_LEADER_ADDRESS, names.ENV_GROUP_SIZE, names.ENV_WORKER_INDEX)


class InvalidMember(ValueError):
    """The pod carries the LeaderWorkerSet label but cannot be a member; the message is for the user."""


@dataclass(frozen=True)
class Exclusive:
    """A topology domain that pods with `label: value` must share with each other, and with no other such pod."""

    label: str
    value: str
    topology_key: str


@dataclass(frozen=True)
class _Member:
    pod: JsonObject
    namespace: str
    size: int
    labels: dict[str, str]
    annotations: Mapping[str, str]

    @property
    def name(self) -> str:
        return str(self.pod["metadata"].get("name") or "")

    def labelled(self, labels: Mapping[str, str]) -> _Member:
        return replace(self, labels={**self.labels, **labels})


def mutated(pod: JsonObject, namespace: str) -> JsonObject:
    """The member as it shall be created. A pod of no LeaderWorkerSet is returned as it is. Raises InvalidMember."""
    metadata = pod.get("metadata") or {}
    labels, annotations = metadata.get("labels") or {}, metadata.get("annotations") or {}
    if names.SET_NAME not in labels:
        return pod
    size = _size(metadata.get("name") or "", annotations)
    member = _Member(
        pod={**pod, "metadata": metadata}, namespace=namespace, size=size, labels=labels, annotations=annotations
    )
    member, exclusives = _leader(member) if labels.get(names.WORKER_INDEX) == "0" else _worker(member)
    spec = dict(pod.get("spec") or {})
    if member.labels[names.WORKER_INDEX] == "0" and annotations.get(names.SUBDOMAIN_POLICY) == UNIQUE_PER_REPLICA:
        spec["subdomain"] = member.name
    if spec.get("schedulerName") != names.SCHEDULER:
        for exclusive in exclusives:
            spec = _with_exclusive(spec, exclusive)
    spec = _with_variables(_with_tpu(spec, member), _lws_variables(member, spec))
    return {**pod, "metadata": {**metadata, "labels": member.labels}, "spec": spec}


def _size(name: str, annotations: Mapping[str, str]) -> int:
    written = annotations.get(names.SIZE)
    if written is None:
        raise InvalidMember(f"size annotation is unexpectedly missing for pod {name}")
    if not written.isdecimal():
        raise InvalidMember(f"size annotation of pod {name} is not a number: {written!r}")
    return int(written)


# --- place in the group ----------------------------------------------------------------------------------------------
_Placed = tuple[_Member, list[Exclusive]]


def _leader(member: _Member) -> _Placed:
    labels = member.labels
    index = labels.get(names.GROUP_INDEX) or str(_ordinal(member.name))
    key = labels.get(names.GROUP_KEY) or names.group_key(member.namespace, member.name)
    member = member.labelled({names.GROUP_INDEX: index, names.GROUP_KEY: key})
    topology = member.annotations.get(names.EXCLUSIVE_TOPOLOGY)
    exclusives = [Exclusive(names.GROUP_KEY, key, topology)] if topology else []
    if member.annotations.get(names.SUBGROUP_POLICY_TYPE) == _LEADER_EXCLUDED:
        return member, exclusives
    return _in_subgroup(member, 0, member.name, exclusives)


def _worker(member: _Member) -> _Placed:
    index = _ordinal(member.name)
    member = member.labelled({names.WORKER_INDEX: str(index)})
    size = member.annotations.get(names.SUBGROUP_SIZE)
    if size is None:
        return member, []
    if not size.isdecimal() or size == "0":
        raise InvalidMember(f"subgroup-size annotation of pod {member.name} is not a positive number: {size!r}")
    leader = member.annotations.get(names.LEADER_NAME, "")
    return _in_subgroup(member, subgroup_index(member.size, int(size), index), leader, [])


def subgroup_index(size: int, subgroup_size: int, worker_index: int) -> int:
    """The subgroup of a worker. Where the leader makes the group one too large, subgroup 0 is the leader's extra."""
    if (size - 1) % subgroup_size == 0 and size % subgroup_size != 0:
        return (worker_index - 1) // subgroup_size
    return worker_index // subgroup_size


def _in_subgroup(member: _Member, index: int, leader: str, exclusives: list[Exclusive]) -> _Placed:
    if names.SUBGROUP_SIZE not in member.annotations or member.labels.get(names.SUBGROUP_INDEX):
        return member, exclusives
    key = hashlib.sha1(f"{leader}/{index}".encode()).hexdigest()
    member = member.labelled({names.SUBGROUP_INDEX: str(index), names.SUBGROUP_KEY: key})
    topology = member.annotations.get(names.SUBGROUP_EXCLUSIVE_TOPOLOGY)
    return member, exclusives + ([Exclusive(names.SUBGROUP_KEY, key, topology)] if topology else [])


def _ordinal(name: str) -> int:
    parts = names.parent_and_ordinal(name)
    if parts is None:
        raise InvalidMember(f"parsing pod ordinal for pod {name}")
    return parts[1]


# --- affinity --------------------------------------------------------------------------------------------------------
_REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"
_EXCLUSIVE_LABELS = frozenset((names.GROUP_KEY, names.SUBGROUP_KEY))


def _with_exclusive(spec: JsonObject, exclusive: Exclusive) -> JsonObject:
    """The pair of terms: together with its own, apart from all others. The user's terms stay, in front."""
    affinity = spec.get("affinity") or {}
    together, apart = affinity.get("podAffinity") or {}, affinity.get("podAntiAffinity") or {}
    if all(_has_ours(terms, exclusive.topology_key) for terms in (together, apart)):
        return spec
    own: JsonObject = {"key": exclusive.label, "operator": "In", "values": [exclusive.value]}
    others: list[JsonObject] = [
        {"key": exclusive.label, "operator": "Exists"},
        {"key": exclusive.label, "operator": "NotIn", "values": [exclusive.value]},
    ]
    pair = {
        "podAffinity": _with_term(together, [own], exclusive.topology_key),
        "podAntiAffinity": _with_term(apart, others, exclusive.topology_key),
    }
    return {**spec, "affinity": {**affinity, **pair}}


def _has_ours(terms: JsonObject, topology_key: str) -> bool:
    """Whether a term keeps groups, or subgroups, to domains of the topology. Terms about other pods do not."""
    return any(
        term.get("topologyKey") == topology_key and not _EXCLUSIVE_LABELS.isdisjoint(_selected(term))
        for term in terms.get(_REQUIRED) or ()
    )


def _selected(term: JsonObject) -> set[str]:
    """The label keys that a term selects by."""
    selector = term.get("labelSelector") or {}
    expressions = {str(each.get("key")) for each in selector.get("matchExpressions") or ()}
    return expressions | (selector.get("matchLabels") or {}).keys()


def _with_term(terms: JsonObject, expressions: Sequence[JsonObject], topology_key: str) -> JsonObject:
    term = {"labelSelector": {"matchExpressions": list(expressions)}, "topologyKey": topology_key}
    return {**terms, _REQUIRED: [*(terms.get(_REQUIRED) or ()), term]}


# --- environment -----------------------------------------------------------------------------------------------------
def _lws_variables(member: _Member, spec: JsonObject) -> list[JsonObject]:
    labels = member.labels
    missing = [label for label in (names.GROUP_INDEX, names.WORKER_INDEX) if not labels.get(label)]
    if missing:
        raise InvalidMember(f"label {missing[0]} is missing for pod {member.name}")
    group = labels[names.GROUP_INDEX]
    if not group.isdecimal():
        raise InvalidMember(f"the label {names.GROUP_INDEX} is {group!r}, which is no group's index")
    host = names.leader_name(labels[names.SET_NAME], int(group))
    address = f"{host}.{spec.get('subdomain') or ''}.{member.namespace}"
    values = (address, str(member.size), labels[names.WORKER_INDEX])
    return [{"name": name, "value": value} for name, value in zip(_LWS_VARIABLES, values, strict=True)]


def _with_variables(spec: JsonObject, variables: list[JsonObject]) -> JsonObject:
    return {
        **spec,
        **{
            field: [{**container, "env": _env(variables, container)} for container in spec[field]]
            for field in ("containers", "initContainers")
            if spec.get(field)
        },
    }


def _env(first: list[JsonObject], container: JsonObject) -> list[JsonObject]:
    """`first`, then the container's own variables in their order; of one name, only the first."""
    by_name: dict[str, JsonObject] = {}
    for variable in (*first, *(container.get("env") or ())):
        if "name" not in variable:
            raise InvalidMember(f"an environment variable of container {container.get('name')} has no name")
        by_name.setdefault(variable["name"], variable)
    return list(by_name.values())


def _with_tpu(spec: JsonObject, member: _Member) -> JsonObject:
    containers, inits = spec.get("containers") or [], spec.get("initContainers") or []
    typed = PodSpec(
        containers=msgspec.convert(containers, tuple[Container, ...]),
        init_containers=msgspec.convert(inits, tuple[Container, ...]),
    )
    asking = tpu.requesting([*containers, *inits], typed)
    added = tpu.environment(asking, _tpu_member(spec, member))
    if isinstance(added, str):
        raise InvalidMember(added)
    more = {id(container): variables for container, variables in zip(asking, added, strict=True) if variables}
    return {
        **spec,
        **{
            field: [
                {**container, "env": [*(container.get("env") or ()), *more[id(container)]]}
                if id(container) in more
                else container
                for container in spec[field]
            ]
            for field in ("containers", "initContainers")
            if spec.get(field)
        },
    }


def _tpu_member(spec: JsonObject, member: _Member) -> tpu.Member:
    return tpu.Member(
        name=member.name,
        subdomain=str(spec.get("subdomain") or ""),
        index=int(member.labels[names.WORKER_INDEX]),
        size=member.size,
        labels=member.labels,
        annotations=member.annotations,
    )
