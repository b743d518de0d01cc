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

import statistics
import sys

from benchmarks.bind_sides import Runs, figures, groups, in_turn, parsed, plain, ratio
from benchmarks.filter_calls import FilterCaller, Question, slot_of, told
from benchmarks.gang_plane import SIZE, GangPlane, Json, gang_plane, pod_spec, report
from tests.controlplane.nodes import NODES

SIDES = {"plain": plain, "groups": groups}
OTHERS_OF_ALL = ("apiserver", "etcd", "scheduler")
"""What binds a pod beside our own processes."""
FILTER_SECONDS = 10.0


def main() -> int:
    options = parsed("bind_rate", __doc__)
    with gang_plane(options.nodes) as bench:
        runs = in_turn(bench, SIDES, options.rounds, options.pods)
        latency = _filter_latency(bench)
    report(
        {
            "benchmark": "bind_rate",
            **figures(options, runs),
            "groups_over_plain": ratio(runs, "groups", "plain"),
            "ratio_if_ours_were_free": _ratio_if_ours_were_free(runs),
            "scheduling_ms": {
                side: round(statistics.median(each.scheduling_ms for each in bound), 2) for side, bound in runs.items()
            },
            "filter_ms": latency,
        }
    )
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


def _ratio_if_ours_were_free(runs: Runs) -> float:
    """From the processor time per pod: a busy machine binds as many pods as it has time for."""

    def others(side: str) -> float:
        return statistics.median(sum(each.cpu_ms_per_pod[name] for name in OTHERS_OF_ALL) for each in runs[side])

    return round(others("plain") / others("groups"), 2)


if __name__ == "__main__":
    sys.exit(main())
