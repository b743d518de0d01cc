"""Whole groups and pods of lower priority that leave so that a group gets their place.

The decision is the claimant's record: Waiting, with its predecessors by name and the nodes that it claims. It is
written before anybody is touched, so that a crash at any point is made good by driving the same record again:

1. Each predecessor that is a group gets a record that says Aborting, and `life` removes it whole, through its leader; a
   pod that is in no group is deleted by UID.
2. Once nothing of a predecessor is left, it is taken off the claimant's record, and only then queues again, as any
   other group that waits. So whoever is still named has not been planned since, and has to leave.
3. The claimant is planned with its claims as first choice; it is Reserved when the last pod has left.

Members are never evicted one by one, and nobody's who asked with preemptionPolicy Never. A PodDisruptionBudget that
allows no such eviction now makes a victim the last choice, as it does for kube-scheduler.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from lws_sched.api import placement as api
from lws_sched.api.core import POD, LabelSelector, LabelSelectorRequirement, Pod, PodDisruptionBudget
from lws_sched.api.meta import key_of
from lws_sched.api.placement import GroupPlacement, Predecessor
from lws_sched.extender import records
from lws_sched.extender.notices import GroupNotices
from lws_sched.extender.observer import BY_GROUP, BY_PREDECESSOR, Observer
from lws_sched.intake.standing import held_slots, standing_node, tenant_of
from lws_sched.kube.errors import Conflict, NotFound
from lws_sched.kube.port import Informer
from lws_sched.placement import Amounts, Victim, pod_requests

log = logging.getLogger(__name__)

MIRROR = "kubernetes.io/config.mirror"
"""Annotation of static pods: deleting them changes nothing on the node."""


@dataclass(frozen=True)
class Evictions:
    observer: Observer
    budgets: Informer[PodDisruptionBudget]
    notices: GroupNotices

    # --- whom ------------------------------------------------------------------------------------------------------

    def offered(self, below: int) -> list[Victim]:
        """Everybody of a lower priority who stands or holds slots and is not on the way out, as groups where they are
        in one."""
        groups = [record for record in self._records().objects() if self._may_be_evicted(record, below)]
        known = {key_of(record) for record in self._records().objects()}
        victims = [self._group(record) for record in groups]
        strangers: dict[str, list[Pod]] = {}
        for pod in self.observer.sources.pods.objects():
            tenant = tenant_of(pod)
            key = tenant.group if tenant else key_of(pod)
            if standing_node(pod) and key not in known:
                strangers.setdefault(key, []).append(pod)
        victims += [self._pods(key, pods) for key, pods in strangers.items() if _may_go(pods, below)]
        return victims

    def uncommitted(self, below: int) -> list[Victim]:
        """Groups of a lower priority that hold slots, and of which nothing is committed."""
        return [
            self._group(record)
            for record in self._records().objects()
            if record.status.state in (api.RESERVED, api.STICKY) and self._may_be_evicted(record, below)
        ]

    def leaving(self) -> dict[str, frozenset[str]]:
        """The nodes of each group that is being taken down for others, by its key."""
        return {
            key_of(record): frozenset(held.node for held in held_slots(record))
            for record in self._records().objects()
            if record.status.state == api.ABORTING and self.claimants(key_of(record))
        }

    def named(self, victims: Iterable[str]) -> tuple[Predecessor, ...]:
        """Victims, by key, as a record names them."""
        return tuple(self._predecessor(key) for key in victims)

    def _may_be_evicted(self, record: GroupPlacement, below: int) -> bool:
        is_going = record.status.state in (api.WAITING, api.ABORTING) or self.claimants(key_of(record))
        return record.spec.priority < below and not is_going

    def _group(self, record: GroupPlacement) -> Victim:
        pods = self.observer.sources.pods.by_index(BY_GROUP, key_of(record))
        return Victim(
            key=key_of(record),
            priority=record.spec.priority,
            pods=tuple((held.node, _amounts(held.requests)) for held in held_slots(record)),
            protected=self._is_protected(pods),
            created=record.metadata.creation_timestamp,
        )

    def _pods(self, key: str, pods: list[Pod]) -> Victim:
        return Victim(
            key=key,
            priority=max(pod.spec.priority for pod in pods),
            pods=tuple((pod.spec.node_name, _amounts(pod_requests(pod.spec))) for pod in pods),
            protected=self._is_protected(pods),
            created=min(pod.metadata.creation_timestamp for pod in pods),
        )

    def _is_protected(self, pods: Iterable[Pod]) -> bool:
        """Whether some budget does not allow that all of these go now."""
        budgets = self.budgets.objects()
        hit = Counter(key_of(budget) for pod in pods for budget in budgets if budgets and _selects(budget, pod))
        return any(hit[key_of(budget)] > budget.status.disruptions_allowed for budget in budgets if hit[key_of(budget)])

    def _predecessor(self, key: str) -> Predecessor:
        namespace, _, name = key.partition("/")
        pod = self.observer.sources.pods.get(namespace, name)
        is_alone = pod is not None and tenant_of(pod) is None
        return Predecessor(namespace=namespace, name=name, uid=pod.metadata.uid if pod and is_alone else "")

    # --- how -------------------------------------------------------------------------------------------------------

    def claimants(self, key: str) -> list[GroupPlacement]:
        """Records that wait for a group or pod to leave."""
        return self._records().by_index(BY_PREDECESSOR, key)

    def remaining(self, record: GroupPlacement) -> tuple[Predecessor, ...]:
        """Those of a record's predecessors that have not left yet."""
        return tuple(each for each in record.status.predecessors if self._is_there(each))

    def drive(self, record: GroupPlacement) -> None:
        """See to it that all predecessors of a written record leave. Raises Conflict where somebody else's write came
        first."""
        why = f"evicted to make room for group {key_of(record)} of priority {record.spec.priority}"
        for each in record.status.predecessors:
            held = self.observer.records.get(f"{each.namespace}/{each.name}")
            if each.uid:
                self._delete(each.namespace, each.name, each.uid, why)
            elif held is None:
                self._delete_strangers(each, why)
            elif held.status.state not in (api.ABORTING, api.WAITING):
                self.abort(held, why)

    def abort(self, record: GroupPlacement, why: str) -> None:
        """Have `life` take a group down, whole."""
        leader = self.observer.sources.pods.get(record.metadata.namespace, record.metadata.name)
        uid = leader.metadata.uid if leader else ""
        written = self.observer.records.write(records.aborting(record, uid, why, (), self.observer.stamp()))
        log.info("group=%s state=Aborting reason=%s", key_of(record), why)
        self.notices.aborting(written)

    def left(self, key: str) -> None:
        """Nothing is left of a group: take it off the records that wait for it."""
        for record in self.claimants(key):
            others = tuple(each for each in record.status.predecessors if f"{each.namespace}/{each.name}" != key)
            self.observer.records.write(records.waiting_for_fewer(record, others, self.observer.stamp()))

    def _is_there(self, predecessor: Predecessor) -> bool:
        key = f"{predecessor.namespace}/{predecessor.name}"
        if predecessor.uid:
            pod = self.observer.sources.pods.get(predecessor.namespace, predecessor.name)
            return pod is not None and pod.metadata.uid == predecessor.uid and bool(standing_node(pod))
        return self.observer.records.get(key) is not None or bool(self._standing(key))

    def _standing(self, group: str) -> list[Pod]:
        """Pods of a group that has no record: it is not placed by us."""
        return [
            pod
            for pod in self.observer.sources.pods.objects()
            if (tenant := tenant_of(pod)) is not None and tenant.group == group and standing_node(pod)
        ]

    def _delete_strangers(self, group: Predecessor, why: str) -> None:
        for pod in self._standing(f"{group.namespace}/{group.name}"):
            self._delete(group.namespace, pod.metadata.name, pod.metadata.uid, why)

    def _delete(self, namespace: str, name: str, uid: str, why: str) -> None:
        pod = self.observer.sources.pods.get(namespace, name)
        if pod is None or pod.metadata.uid != uid or pod.metadata.deletion_timestamp:
            return
        runtime = self.observer.runtime
        runtime.recorder.event(POD, pod, type="Normal", reason="Preempted", action="Preempt", note=why)
        try:
            runtime.cluster.delete(POD, namespace, name, uid=uid)
        except (NotFound, Conflict):
            return  # it is gone

    def _records(self) -> Informer[GroupPlacement]:
        return self.observer.sources.records


