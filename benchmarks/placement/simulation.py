"""A discrete-event simulation of a queue in front of a fleet: groups arrive, start when all members are bound, and
leave after their run time.

A policy is asked after every arrival (about the newcomer alone: room has not grown) and after every departure (about
all that wait). Members that a policy binds before their group is complete hold their hosts and run nothing.

What is measured, per segment of arrivals: the share of groups that started within `PROMPT` of their arrival, the wait
of all and of large groups (a group that never starts counts as waiting until the end). And over time: hosts held by
incomplete groups, the largest group of the rule's members that one rack would still take, how much of the free
capacity such a group cannot use (fragmentation), and the share of capacity that complete groups run on.
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from benchmarks.placement.arrivals import Job, Rule, group
from benchmarks.placement.baselines import Policy
from benchmarks.placement.fleets import GPU, RACK
from benchmarks.placement.floor import Floor, Waiting
from lws_sched.placement import NodeState

PROMPT = 3_600.0
"""Seconds within which a group that starts counts as admitted."""
EVERY = 3_600.0
"""Seconds between two looks at the floor."""


@dataclass(frozen=True)
class Life:
    """What became of one job. `wait` is in seconds."""

    job: Job
    wait: float
    started: bool


@dataclass
class Looks:
    """What was seen at the looks at the floor."""

    held_hosts: list[int] = field(default_factory=list)
    largest_fit: list[int] = field(default_factory=list)
    fragmentation: list[float] = field(default_factory=list)
    used: list[float] = field(default_factory=list)


@dataclass(frozen=True)
class Outcome:
    lives: tuple[Life, ...]
    looks: Looks
    disturbed: int
    """Running groups that were moved."""
    checked: int
    """Placements passed by the independent checker."""


class Simulation:
    """One run of one policy; the clock stops with the last arrival."""

    def __init__(self, nodes: Sequence[NodeState], policy: Policy, rule: Rule) -> None:
        self._floor = Floor(nodes, with_fleet=policy.needs_fleet)
        self._policy = policy
        self._member = group("look", rule, 1, nodes).worker
        self._queue: dict[str, Waiting] = {}
        self._leaving: list[tuple[float, str]] = []
        self._running: dict[str, Waiting] = {}
        self._jobs: dict[str, Job] = {}
        self._lives: list[Life] = []
        self._looks = Looks()
        self._next_look = 0.0

    def run(self, jobs: Sequence[Job]) -> Outcome:
        for job in jobs:
            self._leave_until(job.arrival)
            self._look_until(job.arrival)
            self._jobs[job.request.key] = job
            waiting = self._queue[job.request.key] = Waiting(job.request, job.arrival)
            self._serve([waiting], job.arrival)
        end = jobs[-1].arrival
        for key in self._queue:
            self._lives.append(Life(self._jobs[key], end - self._jobs[key].arrival, started=False))
        return Outcome(tuple(self._lives), self._looks, self._floor.disturbed, self._floor.checked)

    def _leave_until(self, now: float) -> None:
        while self._leaving and self._leaving[0][0] <= now:
            at, key = heapq.heappop(self._leaving)
            self._look_until(at)
            self._floor.remove(self._running.pop(key))
            if self._queue:
                self._serve(list(self._queue.values()), at)

    def _serve(self, queue: list[Waiting], now: float) -> None:
        self._floor.now = now
        self._policy.serve(self._floor, queue)
        for waiting in queue:
            if waiting.complete:
                key = waiting.request.key
                del self._queue[key]
                self._running[key] = waiting
                heapq.heappush(self._leaving, (now + self._jobs[key].duration, key))
                self._lives.append(Life(self._jobs[key], now - waiting.since, started=True))

    def _look_until(self, now: float) -> None:
        while self._next_look <= now:
            self._look()
            self._next_look += EVERY

    def _look(self) -> None:
        floor = self._floor
        held = {host for waiting in self._queue.values() for host in waiting.held.values()}
        racks = floor.levels[RACK]
        room = np.bincount(racks, weights=floor.room(self._member)).astype(int)
        size = np.bincount(racks) * (floor.allocatable[floor.resources[GPU], 0] // dict(self._member.requests)[GPU])
        largest, free = int(room.max()), int(room.sum())
        row = floor.resources[GPU]
        taken = int((floor.allocatable[row] - floor.free[row]).sum())
        idle = sum(dict(self._member.requests)[GPU] * len(waiting.held) for waiting in self._queue.values())
        self._looks.held_hosts.append(len(held))
        self._looks.largest_fit.append(largest)
        self._looks.fragmentation.append(1 - largest / min(free, int(size.max())) if free else 0.0)
        self._looks.used.append((taken - idle) / int(floor.allocatable[row].sum()))
