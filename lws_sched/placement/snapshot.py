"""A fleet at one moment: what is free on every node and whose members stand where. Immutable; made by `Fleet`.

Nodes are in natural name order, whatever the order of the events that told of them, so equal fleets give equal
answers. Searches read arrays; `facts` gives the same content as plain values to the checker, which shares no code with
them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np

from lws_sched.placement import topology
from lws_sched.placement.lineage import Lineage
from lws_sched.placement.node import NodeFacts, Tenant, taken
from lws_sched.placement.request import NO_SUBGROUP, GroupRequest
from lws_sched.placement.table import ABSENT, Bools, Ints, NodeTable


@dataclass(frozen=True, eq=False)
class Tenancy:
    """Who stands where, one entry per charge that belongs to a group, and the names of the numbers.

    `entries` has the shape [COLUMNS, entries]; its rows are the properties below.
    """

    entries: Ints
    namespace_numbers: Mapping[str, int]
    group_numbers: Mapping[str, int]
    """Also of groups that have gone, and of some that came later: see `stands`. A number is never another group's."""
    exclusive_keys: Sequence[str]
    """The topology labels (or levels) that `exclusives` and `inner` number."""

    @property
    def positions(self) -> Ints:
        return _row(self.entries, 0)

    @property
    def namespaces(self) -> Ints:
        return _row(self.entries, 1)

    @property
    def groups(self) -> Ints:
        return _row(self.entries, 2)

    @property
    def exclusives(self) -> Ints:
        """The key whose domain the entry's group holds."""
        return _row(self.entries, 3)

    @property
    def subgroups(self) -> Ints:
        """The entry's subgroup within its group, or NO_SUBGROUP."""
        return _row(self.entries, 4)

    @property
    def inner(self) -> Ints:
        """The key whose domain the entry's subgroup holds."""
        return _row(self.entries, 5)

    @property
    def is_exclusive(self) -> bool:
        """Whether any group or subgroup may hold a domain for itself."""
        return any(self.exclusive_keys)

    def stands(self, group: str) -> bool:
        """Whether a member of the group stands somewhere."""
        number = self.group_numbers.get(group)
        return number is not None and bool((self.groups == number).any())

    def others(self, namespace: str, group: str) -> Ints:
        """The entries of other groups of the namespace."""
        number = self.namespace_numbers.get(namespace, ABSENT)
        if number == ABSENT:
            return np.zeros(0, dtype=np.int64)
        mask = self.namespaces == number
        own = self.group_numbers.get(group, ABSENT)
        if own != ABSENT:
            mask &= self.groups != own
        return np.flatnonzero(mask)

    def of_set(self, group: str) -> Ints:
        """The entries of the other groups of the LeaderWorkerSet that a group belongs to."""
        name = set_of(group)
        known = dict(self.group_numbers)
        numbers = [number for other, number in known.items() if other != group and set_of(other) == name]
        return np.flatnonzero(np.isin(self.groups, np.array(numbers, dtype=np.int64)))

    def without(self, entries: Bools) -> Tenancy:
        return replace(self, entries=self.entries[:, ~entries])

    def less(self, wanted: Iterable[tuple[int, int]]) -> Tenancy:
        """Without as many entries of a (group, position) as are told."""
        counts = Counter(wanted)
        mask = np.zeros(len(self.positions), dtype=np.bool_)
        near = np.isin(self.positions, np.array([position for _, position in counts], dtype=np.int64))
        for entry in np.flatnonzero(near).tolist():
            key = (int(self.groups[entry]), int(self.positions[entry]))
            if counts[key] > 0:
                counts[key] -= 1
                mask[entry] = True
        return self.without(mask)

    def plus(self, tenants: Sequence[Tenant], positions: Ints) -> Tenancy:
        """With an entry per tenant."""
        namespaces = _with_names(self.namespace_numbers, (each.namespace for each in tenants))
        groups = _with_names(self.group_numbers, (each.group for each in tenants))
        numbers = {key: number for number, key in enumerate(self.exclusive_keys)}
        for each in tenants:
            numbers.setdefault(each.exclusive, len(numbers))
            numbers.setdefault(each.subgroup_exclusive, len(numbers))
        added = np.empty((COLUMNS, len(tenants)), dtype=np.int64)
        added[0] = positions
        added[1] = [namespaces[each.namespace] for each in tenants]
        added[2] = [groups[each.group] for each in tenants]
        added[3] = [numbers[each.exclusive] for each in tenants]
        added[4] = [each.subgroup for each in tenants]
        added[5] = [numbers[each.subgroup_exclusive] for each in tenants]
        return Tenancy(np.concatenate([self.entries, added], axis=1), namespaces, groups, (*numbers,))

    def group_names(self, entries: Ints) -> list[str]:
        """Of the groups whose entries these are, in order."""
        if not len(entries):
            return []
        names = {number: name for name, number in dict(self.group_numbers).items()}
        return sorted({names[int(number)] for number in self.groups[entries]})


