"""Requests to the API server, on raw JSON: what a write means, and when it is refused.

Every write goes the way it goes on a real one: preconditions, fields that belong to the system or to the other
subresource, defaults, admission, rules, and then the store. A write that changes nothing is no write: its answer is the
version that is there. Deletion is in steps: finalizers keep an object, and a bound pod stays until its kubelet lets go.

Refusals are the errors of `lws_sched.kube.errors`, with the status codes and the words of Kubernetes 1.37.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from lws_sched.api.core import NODE, POD
from lws_sched.api.meta import Kind
from lws_sched.api.timestamps import time_of
from lws_sched.kube.errors import AlreadyExists, Conflict, Forbidden, Invalid, NotFound
from lws_sched.sim import pod_rules
from lws_sched.sim.admission import Admission
from lws_sched.sim.loop import SimClock
from lws_sched.sim.objects import FOREGROUND, Json, clone, is_terminating, key_of, named, selector_of, with_condition
from lws_sched.sim.patch import PatchFailed, applied, json_patch, merge_patch
from lws_sched.sim.store import ObjectStore, Version

AnyKind = Kind[Any]
STATUS_SUBRESOURCE = frozenset({"Pod", "Node", "Service", "StatefulSet", "DaemonSet", "LeaderWorkerSet"})
WITH_GENERATION = frozenset({"Pod", "StatefulSet", "DaemonSet", "LeaderWorkerSet", "GroupPlacement"})
"""Kinds that count the changes of their spec (without a status subresource: of all but metadata)."""
SYSTEM_PRIORITIES = {"system-node-critical": 2000001000, "system-cluster-critical": 2000000000}
COPIED_LABELS = ("topology.kubernetes.io/zone", "topology.kubernetes.io/region")
_OF_THE_SYSTEM = ("uid", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds", "generation")
_STATEFUL_SET_IMMUTABLE = ("selector", "serviceName", "podManagementPolicy", "volumeClaimTemplates")


class ApiServer:
    def __init__(self, store: ObjectStore, clock: SimClock) -> None:
        self.store = store
        self.admission = Admission()
        self.priority_classes = dict(SYSTEM_PRIORITIES)
        self.pod_quota: dict[str, int] = {}
        """How many pods a namespace may have; a ResourceQuota's `pods`."""
        self.is_up = True
        """Whether requests of the product's components and of the scheduler are answered, and watches told."""
        self._clock = clock
        self._applied: dict[str, dict[str, Json]] = {}
        """What each field manager gave last, by the object's UID."""

    # --- reads -------------------------------------------------------------------------------------------------------

    def get(self, kind: AnyKind, namespace: str, name: str) -> Version:
        version = self.store.get(kind.kind, namespace, name)
        if version is None:
            raise NotFound(f'{_resource(kind)} "{name}" not found', reason="NotFound")
        return version

    def list(self, kind: AnyKind, namespace: str = "", labels: str = "") -> list[Version]:
        is_selected = selector_of(labels)
        return [
            version
            for version in self.store.objects(kind.kind)
            if (not namespace or version.body["metadata"].get("namespace") == namespace)
            and is_selected(version.body["metadata"].get("labels") or {})
        ]

    # --- writes ------------------------------------------------------------------------------------------------------

    def create(self, kind: AnyKind, body: Mapping[str, Any], *, dry_run: bool = False) -> Version:
        new = self._admitted(kind, self._first(kind, clone(body)), None, dry_run=dry_run)
        if kind.kind == POD.kind:
            new = pod_rules.pending(new, self.now())
        namespace, name = key_of(new)
        if self.store.get(kind.kind, namespace, name) is not None:
            raise AlreadyExists(f'{_resource(kind)} "{name}" already exists', reason="AlreadyExists")
        if kind.kind == POD.kind and namespace in self.pod_quota:
            self._check_quota(new, self.pod_quota[namespace])
        return Version(new) if dry_run else self.store.insert(new)

    def replace(self, kind: AnyKind, body: Mapping[str, Any]) -> Version:
        old = self.get(kind, *key_of(body))
        if not body["metadata"].get("resourceVersion"):
            raise Invalid(f"{named(old.body)} is invalid: metadata.resourceVersion: must be specified for an update")
        return self._update(kind, old, clone(body))

    def merge(
        self, kind: AnyKind, namespace: str, name: str, change: Mapping[str, Any], *, subresource: str = ""
    ) -> Version:
        old = self.get(kind, namespace, name)
        return self._update(kind, old, merge_patch(old.body, change), subresource=subresource)

    def patch(self, kind: AnyKind, namespace: str, name: str, operations: Iterable[Mapping[str, Any]]) -> Version:
        old = self.get(kind, namespace, name)
        try:
            new = json_patch(old.body, operations)
        except PatchFailed as failure:
            raise Invalid(f"the patch of {named(old.body)} cannot be applied: {failure}") from None
        return self._update(kind, old, new)

    def apply(self, kind: AnyKind, body: Mapping[str, Any], *, manager: str) -> Version:
        old = self.store.get(kind.kind, *key_of(body))
        if old is None:
            version = self.create(kind, body)
        else:
            before = self._applied.get(old.uid, {}).get(manager, {})
            version = self._update(kind, old, applied(old.body, before, body))
        self._applied.setdefault(version.uid, {})[manager] = clone(body)
        return version

    def delete(
        self,
        kind: AnyKind,
        namespace: str,
        name: str,
        *,
        uid: str = "",
        propagation: str = "",
        grace_seconds: int | None = None,
    ) -> None:
        """`propagation` is Background, Foreground, or "" for what the object's finalizers say."""
        old = self.get(kind, namespace, name)
        if uid and uid != old.uid:
            raise _uid_conflict(kind, old, uid)
        finalizers = _finalizers(old.body, propagation)
        grace = _grace(kind, old.body, grace_seconds)
        if not finalizers and grace == 0:
            self._remove(old, old.body)
            return
        meta = {**old.body["metadata"], **self._deletion(old.body, grace), "finalizers": finalizers}
        if not finalizers:
            del meta["finalizers"]
        if meta != old.body["metadata"]:
            self.store.update(old, {**old.body, "metadata": meta})

    def bind(self, namespace: str, pod: str, uid: str, node: str) -> None:
        old = self.get(POD, namespace, pod)
        spec = old.body["spec"]
        refusal = ""
        if uid and uid != old.uid:
            raise _uid_conflict(POD, old, uid)
        if is_terminating(old.body):
            refusal = f"pod {pod} is being deleted, cannot be assigned to a host"
        elif spec.get("nodeName"):
            refusal = f'pod {pod} is already assigned to node "{spec["nodeName"]}"'
        elif spec.get("schedulingGates"):
            refusal = f"pod {pod} has non-empty .spec.schedulingGates"
        if refusal:
            raise Conflict(f'Operation cannot be fulfilled on pods/binding "{pod}": {refusal}', reason="Conflict")
        scheduled = {"type": "PodScheduled", "status": "True", "lastTransitionTime": self.now()}
        status = {**old.body["status"], "conditions": with_condition(old.body, scheduled)}
        meta = old.body["metadata"]
        metadata = {**meta, "labels": {**(meta.get("labels") or {}), **self._where(node)}}
        after = {**old.body, "metadata": metadata, "spec": {**spec, "nodeName": node}, "status": status}
        self.store.update(old, after)

    def _where(self, node: str) -> Json:
        """The labels of a node that every pod gets by being bound to it."""
        found = self.store.get(NODE.kind, "", node)
        labels = found.body["metadata"].get("labels") or {} if found else {}
        return {key: labels[key] for key in COPIED_LABELS if key in labels}

    def now(self, later: float = 0.0) -> str:
        """RFC 3339 in whole seconds, as object metadata has it."""
        return time_of(self._clock.now() + later)

    # --- the way of a write ------------------------------------------------------------------------------------------

    def _first(self, kind: AnyKind, body: Json) -> Json:
        """A body to create, with the metadata that the system gives."""
        meta = body["metadata"]
        if meta.get("resourceVersion"):
            raise Invalid(f"{kind} is invalid: resourceVersion should not be set on objects to be created")
        if not meta.get("name") and meta.get("generateName"):
            meta["name"] = meta["generateName"] + self.store.new_suffix()
        if not meta.get("name") or bool(meta.get("namespace")) != kind.namespaced:
            wanted = "a name and a namespace" if kind.namespaced else "a name and no namespace"
            raise Invalid(f"{kind} is invalid: metadata: it needs {wanted}")
        for field in _OF_THE_SYSTEM:
            meta.pop(field, None)
        meta |= {"uid": self.store.new_uid(), "creationTimestamp": self.now()}
        if kind.kind in WITH_GENERATION:
            meta["generation"] = 1
        if kind.kind in STATUS_SUBRESOURCE and kind.kind != "Node":
            body.pop("status", None)
        if kind.kind == "Node":
            body.setdefault("spec", {})
        return {"apiVersion": kind.api_version, "kind": kind.kind, **body}

    def _admitted(self, kind: AnyKind, new: Json, old: Json | None, *, dry_run: bool = False) -> Json:
        if kind.kind == POD.kind and old is None:
            new = pod_rules.defaulted(new, self.priority_classes)
        return self.admission.review(kind, new, old, dry_run=dry_run)

    def _check_quota(self, pod: Json, limit: int) -> None:
        ended = ("Failed", "Succeeded")
        namespace = pod["metadata"]["namespace"]
        used = sum((each.body["status"].get("phase") not in ended) for each in self.list(POD, namespace))
        if used >= limit:
            raise Forbidden(
                f"{named(pod)} is forbidden: exceeded quota: quota, requested: pods=1, used: pods={used}, "
                f"limited: pods={limit}",
                reason="Forbidden",
            )

    def _update(self, kind: AnyKind, old: Version, desired: Json, *, subresource: str = "") -> Version:
        _check_preconditions(kind, old, desired)
        new = _carried_over(kind, old.body, desired, subresource)
        if not subresource:
            new = _shared(old.body, self._admitted(kind, new, old.body))
            _check_rules(kind, old.body, new)
        if new == old.body:
            return old
        meta = new["metadata"]
        if kind.kind in WITH_GENERATION and _is_respecified(kind, old.body, new):
            meta = {**meta, "generation": old.body["metadata"]["generation"] + 1}
            new = {**new, "metadata": meta}
        if is_terminating(new) and not meta.get("finalizers") and not meta.get("deletionGracePeriodSeconds"):
            return self._remove(old, new)
        return self.store.update(old, new)

    def _remove(self, old: Version, last: Json) -> Version:
        self._applied.pop(old.uid, None)
        return self.store.remove(old, last)

    def _deletion(self, body: Json, grace: int) -> Json:
        """The metadata of an object that is to go: a deletion may be hastened and never put off."""
        meta = body["metadata"]
        if is_terminating(body):
            if grace >= meta["deletionGracePeriodSeconds"]:
                return {}
            return {"deletionTimestamp": self.now(grace), "deletionGracePeriodSeconds": grace}
        fields = {"deletionTimestamp": self.now(grace), "deletionGracePeriodSeconds": grace}
        return {**fields, "generation": meta["generation"] + 1} if "generation" in meta else fields


