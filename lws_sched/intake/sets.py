"""LeaderWorkerSets as a user writes them, defaulted and validated by the rules that the webhooks keep."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec
from msgspec.structs import replace

from lws_sched.api import names
from lws_sched.api.core import PodTemplate
from lws_sched.api.lws import LEADER_WORKER_SET, LeaderWorkerSet
from lws_sched.api.meta import key_of
from lws_sched.api.nulls import without_nulls
from lws_sched.api.quantity import InvalidQuantity
from lws_sched.core import validation
from lws_sched.core.defaulting import defaulted
from lws_sched.intake.documents import BadInput, Document, bad_quantity, decode
from lws_sched.intake.wanted import is_ours
from lws_sched.placement import pod_requests

_TEMPLATE = "spec.leaderWorkerTemplate"


def sets_of(documents: Iterable[Document], source: str, namespace: str) -> tuple[LeaderWorkerSet, ...]:
    """The LeaderWorkerSets among documents, in their order; those without a namespace are in `namespace`.

    Raises BadInput, also where there is none.
    """
    found: dict[str, LeaderWorkerSet] = {}
    first: dict[str, Document] = {}
    others: set[str] = set()
    for document in documents:
        if not document.is_a(LEADER_WORKER_SET):
            others.add(document.kind)
            continue
        lws = _read(document, namespace)
        key = key_of(lws)
        if key in found:
            raise BadInput(f"{document.where} was there before, as {first[key].source}: leave one of them out")
        found[key], first[key] = lws, document
    if not found:
        there = f"; it has {', '.join(sorted(others))}" if others else ""
        raise BadInput(f"{source} has no LeaderWorkerSet of {LEADER_WORKER_SET.api_version}{there}")
    return tuple(found.values())


def _read(document: Document, namespace: str) -> LeaderWorkerSet:
    body: dict[str, Any] = without_nulls(document.body)
    template = (body.get("spec") or {}).get("leaderWorkerTemplate") if isinstance(body.get("spec"), dict) else None
    if not isinstance(template, dict):
        raise BadInput(f"{document.where} has no {_TEMPLATE}: it says what the groups are made of")
    meta = body.get("metadata")
    meta = {"namespace": namespace, **meta} if isinstance(meta, dict) else {"namespace": namespace}
    lws = decode(LEADER_WORKER_SET, Document(defaulted({**body, "metadata": meta}), document.source))
    _check_templates(lws, document)
    errors = validation.created(lws)
    if errors:
        raise BadInput(f"{document.where}: {validation.message(errors)}")
    return lws


def _check_templates(lws: LeaderWorkerSet, document: Document) -> None:
    template = lws.spec.leader_worker_template
    for field, pods in (("leaderTemplate", template.leader_template), ("workerTemplate", template.worker_template)):
        if pods is None:
            continue
        path = f"{_TEMPLATE}.{field}"
        spec = pods.get("spec")
        if not isinstance(spec, dict) or not spec.get("containers"):
            raise BadInput(f"{document.where} has no {path}.spec.containers: a pod has at least one container")
        try:
            pod_requests(msgspec.convert(pods, PodTemplate).spec)
        except msgspec.ValidationError as error:
            raise BadInput(f"{document.where}: {path}: {_lower(str(error))}") from error
        except InvalidQuantity as error:
            raise bad_quantity(document, error) from error


def _lower(text: str) -> str:
    return text[:1].lower() + text[1:]


def on_our_scheduler(lws: LeaderWorkerSet) -> LeaderWorkerSet:
    """The set as if both its templates asked for our scheduler."""
    template = lws.spec.leader_worker_template

    def ours(pods: dict[str, Any]) -> dict[str, Any]:
        return {**pods, "spec": {**(pods.get("spec") or {}), "schedulerName": names.SCHEDULER}}

    leader = None if template.leader_template is None else ours(template.leader_template)
    template = replace(template, leader_template=leader, worker_template=ours(template.worker_template))
    return replace(lws, spec=replace(lws.spec, leader_worker_template=template))


def planned_as_ours(lws: LeaderWorkerSet) -> tuple[LeaderWorkerSet, tuple[str, ...]]:
    """The set as planning takes it, and what its owner should know about that."""
    name = lws.metadata.name
    notes = (f"{name} has 0 replicas: there is nothing to place",) if lws.spec.replicas == 0 else ()
    if is_ours(lws):
        return lws, notes
    note = f"{name} is not on the scheduler {names.SCHEDULER}; planned as if schedulerName in its templates said so"
    return on_our_scheduler(lws), (*notes, note)
