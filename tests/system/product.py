"""Starts, stops and kills the controller and the extender beside a `ControlPlane`."""

from __future__ import annotations

import ssl
import sys
import urllib.request
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from tests.controlplane.plane import ControlPlane
from tests.controlplane.ports import LOCALHOST, free_ports
from tests.controlplane.scheduler_config import load_scheduler_config
from tests.system.replicas import NAMESPACE, account_kubeconfig

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "deploy"
CRDS = DEPLOY / "crds"
SCHEDULER_CONFIG = DEPLOY / "scheduler" / "kube-scheduler-config.yaml"
CONTROLLER, EXTENDER = "lws-controller", "lws-extender"
# Certificates here are the processes' own: whom the API server trusts is tested elsewhere.
_TRUSTING = ssl._create_unverified_context()


class LwsSched:
    """Our two processes on one control plane, supervised by it under the names `lws-controller` and `lws-extender`: as
    in a cluster, they are started again when they end because they have lost their Lease."""

    def __init__(self, plane: ControlPlane, environment: Mapping[str, str] = MappingProxyType({})) -> None:
        self.plane = plane
        self._environment = environment
        self._controller_port, self._hook_port, self._verbs_port, self.placement_port, self.page_port = free_ports(5)
        self.metrics_ports = dict(zip((CONTROLLER, EXTENDER), free_ports(2), strict=True))

    @property
    def verbs_url(self) -> str:
        return f"http://{LOCALHOST}:{self._verbs_port}"

    def install(self, *, controller: bool = True) -> None:
        """CRDs, the extender, the controller; then kube-scheduler with our profile, where one runs."""
        self.plane.kubectl("apply", "--server-side", "-k", str(DEPLOY))
        self.plane.kubectl("wait", "--for=condition=Established", "--timeout=60s", "-f", str(CRDS))
        self.start_extender()
        if controller:
            self.start_controller()
        self.use_scheduler_config()

    def start_controller(self) -> None:
        self._spawn(CONTROLLER, "controller", self._controller_port)

    def start_extender(self) -> None:
        where = ["--bind-address", f"{LOCALHOST}:{self._verbs_port}"]
        where += ["--placement-bind-address", f"{LOCALHOST}:{self.placement_port}"]
        where += ["--page-bind-address", f"{LOCALHOST}:{self.page_port}"]
        self._spawn(EXTENDER, "extender", self._hook_port, *where)

    def scheduler_config(self) -> dict[str, Any]:
        """The configuration that `deploy/` gives users, with the extender where this test has it."""
        return load_scheduler_config(SCHEDULER_CONFIG, self.verbs_url)

    def use_scheduler_config(self) -> None:
        self.plane.set_scheduler_config(self.scheduler_config())
        if self.plane.component("scheduler").alive:
            self.plane.restart_component("scheduler")

    def metrics(self, name: str) -> str:
        """The metrics of one of our processes, as a scraper that may read them gets them."""
        request = urllib.request.Request(
            f"https://{LOCALHOST}:{self.metrics_ports[name]}/metrics",
            headers={"Authorization": f"Bearer {self.plane.token}"},
        )
        with urllib.request.urlopen(request, timeout=10, context=_TRUSTING) as answer:
            return bytes(answer.read()).decode()

    def _spawn(self, name: str, command: str, port: int, *more: str) -> None:
        argv = [sys.executable, "-m", "lws_sched.cli.main", command]
        # Under its own account, as in a cluster: what its role does not allow fails here, too.
        credentials = account_kubeconfig(self.plane, f"lws-sched-{command}")
        argv += ["--kubeconfig", str(credentials), "--namespace", NAMESPACE]
        argv += ["--webhook-bind-address", f"{LOCALHOST}:{port}"]
        argv += ["--webhook-url", f"https://{LOCALHOST}:{port}", "--health-probe-bind-address=0"]
        argv += [f"--metrics-bind-address={LOCALHOST}:{self.metrics_ports[name]}", *more]
        # As a pod's containers: the next process of the same name takes the Lease over at once.
        self.plane.spawn(name, argv, {**self._environment, "POD_NAME": name}, ready=_is_ready(port), supervised=True)


def _is_ready(port: int) -> Callable[[], bool]:
    def ready() -> bool:
        try:
            with urllib.request.urlopen(f"https://{LOCALHOST}:{port}/readyz", timeout=2, context=_TRUSTING) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    return ready
