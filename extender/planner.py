"""The planner: looks at one thing at a time (a set, a group, or all groups that need a place) and does what is due.

Three kinds of key share one queue:

- `set/<namespace>/<name>`: a LeaderWorkerSet or its leader StatefulSet changed: look at each of its groups.
- `group/<namespace>/<leader>`: decide and carry out the next step of one group (`life`).
- `plan`: find places for all groups that need one, together, and write their records.

Plans are made from the ledger; a place is charged there before its record is written, so two plans never give away the
same room. Every write is guarded by the record's resourceVersion: who loses looks again.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

import msgspec

from lws_sched.admission.hook import changed
from lws_sched.api import names
from lws_sched.api import placement as api
from lws_sched.api.core import POD, Pod, StatefulSet
from lws_sched.api.lws import LEADER_WORKER_SET, LeaderWorkerSet
from lws_sched.api.meta import Kind, Meta, Wire, split_key
from lws_sched.api.placement import GROUP_PLACEMENT, GroupPlacement
from lws_sched.api.quantity import InvalidQuantity
from lws_sched.core import revision
from lws_sched.extender import life, pinning, records, wanted
from lws_sched.extender.barrier import Barrier
from lws_sched.extender.commit import Committer
from lws_sched.extender.ledger import Ledger
from lws_sched.extender.life import Step, View
from lws_sched.extender.notices import Notices
from lws_sched.extender.records import RecordStore, Stamp
from lws_sched.extender.shapes import AdmittedShapes
from lws_sched.extender.wanted import WantedGroup
from lws_sched.kube.errors import AlreadyExists, ApiError, Conflict, Forbidden, Invalid, NotFound
from lws_sched.kube.port import Informer, Queue, Runtime
from lws_sched.placement import Budget, Decision, GroupRequest, Placed, Refused, plan

log = logging.getLogger(__name__)

PLAN = "plan"
BATCH_SECONDS = 0.02
"""How long freed room is left to gather before groups that wait are planned again."""
AGAIN_SECONDS = 0.05
REPLAN_SECONDS = 15.0
"""How often groups that wait are planned again though nothing seems to have changed."""
SOLVER_BUDGET = Budget(deterministic_time=0.1)
"""About half a second. The solver is asked only where a batch leaves out a group that would fit alone."""
BY_GROUP = "group"
BY_SET = "set"


class RawPod(Wire, frozen=True, kw_only=True):
    """A pod whose spec keeps every field, for edits."""

    metadata: Meta
    spec: dict[str, object]


RAW_POD = Kind("", "v1", "Pod", "pods", RawPod)


@dataclass(frozen=True)
class Sources:
    """The informers that the planner reads."""

    sets: Informer[LeaderWorkerSet]
    stateful_sets: Informer[StatefulSet]
    pods: Informer[Pod]
    records: Informer[GroupPlacement]


@dataclass
class Planner:
    runtime: Runtime
    sources: Sources
    ledger: Ledger
    records: RecordStore
    committer: Committer
    notices: Notices
    barrier: Barrier
    decided: Callable[[], None]
    """Called after records were written: somebody may be waiting for them."""
    queue: Queue = field(init=False)
    pending: set[str] = field(default_factory=set)
    """Groups that need a place now, by key."""
    shapes: AdmittedShapes = field(init=False)
    revisions: dict[str, tuple[int, str]] = field(default_factory=dict)
    """Generation and revision hash by the set's UID."""

    def __post_init__(self) -> None:
        self.shapes = AdmittedShapes(self.runtime)
        self.queue = self.runtime.queue("placements", self.reconcile, workers=4)

    # --- keys --------------------------------------------------------------------------------------------------------

    def look_at_set(self, namespace: str, name: str) -> None:
        self.queue.add(f"set/{namespace}/{name}")

    def look_at_group(self, group: str) -> None:
        self.queue.add(f"group/{group}")

    def room_was_freed(self) -> None:
        """Groups that wait may fit now."""
        if self.pending:
            self.queue.add_after(PLAN, BATCH_SECONDS)

    def expects(self, group: str) -> bool:
        """Whether the group's place is being decided: it is pending, or has no record yet and its set wants it.

        A set that is not known yet is about to be: its pods cannot come before it.
        """
        if group in self.pending:
            return True
        namespace, leader = split_key(group)
        parts = names.parent_and_ordinal(leader)
        is_known = parts is not None and self.sources.sets.get(namespace, parts[0]) is not None
        return self.records.get(group) is None and (not is_known or self._set_of(group) is not None)

    def reconcile(self, key: str) -> float | None:
        kind, _, rest = key.partition("/")
        try:
            if kind == "set":
                self._look_at_set(*split_key(rest))
            elif kind == "group":
                return self._look_at_group(rest)
            else:
                self._plan()
        except (Conflict, AlreadyExists):
            return AGAIN_SECONDS  # somebody else's write came first: look at what it left
        return None

    # --- sets --------------------------------------------------------------------------------------------------------

    def _look_at_set(self, namespace: str, name: str) -> None:
        """Mark the set's new groups as pending in one go, so that they are planned together; look at its known ones."""
        lws = self.sources.sets.get(namespace, name)
        known = {record.metadata.name for record in self.sources.records.by_index(BY_SET, f"{namespace}/{name}")}
        fresh: list[str] = []
        if lws is not None and self._is_placed_by_us(lws):
            count = wanted.group_count(lws, self._leader_replicas(lws))
            leaders = [names.leader_name(name, index) for index in range(count)]
            fresh = [f"{namespace}/{leader}" for leader in leaders if leader not in known]
        for leader in sorted(known):
            self.look_at_group(f"{namespace}/{leader}")
        if fresh:
            self.pending.update(fresh)
            self.queue.add(PLAN)

    def _is_placed_by_us(self, lws: LeaderWorkerSet) -> bool:
        if not wanted.is_ours(lws) or lws.metadata.deletion_timestamp:
            return False
        sentence = wanted.unsupported(lws)
        if sentence:
            self._warn(lws, "GroupRefused", sentence)
        return not sentence

    def _leader_replicas(self, lws: LeaderWorkerSet) -> int | None:
        leaders = self.sources.stateful_sets.get(lws.metadata.namespace, lws.metadata.name)
        return leaders.spec.replicas if leaders else None

    def _set_of(self, group: str) -> tuple[LeaderWorkerSet, int] | None:
        """The LeaderWorkerSet that wants this group, and the group's index."""
        namespace, leader = split_key(group)
        parts = names.parent_and_ordinal(leader)
        lws = self.sources.sets.get(namespace, parts[0]) if parts else None
        if lws is None or parts is None or not wanted.is_ours(lws) or lws.metadata.deletion_timestamp:
            return None
        if wanted.unsupported(lws) or parts[1] >= wanted.group_count(lws, self._leader_replicas(lws)):
            return None
        return lws, parts[1]

    def _wanted(self, group: str) -> WantedGroup | None:
        """The group as its set wants it now; where it has a leader, of that leader's revision and size."""
        found = self._set_of(group)
        if found is None:
            return None
        lws, index = found
        leader = self.sources.pods.get(*split_key(group))
        current, size = self._revision(lws), lws.spec.leader_worker_template.size
        if leader is not None and not life.is_leaving(leader):
            return wanted.wanted_group(
                lws, index, revision=life.revision_of(leader) or current, size=life.size_of(leader) or size
            )
        return wanted.wanted_group(lws, index, revision=current, size=size)

    def _revision(self, lws: LeaderWorkerSet) -> str:
        """The hash that new members of the set will carry, worked out once per generation."""
        meta = lws.metadata
        known = self.revisions.get(meta.uid)
        if known is None or known[0] != meta.generation:
            known = self.revisions[meta.uid] = (meta.generation, revision.key(revision.data(lws)))
        return known[1]

    def _shaped(self, group: WantedGroup, record: GroupPlacement | None) -> WantedGroup:
        """The group with the shapes of its members. A group of an older revision keeps the sizes it was placed with."""
        found = self._set_of(group.key)
        if found is None:
            return group
        lws, _ = found
        shapes = self.shapes.of(lws)
        if record is not None and group.revision != self._revision(lws) and record.spec.revision == group.revision:
            leader, worker = (tuple(sorted(each.requests.items())) for each in (record.spec.leader, record.spec.worker))
            shapes = replace(
                shapes,
                leader=replace(shapes.leader, requests=leader),
                worker=replace(shapes.worker, requests=worker),
            )
        return replace(group, shapes=shapes)

    # --- one group ---------------------------------------------------------------------------------------------------

    def _look_at_group(self, group: str) -> float | None:
        view = self._view(group)
        step = life.decide(view)
        if step.confirm_lost and not self._are_lost(view, step):
            return life.AGAIN_SECONDS
        self._carry_out(group, view, step)
        return step.again

    def _view(self, group: str) -> View:
        record = self.records.get(group)
        if record is None or record.status.state != api.COMMITTED:
            self.committer.forget(group)
        return View(
            record=record,
            wanted=self._wanted(group),
            pods=self._members(group),
            is_healthy=self.ledger.is_healthy,
            stamp=self._stamp(),
            committing=self.committer.is_committing(group),
            posted=record is not None and self.committer.has_posted(record),
            held=self.barrier.held(group),
        )

    def _carry_out(self, group: str, view: View, step: Step) -> None:
        """Write first: a deed without its record could not be understood after a crash."""
        if step.write is not None:
            self.records.write(step.write)
            self.decided()
            log.info("group=%s state=%s reason=%s", group, step.write.status.state, step.write.status.reason)
            self._tell_aborting(group, step.write)
        if step.remove and view.record is not None:
            self.records.delete(view.record)
        if step.plan:
            self.pending.add(group)
            self.queue.add(PLAN)
        elif view.wanted is None:
            self.pending.discard(group)
        tasks = [partial(self._place, pod, node) for pod, node in step.place]
        tasks += [partial(self._bind, pod, node) for pod, node in step.bind]
        tasks += [partial(self._delete, pod) for pod in step.delete]
        for failure in self.runtime.gather(tasks):
            if failure is not None:
                raise failure

    def _members(self, group: str) -> Mapping[int, Pod]:
        """The pods of a group by worker index; a pod whose name does not fit its labels is nobody's member."""
        _, leader = split_key(group)
        found: dict[int, Pod] = {}
        for pod in self.sources.pods.by_index(BY_GROUP, group):
            index = pod.metadata.labels.get(names.WORKER_INDEX, "")
            if index.isdigit() and pod.metadata.name == names.member_name(leader, int(index)):
                found[int(index)] = pod
        return found

    def _are_lost(self, view: View, step: Step) -> bool:
        """Whether one of the members that our copy lacks is really gone: the copy may only be late."""
        assert view.record is not None
        for name in step.confirm_lost:
            try:
                pod = self.runtime.cluster.get(POD, view.record.metadata.namespace, name)
            except NotFound:
                return True
            same = pod.metadata.uid == view.record.status.committed[name]
            if not same or (life.is_leaving(pod) and not pod.spec.node_name):
                return True
        return False

    def _place(self, pod: Pod, node: str) -> None:
        """Pin a gated member to its slot and lift our gate, in one patch."""
        meta = pod.metadata
        raw = self.runtime.cluster.get(RAW_POD, meta.namespace, meta.name)
        before = {"spec": raw.spec}
        operations = [
            {"op": "test", "path": "/metadata/uid", "value": meta.uid},
            {"op": "test", "path": "/metadata/resourceVersion", "value": raw.metadata.resource_version},
            *changed(before, pinning.pinned(before, node)),
        ]
        self.runtime.cluster.patch(RAW_POD, meta.namespace, meta.name, operations)

    def _bind(self, pod: Pod, node: str) -> None:
        self.committer.bind_pod(pod.metadata.namespace, pod.metadata.name, pod.metadata.uid, node)

    def _delete(self, pod: Pod) -> None:
        meta = pod.metadata
        try:
            self.runtime.cluster.delete(POD, meta.namespace, meta.name, uid=meta.uid, propagation="Foreground")
        except (NotFound, Conflict):
            return

    # --- all groups that need a place --------------------------------------------------------------------------------

    def _plan(self) -> None:
        """Plan groups that hold slots one by one, each written before the next: nobody gets a slot that its holder has
        not given up for certain. All others are planned together."""
        groups, current = self._groups_to_plan()
        asks = {asked for group in groups.values() for asked in (group.ask.required, group.ask.exclusive) if asked}
        for asked in sorted(asks):
            self.notices.look_at_topology(asked)
        holders = [key for key, record in current.items() if record is not None and record.status.slots]
        for key in holders:
            self._plan_together({key: groups.pop(key)}, current)
        if groups:
            self._plan_together(groups, current)
        if self.pending:
            # Refusals of nodes run out, and what was undecided may be decided: nothing tells but the clock.
            self.queue.add_after(PLAN, REPLAN_SECONDS)

    def _plan_together(self, groups: Mapping[str, WantedGroup], current: Mapping[str, GroupPlacement | None]) -> None:
        requests = [_request(group, current[key], self.runtime.clock.now()) for key, group in groups.items()]
        decisions = plan(self.ledger.snapshot(excluding=groups), requests, SOLVER_BUDGET)
        outcomes = self.runtime.gather(
            [partial(self._write_decision, groups[each.key], current[each.key], each) for each in decisions]
        )
        self.decided()
        placed = sum(isinstance(each, Placed) for each in decisions)
        log.info("planned groups=%d placed=%d waiting=%d", len(decisions), placed, len(decisions) - placed)
        _raise_worst(outcomes)

    def _groups_to_plan(self) -> tuple[dict[str, WantedGroup], dict[str, GroupPlacement | None]]:
        """Pending groups for which a place is still due, and their records. The others are pending no more, but for
        those whose shapes cannot be told now."""
        groups: dict[str, WantedGroup] = {}
        current: dict[str, GroupPlacement | None] = {}
        for key in sorted(self.pending):
            view = self._view(key)
            if view.wanted is None or not life.decide(view).plan:
                self.pending.discard(key)
                continue
            try:
                groups[key], current[key] = self._shaped(view.wanted, view.record), view.record
            except (ApiError, InvalidQuantity, msgspec.ValidationError) as error:
                self._tell_unknown(view.wanted, str(error))
        return groups, current

    def _write_decision(self, group: WantedGroup, record: GroupPlacement | None, decision: Decision) -> None:
        base = record or records.first_record(group)
        if isinstance(decision, Placed):
            self._reserve(group, base, decision)
        elif _is_news(record, decision):
            self.records.write(records.waiting_for(base, group, decision, self._stamp()))
            self._tell_waiting(group, decision)

    def _reserve(self, group: WantedGroup, base: GroupPlacement, placed: Placed) -> None:
        after = records.reserved(base, group, placed, self._stamp())
        try:
            if not self.ledger.try_hold(group.key, after):
                raise Conflict(f"room for {group.key} was taken while it was planned")
            self.records.write(after)
        except (Conflict, AlreadyExists, Invalid, Forbidden):
            self.ledger.hold(group.key, self.records.get(group.key))
            raise
        except ApiError:
            # It may have been written all the same: its slots stay held until the record itself can be read.
            self._read_back(group, after)
            raise
        self.pending.discard(group.key)
        self.look_at_group(group.key)

    def _read_back(self, group: WantedGroup, after: GroupPlacement) -> None:
        """After a write of unknown outcome: take what the API server has, if it says."""
        meta = after.metadata
        try:
            self.sources.records.learn(self.runtime.cluster.get(GROUP_PLACEMENT, meta.namespace, meta.name))
        except NotFound:
            self.ledger.hold(group.key, None)
        except ApiError as error:
            log.warning("outcome of a reservation is unknown, its slots stay held group=%s reason=%s", group.key, error)

    def _tell_aborting(self, group: str, record: GroupPlacement) -> None:
        namespace, leader = split_key(group)
        lws = self.sources.sets.get(namespace, record.spec.leader_worker_set)
        if lws is not None and record.status.state == api.ABORTING:
            self._warn(
                lws, "GroupReplanned", f"group {leader} gives up its slots and is placed anew: {record.status.reason}"
            )

    def _tell_unknown(self, group: WantedGroup, reason: str) -> None:
        lws = self.sources.sets.get(group.namespace, group.set_name)
        log.warning("shapes unknown group=%s reason=%s", group.key, reason)
        if lws is not None:
            note = (
                f"groups of {group.set_name} wait: the API server does not say what their pods will ask for: {reason}"
            )
            self._warn(lws, "GroupWaiting", note)

    def _tell_waiting(self, group: WantedGroup, refused: Refused) -> None:
        lws = self.sources.sets.get(group.namespace, group.set_name)
        if lws is not None:
            fix = f"; {refused.fix}" if refused.fix else ""
            self._warn(lws, "GroupWaiting", f"group {group.leader_name} waits: {refused.reason}{fix}")

    def _warn(self, lws: LeaderWorkerSet, reason: str, note: str) -> None:
        self.runtime.recorder.event(LEADER_WORKER_SET, lws, type="Warning", reason=reason, action="Place", note=note)

    def _stamp(self) -> Stamp:
        return Stamp(self.runtime.epoch(), self.runtime.clock.now())


def _request(group: WantedGroup, record: GroupPlacement | None, now: float) -> GroupRequest:
    status = record.status if record else None
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
