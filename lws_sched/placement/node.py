"""What is known of one node, and who stands on it: the plain values that the fleet is fed with and checked against.

Called by whoever turns cluster objects into planning input; nothing here searches. Names and label values are ordered
as people count (`natural_key`), so that `rack-2` comes before `rack-10` wherever order reaches an answer.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import NamedTuple

from lws_sched.api.quantity import Resources

PODS = "pods"
"""The resource that every member takes one of."""

_DIGITS = re.compile(r"(\d+)")


@dataclass(frozen=True)
class Taint:
    """What keeps pods away that do not tolerate it; effects NoSchedule and NoExecute do, PreferNoSchedule does not."""

    key: str
    value: str = ""
    effect: str = ""


@dataclass(frozen=True)
class NodeState:
    """A node as its object says. `allocatable` is in scheduler units and includes `pods`."""

    name: str
    labels: Mapping[str, str] = field(default_factory=dict)
    allocatable: Resources = field(default_factory=dict)
    taints: tuple[Taint, ...] = ()
    schedulable: bool = True
    """False while the node is cordoned, NotReady or being deleted: nothing new goes there."""


@dataclass(frozen=True)
class Tenant:
    """The group that a charge belongs to."""

    group: str
    """`namespace/leader-pod-name`."""
    namespace: str
    exclusive: str = ""
    """The topology label (or level) whose domain the group holds alone among the groups of its namespace."""
    subgroup: int = -1
    """The subgroup of the member that is charged; -1 for a member of none."""
    subgroup_exclusive: str = ""
    """The label (or level) whose domain the subgroup holds alone among the subgroups of its namespace."""


class NodeFacts(NamedTuple):
    """One node with all that a checker needs: what is free on it and who stands there. Made by the thousand."""

    name: str
    labels: Mapping[str, str]
    free: Resources
    taints: tuple[Taint, ...] = ()
    schedulable: bool = True
    tenants: Sequence[Tenant] = ()


def taken(requests: Mapping[str, int]) -> Resources:
    """What a pod with these requests takes from its node."""
    return {**requests, PODS: 1}


@lru_cache(maxsize=65536)
def natural_key(text: str) -> tuple[tuple[str, int], ...]:
    """Sorts digits by value and the rest by letters; the text itself settles ties such as `a-01` and `a-1`."""
    parts = _DIGITS.split(text)
    pairs = [(parts[i], int(parts[i + 1]) if i + 1 < len(parts) else -1) for i in range(0, len(parts), 2)]
    return (*pairs, (text, -1))
