"""Transitions of a `GroupPlacement`: values in, values out.

    Waiting -> Reserved -> Committed -> Bound -> Sticky -> Reserved ...     any unbound state -> Waiting
    any state -> Aborting -> Waiting

Each function returns the next value of the record; writing it, guarded by its resourceVersion, is `RecordStore`'s work.
A record that was never written has no resourceVersion.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import msgspec
from msgspec.structs import replace

from lws_sched.api import placement as api
from lws_sched.api.core import POD
from lws_sched.api.lws import LEADER_WORKER_SET
from lws_sched.api.meta import Meta, OwnerReference
from lws_sched.api.placement import GROUP_PLACEMENT, GroupPlacement, GroupPlacementSpec, GroupPlacementStatus
from lws_sched.api.timestamps import micro_time, seconds_of
from lws_sched.intake.wanted import WantedGroup
from lws_sched.kube.errors import NotFound
from lws_sched.kube.port import Cluster, Informer
from lws_sched.placement import Eviction, Placed, PodShape, Refused

NO_POD_CAME = "no pod of the group has come within 30 s of its reservation; it is planned again when one comes"
GIVE_RIGHTS = "give lws-sched the rights of its roles again: `lws-sched check` says which are missing, and how"
HELD_BACK = "its pods are held back by a scheduling gate of somebody else's; it is planned once only ours is left"


@dataclass(frozen=True)
class Stamp:
    """Who writes and when: every transition carries it."""

    epoch: int
    now: float


def first_record(group: WantedGroup) -> GroupPlacement:
    """The record of a group that has none yet, not written."""
    kind, name = (POD, group.leader_name) if group.is_of_pods else (LEADER_WORKER_SET, group.set_name)
    owner = OwnerReference(api_version=kind.api_version, kind=kind.kind, name=name, uid=group.set_uid)
    meta = Meta(name=group.leader_name, namespace=group.namespace, owner_references=(owner,))
    return GroupPlacement(metadata=meta, spec=_spec_of(group))


def reserved(record: GroupPlacement, group: WantedGroup, placed: Placed, stamp: Stamp) -> GroupPlacement:
    """The group has a place, all of it, and no member is bound to it yet."""
    status = GroupPlacementStatus(
        state=api.RESERVED,
        domain=api.Domain(key=placed.domain_key, value=placed.domain_value),
        slots=placed.slots,
        refused=tuple(slot for slot in record.status.refused if slot.until > stamp.now),
        proof=placed.proof,
    )
    return _stamped(replace(record, spec=_spec_of(group)), status, stamp)


def returned(record: GroupPlacement, stamp: Stamp) -> GroupPlacement:
    """A new incarnation has come back to its sticky slots."""
    status = replace(record.status, state=api.RESERVED, leader_uid="", committed={}, bound=0, failed_barriers=0)
    return _stamped(record, status, stamp)


def waiting(record: GroupPlacement, refused: Refused, stamp: Stamp) -> GroupPlacement:
    """No slots are held; the record says why and what would help. A group that goes on waiting waits since then."""
    status = GroupPlacementStatus(
        state=api.WAITING,
        reason=refused.reason,
        fix=refused.fix,
        proof=refused.proof,
        refused=tuple(slot for slot in record.status.refused if slot.until > stamp.now),
    )
    waited = record.status.state == api.WAITING and bool(record.status.since)
    return _stamped(record, status, stamp, keep_since=waited)


def waiting_for(record: GroupPlacement, group: WantedGroup, refused: Refused, stamp: Stamp) -> GroupPlacement:
    """`waiting`, for what the group asks now."""
    return waiting(replace(record, spec=_spec_of(group)), refused, stamp)


def kept(record: GroupPlacement, refused: Refused, stamp: Stamp) -> GroupPlacement:
    """A group that is down and has no whole place now: it waits, and what it still has is kept for it meanwhile."""
    status = replace(
        record.status,
        state=api.STICKY,
        committed={},
        bound=0,
        reason=refused.reason,
        fix=refused.fix,
        failed_barriers=0,
    )
    return _stamped(record, status, stamp, keep_since=record.status.state == api.STICKY)


def moved(record: GroupPlacement, slots: Mapping[int, str], domain: api.Domain | None, stamp: Stamp) -> GroupPlacement:
    """Members of a bound group that lost their slots have others; everybody else stays."""
    after = tuple(slots.get(index, node) for index, node in enumerate(record.status.slots))
    refused = tuple(slot for slot in record.status.refused if slot.until > stamp.now)
    status = replace(record.status, slots=after, domain=domain, refused=refused, reason="", fix="")
    return _stamped(record, status, stamp, keep_since=True)


def member_refused(record: GroupPlacement, refused: tuple[api.RefusedSlot, ...], stamp: Stamp) -> GroupPlacement:
    """The scheduler refuses returned members of a bound group on their slots: these are not used again for a while."""
    status = replace(record.status, refused=(*record.status.refused, *refused), reason=refused[0].reason)
    return _stamped(record, status, stamp, keep_since=True)


def leaving(record: GroupPlacement, nodes: tuple[str, ...], until: float, stamp: Stamp) -> GroupPlacement:
    """The group is to leave these nodes when it is next taken down: it gets no slot there until that time. Nobody who
    stands is moved."""
    reason = f"it is to leave {nodes[0]}" + (f" and {len(nodes) - 1} more nodes" if len(nodes) > 1 else "")
    slots = tuple(api.RefusedSlot(node=node, until=until, reason=reason) for node in nodes)
    status = replace(record.status, refused=(*record.status.refused, *slots), reason=reason)
    return _stamped(record, status, stamp, keep_since=True)


def member_waiting(record: GroupPlacement, refused: Refused, stamp: Stamp) -> GroupPlacement:
    """Returned members of a bound group have no slot now; the record says why."""
    status = replace(record.status, reason=refused.reason, fix=refused.fix)
    return _stamped(record, status, stamp, keep_since=True)


def claiming(
    record: GroupPlacement,
    group: WantedGroup,
    eviction: Eviction,
    predecessors: tuple[api.Predecessor, ...],
    stamp: Stamp,
) -> GroupPlacement:
    """The group waits for those who are evicted for it, and what they leave is promised to it."""
    where = eviction.placed.domain_value or "the nodes that it gets"
    names = ", ".join(f"{each.namespace}/{each.name}" for each in predecessors[:4])
    more = f" and {len(predecessors) - 4} more" if len(predecessors) > 4 else ""
    refused = Refused(
        eviction.key, f"it waits until {names}{more}, evicted for it, have left {where}", "", eviction.proof
    )
    after = waiting_for(record, group, refused, stamp)
    domain = api.Domain(key=eviction.placed.domain_key, value=eviction.placed.domain_value)
    status = replace(after.status, predecessors=predecessors, claims=eviction.placed.slots, domain=domain)
    return replace(after, status=status)


def waiting_for_fewer(
    record: GroupPlacement, predecessors: tuple[api.Predecessor, ...], stamp: Stamp
) -> GroupPlacement:
    """Some of those it waits for are gone; what is claimed stays claimed."""
    return _stamped(record, replace(record.status, predecessors=predecessors), stamp, keep_since=True)


def given_back(record: GroupPlacement, stamp: Stamp, reason: str = NO_POD_CAME) -> GroupPlacement:
    return waiting(record, Refused(key="", reason=reason, fix="", proof=""), stamp)


def committed(record: GroupPlacement, uids: Mapping[str, str], stamp: Stamp) -> GroupPlacement:
    """From here only forward: the pods named are bound, or all members of their stage are deleted.

    A member that comes back to a bound group is committed alone, and the group stays Bound: what becomes of that member
    concerns nobody else.
    """
    leader = record.metadata.name
    status = replace(
        record.status,
        state=api.BOUND if record.status.state == api.BOUND else api.COMMITTED,
        committed={**record.status.committed, **uids},
        leader_uid=uids.get(leader, record.status.leader_uid),
        failed_barriers=0,
        reason="",
        fix="",
    )
    return _stamped(record, status, stamp)


def bound(record: GroupPlacement, stamp: Stamp) -> GroupPlacement:
    status = replace(record.status, state=api.BOUND, bound=record.spec.size, reason="", fix="")
    return _stamped(record, status, stamp)


def not_permitted(record: GroupPlacement, reason: str, stamp: Stamp) -> GroupPlacement:
    """What is due for the group is refused to us; it stays in its state."""
    status = replace(record.status, reason=reason, fix=GIVE_RIGHTS)
    return _stamped(record, status, stamp, keep_since=True)


def adopted(group: WantedGroup, nodes: tuple[str, ...], uids: Mapping[str, str], stamp: Stamp) -> GroupPlacement:
    """A record for a group that stands whole and has none."""
    status = GroupPlacementStatus(
        state=api.BOUND, slots=nodes, committed=dict(uids), leader_uid=uids[group.leader_name], bound=group.size
    )
    return _stamped(first_record(group), status, stamp)


def sticky(record: GroupPlacement, stamp: Stamp) -> GroupPlacement:
    """The group is down; its slots are kept for its return."""
    return _stamped(record, replace(record.status, state=api.STICKY, committed={}, bound=0), stamp)


def barrier_failed(record: GroupPlacement, reason: str, stamp: Stamp) -> GroupPlacement:
    status = replace(record.status, failed_barriers=record.status.failed_barriers + 1, reason=reason)
    return _stamped(record, status, stamp, keep_since=True)


def aborting(
    record: GroupPlacement, leader_uid: str, reason: str, refused: tuple[api.RefusedSlot, ...], stamp: Stamp
) -> GroupPlacement:
    """Every member that is not behind the gate is deleted; then the group is planned again."""
    status = replace(
        record.status,
        state=api.ABORTING,
        leader_uid=leader_uid or record.status.leader_uid,
        refused=(*record.status.refused, *refused),
        reason=reason,
    )
    return _stamped(record, status, stamp)


def required_domain(record: GroupPlacement) -> api.Domain | None:
    """The domain that members may not leave; None where they only happen to share one."""
    return record.status.domain if record.spec.required_key or record.spec.exclusive_key else None


def age(record: GroupPlacement, now: float) -> float:
    """Seconds that the record has been in its state."""
    return now - seconds_of(record.status.since)


def _stamped(
    record: GroupPlacement, status: GroupPlacementStatus, stamp: Stamp, *, keep_since: bool = False
) -> GroupPlacement:
    since = record.status.since if keep_since else micro_time(stamp.now)
    return replace(record, status=replace(status, epoch=stamp.epoch, since=since))


def _spec_of(group: WantedGroup) -> GroupPlacementSpec:
    return GroupPlacementSpec(
        leader_worker_set=group.set_name,
        group_index=group.index,
        size=group.size,
        revision=group.revision,
        leader=_shape(group.shapes.leader),
        worker=_shape(group.shapes.worker),
        priority=group.shapes.priority,
        leader_first=group.leader_first,
        required_key=group.ask.required,
        exclusive_key=group.ask.exclusive,
        subgroup_size=group.ask.subgroup_size,
        subgroup_policy=group.ask.subgroup_policy if group.ask.subgroup_size else "",
        subgroup_exclusive_key=group.ask.subgroup_exclusive,
    )


def _shape(shape: PodShape) -> api.Shape:
    return api.Shape(requests=dict(shape.requests))


class RecordStore:
    """Reads records from their informer and writes them through to it, so a reader never sees less than was written."""

    def __init__(self, cluster: Cluster, informer: Informer[GroupPlacement]) -> None:
        self._cluster = cluster
        self._informer = informer

    def get(self, key: str) -> GroupPlacement | None:
        namespace, _, name = key.partition("/")
        return self._informer.get(namespace, name)

    def all(self) -> list[GroupPlacement]:
        return self._informer.objects()

    def write(self, record: GroupPlacement) -> GroupPlacement:
        """Create or replace the record. Raises Conflict or AlreadyExists where another write came first."""
        body = {
            "apiVersion": GROUP_PLACEMENT.api_version,
            "kind": GROUP_PLACEMENT.kind,
            **msgspec.to_builtins(record),
        }
        if record.metadata.resource_version:
            written = self._cluster.replace(GROUP_PLACEMENT, body)
        else:
            written = self._cluster.create(GROUP_PLACEMENT, body)
        self._informer.learn(written)
        return written

    def delete(self, record: GroupPlacement) -> None:
        meta = record.metadata
        try:
            self._cluster.delete(GROUP_PLACEMENT, meta.namespace, meta.name, uid=meta.uid)
        except NotFound:
            return