COLUMNS = 6


@dataclass(frozen=True, eq=False)
class Snapshot:
    """`free` has the shape [resources, nodes], in scheduler units; `resources` numbers its rows."""

    table: NodeTable
    resources: Mapping[str, int]
    free: Ints
    schedulable: Bools
    tenancy: Tenancy
    version: int = 0
    lineage: Lineage = field(default_factory=Lineage, init=False)
    """Not an argument, so that a snapshot made by `dataclasses.replace` never takes another's figures for its own."""
    stamp: int = field(default=0, init=False)

    def along(self, lineage: Lineage, stamp: int) -> Snapshot:
        """This snapshot as a moment of a lineage whose log tells of every change of `free` and `schedulable`."""
        object.__setattr__(self, "lineage", lineage)
        object.__setattr__(self, "stamp", stamp)
        return self

    def available(self, resource: str) -> Ints:
        """What every node has free of a resource; zero everywhere for one that nobody has."""
        row = self.resources.get(resource)
        return _row(self.free, row) if row is not None else np.zeros(len(self.table), dtype=np.int64)

    def with_group(self, request: GroupRequest, slots: Sequence[str]) -> Snapshot:
        """The fleet with a group in place. The slots must be free: nothing is checked here."""
        return self.with_groups([(request, slots)])

    def with_groups(self, groups: Sequence[tuple[GroupRequest, Sequence[str]]]) -> Snapshot:
        """The fleet with groups in place, each on its slots, which must be free."""
        if not groups:
            return self
        free, numbers = self.free.copy(), self.table.position
        positions = [np.array([numbers[node] for node in slots], dtype=np.int64) for _, slots in groups]
        for (request, _), nodes in zip(groups, positions, strict=True):
            _take(free, self.resources, request.leader.requests, nodes[:1])
            _take(free, self.resources, request.worker.requests, nodes[1:])
        return self.after([request for request, _ in groups], np.concatenate(positions), free)

    def after(self, requests: Iterable[GroupRequest], positions: Ints, free: Ints) -> Snapshot:
        """The fleet with groups in place whose members stand on these nodes, group after group; `free` is what they
        leave."""
        tenants = [tenant for request in requests for tenant in tenants_of(request)]
        lineage, stamp = self.lineage.extended(self.stamp, positions)
        return replace(self, free=free, tenancy=self.tenancy.plus(tenants, positions)).along(lineage, stamp)

    def without_groups(self, groups: Iterable[tuple[GroupRequest, Sequence[str]]]) -> Snapshot:
        """The fleet without groups that stand on these slots. Members on nodes that it does not know give nothing
        back."""
        free, entries = self.free.copy(), list[tuple[int, int]]()
        for request, slots in groups:
            number = self.tenancy.group_numbers.get(request.key, ABSENT)
            for shape, nodes in ((request.leader, slots[:1]), (request.worker, slots[1:])):
                known = [self.table.position[node] for node in nodes if node in self.table.position]
                _take(free, self.resources, shape.requests, np.array(known, dtype=np.int64), sign=-1)
                entries += [(number, position) for position in known]
        freed = np.array([position for _, position in entries], dtype=np.int64)
        lineage, stamp = self.lineage.extended(self.stamp, freed)
        return replace(self, free=free, tenancy=self.tenancy.less(entries)).along(lineage, stamp)

    def copied(self) -> Snapshot:
        """A snapshot whose amounts are its own."""
        return replace(self, free=self.free.copy())

    def without_room(self, request: GroupRequest, leaders: Ints, workers: Ints) -> Snapshot:
        """The fleet with less room: a leader and workers of the request stand on these nodes, one per entry."""
        free = self.free.copy()
        _take(free, self.resources, request.leader.requests, leaders)
        _take(free, self.resources, request.worker.requests, workers)
        lineage, stamp = self.lineage.extended(self.stamp, np.concatenate([leaders, workers]))
        return replace(self, free=free).along(lineage, stamp)

    def emptied(self, nodes: Ints) -> Snapshot:
        """The fleet as if nothing stood on the given nodes."""
        free = self.free.copy()
        allocatable = self.table.allocatable
        free[:, nodes] = 0
        free[: len(allocatable), nodes] = allocatable[:, nodes]
        is_emptied = np.zeros(len(self.table), dtype=np.bool_)
        is_emptied[nodes] = True
        lineage, stamp = self.lineage.extended(self.stamp, nodes)
        tenancy = self.tenancy.without(is_emptied[self.tenancy.positions])
        return replace(self, free=free, tenancy=tenancy).along(lineage, stamp)

    @cached_property
    def empty(self) -> Snapshot:
        """The fleet as if nothing stood anywhere."""
        free = np.zeros_like(self.free)
        free[: len(self.table.allocatable)] = self.table.allocatable
        nobody = np.ones(len(self.tenancy.positions), dtype=np.bool_)
        return replace(self, free=free, tenancy=self.tenancy.without(nobody))

    def facts(self, nodes: Iterable[int] | None = None) -> dict[str, NodeFacts]:
        """Plain values of the nodes at the given positions, or of all."""
        wanted = list(range(len(self.table))) if nodes is None else sorted({int(node) for node in nodes})
        alone, names = self.amounts(wanted), self.table.names
        standing = {names[index]: tuple(tenants) for index, tenants in self._tenants_of(wanted).items()}
        return alone | {name: alone[name]._replace(tenants=tenants) for name, tenants in standing.items()}

    def amounts(self, nodes: Collection[int]) -> dict[str, NodeFacts]:
        """As `facts`, but not who stands there."""
        wanted = np.array(sorted(nodes), dtype=np.int64)
        amounts, schedulable = self.free.take(wanted, axis=1).T.tolist(), self.schedulable.take(wanted).tolist()
        states, resources = self.table.nodes, self.resources
        found = {}
        for index, free, takes_pods in zip(wanted.tolist(), amounts, schedulable, strict=True):
            node = states[index]
            offered = dict(zip(resources, free, strict=True))
            found[node.name] = NodeFacts(node.name, node.labels, offered, node.taints, takes_pods)
        return found

    def _tenants_of(self, nodes: Sequence[int]) -> dict[int, list[Tenant]]:
        tenancy = self.tenancy
        found: dict[int, list[Tenant]] = {}
        is_wanted = np.zeros(len(self.table), dtype=np.bool_)
        is_wanted[nodes] = True
        entries = np.flatnonzero(is_wanted[tenancy.positions])
        if not len(entries):
            return found
        namespaces = {number: name for name, number in tenancy.namespace_numbers.items()}
        groups = {number: name for name, number in dict(tenancy.group_numbers).items()}
        for entry in entries:
            tenant = Tenant(
                group=groups[int(tenancy.groups[entry])],
                namespace=namespaces[int(tenancy.namespaces[entry])],
                exclusive=self._label(tenancy.exclusives[entry]),
                subgroup=int(tenancy.subgroups[entry]),
                subgroup_exclusive=self._label(tenancy.inner[entry]),
            )
            found.setdefault(int(tenancy.positions[entry]), []).append(tenant)
        return found

    def _label(self, number: int) -> str:
        return topology.key_or_name(self.tenancy.exclusive_keys[number], self.table.keys)


