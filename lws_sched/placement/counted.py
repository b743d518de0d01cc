"""A fleet in whole hosts, as numbers: domains, how many hosts are free in each, and how many pieces of which kind
stand where.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from lws_sched.placement.move_order import Cell


@dataclass(frozen=True)
class Kind:
    """Pieces that are alike."""

    size: int
    """Hosts that one takes, which is also its pods."""
    frees: int
    """Hosts that it leaves for others: fewer where some of its hosts take no new pods."""
    standing: Mapping[int, int]
    """Pieces per domain."""
    enters: frozenset[int]
    """The domains that may take one."""
    namespace: str
    exclusive: bool
    """A piece holds its domain exclusively."""


@dataclass(frozen=True)
class Counted:
    """All domains by number: how many hosts are free, and where the waiting group may go."""

    size: int
    free: tuple[int, ...]
    targets: frozenset[int]
    kinds: tuple[Kind, ...]
    namespace: str
    exclusive: bool
    """The waiting group holds its domain exclusively."""


@dataclass(frozen=True)
class Counts:
    """Pieces that leave and enter per (kind, domain), zeros left out; where the waiting group goes; pods moved."""

    leaving: Mapping[Cell, int]
    entering: Mapping[Cell, int]
    target: int
    pods: int
