"""From apply to all ready, whole or one by one: `python -m benchmarks.gang_ready` (or `make bench-ready`).

One LeaderWorkerSet of 100 groups of 8 on a cluster with room, made by our controller on both sides, in turn:

- `default`: on the default profile of a stock kube-scheduler, without an extender and without a word about topology;
- `ours`: the same set with `schedulerName: lws-sched`, each group in one rack, through our profile and extender.

Time runs from before the request that creates the set to the first status that says that all groups are ready. Between
two rounds everything is deleted, and the machine comes to rest. kwok plays the kubelets, so a bound pod is ready at
once.

`ever_gated_percent` is the share of our pods that were created with a scheduling gate: read afterwards from the API
server's own history of the pods' creation, so that nobody watches while it is measured. `cpu_seconds` is the processor
time of each process meanwhile, the median of the rounds.

Everything shares the machine's processors. Where these are busy throughout (`busy`: the share of their time that the
processes took), time follows from processor time, and `cpu_over_default` is the ratio by that alone. Beside it stands
`ratio_if_ours_were_free`: what it would be if the extender took no time at all, and the API server and etcd no more
than they take on the other side. No better extender can do better than that on such a machine.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from benchmarks.gang_plane import PODS, SETS, SIZE, GangPlane, Json, gang_plane, leader_worker_set, report, say
from benchmarks.processes import cpu_of_each, spent
from tests.system.product import CONTROLLER, EXTENDER

PROCESSES = ("etcd", "apiserver", "controller-manager", "scheduler", "kwok", CONTROLLER, EXTENDER)
FOR_OURS = ("etcd", "apiserver")
"""Who works for the extender, too: what it asks and writes goes through them."""
Cpu = Mapping[str, float]
"""Processor seconds by process."""
GATE = "lws-sched.io/group-placement"
REST_SECONDS = 3.0
POLL_SECONDS = 0.05
HISTORY_SECONDS = 30.0


@dataclass(frozen=True)
class Round:
    """One bring-up: how long it took, the share of its pods that were created gated, and what it cost whom."""

    seconds: float
    gated: float
    cpu: dict[str, float]


def main() -> int:
    options = _parse()
    with gang_plane(options.nodes) as bench:
        rounds: dict[str, list[Round]] = {"default": [], "ours": []}
        for turn in range(options.rounds):
            rounds["default"].append(_default(bench, options.groups))
            rounds["ours"].append(_ours(bench, options.groups))
            last = {side: each[-1] for side, each in rounds.items()}
            told = ", ".join(f"{side} {each.seconds} s" for side, each in last.items())
            say(f"round {turn + 1}: {told}, {last['ours'].gated:.2%} gated")
    report(_summary(options, rounds))
    return 0


def _default(bench: GangPlane, groups: int) -> Round:
    bench.plane.set_scheduler_config(None)
    bench.plane.restart_component("scheduler")
    return _bring_up(bench, leader_worker_set("whole", groups, SIZE, 1, scheduler=""))


def _ours(bench: GangPlane, groups: int) -> Round:
    bench.system.use_scheduler_config()
    return _bring_up(bench, leader_worker_set("whole", groups, SIZE, 1))


def _bring_up(bench: GangPlane, lws: Json) -> Round:
    time.sleep(REST_SECONDS)
    version = bench.plane.client.get(PODS, limit="1")["metadata"]["resourceVersion"]
    before, started = cpu_of_each(bench.plane, PROCESSES), time.monotonic()
    bench.plane.client.create(SETS, lws)
    bench.until(_is_ready(bench, lws), "all groups are ready", POLL_SECONDS)
    seconds, after = round(time.monotonic() - started, 2), cpu_of_each(bench.plane, PROCESSES)
    share = _gated_since(bench, version, lws["spec"]["replicas"] * SIZE)
    bench.delete_sets()
    return Round(seconds, share, spent(before, after))


def _is_ready(bench: GangPlane, lws: Json) -> Callable[[], bool]:
    path, replicas = f"{SETS}/{lws['metadata']['name']}", lws["spec"]["replicas"]
    return lambda: bench.plane.client.get(path).get("status", {}).get("readyReplicas", 0) == replicas


def _gated_since(bench: GangPlane, version: str, count: int) -> float:
    """Of `count` pods created after that resourceVersion, the share that carried a gate then."""
    created: dict[str, bool] = {}
    history = bench.plane.client.watch(PODS, version, timeout_seconds=HISTORY_SECONDS)
    for event in history:
        if event.type == "ADDED":
            gates = event.object["spec"].get("schedulingGates", ())
            created[event.object["metadata"]["uid"]] = GATE in [gate["name"] for gate in gates]
        if len(created) == count:
            break
    history.close()
    if len(created) < count:
        raise RuntimeError(f"the API server remembers the creation of {len(created)} of {count} pods only")
    return sum(created.values()) / count


def _summary(options: argparse.Namespace, rounds: dict[str, list[Round]]) -> Json:
    seconds = {side: [each.seconds for each in made] for side, made in rounds.items()}
    ratios = [ours / default for default, ours in zip(seconds["default"], seconds["ours"], strict=True)]
    cpu = {side: median_cpu([each.cpu for each in made]) for side, made in rounds.items()}
    return {
        "benchmark": "gang_ready",
        "nodes": options.nodes,
        "groups": options.groups,
        "size": SIZE,
        "seconds": {side: round(statistics.median(each), 2) for side, each in seconds.items()},
        "ours_over_default": round(statistics.median(ratios), 2),
        "ever_gated_percent": round(100 * max(each.gated for each in rounds["ours"]), 2),
        "cpu_over_default": round(sum(cpu["ours"].values()) / sum(cpu["default"].values()), 2),
        "ratio_if_ours_were_free": ratio_if_ours_were_free(cpu["default"], cpu["ours"]),
        "busy": {side: _busy(made) for side, made in rounds.items()},
        "rounds": seconds,
        "cpu_seconds": cpu,
    }


def median_cpu(rounds: Sequence[Cpu]) -> dict[str, float]:
    return {name: round(statistics.median(each[name] for each in rounds), 2) for name in rounds[0]}


def ratio_if_ours_were_free(default: Cpu, ours: Cpu) -> float:
    """From processor time. The default side, too, is taken without the extender, which only watches there."""
    others = sum(seconds for name, seconds in default.items() if name != EXTENDER)
    freed = sum(max(0.0, ours[name] - default[name]) for name in FOR_OURS) + ours[EXTENDER]
    return round((sum(ours.values()) - freed) / others, 2)


def _busy(rounds: Sequence[Round]) -> float:
    """The share of all processors' time that the processes took."""
    took = sum(sum(each.cpu.values()) for each in rounds)
    return round(took / (sum(each.seconds for each in rounds) * (os.cpu_count() or 1)), 2)


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gang_ready", description=__doc__)
    parser.add_argument("--nodes", type=int, default=1000)
    parser.add_argument("--groups", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=4)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
