"""What `filter` costs while the extender is at work: `python -m benchmarks.gang_filter` (or `make bench-filter`).

`filter` stands in kube-scheduler's serial cycle, so whatever delays it delays every pod that wants an accelerator. It
is called here from outside, over one connection, a call every few milliseconds, with what kube-scheduler sends: a
pinned member with its one node, and a stranger with every node's name. The situations, in one run:

- `idle`: nothing else happens;
- `arriving`, `held`: 500 bind calls come in and are held at the barrier, each on a connection of its own, of groups
  whose last member never comes. In turn with `idle`, with other groups each time;
- `solving`: sets of six sizes, in all four times what the fleet can take, are deleted and made anew, so that the
  planner always has hundreds of groups to decide about. Each batch leaves out groups that would fit alone, which is
  when the solver is asked. `planning` says how many batches there were, and how much of one processor they took.

kube-scheduler, the controller manager and the fake kubelets are stopped meanwhile: the caller, the API server and the
extender have the machine for themselves.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from benchmarks.filter_calls import FilterCaller, Question, Took, slot_of, told
from benchmarks.gang_plane import (
    HOSTS_PER_RACK,
    SETS,
    SIZE,
    GangPlane,
    Json,
    gang_plane,
    pod_spec,
    report,
    say,
)
from benchmarks.held_binds import HELD, HeldBinds
from benchmarks.processes import cpu_seconds
from tests.controlplane.nodes import NODES
from tests.system.product import EXTENDER

SIZES = (3, 5, 7, 9, 11, 13)
OVERSUBSCRIBED = 4
"""Hosts wanted over hosts there are."""
BYSTANDERS = ("scheduler", "controller-manager", "kwok")
MEASURED = "measured"
ARRIVING_SECONDS, HELD_SECONDS = 3.0, 7.0
"""Together below the 12 s for which the extender holds a call."""
CHANGE_SECONDS = 2.0
"""Between two changes of the batch: about as long as it takes to decide about it."""
SETTLE_SECONDS = 3.0


def main() -> int:
    options = _parse()
    with gang_plane(options.nodes) as bench:
        report(_measure(bench, options))
    return 0


def _measure(bench: GangPlane, options: argparse.Namespace) -> Json:
    rounds = [f"held-{turn}" for turn in range(options.rounds)]
    pods = _pinned_pods(bench, rounds, options.held)
    sides: dict[str, Took] = {}
    with FilterCaller(bench.system.verbs_url, _questions(bench, pods[MEASURED][0])) as caller:
        for name in rounds:
            _add(sides, "idle", caller.calls(HELD_SECONDS))
            _while_held(bench, pods[name][: options.held], caller, sides)
            time.sleep(SETTLE_SECONDS)
            say(f"{name}: {_line(sides)}")
        planning = _while_solving(bench, options, caller, sides)
        say(f"solving: {_line(sides)}")
    return {
        "benchmark": "gang_filter",
        "nodes": options.nodes,
        "bind_calls_held": options.held,
        "filter_ms": {side: {what: told(each) for what, each in took.items()} for side, took in sides.items()},
        "planning": planning,
    }


def _pinned_pods(bench: GangPlane, rounds: Sequence[str], held: int) -> dict[str, list[Json]]:
    """Pods that know their slots, by set, with all but our processes and the API server stopped: of the sets whose
    calls are held without the last member of each group, so that no barrier fills."""
    bench.plane.stop_component("scheduler")
    groups = -(-held // (SIZE - 1))
    for name in rounds:
        bench.create_set(name, groups)
    bench.create_set(MEASURED, 1)
    found = bench.wait_pinned((groups * len(rounds) + 1) * SIZE)
    for name in BYSTANDERS[1:]:
        bench.plane.stop_component(name)
    time.sleep(SETTLE_SECONDS)
    pods: dict[str, list[Json]] = {name: [] for name in (*rounds, MEASURED)}
    for pod in found:
        labels = pod["metadata"]["labels"]
        if labels["leaderworkerset.sigs.k8s.io/worker-index"] != str(SIZE - 1):
            pods[labels["leaderworkerset.sigs.k8s.io/name"]].append(pod)
    return pods


def _questions(bench: GangPlane, member: Json) -> dict[str, Question]:
    nodes = sorted(node["metadata"]["name"] for node in bench.plane.client.list(NODES))
    stranger = {"metadata": {"name": "stranger"}, "spec": pod_spec()}
    return {"member": Question(member, [slot_of(member)]), "stranger_all_nodes": Question(stranger, nodes)}


def _while_held(bench: GangPlane, pods: Sequence[Json], caller: FilterCaller, sides: dict[str, Took]) -> None:
    with HeldBinds(bench.system.verbs_url, pods) as binds:
        _add(sides, "arriving", caller.calls(ARRIVING_SECONDS, between=binds.make_one))
        _add(sides, "held", caller.calls(HELD_SECONDS))
        if binds.made < len(pods) or binds.answered():
            raise RuntimeError(f"{binds.made} of {len(pods)} bind calls were made, {binds.answered()} held no more")
        strange = [said for said in binds.refusals(30) if HELD not in said]
    if strange:
        raise RuntimeError(f"{len(strange)} bind calls were not held but refused: {strange[0]}")


def _while_solving(bench: GangPlane, options: argparse.Namespace, caller: FilterCaller, sides: dict[str, Took]) -> Json:
    """What the planner did meanwhile."""
    extender = bench.plane.component(EXTENDER)
    batch = _Batch(bench, options.nodes * OVERSUBSCRIBED)
    batch.fill()
    time.sleep(SETTLE_SECONDS)
    written, before, started = extender.log.stat().st_size, cpu_seconds(extender.pid), time.monotonic()
    _add(sides, "solving", caller.calls(options.seconds, between=batch.change))
    took = time.monotonic() - started
    cpu = cpu_seconds(extender.pid) - before
    with extender.log.open() as log:
        log.seek(written)
        plans = [line for line in log if "planned groups=" in line]
    return {
        "batches": len(plans),
        "groups": sum(int(line.partition("groups=")[2].split()[0]) for line in plans),
        "seconds": round(took, 1),
        "extender_cpu_percent": round(100 * cpu / took, 1),
    }


@dataclass
class _Batch:
    """Sets that together want more than there is, of whole hosts, a size each; two sets of each size."""

    bench: GangPlane
    hosts: int
    _names: deque[tuple[str, int]] = field(default_factory=deque)
    _made: int = 0
    _changed: float = 0.0

    def fill(self) -> None:
        for size in SIZES * 2:
            self._make(size)

    def change(self) -> None:
        """Every moment: the oldest set goes, and one of its size comes."""
        if time.monotonic() - self._changed < CHANGE_SECONDS:
            return
        self._changed = time.monotonic()
        name, size = self._names.popleft()
        self.bench.plane.client.delete(f"{SETS}/{name}", {"propagationPolicy": "Background"})
        self._make(size)

    def _make(self, size: int) -> None:
        assert size <= HOSTS_PER_RACK
        self._made += 1
        name = f"batch-{self._made:03}"
        self._names.append((name, size))
        self.bench.create_set(name, self.hosts // (len(SIZES) * 2 * size), size, accelerators=8)


def _add(sides: dict[str, Took], side: str, took: Took) -> None:
    for what, each in took.items():
        sides.setdefault(side, {}).setdefault(what, []).extend(each)


def _line(sides: dict[str, Took]) -> str:
    return ", ".join(
        f"{side} {what} p50 {told(each)['p50']} p99 {told(each)['p99']} ms"
        for side, took in sides.items()
        for what, each in took.items()
    )


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gang_filter", description=__doc__)
    parser.add_argument("--nodes", type=int, default=1000)
    parser.add_argument("--held", type=int, default=500, help="bind calls held at once")
    parser.add_argument("--rounds", type=int, default=2, help="of idle and held")
    parser.add_argument("--seconds", type=float, default=30.0, help="of solving")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
