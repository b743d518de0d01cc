"""What users feel, on traces: who starts, how long large groups wait, what half-placed groups hold.

    python -m benchmarks.placement.quality            (or make bench)

Two months of gang arrivals of the Philly trace, by both mapping rules (`arrivals`), in front of the uneven racks of the
Lingjun topology, and generated arrivals in front of generated racks. Arrival times are divided by a load factor so that
queues form. Without the trace files only the generated fleets run, and the report says so.

First table: the same queue discipline for all, which is FIFO with backfill: in order of arrival, whoever fits starts.
Second table: each policy's own. For kube-scheduler that is an active queue of single pods whose order after a retry has
nothing to do with their groups, so the pods of waiting groups come up in random order; coscheduling and Kueue's default
(BestEffortFIFO) are FIFO with backfill; ours plans the oldest waiting groups together, or moves running groups out of
the way of the one that has waited longest (a moved group goes on where it was; how many were moved is reported).

Noise: which of equally good places comes first is an accident of names, who comes first among arrivals within the same
minute another, and a queue carries each such accident on. So ours and best-fit are run several times over the same
jobs on the same hosts, whose names differ from run to run, with arrivals moved by up to half a minute: nothing else
differs, and both policies see the same. Their figures are compared run by run (`comparison`).
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from statistics import mean

import numpy as np

from benchmarks.placement import baselines, command
from benchmarks.placement.arrivals import JOBS, RULES, Job, generated_jobs, philly
from benchmarks.placement.comparison import Compared, beyond_noise, compare
from benchmarks.placement.fleets import TOPOLOGY, generated, lingjun, renamed
from benchmarks.placement.ours import Ours, OursMoving, OursTogether
from benchmarks.placement.simulation import PROMPT, Life, Outcome, Simulation
from lws_sched.placement import NodeState

OURS, REFERENCE = "ours", "best-fit"
OWN = (baselines.SHUFFLED, OursTogether.name, OursMoving.name)
"""Policies under their own queue discipline."""
ENOUGH = 20
"""Large groups that a segment needs to be judged by their waits."""
WORKERS = 2
MOVED = 30.0
"""Seconds by which arrivals differ from run to run, at most."""


@dataclass(frozen=True)
class Scenario:
    """A fleet and what arrives at it. `load` divides the trace's arrivals, or is the share of capacity asked for."""

    name: str
    rule: str
    load: float
    namings: int
    """Runs of ours and of best-fit, each on the same hosts under other names."""
    traced: bool
    background: int = 1
    """One in so many jobs of a single GPU is kept."""
    weeks: tuple[int, ...] = ()
    """The weeks of the trace that are played; all where empty."""


FULL = (
    Scenario("philly, rule B, all racks", "B", load=1.5, namings=12, traced=True),
    Scenario("philly, rule A, one block", "A", load=2.6, namings=12, traced=True, background=20),
    Scenario("generated, whole hosts", "B", load=0.95, namings=12, traced=False),
    Scenario("generated, one GPU a pod", "A", load=0.95, namings=12, traced=False),
)
QUICK = (
    Scenario("philly, rule B, all racks, two weeks", "B", load=1.5, namings=1, traced=True, weeks=(2, 3)),
    Scenario("generated, whole hosts", "B", load=0.95, namings=1, traced=False),
)
GENERATED_JOBS, QUICK_JOBS = 1_500, 300


@dataclass(frozen=True)
class Figures:
    """Of one segment, or of a whole run: counts, shares and hours."""

    groups: int
    large: int
    admitted: float
    """Share that started within an hour of arriving."""
    admitted_large: float
    wait_p50: float
    wait_p95: float
    large_wait_p50: float
    large_wait_p95: float


@dataclass(frozen=True)
class Run:
    """One policy on one scenario. All is of the first naming, the same for every policy, but the segments are means
    over all its namings."""

    policy: str
    own_discipline: bool
    namings: int
    whole: Figures
    segments: dict[int, Figures]
    by_naming: dict[int, list[Figures]]
    """The segments' figures, one per naming."""
    held_hosts: float
    """Hosts that incomplete groups hold, mean over time."""
    held_hosts_most: int
    largest_fit: float
    """Members of the largest group that one rack would still take, mean over time."""
    fragmentation: float
    used: float
    disturbed: int
    """Running groups that were moved."""
    checked: int


