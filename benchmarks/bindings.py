"""Bindings per second, read from kube-scheduler's own log; and what each process of the control plane spent on them.

At verbosity 2, which the control plane harness sets, kube-scheduler logs `Successfully bound pod to node` whenever a
binding has gone through, with microseconds, for every profile and every way to bind. Reading that afterwards costs
nothing while it is measured; a watching benchmark on the same two cores would be a part of what it measures.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from tests.controlplane.plane import ControlPlane
from tests.controlplane.process import Process

BOUND = re.compile(
    rb'^I(\d{4} \d\d:\d\d:\d\d\.\d{6}) .*"Successfully bound pod to node" (?:podGroup\w*="[^"]*" )*pod="([^"]+)"',
    re.MULTILINE,
)
"""A pod of one of Kubernetes' own groups is logged with its group first."""
POLL_SECONDS = 0.25
_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Bindings:
    pods: int
    seconds: float
    """From the first binding to the last."""
    cpu_ms_per_pod: Mapping[str, float]
    """Processor time of each process, from the scheduler's start to the last binding."""

    @property
    def per_second(self) -> float:
        return (self.pods - 1) / self.seconds


def count(plane: ControlPlane, pods: int, timeout: float) -> Bindings:
    """Start kube-scheduler, whose pods wait already, and wait until it has bound `pods` pods. Raises RuntimeError."""
    scheduler = plane.component("scheduler")
    offset = scheduler.log.stat().st_size if scheduler.log.exists() else 0
    before = _cpu_seconds(plane)
    plane.start_component("scheduler")
    deadline = time.monotonic() + timeout
    while len(times := _bound_since(scheduler.log, offset)) < pods:
        if time.monotonic() > deadline:
            raise RuntimeError(f"only {len(times)} of {pods} pods were bound within {timeout:g} s")
        time.sleep(POLL_SECONDS)
    spent = {name: seconds - before.get(name, 0.0) for name, seconds in _cpu_seconds(plane).items()}
    ordered = sorted(times.values())
    per_pod = {name: round(seconds * 1000 / pods, 2) for name, seconds in sorted(spent.items()) if seconds > 0}
    return Bindings(pods, ordered[-1] - ordered[0], per_pod)


def _bound_since(log: Path, offset: int) -> dict[bytes, float]:
    """When each pod was bound, by its key: the first time that the log says so behind `offset`."""
    with log.open("rb") as lines:
        lines.seek(offset)
        found = BOUND.findall(lines.read())
    times: dict[bytes, float] = {}
    for stamp, pod in found:
        times.setdefault(pod, datetime.strptime(f"2000{stamp.decode()}", "%Y%m%d %H:%M:%S.%f").timestamp())
    return times


def _cpu_seconds(plane: ControlPlane) -> dict[str, float]:
    return {process.name: _cpu_of(process) for process in plane.processes() if process.alive}


def _cpu_of(process: Process) -> float:
    """User and system seconds of a process so far."""
    fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS
