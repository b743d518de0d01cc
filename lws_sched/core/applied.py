"""Whether a StatefulSet is already as it shall be, so that nothing is written when nothing changed.

The comparison needs no memory: it survives a restart of the controller. Three questions are asked of the live object:
is every field that we want there with our value (in canonical form, since the API server rewrites quantities and fills
in defaults); do we still own a field that we no longer want (`metadata.managedFields` tells what this field manager
applied); and has the StatefulSet a switched-off feature, whose fields the API server drops in silence.

A StatefulSet that another implementation of the API applied passes too: what only a Go program writes (`resources: {}`,
`divisor: "0"`) is owned and not wanted, but there is nothing in it to give up.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import msgspec

from lws_sched.api import names
from lws_sched.api.core import StatefulSetStatus
from lws_sched.api.meta import Kind, Meta, Wire
from lws_sched.core.canonical import compact_json, known_canonical
from lws_sched.core.desired import KUBECTL_RECORD
from lws_sched.core.rollout import Current

FIELD_MANAGER = "lws"
_NOTHING: tuple[Any, ...] = (None, "", "0", 0, [], {})
"""Values that Go programs write for fields that nobody set."""


class TrackedMeta(Meta, frozen=True, kw_only=True):
    """Metadata with the record of who applied which fields."""

    managed_fields: tuple[dict[str, Any], ...] = ()


class WholeStatefulSet(Wire, frozen=True, kw_only=True):
    """A StatefulSet with its whole spec."""

    metadata: TrackedMeta
    spec: dict[str, Any] = msgspec.field(default_factory=dict)
    status: StatefulSetStatus = StatefulSetStatus()

    @property
    def current(self) -> Current:
        """What the rollout needs to know of it."""
        rolling = (self.spec.get("updateStrategy") or {}).get("rollingUpdate") or {}
        written = self.metadata.annotations.get(names.REPLICAS, "")
        return Current(
            partition=rolling.get("partition") or 0,
            replicas=self.spec.get("replicas", 1),
            scaled_for=int(written) if written.isdecimal() else None,
        )


WHOLE_STATEFUL_SET = Kind("apps", "v1", "StatefulSet", "statefulsets", WholeStatefulSet)


def is_applied(live: WholeStatefulSet, desired: Mapping[str, Any]) -> bool:
    """Whether applying `desired` would change nothing."""
    wanted = _comparable(desired["spec"])
    present = _comparable(live.spec)
    if "maxUnavailable" not in present["updateStrategy"].get("rollingUpdate", {}):
        wanted["updateStrategy"]["rollingUpdate"].pop("maxUnavailable", None)
    meta, wanted_meta = live.metadata, desired["metadata"]
    owners = [msgspec.to_builtins(owner) for owner in meta.owner_references]
    # What is not versioned is not compared either, or giving it up would replace leaders without their groups.
    known = {"metadata": {**msgspec.to_builtins(meta), "ownerReferences": owners}, "spec": present}
    return (
        _contains(present, wanted)
        and _contains(meta.labels, wanted_meta["labels"])
        and _contains(meta.annotations, wanted_meta["annotations"])
        and all(any(_contains(owner, reference) for owner in owners) for reference in wanted_meta["ownerReferences"])
        and not any(_abandons(fields, desired, known) for fields in _owned(meta))
    )


def has_drifted(live: WholeStatefulSet, made: Mapping[str, Any]) -> bool:
    """Whether somebody changed what a StatefulSet runs since it was made from `made`: how many pods, or which. What
    was added beside it (labels, annotations, node selectors, containers of other names) is no drift."""
    before, now = made["spec"], live.spec
    template = known_canonical("PodTemplateSpec", now.get("template") or {})
    return now.get("replicas", 1) != before["replicas"] or not _contains(
        template, known_canonical("PodTemplateSpec", before["template"])
    )


def fingerprint(live: WholeStatefulSet, desired: Mapping[str, Any]) -> bytes:
    """Names the pair. An API server may drop fields for good; where applying once left a difference, the same pair seen
    again need not be applied again."""
    meta = live.metadata
    return hashlib.sha256(compact_json([desired, live.spec, meta.labels, meta.annotations])).digest()


def _comparable(spec: Mapping[str, Any]) -> dict[str, Any]:
    strategy = spec.get("updateStrategy") or {}
    compared = {
        **spec,
        "template": known_canonical("PodTemplateSpec", spec.get("template") or {}),
        "updateStrategy": {**strategy, "rollingUpdate": dict(strategy.get("rollingUpdate") or {})},
    }
    if spec.get("volumeClaimTemplates"):
        claims = spec["volumeClaimTemplates"]
        compared["volumeClaimTemplates"] = [known_canonical("PersistentVolumeClaim", claim) for claim in claims]
    return compared


def _contains(live: Any, wanted: Any) -> bool:
    """Whether `live` says all that `wanted` says. List items with names may have strangers among them."""
    if live == wanted:  # most of any object, and told apart at once
        return True
    if isinstance(wanted, Mapping):
        if not isinstance(live, Mapping):
            return False
        return all(value is None or (key in live and _contains(live[key], value)) for key, value in wanted.items())
    if isinstance(wanted, list) and isinstance(live, list):
        if all(isinstance(item, Mapping) and "name" in item for item in (*wanted, *live)):
            by_name = {item["name"]: item for item in live}
            return all(_contains(by_name.get(item["name"]), item) for item in wanted)
        return len(live) == len(wanted) and all(map(_contains, live, wanted))
    return False


def _owned(meta: TrackedMeta) -> list[dict[str, Any]]:
    return [
        entry.get("fieldsV1") or {}
        for entry in meta.managed_fields
        if entry.get("manager") == FIELD_MANAGER and entry.get("operation") == "Apply" and not entry.get("subresource")
    ]


def _abandons(owned: Mapping[str, Any], desired: Any, live: Any) -> bool:
    """Whether some field in `owned` (fieldsV1 notation: `f:` field, `k:` item by key, `v:` item) is there and not
    desired."""
    return any(_is_abandoned(path, below, desired, live) for path, below in owned.items() if path != ".")


def _is_abandoned(path: str, below: Mapping[str, Any], desired: Any, live: Any) -> bool:
    notation, _, name = path.partition(":")
    if notation == "f":
        present = live.get(name) if isinstance(live, Mapping) else None
        if present in _NOTHING or name == KUBECTL_RECORD:
            return False
        return not isinstance(desired, Mapping) or name not in desired or _abandons(below, desired[name], present)
    present = _item(notation, name, live)
    if present is None:
        return False
    wanted = _item(notation, name, desired)
    return wanted is None or _abandons(below, wanted, present)


def _item(notation: str, name: str, items: Any) -> Any:
    """The list's item of that value (`v`) or key (`k`); None where there is none."""
    key = json.loads(name)
    is_meant = (lambda item: item == key) if notation == "v" else (lambda item: _has_key(item, key))
    return next(filter(is_meant, items), None) if isinstance(items, list) else None


def _has_key(item: Mapping[str, Any], key: Mapping[str, Any]) -> bool:
    """A key field that the item leaves out has its default there, which the key spells out."""
    return all(item.get(field, value) == value for field, value in key.items())
