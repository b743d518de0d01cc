"""Decide places for groups: the one entry of the engine.

One request is answered by the exact search; several are planned together (`batch`), highest priority first. Equal
input gives equal output: the solver's budget is deterministic time on one thread, nothing reads a clock, and neither
the order of nodes nor that of requests changes who fits. Every placement is checked by code that shares nothing with
the search (`check`) before it is returned; a violation is an error of the engine and raises AssertionError.
"""

from __future__ import annotations

from collections.abc import Sequence

from lws_sched.placement import batch
from lws_sched.placement.exact import search
from lws_sched.placement.explain import diagnose
from lws_sched.placement.request import Budget, Decision, GroupRequest, Refused
from lws_sched.placement.snapshot import Snapshot
from lws_sched.placement.verify import verify

DEFAULT_BUDGET = Budget()


def plan(snapshot: Snapshot, requests: Sequence[GroupRequest], budget: Budget = DEFAULT_BUDGET) -> tuple[Decision, ...]:
    """A decision per request, in the order of `requests`, whose keys must differ.

    The solver runs only where several groups cannot all be placed by the greedy search, and never beyond the budget;
    with no deterministic time it does not run at all, and answers come in about a millisecond per group.
    """
    if len(requests) == 1:
        return (_single(snapshot, requests[0]),)
    return batch.plan_together(snapshot, requests, budget).decisions


def _single(snapshot: Snapshot, request: GroupRequest) -> Decision:
    placed = search(snapshot, request)
    if placed is None:
        diagnosis = diagnose(snapshot, request)
        return Refused(request.key, diagnosis.reason, diagnosis.fix, "infeasible")
    verify(snapshot, request, placed)
    return placed
