"""The scenarios' cluster as a real control plane with our two processes, shared by all of a session.

Each scenario has a namespace and nodes of its own, and a process that watches (`tests.invariants.watchlog`); when it
ends all of them go.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.controlplane.client import ApiError, path_of
from tests.controlplane.nodes import create_nodes, set_readiness
from tests.controlplane.plane import ControlPlane
from tests.controlplane.wait import wait_until
from tests.invariants.log import read
from tests.scenarios.cluster import (
    CONTROLLER,
    DAEMON_SETS,
    EXTENDER,
    NODES,
    PODS,
    RECORDS,
    SCHEDULER,
    SETS,
    TOPOLOGIES,
    WITHIN,
    Body,
    Cluster,
    Condition,
    Denied,
)
from tests.scenarios.manifests import NEVER, pod
from tests.system import product as system
from tests.system.product import LwsSched

POLL_SECONDS = 0.2
THREADS = 16
REFUSALS = (400, 403, 422)
QUOTAS, QUOTA = "resourcequotas", "pods"
PROCESSES = {EXTENDER: system.EXTENDER, CONTROLLER: system.CONTROLLER, SCHEDULER: "scheduler"}


class PlaneCluster(Cluster):
    """`number` tells the scenarios of one session apart."""

    def __init__(self, product: LwsSched, number: int, folder: Path) -> None:
        super().__init__()
        self.namespace = f"scenario-{number}"
        self._product = product
        self._client = product.plane.client
        self._watchlog = f"watchlog-{number}"
        self._log = folder / "watch.log"

    @property
    def _plane(self) -> ControlPlane:
        return self._product.plane

    def open(self) -> None:
        """Start watching, in an empty namespace."""
        argv = [sys.executable, "-m", "tests.invariants.watchlog", "--kubeconfig", str(self._plane.kubeconfig)]
        said = self._plane.logs / f"{self._watchlog}.log"
        self._plane.spawn(
            self._watchlog,
            [*argv, "--out", str(self._log)],
            ready=lambda: said.exists() and said.read_text().endswith("watching\n"),
        )
        self._plane.create_namespace(self.namespace)

    def close(self) -> None:
        """Delete what the scenario made; the log ends when its groups are gone."""
        for each in self.all(SETS):
            self.delete(SETS, each["metadata"]["name"])
        self._client.delete(path_of(DAEMON_SETS, self.namespace))
        self._client.delete(path_of(PODS, self.namespace), {"gracePeriodSeconds": 0})
        self._wait_gone(PODS, RECORDS)
        self._plane.stop_component(self._watchlog)
        self._client.delete(path_of(NODES))
        wait_until(lambda: not self._client.list(path_of(NODES)), "the nodes are gone")
        self._client.delete(path_of("namespaces", name=self.namespace))

    def create(self, resource: str, body: Body) -> Body:
        try:
            return self._client.create(self._path(resource), body)
        except ApiError as refused:
            if refused.status in REFUSALS:
                raise Denied(refused.message) from None
            raise

    def create_all(self, resource: str, bodies: Iterable[Body]) -> None:
        with ThreadPoolExecutor(THREADS) as pool:
            list(pool.map(lambda body: self.create(resource, body), bodies))

    def create_nodes(self, nodes: Sequence[Body]) -> None:
        create_nodes(self._plane, nodes)

    def find(self, resource: str, name: str) -> Body | None:
        return self._client.find(self._path(resource, name))

    def all(self, resource: str) -> list[Body]:
        return list(self._client.list(self._path(resource)))

    def merge(self, resource: str, name: str, change: Body) -> None:
        self._client.patch(self._path(resource, name), change)

    def delete(self, resource: str, name: str, *, force: bool = False) -> None:
        options: Body = {"propagationPolicy": "Background", **({"gracePeriodSeconds": 0} if force else {})}
        self._client.delete(self._path(resource, name), options)

    def eventually(self, condition: Condition, within: float = WITHIN) -> None:
        deadline = time.monotonic() + within
        while missing := condition(self):
            assert time.monotonic() < deadline, f"not within {within:.0f} s: {missing}"
            time.sleep(POLL_SECONDS)

    def always(self, condition: Condition, seconds: float) -> None:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            broken = condition(self)
            assert not broken, broken
            time.sleep(POLL_SECONDS)

    def now(self) -> float:
        return time.monotonic()

    def watched(self) -> Iterable[Body]:
        return [dict(line) for line in read(self._log)]

    def has_priority_class(self, value: int, *, never_preempts: bool = False) -> str:
        name = f"{self.namespace}-{value}{NEVER if never_preempts else ''}"
        policy = "Never" if never_preempts else "PreemptLowerPriority"
        body = {
            "apiVersion": "scheduling.k8s.io/v1",
            "kind": "PriorityClass",
            "metadata": {"name": name},
            "value": value,
            "preemptionPolicy": policy,
        }
        if self._client.find(path_of("scheduling.k8s.io/v1/priorityclasses", name=name)) is None:
            self._client.create(path_of("scheduling.k8s.io/v1/priorityclasses"), body)
        return name

    def process(self, component: str) -> str:
        """The name under which the control plane knows it."""
        return PROCESSES[component]

    def crash(self, component: str) -> None:
        self.faults.append(self.now())
        self._plane.kill_component(self.process(component))

    def start(self, component: str) -> None:
        self._plane.ensure_component(self.process(component))
        self.faults.append(self.now())

    def freeze(self, component: str) -> None:
        self.faults.append(self.now())
        self._plane.component(self.process(component)).pause()

    def thaw(self, component: str) -> None:
        self._plane.component(self.process(component)).resume()
        self.faults.append(self.now())

    def restart_api_server(self, seconds: float) -> None:
        self.faults.append(self.now())
        self._plane.kill_component("apiserver")
        time.sleep(seconds)
        self._plane.start_component("apiserver")
        self.faults.append(self.now())

    def set_readiness(self, node: str, *, ready: bool) -> None:
        self.faults.append(self.now())
        set_readiness(self._plane, node, "True" if ready else "Unknown")

    def end_pod(self, name: str) -> None:
        self.faults.append(self.now())
        self._client.patch(self._path(PODS, name) + "/status", {"status": {"phase": "Failed"}})

    def limit_pods(self, limit: int | None) -> None:
        self.faults.append(self.now())
        if self.find(QUOTAS, QUOTA) is not None:
            self.delete(QUOTAS, QUOTA)
        if limit is not None:
            self.create(QUOTAS, {"metadata": {"name": QUOTA}, "spec": {"hard": {"pods": str(limit)}}})
        else:
            wait_until(self._may_create_pods, "the API server has heard that the quota is gone")

    def _may_create_pods(self) -> bool:
        try:
            self._client.create(self._path(PODS), pod("tried"), dryRun="All")
        except ApiError as refused:
            if refused.status in REFUSALS:
                return False
            raise
        return True

    def _path(self, resource: str, name: str | None = None) -> str:
        return path_of(resource, None if resource in (NODES, TOPOLOGIES) else self.namespace, name)

    def _wait_gone(self, *resources: str) -> None:
        wait_until(lambda: not any(map(self.all, resources)), f"nothing is left of {', '.join(resources)}", 60)