def _resource(kind: AnyKind) -> str:
    return f"{kind.plural}.{kind.group}" if kind.group else kind.plural


def _uid_conflict(kind: AnyKind, old: Version, uid: str) -> Conflict:
    return Conflict(
        f'Operation cannot be fulfilled on {_resource(kind)} "{old.body["metadata"]["name"]}": Precondition failed: '
        f"UID in precondition: {uid}, UID in object meta: {old.uid}",
        reason="Conflict",
    )


def _check_preconditions(kind: AnyKind, old: Version, desired: Json) -> None:
    meta = desired["metadata"]
    if meta.get("uid", old.uid) != old.uid:
        raise _uid_conflict(kind, old, meta["uid"])
    if meta.get("resourceVersion") and meta["resourceVersion"] != old.body["metadata"]["resourceVersion"]:
        raise Conflict(
            f'Operation cannot be fulfilled on {_resource(kind)} "{meta["name"]}": the object has been modified; '
            "please apply your changes to the latest version and try again",
            reason="Conflict",
        )


def _carried_over(kind: AnyKind, old: Json, desired: Json, subresource: str) -> Json:
    """What a write may change of what it gives: the status or the rest, and of the metadata not the system's part."""
    if subresource == "status":
        return _shared(old, {**old, "status": desired.get("status", {})})
    before = old["metadata"]
    system = {field: before[field] for field in (*_OF_THE_SYSTEM, "resourceVersion") if field in before}
    given = {key: value for key, value in desired["metadata"].items() if key not in _OF_THE_SYSTEM}
    new = {**desired, "apiVersion": old["apiVersion"], "kind": old["kind"], "metadata": {**given, **system}}
    if kind.kind in STATUS_SUBRESOURCE:
        new.pop("status", None)
        if "status" in old:
            new["status"] = old["status"]
    return _shared(old, new)


