"""How our binding rate depends on the size of the fleet: `python -m benchmarks.gang_growth` (or `make bench-growth`).

The same 1,000 pods in groups of 8 through our profile and extender, as in `gang_native`, on one control plane with
1,000 nodes, with 4,000 more, and with the first 1,000 again: what changes between the first and the last is the
machine's. The figure compares the larger fleet with both.
"""

from __future__ import annotations

import argparse
import statistics
import sys

from benchmarks.bind_sides import groups
from benchmarks.gang_plane import HOSTS_PER_RACK, GangPlane, gang_plane, report, say
from tests.controlplane.nodes import NODES, create_nodes, rack_nodes

EXTRA = "bench.lws-sched.io/extra"


def main() -> int:
    options = _parse()
    with gang_plane(options.nodes) as bench:
        before = _rates(bench, options, f"{options.nodes} nodes")
        _add_nodes(bench, options.larger - options.nodes)
        larger = _rates(bench, options, f"{options.larger} nodes")
        bench.plane.client.delete(NODES, labelSelector=EXTRA)
        bench.until(lambda: not bench.plane.client.list(NODES, labelSelector=EXTRA, limit="1"), "they are gone", 0.5)
        after = _rates(bench, options, f"{options.nodes} nodes again")
    ratio = statistics.median(larger) / statistics.median([*before, *after])
    report(
        {
            "benchmark": "gang_growth",
            "pods": options.pods,
            "nodes": [options.nodes, options.larger],
            "pods_per_second": {"before": before, "larger": larger, "after": after},
            "falls_by_percent": round(100 * (1 - ratio), 1),
        }
    )
    return 0


def _rates(bench: GangPlane, options: argparse.Namespace, what: str) -> list[float]:
    rates = []
    for _ in range(options.rounds):
        rates.append(round(groups(bench, options.pods).per_second, 1))
        say(f"{what}: {rates[-1]} pods/s")
    return rates


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
