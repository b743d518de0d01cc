"""What a large cluster costs the extender: `python -m benchmarks.gang_memory` (or `make bench-memory`).

5,000 nodes and 20,000 pods in 2,500 groups of 8, all bound, through the whole system. Nodes and pods are as large as a
cloud's (images, labels, annotations; environment, volumes, probes), as they pass through the process's hands even where
it keeps little of them. Measured:

- memory: resident once everything is bound and at rest, and the most it ever was;
- a restart: the process is stopped, a set of one more group is made, and the process is started again: to `/readyz`
  saying yes, to the new group's reservation, and memory after that.
"""

from __future__ import annotations

import argparse
import sys
import time

from benchmarks.gang_plane import RECORDS, SETS, SIZE, GangPlane, Json, gang_plane, leader_worker_set, report, say
from benchmarks.processes import cpu_seconds, peak_mb, resident_mb
from tests.controlplane.client import Object
from tests.system.product import EXTENDER

GROUPS_PER_SET = 50
BRING_UP_SECONDS = 2400.0
"""Patience: StatefulSets make some dozens of pods a second on two processors."""
REST_SECONDS = 10.0
IDLE_SECONDS = 10.0


def main() -> int:
    options = _parse()
    sets = -(-options.pods // (SIZE * GROUPS_PER_SET))
    with gang_plane(options.nodes, dressed=_as_in_a_cloud) as bench:
        started = time.monotonic()
        for index in range(sets):
            bench.plane.client.create(SETS, _set(f"many-{index:02}", GROUPS_PER_SET))
        _wait_bound(bench, sets * GROUPS_PER_SET)
        say(f"{sets * GROUPS_PER_SET} groups are bound after {time.monotonic() - started:.0f} s")
        time.sleep(REST_SECONDS)
        pid = bench.plane.component(EXTENDER).pid
        before = {"resident_mb": resident_mb(pid), "peak_mb": peak_mb(pid), "idle_cpu_percent": _idle_cpu(pid)}
        say(f"before the restart: {before}")
        restart = _restart(bench)
    report(
        {
            "benchmark": "gang_memory",
            "nodes": options.nodes,
            "pods": sets * GROUPS_PER_SET * SIZE,
            "groups": sets * GROUPS_PER_SET,
            **before,
            "restart": restart,
        }
    )
    return 0


def _wait_bound(bench: GangPlane, groups: int) -> None:
    def bound() -> bool:
        states = [record["status"]["state"] for record in bench.plane.client.list(RECORDS)]
        return states.count("Bound") == groups

    bench.until(bound, f"{groups} groups are bound", 5.0, BRING_UP_SECONDS)


def _idle_cpu(pid: int) -> float:
    before = cpu_seconds(pid)
    time.sleep(IDLE_SECONDS)
    return round(100 * (cpu_seconds(pid) - before) / IDLE_SECONDS, 1)


def _restart(bench: GangPlane) -> Json:
    bench.plane.stop_component(EXTENDER)
    bench.plane.client.create(SETS, _set("late", 1))
    started = time.monotonic()
    bench.plane.start_component(EXTENDER)
    ready = time.monotonic() - started
    record = f"{RECORDS}/late-0"
    bench.until(lambda: bench.plane.client.find(record), "the new group is placed", 0.02)
    placed = time.monotonic() - started
    time.sleep(REST_SECONDS)
    pid = bench.plane.component(EXTENDER).pid
    return {
        "seconds_to_ready": round(ready, 2),
        "seconds_to_first_reservation": round(placed, 2),
        "resident_mb": resident_mb(pid),
        "peak_mb": peak_mb(pid),
    }


def _set(name: str, groups: int) -> Json:
    lws = leader_worker_set(name, groups, SIZE, 1)
    spec = lws["spec"]["leaderWorkerTemplate"]["workerTemplate"]["spec"]
    [main] = spec["containers"]
    probe = {"httpGet": {"path": "/health", "port": 8000}, "periodSeconds": 10, "failureThreshold": 60}
    main |= {
        "args": [f"--option-{index}=value-of-option-{index}" for index in range(12)],
        "env": [{"name": f"VARIABLE_{index}", "value": f"value-of-variable-{index}"} for index in range(20)],
        "readinessProbe": probe,
        "livenessProbe": probe,
        "volumeMounts": [{"name": f"volume-{index}", "mountPath": f"/mnt/volume-{index}"} for index in range(4)],
    }
    spec["volumes"] = [{"name": f"volume-{index}", "emptyDir": {}} for index in range(4)]
    return lws


def _as_in_a_cloud(node: Object) -> Object:
    """With what a cloud's nodes carry: about 9 KB each."""
    meta, status = node["metadata"], node["status"]
    labels = {f"cloud.example.com/label-{index}": f"value-of-label-{index}" for index in range(25)}
    annotations = {f"cloud.example.com/annotation-{index}": f"value-of-annotation-{index}" * 3 for index in range(10)}
    image = "registry.example.com/some-team/some-project/some-image-{index}@sha256:" + "0" * 64
    images = [{"names": [image.format(index=index)], "sizeBytes": 1 << 30} for index in range(40)]
    return {
        **node,
        "metadata": {
            **meta,
            "labels": meta["labels"] | labels,
            "annotations": meta["annotations"] | annotations,
        },
        "status": {**status, "images": images},
    }


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gang_memory", description=__doc__)
    parser.add_argument("--nodes", type=int, default=5000)
    parser.add_argument("--pods", type=int, default=20_000, help=f"a multiple of {SIZE * GROUPS_PER_SET}")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
