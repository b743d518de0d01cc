"""The mutable table behind every snapshot: nodes, and what stands or is held on them, one event at a time.

Every event costs time in proportion to itself, never to the fleet. A charge on a node that is not known yet is
remembered and counts once the node appears; a node that goes leaves its charges behind until they are released. A
snapshot costs a few array copies; names, labels and taints are worked out again only after a node changed.

Kept by the extender's ledger under its lock; `Fleet` itself takes none.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from lws_sched.api.quantity import Resources
from lws_sched.placement.lineage import Lineage
from lws_sched.placement.node import PODS, NodeState, Tenant, natural_key, taken
from lws_sched.placement.snapshot import COLUMNS, Snapshot, Tenancy
from lws_sched.placement.table import Ints, NodeTable
from lws_sched.placement.topology import LEVELS, LabelKeys, Level

_ROOM = 64
_LONGEST_LOG = 100_000
"""Changes told of one by one; then what was worked out so far is forgotten."""


@dataclass(frozen=True)
class _Charge:
    node: str
    amounts: tuple[tuple[int, int], ...]
    """(resource row, amount) pairs."""


class Fleet:
    """All nodes, and who takes how much of which."""

    def __init__(self, levels: tuple[Level, ...] = LEVELS) -> None:
        """`levels` are what the nodes' labels are read by, widest first."""
        self.version = 0
        """Grows with every change."""
        self._nodes: dict[str, NodeState] = {}
        self._rows: dict[str, int] = {}
        """Column of the matrix for every node that is known or charged. While there is a table, known nodes have the
        first columns, in its order."""
        self._spare: list[int] = []
        self._charged: Counter[str] = Counter()
        self._resources: dict[str, int] = {PODS: 0}
        self._free: Ints = np.zeros((8, _ROOM), dtype=np.int64)
        self._allocatable: Ints = np.zeros((8, _ROOM), dtype=np.int64)
        self._schedulable = np.zeros(_ROOM, dtype=np.bool_)
        self._owners: dict[str, _Charge] = {}
        self._tenants = _TenantRoll()
        self._keys: Counter[str] = Counter()
        self._levels = levels
        self._table: NodeTable | None = None
        self._lineage = Lineage()

    # --- events ------------------------------------------------------------------------------------------------------

    def set_levels(self, levels: tuple[Level, ...]) -> None:
        """Read the nodes' labels by other levels from now on, widest first."""
        if levels != self._levels:
            self._levels = levels
            self._table = None
            self.version += 1

    def set_node(self, node: NodeState) -> None:
        """Add a node or replace what is known of it."""
        before = self._nodes.get(node.name)
        row = self._row(node.name)
        self._nodes[node.name] = node
        self._schedulable[row] = node.schedulable
        self._changed(row)
        if before is not None and _fixed(before) == _fixed(node):
            return
        self._allocate(row, before, -1)
        self._allocate(row, node, 1)
        self._table = None

    def remove_node(self, name: str) -> None:
        """Forget a node; unknown names are ignored. What is charged on it stays charged, in case it comes back."""
        node = self._nodes.pop(name, None)
        if node is None:
            return
        row = self._rows[name]
        self._allocate(row, node, -1)
        self._schedulable[row] = False
        self._table = None
        self.version += 1
        self._give_back(name)

    def charge(self, owner: str, node: str, requests: Mapping[str, int], tenant: Tenant | None = None) -> None:
        """`owner` takes these amounts, and one of `pods`, on the node: in place of what it took before."""
        self.release(owner)
        row = self._row(node)
        amounts = tuple((self._resource(each), amount) for each, amount in taken(requests).items())
        charge = _Charge(node, amounts)
        for resource, amount in charge.amounts:
            self._free[resource, row] -= amount
        self._owners[owner] = charge
        self._charged[node] += 1
        if tenant is not None:
            self._tenants.add(owner, row, tenant)
        self._changed(row)

    def release(self, owner: str) -> None:
        """Take back a charge; unknown owners are ignored."""
        charge = self._owners.pop(owner, None)
        if charge is None:
            return
        row = self._rows[charge.node]
        for resource, amount in charge.amounts:
            self._free[resource, row] += amount
        self._tenants.remove(owner)
        self._charged[charge.node] -= 1
        self._changed(row)
        self._give_back(charge.node)

    # --- readers -----------------------------------------------------------------------------------------------------

    def free(self, node: str) -> Resources:
        """What a node has left of what it offers; negative where it is over-committed. Empty for an unknown node."""
        state = self._nodes.get(node)
        if state is None:
            return {}
        row = self._rows[node]
        return {each: int(self._free[self._resources[each], row]) for each in sorted(state.allocatable)}

    def nodes(self) -> tuple[NodeState, ...]:
        """All known nodes, in name order."""
        return tuple(self._nodes[name] for name in sorted(self._nodes, key=natural_key))

    @property
    def is_exclusive(self) -> bool:
        """Whether any group or subgroup may hold a domain for itself."""
        return self._tenants.is_exclusive

    def snapshot(self) -> Snapshot:
        """The fleet as it is now; later events do not change it."""
        table = self._table or self._make_table()
        nodes = len(table)
        return Snapshot(
            table=table,
            resources=dict(self._resources),
            free=self._free[: len(self._resources), :nodes].copy(),
            schedulable=self._schedulable[:nodes].copy(),
            tenancy=self._tenants.tenancy(nodes, len(self._rows)),
            version=self.version,
        ).along(self._lineage, len(self._lineage.log))

    # --- rows --------------------------------------------------------------------------------------------------------

    def _changed(self, row: int) -> None:
        self.version += 1
        if len(self._lineage.log) >= _LONGEST_LOG:
            self._lineage = Lineage()
        if self._table is not None and row < len(self._table):
            self._lineage.log.append(row)

    def _make_table(self) -> NodeTable:
        """Sort the known nodes into the first columns, and start a new lineage for their new positions."""
        nodes = self.nodes()
        names = [*(node.name for node in nodes), *(name for name in self._rows if name not in self._nodes)]
        before = [self._rows[name] for name in names]
        for matrix in (self._free, self._allocatable):
            matrix[:, : len(before)] = matrix[:, before]
            matrix[:, len(before) :] = 0
        self._schedulable[: len(before)] = self._schedulable[before]
        self._tenants.move(np.array(before, dtype=np.int64), self._free.shape[1])
        self._rows = {name: row for row, name in enumerate(names)}
        self._spare = []
        self._lineage = Lineage()
        keys = LabelKeys((key for key, count in self._keys.items() if count > 0), self._levels)
        allocatable = self._allocatable[: len(self._resources), : len(nodes)].copy()
        self._table = NodeTable(nodes, keys, allocatable)
        return self._table

    def _row(self, node: str) -> int:
        row = self._rows.get(node)
        if row is None:
            row = self._spare.pop() if self._spare else len(self._rows)
            if row >= self._free.shape[1]:
                self._widen()
            self._rows[node] = row
        return row

    def _give_back(self, node: str) -> None:
        if node in self._nodes or self._charged[node] > 0:
            return
        del self._charged[node]
        self._spare.append(self._rows.pop(node))

    def _resource(self, resource: str) -> int:
        number = self._resources.get(resource)
        if number is None:
            number = self._resources[resource] = len(self._resources)
            if number >= len(self._free):
                self._free = np.vstack([self._free, np.zeros_like(self._free)])
                self._allocatable = np.vstack([self._allocatable, np.zeros_like(self._allocatable)])
        return number

    def _allocate(self, row: int, node: NodeState | None, sign: int) -> None:
        if node is None:
            return
        for resource, amount in node.allocatable.items():
            number = self._resource(resource)
            self._allocatable[number, row] += sign * amount
            self._free[number, row] += sign * amount
        for key in node.labels:
            self._keys[key] += sign

    def _widen(self) -> None:
        size = self._free.shape[1]
        self._free = np.hstack([self._free, np.zeros_like(self._free)])
        self._allocatable = np.hstack([self._allocatable, np.zeros_like(self._allocatable)])
        self._schedulable = np.concatenate([self._schedulable, np.zeros(size, dtype=np.bool_)])


