"""The rules that a LeaderWorkerSet must keep, as the validating webhook answers them.

Every broken rule gives one `FieldError`; all are reported together. The messages of the LeaderWorkerSet API are kept to
the byte; the rules of lws-sched's own annotations follow at the end.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from math import prod
from typing import Any

from lws_sched.api import names
from lws_sched.api.lws import IntOrPercent, LeaderWorkerSet, SubGroupPolicy
from lws_sched.api.quantity import InvalidQuantity
from lws_sched.core import restart_budget, revision
from lws_sched.core.canonical import canonical
from lws_sched.core.desired import scheduler_of, volume_claims
from lws_sched.core.rollout import budget, configuration, scaled

_MAX_REPLICAS = 1_000_000
_MAX_PRODUCT = 2**31 - 1
_DNS_1035 = re.compile(r"[a-z]([-a-z0-9]*[a-z0-9])?")
_DNS_1035_TEXT = (
    "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, "
    "and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for validation is "
    "'[a-z]([-a-z0-9]*[a-z0-9])?')"
)
_PERCENT = re.compile(r"[0-9]+%")
_PERCENT_TEXT = (
    "a valid percent string must be a numeric string followed by an ending '%' (e.g. '1%',  or '93%', regex used for "
    "validation is '[0-9]+%')"
)
_LONGEST_LABEL = 63
_REVISION_SUFFIX = 11
"""A dash and up to ten characters: what the StatefulSet controller appends to a StatefulSet's name in the
`controller-revision-hash` label of its pods."""
_LABEL_NAME = re.compile(r"[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?")
_LABEL_PREFIX = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")

_TEMPLATE = "spec.leaderWorkerTemplate"
_ROLLING = "spec.rolloutStrategy.rollingUpdateConfiguration"
_SUBGROUP = f"{_TEMPLATE}.SubGroupPolicy.subGroupSize"


@dataclass(frozen=True)
class FieldError:
    """One broken rule: where, what it is there, and why that cannot be."""

    path: str
    value: Any
    detail: str

    def __str__(self) -> str:
        return f"{self.path}: Invalid value: {json.dumps(self.value)}: {self.detail}"


def created(lws: LeaderWorkerSet) -> tuple[FieldError, ...]:
    """What is wrong with a new LeaderWorkerSet."""
    return tuple(_errors(lws))


def updated(old: LeaderWorkerSet, new: LeaderWorkerSet) -> tuple[FieldError, ...]:
    """What is wrong with a changed LeaderWorkerSet."""
    return (*_errors(new), *_immutable(old, new))


def message(errors: tuple[FieldError, ...]) -> str:
    """All errors in one text, as an API server joins them."""
    texts = list(dict.fromkeys(str(error) for error in errors))
    return texts[0] if len(texts) == 1 else f"[{', '.join(texts)}]"


def warnings(lws: LeaderWorkerSet, old: LeaderWorkerSet | None = None) -> tuple[str, ...]:
    """What is allowed and will hardly be what was meant. `old` is what it was before, if it was."""
    return (*_long_name(lws), *_curtailed_claims(lws), *_unversioned(lws, old))


def _unversioned(lws: LeaderWorkerSet, old: LeaderWorkerSet | None) -> Iterator[str]:
    """Pod fields that are newer than the API's hash of templates. Nothing else would tell of a change of theirs."""
    paths: dict[str, None] = {}
    for each in filter(None, (lws, old)):
        with suppress(InvalidQuantity):
            paths |= dict.fromkeys(revision.unversioned(each))
    if paths:
        yield (
            f"{', '.join(paths)}: not versioned by the LeaderWorkerSet API: a change of it alone starts no update, "
            "and reaches the pods with the next one"
        )


