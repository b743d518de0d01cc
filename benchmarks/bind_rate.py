"""Pods bound per second, and what one `filter` call costs: `python -m benchmarks.bind_rate` (or `make bench-bind`).

On one real control plane with fake nodes, in turn: pods of no group by a stock kube-scheduler without an extender, and
the same number in groups of 8, each group in one rack, through our profile and extender (`bind_sides`). The figure of a
side is the median of its rounds, the ratio is the median of the rounds' ratios.

Everything shares the machine's processors, the API server and etcd too, which do about the same for both sides. How far
that alone keeps the ratio down is said beside it: `ratio_if_ours_were_free` is what it would be if our extender and
controller took no processor time at all, `scheduling_ms` what kube-scheduler itself needs to find a pod's node. That is
serial, and what limits the rate where there are processors enough.

`filter` is called from outside, over one kept-alive connection, with what kube-scheduler sends: a pinned member and its
one node, and a stranger with every node's name.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from collections.abc import Mapping, Sequence

from benchmarks.bind_sides import groups, plain
from benchmarks.bindings import Bindings
from benchmarks.filter_calls import FilterCaller, Question, slot_of, told
from benchmarks.gang_plane import SIZE, GangPlane, Json, gang_plane, pod_spec, report, say
from tests.controlplane.nodes import NODES

SIDES = {"plain": plain, "groups": groups}
OTHERS_OF_ALL = ("apiserver", "etcd", "scheduler")
"""What binds a pod beside our own processes."""
FILTER_SECONDS = 10.0
Runs = Mapping[str, Sequence[Bindings]]


def main() -> int:
    options = _parse()
    runs: dict[str, list[Bindings]] = {side: [] for side in SIDES}
    with gang_plane(options.nodes) as bench:
        for turn in range(options.rounds):
            for side, measure in SIDES.items():
                runs[side].append(measure(bench, options.pods))
            said = ", ".join(f"{side} {each[-1].per_second:.0f} pods/s" for side, each in runs.items())
            say(f"round {turn + 1}: {said}")
        latency = _filter_latency(bench)
    report(_summary(options, runs, latency))
    return 0


def _filter_latency(bench: GangPlane) -> Json:
    """Milliseconds per `filter` call at one connection, with one group reserved and unbound."""
    bench.plane.stop_component("scheduler")
    bench.create_set("latency", 1)
    member = bench.wait_pinned(SIZE)[0]
    nodes = sorted(node["metadata"]["name"] for node in bench.plane.client.list(NODES))
    questions = {
        "member": Question(member, [slot_of(member)]),
        "stranger_all_nodes": Question({"metadata": {"name": "stranger"}, "spec": pod_spec()}, nodes),
    }
    with FilterCaller(bench.system.verbs_url, questions) as caller:
        return {what: told(took) for what, took in caller.calls(FILTER_SECONDS).items()}


def _summary(options: argparse.Namespace, runs: Runs, latency: Json) -> Json:
    rates = {side: [each.per_second for each in counted] for side, counted in runs.items()}
    ratios = [ours / other for ours, other in zip(rates["groups"], rates["plain"], strict=True)]
    return {
        "benchmark": "bind_rate",
        "nodes": options.nodes,
        "pods": options.pods,
        "group_size": SIZE,
        "pods_per_second": {side: round(statistics.median(each), 1) for side, each in rates.items()},
        "rounds": {side: [round(rate, 1) for rate in each] for side, each in rates.items()},
        "groups_over_plain": round(statistics.median(ratios), 2),
        "ratio_if_ours_were_free": _ratio_if_ours_were_free(runs),
        "scheduling_ms": {
            side: round(statistics.median(each.scheduling_ms for each in counted), 2) for side, counted in runs.items()
        },
        "cpu_ms_per_pod": {side: dict(counted[-1].cpu_ms_per_pod) for side, counted in runs.items()},
        "filter_ms": latency,
    }


def _ratio_if_ours_were_free(runs: Runs) -> float:
    """From the processor time per pod: a busy machine binds as many pods as it has time for."""

    def others(side: str) -> float:
        return statistics.median(sum(each.cpu_ms_per_pod[name] for name in OTHERS_OF_ALL) for each in runs[side])

    return round(others("plain") / others("groups"), 2)


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.bind_rate", description=__doc__)
    parser.add_argument("--nodes", type=int, default=1000)
    parser.add_argument("--pods", type=int, default=1000, help="on each side; a multiple of 40")
    parser.add_argument("--rounds", type=int, default=3)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
