"""Places for all groups that need one, together: from the ledger to written reservations.

A place is charged in the ledger before its record is written, so two plans never give away the same room. Every write
is guarded by the record's resourceVersion: who loses looks again.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

from lws_sched.api import names
from lws_sched.api import placement as api
from lws_sched.api.core import POD, Pod
from lws_sched.api.meta import key_of
from lws_sched.api.placement import GROUP_PLACEMENT, Domain, GroupPlacement
from lws_sched.api.timestamps import seconds_of, time_of
from lws_sched.extender import records, vetoed
from lws_sched.extender.evictions import Evictions
from lws_sched.extender.ledger import Ledger
from lws_sched.extender.life import STICKY_SECONDS
from lws_sched.extender.notices import GroupNotices
from lws_sched.extender.observer import VETOED, Observer
from lws_sched.extender.order import plan_in_order, turn
from lws_sched.extender.plan_meter import PlanMeter
from lws_sched.extender.records import RecordStore
from lws_sched.extender.replacement import replacements
from lws_sched.intake.wanted import WantedGroup
from lws_sched.kube.errors import AlreadyExists, ApiError, Conflict, Forbidden, Invalid, LostLease, NotFound
from lws_sched.kube.port import Runtime
from lws_sched.placement import Budget, Decision, Eviction, GroupRequest, Placed, Refused, Snapshot, plan, preempt

log = logging.getLogger(__name__)

SOLVER_BUDGET = Budget(deterministic_time=0.1)
"""About half a second. The solver is asked only where a batch leaves out a group that would fit alone."""
WAKE_SECONDS = 10.0
HUNT_SECONDS = 1.0
"""How often those who wait look for somebody to evict: it is a search over everybody who stands anywhere."""
LANES = 2
"""Refusals that are written side by side."""
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

    @property
    def claims(self) -> bool:
        return self.record is not None and bool(self.record.status.claims)

    def request(self, now: float) -> GroupRequest:
        """The whole group."""
        status = self.record.status if self.record else None
        nodes = (status.slots or status.claims) if status else ()
        return self.group.request(
            created=self.since,
            stay=nodes if len(nodes) == self.group.size else (),
            avoid=_avoided(self.record, now),
        )

    def requests_for_lost(self, snapshot: Snapshot, now: float, count: int) -> tuple[GroupRequest, ...]:
        """The first so many of the members that lost their slots, alone: to be tried in turn."""
        assert self.record is not None
        base = self.request(now)
        domain = records.required_domain(self.record)
        placed_in = {domain.key: domain.value} if domain is not None and domain.key else {}
        return replacements(snapshot, base, self.record.status.slots, self.lost, placed_in, count)


@dataclass
class Placing:
    runtime: Runtime
    observer: Observer
    ledger: Ledger
    records: RecordStore
    notices: GroupNotices
    evictions: Evictions
    placed: Callable[[str], None]
    """Called with each group that got a place."""
    again: Callable[[float], None]
    """Called with the seconds after which those who wait should be planned once more."""
    meter: PlanMeter
    _hunted: float = -HUNT_SECONDS
    """When somebody to evict was looked for last, on the monotonic clock."""
    _written: dict[str, float] = field(default_factory=dict)
    """When the reason of a waiting group was written last, by its key, on the monotonic clock."""

    def place(self, seekers: Sequence[Seeker]) -> None:
        """Plan groups that hold or claim slots one by one, each written before the next: nobody gets a slot that its
        holder has not given up for certain. All others are planned together; last, room is made for who got none.
        Raises the failure most worth a back-off."""
        now = self.runtime.clock.now()
        ordered = sorted(self._without_evicted(seekers), key=lambda seeker: turn(seeker.request(now)))
        others: list[Seeker] = []
        waiting: list[Seeker] = []
        for seeker in ordered:
            if seeker.lost:
                self._replace(seeker)
            elif seeker.claims:
                self._wait_or_take(seeker)
            elif seeker.holds:
                waiting += self._place_together([seeker])
            else:
                others.append(seeker)
        if others:
            waiting += self._place_together(others)
        self._make_room(sorted(waiting, key=lambda seeker: turn(seeker.request(now))))

    def _without_evicted(self, seekers: Sequence[Seeker]) -> list[Seeker]:
        """Groups that were evicted, and of which nothing is left, give up their slots before anybody is planned."""
        evicted = [seeker for seeker in seekers if seeker.holds and self.evictions.claimants(seeker.key)]
        for seeker in evicted:
            assert seeker.record is not None
            why = seeker.record.status.reason
            self.evictions.left(seeker.key)
            refused = Refused(seeker.key, f"it was {why}" if why.startswith("evicted") else why, "", "infeasible")
            self.records.write(records.waiting_for(seeker.record, seeker.group, refused, self.observer.stamp()))
        return [replace(each, record=self.records.get(each.key)) for each in seekers] if evicted else [*seekers]

    def _wait_or_take(self, seeker: Seeker) -> None:
        """A group with predecessors: it takes what it claims, or better, once it can. Where they are gone and it still
        cannot (a claimed node is lost, say), the claim is void."""
        [decision] = self._decide([seeker])
        record = seeker.record
        assert record is not None
        if isinstance(decision, Placed):
            self._take(seeker, decision)
            return
        remaining = self.evictions.remaining(record)
        if not remaining:
            self.records.write(records.waiting_for(record, seeker.group, decision, self.observer.stamp()))
            self.again(0.0)
            return
        if remaining != record.status.predecessors:
            record = self.records.write(records.waiting_for_fewer(record, remaining, self.observer.stamp()))
        self.evictions.drive(record)

    def _place_together(self, seekers: Sequence[Seeker]) -> list[Seeker]:
        """Answers with those that got no place."""
        decisions = {decision.key: decision for decision in self._decide(seekers)}
        placed = [(each, said) for each in seekers if isinstance(said := decisions[each.key], Placed)]
        refused = [(each, said) for each in seekers if isinstance(said := decisions[each.key], Refused)]
        outcomes = self.runtime.gather([partial(self._take, *each) for each in placed])
        outcomes += self._refuse_all(refused)
        self.notices.waiting([(seeker.group, said) for seeker, said in refused])
        log.info("planned groups=%d placed=%d waiting=%d", len(seekers), len(seekers) - len(refused), len(refused))
        _raise_worst(outcomes)
        return [seeker for seeker, said in refused if said.proof == "infeasible"]

    def _decide(self, seekers: Sequence[Seeker]) -> list[Decision]:
        """Pods of higher priority that held slots keep out count too: what they could use is left to them."""
        now = self.runtime.clock.now()
        requests = [seeker.request(now) for seeker in seekers]
        lowest = min(request.priority for request in requests)
        before = [vetoed.request_of(pod) for pod in self._vetoed() if pod.spec.priority > lowest]
        snapshot = self.ledger.snapshot(excluding=[seeker.key for seeker in seekers])
        pods = [each.key for each in before]
        began = self.runtime.clock.monotonic()
        decisions = plan_in_order(snapshot, [*requests, *before], SOLVER_BUDGET, provided=pods)
        seconds = self.runtime.clock.monotonic() - began
        self.meter.planned((decisions[seeker.key] for seeker in seekers), seconds)
        return [_for_surge(seeker, decisions[seeker.key]) for seeker in seekers]

    def _take(self, seeker: Seeker, decision: Placed) -> None:
        base = seeker.record or records.first_record(seeker.group)
        self._reserve(seeker.key, records.reserved(base, seeker.group, decision, self.observer.stamp()))
        self.placed(seeker.key)

    def _refuse_all(self, refused: Sequence[tuple[Seeker, Refused]]) -> list[BaseException | None]:
        """Write why groups wait, where that is news. Nobody waits for it, and it may be hundreds: more than LANES of
        these writes side by side would take the processors from those who are bound meanwhile."""
        news = [each for each in refused if self._is_news(*each)]
        lanes = [partial(self._refuse_in_turn, lane) for start in range(LANES) if (lane := news[start::LANES])]
        return self.runtime.gather(lanes)

    def _refuse_in_turn(self, refused: Sequence[tuple[Seeker, Refused]]) -> None:
        """One after another; raises the worst failure once all were tried."""
        failures: list[BaseException | None] = []
        for seeker, decision in refused:
            try:
                self._refuse(seeker, decision)
            except (ApiError, LostLease) as failure:
                failures.append(failure)
        _raise_worst(failures)

    def _refuse(self, seeker: Seeker, decision: Refused) -> None:
        base = seeker.record or records.first_record(seeker.group)
        stamp = self.observer.stamp()
        gives_way = any(pod.spec.priority > base.spec.priority for pod in self._vetoed())
        if _may_keep(base, stamp.now) and not gives_way:
            self.records.write(records.kept(base, decision, stamp))
        else:
            self.records.write(records.waiting_for(base, seeker.group, decision, stamp))

    # --- room that is made -------------------------------------------------------------------------------------------

    def _make_room(self, waiting: Sequence[Seeker]) -> None:
        """Evict whoever is in the way of groups of higher priority, in the order of their turn."""
        now = self.runtime.clock.monotonic()
        if waiting and now - self._hunted < HUNT_SECONDS:
            self.again(HUNT_SECONDS)
        elif waiting:
            self._hunted = now
            in_vain: set[GroupRequest] = set()
            for seeker in waiting:
                kind = replace(seeker.request(0.0), key="", created="")
                if seeker.group.shapes.preempts and kind not in in_vain and not self._evict_for(seeker):
                    in_vain.add(kind)
        self._give_way()

    def _evict_for(self, seeker: Seeker) -> bool:
        victims = self.evictions.offered(seeker.group.shapes.priority)
        base = self.records.get(seeker.key)
        if not victims or base is None:
            return False
        request = seeker.request(self.runtime.clock.now())
        if self._follow_those_who_leave(seeker, base, request):
            return True
        snapshot = self.ledger.snapshot(excluding=[seeker.key])
        found = preempt(snapshot, request, victims, SOLVER_BUDGET)
        if isinstance(found, Refused) or not found.victims:
            return False
        predecessors = self.evictions.named(found.victims)
        after = records.claiming(base, seeker.group, found, predecessors, self.observer.stamp())
        log.info("evicting for=%s victims=%s %s", seeker.key, ",".join(found.victims), found.reason)
        self._reserve(seeker.key, after)
        self.evictions.drive(after)
        return True

    def _follow_those_who_leave(self, seeker: Seeker, base: GroupPlacement, request: GroupRequest) -> bool:
        """Claim a place among what groups leave that are evicted already, for others: then nobody else need go."""
        leaving = self.evictions.leaving()
        if not leaving:
            return False
        snapshot = self.ledger.snapshot(excluding=[seeker.key, *leaving])
        found = preempt(snapshot, request, (), SOLVER_BUDGET)
        if isinstance(found, Refused):
            return False
        slots = {*found.placed.slots}
        predecessors = self.evictions.named(key for key, nodes in leaving.items() if slots & nodes)
        self._reserve(seeker.key, records.claiming(base, seeker.group, found, predecessors, self.observer.stamp()))
        return True

    def _give_way(self) -> None:
        """Reservations of which nothing is committed give way to pods of higher priority that they keep out."""
        for pod in self._vetoed():
            victims = self.evictions.uncommitted(pod.spec.priority)
            found = preempt(self.ledger.snapshot(), vetoed.request_of(pod), victims, SOLVER_BUDGET)
            if isinstance(found, Eviction) and not found.victims:
                self._wake(pod)
            for key in found.victims if isinstance(found, Eviction) else ():
                record = self.records.get(key)
                if record is not None:
                    why = f"pod {key_of(pod)} of priority {pod.spec.priority} needs the room, and nothing was bound yet"
                    self.evictions.abort(record, why)

    def _wake(self, pod: Pod) -> None:
        """Have kube-scheduler try a pod again: nothing else tells it that a reservation is gone, but a change of the
        pod itself."""
        meta, now = pod.metadata, self.runtime.clock.now()
        if now - seconds_of(meta.annotations.get(names.ROOM_MADE, "")) < WAKE_SECONDS:
            return
        change = {"metadata": {"uid": meta.uid, "annotations": {names.ROOM_MADE: time_of(now)}}}
        try:
            self.runtime.cluster.merge(POD, meta.namespace, meta.name, change)
        except (NotFound, Conflict, Invalid):
            return  # it is gone

    def _vetoed(self) -> list[Pod]:
        pods = self.observer.sources.pods.by_index(VETOED, "")
        return sorted(pods, key=lambda pod: (-pod.spec.priority, pod.metadata.creation_timestamp, key_of(pod)))

    # --- writing -----------------------------------------------------------------------------------------------------

    def _replace(self, seeker: Seeker) -> None:
        """Other slots for the members of a bound group that lost theirs: in its domain, all in one decision; where that
        has no room for all, for as many as it has room for."""
        assert seeker.record is not None
        snapshot = self.ledger.snapshot()
        decision = self._place_lost(seeker, snapshot, len(seeker.lost))
        if isinstance(decision, Refused):
            if self._is_news(seeker, decision):
                self.records.write(records.member_waiting(seeker.record, decision, self.observer.stamp()))
            self.notices.waiting([(seeker.group, decision)])
            decision = self._place_most(seeker, snapshot)
        if isinstance(decision, Placed):
            slots = dict(zip(sorted(seeker.lost), decision.slots, strict=False))
            domain = _domain_now(seeker.record, snapshot, decision.slots[0])
            base = self.records.get(seeker.key) or seeker.record
            self._reserve(seeker.key, records.moved(base, slots, domain, self.observer.stamp()))
            self.placed(seeker.key)

    def _place_lost(self, seeker: Seeker, snapshot: Snapshot, count: int) -> Decision | None:
        """The first so many: placed, or why the last of the ways to do so was refused."""
        decision: Decision | None = None
        for request in seeker.requests_for_lost(snapshot, self.runtime.clock.now(), count):
            [decision] = plan(snapshot, [request], SOLVER_BUDGET)
            if isinstance(decision, Placed):
                break
        return decision

    def _place_most(self, seeker: Seeker, snapshot: Snapshot) -> Decision | None:
        """As many as there is room for, fewer than all: with one less there is room where there was with one more."""
        best: Decision | None = None
        low, high = 1, len(seeker.lost) - 1
        while low <= high:
            count = (low + high) // 2
            decision = self._place_lost(seeker, snapshot, count)
            if isinstance(decision, Placed):
                best, low = decision, count + 1
            else:
                high = count - 1
        return best

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


def _for_surge(seeker: Seeker, decision: Decision) -> Decision:
    """A surge group on a full cluster waits for new hosts, or for leave to do without."""
    if isinstance(decision, Placed) or not seeker.group.must_stay_available:
        return decision
    reason = f"it is a surge group of a rolling update with maxUnavailable 0, which waits for room: {decision.reason}"
    fix = "set maxUnavailable to 1, so that the update reuses the hosts of the groups that it replaces"
    return replace(decision, reason=reason, fix=f"{fix}, or {decision.fix}" if decision.fix else fix)


def _avoided(record: GroupPlacement | None, now: float) -> frozenset[str]:
    return frozenset(slot.node for slot in record.status.refused if slot.until > now) if record else frozenset()


def _may_keep(record: GroupPlacement, now: float) -> bool:
    """Whether a group that has no whole place keeps what it has: while it is down, for as long as slots are kept."""
    state = record.status.state
    return bool(record.status.slots) and (
        state == api.ABORTING or (state == api.STICKY and not _has_expired(record, now))
    )


def _has_expired(record: GroupPlacement, now: float) -> bool:
    return record.status.state == api.STICKY and records.age(record, now) > STICKY_SECONDS


def _domain_now(record: GroupPlacement, snapshot: Snapshot, node: str) -> Domain | None:
    """The domain of a group after a member has joined the others on this node: their nodes may have new labels."""
    before = record.status.domain
    if before is None or not before.key:
        return before
    labels = snapshot.table.nodes[snapshot.table.position[node]].labels
    return Domain(key=before.key, value=labels.get(before.key, before.value))


def _raise_worst(outcomes: Sequence[BaseException | None]) -> None:
    """Raise the failure that is most worth a back-off; a write that lost a race is merely tried again soon."""
    failures = [failure for failure in outcomes if failure is not None]
    failures.sort(key=lambda failure: isinstance(failure, (Conflict, AlreadyExists)))
    if failures:
        raise failures[0]
