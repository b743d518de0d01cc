"""How fast groups come and come back: `python -m benchmarks.controller_bringup` (or `make bench-bringup`).

- bring-up: one LeaderWorkerSet of 120 groups of 8, against 120 plain StatefulSets of 8 pods, in turn; from the first
  request to all pods ready. A third side is the plain sets behind one headless Service, as the API gives it to the
  groups of a set: its endpoints are written anew for every few pods that come, by the controller manager, whoever made
  the Service. That ratio, `service_over_plain`, is what no implementation of the API can stay below.
- four groups of 4 on an idle machine: from creation to all ready, their rolling update one group at a time, and from
  the deletion of a worker to a complete new group.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Mapping, Sequence

from benchmarks.controller_plane import PODS, Bench, Json, controller_plane, report, say, seconds

SIZE = 8
SMALL_GROUPS, SMALL_SIZE = 4, 4
IDLE_SECONDS = 3.0
"""Before each measurement of the small set: what the one before left behind has ended by then."""


def main() -> int:
    options = _parse()
    with controller_plane(nodes=64) as bench:
        small = [_small(bench) for _ in range(options.small_rounds)]
        large = [_large(bench, options.groups) for _ in range(options.rounds)]
    report(
        {
            "benchmark": "controller_bringup",
            "groups": options.groups,
            "size": SIZE,
            **{f"{side}_seconds": round(statistics.median(each[side] for each in large), 2) for side in large[0]},
            "groups_over_plain": _ratio(large, "groups", "plain"),
            "groups_over_service": _ratio(large, "groups", "service"),
            "service_over_plain": _ratio(large, "service", "plain"),
            "rounds": large,
            "four_groups_of_four": {
                what: round(statistics.median(each[what] for each in small), 3) for what in small[0]
            },
        }
    )
    return 0


def _ratio(rounds: Sequence[Mapping[str, float]], one: str, other: str) -> float:
    return round(statistics.median(each[one] / each[other] for each in rounds), 3)


def _large(bench: Bench, groups: int) -> dict[str, float]:
    names = [f"plain-{index:03}" for index in range(groups)]

    def plain() -> None:
        bench.create_plain(names, SIZE)
        bench.wait_plain(names, SIZE, poll=0.2)

    def behind_a_service() -> None:
        bench.create_service()
        plain()

    def ours() -> None:
        bench.create_set("large", groups, SIZE)
        bench.wait_available("large", poll=0.2)

    took: dict[str, float] = {}
    for side, bring_up in (("plain", plain), ("service", behind_a_service)):
        time.sleep(IDLE_SECONDS)
        took[side] = seconds(bring_up)
        bench.delete_plain(names, poll=0.5)
        bench.wait_no_pods()
    bench.delete_service()
    time.sleep(IDLE_SECONDS)
    took["groups"] = seconds(ours)
    bench.delete_set("large")
    say(f"bring-up of {groups} groups: {took}")
    return took


def _small(bench: Bench) -> Json:
    name = "small"

    def create() -> None:
        bench.create_set(name, SMALL_GROUPS, SMALL_SIZE)
        bench.wait_available(name, poll=0.01)

    def update() -> None:
        bench.change_image(name, "two")
        bench.wait_available(name, poll=0.01)

    def lose_worker() -> None:
        group = [f"{name}-1", *(f"{name}-1-{index}" for index in range(1, SMALL_SIZE))]
        before = {pod["metadata"]["uid"] for pod in bench.plane.client.list(PODS)}
        bench.plane.client.delete(f"{PODS}/{name}-1-2")
        bench.until(lambda: _is_anew(bench, group, before), "the group is complete again", 0.01)

    result: Json = {}
    for what, action in (("ready", create), ("rolling_update", update), ("lost_worker", lose_worker)):
        time.sleep(IDLE_SECONDS)
        result[what] = seconds(action)
    bench.delete_set(name)
    say(f"four groups of four: {result}")
    return result


def _is_anew(bench: Bench, group: list[str], before: set[str]) -> bool:
    pods = {pod["metadata"]["name"]: pod for pod in bench.plane.client.list(PODS)}
    return all(name in pods and pods[name]["metadata"]["uid"] not in before and _is_ready(pods[name]) for name in group)


def _is_ready(pod: Json) -> bool:
    return any(each["type"] == "Ready" and each["status"] == "True" for each in pod["status"].get("conditions", ()))


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.controller_bringup", description=__doc__)
    parser.add_argument("--groups", type=int, default=120)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--small-rounds", type=int, default=3)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
