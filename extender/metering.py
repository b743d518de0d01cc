"""What is counted of placing groups: told by the records as they change, so that no step of the way is slowed down.

Only the leader counts. Times are between what this process saw, in its own monotonic seconds; a group that was there
before this process has no times until its next incarnation.
"""

from __future__ import annotations

from collections import Counter as Tally
from collections.abc import Callable
from dataclasses import dataclass, replace

from lws_sched.api import placement as api
from lws_sched.api.extender import (
    BindingArgs,
    BindingResult,
    ExtenderArgs,
    FilterResult,
    PreemptionArgs,
    PreemptionResult,
)
from lws_sched.api.meta import key_of
from lws_sched.api.placement import GROUP_PLACEMENT, GroupPlacement
from lws_sched.api.timestamps import seconds_of
from lws_sched.extender.verbs import Verbs
from lws_sched.kube.errors import LostLease
from lws_sched.kube.port import Change, Clock, Runtime
from lws_sched.telemetry import families
from lws_sched.telemetry.counts import Counter, Gauge, Histogram, Instrument, Labels

PLACED, REFUSED, GIVEN_UP, RETURNED = "placed", "refused", "given_up", "returned"
"""What came of asking for a place: slots; none for now; slots given up; slots that were kept for a group's return."""
STAGES = {api.RESERVED: "wait", api.COMMITTED: "gather", api.BOUND: "bind"}
"""The stage that ends when a record comes to a state: waiting for room, gathering the members, binding them."""
RESTING = ("", api.BOUND, api.STICKY, api.ABORTING)
"""States after which a group begins anew."""
OUTCOMES = {api.RESERVED: PLACED, api.WAITING: REFUSED, api.ABORTING: GIVEN_UP}


@dataclass(frozen=True)
class _Progress:
    """One group on its way to being bound: when it began, and when it came to its present state."""

    began: float
    since: float


class PlacementMeter:
    """Counts decisions and stages; asks the records for the rest at the time of the scrape."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._records = runtime.informer(GROUP_PLACEMENT)
        self._started = runtime.clock.now()
        self._progress: dict[str, _Progress] = {}
        self._decisions, self._stages = Counter(families.DECISIONS), Histogram(families.STAGE_SECONDS)
        self._commits = Histogram(families.COMMIT_SECONDS)
        self._records.subscribe(self._record_changed)

    def instruments(self) -> tuple[Instrument, ...]:
        return (
            *(self._decisions, self._stages, self._commits),
            Gauge(families.PLACEMENTS, self._by_state),
            Gauge(families.WAITING, self._waiting),
            Gauge(families.OLDEST, self._oldest),
        )

    def _by_state(self) -> dict[Labels, float]:
        found = Tally((record.status.state,) for record in self._records.objects())
        return {(state,): found[(state,)] for state in sorted({api.WAITING, *api.HOLDING})}

    def _waiting(self) -> dict[Labels, float]:
        waiting = (each.status for each in self._records.objects() if each.status.state == api.WAITING)
        return dict(Tally((status.proof or "pending",) for status in waiting))

    def _oldest(self) -> dict[Labels, float]:
        """By when the records say that they came to their states: a restart of this process makes nobody younger."""
        since: dict[Labels, float] = {}
        for record in self._records.objects():
            labels, began = (record.status.state,), seconds_of(record.status.since)
            if record.status.state and record.status.since:
                since[labels] = min(began, since.get(labels, began))
        now = self._runtime.clock.now()
        return {labels: max(0.0, now - began) for labels, began in since.items()}

    def _record_changed(self, change: Change[GroupPlacement]) -> None:
        key, now = key_of(change.latest), self._runtime.clock.monotonic()
        if change.new is None or not self._counts(change):
            self._progress.pop(key, None)
            return
        before, state = change.old.status.state if change.old else "", change.new.status.state
        if state == before:
            return
        if state in OUTCOMES:
            self._decisions.add(RETURNED if (before, state) == (api.STICKY, api.RESERVED) else OUTCOMES[state])
        progress = self._progress.get(key)
        if progress is None or before in RESTING:
            self._progress[key] = _Progress(now, now)
            return
        if state in STAGES:
            self._stages.observe(now - progress.since, STAGES[state])
        if state == api.COMMITTED:
            self._commits.observe(now - progress.began)
        self._progress[key] = replace(progress, since=now)

    def _counts(self, change: Change[GroupPlacement]) -> bool:
        """Whether this process is the one to count this: it leads, and did not find the record when it started."""
        try:
            self._runtime.epoch()
        except LostLease:
            return False
        return change.old is not None or seconds_of(change.latest.metadata.creation_timestamp) >= self._started - 1


class MeteredVerbs:
    """The verbs, with how long kube-scheduler waited for each answer."""

    def __init__(self, verbs: Verbs, clock: Clock) -> None:
        self._verbs, self._clock = verbs, clock
        self._seconds, self._refusals = Histogram(families.VERB_SECONDS), Counter(families.VERB_REFUSALS)

    def instruments(self) -> tuple[Instrument, ...]:
        return (self._seconds, self._refusals)

    def filter(self, args: ExtenderArgs) -> FilterResult:
        began = self._clock.monotonic()
        result = self._verbs.filter(args)
        self._ended("filter", began, result.error)
        return result

    def bind(self, args: BindingArgs, respond: Callable[[BindingResult], None], is_alive: Callable[[], bool]) -> None:
        began = self._clock.monotonic()

        def responded(result: BindingResult) -> None:
            self._ended("bind", began, result.error)
            respond(result)

        self._verbs.bind(args, responded, is_alive)

    def preempt(self, args: PreemptionArgs) -> PreemptionResult:
        began = self._clock.monotonic()
        result = self._verbs.preempt(args)
        self._ended("preempt", began, "")
        return result

    def _ended(self, verb: str, began: float, error: str) -> None:
        self._seconds.observe(self._clock.monotonic() - began, verb)
        if error:
            self._refusals.add(verb)