@dataclass(frozen=True)
class Played:
    scenario: Scenario
    hosts: int
    jobs: int
    runs: list[Run]
    compared: list[Compared]
    """Ours with best-fit, segment by segment."""


@dataclass(frozen=True)
class Report:
    seed: int
    traces: bool
    """Whether the trace files were there."""
    prompt_seconds: float
    hosts_held_by_incomplete_groups: int
    """By ours, at most, over all scenarios."""
    worse_than_best_fit: list[Compared]
    """Beyond the noise."""
    checked_placements: int
    scenarios: list[Played]


def run(options: command.Options) -> Report:
    traces = all((options.traces / name).is_file() for name in (JOBS, TOPOLOGY))
    if not traces:
        options.say(f"quality: no trace files in {options.traces.name}/; generated fleets only")
    wanted = [each for each in (QUICK if options.quick else FULL) if traces or not each.traced]
    played = [_play(scenario, options) for scenario in wanted]
    ours = [run for each in played for run in each.runs if run.policy.startswith(OURS)]
    return Report(
        seed=options.seed,
        traces=traces,
        prompt_seconds=PROMPT,
        hosts_held_by_incomplete_groups=max(run.held_hosts_most for run in ours),
        worse_than_best_fit=beyond_noise([one for each in played for one in each.compared]),
        checked_placements=sum(run.checked for each in played for run in each.runs),
        scenarios=played,
    )


@dataclass(frozen=True)
class Task:
    """One run of one policy, made anew where it runs. Racks, hosts and arrivals are as they are in naming 0."""

    scenario: Scenario
    policy: str
    seed: int
    naming: int
    traces: Path
    quick: bool

    @cached_property
    def nodes(self) -> list[NodeState]:
        if self.scenario.traced:
            nodes = lingjun(self.traces, blocks=1 if self.scenario.rule == "A" else None)
        else:
            nodes = generated(racks=32, hosts_per_rack=16) if self.scenario.rule == "B" else generated(16, 4)
        return renamed(nodes, np.random.default_rng([self.seed, self.naming])) if self.naming else nodes

    @cached_property
    def jobs(self) -> list[Job]:
        if not self.naming:
            return self._jobs()
        random = np.random.default_rng([self.seed, self.naming])
        moved = [replace(job, arrival=max(0.0, job.arrival + random.uniform(-MOVED, MOVED))) for job in self._jobs()]
        return sorted(moved, key=lambda job: (job.arrival, job.request.key))

    def _jobs(self) -> list[Job]:
        scenario, rule = self.scenario, RULES[self.scenario.rule]
        if not scenario.traced:
            count = QUICK_JOBS if self.quick else GENERATED_JOBS
            return generated_jobs(rule, self.nodes, count, scenario.load, self.seed)
        jobs = philly(self.traces, rule, self.nodes, scenario.load, self.seed)
        number = 0
        kept = []
        for job in jobs:
            number += job.request.size == 1
            is_kept = job.request.size > 1 or number % scenario.background == 0
            if is_kept and (not scenario.weeks or job.segment in scenario.weeks):
                kept.append(job)
        return kept

    def play(self) -> Outcome:
        makers: dict[str, Callable[[], baselines.Policy]] = {
            OURS: Ours,
            OursTogether.name: OursTogether,
            OursMoving.name: OursMoving,
            baselines.SHUFFLED: lambda: baselines.PodByPod(self.seed, leaders_first=False, shuffled=True),
        }
        made = {policy.name: policy for policy in baselines.policies(self.seed)}
        policy = makers[self.policy]() if self.policy in makers else made[self.policy]
        return Simulation(self.nodes, policy, RULES[self.scenario.rule]).run(self.jobs)


def _play(scenario: Scenario, options: command.Options) -> Played:
    tasks = [
        Task(scenario, policy, options.seed, naming, options.traces, options.quick)
        for policy in _policies(scenario, options.quick)
        for naming in range(scenario.namings if policy in (OURS, REFERENCE) else 1)
    ]
    outcomes: dict[str, list[Outcome]] = {}
    with ProcessPoolExecutor(WORKERS) as pool:
        for task, outcome in zip(tasks, pool.map(Task.play, tasks), strict=True):
            outcomes.setdefault(task.policy, []).append(outcome)
            options.say(f"quality, {scenario.name}: {task.policy}, naming {task.naming}: {_line(outcome, scenario)}")
    large = RULES[scenario.rule].large
    runs = [run_of(policy, each, large) for policy, each in outcomes.items()]
    return Played(scenario, len(tasks[0].nodes), len(tasks[0].jobs), runs, list(compared(scenario, runs)))


