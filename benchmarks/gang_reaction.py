"""How soon room that was made is used: `python -m benchmarks.gang_reaction` (or `make bench-reaction`).

Every host of the fleet is taken by a pod of no group, and one group of 8, a host per member, waits for a rack. Again
and again the pods on 8 hosts of some rack are deleted, and one observer with two watches notes when it sees

- the last of them go, from which everything counts;
- the group's record say Reserved (`planned`) and Committed (`committed`: every member has passed kube-scheduler on its
  own slot), and its last member bound (`bound`).

Then the group is deleted, the rack is filled again, and the next group waits. A plan, eight patches, eight passes
through kube-scheduler, and the barrier lie between the two events.
"""

from __future__ import annotations

import argparse
import random
import sys
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from urllib3.exceptions import HTTPError

from benchmarks.gang_plane import (
    PATIENCE,
    PODS,
    RECORDS,
    SETS,
    SIZE,
    GangPlane,
    Json,
    gang_plane,
    percentile,
    pod_spec,
    report,
    say,
    side_by_side,
)
from tests.controlplane.client import Event
from tests.controlplane.nodes import NODES, RACK_LABEL

HOST = 8
"""Accelerators of a host: a pod that takes them all stands alone."""
REST_SECONDS = 1.5
SEED = 1
STEPS = ("planned", "committed", "bound")


def main() -> int:
    options = _parse()
    with gang_plane(options.nodes) as bench:
        racks = _racks(bench)
        blocking = {node: f"{node}-000" for nodes in racks.values() for node in nodes}
        bench.create_all(PODS, [_blocker(pod, node) for node, pod in blocking.items()])
        observer = Observer(bench)
        observer.start()
        draw = random.Random(SEED)
        trials = []
        for turn in range(1, options.trials + 1):
            nodes = draw.sample(racks[draw.choice(sorted(racks))], SIZE)
            trials.append(_trial(bench, observer, turn, nodes, blocking))
            say(f"trial {turn}: " + ", ".join(f"{step} {trials[-1][step] * 1000:.0f} ms" for step in STEPS))
        observer.end()
    report(_summary(options, trials))
    return 0


def _trial(
    bench: GangPlane, observer: Observer, turn: int, nodes: Sequence[str], blocking: dict[str, str]
) -> dict[str, float]:
    """Seconds from the end of the last blocking pod on these nodes to each step; the nodes are taken again after."""
    name = f"late-{turn:03}"
    bench.create_set(name, 1, accelerators=HOST)
    members = [f"{name}-0", *(f"{name}-0-{index}" for index in range(1, SIZE))]
    observer.wait(lambda seen: f"{name}-0 Waiting" in seen and all(f"{pod} created" in seen for pod in members))
    time.sleep(REST_SECONDS)
    blockers = [blocking[node] for node in nodes]
    delete = {"gracePeriodSeconds": 0}
    side_by_side(lambda pod: bench.plane.client.delete(f"{PODS}/{pod}", delete), blockers)
    seen = observer.wait(lambda seen: all(f"{pod} bound" in seen for pod in members))
    gone = max(seen[f"{pod} gone"] for pod in blockers)
    bench.plane.client.delete(f"{SETS}/{name}", {"propagationPolicy": "Background"})
    observer.wait(lambda seen: all(f"{pod} gone" in seen for pod in members))
    bench.wait_empty(RECORDS)
    blocking |= {node: f"{node}-{turn:03}" for node in nodes}
    bench.create_all(PODS, [_blocker(blocking[node], node) for node in nodes])
    return {
        "planned": seen[f"{name}-0 Reserved"] - gone,
        "committed": seen[f"{name}-0 Committed"] - gone,
        "bound": max(seen[f"{pod} bound"] for pod in members) - gone,
    }


@dataclass
class Observer:
    """Two watches, and when they first told of something, by the monotonic clock."""

    bench: GangPlane
    _seen: dict[str, float] = field(default_factory=dict)
    _changed: threading.Condition = field(default_factory=threading.Condition)
    _is_over: bool = False

    def start(self) -> None:
        for path, facts in ((PODS, _facts_of_pod), (RECORDS, _facts_of_record)):
            version = self.bench.plane.client.get(path)["metadata"]["resourceVersion"]
            threading.Thread(target=self._watch, args=(path, version, facts), daemon=True).start()

    def end(self) -> None:
        """The watches may break off from now on."""
        self._is_over = True

    def wait(self, holds: Callable[[dict[str, float]], bool]) -> dict[str, float]:
        """Wait until what was seen is enough; a copy of it. Raises RuntimeError."""
        with self._changed:
            if not self._changed.wait_for(lambda: holds(self._seen), timeout=PATIENCE):
                raise RuntimeError(f"not seen within {PATIENCE:.0f} s")
            return dict(self._seen)

    def _watch(self, path: str, version: str, facts: Callable[[Event], Iterable[str]]) -> None:
        try:
            for event in self.bench.plane.client.watch(path, version, timeout_seconds=3600):
                self._note(facts(event), time.monotonic())
        except HTTPError:
            if not self._is_over:
                raise

    def _note(self, facts: Iterable[str], now: float) -> None:
        with self._changed:
            for fact in facts:
                self._seen.setdefault(fact, now)
            self._changed.notify_all()


def _facts_of_pod(event: Event) -> Iterable[str]:
    name = event.object["metadata"].get("name", "")
    if event.type in ("ADDED", "MODIFIED"):
        yield f"{name} created"
        if event.object["spec"].get("nodeName"):
            yield f"{name} bound"
    elif event.type == "DELETED":
        yield f"{name} gone"


def _facts_of_record(event: Event) -> Iterable[str]:
    if event.type in ("ADDED", "MODIFIED"):
        yield f"{event.object['metadata']['name']} {event.object['status']['state']}"


def _racks(bench: GangPlane) -> dict[str, list[str]]:
    """The nodes of every rack that could take the group."""
    racks: dict[str, list[str]] = {}
    for node in bench.plane.client.list(NODES):
        racks.setdefault(node["metadata"]["labels"][RACK_LABEL], []).append(node["metadata"]["name"])
    return {rack: sorted(nodes) for rack, nodes in racks.items() if len(nodes) >= SIZE}


def _blocker(name: str, node: str) -> Json:
    return {"metadata": {"name": name}, "spec": pod_spec(HOST, nodeName=node)}


def _summary(options: argparse.Namespace, trials: Sequence[dict[str, float]]) -> Json:
    def told(step: str) -> Json:
        took = [each[step] for each in trials]
        return {f"p{round(share * 100)}": round(percentile(took, share), 3) for share in (0.5, 0.9, 1.0)}

    return {
        "benchmark": "gang_reaction",
        "nodes": options.nodes,
        "size": SIZE,
        "trials": len(trials),
        "seconds_after_last_blocker": {step: told(step) for step in STEPS},
    }


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gang_reaction", description=__doc__)
    parser.add_argument("--nodes", type=int, default=1000)
    parser.add_argument("--trials", type=int, default=30)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
