"""What the controller's benchmarks share: a real control plane with the controller alone on it, sets, and plain sets.

Neither our extender nor our scheduler profile takes part: pods are placed by a stock kube-scheduler and run by kwok.
Times are wall clock, from before the request that starts something to the first answer that shows it done.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from tests.controlplane.client import path_of
from tests.controlplane.nodes import create_nodes, rack_nodes
from tests.controlplane.plane import ControlPlane
from tests.controlplane.start import start_plane
from tests.system import LwsSched
from tests.system.product import CONTROLLER, CRDS, DEPLOY

NAMESPACE = "bench"
HOSTS_PER_RACK = 16
PATIENCE = 400.0
"""Seconds after which something counts as stuck."""
REQUESTS = 16
SETS = path_of("leaderworkerset.x-k8s.io/v1/leaderworkersets", NAMESPACE)
STATEFUL_SETS = path_of("apps/v1/statefulsets", NAMESPACE)
PODS = path_of("pods", NAMESPACE)
EVENTS = path_of("events.k8s.io/v1/events", NAMESPACE)
SERVICES = path_of("services", NAMESPACE)
PLAIN = "plain"
"""Label of every pod of the plain sets, and the Service in front of them."""
Json = dict[str, Any]


@dataclass(frozen=True)
class Bench:
    """One control plane, and what benchmarks do on it."""

    plane: ControlPlane
    system: LwsSched

    # --- LeaderWorkerSets --------------------------------------------------------------------------------------------
    def create_set(self, name: str, groups: int, size: int, **rolling: int | str) -> None:
        self.plane.client.create(SETS, _leader_worker_set(name, groups, size, rolling))

    def change_image(self, name: str, image: str) -> None:
        template = _template(image)
        change = {"spec": {"leaderWorkerTemplate": {"workerTemplate": template}}}
        self.plane.client.patch(f"{SETS}/{name}", change)

    def wait_available(self, name: str, poll: float = 0.05) -> None:
        """Every group is ready and updated, and the status says so of the present generation."""

        def available() -> bool:
            lws = self.plane.client.get(f"{SETS}/{name}")
            status, replicas = lws.get("status", {}), lws["spec"]["replicas"]
            counts = [status.get(field, 0) for field in ("readyReplicas", "updatedReplicas", "replicas")]
            true = {each["type"] for each in status.get("conditions", ()) if each["status"] == "True"}
            is_fresh = status.get("observedGeneration") == lws["metadata"]["generation"]
            return is_fresh and counts == [replicas] * 3 and true == {"Available"}

        self.until(available, f"{name} is available", poll)

    def delete_set(self, name: str) -> None:
        self.plane.client.delete(f"{SETS}/{name}", {"propagationPolicy": "Background"})
        self.wait_no_pods()

    # --- plain StatefulSets ------------------------------------------------------------------------------------------
    def create_service(self) -> None:
        """The headless Service that a LeaderWorkerSet's groups share, here for the pods of all plain sets."""
        spec = {"clusterIP": "None", "publishNotReadyAddresses": True, "selector": {PLAIN: "true"}}
        self.plane.client.create(SERVICES, {"metadata": {"name": PLAIN}, "spec": spec})

    def delete_service(self) -> None:
        self.plane.client.delete(f"{SERVICES}/{PLAIN}")

    def create_plain(self, names: Sequence[str], size: int) -> None:
        bodies = [_stateful_set(name, size) for name in names]
        self._side_by_side(lambda body: self.plane.client.create(STATEFUL_SETS, body), bodies)

    def wait_plain(self, names: Sequence[str], size: int, poll: float = 0.05) -> None:
        wanted = set(names)

        def ready() -> bool:
            found = {
                each["metadata"]["name"]
                for each in self.plane.client.list(STATEFUL_SETS)
                if each["status"].get("availableReplicas", 0) == size
            }
            return wanted <= found

        self.until(ready, f"{len(names)} StatefulSets are ready", poll)

    def delete_plain(self, names: Sequence[str], poll: float = 0.05) -> None:
        """Returns when they and their pods are gone."""
        options = {"propagationPolicy": "Foreground"}
        self._side_by_side(lambda name: self.plane.client.delete(f"{STATEFUL_SETS}/{name}", options), names)
        gone = set(names)

        def is_gone() -> bool:
            return not gone & {each["metadata"]["name"] for each in self.plane.client.list(STATEFUL_SETS)}

        self.until(is_gone, f"{len(names)} StatefulSets are gone", poll)

    # --- pods, processes, time ---------------------------------------------------------------------------------------
    def wait_no_pods(self) -> None:
        self.until(lambda: not self.plane.client.list(PODS, limit="1"), "all pods are gone", 0.2)

    def controller_pid(self) -> int:
        return self.plane.component(CONTROLLER).pid

    def until(self, holds: Callable[[], bool], what: str, poll: float) -> None:
        deadline = time.monotonic() + PATIENCE
        while not holds():
            if time.monotonic() > deadline:
                raise RuntimeError(f"not within {PATIENCE:.0f} s: {what}")
            time.sleep(poll)

    def _side_by_side(self, request: Callable[[Any], object], arguments: Sequence[Any]) -> None:
        with ThreadPoolExecutor(REQUESTS) as pool:
            list(pool.map(request, arguments))


@contextmanager
def controller_plane(nodes: int) -> Iterator[Bench]:
    """A control plane with that many nodes, rounded up to whole racks, and our controller."""
    say(f"starting a control plane with {nodes} nodes ...")
    with start_plane(0) as plane:
        create_nodes(plane, rack_nodes(-(-nodes // HOSTS_PER_RACK), HOSTS_PER_RACK))
        plane.create_namespace(NAMESPACE)
        plane.kubectl("apply", "--server-side", "-k", str(DEPLOY))
        plane.kubectl("wait", "--for=condition=Established", "--timeout=60s", "-f", str(CRDS))
        system = LwsSched(plane)
        system.start_controller()
        yield Bench(plane, system)


def seconds(action: Callable[[], None]) -> float:
    """How long it took, to the millisecond."""
    started = time.monotonic()
    action()
    return round(time.monotonic() - started, 3)


def say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def report(result: Json) -> None:
    """The benchmark's one line on stdout."""
    print(json.dumps(result))


def _template(image: str) -> Json:
    return {"spec": {"containers": [{"name": "main", "image": image, "resources": {"requests": {"cpu": "1m"}}}]}}


def _leader_worker_set(name: str, groups: int, size: int, rolling: Json) -> Json:
    strategy = {"type": "RollingUpdate", "rollingUpdateConfiguration": {"maxUnavailable": 1, **rolling}}
    return {
        "apiVersion": "leaderworkerset.x-k8s.io/v1",
        "kind": "LeaderWorkerSet",
        "metadata": {"name": name},
        "spec": {
            "replicas": groups,
            "rolloutStrategy": strategy,
            "leaderWorkerTemplate": {"size": size, "workerTemplate": _template("one")},
        },
    }


def _stateful_set(name: str, size: int) -> Json:
    labels = {PLAIN: "true", "set": name}
    return {
        "metadata": {"name": name},
        "spec": {
            "replicas": size,
            "serviceName": PLAIN,
            "podManagementPolicy": "Parallel",
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, **_template("one")},
        },
    }