def _may_go(pods: Iterable[Pod], below: int) -> bool:
    """Whether deleting these helps: all of a lower priority, nobody on the way out, nobody who is back at once."""
    return all(
        pod.spec.priority < below
        and not pod.metadata.deletion_timestamp
        and MIRROR not in pod.metadata.annotations
        and (pod.metadata.controller is None or pod.metadata.controller.kind != "DaemonSet")
        for pod in pods
    )


def _amounts(requests: Mapping[str, int]) -> Amounts:
    return tuple(sorted(requests.items()))


def _selects(budget: PodDisruptionBudget, pod: Pod) -> bool:
    return budget.metadata.namespace == pod.metadata.namespace and selects(budget.spec.selector, pod.metadata.labels)


def selects(selector: LabelSelector | None, labels: Mapping[str, str]) -> bool:
    """As Kubernetes' LabelSelector matches: no selector selects nothing, an empty one everything."""
    if selector is None:
        return False
    wanted = [
        LabelSelectorRequirement(key=key, operator="In", values=(value,))
        for key, value in selector.match_labels.items()
    ]
    return all(_holds(each, labels) for each in (*wanted, *selector.match_expressions))


def _holds(requirement: LabelSelectorRequirement, labels: Mapping[str, str]) -> bool:
    value = labels.get(requirement.key)
    match requirement.operator:
        case "In":
            return value in requirement.values
        case "NotIn":
            return value not in requirement.values
        case "Exists":
            return value is not None
    return value is None
