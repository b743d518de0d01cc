"""The reconciler of groups: snapshot from the watches, plan, carry out.

A member that went while no controller ran is missed through its group's record, where lws-sched has placed the group:
its successor, which has another UID, may have to wait for a place that the rest of the group keeps.

Before a group is recreated, the worker StatefulSet that links the failed pod to the leader is read again from the API
server: deleting a running group on the word of a watch that lags would be a failure of our own making. So is the leader
before workers are made for it a second time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TypeVar

from lws_sched.api import names
from lws_sched.api.core import NODE, POD, STATEFUL_SET, Node, Pod, StatefulSet
from lws_sched.api.lws import LeaderWorkerSet
from lws_sched.api.meta import Kind, Object, key_of, split_key
from lws_sched.api.placement import ABORTING, BOUND, COMMITTED, GROUP_PLACEMENT, GroupPlacement
from lws_sched.controller.effects import Create, Effects, Plan, Refusal
from lws_sched.controller.group_plan import (
    GroupSnapshot,
    failed_member,
    follows_leader,
    plan,
    recreation,
    within_budget,
)
from lws_sched.controller.lost import LostPods
from lws_sched.controller.watches import Watches, is_leader, set_key
from lws_sched.core import restart_budget, revision
from lws_sched.core.applied import WHOLE_STATEFUL_SET, WholeStatefulSet
from lws_sched.core.group import is_gated
from lws_sched.core.restart_budget import Limits
from lws_sched.kube.errors import AlreadyExists, Conflict, NotFound
from lws_sched.kube.port import Clock, Cluster

T = TypeVar("T", bound=Object)
_SOON_SECONDS = 1.0
_STRANGER_SECONDS = 60.0


@dataclass(frozen=True)
class GroupReconciler:
    """Completes and recreates groups, one key at a time."""

    watches: Watches
    effects: Effects
    cluster: Cluster
    clock: Clock
    lost: LostPods
    _inspected: dict[str, int] = field(default_factory=dict)
    """The generation at which a worker StatefulSet, by UID, was last compared whole."""
    _leftover_since: dict[str, float] = field(default_factory=dict)
    """When leftovers of a group were first seen (monotonic seconds)."""
    _served: dict[str, str] = field(default_factory=dict)
    """UIDs of leaders that have, or had, their worker StatefulSet, by the group's key."""

    def reconcile(self, key: str) -> float | None:
        lost = self.lost.of(key)
        snapshot = self._snapshot(key, lost)
        again = None if snapshot is None else self._carry_out(snapshot)
        self.lost.settle(lost)
        return again

    def _carry_out(self, snapshot: GroupSnapshot) -> float | None:
        planned = self._plan(snapshot)
        refusal = self.effects.carry_out(planned, snapshot.lws)
        if refusal is not None:
            return self._refused(refusal, snapshot)
        if snapshot.edited is not None:
            self._inspected[snapshot.edited.metadata.uid] = snapshot.edited.metadata.generation
        if snapshot.workers is not None or _makes_workers(planned):
            self._served[key_of(snapshot.leader)] = snapshot.leader.metadata.uid
        return planned.again

    def _plan(self, snapshot: GroupSnapshot) -> Plan:
        if snapshot.leader.metadata.deletion_timestamp:
            return plan(snapshot)
        limits = restart_budget.limits(snapshot.lws)
        recreated = self._unlimited(snapshot) if limits is None else self._limited(snapshot, limits)
        return plan(snapshot) if recreated is None else recreated

    def _unlimited(self, snapshot: GroupSnapshot) -> Plan | None:
        """How the group is recreated; None where it stays."""
        failed = self._confirmed_failure(snapshot)
        return None if failed is None else recreation(snapshot, failed)

    def _limited(self, snapshot: GroupSnapshot, limits: Limits) -> Plan | None:
        """The same under a restart budget."""
        record, leader, now = snapshot.record, snapshot.leader, self.clock.now()
        if restart_budget.is_final(limits, record, leader):
            return None
        pending = restart_budget.pending(record, leader)
        if pending is not None:
            return within_budget(snapshot, restart_budget.due(pending, now), pending.pod)
        failed = self._confirmed_failure(snapshot)
        if failed is None or snapshot.leader_set is None:
            return None if failed is None else Plan(again=_SOON_SECONDS)
        if self._is_replanned(leader):
            return recreation(snapshot, failed)
        return within_budget(snapshot, restart_budget.spend(limits, record, leader, failed, now), failed.metadata.name)

    def _confirmed_failure(self, snapshot: GroupSnapshot) -> Pod | None:
        suspected = snapshot if failed_member(snapshot) is not None else self._with_unseen_losses(snapshot)
        if suspected is None:
            return None
        return failed_member(replace(suspected, worker_set=self._live_workers(snapshot.leader)))

    def _with_unseen_losses(self, snapshot: GroupSnapshot) -> GroupSnapshot | None:
        """Members of a bound group that wait behind the extender's gate count as lost where others of their names were
        bound before them; None where there are none. The record is read only where that would decide."""
        waiting = tuple(pod for pod in snapshot.pods if is_gated(pod)) if snapshot.leader.spec.node_name else ()
        if not waiting or failed_member(replace(snapshot, lost=waiting)) is None:
            return None
        placement = self._placement(snapshot.leader)
        if placement is None or placement.status.state not in (COMMITTED, BOUND):
            return None
        if placement.status.leader_uid != snapshot.leader.metadata.uid:
            return None
        bound = placement.status.committed
        lost = tuple(pod for pod in waiting if bound.get(pod.metadata.name, "") not in ("", pod.metadata.uid))
        return replace(snapshot, lost=lost) if lost else None

    def _is_replanned(self, leader: Pod) -> bool:
        """Whether the extender takes the group down to place it elsewhere: that is no failure of the group's."""
        if leader.spec.scheduler_name != names.SCHEDULER:
            return False
        placement = self._placement(leader)
        return placement is not None and placement.status.state == ABORTING

    def _placement(self, leader: Pod) -> GroupPlacement | None:
        return self._find(GROUP_PLACEMENT, leader.metadata.namespace, leader.metadata.name)

    def _live_workers(self, leader: Pod) -> StatefulSet | None:
        return self._find(STATEFUL_SET, leader.metadata.namespace, leader.metadata.name)

    def _find(self, kind: Kind[T], namespace: str, name: str) -> T | None:
        """As the API server has it."""
        try:
            return self.cluster.get(kind, namespace, name)
        except NotFound:
            return None

    def _snapshot(self, key: str, lost: tuple[Pod, ...]) -> GroupSnapshot | None:
        watches, (namespace, name) = self.watches, split_key(key)
        leader = watches.pods.get(namespace, name)
        if leader is None or not is_leader(leader):
            self._leftover_since.pop(key, None)
            self._served.pop(key, None)
            return None
        lws = watches.sets.get(*split_key(set_key(leader.metadata)))
        if lws is None or lws.metadata.deletion_timestamp:
            return None
        stored = revision.owned(watches.revisions_of_set(set_key(leader.metadata)), lws)
        pods = watches.pods_of_group(key)
        snapshot = GroupSnapshot(
            lws=lws,
            leader=leader,
            worker_set=watches.worker_sets.get(namespace, name) or self._hidden_workers(leader, pods),
            pods=pods,
            lost=lost,
            revision=revision.find(stored, leader.metadata.labels.get(names.REVISION, "")),
            service=watches.services.get(namespace, name),
            node=self._node(lws, leader),
            leader_set=watches.leader_sets.get(*split_key(set_key(leader.metadata))),
            edited=self._edited(watches.worker_sets.get(namespace, name)),
        )
        if snapshot.worker_set is None and self._has_changed(key, leader):
            return None
        if not snapshot.leftovers:
            self._leftover_since.pop(key, None)
            return snapshot
        now = self.clock.monotonic()
        return replace(snapshot, waited=now - self._leftover_since.setdefault(key, now))

    def _has_changed(self, key: str, leader: Pod) -> bool:
        """Whether the leader has gone, or turned to another revision, without our knowing yet. Where its workers'
        StatefulSet vanishes it mostly has, and the watch of StatefulSets may run ahead of the one of pods, which brings
        the group back here."""
        if self._served.get(key) != leader.metadata.uid or leader.metadata.deletion_timestamp:
            return False
        live = self._find(POD, leader.metadata.namespace, leader.metadata.name)
        return live is None or bool(live.metadata.deletion_timestamp) or _incarnation(live) != _incarnation(leader)

    def _hidden_workers(self, leader: Pod, pods: Sequence[Pod]) -> StatefulSet | None:
        """The StatefulSet of workers that stand although our watch knows none: it shows only labelled ones."""
        mine = leader.metadata.uid
        if any(pod.metadata.uid != mine and not pod.metadata.deletion_timestamp for pod in pods):
            return self._live_workers(leader)
        return None

    def _edited(self, workers: StatefulSet | None) -> WholeStatefulSet | None:
        """The workers' whole StatefulSet where its spec was changed and not looked at since: nobody but us should."""
        if workers is None or workers.metadata.generation <= 1:
            return None
        meta = workers.metadata
        if self._inspected.get(meta.uid) == meta.generation:
            return None
        return self._find(WHOLE_STATEFUL_SET, meta.namespace, meta.name)

    def _node(self, lws: LeaderWorkerSet, leader: Pod) -> Node | None:
        known = self.watches.worker_sets.get(leader.metadata.namespace, leader.metadata.name)
        if known is not None or not leader.spec.node_name or not follows_leader(lws, leader):
            return None
        return self._find(NODE, "", leader.spec.node_name)

    def _refused(self, refusal: Refusal, snapshot: GroupSnapshot) -> float | None:
        """A name that is taken is looked at: our own watch may lag, or a stranger may hold it."""
        if isinstance(refusal.error, AlreadyExists):
            found = plan(replace(snapshot, worker_set=self._live_workers(snapshot.leader)))
            again = self.effects.carry_out(found, snapshot.lws)
            if again is None or isinstance(again.error, AlreadyExists):
                return _STRANGER_SECONDS if found.notes else _SOON_SECONDS
            refusal = again
        if isinstance(refusal.error, (Conflict, NotFound)):
            return _SOON_SECONDS
        self.effects.report(refusal, snapshot.lws)
        raise refusal.error


def _incarnation(leader: Pod) -> tuple[str, str]:
    return leader.metadata.uid, leader.metadata.labels.get(names.REVISION, "")


def _makes_workers(planned: Plan) -> bool:
    return any(isinstance(step.write, Create) and step.write.kind is STATEFUL_SET for step in planned.steps)
