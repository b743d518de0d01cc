"""Answers to kube-scheduler: `filter`, `bind` and `preempt`.

`filter` is a pure look-up in the published ledger: a member passes only on its own slot; any other pod that wants a
managed resource loses the nodes where held slots leave too little for it. It is in the scheduler's serial cycle, so it
takes no lock and computes nothing that the ledger has not already.

`bind` runs beside the cycle and may take its time. A member's call is held at the barrier until its whole stage has
arrived, then `Committer` takes over; after HOLD_SECONDS without all of them, every held call is refused and nothing is
bound. Another pod is bound through, after one last look, under the ledger's lock, that it does not cut into a slot.

`preempt` (`preemption`) keeps other profiles from evicting a part of a group.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass

from lws_sched.api import placement as api
from lws_sched.api.core import POD, Pod
from lws_sched.api.extender import (
    BindingArgs,
    BindingResult,
    ExtenderArgs,
    FilterResult,
    PreemptionArgs,
    PreemptionResult,
)
from lws_sched.api.meta import key_of
from lws_sched.api.placement import GroupPlacement
from lws_sched.extender.barrier import Barrier, BindCall
from lws_sched.extender.commit import Committer
from lws_sched.extender.ledger import Ledger, Slot
from lws_sched.extender.preemption import spared
from lws_sched.extender.records import RecordStore
from lws_sched.extender.stages import expected_members, is_member
from lws_sched.kube.errors import ApiError, LostLease, Unavailable
from lws_sched.kube.port import Informer, Runtime
from lws_sched.placement import pod_requests

log = logging.getLogger(__name__)

HOLD_SECONDS = 12.0
"""How long a member's bind call waits for the others; kube-scheduler gives up after 15 s (`httpTimeout`).

