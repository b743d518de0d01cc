"""Rolling updates of many groups: `python -m benchmarks.controller_rollout` (or `make bench-rollout`).

One LeaderWorkerSet of 16, then of 32 groups of 8 with maxUnavailable 25 %: from the change of its image to all groups
updated and ready. The floor is taken beside it: as many plain StatefulSets of 8 pods, deleted and created anew a
quarter at a time, each quarter once the one before is ready.
"""

from __future__ import annotations

import argparse
import statistics
import sys

from benchmarks.controller_plane import PODS, Bench, Json, controller_plane, report, say, seconds

SIZE = 8


def main() -> int:
    options = _parse()
    with controller_plane(nodes=64) as bench:
        results = {str(groups): _rollouts(bench, groups, options.rounds) for groups in options.groups}
    report({"benchmark": "controller_rollout", "size": SIZE, "max_unavailable": "25%", "groups": results})
    return 0


def _rollouts(bench: Bench, groups: int, rounds: int) -> Json:
    floors, rollouts = [], []
    for turn in range(rounds):
        floors.append(_floor(bench, groups))
        rollouts.append(_rollout(bench, groups))
        say(f"{groups} groups, round {turn + 1}: floor {floors[-1]} s, rollout {rollouts[-1]} s")
    ratios = [ours / floor for ours, floor in zip(rollouts, floors, strict=True)]
    return {
        "rollout_seconds": round(statistics.median(rollouts), 2),
        "floor_seconds": round(statistics.median(floors), 2),
        "rollout_over_floor": round(statistics.median(ratios), 2),
        "rounds": {"rollout": rollouts, "floor": floors},
    }


def _rollout(bench: Bench, groups: int) -> float:
    bench.create_set("roll", groups, SIZE, maxUnavailable="25%")
    bench.wait_available("roll")

    def update() -> None:
        bench.change_image("roll", "two")
        bench.wait_available("roll")

    took = seconds(update)
    images = {pod["spec"]["containers"][0]["image"] for pod in bench.plane.client.list(PODS)}
    if images != {"two"}:
        raise RuntimeError(f"the update is said to be done, and pods run {sorted(images)}")
    bench.delete_set("roll")
    return took


def _floor(bench: Bench, groups: int) -> float:
    names = [f"plain-{index:02}" for index in range(groups)]
    bench.create_plain(names, SIZE)
    bench.wait_plain(names, SIZE)
    quarter = max(1, groups // 4)

    def update() -> None:
        for start in range(0, groups, quarter):
            part = names[start : start + quarter]
            bench.delete_plain(part)
            bench.create_plain(part, SIZE)
            bench.wait_plain(part, SIZE)

    took = seconds(update)
    bench.delete_plain(names)
    bench.wait_no_pods()
    return took


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.controller_rollout", description=__doc__)
    parser.add_argument("--groups", type=int, nargs="+", default=[16, 32])
    parser.add_argument("--rounds", type=int, default=2)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
