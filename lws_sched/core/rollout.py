"""The rolling update: how many leaders the leader StatefulSet shall have, and from which index on they are replaced.

A StatefulSet replaces the pods at and above its `partition`. Lowering the partition in steps therefore rolls the set
from its last group to its first; raising `replicas` adds surge groups past the end, which start at the new revision.
Everything is computed afresh from what is observed, so a restarted controller goes on where it was. With

    R = spec.replicas    S, p = the StatefulSet's replicas and partition    P = spec partition
    surge = min(R, ceil(maxSurge))    unavailable = floor(maxUnavailable)    burst = R + surge

the partition never rises on its own, never drops below P, and drops only as far as groups that are down anyway and the
budget `unavailable + surge groups that are ready` allow, so surge for which there is no room holds nothing up; surge
groups are given back as the desired groups become ready.
A surge group that is given back stands in for nobody any more, ready or not. Percentages are of R; where both floor to
nothing (a scale-down can do that), one group at a time is replaced.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from lws_sched.api.lws import IntOrPercent, LeaderWorkerSet, RollingUpdateConfiguration


@dataclass(frozen=True)
class Rollout:
    """What the leader StatefulSet shall say."""

    partition: int
    replicas: int


@dataclass(frozen=True)
class Current:
    """What the leader StatefulSet says now."""

    partition: int
    replicas: int
    scaled_for: int | None
    """spec.replicas when it was last written; None where the record is missing or unreadable."""


@dataclass(frozen=True)
class State:
    """One group's part in a rollout. A group that does not exist is neither."""

    ready: bool = False
    updated: bool = False

    @property
    def done(self) -> bool:
        return self.ready and self.updated


@dataclass(frozen=True)
class Budget:
    """How many groups may be missing, and how many may be extra, while rolling."""

    unavailable: int
    surge: int

    @property
    def together(self) -> int:
        """Leaders that the StatefulSet may replace at once."""
        return max(1, self.unavailable + self.surge)


def configuration(lws: LeaderWorkerSet) -> RollingUpdateConfiguration:
    return lws.spec.rollout_strategy.rolling_update_configuration or RollingUpdateConfiguration()


def budget(lws: LeaderWorkerSet) -> Budget:
    """maxUnavailable and maxSurge as numbers of groups; together at least 1."""
    rolling, replicas = configuration(lws), lws.spec.replicas
    surge = min(replicas, scaled(rolling.max_surge, replicas, up=True))
    unavailable = scaled(rolling.max_unavailable, replicas, up=False)
    return Budget(unavailable=unavailable if unavailable + surge > 0 else 1, surge=surge)


def scaled(value: IntOrPercent, total: int, *, up: bool) -> int:
    """A number as it is; a percentage of `total`, rounded up or down. Raises ValueError for other text."""
    if isinstance(value, int):
        return value
    product = int(value.removesuffix("%")) * total
    return -(-product // 100) if up else product // 100


def next_rollout(lws: LeaderWorkerSet, current: Current | None, states: Sequence[State], *, is_new: bool) -> Rollout:
    """The next partition and replicas. `states` are the groups by index, those that it does not reach do not exist;
    `is_new` says that the leader StatefulSet carries another revision than the one to roll out."""
    floor = configuration(lws).partition
    count = max(lws.spec.replicas, 0 if current is None else current.replicas)
    known = [*states[:count], *[State()] * (count - len(states))]
    computed = _computed(lws, current, known, is_new=is_new)
    return Rollout(partition=max(computed.partition, floor), replicas=computed.replicas)


def is_reclaiming(lws: LeaderWorkerSet, current: Current, planned: Rollout) -> bool:
    """Whether replicas shrink because surge groups are given back, and not because the user scales down."""
    return planned.replicas < current.replicas and current.scaled_for == lws.spec.replicas


def _computed(lws: LeaderWorkerSet, current: Current | None, states: Sequence[State], *, is_new: bool) -> Rollout:
    replicas, allowed = lws.spec.replicas, budget(lws)
    if current is None:
        return Rollout(partition=0, replicas=replicas)
    existing = current.replicas
    if is_new:
        wanted = replicas if existing < replicas else _with_surge(replicas, allowed, missing=replicas)
        return Rollout(partition=min(replicas, existing), replicas=wanted)
    if existing < replicas or (existing == replicas and current.partition == 0):
        return Rollout(partition=current.partition, replicas=replicas)
    desired = states[:replicas]
    missing = replicas - sum(state.done for state in desired)
    if current.scaled_for is not None and current.scaled_for != replicas:
        return _scaled_midway(lws, current, desired)
    wanted = _with_surge(replicas, allowed, missing)
    surge = states[replicas : min(existing, wanted)]
    step = allowed.unavailable + sum(state.done for state in surge)
    lowest = min(_lowered(desired, step), current.partition)
    # Surge is of the new revision: a partition among it means no more than one below it.
    return Rollout(partition=min(lowest, replicas) if surge else lowest, replicas=wanted)


def _scaled_midway(lws: LeaderWorkerSet, current: Current, desired: Sequence[State]) -> Rollout:
    """spec.replicas changed since the last write. Surge is kept only where a rollout still needs it."""
    replicas, allowed = lws.spec.replicas, budget(lws)
    partition = min(current.partition, replicas + allowed.surge)
    if all(state.updated for state in desired):
        return Rollout(partition=partition, replicas=replicas)
    wanted = _with_surge(replicas, allowed, replicas - sum(state.done for state in desired))
    shrinks = current.scaled_for is not None and replicas < current.scaled_for
    return Rollout(partition=partition, replicas=min(wanted, current.replicas) if shrinks else wanted)


def _with_surge(replicas: int, allowed: Budget, missing: int) -> int:
    """Replicas with as much surge as `missing` desired groups (not ready, or not updated) still need."""
    if missing <= allowed.surge:
        return replicas + max(0, missing - allowed.unavailable)
    return replicas + allowed.surge


def _lowered(states: Sequence[State], step: int) -> int:
    """The lowest partition that keeps the budget: `step` groups below the finished tail, fewer where groups further
    down are not ready, plus the groups that cost nothing because they are down or done already."""
    last = len(states)
    tail = next((done for done in range(last) if not states[last - 1 - done].done), last)
    base = max(0, last - tail - step)
    lowest = base + sum(not state.ready for state in states[:base])
    for index in range(min(lowest, last - 1), base - 1, -1):
        if states[index].ready and not states[index].updated:
            break
        lowest = index
    return lowest
