"""The report of a full run: `result.json`, `report.md` and charts, in one folder."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import msgspec

from benchmarks.placement import charts, defragmentation, plan_command, quality, snapshot, speed, torus
from benchmarks.placement.comparison import CHANCE, Compared
from benchmarks.placement.result import Everything, Run


def write(folder: Path, everything: Everything) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "result.json").write_bytes(msgspec.json.format(msgspec.json.encode(everything), indent=1) + b"\n")
    (folder / "report.md").write_text("\n".join(_lines(everything)) + "\n", encoding="utf-8")
    charts.packing(everything.snapshot.rows, folder / "packing.svg")
    charts.latency(everything.speed, folder / "latency.svg")
    for number, played in enumerate(everything.quality.scenarios if everything.quality else ()):
        charts.waits(played, folder / f"quality-{number}.svg")


def _lines(everything: Everything) -> Iterator[str]:
    yield from _head(everything.run, everything.snapshot.seed)
    yield ""
    yield (
        f"Against brute force on {everything.oracle['instances']:,} random small instances: "
        f"{everything.oracle['refused_but_fit']} groups refused though they fit, {everything.oracle['misfits']} wrong."
    )
    if everything.quality is not None:
        yield from _quality(everything.quality)
    yield from _snapshot(everything.snapshot)
    yield from _defragmentation(everything.defragmentation)
    yield from _torus(everything.torus)
    yield from _speed(everything.speed)
    if everything.plan_command is not None:
        yield from _plan_command(everything.plan_command)


def _head(run: Run, seed: int) -> Iterator[str]:
    yield f"# Placement benchmarks, {run.date}, commit {run.commit}"
    yield ""
    yield f"`make bench`, seed {seed}; Python {run.python}, {run.cores} cores, load average {run.load} at the start."
    yield "What each policy is: `benchmarks/placement/baselines.py`. What is measured and how: the modules' docstrings."


def _quality(report: quality.Report) -> Iterator[str]:
    yield from _title("Quality: queues over time")
    if not report.traces:
        yield "**The trace files were absent: generated fleets only.** `benchmarks/README.md` says where they are."
        yield ""
    yield (
        f"The independent checker passed {report.checked_placements:,} placements. Hosts held by incomplete groups of "
        f"ours, at any time: {report.hosts_held_by_incomplete_groups}."
    )
    yield ""
    yield "Ours and best-fit run several times over the same jobs on the same hosts; names of hosts differ from run to"
    yield "run (which of equally good places comes first), and arrivals by up to half a minute (who comes first). Both"
    yield "see the same, so they are compared run by run: ± is the standard error of the mean difference. Ours counts"
    yield f"as worse where chance alone would make it look so in less than {100 * CHANCE:.0f} % of reports, by the"
    yield "exact sign-flip test, corrected for the number of comparisons (`benchmarks/placement/comparison.py`)."
    yield ""
    yield from _worse(report.worse_than_best_fit)
    for number, played in enumerate(report.scenarios):
        yield from _played(played, number)


def _worse(worse: Sequence[Compared]) -> Iterator[str]:
    if not worse:
        yield "In no segment is ours worse than best-fit, in admission or p95 wait of large groups, beyond the noise."
        return
    yield "Segments where ours is worse than best-fit beyond the noise:"
    yield ""
    yield from _table(
        ("scenario", "segment", "figure", "ours", "best-fit", "worse by", "noise", "chance"),
        ((w.scenario, w.segment, w.figure, w.ours, w.best_fit, w.worse_by, w.noise, w.chance) for w in worse),
    )


def _played(played: quality.Played, number: int) -> Iterator[str]:
    scenario = played.scenario
    load = f"arrival times divided by {scenario.load}" if scenario.traced else f"{scenario.load} of capacity asked for"
    kept = f", every {scenario.background}th job of one GPU kept" if scenario.background > 1 else ""
    yield ""
    yield f"### {scenario.name}"
    yield ""
    yield f"{played.hosts} hosts, {played.jobs:,} groups; {load}{kept}."
    yield ""
    yield f"![{scenario.name}](quality-{number}.svg)"
    for own, title in ((False, "The same queue for all: FIFO with backfill"), (True, "Each its own queue")):
        runs = [run for run in played.runs if run.own_discipline == own]
        if runs:
            yield ""
            yield f"{title}:"
            yield ""
            yield from _runs(runs)
    yield ""
    yield "By segment (week of arrival in the trace, or quarter of the arrivals); a positive difference favours ours:"
    yield ""
    yield from _segments(played)


def _runs(runs: Sequence[quality.Run]) -> Iterator[str]:
    yield from _table(
        (
            "policy",
            "started in 1 h, %",
            "large, %",
            "wait of large p50 / p95, h",
            "wait of all p95, h",
            "hosts held half placed, mean / most",
            "largest group that fits",
            "fragmentation",
            "capacity used, %",
            "groups disturbed",
            "runs",
        ),
        (
            (
                run.policy,
                f"{100 * run.whole.admitted:.1f}",
                f"{100 * run.whole.admitted_large:.1f}",
                f"{run.whole.large_wait_p50:.1f} / {run.whole.large_wait_p95:.1f}",
                f"{run.whole.wait_p95:.1f}",
                f"{run.held_hosts:.1f} / {run.held_hosts_most}",
                f"{run.largest_fit:.1f}",
                f"{run.fragmentation:.3f}",
                f"{100 * run.used:.1f}",
                run.disturbed,
                run.namings,
            )
            for run in runs
        ),
    )


def _segments(played: quality.Played) -> Iterator[str]:
    by_name = {run.policy: run for run in played.runs}
    ours, best = by_name[quality.OURS].segments, by_name[quality.REFERENCE].segments
    found = {(each.segment, each.figure): each for each in played.compared}

    def better_by(segment: int, figure: str, scale: int) -> str:
        each = found.get((segment, figure))
        return f"{-scale * each.worse_by:+.2f} ± {scale * each.noise:.2f}" if each else "too few"

    yield from _table(
        (
            "segment",
            "groups",
            "large",
            "started in 1 h, %: ours",
            "best-fit",
            "difference",
            "wait of large p95, h: ours",
            "best-fit",
            "difference",
        ),
        (
            (
                segment,
                mine.groups,
                mine.large,
                f"{100 * mine.admitted:.2f}",
                f"{100 * best[segment].admitted:.2f}",
                better_by(segment, "admitted", 100),
                f"{mine.large_wait_p95:.2f}",
                f"{best[segment].large_wait_p95:.2f}",
                better_by(segment, "large_wait_p95", 1),
            )
            for segment, mine in ours.items()
        ),
    )


def _snapshot(report: snapshot.Report) -> Iterator[str]:
    yield from _title("Snapshot: one batch on near-full fleets")
    yield "Members of complete groups, in percent of the best proved bound; seconds of ours, with and without solver."
    yield ""
    yield "![packing](packing.svg)"
    yield ""
    names = list(report.rows[0].pct_of_bound)
    yield from _table(
        ("case", "seeds", *names, "s", "s, no solver"),
        (
            (
                row.case,
                row.seeds,
                *(f"{row.pct_of_bound[name]:.2f}" for name in names),
                f"{row.seconds[snapshot.OURS]:.2f}",
                f"{row.seconds[snapshot.GREEDY_NAME]:.3f}",
            )
            for row in report.rows
        ),
    )
    yield ""
    yield from _misses("below the best baseline", [miss for row in report.rows for miss in row.below_best_baseline])
    yield from _misses(
        f"below {snapshot.TARGET} % of the bound or slower than {snapshot.TARGET_SECONDS:g} s, where that is the "
        f"target (up to {snapshot.TARGET_RACKS} racks, 1 and 2 resources)",
        [miss for row in report.rows for miss in row.below_target],
    )


def _misses(what: str, misses: Sequence[snapshot.Miss]) -> Iterator[str]:
    yield f"Instances {what}: {len(misses)}."
    yield ""
    if misses:
        yield from _table(
            ("case", "seed", "ours", "bound", "best baseline", "s"),
            ((m.case, m.seed, m.ours, m.bound, m.best_baseline, f"{m.seconds:.2f}") for m in misses),
        )
        yield ""


def _defragmentation(report: defragmentation.Report) -> Iterator[str]:
    yield from _title("Defragmentation: a group that fits the free hosts but no rack")
    yield (
        f"{report.solved} of {report.solvable} solvable cases solved, {report.proved} of them proved to move the "
        f"fewest pods; greedy solves {report.solved_greedy}."
    )
    yield ""
    yield from _table(
        (
            "case",
            "solvable",
            "solved",
            "proved",
            "greedy solves",
            "pods moved (least)",
            "pods where both: ours / greedy",
            "p50, ms",
            "p95, ms",
        ),
        (
            (
                row.case,
                row.solvable,
                row.solved,
                row.proved,
                row.solved_greedy,
                f"{row.pods} ({row.pods_least})",
                f"{row.pods_where_both} / {row.pods_greedy}",
                row.milliseconds_p50,
                row.milliseconds_p95,
            )
            for row in report.rows
        ),
    )
    unsolved = [each for row in report.rows for each in row.unsolved]
    if unsolved:
        yield ""
        yield "Not solved, or not with the fewest pods:"
        yield ""
        yield from _table(
            ("case", "seed", "least", "ours", "said"), ((u.case, u.seed, u.least, u.ours, u.said) for u in unsolved)
        )


def _torus(report: torus.Report) -> Iterator[str]:
    yield from _title("Torus: boxes of hosts")
    yield (
        f"Members placed, in percent of the best proved bound; {report.checked_boxes:,} boxes were checked. Instances "
        f"on which ours places fewer than the better first fit: {report.below_best_baseline}."
    )
    yield ""
    names = list(report.rows[0].pct_of_bound)
    yield from _table(
        ("torus, boxes", "hosts", "seeds", *names, "proved", "s", "s, no solver", "one box, ms"),
        (
            (
                row.case,
                row.hosts,
                row.seeds,
                *(f"{row.pct_of_bound[name]:.2f}" for name in names),
                row.proved,
                f"{row.seconds[torus.OURS]:.2f}",
                f"{row.seconds[torus.GREEDY]:.3f}",
                row.milliseconds_one_box,
            )
            for row in report.rows
        ),
    )


def _speed(report: speed.Report) -> Iterator[str]:
    yield from _title("Speed")
    yield "![latency](latency.svg)"
    yield ""
    yield "One group of eight hosts in one rack; median milliseconds of one decision."
    yield ""
    yield from _table(
        ("nodes", "cold", "incremental", "node added", "one numpy pass", "cold / pass", "CP-SAT", "fleet, MiB"),
        (
            (
                f"{each.nodes:,}",
                f"{each.cold:.3f}",
                f"{each.incremental:.3f}",
                f"{each.new_nodes:.1f}",
                f"{each.floor:.4f}",
                f"{each.cold_over_floor:.0f}",
                "" if each.solver is None else f"{each.solver:.0f}",
                f"{each.fleet_mib:.1f}",
            )
            for each in report.latency
        ),
    )
    yield ""
    yield f"Batches without a solver on {speed.BATCH_RACKS} racks of {speed.HOSTS_PER_RACK}:"
    yield ""
    yield from _table(
        ("groups", "placed", "ms"), ((each.groups, each.placed, f"{each.milliseconds:.1f}") for each in report.batches)
    )
    yield ""
    yield (
        f"Growth (exponent, 1 is linear): {report.growth_in_nodes} in nodes, {report.growth_in_groups} in groups. "
        f"Largest resident size of the benchmark's process: {report.peak_mib:.0f} MiB."
    )


def _plan_command(report: plan_command.Report) -> Iterator[str]:
    yield ""
    yield "`lws-sched plan` on a cluster in a file, from the start of the process to its end:"
    yield ""
    yield from _table(
        ("file", "nodes", "MiB", "calls", "p50, s", "p95, s"),
        (
            (
                each.format,
                f"{each.nodes:,}",
                each.file_mib,
                each.calls,
                f"{each.seconds_p50:.2f}",
                f"{each.seconds_p95:.2f}",
            )
            for each in report.formats
        ),
    )


def _title(text: str) -> tuple[str, ...]:
    return ("", f"## {text}", "")


def _table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> Iterator[str]:
    yield "| " + " | ".join(header) + " |"
    yield "|" + "---|" * len(header)
    for row in rows:
        yield "| " + " | ".join(str(cell) for cell in row) + " |"