def _policies(scenario: Scenario, quick: bool) -> list[str]:
    """Moving running groups is only tried where members take whole hosts: elsewhere a search takes seconds."""
    common = [policy.name for policy in baselines.policies(0)]
    own = [name for name in OWN if scenario.rule == "B" or name != OursMoving.name]
    return [*common, OURS] if quick else [*common, OURS, *own]


def _line(outcome: Outcome, scenario: Scenario) -> str:
    figures = figures_of(outcome.lives, RULES[scenario.rule].large)
    return f"{100 * figures.admitted:.1f} % admitted, large groups wait {figures.large_wait_p95:.1f} h (p95)"


def figures_of(lives: Sequence[Life], large: int) -> Figures:
    """Counts, shares and hours of some groups."""
    big = [life for life in lives if life.job.request.size >= large]

    def admitted(some: Sequence[Life]) -> float:
        return mean(life.started and life.wait <= PROMPT for life in some) if some else 1.0

    def wait(some: Sequence[Life], percent: int) -> float:
        return float(np.percentile([life.wait for life in some], percent)) / 3600 if some else 0.0

    return Figures(
        groups=len(lives),
        large=len(big),
        admitted=admitted(lives),
        admitted_large=admitted(big),
        wait_p50=wait(lives, 50),
        wait_p95=wait(lives, 95),
        large_wait_p50=wait(big, 50),
        large_wait_p95=wait(big, 95),
    )


def run_of(policy: str, outcomes: Sequence[Outcome], large: int) -> Run:
    first, looks = outcomes[0], outcomes[0].looks
    segments = sorted({life.job.segment for outcome in outcomes for life in outcome.lives})
    by_segment = {
        segment: [
            figures_of([life for life in outcome.lives if life.job.segment == segment], large) for outcome in outcomes
        ]
        for segment in segments
    }
    return Run(
        policy=policy,
        own_discipline=policy in OWN,
        namings=len(outcomes),
        whole=figures_of(first.lives, large),
        segments={segment: _mean(each) for segment, each in by_segment.items()},
        by_naming=by_segment,
        held_hosts=round(mean(looks.held_hosts), 3),
        held_hosts_most=max(max(outcome.looks.held_hosts) for outcome in outcomes),
        largest_fit=round(mean(looks.largest_fit), 3),
        fragmentation=round(mean(looks.fragmentation), 4),
        used=round(mean(looks.used), 4),
        disturbed=first.disturbed,
        checked=sum(outcome.checked for outcome in outcomes),
    )


def _mean(some: Sequence[Figures]) -> Figures:
    def of(read: Callable[[Figures], float]) -> float:
        return round(mean(read(each) for each in some), 4)

    return Figures(
        groups=some[0].groups,
        large=some[0].large,
        admitted=of(lambda each: each.admitted),
        admitted_large=of(lambda each: each.admitted_large),
        wait_p50=of(lambda each: each.wait_p50),
        wait_p95=of(lambda each: each.wait_p95),
        large_wait_p50=of(lambda each: each.large_wait_p50),
        large_wait_p95=of(lambda each: each.large_wait_p95),
    )


def compared(scenario: Scenario, runs: Sequence[Run]) -> Iterator[Compared]:
    """Admission of every segment, and the waits of large groups where there are enough of them."""
    by_name = {run.policy: run for run in runs}
    for segment, ours in by_name[OURS].by_naming.items():
        theirs = by_name[REFERENCE].by_naming[segment]
        admitted = [each.admitted for each in ours], [each.admitted for each in theirs]
        yield compare(scenario.name, segment, "admitted", *admitted, more_is_worse=False)
        if ours[0].large >= ENOUGH:
            waits = [each.large_wait_p95 for each in ours], [each.large_wait_p95 for each in theirs]
            yield compare(scenario.name, segment, "large_wait_p95", *waits, more_is_worse=True)


if __name__ == "__main__":
    sys.exit(command.main("placement.quality", __doc__, run))
