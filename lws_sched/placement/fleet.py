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
from lws_sched.placement.node import PODS, NodeState, Tenant, natural_key, taken
from lws_sched.placement.snapshot import Snapshot, Tenancy
from lws_sched.placement.table import ABSENT, Ints, NodeTable

_ROOM = 64


@dataclass(frozen=True)
class _Charge:
    node: str
    row: int
    amounts: tuple[tuple[int, int], ...]
    """(resource row, amount) pairs."""


class Fleet:
    """All nodes, and who takes how much of which."""

    def __init__(self) -> None:
        self.version = 0
        """Grows with every change."""
        self._nodes: dict[str, NodeState] = {}
        self._rows: dict[str, int] = {}
        """Column of the matrix for every node that is known or charged."""
        self._spare: list[int] = []
        self._charged: Counter[str] = Counter()
        self._resources: dict[str, int] = {PODS: 0}
        self._free: Ints = np.zeros((8, _ROOM), dtype=np.int64)
        self._allocatable: Ints = np.zeros((8, _ROOM), dtype=np.int64)
        self._schedulable = np.zeros(_ROOM, dtype=np.bool_)
        self._owners: dict[str, _Charge] = {}
        self._tenants = _TenantRoll()
        self._keys: Counter[str] = Counter()
        self._table: NodeTable | None = None
        self._order: Ints = np.zeros(0, dtype=np.int64)
        self._places: Ints = np.zeros(0, dtype=np.int64)
        """Position in name order by row; ABSENT for rows of unknown nodes."""

    # --- events ------------------------------------------------------------------------------------------------------

    def set_node(self, node: NodeState) -> None:
        """Add a node or replace what is known of it."""
        before = self._nodes.get(node.name)
        row = self._row(node.name)
        self._nodes[node.name] = node
        self._schedulable[row] = node.schedulable
        self.version += 1
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
        charge = _Charge(node, row, amounts)
        for resource, amount in charge.amounts:
            self._free[resource, row] -= amount
        self._owners[owner] = charge
        self._charged[node] += 1
        if tenant is not None:
            self._tenants.add(owner, row, tenant)
        self.version += 1

    def release(self, owner: str) -> None:
        """Take back a charge; unknown owners are ignored."""
        charge = self._owners.pop(owner, None)
        if charge is None:
            return
        for resource, amount in charge.amounts:
            self._free[resource, charge.row] += amount
        self._tenants.remove(owner)
        self._charged[charge.node] -= 1
        self.version += 1
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

    def snapshot(self) -> Snapshot:
        """The fleet as it is now; later events do not change it."""
        table = self._table or self._make_table()
        used = len(self._resources)
        return Snapshot(
            table=table,
            resources=dict(self._resources),
            free=np.take(self._free[:used], self._order, axis=1),
            schedulable=self._schedulable[self._order],
            tenancy=self._tenants.tenancy(self._places),
            version=self.version,
        )

    # --- rows --------------------------------------------------------------------------------------------------------

    def _make_table(self) -> NodeTable:
        nodes = self.nodes()
        rows = [self._rows[node.name] for node in nodes]
        self._order = np.array(rows, dtype=np.int64)
        self._places = np.full(self._free.shape[1], ABSENT, dtype=np.int64)
        self._places[self._order] = np.arange(len(rows))
        allocatable = np.take(self._allocatable[: len(self._resources)], self._order, axis=1)
        keys = {key for key, count in self._keys.items() if count > 0}
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
        self._places = np.concatenate([self._places, np.full(2 * size - len(self._places), ABSENT, dtype=np.int64)])


class _TenantRoll:
    """Whose charges stand on which row: entries without gaps, so that a copy is a slice."""

    def __init__(self) -> None:
        self._entries: Ints = np.zeros((4, _ROOM), dtype=np.int64)
        """Rows: the fleet's row, namespace, group and exclusive key, all numbers."""
        self._owners: list[str] = []
        self._entry_of: dict[str, int] = {}
        self._namespaces: dict[str, int] = {}
        self._exclusives: dict[str, int] = {}
        self._groups: dict[str, int] = {}
        self._members: Counter[str] = Counter()
        self._group_of: dict[str, str] = {}
        self._next_group = 0
        """Never used twice, so that an old snapshot cannot take one group for another."""
        self._frozen_groups: Mapping[str, int] | None = None

    def add(self, owner: str, row: int, tenant: Tenant) -> None:
        entry = len(self._owners)
        if entry >= self._entries.shape[1]:
            self._entries = np.hstack([self._entries, np.zeros_like(self._entries)])
        if tenant.group not in self._groups:
            self._groups[tenant.group] = self._next_group
            self._next_group += 1
            self._frozen_groups = None
        self._members[tenant.group] += 1
        namespace = self._namespaces.setdefault(tenant.namespace, len(self._namespaces))
        exclusive = self._exclusives.setdefault(tenant.exclusive, len(self._exclusives))
        self._entries[:, entry] = (row, namespace, self._groups[tenant.group], exclusive)
        self._owners.append(owner)
        self._entry_of[owner] = entry
        self._group_of[owner] = tenant.group

    def remove(self, owner: str) -> None:
        entry = self._entry_of.pop(owner, None)
        if entry is None:
            return
        last = self._owners.pop()
        if last != owner:
            self._entries[:, entry] = self._entries[:, len(self._owners)]
            self._owners[entry] = last
            self._entry_of[last] = entry
        group = self._group_of.pop(owner)
        self._members[group] -= 1
        if not self._members[group]:
            del self._members[group], self._groups[group]
            self._frozen_groups = None

    def tenancy(self, places: Ints) -> Tenancy:
        """The entries on known nodes, with positions in name order."""
        entries = self._entries[:, : len(self._owners)]
        positions = places[entries[0]] if len(self._owners) else np.zeros(0, dtype=np.int64)
        known = positions != ABSENT
        if self._frozen_groups is None:
            self._frozen_groups = dict(self._groups)
        return Tenancy(
            positions=positions[known],
            namespaces=entries[1][known],
            groups=entries[2][known],
            exclusives=entries[3][known],
            namespace_numbers=dict(self._namespaces),
            group_numbers=self._frozen_groups,
            exclusive_keys=tuple(self._exclusives),
        )


def _fixed(node: NodeState) -> tuple[object, ...]:
    """What a table is made of: all but whether the node takes new pods."""
    return (node.labels, node.allocatable, node.taints)
