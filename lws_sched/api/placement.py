"""The record of one group's placement: `GroupPlacement` (`lws-sched.io/v1alpha1`).

One object per group, named like its leader pod and owned by its LeaderWorkerSet. It is written only by the planner,
every write guarded by resourceVersion, and it is all that a restarted planner needs. Spec and status are written
together on purpose: a reservation and the shape that it reserves for must never be seen apart, so the kind has no
status subresource.
"""

from __future__ import annotations

import msgspec

from lws_sched.api.meta import Kind, Meta, Wire

WAITING = "Waiting"
RESERVED = "Reserved"
COMMITTED = "Committed"
BOUND = "Bound"
STICKY = "Sticky"
ABORTING = "Aborting"

HOLDING = frozenset({RESERVED, COMMITTED, BOUND, STICKY, ABORTING})
"""States in which the record's slots count against the nodes' free capacity."""


class Shape(Wire, frozen=True, kw_only=True):
    """What one member takes from its node: scheduler units, as `lws_sched.api.quantity.amount` gives them."""

    requests: dict[str, int] = msgspec.field(default_factory=dict)


class Domain(Wire, frozen=True, kw_only=True):
    """The nodes whose label `key` has the value `value`. An empty key is the whole cluster."""

    key: str = ""
    value: str = ""


class RefusedSlot(Wire, frozen=True, kw_only=True):
    """A node that the scheduler's own filters refused for this group: not chosen again until it expires."""

    node: str
    until: float
    reason: str = ""


class Predecessor(Wire, frozen=True, kw_only=True):
    """Who is being evicted to make room: a whole group, by its leader's name, or a pod that is in none."""

    namespace: str
    name: str
    uid: str = ""
    """Of a pod, its UID; empty for a group."""


class GroupPlacementSpec(Wire, frozen=True, kw_only=True):
    leader_worker_set: str
    group_index: int = 0
    size: int = 1
    revision: str = ""
    """The template-revision-hash that members must carry to be given a slot."""
    leader: Shape = Shape()
    worker: Shape = Shape()
    priority: int = 0
    leader_first: bool = False
    """The leader commits alone, the workers as a second stage: they cannot exist before the leader is bound."""
    required_key: str = ""
    """The topology label or level whose domain all members must share; "" when they need not."""
    exclusive_key: str = ""
    """The topology label whose domain this group must not share with another group; "" when it may."""
    subgroup_size: int = 0
    """Workers of one subgroup; 0 where the group has none."""
    subgroup_policy: str = ""
    subgroup_exclusive_key: str = ""
    """The topology label whose domain a subgroup must not share with another; "" when it may."""


class GroupPlacementStatus(Wire, frozen=True, kw_only=True):
    state: str = WAITING
    epoch: int = 0
    """Lease transitions when this was written: which planner wrote it."""
    since: str = ""
    domain: Domain | None = None
    slots: tuple[str, ...] = ()
    """Node per worker index (0 is the leader). Empty while Waiting."""
    leader_uid: str = msgspec.field(default="", name="leaderUID")
    """The incarnation: UID of the leader pod that this placement serves, once there is one."""
    committed: dict[str, str] = msgspec.field(default_factory=dict)
    """Pod name to UID of every member whose stage is committed."""
    bound: int = 0
    failed_barriers: int = 0
    predecessors: tuple[Predecessor, ...] = ()
    """While Waiting: whose leaving the group waits for."""
    claims: tuple[str, ...] = ()
    """While Waiting for predecessors: node per worker index that the group gets when they are gone. Nobody else gets
    what they leave there."""
    refused: tuple[RefusedSlot, ...] = ()
    reason: str = ""
    fix: str = ""
    proof: str = ""


class GroupPlacement(Wire, frozen=True, kw_only=True):
    metadata: Meta
    spec: GroupPlacementSpec
    status: GroupPlacementStatus = GroupPlacementStatus()


GROUP_PLACEMENT = Kind("lws-sched.io", "v1alpha1", "GroupPlacement", "groupplacements", GroupPlacement)
