"""The report's pictures. Only a full run draws, so only it needs matplotlib (the extra `bench`)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib
import matplotlib.pyplot as plt

from benchmarks.placement import quality, snapshot, speed

matplotlib.use("svg")
# Equal figures give equal files.
plt.rcParams.update({"svg.hashsalt": "lws-sched", "svg.fonttype": "none", "font.size": 10, "font.family": "sans-serif"})

OURS_COLOUR, OTHER_COLOUR = "#0b6e4f", "#9aa5b1"
LINES = {
    "ours": "#0b6e4f",
    "best-fit": "#d1495b",
    "emptiest": "#edae49",
    "gang": "#66a182",
    "leader-first": "#8d6a9f",
    "pod-by-pod": "#2e4057",
}


def save(figure: Any, path: Path) -> None:
    figure.savefig(path, format="svg", metadata={"Date": None}, bbox_inches="tight")
    plt.close(figure)


def waits(played: quality.Played, path: Path) -> None:
    """What users feel: who starts within the hour, how long large groups wait, hosts held for nothing."""
    runs = [run for run in played.runs if not run.own_discipline]
    figure, axes = plt.subplots(1, 3, figsize=(11, 2.9))
    panels = (
        ("groups started within an hour, %", [100 * run.whole.admitted for run in runs]),
        ("wait of large groups, 95th percentile, h", [run.whole.large_wait_p95 for run in runs]),
        ("hosts held by incomplete groups", [run.held_hosts for run in runs]),
    )
    for axis, (title, values) in zip(axes, panels, strict=True):
        _bars(axis, [run.policy for run in runs], values)
        axis.set_title(title, fontsize=10)
    for axis in axes[1:]:
        axis.set_yticklabels([])
    save(figure, path)


def packing(rows: Sequence[snapshot.Row], path: Path) -> None:
    """Members placed over the best proved bound, by racks, one panel per number of resources."""
    counts = sorted({row.resources for row in rows})
    figure, axes = plt.subplots(1, len(counts), figsize=(3.7 * len(counts), 3.2), sharey=True, squeeze=False)
    for axis, resources in zip(axes[0], counts, strict=True):
        some = [row for row in rows if row.resources == resources and not row.exclusive]
        for name, colour in LINES.items():
            style = {"linewidth": 2.4, "zorder": 3} if name == snapshot.OURS else {"linewidth": 1.2}
            places = range(len(some))
            axis.plot(places, [row.pct_of_bound[name] for row in some], "o-", color=colour, label=name, ms=4, **style)
        axis.set_xticks(range(len(some)), [str(row.racks) for row in some])
        axis.set_xlabel("racks")
        axis.set_title(f"{resources} resource{'s' if resources > 1 else ''}", fontsize=10)
        _plain(axis)
    axes[0][0].set_ylabel("members placed, % of the proved bound")
    axes[0][-1].legend(frameon=False, fontsize=9, loc="center left", bbox_to_anchor=(1, 0.5))
    save(figure, path)


def latency(report: speed.Report, path: Path) -> None:
    figure, axis = plt.subplots(figsize=(6, 3.6))
    nodes = [each.nodes for each in report.latency]
    lines = (
        ("one CP-SAT model of everything", "#d1495b", [each.solver for each in report.latency]),
        ("ours, after a node was added", "#66a182", [each.new_nodes for each in report.latency]),
        ("ours, shape never seen", "#0b6e4f", [each.cold for each in report.latency]),
        ("ours, incremental", "#2e4057", [each.incremental for each in report.latency]),
        ("one numpy pass", "#9aa5b1", [each.floor for each in report.latency]),
    )
    for name, colour, values in lines:
        axis.loglog(nodes, values, "o-", color=colour, ms=4, label=name)
    axis.set_xticks(nodes, [f"{each:,}" for each in nodes])
    axis.minorticks_off()
    axis.set_xlabel("nodes")
    axis.set_ylabel("one decision, median, ms")
    axis.legend(frameon=False, fontsize=9, loc="center left", bbox_to_anchor=(1, 0.5))
    _plain(axis)
    save(figure, path)


def _bars(axis: Any, names: Sequence[str], values: Sequence[float]) -> None:
    colours = [OURS_COLOUR if name == quality.OURS else OTHER_COLOUR for name in names]
    bars = axis.barh(names, values, color=colours)
    axis.bar_label(bars, fmt="%.1f", padding=3, fontsize=9)
    axis.set_xlim(0, max(*values, 1e-9) * 1.2)
    axis.set_xticks([])
    axis.invert_yaxis()
    for side in ("top", "right", "bottom"):
        axis.spines[side].set_visible(False)


def _plain(axis: Any) -> None:
    axis.grid(visible=True, axis="y", color="#e4e7eb", linewidth=0.8)
    axis.set_axisbelow(True)
    for side in ("top", "right"):
        axis.spines[side].set_visible(False)