def namespace_of(request: GroupRequest) -> str:
    return request.key.partition("/")[0]


def tenants_of(request: GroupRequest) -> tuple[Tenant, ...]:
    """What each member stands for once it is in place, by worker index."""
    alone = Tenant(request.key, namespace_of(request), request.exclusive)
    if not request.subgroup_size:
        return (alone,) * request.size
    numbers = [request.subgroup_of(index) for index in range(request.size)]
    tenants = {
        number: replace(alone, subgroup=number, subgroup_exclusive=request.subgroup_exclusive)
        for number in {*numbers} - {NO_SUBGROUP}
    }
    return tuple(tenants.get(number, alone) for number in numbers)


def set_of(group: str) -> str:
    """The LeaderWorkerSet of a group, `namespace/name`: a leader pod is named after it, then `-` and an index."""
    return group.rpartition("-")[0]


def kind_of(snapshot: Snapshot, request: GroupRequest) -> Hashable:
    """What groups have in common that fit or do not fit alike."""
    if request.stay or snapshot.tenancy.stands(request.key):
        return request
    shapes = (request.size, request.leader, request.worker, request.avoid)
    topology = (request.required, request.exclusive, request.preferred)
    subgroups = (request.subgroup_size, request.subgroup_policy, request.subgroup_required, request.subgroup_exclusive)
    return namespace_of(request), shapes, topology, subgroups, request.box


class Kinds:
    """Numbers the requests, whose keys must differ, by their kind on a snapshot; each is looked at once."""

    def __init__(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot
        self._numbers: dict[Hashable, int] = {}
        self._known: dict[str, int] = {}

    def number(self, request: GroupRequest) -> int:
        known = self._known.get(request.key)
        if known is None:
            kind = kind_of(self._snapshot, request)
            known = self._known[request.key] = self._numbers.setdefault(kind, len(self._numbers))
        return known


def _row(matrix: Ints, number: int) -> Ints:
    row: Ints = matrix[number]
    return row


def _take(
    free: Ints, resources: Mapping[str, int], requests: Iterable[tuple[str, int]], positions: Ints, sign: int = 1
) -> None:
    for resource, amount in taken(dict(requests)).items():
        if resource in resources:
            np.subtract.at(free[resources[resource]], positions, sign * amount)


def _with_names(numbers: Mapping[str, int], names: Iterable[str]) -> Mapping[str, int]:
    added = dict(numbers)
    following = max(numbers.values(), default=-1) + 1
    for name in names:
        if added.setdefault(name, following) == following:
            following += 1
    return added
