"""What every node still has to give: bound pods and held slots, kept up to date one event at a time.

The ledger is derived from nodes, pods and records, in that it holds nothing a restart would lose. A slot is charged
until the member of that name is bound to that node; from then on the pod itself is. Two kinds of reader share it:

- the planner takes snapshots, under the lock;
- `filter` reads `slot` and `headroom` without it: each entry is an immutable value that is swapped whole, so a reader
  sees the entry before a change or after it, never in between.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from lws_sched.api import placement as api
from lws_sched.api.core import DaemonSet, Node, Pod
from lws_sched.api.meta import key_of
from lws_sched.api.placement import GroupPlacement
from lws_sched.api.quantity import Resources
from lws_sched.api.topology import Topology
from lws_sched.extender.charges import Charges, claim_of
from lws_sched.extender.daemons import DaemonPods
from lws_sched.intake.cluster import levels_of
from lws_sched.intake.standing import Held, exclusions_of, held_slots, node_state, standing_node, tenant_of
from lws_sched.kube.port import Change
from lws_sched.placement import LEVELS, Fleet, NodeState, Snapshot, intruder, pod_requests


@dataclass(frozen=True)
class Slot:
    """One member's place, as the verbs and the pod hook read it."""

    group: str
    index: int
    node: str
    open: bool
    """Whether members may use it: not while its group is being aborted."""


