"""Places for all groups that need one, together: from the ledger to written reservations.

A place is charged in the ledger before its record is written, so two plans never give away the same room. Every write
is guarded by the record's resourceVersion: who loses looks again.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial

from lws_sched.api import placement as api
from lws_sched.api.placement import GROUP_PLACEMENT, GroupPlacement
from lws_sched.extender import records
from lws_sched.extender.ledger import Ledger
from lws_sched.extender.life import STICKY_SECONDS
from lws_sched.extender.notices import GroupNotices
from lws_sched.extender.observer import Observer
from lws_sched.extender.order import plan_in_order, turn
from lws_sched.extender.records import RecordStore
from lws_sched.extender.replacement import replacements
from lws_sched.intake.wanted import WantedGroup
from lws_sched.kube.errors import AlreadyExists, ApiError, Conflict, Forbidden, Invalid, NotFound
from lws_sched.kube.port import Runtime
from lws_sched.placement import Budget, Decision, GroupRequest, Placed, Refused, Snapshot, plan

log = logging.getLogger(__name__)

SOLVER_BUDGET = Budget(deterministic_time=0.1)
"""About half a second. The solver is asked only where a batch leaves out a group that would fit alone."""
QUIET_SECONDS = 5.0
"""How long the reason that a waiting group shows stands at least: on a busy cluster it changes with every pod."""


@dataclass(frozen=True)
class Seeker:
    """A group that needs a place now, whole or for members that lost theirs."""

    group: WantedGroup
    record: GroupPlacement | None
    since: str = ""
    """When it began to want one, RFC 3339."""
    lost: frozenset[int] = frozenset()
    """Of a bound group: the worker indices that need another slot. Everybody else stays."""

    @property
    def key(self) -> str:
        return self.group.key

    @property
    def holds(self) -> bool:
        return self.record is not None and bool(self.record.status.slots)

    def request(self, now: float) -> GroupRequest:
        """The whole group."""
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
            created=self.since,
            stay=status.slots if status and len(status.slots) == group.size else (),
            avoid=_avoided(self.record, now),
        )

    def request_for_lost(self, snapshot: Snapshot, now: float) -> tuple[GroupRequest, ...]:
        """Members that lost their slots, alone."""
        assert self.record is not None
        base = self.request(now)
        return replacements(snapshot, base, self.record.status.slots, self.lost)


@dataclass
class Placing:
    runtime: Runtime
    observer: Observer
    ledger: Ledger
    records: RecordStore
    notices: GroupNotices
    placed: Callable[[str], None]
    """Called with each group that got a place."""
    _written: dict[str, float] = field(default_factory=dict)
    """When the reason of a waiting group was written last, by its key, on the monotonic clock."""

    def place(self, seekers: Sequence[Seeker]) -> None:
        """Plan groups that hold slots one by one, each written before the next: nobody gets a slot that its holder has
        not given up for certain. All others are planned together. Raises the failure most worth a back-off."""
        now = self.runtime.clock.now()
        ordered = sorted(seekers, key=lambda seeker: turn(seeker.request(now)))
        for holder in ordered:
            if holder.lost:
                self._replace(holder)
            elif holder.holds:
                self._place_together([holder])
        others = [seeker for seeker in ordered if not seeker.holds]
        if others:
            self._place_together(others)

    def _place_together(self, seekers: Sequence[Seeker]) -> None:
        now = self.runtime.clock.now()
        snapshot = self.ledger.snapshot(excluding=[seeker.key for seeker in seekers])
        decisions = plan_in_order(snapshot, [seeker.request(now) for seeker in seekers], SOLVER_BUDGET)
        outcomes = self.runtime.gather([partial(self._write, seeker, decisions[seeker.key]) for seeker in seekers])
        waiting = [(each.group, refused) for each in seekers if isinstance(refused := decisions[each.key], Refused)]
        self.notices.waiting(waiting)
        log.info("planned groups=%d placed=%d waiting=%d", len(seekers), len(seekers) - len(waiting), len(waiting))
        _raise_worst(outcomes)

    def _write(self, seeker: Seeker, decision: Decision) -> None:
        base = seeker.record or records.first_record(seeker.group)
        if isinstance(decision, Placed):
            after = records.reserved(base, seeker.group, decision, self.observer.stamp())
            self._reserve(seeker.key, after)
        elif self._is_news(seeker, decision):
            stamp = self.observer.stamp()
            if _may_keep(base, stamp.now):
                self.records.write(records.kept(base, decision, stamp))
            else:
                self.records.write(records.waiting_for(base, seeker.group, decision, stamp))

    def _replace(self, seeker: Seeker) -> None:
        """Other slots for the members of a bound group that lost theirs: in its domain, all in one decision."""
        assert seeker.record is not None
        snapshot = self.ledger.snapshot()
        decision: Decision | None = None
        for request in seeker.request_for_lost(snapshot, self.runtime.clock.now()):
            [decision] = plan(snapshot, [request], SOLVER_BUDGET)
            if isinstance(decision, Placed):
                slots = dict(zip(sorted(seeker.lost), decision.slots, strict=True))
                self._reserve(seeker.key, records.moved(seeker.record, slots, self.observer.stamp()))
                return
        if isinstance(decision, Refused):
            if self._is_news(seeker, decision):
                self.records.write(records.member_waiting(seeker.record, decision, self.observer.stamp()))
            self.notices.waiting([(seeker.group, decision)])

    def _is_news(self, seeker: Seeker, refused: Refused) -> bool:
        """Whether a refusal is worth a write: it changes the record, and not only the reason of a moment ago."""
        record, now = seeker.record, self.runtime.clock.monotonic()
        is_same_state = record is not None and (
            not record.status.slots or record.status.state in (api.STICKY, api.BOUND)
        )
        if record is not None and is_same_state and not _has_expired(record, self.runtime.clock.now()):
            same = (record.status.reason, record.status.fix) == (refused.reason, refused.fix)
            if same or (record.status.reason and now - self._written.get(seeker.key, -QUIET_SECONDS) < QUIET_SECONDS):
                return False
        self._written[seeker.key] = now
        return True

    def _reserve(self, key: str, after: GroupPlacement) -> None:
        try:
            if not self.ledger.try_hold(key, after):
                raise Conflict(f"room for {key} was taken while it was planned")
            self.records.write(after)
        except (Conflict, AlreadyExists, Invalid, Forbidden):
            self.ledger.hold(key, self.records.get(key))
            raise
        except ApiError:
            # It may have been written all the same: its slots stay held until the record itself can be read.
            self._read_back(after)
            raise
        self._written.pop(key, None)
        self.placed(key)

    def _read_back(self, after: GroupPlacement) -> None:
        """After a write of unknown outcome: take what the API server has, if it says."""
        meta = after.metadata
        key = f"{meta.namespace}/{meta.name}"
        try:
            self.observer.sources.records.learn(self.runtime.cluster.get(GROUP_PLACEMENT, meta.namespace, meta.name))
        except NotFound:
            self.ledger.hold(key, None)
        except ApiError as error:
            log.warning("outcome of a reservation is unknown, its slots stay held group=%s reason=%s", key, error)


def _avoided(record: GroupPlacement | None, now: float) -> frozenset[str]:
    return frozenset(slot.node for slot in record.status.refused if slot.until > now) if record else frozenset()


def _may_keep(record: GroupPlacement, now: float) -> bool:
    """Whether a group that has no whole place keeps what it has: while it is down, for as long as slots are kept."""
    state = record.status.state
    return bool(record.status.slots) and (
        state == api.ABORTING or (state == api.STICKY and not _has_expired(record, now))
    )


def _stays_as_it_is(record: GroupPlacement, now: float) -> bool:
    """Whether a refusal changes nothing of the record but its words."""
    state = record.status.state
    return state in (api.WAITING, api.BOUND) or (state == api.STICKY and not _has_expired(record, now))


def _has_expired(record: GroupPlacement, now: float) -> bool:
    return record.status.state == api.STICKY and records.age(record, now) > STICKY_SECONDS


def _raise_worst(outcomes: Sequence[BaseException | None]) -> None:
    """Raise the failure that is most worth a back-off; a write that lost a race is merely tried again soon."""
    failures = [failure for failure in outcomes if failure is not None]
    failures.sort(key=lambda failure: isinstance(failure, (Conflict, AlreadyExists)))
    if failures:
        raise failures[0]
