"""What others do, each policy written from its documented behaviour and named for what it models.

All policies are asked for the same thing: every member of a group in one domain of the required level, as a user of
each system would ask for it (pod affinity, a pinned domain, or a required topology). Pods that arrive together are
tried in order; kube-scheduler's choice among equal scores is random there, and here, from the seed.

- `pod-by-pod`: kube-scheduler alone. Every pod goes to the best host by LeastAllocated and BalancedAllocation and is
  bound at once; the group's pod affinity keeps later pods in the domain of the first.
- `gang`: the same choice of hosts, all or nothing, as coscheduling does it: a group that does not fit where its first
  pod went gives everything back.
- `leader-first`: upstream's exclusive-topology. All leaders are bound before any worker, workers are pinned to the
  domain of their leader.
- `best-fit`: Kueue's topology-aware scheduling. All or nothing, the domain with the least room that takes the group,
  then best fit again level by level down to hosts.
- `emptiest`: all or nothing, the domain with most room, spread over its hosts.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np

from benchmarks.placement.floor import Bools, Floor, Ints, Waiting, kind_of, shape_at
from lws_sched.placement import GroupRequest, PodShape

Place = Callable[[Floor, GroupRequest], dict[int, int] | None]
NEVER = 1 << 60
SHUFFLED = "pod-by-pod, pods in random order"
ANY = -1
"""The domain of a group of which nothing is bound yet."""


class Policy(Protocol):
    @property
    def name(self) -> str: ...

    @property
    def needs_fleet(self) -> bool:
        """Whether the floor must keep a `Fleet` in step."""

    def serve(self, floor: Floor, queue: Sequence[Waiting]) -> None:
        """Bind what can be bound of the queue, which is in order of arrival."""


def backfill(floor: Floor, queue: Sequence[Waiting], place: Place) -> None:
    """The common queue discipline: in order of arrival, whoever fits starts. Room only shrinks meanwhile, so after one
    refusal the groups that are alike are not tried again."""
    refused: set[GroupRequest] = set()
    for waiting in queue:
        kind = kind_of(waiting.request)
        if kind in refused:
            continue
        members = place(floor, waiting.request)
        if members is None:
            refused.add(kind)
        else:
            floor.bind(waiting, members)


class AllOrNothing:
    """A rule that places whole groups, under the common queue discipline."""

    needs_fleet = False

    def __init__(self, name: str, place: Place) -> None:
        self.name = name
        self._place = place

    def serve(self, floor: Floor, queue: Sequence[Waiting]) -> None:
        backfill(floor, queue, self._place)


class PodByPod:
    """kube-scheduler alone. What is bound stays bound, and holds its host, whether or not the rest follows."""

    needs_fleet = False

    def __init__(self, seed: int, leaders_first: bool, shuffled: bool = False) -> None:
        """`shuffled`: pods of waiting groups come up in random order, as after retries, not group by group."""
        self.name = "leader-first" if leaders_first else SHUFFLED if shuffled else "pod-by-pod"
        self._leaders_first = leaders_first
        self._shuffled = shuffled
        self._random = np.random.default_rng(seed)

    def serve(self, floor: Floor, queue: Sequence[Waiting]) -> None:
        refused: set[tuple[GroupRequest, int]] = set()
        if self._leaders_first:
            for waiting in queue:
                self._go_on(floor, waiting, 0 if waiting.held else 1, refused)
            queue = [waiting for waiting in queue if 0 in waiting.held]
        if self._shuffled:
            queue = [waiting for waiting in queue for _ in waiting.missing]
            queue = [queue[index] for index in self._random.permutation(len(queue))]
        for waiting in queue:
            self._go_on(floor, waiting, 1 if self._shuffled else waiting.request.size, refused)

    def _go_on(self, floor: Floor, waiting: Waiting, count: int, refused: set[tuple[GroupRequest, int]]) -> None:
        """Bind up to `count` of the missing members, one after the other, until one finds no host. Room only shrinks
        meanwhile: after one refusal the pods of groups that are alike are not tried in that domain again."""
        codes = floor.domains(waiting.request.exclusive or waiting.request.required)
        for index in waiting.missing[:count]:
            place = (kind_of(waiting.request), int(codes[next(iter(waiting.held.values()))]) if waiting.held else ANY)
            host = None if place in refused else choose_host(floor, waiting.request, index, waiting.held, self._random)
            if host is None:
                refused.add(place)
                return
            floor.bind(waiting, {index: host})


def policies(seed: int) -> tuple[Policy, ...]:
    """All baselines, under the common queue discipline."""
    random = np.random.default_rng(seed)
    return (
        PodByPod(seed, leaders_first=False),
        PodByPod(seed, leaders_first=True),
        AllOrNothing("gang", lambda floor, request: place_gang(floor, request, random)),
        AllOrNothing("emptiest", place_emptiest),
        AllOrNothing("best-fit", place_best_fit),
    )


# --- pod by pod ------------------------------------------------------------------------------------------------------


def choose_host(
    floor: Floor, request: GroupRequest, index: int, held: dict[int, int], random: np.random.Generator
) -> int | None:
    """kube-scheduler's host for one pod: filters, then the best score, a random one among equals."""
    shape = shape_at(request, index)
    fits = floor.room(shape) > 0
    if request.required or request.exclusive:
        fits &= _affine(floor, request, held)
    able = np.flatnonzero(fits)
    if not len(able):
        return None
    score = default_score(floor, shape, able)
    best = able[score == score.max()]
    return int(best[random.integers(len(best))])


