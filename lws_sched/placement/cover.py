"""One domain, and the cheapest victims in it whose leaving makes room for a group.

With z_v = 1 where victim v is evicted, f_ir what node i has free of resource r and a_vir what v holds there, node i has
room for

    workers_i(z) = min_r floor((f_ir + sum_v a_vir z_v) / W_r)

workers, if every victim that bars it (by an exclusive topology) is evicted, else for none; the leader takes loss_i(z)
of them. The domain admits the group if sum_i workers_i(z) - min_i loss_i(z) >= size - 1 (see `room`).

- `greedy`: evict all, then spare each that can be spared, the dearest first. Minimal, not always cheapest.
- `knapsack`: where every node gains from at most one victim the rooms add up, and a dynamic programme over the room
  gained finds the cheapest set: exact.
- `least`: a bound from below, the fractional cover by victims whose gain is overestimated.

Where nodes are shared, `cover_model` finds the cheapest set with CP-SAT.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property

import numpy as np

from lws_sched.placement.node import taken
from lws_sched.placement.request import GroupRequest
from lws_sched.placement.room import NEVER
from lws_sched.placement.table import Bools, Ints

GRID = 1_000_000
"""Overestimated gains are counted in millionths of a worker, rounded up."""


@dataclass(frozen=True, eq=False)
class Demand:
    """What the members ask for, by resource. Shape of `leader` and `worker`: [resources]."""

    resources: tuple[str, ...]
    leader: Ints
    worker: Ints
    workers: int

    @staticmethod
    def of(request: GroupRequest) -> Demand:
        leader = taken(dict(request.leader.requests))
        worker = taken(dict(request.worker.requests)) if request.size > 1 else leader
        resources = tuple(sorted({*leader, *worker}))
        amounts = np.array([[shape.get(each, 0) for each in resources] for shape in (leader, worker)], dtype=np.int64)
        return Demand(resources, amounts[0], amounts[1], request.size - 1)

    def room(self, free: Ints, takes_leader: Bools, takes_worker: Bools) -> tuple[Ints, Ints]:
        """(workers, loss) per node for free amounts of shape [resources, nodes], as `room.Room` has them."""
        column, asked = self.leader[:, None], self.worker > 0
        unit = self.worker[asked][:, None]
        workers = np.where(takes_worker, (free[asked] // unit).min(axis=0).clip(0), 0)
        beside = np.where(takes_worker, ((free - column)[asked] // unit).min(axis=0).clip(0), 0)
        fits = takes_leader & ((free >= column) | (column == 0)).all(axis=0)
        return workers, np.where(fits, np.maximum(workers - beside, 0), NEVER)


@dataclass(frozen=True, eq=False)
class Cover:
    """Arrays over the domain's nodes; victims are numbered as they come in `victims`."""

    demand: Demand
    nodes: Ints
    free: Ints
    takes_leader: Bools
    takes_worker: Bools
    victims: tuple[int, ...]
    """Their numbers among all that are offered."""
    weights: tuple[int, ...]
    holds: tuple[tuple[Ints, Ints], ...]
    """Per victim, (indices of its nodes, what it holds there: [resources, those nodes])."""
    bars: Mapping[int, frozenset[int]]
    """Per node that is closed for now, the victims that bar it."""

    def weight(self, evicted: Iterable[int]) -> int:
        return sum(self.weights[each] for each in evicted)

    @cached_property
    def touched(self) -> tuple[frozenset[int], ...]:
        """Per node, the victims that matter to it."""
        found: list[set[int]] = [set(self.bars.get(node, ())) for node in range(len(self.nodes))]
        useful = self.takes_leader | self.takes_worker
        for victim, (where, _) in enumerate(self.holds):
            for node in where.tolist():
                if useful[node]:
                    found[node].add(victim)
        return tuple(frozenset(each) for each in found)

    def room(self, evicted: Iterable[int]) -> tuple[Ints, Ints]:
        """(workers, loss) per node once these are gone."""
        gone, free = set(evicted), self.free.copy()
        for victim in gone:
            where, amounts = self.holds[victim]
            free[:, where] += amounts
        takes_leader, takes_worker = self.takes_leader, self.takes_worker
        shut = [node for node, barring in self.bars.items() if not barring <= gone]
        if shut:
            takes_leader, takes_worker = takes_leader.copy(), takes_worker.copy()
            takes_leader[shut] = takes_worker[shut] = False
        return self.demand.room(free, takes_leader, takes_worker)

    def fits(self, evicted: Iterable[int]) -> bool:
        workers, loss = self.room(evicted)
        return int(workers.sum()) - int(loss.min(initial=NEVER)) >= self.demand.workers

    # --- any cheap set -----------------------------------------------------------------------------------------------

    def greedy(self) -> frozenset[int]:
        """The better of two minimal sets: dearest spared first, and dearest for its size spared first."""
        sizes = [max(int(amounts.sum()), 1) for _, amounts in self.holds]
        orders = (
            sorted(range(len(self.victims)), key=lambda each: -self.weights[each]),
            sorted(range(len(self.victims)), key=lambda each: Fraction(-self.weights[each], sizes[each])),
        )
        return min((self._spare(order) for order in orders), key=self.weight)

    def _spare(self, order: Sequence[int]) -> frozenset[int]:
        """Spare in this order whoever can be: a head of it together, then one by one."""
        spared = bisect_left(range(1, len(order) + 1), True, key=lambda count: not self.fits(order[count:]))
        evicted = set(order[spared:])
        for victim in order[spared + 1 :]:
            if self.fits(evicted - {victim}):
                evicted.discard(victim)
        return frozenset(evicted)

    # --- a bound from below ------------------------------------------------------------------------------------------

    def least(self) -> int:
        """No set that makes room costs less: the fractional cover of the missing workers.

        Node i gains at most what its scarcest resource r allows: x / min(W_r, what its next worker lacks of r) when x
        of r is given back. Each victim's share of that, never more than the node can gain at all, overestimates its
        gain. Victims that bar the whole domain must go in any case.
        """
        musts = self._musts()
        forced = self.weight(musts)
        if self.bars:
            return forced
        now, _ = self.room(())
        missing = (self.demand.workers - int(now.sum())) * GRID
        gains = self._most_gained(now)
        useful = [each for each in range(len(self.victims)) if gains[each] > 0]
        for victim in sorted(useful, key=lambda each: Fraction(self.weights[each], gains[each])):
            if missing <= 0:
                break
            if gains[victim] >= missing:
                return forced + -(-self.weights[victim] * missing // gains[victim])
            forced += self.weights[victim]
            missing -= gains[victim]
        return forced

    def _musts(self) -> frozenset[int]:
        """The victims that bar every node which takes members."""
        useful = np.flatnonzero(self.takes_leader | self.takes_worker).tolist()
        barring = [self.bars.get(node, frozenset()) for node in useful]
        return frozenset.intersection(*barring) if barring else frozenset()

    def _most_gained(self, now: Ints) -> list[int]:
        most = self.room(range(len(self.victims)))[0] - now
        unit, free = self.demand.worker[:, None], self.free
        asked = self.demand.worker > 0
        lacks = np.where(asked[:, None], (now + 1) * unit - free, 0)
        scarcest = np.argmax(lacks / np.maximum(unit, 1), axis=0)
        columns = np.arange(len(self.nodes))
        step = np.minimum(lacks[scarcest, columns], self.demand.worker[scarcest]).clip(1)
        gains = []
        for where, amounts in self.holds:
            given = amounts[scarcest[where], np.arange(len(where))]
            gains.append(int(np.minimum(-(-given * GRID // step[where]), most[where] * GRID).sum()))
        return gains

    # --- the cheapest set, nodes not shared --------------------------------------------------------------------------

    def knapsack(self) -> frozenset[int] | None:
        """The cheapest set where every node gains from at most one victim, once those that must go are gone; None
        where nodes are shared, or nothing fits."""
        musts = self._musts()
        owners = [each - musts for each in self.touched]
        if any(len(each) > 1 for each in owners):
            return None
        before, after = self.room(musts), self.room(range(len(self.victims)))
        owner = np.array([next(iter(each), -1) for each in owners], dtype=np.int64)
        choices = _Choices.of(owner, before, after, self.weights)
        best: tuple[int, frozenset[int]] | None = None
        for most_lost in sorted({*before[1].tolist(), *after[1].tolist()} - {NEVER}):
            found = choices.cheapest(self.demand.workers + most_lost, most_lost)
            if found is not None and (best is None or self.weight(found) < best[0]):
                best = (self.weight(found), found)
        return None if best is None else best[1] | musts


@dataclass(frozen=True, eq=False)
class _Choices:
    """Per victim that owns nodes alone: the workers that fit there and the least that the leader costs there, if it
    stays and if it goes. Nodes that nobody owns count in `base` and `base_loss`."""

    base: int
    base_loss: int
    victims: tuple[int, ...]
    weights: tuple[int, ...]
    kept: tuple[tuple[int, int], ...]
    gone: tuple[tuple[int, int], ...]

    @staticmethod
    def of(owner: Ints, before: tuple[Ints, Ints], after: tuple[Ints, Ints], weights: Sequence[int]) -> _Choices:
        def said(room: tuple[Ints, Ints], number: int) -> tuple[int, int]:
            mine = owner == number
            return int(room[0][mine].sum()), int(room[1][mine].min(initial=NEVER))

        victims = tuple(sorted(set(owner.tolist()) - {-1}))
        return _Choices(
            *said(before, -1),
            victims,
            tuple(weights[each] for each in victims),
            tuple(said(before, each) for each in victims),
            tuple(said(after, each) for each in victims),
        )

    def cheapest(self, wanted: int, most_lost: int) -> frozenset[int] | None:
        """The cheapest victims that leave room for `wanted` workers and a node where the leader costs at most
        `most_lost`: over the victims one by one, the cheapest way to every (led, room), room counted no further than
        what is wanted."""
        missing = max(wanted - self.base - sum(room for room, _ in self.kept), 0)
        ways = {(self.base_loss <= most_lost, 0): _Way(0, None, None)}
        for victim, weight, kept, gone in zip(self.victims, self.weights, self.kept, self.gone, strict=True):
            found: dict[tuple[bool, int], _Way] = {}
            for (led, room), way in ways.items():
                _keep(found, (led or kept[1] <= most_lost, room), way)
                gained = min(room + gone[0] - kept[0], missing)
                _keep(found, (led or gone[1] <= most_lost, gained), _Way(way.weight + weight, victim, way))
            ways = found
        best = ways.get((True, missing))
        return None if best is None else best.evicted()


@dataclass(frozen=True)
class _Way:
    """A choice of victims so far, as a chain."""

    weight: int
    last: int | None
    before: _Way | None

    def evicted(self) -> frozenset[int]:
        found, way = [], self
        while way.before is not None:
            assert way.last is not None
            found.append(way.last)
            way = way.before
        return frozenset(found)


def _keep(ways: dict[tuple[bool, int], _Way], state: tuple[bool, int], way: _Way) -> None:
    known = ways.get(state)
    if known is None or way.weight < known.weight:
        ways[state] = way
