"""Jobs that arrive, run and leave: from the Philly trace by either mapping rule, or generated.

A trace has GPUs, not pods, so a rule turns a job into a group:

* rule A, pod per GPU: as many members as GPUs, one GPU each; jobs of one GPU are background fill;
* rule B, LLM scale: as many members as GPUs, a whole host each; jobs of one GPU are left out.

A group must stand in one rack; where it is larger than the largest rack of the fleet, in one block. Arrival times are
divided by a load factor. A seed other than 0 disturbs the jobs a little (arrival by up to half an hour, run time by up
to a tenth), to tell how much of a result is chance.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.placement.fleets import BLOCK, CPU, GPU, GPUS, RACK, read_rows
from lws_sched.placement import GroupRequest, NodeState, PodShape

JOBS = "philly_jobs_2017-09_10.csv.gz"
WEEK = 7 * 86_400
SHIFT = 1_800
"""Seconds by which a seed moves an arrival, at most."""
STRETCH = 0.1
"""Share by which a seed changes a run time, at most."""


@dataclass(frozen=True)
class Job:
    """One group's life: when it arrives and how long it runs, in seconds; the segment is what it is reported under."""

    request: GroupRequest
    arrival: float
    duration: float
    segment: int


@dataclass(frozen=True)
class Rule:
    """How a job of so many GPUs becomes a group."""

    name: str
    gpus: int
    """GPUs of a member."""
    cpu: int
    smallest: int
    """Smaller jobs are left out."""
    large: int
    """Members from which on a group counts as large."""


RULES = {
    "A": Rule("A", gpus=1, cpu=CPU // GPUS, smallest=1, large=8),
    "B": Rule("B", gpus=GPUS, cpu=CPU, smallest=2, large=8),
}


def philly(traces: Path, rule: Rule, nodes: Sequence[NodeState], load: float, seed: int) -> list[Job]:
    """The jobs of the trace, its weeks as segments. `load` divides the arrival times."""
    random = np.random.default_rng(seed)
    jobs = []
    rows = [row for row in read_rows(traces / JOBS) if int(row["gpus"]) >= rule.smallest]
    for number, row in enumerate(rows):
        arrived, duration = float(row["t_s"]), float(row["dur_s"])
        if seed:
            arrived = max(0.0, arrived + random.uniform(-SHIFT, SHIFT))
            duration *= random.uniform(1 - STRETCH, 1 + STRETCH)
        request = group(f"philly-{number}", rule, int(row["gpus"]), nodes)
        jobs.append(Job(request, arrived / load, max(1.0, duration), int(float(row["t_s"]) // WEEK)))
    return sorted(jobs, key=lambda job: (job.arrival, job.request.key))


def generated_jobs(rule: Rule, nodes: Sequence[NodeState], count: int, load: float, seed: int) -> list[Job]:
    """Poisson arrivals, log-normal run times (median 2 h, mean 7 h), sizes in powers of two; `load` is the share of the
    fleet's GPUs that the jobs ask for on average. Four segments of equal numbers of jobs."""
    random = np.random.default_rng(seed)
    sizes = random.choice([2, 4, 8, 16], size=count, p=[0.35, 0.3, 0.25, 0.1])
    durations = random.lognormal(np.log(7_200), 1.6, size=count)
    offered = len(nodes) * GPUS
    every = float((sizes * rule.gpus * durations).sum()) / count / (load * offered)
    arrivals = np.cumsum(random.exponential(every, size=count))
    return [
        Job(group(f"job-{number}", rule, int(sizes[number]), nodes), float(at), float(durations[number]), segment)
        for number, at in enumerate(arrivals)
        for segment in [4 * number // count]
    ]


def group(name: str, rule: Rule, size: int, nodes: Sequence[NodeState]) -> GroupRequest:
    member = PodShape(requests=(("cpu", rule.cpu), (GPU, rule.gpus)))
    fits_rack = size <= largest_rack(nodes) * (GPUS // rule.gpus)
    return GroupRequest(
        key=f"bench/{name}", size=size, leader=member, worker=member, required=RACK if fits_rack else BLOCK
    )


def largest_rack(nodes: Sequence[NodeState]) -> int:
    """Hosts of the largest rack."""
    sizes: dict[str, int] = {}
    for node in nodes:
        sizes[node.labels[RACK]] = sizes.get(node.labels[RACK], 0) + 1
    return max(sizes.values())