def _curtailed_claims(lws: LeaderWorkerSet) -> Iterator[str]:
    """Claims of which the API passes less on than was given; nobody else would say so."""
    given = lws.spec.leader_worker_template.volume_claim_templates
    for index, (claim, passed_on) in enumerate(zip(given, volume_claims(lws), strict=True)):
        lost = [
            f"{part}.{field}"
            for part in ("metadata", "spec")
            for field, value in sorted((claim.get(part) or {}).items())
            if value and field not in passed_on[part]
        ]
        if lost:
            yield (
                f"{_TEMPLATE}.volumeClaimTemplates[{index}]: {', '.join(lost)}: not passed on to the claims, "
                "which get a name, accessModes, storageClassName, volumeMode and resources only"
            )


def _long_name(lws: LeaderWorkerSet) -> tuple[str, ...]:
    """Names that leave the StatefulSet controller no room for its pods' labels, so that it creates no pods. The API's
    own rule ends at 63 characters."""
    name, size = lws.metadata.name, lws.spec.leader_worker_template.size
    index = f"-{max(lws.spec.replicas - 1, 0)}" if size > 1 else ""
    most = _LONGEST_LABEL - _REVISION_SUFFIX - len(index)
    if len(name) <= most:
        return ()
    who = "workers" if index else "leaders"
    return (
        f"metadata.name: {name} has {len(name)} characters: the StatefulSet controller may be unable to create its "
        f"{who}, as their controller-revision-hash label would exceed {_LONGEST_LABEL}; "
        f"use at most {most} for {lws.spec.replicas} groups",
    )


def _errors(lws: LeaderWorkerSet) -> Iterator[FieldError]:
    yield from _name(lws)
    yield from _counts(lws)
    yield from _rollout(lws)
    yield from _subgroups(lws)
    yield from _schedulers(lws)
    yield from _topologies(lws)
    yield from _restart_budget(lws)
    yield from _quantities(lws)


def _quantities(lws: LeaderWorkerSet) -> Iterator[FieldError]:
    """The schema lets a quantity pass that no API server would take in a pod: the set would never get a revision."""
    try:
        revision.data(lws)
    except InvalidQuantity as error:
        yield FieldError(
            f"{_TEMPLATE}.{error.path}", error.text, "must be a Kubernetes quantity such as 500m, 8 or 16Gi"
        )


def _name(lws: LeaderWorkerSet) -> Iterator[FieldError]:
    name = lws.metadata.name
    if len(name) > 63:
        yield FieldError("metadata.name", name, "must be no more than 63 characters")
    if name and _DNS_1035.fullmatch(name) is None:
        yield FieldError("metadata.name", name, _DNS_1035_TEXT)


def _counts(lws: LeaderWorkerSet) -> Iterator[FieldError]:
    replicas, size = lws.spec.replicas, lws.spec.leader_worker_template.size
    if replicas < 0:
        yield FieldError("spec.replicas", replicas, "replicas must be equal or greater than 0")
    if replicas > _MAX_REPLICAS:
        yield FieldError("spec.replicas", replicas, f"replicas must be equal or less than {_MAX_REPLICAS}")
    if size < 1:
        yield FieldError(f"{_TEMPLATE}.size", size, "size must be equal or greater than 1")
    if replicas * size > _MAX_PRODUCT:
        yield FieldError(
            "spec.replicas", replicas, f"the product of replicas and worker replicas must not exceed {_MAX_PRODUCT}"
        )


def _rollout(lws: LeaderWorkerSet) -> Iterator[FieldError]:
    yield from _room_to_roll(lws)
    partition = configuration(lws).partition
    if partition < 0:
        yield FieldError(f"{_ROLLING}.partition", partition, "must be greater than or equal to 0")


def _room_to_roll(lws: LeaderWorkerSet) -> Iterator[FieldError]:
    rolling, replicas = configuration(lws), lws.spec.replicas
    found = [
        *_int_or_percent(f"{_ROLLING}.maxUnavailable", rolling.max_unavailable),
        *_int_or_percent(f"{_ROLLING}.maxSurge", rolling.max_surge),
    ]
    yield from found
    yield from (replace(each, detail="invalid value") for each in found if each.detail == _PERCENT_TEXT)
    if found or replicas <= 0:
        return
    unavailable = scaled(rolling.max_unavailable, replicas, up=False)
    if unavailable == 0 and budget(lws).surge == 0:
        yield FieldError(f"{_ROLLING}.maxUnavailable", rolling.max_unavailable, "must not be 0 when `maxSurge` is 0")