def default_score(floor: Floor, shape: PodShape, hosts: Ints) -> Ints:
    """LeastAllocated plus BalancedAllocation as kube-scheduler has them, 0 to 100 each, over what the pod asks for."""
    rows = np.array([floor.resources[name] for name, _ in shape.requests])
    offered = np.maximum(floor.allocatable[np.ix_(rows, hosts)], 1)
    left = (floor.free[np.ix_(rows, hosts)] - floor.amounts(shape)[rows, None]) / offered
    least = (100 * left).astype(np.int64).sum(axis=0) // len(rows)
    balanced = (100 * (1 - left.std(axis=0))).astype(np.int64)
    total: Ints = least + balanced
    return total


def _affine(floor: Floor, request: GroupRequest, held: dict[int, int]) -> Bools:
    """The hosts that the group's affinity leaves: the domain of whoever is bound, else any (that nobody else is in)."""
    mask = np.ones(len(floor.names), dtype=np.bool_)
    for key in {request.required, request.exclusive} - {""}:
        codes = floor.levels[key]
        if held:
            mask &= codes == codes[next(iter(held.values()))]
        elif key == request.exclusive:
            mask &= ~np.isin(codes, codes[floor.members > 0])
    return mask


def place_gang(floor: Floor, request: GroupRequest, random: np.random.Generator) -> dict[int, int] | None:
    """Pod by pod on what would be left, and nothing where one of them finds no host."""
    held: dict[int, int] = {}
    try:
        for index in range(request.size):
            host = choose_host(floor, request, index, held, random)
            if host is None:
                return None
            held[index] = host
            floor.free[:, host] -= floor.amounts(shape_at(request, index))
        return dict(held)
    finally:
        for index, host in held.items():
            floor.free[:, host] += floor.amounts(shape_at(request, index))


# --- whole domains ---------------------------------------------------------------------------------------------------


