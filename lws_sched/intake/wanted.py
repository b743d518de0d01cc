"""Which groups a LeaderWorkerSet needs places for, before any of their pods exists.

Pure: a LeaderWorkerSet, the size of its leader StatefulSet and the shapes that admission gives its members go in; one
`WantedGroup` per group comes out. The leader StatefulSet is asked too because surge groups, and groups that a
scale-down has not reached yet, exist beyond `spec.replicas`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from lws_sched.api import lws as lwsapi
from lws_sched.api import names
from lws_sched.api.core import Pod
from lws_sched.api.lws import LeaderWorkerSet
from lws_sched.core import rollout
from lws_sched.core.desired import scheduler_of
from lws_sched.placement import GroupRequest, PodShape
from lws_sched.placement.request import LEADER_WORKER

GKE_SLICE = "cloud.google.com/gke-nodepool"
GKE_TPU_TOPOLOGY = "cloud.google.com/gke-tpu-topology"


@dataclass(frozen=True)
class Ask:
    """Where a LeaderWorkerSet wants its groups: label keys or level names, as the user wrote them."""

    required: str = ""
    exclusive: str = ""
    preferred: tuple[str, ...] = ()
    subgroup_size: int = 0
    """Workers of one subgroup; 0 where groups have none."""
    subgroup_policy: str = LEADER_WORKER
    subgroup_required: str = ""
    subgroup_exclusive: str = ""
    spread: str = ""
    box: tuple[int, ...] = ()
    """Sides, in hosts, of the box that a group is to stand on."""


@dataclass(frozen=True)
class MemberShapes:
    """What the pods of one revision are, as admission makes them."""

    leader: PodShape
    worker: PodShape
    priority: int = 0
    preempts: bool = True
    """Whether others may be evicted for the group: not with preemptionPolicy Never."""


UNKNOWN_SHAPES = MemberShapes(PodShape(), PodShape())


@dataclass(frozen=True)
class WantedGroup:
    """One group that should have a place."""

    namespace: str
    set_name: str
    set_uid: str
    index: int
    size: int
    revision: str
    ask: Ask
    leader_first: bool
    created: str
    must_stay_available: bool = False
    """A surge group of an update that may take no other group down first (maxUnavailable 0)."""
    is_queued: bool = False
    """Somebody else decides when its pods may start: it is planned from them once only our gate holds them back."""
    is_of_pods: bool = False
    """No LeaderWorkerSet asks for it, but pods that carry a group's labels; `set_uid` is the leader's UID."""
    shapes: MemberShapes = UNKNOWN_SHAPES
    """Filled in when a place is looked for: admission has to be asked for them."""

    @property
    def leader_name(self) -> str:
        return names.leader_name(self.set_name, self.index)

    @property
    def key(self) -> str:
        return f"{self.namespace}/{self.leader_name}"

    def request(
        self, *, created: str | None = None, stay: tuple[str, ...] = (), avoid: frozenset[str] = frozenset()
    ) -> GroupRequest:
        """What the placement engine is asked: `stay` are nodes by worker index; `created` says whose turn it is,
        where that is not when the set was created."""
        return GroupRequest(
            key=self.key,
            size=self.size,
            worker=self.shapes.worker,
            leader=self.shapes.leader,
            required=self.ask.required,
            exclusive=self.ask.exclusive,
            preferred=self.ask.preferred,
            priority=self.shapes.priority,
            created=self.created if created is None else created,
            stay=stay,
            avoid=avoid,
            subgroup_size=self.ask.subgroup_size,
            subgroup_policy=self.ask.subgroup_policy,
            subgroup_required=self.ask.subgroup_required,
            subgroup_exclusive=self.ask.subgroup_exclusive,
            spread=self.ask.spread,
            box=self.ask.box,
        )


def is_ours(lws: LeaderWorkerSet) -> bool:
    """Whether any pod of the set asks for our profile."""
    template = lws.spec.leader_worker_template
    return any(
        scheduler_of(each) == names.SCHEDULER for each in (template.actual_leader_template, template.worker_template)
    )


def ask_of(lws: LeaderWorkerSet) -> Ask:
    """The topology asked for. The LeaderWorkerSet's annotation wins over the leader template's, that over the worker's.

    Pods that select a TPU topology and say nothing else stay in one slice: chips of two slices are not connected.
    """
    preferred = _annotation(lws, names.PREFERRED_TOPOLOGY)
    policy = lws.spec.leader_worker_template.sub_group_policy
    return Ask(
        required=_annotation(lws, names.REQUIRED_TOPOLOGY) or _tpu_slice(lws),
        exclusive=_annotation(lws, names.EXCLUSIVE_TOPOLOGY),
        preferred=tuple(level.strip() for level in preferred.split(",") if level.strip()),
        subgroup_size=(policy.sub_group_size or 0) if policy else 0,
        subgroup_policy=policy.sub_group_policy_type if policy else LEADER_WORKER,
        subgroup_required=_annotation(lws, names.SUBGROUP_REQUIRED_TOPOLOGY),
        subgroup_exclusive=_annotation(lws, names.SUBGROUP_EXCLUSIVE_TOPOLOGY),
        spread=_annotation(lws, names.SPREAD_TOPOLOGY),
        box=names.sides_of(_annotation(lws, names.TORUS)),
    )


def unsupported(lws: LeaderWorkerSet) -> str:
    """One sentence on what this version cannot place, or "" where it can place all that is asked."""
    template = lws.spec.leader_worker_template
    templates = (template.actual_leader_template, template.worker_template)
    if any(scheduler_of(each) != names.SCHEDULER for each in templates):
        return (
            f"leaders and workers of {lws.metadata.name} have different schedulers, so no group can be placed whole: "
            f"set schedulerName: {names.SCHEDULER} in both templates, or in neither"
        )
    for each in templates:
        if each.get("spec", {}).get("resourceClaims"):
            return (
                f"{lws.metadata.name} uses resource claims (spec.resourceClaims), which lws-sched cannot place: "
                "ask for devices as extended resources, or use another schedulerName"
            )
    return ""


def is_queued(lws: LeaderWorkerSet) -> bool:
    """Whether a queue admits the set's pods, by its label or by a scheduling gate that the templates carry."""
    template = lws.spec.leader_worker_template
    templates = (template.actual_leader_template, template.worker_template)
    labels = [lws.metadata.labels, *((each.get("metadata") or {}).get("labels") or {} for each in templates)]
    gates = [gate.get("name") for each in templates for gate in each.get("spec", {}).get("schedulingGates") or ()]
    return any(names.QUEUE in each for each in labels) or any(gate != names.GATE for gate in gates)


