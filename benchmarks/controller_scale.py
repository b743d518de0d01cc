"""What a large cluster costs the controller: `python -m benchmarks.controller_scale` (or `make bench-scale`).

1,000 groups of 8 in sets of 50. Once all are ready: the controller's memory, its CPU time while nothing happens, and a
restart: from the start of the process to every set and group reconciled, and what it wrote meanwhile. Writes are
counted as the API server counts them, less those that are the process's own (its Lease, what is told of that, and the
registration of its webhooks); that no event is told of a set or a pod either is seen from the events themselves.
"""

from __future__ import annotations

import argparse
import re
import sys
import time

from benchmarks.controller_plane import EVENTS, PODS, SETS, STATEFUL_SETS, Bench, controller_plane, report, say, seconds
from benchmarks.processes import cpu_seconds, resident_mb
from tests.system.product import CONTROLLER

SIZE = 8
GROUPS_PER_SET = 50
OWN = {"leases", "events", "mutatingwebhookconfigurations", "validatingwebhookconfigurations"}
"""Resources that are not about any set."""
IDLE = 0.02
"""CPU seconds per second below which the process counts as done."""


def main() -> int:
    options = _parse()
    with controller_plane(nodes=options.nodes) as bench:
        names = [f"many-{index:02}" for index in range(options.groups // GROUPS_PER_SET)]
        took = seconds(lambda: _bring_up(bench, names))
        say(f"{options.groups} groups are ready after {took} s")
        time.sleep(10)
        memory, cpu = resident_mb(bench.controller_pid()), _idle_cpu(bench.controller_pid(), options.idle_seconds)
        restart, writes = _restart(bench)
        after = resident_mb(bench.controller_pid())
    report(
        {
            "benchmark": "controller_scale",
            "groups": options.groups,
            "size": SIZE,
            "bring_up_seconds": took,
            "memory_mb": {"after_bring_up": memory, "after_restart": after},
            "idle_cpu_percent": cpu,
            "restart_seconds": restart,
            "restart_writes": writes,
        }
    )
    return 0


def _bring_up(bench: Bench, names: list[str]) -> None:
    for name in names:
        bench.create_set(name, GROUPS_PER_SET, SIZE)
    for name in names:
        bench.wait_available(name, poll=0.5)


def _restart(bench: Bench) -> tuple[float, dict[str, int]]:
    """Seconds until the new process has nothing left to do, and its writes by resource."""
    bench.plane.stop_component(CONTROLLER)
    versions, before = _versions(bench), _writes(bench)
    started = time.monotonic()
    bench.plane.start_component(CONTROLLER)
    _wait_idle(bench.controller_pid())
    took = time.monotonic() - started - 1.0
    written = {what: count - before.get(what, 0) for what, count in _writes(bench).items()}
    written = {what: count for what, count in sorted(written.items()) if count and what not in OWN}
    if _versions(bench) != versions:
        raise RuntimeError("the restarted controller changed an object, or told of one")
    return round(took, 2), written


def _wait_idle(pid: int) -> None:
    """Until the process used next to no CPU for a second."""
    while True:
        before = cpu_seconds(pid)
        time.sleep(1.0)
        if cpu_seconds(pid) - before < IDLE:
            return


def _versions(bench: Bench) -> dict[str, str]:
    client = bench.plane.client
    found = (each["metadata"] for path in (SETS, STATEFUL_SETS, PODS, EVENTS) for each in client.list(path))
    return {meta["uid"]: meta["resourceVersion"] for meta in found}


def _writes(bench: Bench) -> dict[str, int]:
    """What the API server was asked to write up to now, by resource; by whom it does not say."""
    counts: dict[str, int] = {}
    for line in bench.plane.client.text("/metrics").splitlines():
        match = re.match(r"apiserver_request_total\{(.*)\} (\S+)$", line)
        if match is None:
            continue
        labels = dict(re.findall(r'(\w+)="([^"]*)"', match[1]))
        if labels["verb"] in ("POST", "PUT", "PATCH", "APPLY", "DELETE"):
            counts[labels["resource"]] = counts.get(labels["resource"], 0) + int(float(match[2]))
    return counts


def _idle_cpu(pid: int, wall: float) -> float:
    """Percent of one core while nothing happens."""
    before = cpu_seconds(pid)
    time.sleep(wall)
    return round((cpu_seconds(pid) - before) / wall * 100, 2)


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.controller_scale", description=__doc__)
    parser.add_argument("--groups", type=int, default=1000, help=f"a multiple of {GROUPS_PER_SET}")
    parser.add_argument("--nodes", type=int, default=128)
    parser.add_argument("--idle-seconds", type=float, default=30.0)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