def _int_or_percent(path: str, value: IntOrPercent) -> Iterator[FieldError]:
    if isinstance(value, int):
        if value < 0:
            yield FieldError(path, value, "must be greater than or equal to 0")
    elif _PERCENT.fullmatch(value) is None:
        yield FieldError(path, value, _PERCENT_TEXT)
    elif int(value[:-1]) > 100:
        yield FieldError(path, value, "must not be greater than 100%")


def _subgroups(lws: LeaderWorkerSet) -> Iterator[FieldError]:
    policy = lws.spec.leader_worker_template.sub_group_policy
    if policy is not None:
        yield from _subgroup_size(policy, lws.spec.leader_worker_template.size)
        return
    for annotation, what in (
        (names.SUBGROUP_EXCLUSIVE_TOPOLOGY, "subgroup-exclusive-topology"),
        (names.SUBGROUP_REQUIRED_TOPOLOGY, "subgroup-required-topology"),
    ):
        value = lws.metadata.annotations.get(annotation)
        if value is not None:
            yield FieldError(
                f"metadata.annotations.{annotation}", value, f"cannot have {what} without subGroupSize set"
            )


def _subgroup_size(policy: SubGroupPolicy, size: int) -> Iterator[FieldError]:
    subgroup = policy.sub_group_size or 0
    if subgroup < 1:
        yield FieldError(_SUBGROUP, subgroup, "subGroupSize must be equal or greater than 1")
        return
    if size % subgroup and (size - 1) % subgroup:
        yield FieldError(_SUBGROUP, subgroup, "size or size - 1 must be divisible by subGroupSize")
    if subgroup > size:
        yield FieldError(_SUBGROUP, subgroup, "subGroupSize cannot be larger than size")
    if policy.sub_group_policy_type == "LeaderExcluded" and (size - 1) % subgroup:
        yield FieldError(_SUBGROUP, subgroup, "size-1 must be divisible by subGroupSize when using LeaderExcluded")


def _immutable(old: LeaderWorkerSet, new: LeaderWorkerSet) -> Iterator[FieldError]:
    before, after = (lws.spec.leader_worker_template.sub_group_policy for lws in (old, new))
    was, now = (None if policy is None else policy.sub_group_size for policy in (before, after))
    if before is None and after is not None:
        yield FieldError(_SUBGROUP, now, "cannot enable subGroupSize after the lws is already created")
    elif before is not None and after is None:
        yield FieldError(_SUBGROUP, was, "cannot remove subGroupSize after enabled")
    elif was != now:
        yield FieldError(_SUBGROUP, now, "field is immutable")
    network = new.spec.network_config
    if network is not None and network.subdomain_policy is None:
        yield FieldError("spec.networkConfig.subdomainPolicy", None, "cannot set subdomainPolicy as null")
    with suppress(InvalidQuantity):  # which is told of as such
        if _claims(old) != _claims(new):
            yield FieldError(
                f"{_TEMPLATE}.volumeClaimTemplates",
                [each["metadata"]["name"] for each in volume_claims(new)],
                "field is immutable: a StatefulSet cannot change its volume claims; create another LeaderWorkerSet",
            )


def _claims(lws: LeaderWorkerSet) -> list[dict[str, Any]]:
    """Raises InvalidQuantity."""
    return [canonical("PersistentVolumeClaim", each) for each in volume_claims(lws)]


