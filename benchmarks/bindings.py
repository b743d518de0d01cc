"""Bindings per second, read from kube-scheduler's own log; and what each process of the control plane spent on them.

At verbosity 2, which the control plane harness sets, kube-scheduler logs `Successfully bound pod to node` whenever a
binding has gone through, with microseconds, for every profile and every way to bind. Reading that afterwards costs
nothing while it is measured; a watching benchmark on the same two cores would be a part of what it measures.

Of a pod that it gave up waiting for, and that an extender bound all the same, kube-scheduler says nothing more. Once
its log has fallen silent, the API server is asked for such pods; when they were bound it knows to the second.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from benchmarks.gang_plane import Json, say
from benchmarks.processes import cpu_seconds
from tests.controlplane.client import Client, path_of
from tests.controlplane.plane import ControlPlane

BOUND = re.compile(
    rb'^I(\d{4} \d\d:\d\d:\d\d\.\d{6}) .*"Successfully bound pod to node" (?:podGroup\w*="[^"]*" )*pod="([^"]+)"',
    re.MULTILINE,
)
"""A pod of one of Kubernetes' own groups is logged with its group first."""
POLL_SECONDS = 0.25
SILENCE_SECONDS = 5.0
"""After so long without a binding in kube-scheduler's log the API server is asked."""
SCHEDULING = "scheduler_scheduling_algorithm_duration_seconds"


@dataclass(frozen=True)
class Bindings:
    pods: int
    seconds: float
    """From the first binding to the last."""
    cpu_ms_per_pod: Mapping[str, float]
    """Processor time of each process, from the scheduler's start to the last binding."""
    scheduling_ms: float
    """How long kube-scheduler looked for the node of a pod, in the mean; our `filter` is a part of it."""

    @property
    def per_second(self) -> float:
        return (self.pods - 1) / self.seconds


def count(plane: ControlPlane, pods: int, timeout: float) -> Bindings:
    """Start kube-scheduler, whose pods wait already, and wait until it has bound `pods` pods. Raises RuntimeError."""
    scheduler = plane.component("scheduler")
    offset = scheduler.log.stat().st_size if scheduler.log.exists() else 0
    before = _cpu_seconds(plane)
    plane.start_component("scheduler")
    times = _when_bound(plane, scheduler.log, offset, pods, timeout)
    spent = {name: seconds - before.get(name, 0.0) for name, seconds in _cpu_seconds(plane).items()}
    ordered = sorted(times.values())
    per_pod = {name: round(seconds * 1000 / pods, 2) for name, seconds in sorted(spent.items()) if seconds > 0}
    return Bindings(pods, ordered[-1] - ordered[0], per_pod, _scheduling_ms(plane))


def _when_bound(plane: ControlPlane, log: Path, offset: int, pods: int, timeout: float) -> dict[bytes, float]:
    """When each pod was bound, seconds since some moment, once that many are. Raises RuntimeError."""
    began, heard, known = time.time(), time.monotonic(), 0
    deadline = heard + timeout
    while len(times := _bound_since(log, offset)) < pods:
        now = time.monotonic()
        if len(times) > known:
            heard, known = now, len(times)
        if now - heard > SILENCE_SECONDS:
            given_up = bound_untold(plane.client.list(path_of("pods")), times, began)
            if len(times) + len(given_up) >= pods:
                say(f"kube-scheduler gave up {len(given_up)} pods that were bound all the same")
                return {**times, **given_up}
            heard = now
        if now > deadline:
            raise RuntimeError(f"only {len(times)} of {pods} pods were bound within {timeout:g} s")
        time.sleep(POLL_SECONDS)
    return times


def bound_untold(pods: Iterable[Json], told: Mapping[bytes, float], began: float) -> dict[bytes, float]:
    """When the pods were bound, at the latest, that stand somewhere since `began` (seconds since the epoch) and of
    which kube-scheduler's log does not tell: in the log's own time, which knows no year."""
    found: dict[bytes, float] = {}
    for pod in pods:
        key = f"{pod['metadata']['namespace']}/{pod['metadata']['name']}".encode()
        scheduled = [each for each in pod["status"].get("conditions", ()) if each["type"] == "PodScheduled"]
        if key in told or not pod["spec"].get("nodeName") or not scheduled:
            continue
        at = datetime.fromisoformat(scheduled[0]["lastTransitionTime"]) + timedelta(seconds=1)
        if at.timestamp() > began:
            found[key] = at.astimezone().replace(year=2000, tzinfo=None).timestamp()
    return found


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
    return {process.name: cpu_seconds(process.pid) for process in plane.processes() if process.alive}


def _scheduling_ms(plane: ControlPlane) -> float:
    """Since kube-scheduler's start. Kubernetes' own groups are looked for in another way, which this does not count."""
    client = Client(f"https://127.0.0.1:{plane.port('scheduler')}", plane.token, plane.ca)
    found = dict(re.findall(rf"^{SCHEDULING}_(sum|count) (\S+)$", client.text("/metrics"), re.MULTILINE))
    count = float(found.get("count", 0))
    return 1000 * float(found["sum"]) / count if count else 0.0
