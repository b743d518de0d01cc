"""The hosts of a benchmark as plain arrays, and what stands on them: the ground truth that all policies share.

It knows nothing of the engine's search. Every binding of a whole group is handed to the independent checker
(`lws_sched.placement.violations`) together with the hosts as they were before it; a violation ends the benchmark. For
our own policies the floor keeps a `Fleet` in step, as the extender's ledger does.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from lws_sched.placement import Fleet, GroupRequest, NodeFacts, NodeState, Placed, PodShape, Tenant, violations

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

PODS = "pods"


class WrongPlacement(AssertionError):
    """A policy broke a promise that the independent checker knows of."""


@dataclass
class Waiting:
    """A group that has not started yet, and the members that are bound already (index to host)."""

    request: GroupRequest
    since: float = 0.0
    held: dict[int, int] = field(default_factory=dict)

    @property
    def missing(self) -> list[int]:
        return [index for index in range(self.request.size) if index not in self.held]

    @property
    def complete(self) -> bool:
        return len(self.held) == self.request.size


def shape_at(request: GroupRequest, index: int) -> PodShape:
    return request.worker if index else request.leader


def tenant_of(request: GroupRequest) -> Tenant:
    return Tenant(group=request.key, namespace=request.key.split("/")[0], exclusive=request.exclusive)


class Floor:
    """Hosts in a fixed order. `free` has the shape [resources, hosts], in scheduler units."""

    def __init__(self, nodes: Sequence[NodeState], with_fleet: bool) -> None:
        self.nodes = tuple(nodes)
        self.names = tuple(node.name for node in nodes)
        self.position = {name: index for index, name in enumerate(self.names)}
        resources = {PODS: None} | {name: None for node in nodes for name in sorted(node.allocatable)}
        self.resources = {name: row for row, name in enumerate(resources)}
        self.allocatable: Ints = np.array(
            [[node.allocatable.get(name, 0) for node in nodes] for name in self.resources], dtype=np.int64
        )
        self.free = self.allocatable.copy()
        self.fleet = Fleet() if with_fleet else None
        self.now = 0.0
        """The simulated clock, in seconds."""
        self.standing: dict[str, Waiting] = {}
        """Complete groups by key."""
        self.disturbed = 0
        """Complete groups that were moved."""
        self.checked = 0
        """Placements that the independent checker has passed."""
        self.levels = {key: self._codes(key) for key in nodes[0].labels}
        self.members: Ints = np.zeros(len(nodes), dtype=np.int64)
        """Members of groups on every host."""
        self._tenants: list[Counter[Tenant]] = [Counter() for _ in nodes]
        self._amounts: dict[PodShape, Ints] = {}
        if self.fleet is not None:
            for node in nodes:
                self.fleet.set_node(node)

    # --- what there is -----------------------------------------------------------------------------------------------

    def amounts(self, shape: PodShape) -> Ints:
        """What one pod takes, shape [resources]."""
        known = self._amounts.get(shape)
        if known is None:
            wanted = {**dict(shape.requests), PODS: 1}
            known = np.array([wanted.get(name, 0) for name in self.resources], dtype=np.int64)
            self._amounts[shape] = known
        return known

    def room(self, shape: PodShape, beside: PodShape | None = None) -> Ints:
        """How many pods of a shape every host takes, after one pod `beside` them; shape [hosts], never negative."""
        amounts = self.amounts(shape)
        rows = np.flatnonzero(amounts)
        free = self.free[rows]
        if beside is not None:
            free = free - self.amounts(beside)[rows, None]
        least: Ints = np.min(free // amounts[rows, None], axis=0)
        return np.maximum(least, 0)

    def domains(self, key: str) -> Ints:
        """The domain number of every host at a level; all zero for no level."""
        return self.levels[key] if key else np.zeros(len(self.names), dtype=np.int64)

    # --- what changes ------------------------------------------------------------------------------------------------

    def bind(self, waiting: Waiting, members: Mapping[int, int]) -> None:
        """Bind members (index to host). Once all are bound, the group as a whole has been checked."""
        if len(waiting.held) + len(members) == waiting.request.size:
            self._check_whole(waiting, members)
        for index, host in members.items():
            self._charge(waiting.request, index, host)
        waiting.held.update(members)
        if waiting.complete:
            self.standing[waiting.request.key] = waiting

    def move(self, waiting: Waiting, hosts: Mapping[int, int]) -> None:
        """A complete group changes hosts (index to host), which must be free while it still stands where it is."""
        self.check(waiting.request, hosts)
        self.remove(waiting)
        self.bind(waiting, hosts)
        self.disturbed += 1

    def remove(self, waiting: Waiting) -> None:
        """The group is gone: its members give back what they took."""
        self.standing.pop(waiting.request.key, None)
        for index, host in waiting.held.items():
            self.free[:, host] += self.amounts(shape_at(waiting.request, index))
            self.members[host] -= 1
            self._tenants[host] -= Counter([tenant_of(waiting.request)])
            if self.fleet is not None:
                self.fleet.release(f"{waiting.request.key}#{index}")
        waiting.held.clear()

    def occupy(self, owner: str, host: int, shape: PodShape) -> None:
        """A pod of nobody's group stands on the host for good."""
        self.free[:, host] -= self.amounts(shape)
        if self.fleet is not None:
            self.fleet.charge(owner, self.names[host], dict(shape.requests))

    def slots(self, waiting: Waiting) -> tuple[str, ...]:
        return tuple(self.names[waiting.held[index]] for index in range(waiting.request.size))

    # --- the checker's view ------------------------------------------------------------------------------------------

    def facts(self, hosts: Iterable[int], free: Ints | None = None) -> list[NodeFacts]:
        left = self.free if free is None else free
        return [
            NodeFacts(
                name=self.names[host],
                labels=self.nodes[host].labels,
                free={name: int(left[row, host]) for name, row in self.resources.items()},
                tenants=tuple(self._tenants[host]),
            )
            for host in sorted(set(hosts))
        ]

    def check(self, request: GroupRequest, hosts: Mapping[int, int], free: Ints | None = None) -> None:
        """Raises WrongPlacement where the whole group (index to host) breaks a promise on what is free."""
        slots = tuple(self.names[hosts[index]] for index in range(request.size))
        seen = set(hosts.values())
        if request.exclusive:
            codes = self.levels[request.exclusive]
            seen |= set(np.flatnonzero(np.isin(codes, [codes[host] for host in seen])).tolist())
        found = violations(self.facts(seen, free), request, Placed(request.key, slots, "", "", "exact"))
        if found:
            raise WrongPlacement("; ".join(found))
        self.checked += 1

    def _check_whole(self, waiting: Waiting, members: Mapping[int, int]) -> None:
        """The members that are held already are given back for the look: the group is checked as one."""
        free = self.free
        if waiting.held:
            free = free.copy()
            for index, host in waiting.held.items():
                free[:, host] += self.amounts(shape_at(waiting.request, index))
        self.check(waiting.request, {**waiting.held, **members}, free)

    def _charge(self, request: GroupRequest, index: int, host: int) -> None:
        shape, tenant = shape_at(request, index), tenant_of(request)
        self.free[:, host] -= self.amounts(shape)
        self.members[host] += 1
        self._tenants[host][tenant] += 1
        if self.fleet is not None:
            self.fleet.charge(f"{request.key}#{index}", self.names[host], dict(shape.requests), tenant)

    def _codes(self, key: str) -> Ints:
        values = dict.fromkeys(node.labels[key] for node in self.nodes)
        numbers = {value: number for number, value in enumerate(values)}
        return np.array([numbers[node.labels[key]] for node in self.nodes], dtype=np.int64)


def kind_of(request: GroupRequest) -> GroupRequest:
    """The request without what makes it one among equals."""
    return replace(request, key="", created="", priority=0)
