"""What is asked of the placement engine, and what it answers.

A group is one leader and `size - 1` workers that are all alike. Resources are integers in scheduler units
(`lws_sched.api.quantity`). Everything is immutable and hashable, so equal groups fall into one class.
"""

from __future__ import annotations

from dataclasses import dataclass, field

Amounts = tuple[tuple[str, int], ...]
"""Sorted (resource, amount) pairs; zero amounts left out."""


@dataclass(frozen=True)
class Requirement:
    """One label requirement: operator is In, NotIn, Exists, DoesNotExist, Gt or Lt. `field` means metadata.name."""

    key: str
    operator: str
    values: tuple[str, ...] = ()
    field: bool = False


@dataclass(frozen=True)
class Toleration:
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


@dataclass(frozen=True)
class Placed:
    """A place for every member. `slots[i]` is the node of worker index i; 0 is the leader."""

    key: str
    slots: tuple[str, ...]
    domain_key: str
    domain_value: str
    proof: str
    """`exact`, `optimal` or `feasible`."""


@dataclass(frozen=True)
class Refused:
    """No place: the smallest reason and the nearest fix, as sentences for a user."""

    key: str
    reason: str
    fix: str
    proof: str
    """`infeasible` or `undecided`."""


Decision = Placed | Refused


@dataclass(frozen=True)
class Budget:
    """How much the solver may spend, in solver-deterministic time (about seconds), so that answers repeat."""

    deterministic_time: float = 1.0
