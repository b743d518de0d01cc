"""What stands in a group's way, domain by domain: a `Cover` for each domain that could take it with all victims gone.

A victim matters to a domain if it holds something on a node there that takes members, or if it bars such a node by an
exclusive topology, its own or the group's.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from lws_sched.placement import topology
from lws_sched.placement.cover import Cover, Demand
from lws_sched.placement.eligibility import eligible
from lws_sched.placement.node import taken
from lws_sched.placement.request import LEADER_EXCLUDED, Amounts, GroupRequest
from lws_sched.placement.room import Asked, asked, barring, closed_to
from lws_sched.placement.snapshot import Snapshot
from lws_sched.placement.table import Bools, Ints
from lws_sched.placement.topology import UnknownLevel
from lws_sched.placement.victims import Scale, Victim, without


def covers(
    snapshot: Snapshot, request: GroupRequest, offered: Sequence[Victim], scale: Scale, within: Bools | None = None
) -> Iterator[Cover]:
    """One per domain that could take the group, in natural order. `within` restricts it to some nodes."""
    keys = asked(snapshot.table, request)
    if isinstance(keys, UnknownLevel):
        return
    scene = _Scene.of(snapshot, request, keys, offered, within)
    holdings = _Holdings.of(snapshot, scene, offered)
    for domain in scene.possible():
        yield _cover(scene, holdings, scale, domain)


@dataclass(frozen=True, eq=False)
class _Scene:
    """The fleet as the group sees it: which nodes take its members once all victims are gone, and who bars them now."""

    snapshot: Snapshot
    cleared: Snapshot
    demand: Demand
    base: tuple[str, ...]
    takes_leader: Bools
    takes_worker: Bools
    bars: Mapping[int, frozenset[int]]
    """Per node that is barred for now, the victims that bar it."""

    @staticmethod
    def of(
        snapshot: Snapshot, request: GroupRequest, keys: Asked, offered: Sequence[Victim], within: Bools | None
    ) -> _Scene:
        table, cleared = snapshot.table, without(snapshot, offered)
        allowed = snapshot.schedulable & (table.partition(keys.base).codes >= 0)
        if within is not None:
            allowed &= within
        worker = request.worker if request.size > 1 else request.leader
        to_leader, to_worker = _open(cleared, request, keys)
        return _Scene(
            snapshot,
            cleared,
            Demand.of(request),
            keys.base,
            allowed & to_leader & eligible(table, request.leader),
            allowed & to_worker & eligible(table, worker),
            _bars(snapshot, request, keys, offered, allowed & (to_leader | to_worker)),
        )

    @property
    def useful(self) -> Bools:
        return self.takes_leader | self.takes_worker

    def possible(self) -> list[int]:
        """The domains that have room once all victims are gone."""
        free = np.array([self.cleared.available(each) for each in self.demand.resources])
        workers, loss = self.demand.room(free, self.takes_leader, self.takes_worker)
        partition = self.snapshot.table.partition(self.base)
        slack = partition.total(workers) - partition.least(loss) - self.demand.workers
        return np.flatnonzero(slack >= 0).tolist()


@dataclass(frozen=True, eq=False)
class _Holdings:
    """What the victims hold on nodes that take members, one entry per victim and node, domain by domain."""

    domains: Ints
    victims: Ints
    nodes: Ints
    amounts: Ints
    """Shape [entries, resources]."""

    @staticmethod
    def of(snapshot: Snapshot, scene: _Scene, offered: Sequence[Victim]) -> _Holdings:
        vectors: dict[Amounts, Ints] = {}
        held: dict[tuple[int, int], Ints] = {}
        useful, positions = scene.useful, snapshot.table.position
        for number, victim in enumerate(offered):
            for name, requests in victim.pods:
                node = positions.get(name)
                if node is None or not useful[node]:
                    continue
                if requests not in vectors:
                    pod = taken(dict(requests))
                    vectors[requests] = np.array([pod.get(each, 0) for each in scene.demand.resources], dtype=np.int64)
                before = held.get((number, node))
                held[number, node] = vectors[requests] if before is None else before + vectors[requests]
        victims, nodes = np.array([*held], dtype=np.int64).reshape(-1, 2).T
        domains = snapshot.table.partition(scene.base).codes[nodes]
        order = np.lexsort((nodes, victims, domains))
        amounts = np.array([*held.values()], dtype=np.int64).reshape(len(held), len(scene.demand.resources))
        return _Holdings(domains[order], victims[order], nodes[order], amounts[order])

    def of_domain(self, domain: int) -> slice:
        first, last = np.searchsorted(self.domains, [domain, domain + 1]).tolist()
        return slice(first, last)


def _cover(scene: _Scene, holdings: _Holdings, scale: Scale, domain: int) -> Cover:
    snapshot = scene.snapshot
    members = snapshot.table.partition(scene.base).members(domain)
    nodes = members[scene.useful[members]]
    entries = holdings.of_domain(domain)
    bars = {int(index): scene.bars[int(nodes[index])] for index in range(len(nodes)) if int(nodes[index]) in scene.bars}
    concerned = sorted({*holdings.victims[entries].tolist(), *(each for barring in bars.values() for each in barring)})
    local = {victim: number for number, victim in enumerate(concerned)}
    where = np.searchsorted(nodes, holdings.nodes[entries])
    return Cover(
        demand=scene.demand,
        nodes=nodes,
        free=np.array([snapshot.available(each)[nodes] for each in scene.demand.resources]),
        takes_leader=scene.takes_leader[nodes],
        takes_worker=scene.takes_worker[nodes],
        victims=tuple(concerned),
        weights=tuple(scale.weights[victim] for victim in concerned),
        holds=tuple(_held_by(holdings.victims[entries], where, holdings.amounts[entries], each) for each in concerned),
        bars={node: frozenset(local[victim] for victim in barring) for node, barring in bars.items()},
    )


def _held_by(victims: Ints, where: Ints, amounts: Ints, victim: int) -> tuple[Ints, Ints]:
    mine = victims == victim
    return where[mine], amounts[mine].T


def _open(snapshot: Snapshot, request: GroupRequest, keys: Asked) -> tuple[Bools, Bools]:
    """The nodes that nobody bars, to the leader and to the workers."""
    closed = closed_to(snapshot, request, keys)
    if closed is None:
        everything = np.ones(len(snapshot.table), dtype=np.bool_)
        return everything, everything
    return ~closed.to_leader, ~closed.to_workers


def _bars(
    snapshot: Snapshot, request: GroupRequest, keys: Asked, offered: Iterable[Victim], usable: Bools
) -> dict[int, frozenset[int]]:
    """Per usable node that is barred for now, the victims that bar it. Nodes in the same domains of all exclusive keys
    are barred alike. What bars some members only (subgroups without the leader) is left to `search`."""
    if request.subgroup_policy == LEADER_EXCLUDED:
        request = replace(request, subgroup_size=0)
    tenancy, table = snapshot.tenancy, snapshot.table
    shut = usable & ~_open(snapshot, request, keys)[0]
    numbers = tenancy.group_numbers
    victim_of = {numbers[each.key]: number for number, each in enumerate(offered) if each.key in numbers}
    held = {
        topology.key_or_name(key, table.keys) for key in (*tenancy.exclusive_keys, keys.exclusive, keys.inner_exclusive)
    }
    columns = [table.column(key).codes for key in sorted(held & table.keys)]
    alike: dict[tuple[int, ...], frozenset[int]] = {}
    found: dict[int, frozenset[int]] = {}
    for node in np.flatnonzero(shut).tolist():
        domains = tuple(int(codes[node]) for codes in columns)
        if domains not in alike:
            entries = barring(snapshot, request, keys, np.array([node], dtype=np.int64))
            alike[domains] = frozenset(victim_of[group] for group in np.unique(tenancy.groups[entries]).tolist())
        found[node] = alike[domains]
    return found
