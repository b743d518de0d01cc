"""The members of a revision as admission makes them: LimitRange defaults, overhead, sidecars and priority included.

One server-side dry-run CREATE per template tells, before any pod exists. Where the dry run is refused (a quota that is
full now, say) the template itself is taken: the group then waits for its pods anyway.
"""

from __future__ import annotations

import logging
from collections import OrderedDict
from functools import partial
from typing import Any

from lws_sched.api.core import POD, PodSpec
from lws_sched.api.lws import LeaderWorkerSet
from lws_sched.intake import shapes
from lws_sched.intake.wanted import MemberShapes
from lws_sched.kube.errors import Forbidden, Invalid
from lws_sched.kube.port import Runtime

log = logging.getLogger(__name__)

REMEMBERED = 1000
"""Revisions whose shapes are kept; a forgotten one costs two dry runs."""


class AdmittedShapes:
    """The shapes of each LeaderWorkerSet's members, asked for once per revision."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._known: OrderedDict[tuple[str, str], MemberShapes] = OrderedDict()

    def of(self, lws: LeaderWorkerSet, revision: str) -> MemberShapes:
        """`lws` is the set as it was at the revision. Raises what the API server answers when it cannot say now: ask
        again later."""
        key = (lws.metadata.uid, revision)
        known = self._known.get(key)
        if known is None:
            known = self._known[key] = self._ask(lws)
            while len(self._known) > REMEMBERED:
                self._known.popitem(last=False)
        return known

    def _ask(self, lws: LeaderWorkerSet) -> MemberShapes:
        bodies = shapes.dry_runs(lws)
        specs = [PodSpec()] * len(bodies)

        def ask(index: int) -> None:
            specs[index] = self._admitted(bodies[index])

        for failure in self._runtime.gather([partial(ask, index) for index in range(len(bodies))]):
            if failure is not None:
                raise failure
        return shapes.member_shapes(specs)

    def _admitted(self, body: dict[str, Any]) -> PodSpec:
        try:
            return self._runtime.cluster.create(POD, body, dry_run=True).spec
        except (Invalid, Forbidden) as error:
            log.info("template taken as it is pod=%s reason=%s", body["metadata"]["name"], error)
            return shapes.spec_of(body)
