"""ControllerRevisions: what of a LeaderWorkerSet is versioned, and the key that names a version.

Versioned are `spec.leaderWorkerTemplate` and `spec.networkConfig`, nothing else. `data` is their canonical form,
`key` the hash that labels carry (`template-revision-hash`); both are equal to the byte for every implementation of the
API. `restored` turns a stored revision back into the LeaderWorkerSet that groups of that revision are built from, so
that a group which restarts below a rollout's partition comes back as it was.

The API's hash knows the pod fields of one Kubernetes version. Fields that are newer are not versioned (`unversioned`):
a change of one alone starts no update. They are kept beside the data in an annotation, so that a group which is built
from its revision does not lose them.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from functools import lru_cache
from typing import Any

import msgspec

from lws_sched.api import names
from lws_sched.api.core import CONTROLLER_REVISION, ControllerRevision
from lws_sched.api.lws import (
    LEADER_WORKER_SET,
    SHARED,
    LeaderWorkerSet,
    LeaderWorkerTemplate,
    NetworkConfig,
    Template,
)
from lws_sched.api.quantity import InvalidQuantity
from lws_sched.core.canonical import canonical, compact_json, known_canonical, unknown
from lws_sched.core.ownership import is_controlled_by, owner_reference

Data = dict[str, Any]

REVISIONS_OF_SETS = f"{names.SET_NAME},!{names.WORKER_INDEX},!{names.GROUP_INDEX}"
"""Label selector: revisions of LeaderWorkerSets. Every group's StatefulSet makes some too, with the labels of its pods
and all of its template: thousands that nobody here reads."""
_ALPHABET = "bcdfghjklmnpqrstvwxz2456789"
_FNV_OFFSET = 0x811C9DC5
_FNV_PRIME = 0x01000193
_REPLACE = {"$patch": "replace"}
_NAME_LIMIT = 220


def data(lws: LeaderWorkerSet) -> Data:
    """What is versioned of a LeaderWorkerSet, in canonical form. Raises InvalidQuantity."""
    network = lws.spec.network_config
    policy = SHARED if network is None else network.subdomain_policy
    return _data(_wire(lws.spec.leader_worker_template), {"subdomainPolicy": policy})


def unversioned(lws: LeaderWorkerSet) -> Iterator[str]:
    """Paths in the templates at which they say something that is not versioned. Raises InvalidQuantity."""
    for field, template in _templates(lws.spec.leader_worker_template).items():
        yield from unknown("PodTemplateSpec", template, f"spec.leaderWorkerTemplate.{field}")


def key(content: Data) -> str:
    """The revision key: FNV-1 (32 bit) of the data's bytes in decimal, spelled without vowels."""
    return _hashed(compact_json(content))


@lru_cache(maxsize=1024)
def _hashed(text: bytes) -> str:
    digest = _FNV_OFFSET
    for byte in text:
        digest = (digest * _FNV_PRIME & 0xFFFFFFFF) ^ byte
    return "".join(_ALPHABET[ord(digit) % len(_ALPHABET)] for digit in str(digest))


def owned(revisions: Iterable[ControllerRevision], lws: LeaderWorkerSet) -> list[ControllerRevision]:
    """The revisions that belong to the set: its own, and those without a controller; oldest first."""
    mine = [
        revision
        for revision in revisions
        if revision.metadata.controller is None or is_controlled_by(revision.metadata, lws.metadata)
    ]
    return sorted(mine, key=lambda revision: (revision.revision, revision.metadata.name))


def find(revisions: Sequence[ControllerRevision], wanted: str) -> ControllerRevision | None:
    """The newest revision that is labelled with the key; None for the empty key."""
    labelled = [revision for revision in revisions if wanted and revision.metadata.labels.get(names.REVISION) == wanted]
    return max(labelled, key=lambda revision: revision.revision, default=None)


def equal(revision: ControllerRevision, content: Data) -> bool:
    """Whether a stored revision says the same as `content`, however it was once written."""
    return revision.data == content or _normal(revision.data) == content


