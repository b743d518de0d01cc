"""What is asked of the placement engine, and what it answers.

A group is one leader and `size - 1` workers that are all alike. Resources are integers in scheduler units
(`lws_sched.api.quantity`). Everything is immutable and hashable, so equal groups fall into one class.

Subgroups are counted as LeaderWorkerSet counts them: with `LeaderWorker` the leader is in subgroup 0, beside
`subgroup_size - 1` workers or, where the size is one more than a multiple of `subgroup_size`, beside `subgroup_size`;
with `LeaderExcluded` it is in none.
"""

from __future__ import annotations

from dataclasses import dataclass, field

Amounts = tuple[tuple[str, int], ...]
"""Sorted (resource, amount) pairs; zero amounts left out."""

LEADER_WORKER = "LeaderWorker"
LEADER_EXCLUDED = "LeaderExcluded"
NO_SUBGROUP = -1


def subgroup_of(index: int, members: int, subgroup_size: int, policy: str) -> int:
    """The subgroup of a member of a group, by worker index; NO_SUBGROUP for a member of none."""
    if subgroup_size < 1 or (index == 0 and policy == LEADER_EXCLUDED):
        return NO_SUBGROUP
    is_one_more = (members - 1) % subgroup_size == 0 and members % subgroup_size != 0
    return max(index - 1, 0) // subgroup_size if is_one_more else index // subgroup_size


@dataclass(frozen=True)
class Requirement:
    """One label requirement: operator is In, NotIn, Exists, DoesNotExist, Gt or Lt. `field` means metadata.name."""

    key: str
    operator: str
    values: tuple[str, ...] = ()
    field: bool = False


@dataclass(frozen=True)
class Toleration:
    """What a pod puts up with, by Kubernetes' rules: an empty key means every taint, an empty effect every effect."""

    key: str = ""
    operator: str = "Equal"
    value: str = ""
    effect: str = ""


@dataclass(frozen=True)
class PodShape:
    """What decides where one member can stand: its requests and what it says about nodes."""

    requests: Amounts = ()
    selector: tuple[tuple[str, str], ...] = ()
    """nodeSelector, sorted."""
    terms: tuple[tuple[Requirement, ...], ...] = ()
    """Required node affinity: any one term must hold whole. Empty means no affinity."""
    tolerations: tuple[Toleration, ...] = ()


@dataclass(frozen=True)
class GroupRequest:
    """One group to place, whole."""

    key: str
    """`namespace/leader-pod-name`."""
    size: int
    worker: PodShape
    leader: PodShape
    required: str = ""
    """Node label (or level name) whose one value all members must share; "" for anywhere."""
    exclusive: str = ""
    """Node label whose domain no other group may share, and which all members must share."""
    preferred: tuple[str, ...] = ()
    """Levels to try in turn before `required`, narrowest first."""
    priority: int = 0
    created: str = ""
    """RFC 3339; earlier goes first among equal priorities."""
    stay: tuple[str, ...] = ()
    """Nodes by worker index that the group had: it returns to them where they still fit."""
    avoid: frozenset[str] = field(default_factory=frozenset)
    """Nodes not to use for this group: the scheduler refused them lately."""
    subgroup_size: int = 0
    """Workers of one subgroup; 0 where the group has no subgroups."""
    subgroup_policy: str = LEADER_WORKER
    subgroup_required: str = ""
    """Node label (or level name) whose one value all members of a subgroup must share."""
    subgroup_exclusive: str = ""
    """Node label whose one value all members of a subgroup must share, and no other subgroup of the namespace."""
    spread: str = ""
    """Node label (or level name): the groups of one LeaderWorkerSet go to different domains of it, as evenly as can
    be. A wish: it decides between places and never refuses one. It goes before `preferred`."""

    box: tuple[int, ...] = ()
    """Hosts along two or three axes, in any order of axes: the members stand on a box of them, one to a host, in one
    domain of a level with axes. Empty where no box is asked for."""

    def subgroup_of(self, index: int) -> int:
        """The subgroup of a member by worker index; NO_SUBGROUP for a member of none."""
        return subgroup_of(index, self.size, self.subgroup_size, self.subgroup_policy)

    @property
    def has_subgroups(self) -> bool:
        """Whether some member is in one: not where a leader that is in none stands alone."""
        return self.subgroup_of(self.size - 1) != NO_SUBGROUP


@dataclass(frozen=True)
class Placed:
    """A place for every member. `slots[i]` is the node of worker index i; 0 is the leader."""

    key: str
    slots: tuple[str, ...]
    domain_key: str
    domain_value: str
    proof: str
    """`exact` (this group alone, no better place by the engine's order), `optimal` (of a batch of which provably no
    more members can be placed) or `feasible` (of a batch that might be bettered)."""
    value: int = 0
    """Members of this group that have a place."""
    bound: int = 0
    """At most how many of its members could have one."""


@dataclass(frozen=True)
class Refused:
    """No place: the smallest reason and the nearest fix, as sentences for a user."""

    key: str
    reason: str
    fix: str
    proof: str
    """`infeasible`: proved, `bound` is 0. `undecided`: the budget ended first, `bound` is the group's size; it stays
    pending and is tried again."""
    value: int = 0
    bound: int = 0


Decision = Placed | Refused


@dataclass(frozen=True)
class Budget:
    """How much the solver may spend, in solver-deterministic time (up to about two seconds for each), so that answers
    repeat."""

    deterministic_time: float = 0.5
