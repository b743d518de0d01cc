"""How our binding rate depends on the size of the fleet: `python -m benchmarks.gang_growth` (or `make bench-growth`).

The same 1,000 pods in groups of 8 through our profile and extender, as in `gang_native`, on one control plane with
1,000 nodes, with 4,000 more, and with the first 1,000 again: what changes between the first and the last is the
machine's. The figure compares the larger fleet with both. Each time as many plain pods go through a stock
kube-scheduler as well: what they lose, too, is not ours to lose. `cpu_ms_per_pod` says whose processor time grew.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from collections.abc import Sequence

from benchmarks.bind_sides import Runs, groups, in_turn, plain
from benchmarks.bindings import Bindings
from benchmarks.gang_plane import HOSTS_PER_RACK, GangPlane, Json, gang_plane, report, say
from tests.controlplane.nodes import NODES, create_nodes, rack_nodes

EXTRA = "bench.lws-sched.io/extra"
SIDES = {"plain": plain, "groups": groups}


def main() -> int:
    options = _parse()
    with gang_plane(options.nodes) as bench:
        before = _runs(bench, options, f"{options.nodes} nodes")
        _add_nodes(bench, options.larger - options.nodes)
        larger = _runs(bench, options, f"{options.larger} nodes")
        bench.plane.client.delete(NODES, labelSelector=EXTRA)
        bench.until(lambda: not bench.plane.client.list(NODES, labelSelector=EXTRA, limit="1"), "they are gone", 0.5)
        after = _runs(bench, options, f"{options.nodes} nodes again")
    report(_summary(options, before, larger, after))
    return 0


def _runs(bench: GangPlane, options: argparse.Namespace, what: str) -> Runs:
    say(what)
    return in_turn(bench, SIDES, options.rounds, options.pods)


def _summary(options: argparse.Namespace, before: Runs, larger: Runs, after: Runs) -> Json:
    sizes = {"before": before, "larger": larger, "after": after}
    return {
        "benchmark": "gang_growth",
        "pods": options.pods,
        "nodes": [options.nodes, options.larger],
        "pods_per_second": {
            side: {size: [round(each.per_second, 1) for each in runs[side]] for size, runs in sizes.items()}
            for side in SIDES
        },
        "falls_by_percent": {side: _fall([*before[side], *after[side]], larger[side]) for side in SIDES},
        "cpu_ms_per_pod": {
            side: {size: dict(runs[side][-1].cpu_ms_per_pod) for size, runs in sizes.items()} for side in SIDES
        },
    }


def _fall(small: Sequence[Bindings], larger: Sequence[Bindings]) -> float:
    """Percent."""
    rates = [statistics.median(each.per_second for each in runs) for runs in (larger, small)]
    return round(100 * (1 - rates[0] / rates[1]), 1)


def _add_nodes(bench: GangPlane, count: int) -> None:
    manifests = rack_nodes(-(-count // HOSTS_PER_RACK), HOSTS_PER_RACK, prefix="extra-")[:count]
    for node in manifests:
        node["metadata"]["labels"][EXTRA] = "true"
    create_nodes(bench.plane, manifests)


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gang_growth", description=__doc__)
    parser.add_argument("--nodes", type=int, default=1000)
    parser.add_argument("--larger", type=int, default=5000)
    parser.add_argument("--pods", type=int, default=1000, help="a multiple of 40")
    parser.add_argument("--rounds", type=int, default=2, help="at each size")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
