"""The reconciler of groups: snapshot from the watches, plan, carry out.

Before a group is recreated, the worker StatefulSet that links the failed pod to the leader is read again from the API
server: deleting a running group on the word of a watch that lags would be a failure of our own making.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from lws_sched.api import names
from lws_sched.api.core import NODE, STATEFUL_SET, Node, Pod, StatefulSet
from lws_sched.api.lws import LeaderWorkerSet
from lws_sched.api.meta import split_key
from lws_sched.controller.effects import Effects, Plan, Refusal
from lws_sched.controller.group_plan import (
    GroupSnapshot,
    failed_member,
    follows_leader,
    plan,
    recreation,
)
from lws_sched.controller.lost import LostPods
from lws_sched.controller.watches import Watches, is_leader, set_key
from lws_sched.core import revision
from lws_sched.kube.errors import AlreadyExists, Conflict, NotFound
from lws_sched.kube.port import Cluster

_SOON_SECONDS = 1.0
_STRANGER_SECONDS = 60.0


@dataclass(frozen=True)
class GroupReconciler:
    """Completes and recreates groups, one key at a time."""

    watches: Watches
    effects: Effects
    cluster: Cluster
    lost: LostPods

    def reconcile(self, key: str) -> float | None:
        lost = self.lost.of(key)
        snapshot = self._snapshot(key, lost)
        again = None if snapshot is None else self._carry_out(snapshot)
        self.lost.settle(key, lost)
        return again

    def _carry_out(self, snapshot: GroupSnapshot) -> float | None:
        planned = self._plan(snapshot)
        refusal = self.effects.carry_out(planned, snapshot.lws)
        return planned.again if refusal is None else self._refused(refusal, snapshot)

    def _plan(self, snapshot: GroupSnapshot) -> Plan:
        if failed_member(snapshot) is not None:
            confirmed = replace(snapshot, worker_set=self._live_workers(snapshot.leader))
            failed = failed_member(confirmed)
            if failed is not None:
                return recreation(confirmed, failed)
        return plan(snapshot)

    def _live_workers(self, leader: Pod) -> StatefulSet | None:
        try:
            return self.cluster.get(STATEFUL_SET, leader.metadata.namespace, leader.metadata.name)
        except NotFound:
            return None

    def _snapshot(self, key: str, lost: tuple[Pod, ...]) -> GroupSnapshot | None:
        watches, (namespace, name) = self.watches, split_key(key)
        leader = watches.pods.get(namespace, name)
        if leader is None or not is_leader(leader):
            return None
        lws = watches.sets.get(*split_key(set_key(leader.metadata)))
        if lws is None or lws.metadata.deletion_timestamp:
            return None
        stored = revision.owned(watches.revisions_of_set(set_key(leader.metadata)), lws)
        return GroupSnapshot(
            lws=lws,
            leader=leader,
            worker_set=watches.worker_sets.get(namespace, name),
            pods=watches.pods_of_group(key),
            lost=lost,
            revision=revision.find(stored, leader.metadata.labels.get(names.REVISION, "")),
            service=watches.services.get(namespace, name),
            node=self._node(lws, leader),
        )

    def _node(self, lws: LeaderWorkerSet, leader: Pod) -> Node | None:
        known = self.watches.worker_sets.get(leader.metadata.namespace, leader.metadata.name)
        if known is not None or not leader.spec.node_name or not follows_leader(lws, leader):
            return None
        return self.cluster.get(NODE, "", leader.spec.node_name)

    def _refused(self, refusal: Refusal, snapshot: GroupSnapshot) -> float | None:
        """A name that is taken is looked at: our own watch may lag, or a stranger may hold it."""
        if isinstance(refusal.error, AlreadyExists):
            found = plan(replace(snapshot, worker_set=self._live_workers(snapshot.leader)))
            self.effects.carry_out(Plan(notes=found.notes), snapshot.lws)
            return _STRANGER_SECONDS if found.notes else _SOON_SECONDS
        if isinstance(refusal.error, (Conflict, NotFound)):
            return _SOON_SECONDS
        self.effects.report(refusal, snapshot.lws)
        raise refusal.error
