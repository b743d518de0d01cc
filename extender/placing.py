"""Places for all groups that need one, together: from the ledger to written reservations.

A place is charged in the ledger before its record is written, so two plans never give away the same room. Every write
is guarded by the record's resourceVersion: who loses looks again.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from lws_sched.api.placement import GROUP_PLACEMENT, GroupPlacement
from lws_sched.extender import records
from lws_sched.extender.ledger import Ledger
from lws_sched.extender.notices import GroupNotices
from lws_sched.extender.observer import Observer
from lws_sched.extender.records import RecordStore
from lws_sched.intake.wanted import WantedGroup
from lws_sched.kube.errors import AlreadyExists, ApiError, Conflict, Forbidden, Invalid, NotFound
from lws_sched.kube.port import Informer, Runtime
from lws_sched.placement import Budget, Decision, GroupRequest, Placed, Refused, plan

log = logging.getLogger(__name__)

SOLVER_BUDGET = Budget(deterministic_time=0.1)
"""About half a second. The solver is asked only where a batch leaves out a group that would fit alone."""


@dataclass(frozen=True)
class Seeker:
    """A group that needs a place now: what it asks for, and the record it has."""

    group: WantedGroup
    record: GroupPlacement | None

    @property
    def key(self) -> str:
        return self.group.key

    def request(self, now: float) -> GroupRequest:
        group, status = self.group, self.record.status if self.record else None
        return GroupRequest(
            key=group.key,
            size=group.size,
            worker=group.shapes.worker,
            leader=group.shapes.leader,
            required=group.ask.required,
            exclusive=group.ask.exclusive,
            preferred=group.ask.preferred,
            priority=group.shapes.priority,
            created=group.created,
            stay=status.slots if status and len(status.slots) == group.size else (),
            avoid=frozenset(slot.node for slot in status.refused if slot.until > now) if status else frozenset(),
        )


@dataclass(frozen=True)
class Placing:
    runtime: Runtime
    observer: Observer
    ledger: Ledger
    records: RecordStore
    known: Informer[GroupPlacement]
    notices: GroupNotices
    placed: Callable[[str], None]
    """Called with each group that got a place."""

    def place(self, seekers: Sequence[Seeker]) -> None:
        """Plan groups that hold slots one by one, each written before the next: nobody gets a slot that its holder has
        not given up for certain. All others are planned together. Raises the failure most worth a back-off."""
        holders = [seeker for seeker in seekers if seeker.record is not None and seeker.record.status.slots]
        for holder in holders:
            self._place_together([holder])
        others = [seeker for seeker in seekers if seeker not in holders]
        if others:
            self._place_together(others)

    def _place_together(self, seekers: Sequence[Seeker]) -> None:
        now = self.runtime.clock.now()
        snapshot = self.ledger.snapshot(excluding=[seeker.key for seeker in seekers])
        decisions = plan(snapshot, [seeker.request(now) for seeker in seekers], SOLVER_BUDGET)
        outcomes = self.runtime.gather([partial(self._write, *pair) for pair in zip(seekers, decisions, strict=True)])
        placed = sum(isinstance(each, Placed) for each in decisions)
        log.info("planned groups=%d placed=%d waiting=%d", len(decisions), placed, len(decisions) - placed)
        _raise_worst(outcomes)

    def _write(self, seeker: Seeker, decision: Decision) -> None:
        if isinstance(decision, Placed):
            self._reserve(seeker, decision)
        elif _is_news(seeker.record, decision):
            base = seeker.record or records.first_record(seeker.group)
            self.records.write(records.waiting_for(base, seeker.group, decision, self.observer.stamp()))
            self.notices.waiting(seeker.group, decision)

    def _reserve(self, seeker: Seeker, placed: Placed) -> None:
        base = seeker.record or records.first_record(seeker.group)
        after = records.reserved(base, seeker.group, placed, self.observer.stamp())
        try:
            if not self.ledger.try_hold(seeker.key, after):
                raise Conflict(f"room for {seeker.key} was taken while it was planned")
            self.records.write(after)
        except (Conflict, AlreadyExists, Invalid, Forbidden):
            self.ledger.hold(seeker.key, self.records.get(seeker.key))
            raise
        except ApiError:
            # It may have been written all the same: its slots stay held until the record itself can be read.
            self._read_back(after)
            raise
        self.placed(seeker.key)

    def _read_back(self, after: GroupPlacement) -> None:
        """After a write of unknown outcome: take what the API server has, if it says."""
        meta = after.metadata
        key = f"{meta.namespace}/{meta.name}"
        try:
            self.known.learn(self.runtime.cluster.get(GROUP_PLACEMENT, meta.namespace, meta.name))
        except NotFound:
            self.ledger.hold(key, None)
        except ApiError as error:
            log.warning("outcome of a reservation is unknown, its slots stay held group=%s reason=%s", key, error)


def _raise_worst(outcomes: Sequence[BaseException | None]) -> None:
    """Raise the failure that is most worth a back-off; a write that lost a race is merely tried again soon."""
    failures = [failure for failure in outcomes if failure is not None]
    failures.sort(key=lambda failure: isinstance(failure, (Conflict, AlreadyExists)))
    if failures:
        raise failures[0]


def _is_news(record: GroupPlacement | None, refused: Refused) -> bool:
    """Whether a refusal says something that the record does not already: nothing is written twice."""
    if record is None or record.status.slots:
        return True
    return (record.status.reason, record.status.fix) != (refused.reason, refused.fix)
