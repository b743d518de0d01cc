"""The planner: looks at one thing at a time (a set, a group, or all groups that need a place) and does what is due.

Four kinds of key share one queue:

- `set/<namespace>/<name>`: a LeaderWorkerSet or its leader StatefulSet changed: look at each of its groups.
- `group/<namespace>/<leader>`: decide and carry out the next step of one group (`life`, `effects`).
- `kept/<namespace>/<pod>/<uid>`: room is kept for a pod whose binding may still land, until it is known.
- `plan`: find places for all groups that need one, together, and write their records (`placing`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

import msgspec

from lws_sched.api import names
from lws_sched.api import placement as api
from lws_sched.api.core import POD
from lws_sched.api.lws import LeaderWorkerSet
from lws_sched.api.meta import split_key
from lws_sched.api.quantity import InvalidQuantity
from lws_sched.extender import life, records
from lws_sched.extender.effects import Effects
from lws_sched.extender.evictions import Evictions
from lws_sched.extender.life import View
from lws_sched.extender.notices import GroupNotices, Notices
from lws_sched.extender.observer import BY_SET, Observer
from lws_sched.extender.placing import Placing, Seeker
from lws_sched.extender.plan_meter import PlanMeter
from lws_sched.intake import wanted
from lws_sched.intake.wanted import WantedGroup
from lws_sched.kube.errors import AlreadyExists, ApiError, Conflict, Forbidden, NotFound
from lws_sched.kube.port import Queue, Runtime

PLAN = "plan"
BATCH_SECONDS = 0.02
"""How long freed room is left to gather before groups that wait are planned again."""
GATHER_SECONDS = 0.3
"""How long the arrivals of members that know their places are left to gather before their group is looked at."""
AGAIN_SECONDS = 0.05
REPLAN_SECONDS = 15.0
"""How often groups that wait are planned again though nothing seems to have changed."""


@dataclass
class Planner:
    runtime: Runtime
    observer: Observer
    effects: Effects
    notices: Notices
    group_notices: GroupNotices
    evictions: Evictions
    decided: Callable[[], None]
    """Called after records were written: somebody may be waiting for them."""
    meter: PlanMeter = field(default_factory=PlanMeter)
    queue: Queue = field(init=False)
    placing: Placing = field(init=False)
    pending: set[str] = field(default_factory=set)
    """Groups that need a place now, by key."""

    def __post_init__(self) -> None:
        observer = self.observer
        self.placing = Placing(
            self.runtime,
            observer,
            observer.ledger,
            observer.records,
            self.group_notices,
            self.evictions,
            self._was_placed,
            lambda seconds: self.queue.add_after(PLAN, seconds),
            self.meter,
        )
        self.queue = self.runtime.queue("placements", self.reconcile, workers=4)

    # --- keys --------------------------------------------------------------------------------------------------------

    def look_at_set(self, namespace: str, name: str) -> None:
        self.queue.add(f"set/{namespace}/{name}")

    def look_at_group(self, group: str) -> None:
        self.queue.add(f"group/{group}")

    def look_at_group_soon(self, group: str) -> None:
        """Where nothing is to be done but to know of it: once for all that comes within GATHER_SECONDS."""
        self.queue.add_after(f"group/{group}", GATHER_SECONDS)

    def look_at_kept(self, pod: str, uid: str) -> None:
        self.queue.add(f"kept/{pod}/{uid}")

    def room_was_freed(self) -> None:
        """Groups that wait may fit now."""
        if self.pending:
            self.queue.add_after(PLAN, BATCH_SECONDS)

    def pod_was_vetoed(self) -> None:
        """Room may have to be made for it."""
        self.queue.add_after(PLAN, BATCH_SECONDS)

    def expects(self, group: str) -> bool:
        """Whether the group's place is being decided: it is pending, or has no record yet and its set wants it."""
        if group in self.pending:
            return True
        return self.observer.records.get(group) is None and self.observer.may_be_wanted(group)

    def reconcile(self, key: str) -> float | None:
        kind, _, rest = key.partition("/")
        try:
            if kind == "set":
                self._look_at_set(*split_key(rest))
            elif kind == "group":
                return self._look_at_group(rest)
            elif kind == "kept":
                return self._look_at_kept(*rest.split("/"))
            else:
                self._plan()
        except (Conflict, AlreadyExists):
            return AGAIN_SECONDS  # somebody else's write came first: look at what it left
        except Forbidden as error:
            self._tell_what_is_not_permitted([rest] if kind == "group" else [*self.pending], str(error))
            raise
        return None

    def _tell_what_is_not_permitted(self, groups: Sequence[str], reason: str) -> None:
        """On the sets, and in the records that there are."""
        self.group_notices.not_permitted(groups, f"{reason}; {records.GIVE_RIGHTS}")
        for record in filter(None, map(self.observer.records.get, groups)):
            if record.status.reason != reason:
                with suppress(ApiError):
                    self.observer.records.write(records.not_permitted(record, reason, self.observer.stamp()))

    # --- what is due -------------------------------------------------------------------------------------------------

    def _look_at_set(self, namespace: str, name: str) -> None:
        """Mark the set's new groups as pending in one go, so that they are planned together; look at its known ones."""
        sources = self.observer.sources
        lws = sources.sets.get(namespace, name)
        known = {record.metadata.name for record in sources.records.by_index(BY_SET, f"{namespace}/{name}")}
        fresh: list[str] = []
        if lws is not None and self._is_placed_by_us(lws):
            count = wanted.group_count(lws, self.observer.leader_replicas(lws))
            leaders = [names.leader_name(name, index) for index in range(count)]
            fresh = [f"{namespace}/{leader}" for leader in leaders if leader not in known]
        for leader in sorted(known):
            self.look_at_group(f"{namespace}/{leader}")
        if fresh:
            self._want_places(*fresh)

    def _is_placed_by_us(self, lws: LeaderWorkerSet) -> bool:
        reading = self.observer.reading(lws)
        if not reading.is_ours or lws.metadata.deletion_timestamp:
            return False
        sentence = reading.unsupported
        if sentence:
            self.group_notices.refused(lws, sentence)
        return not sentence

    def _look_at_group(self, group: str) -> float | None:
        view = self.observer.view(group)
        step = life.decide(view)
        if step.confirm_lost and not self.effects.are_lost(view, step):
            return life.AGAIN_SECONDS
        self.effects.carry_out(group, view, step)
        if view.record is not None and view.record.status.reason and step.write is None:
            waiting = [pod for pod in view.pods.values() if life.is_behind_our_gate_alone(pod)]
            self.group_notices.pods_wait(view.record, waiting)
        if step.plan:
            self._want_places(group)
        elif view.wanted is None:
            self.pending.discard(group)
        return step.again

    def _look_at_kept(self, namespace: str, name: str, uid: str) -> float | None:
        """Once our copy has the pod, its own events say what becomes of its room; until then it is asked for."""
        known = self.observer.sources.pods.get(namespace, name)
        if known is not None and known.metadata.uid == uid:
            return None
        try:
            if self.runtime.cluster.get(POD, namespace, name).metadata.uid == uid:
                return life.AGAIN_SECONDS
        except NotFound:
            pass
        self.observer.ledger.uncharge(uid)
        self.room_was_freed()
        return None

    def _want_places(self, *groups: str) -> None:
        self.pending.update(groups)
        self.queue.add(PLAN)

    def _was_placed(self, group: str) -> None:
        self.pending.discard(group)
        self.look_at_group(group)

    def _plan(self) -> None:
        seekers = self._seekers()
        asks = {asked for each in seekers for asked in (each.group.ask.required, each.group.ask.exclusive) if asked}
        for asked in sorted(asks):
            self.notices.look_at_topology(asked)
        try:
            self.placing.place(seekers)
        finally:
            self.decided()
        if self.pending:
            # Refusals of nodes run out, and what was undecided may be decided: nothing tells but the clock.
            self.queue.add_after(PLAN, REPLAN_SECONDS)

    def _seekers(self) -> list[Seeker]:
        """Pending groups for which a place is still due. The others are pending no more, but for those whose shapes
        cannot be told now."""
        seekers: list[Seeker] = []
        for key in sorted(self.pending):
            view = self.observer.view(key)
            step = life.decide(view)
            if view.wanted is None or not step.plan:
                self.pending.discard(key)
                continue
            if step.write is not None:
                self.look_at_group(key)  # its record must say so first
                continue
            try:
                seekers.append(self._seeker(view.wanted, view))
            except (ApiError, InvalidQuantity, msgspec.ValidationError) as error:
                self.group_notices.unknown(view.wanted, str(error))
        return seekers

    def _seeker(self, group: WantedGroup, view: View) -> Seeker:
        record = view.record
        is_bound = record is not None and record.status.state == api.BOUND
        return Seeker(
            group=self.observer.shaped(group),
            record=record,
            since=self.observer.wanted_since(group, record),
            lost=life.lost_slots(view, record) if record is not None and is_bound else frozenset(),
        )
