"""The sides of a comparison of binding rates: the same number of equal pods on the same nodes, made and bound each way.

All pods exist before kube-scheduler starts, and the controller manager and the fake kubelets are stopped while it
binds, so that what is measured is scheduling and binding, not how fast pods are created, started and reported on.
Bindings are counted from kube-scheduler's log (`bindings`). Everything is deleted afterwards.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

from benchmarks import bindings
from benchmarks.bindings import Bindings
from benchmarks.gang_plane import NAMESPACE, PATIENCE, PODS, SIZE, GangPlane, Json, pod_spec, say, side_by_side
from tests.controlplane.client import path_of
from tests.controlplane.nodes import RACK_LABEL
from tests.controlplane.process import Process

Side = Callable[[GangPlane, int], Bindings]
"""Makes so many pods, and has them bound."""
GROUPS_PER_SET = 5
BYSTANDERS = ("kwok", "controller-manager")
Runs = Mapping[str, Sequence[Bindings]]
"""What was measured of each side, in turn."""
POD_GROUPS = path_of("scheduling.k8s.io/v1beta1/podgroups", NAMESPACE)
NATIVE_API = ("--runtime-config=scheduling.k8s.io/v1beta1=true",)
NATIVE_GATES = ("--feature-gates=GenericWorkload=true,TopologyAwareWorkloadScheduling=true",)
"""What Kubernetes 1.37 needs to place groups in one domain by itself: an API and two gates, all off by default."""


def in_turn(bench: GangPlane, sides: Mapping[str, Side], rounds: int, pods: int) -> Runs:
    """Every side once a round."""
    runs: dict[str, list[Bindings]] = {side: [] for side in sides}
    for turn in range(rounds):
        for side, measure in sides.items():
            runs[side].append(measure(bench, pods))
            say(f"round {turn + 1}: {side} {runs[side][-1].per_second:.0f} pods/s")
    return runs


def ratio(runs: Runs, one: str, other: str) -> float:
    """The median of the rounds' ratios."""
    rounds = zip(runs[one], runs[other], strict=True)
    return round(statistics.median(a.per_second / b.per_second for a, b in rounds), 2)


def figures(options: argparse.Namespace, runs: Runs) -> Json:
    """What every comparison says, beside its ratios."""
    rates = {side: [each.per_second for each in bound] for side, bound in runs.items()}
    return {
        "nodes": options.nodes,
        "pods": options.pods,
        "group_size": SIZE,
        "pods_per_second": {side: round(statistics.median(each), 1) for side, each in rates.items()},
        "rounds": {side: [round(rate, 1) for rate in each] for side, each in rates.items()},
        "cpu_ms_per_pod": {side: dict(bound[-1].cpu_ms_per_pod) for side, bound in runs.items()},
    }


def parsed(name: str, description: str | None) -> argparse.Namespace:
    """The options of a comparison."""
    parser = argparse.ArgumentParser(prog=f"python -m benchmarks.{name}", description=description)
    parser.add_argument("--nodes", type=int, default=1000)
    parser.add_argument("--pods", type=int, default=1000, help="on each side; a multiple of 40")
    parser.add_argument("--rounds", type=int, default=3)
    return parser.parse_args()


def plain(bench: GangPlane, count: int) -> Bindings:
    """Pods of no group on the default profile of a stock kube-scheduler without an extender."""
    _stop_scheduler(bench)
    bench.plane.set_scheduler_config(None)
    bench.create_all(PODS, [_pod(f"plain-{index:04}") for index in range(count)])
    return _bind(bench, count)


def native(bench: GangPlane, count: int) -> Bindings:
    """Kubernetes' own groups of SIZE, each in one rack, by a stock kube-scheduler without an extender."""
    _stop_scheduler(bench)
    bench.plane.set_scheduler_config(None)
    names = [f"gang-{index:03}" for index in range(count // SIZE)]
    bench.create_all(POD_GROUPS, [_pod_group(name) for name in names])
    members = [(name, index) for name in names for index in range(SIZE)]
    joined = [_pod(f"{name}-{index}", schedulingGroup={"podGroupName": name}) for name, index in members]
    bench.create_all(PODS, joined)
    with _started_with(bench.plane.component("scheduler"), NATIVE_GATES):
        bound = _bind(bench, count)
    _delete_pod_groups(bench, names)
    return bound


def groups(bench: GangPlane, count: int) -> Bindings:
    """LeaderWorkerSets of GROUPS_PER_SET groups of SIZE, each in one rack, through our profile and extender."""
    _stop_scheduler(bench)
    bench.plane.set_scheduler_config(bench.system.scheduler_config())
    for index in range(count // (SIZE * GROUPS_PER_SET)):
        bench.create_set(f"ours-{index:02}", GROUPS_PER_SET)
    bench.wait_pinned(count)
    with _undisturbed(bench):
        bound = bindings.count(bench.plane, count, PATIENCE)
    bench.delete_sets()
    return bound


def _bind(bench: GangPlane, count: int) -> Bindings:
    with _undisturbed(bench):
        bound = bindings.count(bench.plane, count, PATIENCE)
    _stop_scheduler(bench)
    bench.plane.client.delete(PODS, {"gracePeriodSeconds": 0})
    bench.wait_empty(PODS)
    return bound


def _delete_pod_groups(bench: GangPlane, names: Sequence[str]) -> None:
    """Without their protection, which only a controller manager with the gates would lift: their pods are gone."""
    bare = {"metadata": {"finalizers": None}}
    side_by_side(lambda name: bench.plane.client.patch(f"{POD_GROUPS}/{name}", bare), names)
    bench.plane.client.delete(POD_GROUPS)
    bench.wait_empty(POD_GROUPS)


def _stop_scheduler(bench: GangPlane) -> None:
    bench.plane.stop_component("scheduler")


@contextmanager
def _undisturbed(bench: GangPlane) -> Iterator[None]:
    for name in BYSTANDERS:
        bench.plane.stop_component(name)
    try:
        yield
    finally:
        for name in BYSTANDERS:
            bench.plane.start_component(name)


@contextmanager
def _started_with(process: Process, flags: Sequence[str]) -> Iterator[None]:
    """More flags for the next start of a component."""
    before = list(process.argv)
    process.argv += flags
    try:
        yield
    finally:
        process.argv[:] = before


def _pod(name: str, **more: object) -> Json:
    return {"metadata": {"name": name}, "spec": {**pod_spec(), **more}}


def _pod_group(name: str) -> Json:
    return {
        "apiVersion": "scheduling.k8s.io/v1beta1",
        "kind": "PodGroup",
        "metadata": {"name": name},
        "spec": {
            "schedulingPolicy": {"gang": {"minCount": SIZE}},
            "schedulingConstraints": {"topology": [{"key": RACK_LABEL}]},
        },
    }