def restored(lws: LeaderWorkerSet, revision: ControllerRevision) -> LeaderWorkerSet:
    """The LeaderWorkerSet as it was at a revision; everything that is not versioned is the live object's.

    Templates are as the user wrote them, unknown fields included.
    """
    with suppress(InvalidQuantity):  # what cannot be versioned is no stored revision
        if equal(revision, data(lws)):
            return lws
    spec = revision.data.get("spec") or {}
    spec = msgspec.structs.replace(
        lws.spec,
        leader_worker_template=_template({**(spec.get("leaderWorkerTemplate") or {}), **_written(revision)}),
        network_config=msgspec.convert(_plain(spec.get("networkConfig") or {}), NetworkConfig),
    )
    return msgspec.structs.replace(lws, spec=spec)


def body(lws: LeaderWorkerSet, content: Data, label: str, existing: Sequence[ControllerRevision]) -> dict[str, Any]:
    """The ControllerRevision to create: numbered after the highest existing one."""
    number = max((revision.revision for revision in existing), default=0) + 1
    meta = lws.metadata
    written = _templates(lws.spec.leader_worker_template) if any(unversioned(lws)) else {}
    return CONTROLLER_REVISION.body(
        {
            "name": f"{meta.name[:_NAME_LIMIT]}-{key(content)}-{number}",
            "namespace": meta.namespace,
            "labels": {names.SET_NAME: meta.name, names.REVISION: label},
            **({"annotations": {names.TEMPLATES: compact_json(written).decode()}} if written else {}),
            "ownerReferences": [owner_reference(LEADER_WORKER_SET, meta)],
        },
        data=content,
        revision=number,
    )


def _templates(template: LeaderWorkerTemplate) -> dict[str, Template]:
    given = {"leaderTemplate": template.leader_template, "workerTemplate": template.worker_template}
    return {field: each for field, each in given.items() if each is not None}


def _written(revision: ControllerRevision) -> dict[str, Template]:
    """The templates as they were written, where the revision keeps them and they are those of its data."""
    kept = revision.metadata.annotations.get(names.TEMPLATES)
    if kept is None:
        return {}
    try:
        written = json.loads(kept)
        versioned = {field: canonical("PodTemplateSpec", template) for field, template in written.items()}
    except (ValueError, TypeError, AttributeError):
        return {}
    stored = (revision.data.get("spec") or {}).get("leaderWorkerTemplate") or {}
    is_of_it = versioned == {field: stored[field] for field in ("leaderTemplate", "workerTemplate") if field in stored}
    return written if is_of_it else {}


def _wire(template: LeaderWorkerTemplate) -> dict[str, Any]:
    policy = template.sub_group_policy
    return {
        "leaderTemplate": template.leader_template,
        "workerTemplate": template.worker_template,
        "size": template.size,
        "restartPolicy": template.restart_policy,
        "subGroupPolicy": policy
        and {"subGroupPolicyType": policy.sub_group_policy_type, "subGroupSize": policy.sub_group_size},
        "volumeClaimTemplates": list(template.volume_claim_templates),
        "persistentVolumeClaimRetentionPolicy": template.persistent_volume_claim_retention_policy,
    }


def _data(template: dict[str, Any], network: dict[str, Any]) -> Data:
    return {
        "spec": {
            "leaderWorkerTemplate": {**known_canonical("LeaderWorkerTemplate", template), **_REPLACE},
            "networkConfig": {**known_canonical("NetworkConfig", network), **_REPLACE},
        }
    }


def _normal(stored: Data) -> Data:
    spec = stored.get("spec") or {}
    return _data(spec.get("leaderWorkerTemplate") or {}, spec.get("networkConfig") or {"subdomainPolicy": SHARED})


def _plain(content: dict[str, Any]) -> dict[str, Any]:
    return {field: value for field, value in content.items() if field != "$patch"}


def _template(content: dict[str, Any]) -> LeaderWorkerTemplate:
    return msgspec.convert(_plain(content), LeaderWorkerTemplate)
