"""Our groups beside Kubernetes' own: `python -m benchmarks.gang_native` (or `make bench-native`).

Kubernetes 1.37 can place a PodGroup whole and in one domain by itself, behind feature gates that are off by default.
In turn, on one control plane, the same number of equal pods:

- `plain`: of no group, by a stock kube-scheduler;
- `native`: in PodGroups with `gang.minCount: 8` and the rack as their topology, by a kube-scheduler with the gates;
- `groups`: in LeaderWorkerSets' groups of 8, each in one rack, through our profile and extender.

The API server has the gates for all three; only the native side's kube-scheduler has them. What is common to the sides
is in `bind_sides`. Ratios are taken per round, the figure is their median.
"""

from __future__ import annotations

import argparse
import statistics
import sys

from benchmarks.bind_sides import NATIVE_API, NATIVE_GATES, groups, native, plain
from benchmarks.bindings import Bindings
from benchmarks.gang_plane import SIZE, Json, gang_plane, report, say

SIDES = {"plain": plain, "native": native, "groups": groups}


def main() -> int:
    options = _parse()
    runs: dict[str, list[Bindings]] = {side: [] for side in SIDES}
    with gang_plane(options.nodes, api_flags=(*NATIVE_API, *NATIVE_GATES)) as bench:
        for turn in range(options.rounds):
            for side, measure in SIDES.items():
                runs[side].append(measure(bench, options.pods))
                say(f"round {turn + 1}: {side} {runs[side][-1].per_second:.0f} pods/s")
    report(_summary(options, runs))
    return 0


def _summary(options: argparse.Namespace, runs: dict[str, list[Bindings]]) -> Json:
    rates = {side: [each.per_second for each in bound] for side, bound in runs.items()}

    def ratio(one: str, other: str) -> float:
        return round(statistics.median(a / b for a, b in zip(rates[one], rates[other], strict=True)), 2)

    return {
        "benchmark": "gang_native",
        "nodes": options.nodes,
        "pods": options.pods,
        "group_size": SIZE,
        "pods_per_second": {side: round(statistics.median(each), 1) for side, each in rates.items()},
        "groups_over_native": ratio("groups", "native"),
        "groups_over_plain": ratio("groups", "plain"),
        "native_over_plain": ratio("native", "plain"),
        "rounds": {side: [round(rate, 1) for rate in each] for side, each in rates.items()},
        "cpu_ms_per_pod": {side: dict(bound[-1].cpu_ms_per_pod) for side, bound in runs.items()},
    }


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gang_native", description=__doc__)
    parser.add_argument("--nodes", type=int, default=1000)
    parser.add_argument("--pods", type=int, default=1000, help="on each side; a multiple of 40")
    parser.add_argument("--rounds", type=int, default=3)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
