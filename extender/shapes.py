"""The members of a revision as admission makes them: LimitRange defaults, overhead, sidecars and priority included.

One server-side dry-run CREATE per template tells, before any pod exists. Where the dry run is refused (a quota that is
full now, say) the template itself is taken: the group then waits for its pods anyway.
"""

from __future__ import annotations

import logging
from collections import OrderedDict
from typing import Any

import msgspec

from lws_sched.api import names
from lws_sched.api.core import POD, PodSpec, PodTemplate
from lws_sched.api.lws import LeaderWorkerSet, Template
from lws_sched.extender.wanted import MemberShapes
from lws_sched.kube.errors import Forbidden, Invalid
from lws_sched.kube.port import Runtime
from lws_sched.placement import shape_of

log = logging.getLogger(__name__)

NOBODY = 2**31 - 1
"""A group index that no group has: the dry run must not meet a pod of its name."""
REMEMBERED = 1000
"""Generations whose shapes are kept; a forgotten one costs two dry runs."""


class AdmittedShapes:
    """The shapes of each LeaderWorkerSet's members, asked for once per generation."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._known: OrderedDict[tuple[str, int], MemberShapes] = OrderedDict()

    def of(self, lws: LeaderWorkerSet) -> MemberShapes:
        """Raises what the API server answers when it cannot say now: ask again later."""
        key = (lws.metadata.uid, lws.metadata.generation)
        known = self._known.get(key)
        if known is None:
            known = self._known[key] = self._ask(lws)
            while len(self._known) > REMEMBERED:
                self._known.popitem(last=False)
        return known

    def _ask(self, lws: LeaderWorkerSet) -> MemberShapes:
        template = lws.spec.leader_worker_template
        specs: dict[str, PodSpec] = {}

        def ask(role: str, body: dict[str, Any], fallback: Template) -> None:
            specs[role] = self._admitted(body, fallback)

        leader, worker = template.actual_leader_template, template.worker_template
        tasks = [lambda: ask("leader", _leader_body(lws, leader), leader)]
        if template.size > 1:
            tasks.append(lambda: ask("worker", _worker_body(lws, worker), worker))
        for failure in self._runtime.gather(tasks):
            if failure is not None:
                raise failure
        specs.setdefault("worker", specs["leader"])
        return MemberShapes(
            leader=shape_of(specs["leader"]), worker=shape_of(specs["worker"]), priority=specs["leader"].priority
        )

    def _admitted(self, body: dict[str, Any], fallback: Template) -> PodSpec:
        try:
            return self._runtime.cluster.create(POD, body, dry_run=True).spec
        except (Invalid, Forbidden) as error:
            log.info("template taken as it is pod=%s reason=%s", body["metadata"]["name"], error)
            return msgspec.convert(fallback, PodTemplate).spec


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