Long, because holding is free and coming back is not: a refused call returns after a back-off that doubles, so members
that were created seconds apart would keep missing each other.
"""


@dataclass(frozen=True)
class Verbs:
    """The verbs. kube-scheduler calls `filter` and `preempt` one at a time, `bind` from many threads at once."""

    runtime: Runtime
    ledger: Ledger
    records: RecordStore
    pods: Informer[Pod]
    barrier: Barrier
    committer: Committer

    def filter(self, args: ExtenderArgs) -> FilterResult:
        if args.node_names is None:
            return FilterResult(error="lws-sched: no node names came; set nodeCacheCapable: true for this extender")
        try:
            self.runtime.epoch()
        except LostLease:
            # An error is tried again by itself. A refusal would wait for an event, and may wait for minutes.
            return FilterResult(error="lws-sched: this replica does not lead, or does not know the cluster yet")
        offered = args.node_names
        slot = self.ledger.slot(key_of(args.pod))
        if is_member(args.pod):
            return _member_filter(args.pod, slot, offered)
        short = self.ledger.short_of(pod_requests(args.pod.spec), offered)
        if not short:
            return FilterResult(node_names=offered)
        failed = {node: f"lws-sched: {lacking} is reserved for a group" for node, lacking in short.items()}
        return FilterResult(node_names=tuple(node for node in offered if node not in failed), failed_nodes=failed)

    def preempt(self, args: PreemptionArgs) -> PreemptionResult:
        """The nodes of kube-scheduler's choice on which its victims may go; none on the word of a process that does not
        lead."""
        try:
            self.runtime.epoch()
        except LostLease:
            return PreemptionResult()
        return spared(self.pods, self.ledger, args)

    def bind(self, args: BindingArgs, respond: Callable[[BindingResult], None], is_alive: Callable[[], bool]) -> None:
        """Answer through `respond`, from any thread, once."""
        call = BindCall(args, respond, is_alive)
        slot = self.ledger.slot(f"{args.pod_namespace}/{args.pod_name}")
        known = self.pods.get(args.pod_namespace, args.pod_name)
        if slot is None or (known is not None and not is_member(known)):
            self.runtime.submit(lambda: self._bind_other(call))
            return
        record = self.records.get(slot.group)
        refusal = _refusal(record, slot, args)
        if refusal or record is None:
            call.refuse(refusal)
        elif record.status.committed.get(args.pod_name) == args.pod_uid:
            self.runtime.submit(lambda: self.committer.bind_one(call))
        else:
            self._hold(record, call)

    def member_left(self, group: str, pod_name: str) -> None:
        """A member was deleted: if its call is held, the stage cannot complete."""
        if self.barrier.holds(group, pod_name):
            reason = f"member {pod_name} was deleted while the group was binding"
            self._refuse_all(group, None, reason, is_failure=False)

    def refuse_everything(self, reason: str) -> None:
        """This process no longer leads: nothing may be bound from here."""
        for call in self.barrier.drain():
            call.refuse(reason)

    def _hold(self, record: GroupPlacement, call: BindCall) -> None:
        group = key_of(record)
        leader = self.pods.get(record.metadata.namespace, record.metadata.name)
        arrival = self.barrier.arrive(group, expected_members(record, leader, call.args.pod_name), call)
        for surplus in arrival.surplus:
            surplus.refuse(f"lws-sched: the members of group {group} that are bound together have changed; try again")
        if arrival.full:
            self.runtime.submit(lambda: self.committer.commit(group, arrival.full))
        elif arrival.opened:
            self.runtime.call_later(HOLD_SECONDS, lambda: self._expire(group, arrival.serial))

    def _expire(self, group: str, serial: int) -> None:
        missing = self.barrier.missing(group)
        if not missing:
            return
        namespace, _, _ = group.partition("/")
        uncreated = [name for name in missing if self.pods.get(namespace, name) is None]
        late, what = (uncreated, "has not been created") if uncreated else (missing, "did not arrive")
        more = f" and {len(late) - 1} more" if len(late) > 1 else ""
        # Members that do not exist say nothing against the slots: that is no failure of the placement.
        reason = f"member {late[0]}{more} {what} within {HOLD_SECONDS:g} s"
        self._refuse_all(group, serial, reason, is_failure=not uncreated)

    def _refuse_all(self, group: str, serial: int | None, reason: str, *, is_failure: bool = True) -> None:
        calls = self.barrier.release(group, serial)
        if not calls:
            return
        for call in calls:
            call.refuse(f"lws-sched: nothing of group {group} was bound: {reason}")
        log.info("barrier released group=%s held=%d reason=%s", group, len(calls), reason)
        if is_failure:
            self.runtime.submit(lambda: self.committer.note_failure(group, reason))

    def _bind_other(self, call: BindCall) -> None:
        """Bind a pod that is no member, unless it would take what a group holds."""
        args = call.args
        try:
            self.runtime.epoch()
            pod = self._pod(args)
            if is_member(pod):
                call.refuse(f"lws-sched: {args.pod_name} has no slot: its group is not placed yet")
                return
            lacking = self.ledger.try_charge(args.pod_uid, args.node, pod_requests(pod.spec))
            if lacking:
                call.refuse(f"lws-sched: {lacking} of node {args.node} is reserved for a group")
                return
            self._bind_charged(call)
        except (ApiError, LostLease) as error:
            call.refuse(f"lws-sched: binding {args.pod_name} failed: {error}")
        except Exception:  # every call is answered, whatever happens
            log.exception("bind failed pod=%s/%s", args.pod_namespace, args.pod_name)
            call.refuse("lws-sched: the binding failed; see the extender's log")

    def _bind_charged(self, call: BindCall) -> None:
        args = call.args
        try:
            self.runtime.cluster.bind(args.pod_namespace, args.pod_name, args.pod_uid, args.node)
        except Unavailable:
            raise  # it may stand there all the same: its room stays taken until the pod itself says more
        except BaseException:
            self.ledger.uncharge(args.pod_uid)
            raise
        call.confirm()

    def _pod(self, args: BindingArgs) -> Pod:
        known = self.pods.get(args.pod_namespace, args.pod_name)
        if known is not None and known.metadata.uid == args.pod_uid:
            return known
        return self.runtime.cluster.get(POD, args.pod_namespace, args.pod_name)


def _member_filter(pod: Pod, slot: Slot | None, offered: tuple[str, ...]) -> FilterResult:
    if slot is None or not slot.open:
        reason = f"lws-sched: {pod.metadata.name} has no slot: its group is not placed yet"
        return FilterResult(failed_and_unresolvable_nodes=dict.fromkeys(offered[:1], reason))
    if slot.node in offered:
        return FilterResult(node_names=(slot.node,))
    reason = f"lws-sched: the slot of {pod.metadata.name} is on node {slot.node}"
    return FilterResult(failed_and_unresolvable_nodes=dict.fromkeys(offered[:1], reason))


def _refusal(record: GroupPlacement | None, slot: Slot, args: BindingArgs) -> str:
    """Why a member may not be bound where kube-scheduler wants it, or ""."""
    if record is None or not slot.open or record.status.state == api.WAITING:
        return f"lws-sched: group {slot.group} is being planned anew; {args.pod_name} must wait"
    if slot.node != args.node:
        return f"lws-sched: the slot of {args.pod_name} is on node {slot.node}, not {args.node}"
    if slot.index or record.status.state == api.RESERVED:
        return ""
    is_known = args.pod_uid == record.status.leader_uid
    if is_known == (record.status.state == api.STICKY):
        return f"lws-sched: group {slot.group} still belongs to another leader; {args.pod_name} must wait"
    return ""
