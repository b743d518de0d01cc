"""The cluster that the pages' commands run on, and a shell on it.

One control plane for all pages; between two of them everything that a page made is taken away again, and what it did to
nodes is undone.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from tests.controlplane.client import path_of
from tests.controlplane.nodes import NODES, create_nodes, rack_nodes, wait_ready
from tests.controlplane.wait import wait_until
from tests.docs.blocks import ROOT
from tests.docs.compare import matches
from tests.system.product import CONTROLLER, EXTENDER, LwsSched

RACKS, HOSTS_PER_RACK = 16, 4
PATIENCE_SECONDS = 60.0
"""How long a command that only reads may take to print what the page shows."""
COMMAND_SECONDS = 120.0
POLL_SECONDS = 0.3
PODS = path_of("pods")
SETS = path_of("leaderworkerset.x-k8s.io/v1/leaderworkersets")
RECORDS = path_of("lws-sched.io/v1alpha1/groupplacements")
NAMESPACES = path_of("namespaces")
CLASSES = path_of("scheduling.k8s.io/v1/priorityclasses")
TOPOLOGIES = path_of("lws-sched.io/v1alpha1/topologies")
LEFTOVERS = (
    "deployments.apps,horizontalpodautoscalers.autoscaling,poddisruptionbudgets.policy,"
    "rolebindings.rbac.authorization.k8s.io,resourcequotas"
)
READERS = (
    "kubectl get",
    "kubectl describe",
    "kubectl wait",
    "lws-sched status",
    "lws-sched explain",
    "lws-sched plan",
    "lws-sched top",
    "lws-sched check",
    "kubectl lws",
)
WRITES = ("--yes",)


class WrongOutput(AssertionError):
    pass


class Playground:
    def __init__(self, product: LwsSched, folder: Path) -> None:
        self.product, self.folder = product, folder
        self._client = product.plane.client
        self._nodes = rack_nodes(RACKS, HOSTS_PER_RACK)
        create_nodes(product.plane, self._nodes)
        self._namespaces = {each["metadata"]["name"] for each in self._client.list(NAMESPACES)}
        self._classes = {each["metadata"]["name"] for each in self._client.list(CLASSES)}
        self._environment = self._shell_environment()
        (folder / "deploy").symlink_to(ROOT / "deploy")

    def run(self, command: str) -> tuple[int, list[str]]:
        """Exit code and everything printed."""
        done = subprocess.run(
            ["bash", "-c", command],
            cwd=self.folder,
            env=self._environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            text=True,
            timeout=COMMAND_SECONDS,
            check=False,
        )
        return done.returncode, done.stdout.splitlines()

    def follow(self, command: str, expected: Sequence[str]) -> None:
        """Run a command as a reader does: one that reads until it shows what the page shows. Raises WrongOutput."""
        deadline = time.monotonic() + (PATIENCE_SECONDS if _only_reads(command) else 0.0)
        while True:
            code, printed = self.run(command)
            if matches(expected, printed) if expected else code == 0:
                return
            if time.monotonic() > deadline:
                wanted = "\n".join(expected) if expected else "exit code 0"
                raise WrongOutput(
                    f"$ {command}\nexit code {code}, and it printed:\n"
                    + "\n".join(printed)
                    + f"\n\nbut the page shows:\n{wanted}"
                )
            time.sleep(POLL_SECONDS)

    def accepts(self, manifest: str) -> None:
        """Whether the API server would take it. Raises WrongOutput."""
        (self.folder / "tried.yaml").write_text(manifest)
        self.follow("kubectl apply --dry-run=server -f tried.yaml", ())

    def reset(self) -> None:
        """As it was before the page."""
        kubectl = self.product.plane.kubectl
        for name in ("scheduler", CONTROLLER, EXTENDER):
            self.product.plane.ensure_component(name)
        kubectl("delete", "lws", "--all", "--all-namespaces", "--wait=false")
        kubectl("delete", LEFTOVERS, "--all", "--namespace=default", "--wait=false", "--ignore-not-found")
        kubectl("delete", "pods", "--all", "--all-namespaces", "--force", "--grace-period=0", "--wait=false")
        self._delete_new(NAMESPACES, self._namespaces)
        self._delete_new(CLASSES, self._classes)
        self._delete_new(TOPOLOGIES, set())
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(self._mend, self._nodes))
        wait_ready(self.product.plane, [node["metadata"]["name"] for node in self._nodes])
        wait_until(lambda: not any(map(self._client.list, (SETS, PODS, RECORDS))), "the page's groups are gone", 60)

    def _delete_new(self, path: str, old: set[str]) -> None:
        for each in self._client.list(path):
            if each["metadata"]["name"] not in old:
                self._client.delete(f"{path}/{each['metadata']['name']}")

    def _mend(self, wanted: Mapping[str, Any]) -> None:
        """Give a node back the labels, the capacity and the openness that it had."""
        path = f"{NODES}/{wanted['metadata']['name']}"
        node = self._client.find(path)
        if node is not None and node["status"]["allocatable"] != wanted["status"]["allocatable"]:
            self._client.delete(path)
            node = None
        if node is None:
            self._client.create(NODES, dict(wanted))
            return
        meta = wanted["metadata"]
        labels = dict.fromkeys(node["metadata"]["labels"]) | meta["labels"]
        extra = {key: None for key in node["metadata"].get("annotations", {}) if key not in meta["annotations"]}
        spec = {"unschedulable": None, "taints": None}
        self._client.patch(path, {"metadata": {"labels": labels, "annotations": extra}, "spec": spec})

    def _shell_environment(self) -> dict[str, str]:
        plane = self.product.plane
        path = (str(Path(sys.executable).parent), str(plane.bin("kubectl").parent), os.environ["PATH"])
        return {
            **os.environ,
            "KUBECONFIG": str(plane.kubeconfig),
            "KUBECACHEDIR": str(plane.workdir / "kubectl-cache"),
            "PATH": os.pathsep.join(path),
            "HOME": str(self.folder),
        }


def _only_reads(command: str) -> bool:
    return command.startswith(READERS) and not any(word in command.split() for word in WRITES)