def _shared(old: Json, new: Json) -> Json:
    """`new`, with the very parts of `old` that are equal: what stayed is the same object."""
    return {field: old[field] if field in old and old[field] == value else value for field, value in new.items()}


def _check_rules(kind: AnyKind, old: Json, new: Json) -> None:
    if is_terminating(old):
        kept = old["metadata"].get("finalizers") or []
        added = [each for each in new["metadata"].get("finalizers") or [] if each not in kept]
        if added:
            raise Invalid(
                f"{named(old)} is invalid: metadata.finalizers: no new finalizers can be added if it is deleted"
            )
    if kind.kind == POD.kind:
        pod_rules.check_update(old, new)
    if kind.kind == "StatefulSet":
        before, after = old.get("spec", {}), new.get("spec", {})
        changed = [field for field in _STATEFUL_SET_IMMUTABLE if before.get(field) != after.get(field)]
        if changed:
            raise Invalid(
                f"{named(old)} is invalid: spec: updates to statefulset spec for {changed[0]} are forbidden; only "
                "replicas, ordinals, template, updateStrategy and the retention policy may change"
            )


def _is_respecified(kind: AnyKind, old: Json, new: Json) -> bool:
    ignored = {"metadata", "status"} if kind.kind in STATUS_SUBRESOURCE else {"metadata"}
    return any(old.get(field) != new.get(field) for field in (old.keys() | new.keys()) - ignored)


def _finalizers(body: Json, propagation: str) -> list[str]:
    finalizers = list(body["metadata"].get("finalizers") or [])
    if propagation == "Foreground" and FOREGROUND not in finalizers:
        return [*finalizers, FOREGROUND]
    if propagation == "Background":
        return [each for each in finalizers if each != FOREGROUND]
    return finalizers


def _grace(kind: AnyKind, body: Json, asked: int | None) -> int:
    """Seconds until the object may go without its kubelet's word. Only a running pod has any."""
    if kind.kind != POD.kind or not body["spec"].get("nodeName"):
        return 0
    if (body.get("status") or {}).get("phase") in ("Failed", "Succeeded"):
        return 0
    grace = body["spec"].get("terminationGracePeriodSeconds", pod_rules.GRACE_SECONDS) if asked is None else asked
    return int(grace)
