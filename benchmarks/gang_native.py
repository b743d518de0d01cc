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

import sys

from benchmarks.bind_sides import NATIVE_API, NATIVE_GATES, figures, groups, in_turn, native, parsed, plain, ratio
from benchmarks.gang_plane import gang_plane, report

SIDES = {"plain": plain, "native": native, "groups": groups}


def main() -> int:
    options = parsed("gang_native", __doc__)
    with gang_plane(options.nodes, api_flags=(*NATIVE_API, *NATIVE_GATES)) as bench:
        runs = in_turn(bench, SIDES, options.rounds, options.pods)
    report(
        {
            "benchmark": "gang_native",
            **figures(options, runs),
            "groups_over_native": ratio(runs, "groups", "native"),
            "groups_over_plain": ratio(runs, "groups", "plain"),
            "native_over_plain": ratio(runs, "native", "plain"),
        }
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