def group_count(lws: LeaderWorkerSet, leader_replicas: int | None) -> int:
    """How many groups exist or are about to; `leader_replicas` is the leader StatefulSet's, None where it has none."""
    return max(lws.spec.replicas, leader_replicas or 0)


@dataclass(frozen=True)
class SetReading:
    """What a LeaderWorkerSet says of all its groups, each thing worked out once: that looks through its annotations and
    both templates, and is asked at every look at each of its groups."""

    lws: LeaderWorkerSet

    @cached_property
    def is_ours(self) -> bool:
        return is_ours(self.lws)

    @cached_property
    def unsupported(self) -> str:
        return unsupported(self.lws)

    @cached_property
    def is_queued(self) -> bool:
        return is_queued(self.lws)

    @cached_property
    def ask(self) -> Ask:
        return ask_of(self.lws)

    def group(self, index: int, *, revision: str, size: int) -> WantedGroup:
        lws = self.lws
        return WantedGroup(
            namespace=lws.metadata.namespace,
            set_name=lws.metadata.name,
            set_uid=lws.metadata.uid,
            index=index,
            size=size,
            revision=revision,
            ask=self.ask,
            leader_first=lws.spec.startup_policy == lwsapi.LEADER_READY,
            created=lws.metadata.creation_timestamp,
            must_stay_available=index >= lws.spec.replicas and rollout.budget(lws).unavailable == 0,
            is_queued=self.is_queued,
        )


def group_of_pods(set_name: str, index: int, leader: Pod, size: int) -> WantedGroup:
    """The group that plain pods make up by their labels: what is asked, its leader's annotations say."""
    annotations = leader.metadata.annotations
    preferred = annotations.get(names.PREFERRED_TOPOLOGY, "")
    return WantedGroup(
        namespace=leader.metadata.namespace,
        set_name=set_name,
        set_uid=leader.metadata.uid,
        index=index,
        size=size,
        revision=leader.metadata.labels.get(names.REVISION, ""),
        ask=Ask(
            required=annotations.get(names.REQUIRED_TOPOLOGY, "").strip(),
            exclusive=annotations.get(names.EXCLUSIVE_TOPOLOGY, "").strip(),
            preferred=tuple(level.strip() for level in preferred.split(",") if level.strip()),
            box=names.sides_of(annotations.get(names.TORUS, "").strip()),
        ),
        leader_first=False,
        created=leader.metadata.creation_timestamp,
        is_queued=True,
        is_of_pods=True,
    )


def _annotation(lws: LeaderWorkerSet, key: str) -> str:
    template = lws.spec.leader_worker_template
    sources = [lws.metadata.annotations]
    sources += [
        (each.get("metadata") or {}).get("annotations") or {}
        for each in (template.actual_leader_template, template.worker_template)
    ]
    return next((source[key].strip() for source in sources if source.get(key, "").strip()), "")


def _tpu_slice(lws: LeaderWorkerSet) -> str:
    spec = lws.spec.leader_worker_template.worker_template.get("spec", {})
    return GKE_SLICE if GKE_TPU_TOPOLOGY in (spec.get("nodeSelector") or {}) else ""
