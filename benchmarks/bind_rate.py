"""Pods bound per second, and what one `filter` call costs: `python -m benchmarks.bind_rate` (or `make bench-bind`).

On one real control plane with fake nodes, in turn:

- `plain`: pods of no group on the default profile of a stock kube-scheduler without an extender;
- `groups`: the same number of pods as LeaderWorkerSets of 5 groups of 8, each group in one rack, through our profile
  and extender.

In both all pods exist before kube-scheduler starts, and the controller manager and the fake kubelets are stopped while
bindings are counted, so that what is measured is scheduling and binding, not how fast pods are created, started and
reported on. Bindings are counted from kube-scheduler's log (`bindings`), from the first to the last. The two sides
alternate `--rounds` times; the figure of a side is the median, the ratio is the median of the rounds' ratios.

`filter` is called from outside, over one kept-alive connection, with what kube-scheduler sends: a pinned member and its
one node, and a stranger with every node's name.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import statistics
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection
from typing import Any
from urllib.parse import urlsplit

from benchmarks import bindings
from benchmarks.bindings import Bindings
from tests.controlplane.client import ApiError, path_of
from tests.controlplane.nodes import RACK_LABEL, create_nodes, rack_nodes
from tests.controlplane.plane import ControlPlane
from tests.controlplane.start import start_plane
from tests.controlplane.wait import wait_until
from tests.system import LwsSched

GROUP_SIZE = 8
GROUPS = 5
"""Groups per LeaderWorkerSet."""
NAMESPACE = "bench"
PODS = path_of("pods", NAMESPACE)
SETS = path_of("leaderworkerset.x-k8s.io/v1/leaderworkersets", NAMESPACE)
CREATORS = 16
FILTER_CALLS = 2000
SECONDS = 300
BYSTANDERS = ("kwok", "controller-manager")
Json = dict[str, Any]


def main() -> int:
    options = _parse()
    racks = -(-options.nodes // options.hosts_per_rack)
    _say(f"starting {options.nodes} nodes in {racks} racks ...")
    with start_plane(0) as plane:
        create_nodes(plane, rack_nodes(racks, options.hosts_per_rack)[: options.nodes])
        plane.create_namespace(NAMESPACE)
        system = LwsSched(plane)
        system.install()
        runs: dict[str, list[Bindings]] = {"plain": [], "groups": []}
        for turn in range(options.rounds):
            runs["plain"].append(_plain(plane, options.pods))
            runs["groups"].append(_groups(plane, system, options.pods))
            said = ", ".join(f"{side} {each[-1].per_second:.0f} pods/s" for side, each in runs.items())
            _say(f"round {turn + 1}: {said}")
        latency = _filter_latency(plane, system)
    result = _summary(options, runs, latency)
    print(json.dumps(result))
    return 0


def _plain(plane: ControlPlane, count: int) -> Bindings:
    """A stock scheduler without an extender."""
    plane.stop_component("scheduler")
    plane.set_scheduler_config(None)
    with ThreadPoolExecutor(CREATORS) as pool:
        list(pool.map(lambda index: plane.client.create(PODS, _pod(f"plain-{index:04}")), range(count)))
    counted = _count(plane, count)
    _clear(plane, PODS, {"gracePeriodSeconds": 0})
    return counted


def _groups(plane: ControlPlane, system: LwsSched, count: int) -> Bindings:
    """Our profile, in groups of GROUP_SIZE, each in one rack."""
    plane.stop_component("scheduler")
    plane.set_scheduler_config(system.scheduler_config())
    for index in range(count // (GROUP_SIZE * GROUPS)):
        plane.client.create(SETS, _leader_worker_set(f"bench-{index:02}", GROUPS))
    _wait_for_pods(plane, count)
    counted = _count(plane, count)
    _clear(plane, SETS, {"propagationPolicy": "Background"})
    return counted


def _count(plane: ControlPlane, count: int) -> Bindings:
    """Start kube-scheduler and count what it binds, with nobody else at work."""
    for bystander in BYSTANDERS:
        plane.stop_component(bystander)
    try:
        return bindings.count(plane, count, SECONDS)
    finally:
        for bystander in BYSTANDERS:
            plane.start_component(bystander)


def _filter_latency(plane: ControlPlane, system: LwsSched) -> Json:
    """Milliseconds per `filter` call at one connection, with one group reserved and unbound."""
    plane.stop_component("scheduler")
    plane.client.create(SETS, _leader_worker_set("latency", 1))
    pods = _wait_for_pods(plane, GROUP_SIZE)
    names = sorted(node["metadata"]["name"] for node in plane.client.list(path_of("nodes")))
    member = _scheduler_view(pods[0])
    slot = _slot_of(pods[0])
    stranger = _scheduler_view({**_pod("stranger"), "status": {}})
    url = urlsplit(system.verbs_url)
    return {
        "member": _time_calls(url.netloc, {"Pod": member, "Nodes": None, "NodeNames": [slot]}),
        "stranger_all_nodes": _time_calls(url.netloc, {"Pod": stranger, "Nodes": None, "NodeNames": names}),
        "nodes": len(names),
    }


def _time_calls(address: str, args: Json) -> Json:
    connection = HTTPConnection(address, timeout=10)
    body = json.dumps(args).encode()
    took: list[float] = []
    for _ in range(FILTER_CALLS):
        started = time.perf_counter()
        connection.request("POST", "/filter", body, {"Content-Type": "application/json"})
        answer = json.loads(connection.getresponse().read())
        took.append((time.perf_counter() - started) * 1000)
    connection.close()
    if answer.get("Error") or not answer.get("NodeNames"):
        raise RuntimeError(f"filter refused what it should allow: {answer}")
    ordered = sorted(took)
    return {"p50": round(statistics.median(took), 3), "p99": round(ordered[int(len(ordered) * 0.99)], 3)}


def _scheduler_view(pod: Json) -> Json:
    """kube-scheduler sends pods without managedFields, apiVersion and kind."""
    metadata = {key: value for key, value in pod["metadata"].items() if key != "managedFields"}
    return {"metadata": {"namespace": NAMESPACE, **metadata}, "spec": pod["spec"], "status": pod["status"]}


def _slot_of(pod: Json) -> str:
    terms = pod["spec"]["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
    return str(terms["nodeSelectorTerms"][0]["matchFields"][0]["values"][0])


def _wait_for_pods(plane: ControlPlane, count: int) -> Sequence[Json]:
    """All pods of the groups, once they exist and none is gated: each knows its slot."""

    def pinned() -> Sequence[Json] | None:
        pods = plane.client.list(PODS)
        ready = len(pods) == count and not any(pod["spec"].get("schedulingGates") for pod in pods)
        return pods if ready else None

    found = wait_until(pinned, f"{count} pods exist and know their slots", 300, interval=0.5)
    assert found is not None
    return found


def _clear(plane: ControlPlane, path: str, options: Json) -> None:
    """Delete all of `path`, and wait until no pod is left. A slow machine takes longer than one call may."""

    def is_empty() -> bool:
        if plane.client.list(path, limit="1"):
            with contextlib.suppress(ApiError):
                plane.client.delete(path, options)
        return not plane.client.list(PODS, limit="1")

    wait_until(is_empty, "all pods are gone", SECONDS, interval=0.5)


def _pod(name: str) -> Json:
    return {"metadata": {"name": name}, "spec": _pod_spec()}


def _pod_spec(**more: object) -> Json:
    resources = {"requests": {"cpu": "1", "nvidia.com/gpu": "1"}, "limits": {"nvidia.com/gpu": "1"}}
    return {"containers": [{"name": "main", "image": "fake", "resources": resources}], **more}


def _leader_worker_set(name: str, replicas: int) -> Json:
    return {
        "apiVersion": "leaderworkerset.x-k8s.io/v1",
        "kind": "LeaderWorkerSet",
        "metadata": {"name": name, "annotations": {"lws-sched.io/required-topology": RACK_LABEL}},
        "spec": {
            "replicas": replicas,
            "leaderWorkerTemplate": {
                "size": GROUP_SIZE,
                "workerTemplate": {"spec": _pod_spec(schedulerName="lws-sched")},
            },
        },
    }


def _summary(options: argparse.Namespace, runs: dict[str, list[Bindings]], latency: Json) -> Json:
    rates = {side: [each.per_second for each in counted] for side, counted in runs.items()}
    ratios = [ours / plain for ours, plain in zip(rates["groups"], rates["plain"], strict=True)]
    return {
        "benchmark": "bind_rate",
        "nodes": options.nodes,
        "pods": options.pods,
        "group_size": GROUP_SIZE,
        "pods_per_second": {side: round(statistics.median(each), 1) for side, each in rates.items()},
        "rounds": {side: [round(rate, 1) for rate in each] for side, each in rates.items()},
        "groups_over_plain": round(statistics.median(ratios), 2),
        "cpu_ms_per_pod": {side: dict(counted[-1].cpu_ms_per_pod) for side, counted in runs.items()},
        "filter_ms": latency,
    }


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.bind_rate", description=__doc__)
    parser.add_argument("--nodes", type=int, default=1000)
    parser.add_argument("--hosts-per-rack", type=int, default=16)
    parser.add_argument("--pods", type=int, default=1000, help="on each side; a multiple of 40")
    parser.add_argument("--rounds", type=int, default=3)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
