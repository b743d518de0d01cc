"""The installation as `deploy/kustomize/default` has it: a second kube-scheduler of our own, which calls over TLS.

Everything is applied but the Deployments, whose programs run here as processes, each under its own service account and
with the configuration of its ConfigMap. What differs is what a pod network would give: addresses.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from tests.controlplane.client import path_of
from tests.controlplane.components import answers_ok
from tests.controlplane.plane import ControlPlane
from tests.controlplane.ports import LOCALHOST, free_port
from tests.system.product import CRDS, DEPLOY, EXTENDER, LwsSched
from tests.system.replicas import NAMESPACE, account_kubeconfig

OVERLAY = DEPLOY / "kustomize" / "default"
SCHEDULER = "lws-sched-scheduler"
VERBS_SECRET = "lws-sched-extender-verbs"
EVERYWHERE = "0.0.0.0"
Document = dict[str, Any]


class SecondScheduler(LwsSched):
    """`installed` are the objects of an installation that is there already; else it is the overlay's. Only one that
    `serves_people` has the page and the placement service."""

    def __init__(self, plane: ControlPlane, installed: Sequence[Document] = (), *, serves_people: bool = False) -> None:
        super().__init__(plane)
        self._serves_people = serves_people
        self._port, self._is_installed = free_port(), bool(installed)
        self.documents = installed or built(plane, OVERLAY)

    def install(self, *, controller: bool = True) -> None:
        if not self._is_installed:
            text = yaml.safe_dump_all([each for each in self.documents if each["kind"] != "Deployment"])
            self.plane.kubectl("apply", "--server-side", "-f", "-", input=text)
        self.plane.kubectl("wait", "--for=condition=Established", "--timeout=60s", "-f", str(CRDS))
        self.start_extender()
        if controller:
            self.start_controller()
        self.start_scheduler()

    def start_extender(self) -> None:
        config = self._written("extender.yaml", self._config_map("lws-sched-extender-config"))
        where = ["--bind-address", f"{EVERYWHERE}:{self._verbs_port}"]
        people = (self.placement_port, self.page_port) if self._serves_people else (0, 0)
        for name, port in zip(("placement", "page"), people, strict=True):
            where.append(f"--{name}-bind-address={f'{LOCALHOST}:{port}' if port else '0'}")
        self._spawn(EXTENDER, "extender", self._hook_port, "--config", str(config), *where)

    def start_scheduler(self) -> None:
        """As the Deployment does: with the ConfigMap, and the Secret that the extender has written mounted."""
        config = yaml.safe_load(self._config_map("lws-sched-scheduler-config"))
        config["clientConnection"]["kubeconfig"] = str(account_kubeconfig(self.plane, SCHEDULER))
        (extender,) = config["extenders"]
        service = extender["urlPrefix"].removeprefix("https://").partition(":")[0]
        extender["urlPrefix"] = f"https://{LOCALHOST}:{self._verbs_port}"
        folder = self.mounted_secret()
        files = {name: str(folder / Path(path).name) for name, path in extender["tlsConfig"].items()}
        extender["tlsConfig"] = {**files, "serverName": service}
        path = self._written("scheduler-second.yaml", yaml.safe_dump(config))
        keys = self.plane.serving_keys
        argv = [str(self.plane.bin("kube-scheduler")), f"--config={path}", "-v=2"]
        argv += [f"--bind-address={LOCALHOST}", f"--secure-port={self._port}"]
        argv += [f"--tls-cert-file={keys.cert}", f"--tls-private-key-file={keys.key}"]
        ready = answers_ok("https", self._port, "/readyz", keys)
        self.plane.spawn(SCHEDULER, argv, ready=ready)

    @property
    def verbs_address(self) -> tuple[str, int]:
        return LOCALHOST, self._verbs_port

    def mounted_secret(self) -> Path:
        """The files that the scheduler's pod sees, as its kubelet would write them."""
        data = self.plane.client.get(path_of("secrets", NAMESPACE, VERBS_SECRET))["data"]
        folder = self.plane.workdir / "verbs"
        folder.mkdir(exist_ok=True)
        for name in ("ca.crt", "client.crt", "client.key"):
            (folder / name).write_bytes(base64.b64decode(data[name]))
        return folder

    def _config_map(self, name: str) -> str:
        (found,) = (each for each in self.documents if (each["kind"], each["metadata"]["name"]) == ("ConfigMap", name))
        ((_, text),) = found["data"].items()
        return str(text)

    def _written(self, name: str, text: str) -> Path:
        path = self.plane.workdir / name
        path.write_text(text)
        return path


def built(plane: ControlPlane, overlay: Path) -> list[Document]:
    """The objects of an overlay, as kustomize makes them."""
    return [each for each in yaml.safe_load_all(plane.kubectl("kustomize", str(overlay))) if each]
