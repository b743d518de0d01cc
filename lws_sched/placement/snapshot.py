"""A fleet at one moment: what is free on every node and whose members stand where. Immutable; made by `Fleet`.

Nodes are in natural name order, whatever the order of the events that told of them, so equal fleets give equal
answers. Searches read arrays; `facts` gives the same content as plain values to the checker, which shares no code with
them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from lws_sched.placement import topology
from lws_sched.placement.node import NodeFacts, Tenant, taken
from lws_sched.placement.request import GroupRequest
from lws_sched.placement.table import ABSENT, Bools, Ints, NodeTable


@dataclass(frozen=True, eq=False)
class Tenancy:
    """Who stands where, one entry per charge that belongs to a group: parallel arrays, and the names of the numbers."""

    positions: Ints
    namespaces: Ints
    groups: Ints
    exclusives: Ints
    namespace_numbers: Mapping[str, int]
    group_numbers: Mapping[str, int]
    exclusive_keys: Sequence[str]

    def others(self, namespace: str, group: str) -> Bools:
        """The entries of other groups of the namespace."""
        own = self.group_numbers.get(group, ABSENT)
        mask: Bools = (self.namespaces == self.namespace_numbers.get(namespace, ABSENT)) & (self.groups != own)
        return mask

    def without(self, entries: Bools) -> Tenancy:
        kept = ~entries
        return replace(
            self,
            positions=self.positions[kept],
            namespaces=self.namespaces[kept],
            groups=self.groups[kept],
            exclusives=self.exclusives[kept],
        )

    def plus(self, tenant: Tenant, positions: Ints) -> Tenancy:
        namespaces = _with_name(self.namespace_numbers, tenant.namespace)
        groups = _with_name(self.group_numbers, tenant.group)
        keys = list(self.exclusive_keys)
        if tenant.exclusive not in keys:
            keys.append(tenant.exclusive)

        def extended(column: Ints, number: int) -> Ints:
            return np.concatenate([column, np.full(len(positions), number, dtype=np.int64)])

        return Tenancy(
            positions=np.concatenate([self.positions, positions]),
            namespaces=extended(self.namespaces, namespaces[tenant.namespace]),
            groups=extended(self.groups, groups[tenant.group]),
            exclusives=extended(self.exclusives, keys.index(tenant.exclusive)),
            namespace_numbers=namespaces,
            group_numbers=groups,
            exclusive_keys=keys,
        )

    def group_names(self, entries: Ints) -> list[str]:
        names = {number: name for name, number in self.group_numbers.items()}
        return sorted({names[int(number)] for number in self.groups[entries]})


@dataclass(frozen=True, eq=False)
class Snapshot:
    """`free` has the shape [resources, nodes], in scheduler units; `resources` numbers its rows."""

    table: NodeTable
    resources: Mapping[str, int]
    free: Ints
    schedulable: Bools
    tenancy: Tenancy
    version: int = 0

    def available(self, resource: str) -> Ints:
        """What every node has free of a resource; zero everywhere for one that nobody has."""
        row = self.resources.get(resource)
        return self.free[row] if row is not None else np.zeros(len(self.table), dtype=np.int64)

    def with_group(self, request: GroupRequest, slots: Sequence[str]) -> Snapshot:
        """The fleet with a group in place. The slots must be free: nothing is checked here."""
        positions = np.array([self.table.position[node] for node in slots], dtype=np.int64)
        tenant = Tenant(group=request.key, namespace=namespace_of(request), exclusive=request.exclusive)
        taken = self.without_room(request, positions[:1], positions[1:])
        return replace(taken, tenancy=self.tenancy.plus(tenant, positions))

    def without_room(self, request: GroupRequest, leaders: Ints, workers: Ints) -> Snapshot:
        """The fleet with less room: a leader and workers of the request stand on these nodes, one per entry."""
        free = self.free.copy()
        _take(free, self.resources, request.leader.requests, leaders)
        _take(free, self.resources, request.worker.requests, workers)
        return replace(self, free=free)

    def emptied(self, nodes: Ints) -> Snapshot:
        """The fleet as if nothing stood on the given nodes."""
        free = self.free.copy()
        allocatable = self.table.allocatable
        free[:, nodes] = 0
        free[: len(allocatable), nodes] = allocatable[:, nodes]
        return replace(self, free=free, tenancy=self.tenancy.without(np.isin(self.tenancy.positions, nodes)))

    def facts(self, nodes: Iterable[int] | None = None) -> dict[str, NodeFacts]:
        """Plain values of the nodes at the given positions, or of all."""
        wanted = list(range(len(self.table))) if nodes is None else sorted({int(node) for node in nodes})
        tenants = self._tenants_of(wanted)
        free = dict(zip(wanted, self.free[:, wanted].T.tolist(), strict=True))
        return {
            self.table.names[index]: NodeFacts(
                name=self.table.names[index],
                labels=self.table.nodes[index].labels,
                free=dict(zip(self.resources, free[index], strict=True)),
                taints=self.table.nodes[index].taints,
                schedulable=bool(self.schedulable[index]),
                tenants=tuple(tenants.get(index, ())),
            )
            for index in wanted
        }

    def _tenants_of(self, nodes: Sequence[int]) -> dict[int, list[Tenant]]:
        tenancy = self.tenancy
        found: dict[int, list[Tenant]] = {}
        entries = np.flatnonzero(np.isin(tenancy.positions, np.array(nodes, dtype=np.int64)))
        if not len(entries):
            return found
        namespaces = {number: name for name, number in tenancy.namespace_numbers.items()}
        groups = {number: name for name, number in tenancy.group_numbers.items()}
        for entry in entries:
            exclusive = tenancy.exclusive_keys[tenancy.exclusives[entry]]
            tenant = Tenant(
                group=groups[int(tenancy.groups[entry])],
                namespace=namespaces[int(tenancy.namespaces[entry])],
                exclusive=topology.key_or_name(exclusive, self.table.keys),
            )
            found.setdefault(int(tenancy.positions[entry]), []).append(tenant)
        return found


def namespace_of(request: GroupRequest) -> str:
    return request.key.partition("/")[0]


def kind_of(snapshot: Snapshot, request: GroupRequest) -> GroupRequest:
    """The request without what makes it one group among equals; groups of a kind fit or do not fit alike."""
    if request.stay or request.key in snapshot.tenancy.group_numbers:
        return request
    return replace(request, key=f"{namespace_of(request)}/", created="", priority=0)


def _take(free: Ints, resources: Mapping[str, int], requests: Iterable[tuple[str, int]], positions: Ints) -> None:
    for resource, amount in taken(dict(requests)).items():
        if resource in resources:
            np.subtract.at(free[resources[resource]], positions, amount)


def _with_name(numbers: Mapping[str, int], name: str) -> Mapping[str, int]:
    if name in numbers:
        return numbers
    return {**numbers, name: max(numbers.values(), default=-1) + 1}