class Ledger:
    """Free capacity of all nodes, and who holds what of it."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self._fleet = Fleet()
        self._charges = Charges(self._fleet)
        self._nodes: dict[str, NodeState] = {}
        self._daemons = DaemonPods(self._charges)
        self._bound_on: dict[str, tuple[str, str]] = {}
        """Node and UID of every pod that stands somewhere, by its key."""
        self._held: dict[str, tuple[Held, ...]] = {}
        self._charged: dict[str, str] = {}
        self._held_on: Counter[str] = Counter()
        self._slots: dict[str, Slot] = {}
        self._headroom: dict[str, Resources] = {}

    # --- events ------------------------------------------------------------------------------------------------------

    def node_changed(self, change: Change[Node]) -> bool:
        """Take in a node event; True where it changes what can be placed (not a mere heartbeat)."""
        before = node_state(change.old) if change.old else None
        after = node_state(change.new) if change.new else None
        if before == after:
            return False
        with self.lock:
            name = change.latest.metadata.name
            if after is None:
                self._fleet.remove_node(name)
                self._nodes.pop(name, None)
                self._daemons.forget_node(name)
            else:
                self._fleet.set_node(self._daemons.offered(after))
                self._nodes[name] = after
            self._republish(name)
        return True

    def topologies_changed(self, topologies: Iterable[Topology]) -> None:
        """Read the nodes' labels by the levels of these from now on; by the well-known ones where they name none."""
        with self.lock:
            self._fleet.set_levels(levels_of(topologies) or LEVELS)

    def daemon_set_changed(self, change: Change[DaemonSet]) -> bool:
        """Take in a DaemonSet event; True where it changes what can be placed."""
        if change.old is not None and change.new is not None and _is_same_set(change.old, change.new):
            return False
        with self.lock:
            if not self._daemons.set_changed(change.old, change.new):
                return False
            for name, node in self._nodes.items():
                self._fleet.set_node(self._daemons.offered(node))
                self._republish(name)
        return True

    def pod_changed(self, change: Change[Pod]) -> bool:
        """Take in a pod event; True where it freed room."""
        before, after = standing_node(change.old), standing_node(change.new)
        same = change.old is not None and change.new is not None and _uid(change.old) == _uid(change.new)
        if before == after and same:
            return False
        with self.lock:
            if before and change.old is not None and not (same and after):
                self._release_pod(change.old, before)
            if after and change.new is not None:
                self._charge_pod(change.new, after)
            if change.new is None and change.old is not None and not before:
                # Charged when its binding was tried, and never seen to stand anywhere.
                before = self._charges.release(f"pod:{_uid(change.old)}")
                self._republish(before)
        return bool(before) and before != after

    def record_changed(self, change: Change[GroupPlacement]) -> bool:
        """Take in a record event; True where it gave slots or claims back."""
        key = key_of(change.latest)
        with self.lock:
            before = self._held.get(key, ())
            self.hold(key, change.new)
            gave_up_claim = (
                change.old is not None and claim_of(change.old) and not (change.new and claim_of(change.new))
            )
            return bool(before and before != self._held.get(key, ())) or bool(gave_up_claim)

    def keep_for(self, record: GroupPlacement, is_gone: Callable[[str, str], bool]) -> list[tuple[str, str]]:
        """A record is gone while committed members were not seen bound: their bindings may still land. Their room stays
        taken until each of them is seen somewhere, or gone. `is_gone` is asked by pod key and UID. Answers with the
        key and the UID of each that is waited for."""
        uids = {f"{record.metadata.namespace}/{name}": uid for name, uid in record.status.committed.items()}
        kept: list[tuple[str, str]] = []
        with self.lock:
            for each in held_slots(record):
                uid = uids.get(each.pod, "")
                if uid and self._bound_on.get(each.pod, ("", ""))[1] != uid and not is_gone(each.pod, uid):
                    self._charges.charge(f"pod:{uid}", each.node, each.requests, each.tenant)
                    self._republish(each.node)
                    kept.append((each.pod, uid))
        return kept

    def hold(self, key: str, record: GroupPlacement | None) -> None:
        """Charge what a record holds and claims in place of what its group had before. Repeating it changes nothing."""
        with self.lock:
            for node in self._charges.claim(key, claim_of(record) if record else None):
                self._republish(node)
            held = held_slots(record) if record else ()
            before = self._held.get(key, ())
            if held != before:
                self._held_on.subtract(each.node for each in before)
                self._held_on.update(each.node for each in held)
                for each in before:
                    self._uncharge(each)
                self._held[key] = held
                if not held:
                    del self._held[key]
                for each in held:
                    self._settle(each)
            self._publish_slots(key, before, held, record)

    def try_hold(self, key: str, record: GroupPlacement) -> bool:
        """`hold`, unless a slot has no room any more: a pod may have been bound since the snapshot was taken."""
        with self.lock:
            self.hold(key, record)
            claim = claim_of(record)
            return all(
                self._fleet.free(each.node).get(resource, 0) >= 0
                for each in (claim.slots if claim else self._held.get(key, ()))
                for resource, amount in {**each.requests, "pods": 1}.items()
                if amount
            )

    # --- readers -----------------------------------------------------------------------------------------------------

    def snapshot(self, excluding: Iterable[str] = ()) -> Snapshot:
        """The fleet as it would be if the given groups held and claimed nothing, and members that stand on their slots
        were gone: their successors bear the same names, so they cannot come before that."""
        keys = [*excluding]
        with self.lock:
            owners = [self._owner(each) for key in keys for each in self._held.get(key, ())]
            with self._charges.without(owners, keys) as snapshot:
                return snapshot

    def slot(self, pod: str) -> Slot | None:
        """The slot held for a pod (`namespace/name`). Lock-free."""
        return self._slots.get(pod)

    def headroom(self, node: str) -> Resources | None:
        """What a node has left beside its held slots; None where no slot is held on it. Lock-free."""
        return self._headroom.get(node)

    def short_of(self, requests: Resources, nodes: Iterable[str]) -> dict[str, str]:
        """Of these nodes, those whose held slots leave a pod too little, and the first resource, by name, that lacks.
        Lock-free. kube-scheduler asks about thousands of nodes at once, for each pod that is no member."""
        wanted, headroom = _wanted(requests), self._headroom
        short: dict[str, str] = {}
        for node in nodes:
            room = headroom.get(node)
            if room is None:
                continue
            for resource, amount in wanted:
                if amount > room.get(resource, 0):
                    short[node] = resource
                    break
        return short

    def is_healthy(self, node: str, domain: api.Domain | None = None) -> bool:
        """Whether a node takes new pods, and still is in the domain that a group was placed in. Lock-free."""
        state = self._nodes.get(node)
        if state is None or not state.schedulable:
            return False
        return domain is None or not domain.key or state.labels.get(domain.key) == domain.value

    def is_overfull(self, node: str) -> bool:
        """Whether the pods and the slots of a node on which slots are held are more than it offers: a pod that never
        came to us (it wants no managed resource, or somebody else bound it) has taken what a slot needs, the node has
        shrunk, or there is no such node any more. Lock-free."""
        return self.is_gone(node) or any(amount < 0 for amount in self._headroom.get(node, {}).values())

    def intruder(self, record: GroupPlacement) -> tuple[str, str] | None:
        """A node among a record's slots, and another group of its namespace with which it is in one domain that one of
        the two holds exclusively; None while there is none. A node that is relabelled may come into such a domain."""
        with self.lock:
            if not self._fleet.is_exclusive:
                return None
            snapshot = self._fleet.snapshot()
        return intruder(snapshot, exclusions_of(record), record.status.slots)

    def is_gone(self, node: str) -> bool:
        """Whether there is no node of that name. Lock-free."""
        return node not in self._nodes

    def try_charge(self, uid: str, node: str, requests: Resources) -> str:
        """Count a pod that is about to be bound, unless it would cut into a held slot: then the resource that lacks."""
        with self.lock:
            room = self._headroom.get(node)
            lacking = lacks(requests, room) if room is not None else ""
            if not lacking:
                self._charges.charge(f"pod:{uid}", node, requests)
                self._republish(node)
            return lacking

    def uncharge(self, uid: str) -> None:
        """Take back `try_charge`, or what was kept: the pod is bound nowhere, and will not be."""
        with self.lock:
            self._republish(self._charges.release(f"pod:{uid}"))

    # --- charging ----------------------------------------------------------------------------------------------------

    def _charge_pod(self, pod: Pod, node: str) -> None:
        self._bound_on[key_of(pod)] = (node, _uid(pod))
        if not self._daemons.pod_came(pod, node):
            self._charges.charge(f"pod:{_uid(pod)}", node, pod_requests(pod.spec), tenant_of(pod), who=key_of(pod))
        self._resettle(key_of(pod))
        self._republish(node)

    def _release_pod(self, pod: Pod, node: str) -> None:
        self._charges.release(f"pod:{_uid(pod)}")
        self._daemons.pod_went(pod, node)
        if self._bound_on.get(key_of(pod)) == (node, _uid(pod)):
            del self._bound_on[key_of(pod)]
        self._resettle(key_of(pod))
        self._republish(node)

    def _resettle(self, pod: str) -> None:
        slot = self._slots.get(pod)
        if slot is None:
            return
        for each in self._held.get(slot.group, ()):
            if each.pod == pod:
                self._settle(each)

    def _settle(self, held: Held) -> None:
        """Charge a held slot exactly while its member is not bound to its node."""
        if self._stands(held):
            self._uncharge(held)
            return
        if self._charged.get(held.pod) != held.node:
            self._uncharge(held)
            self._charged[held.pod] = held.node
        self._charges.charge(f"slot:{held.pod}", held.node, held.requests, held.tenant)
        self._republish(held.node)

    def _stands(self, held: Held) -> bool:
        return self._bound_on.get(held.pod, ("", ""))[0] == held.node

    def _owner(self, held: Held) -> str:
        """Who is charged for a held slot now."""
        return f"pod:{self._bound_on[held.pod][1]}" if self._stands(held) else f"slot:{held.pod}"

    def _uncharge(self, held: Held) -> None:
        node = self._charged.pop(held.pod, None)
        if node is not None:
            self._charges.release(f"slot:{held.pod}")
        self._republish(node or held.node)

    # --- publishing --------------------------------------------------------------------------------------------------

    def _republish(self, node: str) -> None:
        """Also where the member stands on its slot: when it goes, kube-scheduler may see that before this process."""
        if self._held_on[node] > 0 or self._charges.is_claimed(node):
            self._headroom[node] = self._left(node)
        else:
            self._headroom.pop(node, None)

    def _left(self, node: str) -> Resources:
        """What a node has left beside its pods and slots. Pods of DaemonSets that are still to come count for plans
        alone: who of them and others comes first is kube-scheduler's to say."""
        coming = self._daemons.to_come(node)
        return {each: amount + coming.get(each, 0) for each, amount in self._fleet.free(node).items()}

    def _publish_slots(
        self, key: str, before: Iterable[Held], held: Iterable[Held], record: GroupPlacement | None
    ) -> None:
        current = {each.pod for each in held}
        for each in before:
            if each.pod not in current:
                self._slots.pop(each.pod, None)
        is_open = record is not None and record.status.state != api.ABORTING
        for index, each in enumerate(held):
            self._slots[each.pod] = Slot(group=key, index=index, node=each.node, open=is_open)


def lacks(requests: Resources, room: Resources) -> str:
    """The first resource, by name, that `room` has too little of; "" where all fits. A pod takes one of `pods`."""
    return next((resource for resource, amount in _wanted(requests) if amount > room.get(resource, 0)), "")


def _wanted(requests: Resources) -> list[tuple[str, int]]:
    return sorted((resource, amount) for resource, amount in {**requests, "pods": 1}.items() if amount > 0)


def _is_same_set(old: DaemonSet, new: DaemonSet) -> bool:
    """Whether only its status changed, or its labels: that happens with each of its pods."""
    before, after = old.metadata, new.metadata
    return old.spec == new.spec and (before.uid, before.deletion_timestamp) == (after.uid, after.deletion_timestamp)


def _uid(pod: Pod) -> str:
    return pod.metadata.uid
