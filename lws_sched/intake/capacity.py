"""What the domains of a level have: taken, held and free, how broken up the free part is, and the largest group that
still fits."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from lws_sched.api import names
from lws_sched.intake.standing import Held
from lws_sched.placement import Snapshot
from lws_sched.placement.table import ABSENT, NODE_NAME, Ints
from lws_sched.placement.topology import level_of

CPU = "cpu"


@dataclass(frozen=True)
class Level:
    """A kind of domain that the nodes' labels tell of."""

    name: str
    label: str
    domains: int
    nodes: int
    """Nodes that carry the label."""


@dataclass(frozen=True)
class Domain:
    """One domain in amounts of one resource (scheduler units). Free counts schedulable nodes only."""

    name: str
    nodes: int
    unschedulable: int
    capacity: int
    used: int
    held: int
    """In slots whose members are not there yet."""
    free: int
    largest: int
    """Members of a group, each a whole host, that still fit."""

    @property
    def fragmentation(self) -> float:
        """The share of what is free that stands on hosts in part taken: 0 where all of it is whole hosts."""
        return self.broken / self.free if self.free else 0.0

    broken: int = 0
    """Free on hosts that are taken in part."""


def main_resource(snapshot: Snapshot) -> str:
    """The accelerator that most nodes offer; CPU where none does."""
    counts = {
        resource: int(np.count_nonzero(offered_by(snapshot, resource)))
        for resource in sorted(names.MANAGED_RESOURCES)
        if resource in snapshot.resources and resource != names.MEMBER_RESOURCE
    }
    best = max(counts, key=lambda resource: counts[resource], default=CPU)
    return best if counts.get(best) else CPU


def levels(snapshot: Snapshot) -> tuple[Level, ...]:
    """The levels found, widest first, down to the host."""
    table = snapshot.table
    found = []
    for key in reversed(table.levels):
        column = table.column(key)
        carriers = int(np.count_nonzero(column.codes != ABSENT))
        label = names.HOSTNAME if key == NODE_NAME else key
        found.append(Level(level_of(label, table.keys), label, len(column.values), carriers))
    return tuple(found)


def narrowest(snapshot: Snapshot) -> str:
    """The label of the narrowest level wider than a host; that of hosts where there is none."""
    found = [each.label for each in levels(snapshot) if each.label != names.HOSTNAME]
    return found[-1] if found else names.HOSTNAME


def domains(snapshot: Snapshot, outstanding: Iterable[Held], label: str, resource: str) -> tuple[Domain, ...]:
    """The level's domains in natural order. Nodes without the label are in none; `outstanding` are the slots that are
    held for members which are not there yet."""
    partition = snapshot.table.partition((label,))
    offered, free = offered_by(snapshot, resource), snapshot.available(resource)
    held = _held(snapshot, outstanding, resource)
    column = snapshot.table.column(label)
    found = []
    for number in range(partition.count):
        at = partition.members(number)
        usable = at[snapshot.schedulable[at]]
        left = np.maximum(free[usable], 0)
        whole = (left == offered[usable]) & (left > 0)
        found.append(
            Domain(
                name=column.values[column.codes[at[0]]],
                nodes=len(at),
                unschedulable=len(at) - len(usable),
                capacity=int(offered[at].sum()),
                used=int((offered[at] - free[at] - held[at]).sum()),
                held=int(held[at].sum()),
                free=int(left.sum()),
                largest=int(whole.sum()),
                broken=int(left[~whole].sum()),
            )
        )
    return tuple(found)


def fragmentation(found: Sequence[Domain]) -> float:
    """Of all that is free, the share that the largest single domain does not have: 0 where one domain has it all."""
    total = sum(domain.free for domain in found)
    return 1 - max(domain.free for domain in found) / total if total else 0.0


@dataclass(frozen=True)
class Room:
    """What all domains of a level have left, in two numbers."""

    fragmentation: float
    """Of all that is free, the share that the best single domain does not have."""
    largest: int
    """Members of a group, each a whole host, that still fit into one domain."""


def room(snapshot: Snapshot, label: str, resource: str) -> Room:
    """The same as from `domains`, in array arithmetic alone: cheap enough to be asked again and again."""
    partition, free = snapshot.table.partition((label,)), snapshot.available(resource)
    usable = snapshot.schedulable & (partition.codes >= 0) & (free > 0)
    codes, left = partition.codes[usable], free[usable]
    if not len(codes):
        return Room(0.0, 0)
    whole = left == offered_by(snapshot, resource)[usable]
    by_domain = np.bincount(codes, weights=left, minlength=partition.count)
    largest = np.bincount(codes, weights=whole, minlength=partition.count)
    return Room(float(1 - by_domain.max() / by_domain.sum()), int(largest.max()))


def offered_by(snapshot: Snapshot, resource: str) -> Ints:
    """What every node offers of a resource, in the snapshot's order."""
    row = snapshot.resources.get(resource)
    allocatable = snapshot.table.allocatable
    if row is None or row >= len(allocatable):
        return np.zeros(len(snapshot.table), dtype=np.int64)
    amounts: Ints = allocatable[row]
    return amounts


def _held(snapshot: Snapshot, outstanding: Iterable[Held], resource: str) -> Ints:
    held = np.zeros(len(snapshot.table), dtype=np.int64)
    for each in outstanding:
        at = snapshot.table.position.get(each.node)
        if at is not None:
            held[at] += each.requests.get(resource, 0)
    return held