class _TenantRoll:
    """Whose charges stand on which row: entries without gaps, so that a copy is a slice."""

    def __init__(self) -> None:
        self._entries: Ints = np.zeros((COLUMNS, _ROOM), dtype=np.int64)
        """Columns as in `Tenancy`, with the fleet's rows as positions."""
        self._owners: list[str] = []
        self._entry_of: dict[str, int] = {}
        self._namespaces: dict[str, int] = {}
        self._exclusive_keys: dict[str, int] = {}
        self._groups: dict[str, int] = {}
        """Shared with the snapshots, so names are only added. Groups that have gone keep theirs for a while."""
        self._members: Counter[str] = Counter()
        self._group_of: dict[str, str] = {}
        self._next_group = 0
        """Never used for two groups, so that an old snapshot cannot take one for another."""
        self._frozen: Tenancy | None = None

    def add(self, owner: str, row: int, tenant: Tenant) -> None:
        entry = len(self._owners)
        if entry >= self._entries.shape[1]:
            self._entries = np.hstack([self._entries, np.zeros_like(self._entries)])
        if tenant.group not in self._groups:
            self._groups[tenant.group] = self._next_group
            self._next_group += 1
        self._members[tenant.group] += 1
        self._entries[:, entry] = (
            row,
            self._namespaces.setdefault(tenant.namespace, len(self._namespaces)),
            self._groups[tenant.group],
            self._exclusive_keys.setdefault(tenant.exclusive, len(self._exclusive_keys)),
            tenant.subgroup,
            self._exclusive_keys.setdefault(tenant.subgroup_exclusive, len(self._exclusive_keys)),
        )
        self._owners.append(owner)
        self._entry_of[owner] = entry
        self._group_of[owner] = tenant.group
        self._frozen = None

    def remove(self, owner: str) -> None:
        entry = self._entry_of.pop(owner, None)
        if entry is None:
            return
        self._frozen = None
        last = self._owners.pop()
        if last != owner:
            self._entries[:, entry] = self._entries[:, len(self._owners)]
            self._owners[entry] = last
            self._entry_of[last] = entry
        group = self._group_of.pop(owner)
        self._members[group] -= 1
        if not self._members[group]:
            del self._members[group]
            self._forget_groups()

    def _forget_groups(self) -> None:
        """Once most names are of groups that have gone, go on with the others: in a mapping of its own."""
        if len(self._groups) > 2 * len(self._members) + _ROOM:
            self._groups = {name: number for name, number in self._groups.items() if name in self._members}

    def move(self, before: Ints, rows: int) -> None:
        """Row `before[i]` is row i from now on."""
        after = np.zeros(rows, dtype=np.int64)
        after[before] = np.arange(len(before))
        used = len(self._owners)
        self._entries[0, :used] = after[self._entries[0, :used]]
        self._frozen = None

    @property
    def is_exclusive(self) -> bool:
        return any(self._exclusive_keys)

    def tenancy(self, nodes: int, rows: int) -> Tenancy:
        """The entries on known nodes, which have the first of all rows in use."""
        if self._frozen is None:
            entries = self._entries[:, : len(self._owners)]
            self._frozen = Tenancy(
                entries=entries.copy() if rows == nodes else entries[:, entries[0] < nodes],
                namespace_numbers=dict(self._namespaces),
                group_numbers=self._groups,
                exclusive_keys=tuple(self._exclusive_keys),
            )
        return self._frozen


def _fixed(node: NodeState) -> tuple[object, ...]:
    """What a table is made of: all but whether the node takes new pods."""
    return (node.labels, node.allocatable, node.taints)
