"""What the benchmarks of whole groups share: a real control plane with all of lws-sched on it, its sets and its pods.

Nodes are fake (kwok) and carry 8 accelerators each; a member takes `accelerators` of them. Times are wall clock.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

from tests.controlplane.client import Object, path_of
from tests.controlplane.nodes import RACK_LABEL, create_nodes, rack_nodes
from tests.controlplane.plane import ControlPlane
from tests.system import LwsSched

T = TypeVar("T")
Json = dict[str, Any]

NAMESPACE = "bench"
HOSTS_PER_RACK = 16
SIZE = 8
"""Members of a group, where a benchmark does not say otherwise."""
PATIENCE = 280.0
"""Seconds after which something counts as stuck."""
REQUESTS = 16
PROFILE = "lws-sched"
PODS = path_of("pods", NAMESPACE)
SETS = path_of("leaderworkerset.x-k8s.io/v1/leaderworkersets", NAMESPACE)
RECORDS = path_of("lws-sched.io/v1alpha1/groupplacements", NAMESPACE)


@dataclass(frozen=True)
class GangPlane:
    """One control plane with lws-sched, and what benchmarks do on it."""

    plane: ControlPlane
    system: LwsSched

    # --- sets and pods -----------------------------------------------------------------------------------------------
    def create_set(self, name: str, groups: int, size: int = SIZE, accelerators: int = 1) -> None:
        self.plane.client.create(SETS, leader_worker_set(name, groups, size, accelerators))

    def delete_sets(self) -> None:
        """Returns when no set, no pod and no record is left."""
        self.plane.client.delete(SETS, {"propagationPolicy": "Background"})
        self.wait_empty(PODS)
        self.wait_empty(RECORDS)

    def create_all(self, path: str, bodies: Sequence[Json]) -> None:
        side_by_side(lambda body: self.plane.client.create(path, body), bodies)

    def wait_empty(self, path: str) -> None:
        self.until(lambda: not self.plane.client.list(path, limit="1"), f"nothing is left of {path}", 0.2)

    def wait_pinned(self, count: int) -> Sequence[Json]:
        """All pods, once that many exist and none is gated: each knows its slot."""

        def pinned() -> Sequence[Json]:
            pods = self.plane.client.list(PODS)
            return pods if len(pods) == count and not any(pod["spec"].get("schedulingGates") for pod in pods) else ()

        return self.until(pinned, f"{count} pods exist and know their slots", 0.5)

    # --- time --------------------------------------------------------------------------------------------------------
    def until(self, holds: Callable[[], T], what: str, poll: float, patience: float = PATIENCE) -> T:
        """Poll until it is truthy; the value. Raises RuntimeError after `patience` seconds."""
        deadline = time.monotonic() + patience
        while not (value := holds()):
            if time.monotonic() > deadline:
                raise RuntimeError(f"not within {patience:.0f} s: {what}")
            time.sleep(poll)
        return value


@contextmanager
def gang_plane(
    nodes: int,
    dressed: Callable[[Object], Object] = lambda node: node,
    api_flags: Sequence[str] = (),
) -> Iterator[GangPlane]:
    """A control plane with that many nodes in racks of HOSTS_PER_RACK, all of lws-sched, and kube-scheduler asking it.
    `dressed` may add to a node's manifest; `api_flags` are kube-apiserver's."""
    say(f"starting a control plane with {nodes} nodes ...")
    with ControlPlane(apiserver_args=api_flags) as plane:
        racks = rack_nodes(-(-nodes // HOSTS_PER_RACK), HOSTS_PER_RACK)
        create_nodes(plane, [dressed(node) for node in racks[:nodes]])
        plane.create_namespace(NAMESPACE)
        system = LwsSched(plane)
        system.install()
        yield GangPlane(plane, system)


def side_by_side(request: Callable[[Any], object], arguments: Sequence[Any]) -> None:
    with ThreadPoolExecutor(REQUESTS) as pool:
        list(pool.map(request, arguments))


def leader_worker_set(name: str, groups: int, size: int, accelerators: int, scheduler: str = PROFILE) -> Json:
    """A set whose groups each stand in one rack, on our profile; on another one, the same set without that wish."""
    spec = pod_spec(accelerators, **({"schedulerName": scheduler} if scheduler else {}))
    wish = {"lws-sched.io/required-topology": RACK_LABEL} if scheduler == PROFILE else {}
    return {
        "apiVersion": "leaderworkerset.x-k8s.io/v1",
        "kind": "LeaderWorkerSet",
        "metadata": {"name": name, "annotations": wish},
        "spec": {"replicas": groups, "leaderWorkerTemplate": {"size": size, "workerTemplate": {"spec": spec}}},
    }


def pod_spec(accelerators: int = 1, **more: object) -> Json:
    amount = str(accelerators)
    resources = {"requests": {"cpu": "1", "nvidia.com/gpu": amount}, "limits": {"nvidia.com/gpu": amount}}
    return {"containers": [{"name": "main", "image": "fake", "resources": resources}], **more}


def percentile(values: Sequence[float], share: float) -> float:
    """The value that this share of all is not above."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


def say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def report(result: Json) -> None:
    """The benchmark's one line on stdout."""
    print(json.dumps(result))