def place_best_fit(floor: Floor, request: GroupRequest) -> dict[int, int] | None:
    """The domain with the least room that takes the group; then down, the fewest parts, the last one the tightest."""
    workers, loss = _room(floor, request)
    codes, total = _domain_room(floor, request, workers, loss)
    fitting = np.flatnonzero(total >= request.size - 1)
    if not len(fitting):
        return None
    hosts = np.flatnonzero(codes == fitting[np.argmin(total[fitting])])
    below = [key for key in floor.levels if len(set(floor.levels[key][hosts].tolist())) > 1]
    below.sort(key=lambda key: int(floor.levels[key].max()))
    if request.leader == request.worker:
        return dict(enumerate(_descend(floor, hosts, workers, request.size, below)))
    leader = _leader(hosts, workers, loss, request)
    workers = workers.copy()
    workers[leader] -= loss[leader]
    filled = _descend(floor, hosts, workers, request.size - 1, below)
    return {0: leader} | {index + 1: host for index, host in enumerate(filled)}


def place_emptiest(floor: Floor, request: GroupRequest) -> dict[int, int] | None:
    """The domain with most room, every worker on its emptiest host; the leader where it costs least."""
    workers, loss = _room(floor, request)
    codes, total = _domain_room(floor, request, workers, loss)
    if not len(total) or total.max() < request.size - 1:
        return None
    hosts = np.flatnonzero(codes == int(np.argmax(total)))
    held = {0: _leader(hosts, workers, loss, request)}
    room = workers[hosts].copy()
    room[hosts == held[0]] -= loss[held[0]]
    for index in range(1, request.size):
        emptiest = int(np.argmax(room))
        held[index] = int(hosts[emptiest])
        room[emptiest] -= 1
    return held


def _room(floor: Floor, request: GroupRequest) -> tuple[Ints, Ints]:
    """Per host: the workers it takes, and how many fewer with the leader on it."""
    workers = floor.room(request.worker if request.size > 1 else request.leader)
    if request.leader == request.worker or request.size == 1:
        return workers, np.where(workers > 0, 1, NEVER)
    beside = floor.room(request.worker, request.leader)
    return workers, np.where(floor.room(request.leader) > 0, workers - beside, NEVER)


def _domain_room(floor: Floor, request: GroupRequest, workers: Ints, loss: Ints) -> tuple[Ints, Ints]:
    """Domain codes, and per domain how many workers it takes beside the leader (negative for none)."""
    codes = floor.domains(request.exclusive or request.required)
    count = int(codes.max()) + 1
    least = np.full(count, NEVER, dtype=np.int64)
    np.minimum.at(least, codes, loss)
    total = np.bincount(codes, weights=workers, minlength=count).astype(np.int64) - least
    if request.exclusive:
        total[np.unique(codes[floor.members > 0])] = -NEVER
    return codes, total


def _leader(hosts: Ints, workers: Ints, loss: Ints, request: GroupRequest) -> int:
    """Where the leader costs fewest workers; among those, where most room is."""
    spare = int(workers[hosts].sum()) - (request.size - 1)
    able = hosts[loss[hosts] <= spare]
    return int(able[np.lexsort((-workers[able], loss[able]))[0]])


def _descend(floor: Floor, hosts: Ints, workers: Ints, count: int, levels: Sequence[str]) -> list[int]:
    """`count` hosts, with repetition, by best fit over the parts of each level in turn."""
    if not levels:
        return [int(hosts[part]) for part, amount in _fewest(workers[hosts], count) for _ in range(amount)]
    codes = floor.levels[levels[0]][hosts]
    parts = np.unique(codes)
    rooms = np.array([workers[hosts[codes == part]].sum() for part in parts], dtype=np.int64)
    chosen: list[int] = []
    for part, amount in _fewest(rooms, count):
        chosen += _descend(floor, hosts[codes == parts[part]], workers, amount, levels[1:])
    return chosen


def _fewest(rooms: Ints, count: int) -> list[tuple[int, int]]:
    """(part, amount) pairs: the largest parts whole, and the tightest that takes the remainder."""
    chosen: list[tuple[int, int]] = []
    left = rooms.copy()
    while count > 0:
        takers = np.flatnonzero(left >= count)
        part = int(takers[np.argmin(left[takers])]) if len(takers) else int(np.argmax(left))
        amount = min(count, int(left[part]))
        chosen.append((part, amount))
        left[part] = -1
        count -= amount
    return chosen
