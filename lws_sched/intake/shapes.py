"""The members of a revision, from the pods that admission makes of the templates.

Admission adds what the templates do not say: LimitRange defaults, overhead, sidecars, priority. `dry_runs` gives the
pods to ask it about, before any pod exists; what it answers, or the templates alone, make the shapes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import msgspec

from lws_sched.api import names
from lws_sched.api.core import POD, PodSpec, PodTemplate
from lws_sched.api.lws import LeaderWorkerSet, Template
from lws_sched.intake.cluster import Cluster
from lws_sched.intake.wanted import MemberShapes
from lws_sched.placement import shape_of

NOBODY = 2**31 - 1
"""A group index that no group has: a dry run must not meet a pod of its name."""


def dry_runs(lws: LeaderWorkerSet) -> tuple[dict[str, Any], ...]:
    """The pods to ask admission about: a leader, and a worker where the set has any."""
    template = lws.spec.leader_worker_template
    leader = _leader_body(lws, template.actual_leader_template)
    return (leader, _worker_body(lws, template.worker_template)) if template.size > 1 else (leader,)


def spec_of(body: dict[str, Any]) -> PodSpec:
    """The spec of such a pod as the template has it. Raises msgspec.ValidationError."""
    return msgspec.convert({"spec": body["spec"]}, PodTemplate).spec


def member_shapes(specs: Sequence[PodSpec]) -> MemberShapes:
    """The shapes of a leader and, where there is a second spec, of a worker. Raises InvalidQuantity."""
    leader, worker = specs[0], specs[-1]
    preempts = leader.preemption_policy != "Never"
    return MemberShapes(shape_of(leader), shape_of(worker), priority=leader.priority, preempts=preempts)


def template_shapes(cluster: Cluster, lws: LeaderWorkerSet) -> MemberShapes:
    """The shapes of members as their templates have them, with the priority that the cluster's classes give them.

    What else admission would add is unknown here: LimitRange defaults, overhead, injected sidecars.
    """
    specs = [spec_of(body) for body in dry_runs(lws)]
    found, name = member_shapes(specs), specs[0].priority_class_name
    for each in cluster.priority_classes:
        if each.metadata.name == name if name else each.global_default:
            return replace(found, priority=each.value)
    return found


def _leader_body(lws: LeaderWorkerSet, template: Template) -> dict[str, Any]:
    return _body(lws, template, names.leader_name(lws.metadata.name, NOBODY), {names.WORKER_INDEX: "0"}, {})


def _worker_body(lws: LeaderWorkerSet, template: Template) -> dict[str, Any]:
    leader = names.leader_name(lws.metadata.name, NOBODY)
    labels = {names.GROUP_INDEX: str(NOBODY), names.GROUP_KEY: names.group_key(lws.metadata.namespace, leader)}
    return _body(lws, template, names.member_name(leader, 1), labels, {names.LEADER_NAME: leader})


def _body(
    lws: LeaderWorkerSet, template: Template, name: str, labels: dict[str, str], annotations: dict[str, str]
) -> dict[str, Any]:
    """The pod that the StatefulSet would create, with the labels that the LeaderWorkerSet pod webhook needs."""
    metadata = template.get("metadata") or {}
    size = str(lws.spec.leader_worker_template.size)
    return POD.body(
        {
            "name": name,
            "namespace": lws.metadata.namespace,
            "labels": {**(metadata.get("labels") or {}), names.SET_NAME: lws.metadata.name, **labels},
            "annotations": {**(metadata.get("annotations") or {}), names.SIZE: size, **annotations},
        },
        spec=template.get("spec", {}),
    )
