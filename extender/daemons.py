"""What DaemonSets take of every node, whether their pods stand there yet or not.

Kubernetes makes one pod of a DaemonSet for every node that takes its template, moments after the node or the DaemonSet
came, and makes it anew whenever it goes. So what the template asks for is no room that anybody could plan with: a
group put there meanwhile would wait for it in vain, or lose a member to it, and a group that only fits where no such
pod stands fits nowhere. Plans see a node that offers that much less. Of the pods themselves only what they take beyond
their template is charged (what admission added), and what stands on nodes that do not take the template.

Not thread-safe: the ledger calls it under its lock.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import replace

from lws_sched.api.core import DaemonSet, Pod
from lws_sched.api.quantity import Resources
from lws_sched.extender.charges import Charges
from lws_sched.placement import NodeState, PodShape, Toleration, pod_requests, shape_of
from lws_sched.placement.eligibility import takes

_STATES = ("not-ready", "unreachable", "disk-pressure", "memory-pressure", "pid-pressure", "unschedulable")
_ADDED = tuple(Toleration(key=f"node.kubernetes.io/{state}", operator="Exists") for state in _STATES)
"""What the DaemonSet controller has every pod of its own tolerate."""


class DaemonPods:
    """Which DaemonSets have, or will have, a pod on which nodes."""

    def __init__(self, charges: Charges) -> None:
        self._charges = charges
        self._shapes: dict[str, PodShape] = {}
        """Of their pods, by the UID of the DaemonSet."""
        self._taken_by: dict[str, frozenset[str]] = {}
        """UIDs of the DaemonSets that a node takes pods of, by node."""
        self._standing: defaultdict[tuple[str, str], dict[str, Resources]] = defaultdict(dict)
        """What the pods of a DaemonSet on a node ask for, by their UIDs."""

    def set_changed(self, old: DaemonSet | None, new: DaemonSet | None) -> bool:
        """Take in a DaemonSet event; True where nodes now offer something else."""
        before = self._shapes.pop(old.metadata.uid, None) if old is not None else None
        after = None
        if new is not None and not new.metadata.deletion_timestamp:
            shape = shape_of(new.spec.template.spec)
            after = self._shapes[new.metadata.uid] = replace(shape, tolerations=(*shape.tolerations, *_ADDED))
        return before != after

    def offered(self, node: NodeState) -> NodeState:
        """The node as plans may see it."""
        name = node.name
        before = self._taken_by.get(name, frozenset())
        taken = frozenset(uid for uid, shape in self._shapes.items() if takes(node, shape))
        self._taken_by[name] = taken
        for uid in sorted(before | taken):
            self._settle(uid, name)
        left = Counter(node.allocatable)
        for uid in taken:
            left.subtract(self._expected(uid))
        return replace(node, allocatable={each: max(left[each], 0) for each in node.allocatable})

    def forget_node(self, name: str) -> None:
        for uid in self._taken_by.pop(name, ()):
            self._settle(uid, name)

    def pod_came(self, pod: Pod, node: str) -> bool:
        """Whether the pod is one of a DaemonSet; then it is charged as such."""
        owner = pod.metadata.controller
        if owner is None or owner.kind != "DaemonSet":
            return False
        self._standing[owner.uid, node][pod.metadata.uid] = pod_requests(pod.spec)
        self._settle(owner.uid, node)
        return True

    def pod_went(self, pod: Pod, node: str) -> None:
        """Its charge, if it had one, is released already."""
        owner = pod.metadata.controller
        if owner is not None and self._standing[owner.uid, node].pop(pod.metadata.uid, None) is not None:
            self._settle(owner.uid, node)

    def to_come(self, node: str) -> Resources:
        """What the pods that are still to come to a node will take."""
        total = Counter[str]()
        for uid in self._taken_by.get(node, ()):
            if not self._standing[uid, node]:
                total.update(self._expected(uid))
        return total

    def _expected(self, uid: str) -> Resources:
        return {**dict(self._shapes[uid].requests), "pods": 1}

    def _settle(self, uid: str, node: str) -> None:
        """Charge the pods of a DaemonSet on a node what is not taken from the node's offer: it covers one of them."""
        covers = dict(self._shapes[uid].requests) if uid in self._taken_by.get(node, ()) else None
        for pod, requests in sorted(self._standing[uid, node].items()):
            beyond = {each: amount - (covers or {}).get(each, 0) for each, amount in requests.items()}
            beyond = {each: amount for each, amount in beyond.items() if amount > 0}
            if beyond or covers is None:
                self._charges.charge(f"pod:{pod}", node, beyond)
            else:
                self._charges.release(f"pod:{pod}")
            covers = None
