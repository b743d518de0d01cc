"""Hands placements to the independent checker, with the nodes that matter to each as plain values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from lws_sched.placement import topology
from lws_sched.placement.check import violations
from lws_sched.placement.node import NodeFacts, Tenant, taken
from lws_sched.placement.request import GroupRequest, Placed
from lws_sched.placement.snapshot import Snapshot, namespace_of, tenants_of
from lws_sched.placement.table import ABSENT

Groups = Sequence[tuple[GroupRequest, Placed]]


def verify(snapshot: Snapshot, request: GroupRequest, placed: Placed) -> None:
    """Raises AssertionError, with what is wrong, where the placement breaks a promise on this snapshot."""
    Referee(snapshot, [(request, placed)]).judge(request, placed)


class Referee:
    """Checks groups one after the other, each with those before it in place."""

    def __init__(self, snapshot: Snapshot, groups: Groups) -> None:
        self._snapshot = snapshot
        positions = snapshot.table.position
        slots = {positions[node] for _, placed in groups for node in placed.slots if node in positions}
        self._facts: dict[str, NodeFacts] = {}
        self._is_anyone_exclusive = snapshot.tenancy.is_exclusive or any(
            request.exclusive or request.subgroup_exclusive for request, _ in groups
        )
        """Where nobody is, it does not matter who stands where."""
        self._know(slots)
        self._standing: dict[tuple[str, str], dict[str, set[str]]] = {}
        """By namespace and label: by the label's value, the nodes where groups of the namespace stand."""
        self._held: dict[str, set[str]] = {}
        """By namespace, the labels whose domains some group or subgroup of it holds."""

    def admit(self, request: GroupRequest, placed: Placed) -> None:
        """Put a group in place. Raises AssertionError, with what is wrong, where that breaks a promise."""
        self.judge(request, placed)
        leader, worker = (taken(dict(shape.requests)) for shape in (request.leader, request.worker))
        for index, name in enumerate(placed.slots):
            free = self._facts[name].free
            for resource, amount in (worker if index else leader).items():
                free[resource] = free.get(resource, 0) - amount
        if self._is_anyone_exclusive:
            for name, tenant in zip(placed.slots, tenants_of(request), strict=True):
                self._stand(name, tenant)

    def judge(self, request: GroupRequest, placed: Placed) -> None:
        """Raises AssertionError where a place breaks a promise."""
        names = {*placed.slots}
        if self._is_anyone_exclusive:
            names |= self._neighbours(request, placed)
        nodes = [self._facts[name] for name in sorted(names) if name in self._facts]
        grids = topology.with_axes(self._snapshot.table.keys) if request.box else ()
        found = violations(nodes, self._by_label(request), placed, grids)
        if found:
            raise AssertionError("; ".join(found))

    def _by_label(self, request: GroupRequest) -> GroupRequest:
        """The request with labels in place of level names, which the checker does not know."""
        wanted = (request.required, request.exclusive, request.subgroup_required, request.subgroup_exclusive)
        labels = tuple(self._snapshot.table.label(each) for each in wanted)
        if labels == wanted:
            return request
        required, exclusive, subgroup_required, subgroup_exclusive = labels
        return replace(
            request,
            required=required,
            exclusive=exclusive,
            subgroup_required=subgroup_required,
            subgroup_exclusive=subgroup_exclusive,
        )

    def _stand(self, name: str, tenant: Tenant) -> None:
        before = self._facts[name]
        self._facts[name] = before._replace(tenants=(*before.tenants, tenant))
        for key in (tenant.exclusive, tenant.subgroup_exclusive):
            if key:
                self._holders(tenant.namespace).add(self._snapshot.table.label(key))
        for (namespace, key), by_value in self._standing.items():
            if namespace == tenant.namespace and key in before.labels:
                by_value.setdefault(before.labels[key], set()).add(name)

    def _neighbours(self, request: GroupRequest, placed: Placed) -> set[str]:
        """The nodes in domains that somebody may hold where groups of the request's namespace stand."""
        namespace, table = namespace_of(request), self._snapshot.table
        wanted = {table.label(each) for each in (request.exclusive, request.subgroup_exclusive)}
        near: set[str] = set()
        for key in (wanted | self._holders(namespace)) & table.keys:
            by_value = self._domains(namespace, key)
            for name in {*placed.slots}:
                if name in self._facts:
                    near |= by_value.get(self._facts[name].labels.get(key, ""), set())
        self._know({table.position[name] for name in near if name not in self._facts})
        return near

    def _holders(self, namespace: str) -> set[str]:
        if namespace not in self._held and not self._snapshot.tenancy.is_exclusive:
            self._held[namespace] = set()
        if namespace not in self._held:
            tenancy, table = self._snapshot.tenancy, self._snapshot.table
            mine = tenancy.others(namespace, "")
            numbers = np.bincount(np.concatenate([tenancy.exclusives[mine], tenancy.inner[mine]]))
            names = {tenancy.exclusive_keys[number] for number in np.flatnonzero(numbers).tolist()}
            self._held[namespace] = {table.label(name) for name in names if name}
        return self._held[namespace]

    def _domains(self, namespace: str, key: str) -> dict[str, set[str]]:
        if (namespace, key) not in self._standing:
            table, tenancy = self._snapshot.table, self._snapshot.tenancy
            by_value: dict[str, set[str]] = {}
            first = np.unique(tenancy.positions[tenancy.others(namespace, "")])
            now = {table.position[name] for name, node in self._facts.items() if _has_member_of(node, namespace)}
            column = table.column(key)
            for node in {*first.tolist(), *now}:
                if column.codes[node] != ABSENT:
                    by_value.setdefault(column.values[column.codes[node]], set()).add(table.names[node])
            self._standing[namespace, key] = by_value
        return self._standing[namespace, key]

    def _know(self, positions: set[int]) -> None:
        if positions:
            snapshot = self._snapshot
            self._facts |= snapshot.facts(positions) if self._is_anyone_exclusive else snapshot.amounts(positions)


def _has_member_of(node: NodeFacts, namespace: str) -> bool:
    return any(tenant.namespace == namespace for tenant in node.tenants)