# --- lws-sched's own rules -------------------------------------------------------------------------------------------
def _schedulers(lws: LeaderWorkerSet) -> Iterator[FieldError]:
    """One scheduler decides for a whole group, or the group is not placed whole."""
    template = lws.spec.leader_worker_template
    leader, worker = scheduler_of(template.actual_leader_template), scheduler_of(template.worker_template)
    if leader != worker and names.SCHEDULER in (leader, worker):
        yield FieldError(
            f"{_TEMPLATE}.leaderTemplate.spec.schedulerName",
            leader,
            f"must be the workers' schedulerName ({worker or 'default-scheduler'}) where either is {names.SCHEDULER}: "
            "a group is placed whole only if one scheduler places all its pods",
        )


def _topologies(lws: LeaderWorkerSet) -> Iterator[FieldError]:
    template = lws.spec.leader_worker_template
    places: list[tuple[str, Mapping[str, str]]] = [("metadata", lws.metadata.annotations)]
    for field, pods in (("leaderTemplate", template.leader_template), ("workerTemplate", template.worker_template)):
        metadata = (pods or {}).get("metadata") or {}
        places.append((f"{_TEMPLATE}.{field}.metadata", metadata.get("annotations") or {}))
    if scheduler_of(template.worker_template) == names.SCHEDULER:
        exclusive = lws.metadata.annotations.get(names.EXCLUSIVE_TOPOLOGY)
        if exclusive is not None:
            yield from _topology(
                f"metadata.annotations.{names.EXCLUSIVE_TOPOLOGY}", names.EXCLUSIVE_TOPOLOGY, exclusive
            )
    for path, asked in places:
        for annotation in names.TOPOLOGY_ANNOTATIONS:
            if annotation in asked and annotation != names.TORUS:
                yield from _topology(f"{path}.annotations.{annotation}", annotation, asked[annotation])
        if names.TORUS in asked:
            yield from _torus(f"{path}.annotations.{names.TORUS}", asked[names.TORUS], lws)


def _torus(path: str, value: str, lws: LeaderWorkerSet) -> Iterator[FieldError]:
    size = lws.spec.leader_worker_template.size
    if prod(names.sides_of(value.strip()) or (0,)) != size:
        yield FieldError(
            path,
            value,
            f"must be two or three sides in hosts that multiply to the group's size ({size}), such as 4x4 or 2x2x4",
        )
    for other in (names.SUBGROUP_REQUIRED_TOPOLOGY, names.SUBGROUP_EXCLUSIVE_TOPOLOGY):
        if other in lws.metadata.annotations:
            yield FieldError(path, value, f"cannot be combined with {other}: ask for one of the two")


def _restart_budget(lws: LeaderWorkerSet) -> Iterator[FieldError]:
    asked = lws.metadata.annotations
    most, pause = asked.get(names.MAX_GROUP_RESTARTS), asked.get(names.RESTART_BACKOFF)
    if most is not None and not restart_budget.is_count(most):
        yield FieldError(f"metadata.annotations.{names.MAX_GROUP_RESTARTS}", most, "must be a whole number such as 3")
    if pause is not None and restart_budget.seconds(pause) is None:
        yield FieldError(
            f"metadata.annotations.{names.RESTART_BACKOFF}", pause, "must be a duration such as 10s, 2m or 1h30m"
        )


def _topology(path: str, annotation: str, value: str) -> Iterator[FieldError]:
    levels = [level.strip() for level in value.split(",")] if annotation == names.PREFERRED_TOPOLOGY else [value]
    if not all(_is_label_key(level) for level in levels):
        what = (
            "level names or node label keys, separated by commas"
            if len(levels) > 1
            else "a level name or node label key"
        )
        yield FieldError(path, value, f"must be {what}, such as rack or topology.kubernetes.io/zone")


def _is_label_key(text: str) -> bool:
    prefix, slash, name = text.rpartition("/")
    well_prefixed = not slash or (len(prefix) <= 253 and _LABEL_PREFIX.fullmatch(prefix) is not None)
    return well_prefixed and _LABEL_NAME.fullmatch(name) is not None
