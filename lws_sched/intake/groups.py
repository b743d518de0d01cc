"""Groups as a user asks about them: where each is, how much of it runs, and why it waits. Read from a cluster's
objects."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from lws_sched.api import names
from lws_sched.api.core import Pod
from lws_sched.api.lws import LeaderWorkerSet
from lws_sched.api.meta import key_of
from lws_sched.api.placement import HOLDING, RESERVED, GroupPlacement
from lws_sched.core.group import has_ready_condition, is_gated
from lws_sched.intake.cluster import Cluster
from lws_sched.intake.standing import standing_node, tenant_of
from lws_sched.intake.wanted import is_ours, unsupported

NO_PODS = "NoPods"
PENDING = "Pending"
PARTIAL = "Partial"
BOUND = "Bound"
NO_RECORD = "there is no GroupPlacement of it, which the extender makes within a second"
SEE_EXTENDER = "see whether the extender runs: `lws-sched check`"
NO_POD = "none of its pods exists, which the controller makes within seconds"
SEE_SET = "see what stops it: `kubectl describe leaderworkerset {name}`, and `lws-sched check`"


@dataclass(frozen=True)
class Member:
    """One member that should be, by worker index."""

    pod: str
    slot: str = ""
    """The node that its group's record gives it."""
    node: str = ""
    """The node that it is bound to."""
    ready: bool = False
    restarts: int = 0
    state: str = "Missing"
    """The pod's phase; `Missing`, `Gated`, `Deleting` where that says more."""
    message: str = ""
    """What the scheduler or the kubelet says of a pod that does not run."""


@dataclass(frozen=True)
class Group:
    """One group of a LeaderWorkerSet."""

    namespace: str
    set_name: str
    index: int
    state: str
    """Its record's state; of a group without a record `NoPods`, `Pending`, `Partial` or `Bound`, by its pods."""
    members: tuple[Member, ...]
    revision: str = ""
    level: str = ""
    domain: str = ""
    reason: str = ""
    fix: str = ""
    proof: str = ""
    since: str = ""

    @property
    def name(self) -> str:
        return names.leader_name(self.set_name, self.index)

    @property
    def key(self) -> str:
        return f"{self.namespace}/{self.name}"

    @property
    def size(self) -> int:
        return len(self.members)

    @property
    def ready(self) -> int:
        return sum(member.ready for member in self.members)

    @property
    def bound(self) -> int:
        return sum(bool(member.node) for member in self.members)

    @property
    def restarts(self) -> int:
        """Restarts of containers, all members together."""
        return sum(member.restarts for member in self.members)

    @property
    def nodes(self) -> tuple[str, ...]:
        return tuple(member.node or member.slot for member in self.members)


def groups_of(cluster: Cluster, lws: LeaderWorkerSet) -> tuple[Group, ...]:
    """The set's groups by index: those that it wants, and those beyond that still have pods or a record."""
    prefix = f"{lws.metadata.namespace}/{lws.metadata.name}-"
    known = {
        int(index)
        for key in (*cluster.record_of, *cluster.pods_of)
        if key.startswith(prefix) and (index := key.removeprefix(prefix)).isdigit()
    }
    return tuple(_group(cluster, lws, index) for index in sorted(known | {*range(lws.spec.replicas)}))


def all_groups(cluster: Cluster, namespace: str = "") -> Iterator[tuple[LeaderWorkerSet, tuple[Group, ...]]]:
    """Each set of a namespace (or of all) with its groups, by namespace and name."""
    for lws in sorted(cluster.sets, key=key_of):
        if namespace in ("", lws.metadata.namespace):
            yield lws, groups_of(cluster, lws)


def _group(cluster: Cluster, lws: LeaderWorkerSet, index: int) -> Group:
    meta, size = lws.metadata, lws.spec.leader_worker_template.size
    key = f"{meta.namespace}/{names.leader_name(meta.name, index)}"
    record, pods = cluster.record_of.get(key), cluster.pods_of.get(key, {}).values()
    group = group_of(meta.namespace, meta.name, index, record=record, pods=pods, size=size)
    if record is None and group.state != BOUND and is_ours(lws) and not unsupported(lws):
        return replace(group, reason=NO_RECORD, fix=SEE_EXTENDER)
    if group.state == RESERVED and not pods and not group.reason:
        return replace(group, reason=NO_POD, fix=SEE_SET.format(name=meta.name))
    return group


def group_of(
    namespace: str, set_name: str, index: int, *, record: GroupPlacement | None, pods: Iterable[Pod], size: int
) -> Group:
    """One group, from its record and its pods; `size` is what its set says, 0 where there is no such set."""
    pods = tuple(pods)
    leader = names.leader_name(set_name, index)
    by_name = {pod.metadata.name: pod for pod in pods}
    slots = record.status.slots if record is not None else ()
    members = tuple(
        _member(names.member_name(leader, number), by_name, slots[number] if number < len(slots) else "")
        for number in range(max(len(slots), size) or _size(record, pods))
    )
    status = record.status if record is not None else None
    return Group(
        namespace=namespace,
        set_name=set_name,
        index=index,
        state=status.state if status is not None else _state(members),
        members=members,
        revision=_revision(record, pods),
        level=status.domain.key if status and status.domain and status.state in HOLDING else "",
        domain=status.domain.value if status and status.domain and status.state in HOLDING else "",
        reason=status.reason if status else "",
        fix=status.fix if status else "",
        proof=status.proof if status else "",
        since=status.since if status else "",
    )


def _size(record: GroupPlacement | None, pods: Iterable[Pod]) -> int:
    """How many members a group of no known set has: its record says, or its pods do."""
    said = [size for pod in pods if (size := pod.metadata.annotations.get(names.SIZE, "")).isdigit()]
    return max([record.spec.size if record is not None else 0, *map(int, said), 1])


def _state(members: Iterable[Member]) -> str:
    bound = [bool(member.node) for member in members]
    if all(bound):
        return BOUND
    if any(bound):
        return PARTIAL
    return PENDING if any(member.state != "Missing" for member in members) else NO_PODS


def _revision(record: GroupPlacement | None, pods: Iterable[Pod]) -> str:
    found = [pod.metadata.labels.get(names.REVISION, "") for pod in pods]
    return next((each for each in found if each), record.spec.revision if record is not None else "")


def _member(name: str, pods: dict[str, Pod], slot: str) -> Member:
    pod = pods.get(name)
    if pod is None:
        return Member(pod=name, slot=slot)
    return Member(
        pod=name,
        slot=slot,
        node=standing_node(pod),
        ready=has_ready_condition(pod),
        restarts=sum(each.restart_count for each in pod.status.container_statuses),
        state=_pod_state(pod),
        message=_message(pod),
    )


def _pod_state(pod: Pod) -> str:
    if pod.metadata.deletion_timestamp:
        return "Deleting"
    if is_gated(pod):
        return "Gated"
    return pod.status.phase or "Pending"


def _message(pod: Pod) -> str:
    """Why it is not where it should be: of the conditions that are not met the first one with words."""
    for kind in ("PodScheduled", "Initialized", "ContainersReady", "Ready"):
        for condition in pod.status.conditions:
            if condition.type == kind and condition.status == "False" and condition.message:
                return condition.message
    return pod.status.message


def group_of_pod(pod: Pod) -> str:
    """The key of the group whose member a pod is; "" for a pod of no group."""
    tenant = tenant_of(pod)
    return tenant.group if tenant is not None else ""
