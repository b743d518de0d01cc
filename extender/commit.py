"""From a full barrier to bound pods: one durable record first, then the bindings.

The record that says Committed is written before the first binding is posted, and lists the UID of each pod that may be
bound; from then on the group only goes forward. If this process dies in between, the next planner finds the record and
posts what is missing (`life`). Every held call is answered, whatever happens.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

from lws_sched.api import names
from lws_sched.api import placement as api
from lws_sched.api.core import POD, Pod
from lws_sched.api.meta import key_of
from lws_sched.api.placement import GroupPlacement
from lws_sched.core.group import is_gated
from lws_sched.extender import records
from lws_sched.extender.barrier import BindCall
from lws_sched.extender.ledger import Ledger
from lws_sched.extender.records import RecordStore, Stamp
from lws_sched.extender.stages import expected_members, is_member
from lws_sched.kube.errors import ApiError, Conflict, LostLease, NotFound
from lws_sched.kube.port import Informer, Runtime

log = logging.getLogger(__name__)


IN_A_ROW = 8
"""Bindings posted one after another by one thread: handing each to a thread of its own costs more than it gains."""


class Refusal(Exception):
    """The stage cannot be committed; nothing was bound."""


class Misplaced(Refusal):
    """And it never can be on these slots."""


@dataclass
class _Rush:
    """When a group was last being bound, monotonic seconds. Threads only ever set it to now."""

    last: float = float("-inf")


@dataclass(frozen=True)
class Committer:
    """Commits stages and posts bindings. Its methods block on the API server: call them through `Runtime.submit`."""

    runtime: Runtime
    records: RecordStore
    pods: Informer[Pod]
    ledger: Ledger
    finished: Callable[[str], None]
    """Called with a group when its commit has ended, however it ended."""
    _under_way: set[str] = field(default_factory=set)
    _posted: dict[str, Mapping[str, str]] = field(default_factory=dict)
    _rush: _Rush = field(default_factory=_Rush)

    def is_committing(self, group: str) -> bool:
        """Whether this process is about to bind the group: nobody else need do it."""
        return group in self._under_way

    def has_posted(self, record: GroupPlacement) -> bool:
        """Whether this process has posted every binding that the record commits: a member that is gone was bound."""
        return self._posted.get(key_of(record)) == record.status.committed

    def was_busy(self, seconds: float) -> bool:
        """Whether any group has been bound by this process within the last `seconds`."""
        return self.runtime.clock.monotonic() - self._rush.last < seconds

    def forget(self, group: str) -> None:
        """The record says itself that the group is bound, or that it is no more."""
        self._posted.pop(group, None)

    def commit(self, group: str, calls: Sequence[BindCall]) -> None:
        """Write the Committed record of a stage, then bind all its members side by side."""
        self._under_way.add(group)
        try:
            self._commit(group, calls)
        finally:
            self._under_way.discard(group)
            self.finished(group)

    def _commit(self, group: str, calls: Sequence[BindCall]) -> None:
        try:
            record = self._write_committed(group, calls)
        except (Refusal, ApiError, LostLease) as error:
            _refuse(group, calls, str(error))
            if isinstance(error, Misplaced):
                self.note_failure(group, str(error))
            return
        except Exception:  # every call is answered, whatever happens
            log.exception("commit failed group=%s", group)
            _refuse(group, calls, "the commit failed; see the extender's log")
            return
        parts = [calls[start : start + IN_A_ROW] for start in range(0, len(calls), IN_A_ROW)]
        if not any(self.runtime.gather([partial(self._bind_all, part) for part in parts])):
            self._posted[group] = record.status.committed
        self._rush.last = self.runtime.clock.monotonic()

    def _bind_all(self, calls: Sequence[BindCall]) -> None:
        """Bind members one after another; raises the first failure once all were tried."""
        failures: list[Exception] = []
        for call in calls:
            try:
                self.bind_one(call)
            except (ApiError, LostLease) as error:
                failures.append(error)
        if failures:
            raise failures[0]

    def bind_one(self, call: BindCall) -> None:
        """Post the binding of a committed member and answer its call. Raises what the API server refused it with."""
        args = call.args
        try:
            self.bind_pod(args.pod_namespace, args.pod_name, args.pod_uid, args.node)
        except (ApiError, LostLease) as error:
            call.refuse(f"lws-sched: binding {args.pod_name} to {args.node} failed: {error}")
            raise
        call.confirm()

    def bind_pod(self, namespace: str, name: str, uid: str, node: str) -> None:
        """Bind a committed member; one that already stands on its node is a success."""
        self.runtime.epoch()
        try:
            self.runtime.cluster.bind(namespace, name, uid, node)
        except Conflict:
            pod = self.runtime.cluster.get(POD, namespace, name)
            if pod.metadata.uid != uid or pod.spec.node_name != node:
                raise

    def note_failure(self, group: str, reason: str) -> None:
        """Count a failed barrier in the record; `life` gives the place up after some."""
        record = self.records.get(group)
        if record is None or record.status.state not in (api.RESERVED, api.COMMITTED):
            return
        try:
            self.records.write(records.barrier_failed(record, reason, self._stamp()))
        except (ApiError, LostLease) as error:
            log.info("failed barrier not noted group=%s reason=%s", group, error)

    def _write_committed(self, group: str, calls: Sequence[BindCall]) -> GroupPlacement:
        uids = {call.args.pod_name: call.args.pod_uid for call in calls}
        for call in calls:
            self._check_member(call)
        for _ in range(2):
            record = self.records.get(group)
            if record is None or not _may_commit(record, uids):
                raise Refusal("its reservation was given up")
            self._check_stage(record, calls)
            try:
                return self.records.write(records.committed(record, uids, self._stamp()))
            except Conflict:
                continue
        raise Refusal("its record kept changing")

    def _check_stage(self, record: GroupPlacement, calls: Sequence[BindCall]) -> None:
        """Raise Refusal unless the record to be committed still gives these members, and no others, these nodes: it may
        have been written anew while the calls were held."""
        slots = {names.member_name(record.metadata.name, index): node for index, node in enumerate(record.status.slots)}
        if any(slots.get(call.args.pod_name) != call.args.node for call in calls):
            raise Refusal("it was given other slots meanwhile")
        self._check_nodes(record, calls)
        leader = self.pods.get(record.metadata.namespace, record.metadata.name)
        arrived = frozenset(call.args.pod_name for call in calls)
        if expected_members(record, leader, calls[0].args.pod_name) != arrived:
            raise Refusal("its stage has changed meanwhile")

    def _check_nodes(self, record: GroupPlacement, calls: Sequence[BindCall]) -> None:
        """Raise Refusal unless the nodes still are what they were when the slots were found."""
        domain = records.required_domain(record)
        lost = [call.args.node for call in calls if not self.ledger.is_healthy(call.args.node, domain)]
        if lost:
            raise Refusal(f"node {lost[0]} was lost, cordoned or relabelled meanwhile")
        full = [call.args.node for call in calls if self.ledger.is_overfull(call.args.node)]
        if full:
            raise Refusal(f"others have taken what it needs on node {full[0]} meanwhile")
        intruder = self.ledger.intruder(record) if record.status.state in (api.RESERVED, api.COMMITTED) else None
        if intruder is not None:
            node, other = intruder
            raise Misplaced(f"node {node}, relabelled meanwhile, shares an exclusive domain with group {other}")

    def _check_member(self, call: BindCall) -> None:
        """Raise Refusal unless the pod of a held call still is what kube-scheduler saw.

        A lagging copy is read anew, and taken in: whoever looks at the group must not think that a member which is
        about to be bound is not there, or is behind its gate, where kube-scheduler would not have come with it.
        """
        args = call.args
        if not call.is_alive():
            raise Refusal(f"the scheduler gave up on {args.pod_name}")
        pod = self.pods.get(args.pod_namespace, args.pod_name)
        if pod is None or pod.metadata.uid != args.pod_uid or is_gated(pod):
            try:
                pod = self.runtime.cluster.get(POD, args.pod_namespace, args.pod_name)
            except NotFound:
                raise Refusal(f"{args.pod_name} is gone") from None
            self.pods.learn(pod)
        if pod.metadata.uid != args.pod_uid or pod.metadata.deletion_timestamp:
            raise Refusal(f"{args.pod_name} was deleted")
        if not is_member(pod):
            raise Refusal(f"{args.pod_name} is no member of the group")

    def _stamp(self) -> Stamp:
        return Stamp(self.runtime.epoch(), self.runtime.clock.now())


def _refuse(group: str, calls: Sequence[BindCall], reason: str) -> None:
    for call in calls:
        call.refuse(f"lws-sched: nothing of group {group} was bound: {reason}")
    log.info("commit refused group=%s reason=%s", group, reason)


def _may_commit(record: GroupPlacement, uids: Mapping[str, str]) -> bool:
    """Sticky slots may be committed too, by a leader that is not the one that left them."""
    if record.status.state == api.STICKY:
        return uids.get(record.metadata.name, record.status.leader_uid) != record.status.leader_uid
    return record.status.state in (api.RESERVED, api.COMMITTED, api.BOUND)
