"""Several replicas of the controller under its own service account, behind one address, as a Service gives them.

There is no pod network on the test's control plane, so the Service is a small balancer here: it hands each connection
of the API server to a replica that says that it is ready.
"""

from __future__ import annotations

import contextlib
import socket
import sys
import threading
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from tests.controlplane.plane import ControlPlane
from tests.controlplane.ports import LOCALHOST, free_port, free_ports

NAMESPACE = "lws-system"
LEASE_SECONDS = 4


class Balancer:
    """Passes connections on to whichever backend is ready."""

    def __init__(self) -> None:
        self.port = free_port()
        self.backends: list[Replica] = []
        self._listener = socket.create_server((LOCALHOST, self.port), backlog=128)
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def url(self) -> str:
        return f"https://{LOCALHOST}:{self.port}"

    def close(self) -> None:
        self._listener.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        for backend in self.backends:
            if backend.is_ready():
                with contextlib.suppress(OSError), socket.create_connection((LOCALHOST, backend.port)) as server:
                    threading.Thread(target=_pump, args=(server, client), daemon=True).start()
                    _pump(client, server)
                    return
        client.close()


def _pump(source: socket.socket, sink: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            sink.sendall(data)
    for each in (source, sink):
        with contextlib.suppress(OSError):
            each.shutdown(socket.SHUT_RDWR)


class Replica:
    """One controller process; `name` is its pod's, `more` further sections of its configuration."""

    def __init__(
        self, plane: ControlPlane, balancer: Balancer, name: str, more: Mapping[str, Any] | None = None
    ) -> None:
        self.name, self._plane = name, plane
        self.port, self.probe_port, self.metrics_port = free_ports(3)
        argv = [sys.executable, "-m", "lws_sched.cli.main", "controller"]
        argv += ["--kubeconfig", str(account_kubeconfig(plane, "lws-sched-controller"))]
        argv += ["--config", str(_configuration(plane, balancer, more or {})), "--namespace", NAMESPACE]
        argv += ["--webhook-bind-address", f"{LOCALHOST}:{self.port}"]
        argv += ["--health-probe-bind-address", f"{LOCALHOST}:{self.probe_port}"]
        argv += ["--metrics-bind-address", f"{LOCALHOST}:{self.metrics_port}"]
        plane.spawn(name, argv, {"POD_NAME": name}, ready=self.is_ready)
        balancer.backends.append(self)

    def is_ready(self) -> bool:
        return self.probe("/readyz")[0] == 200

    def probe(self, path: str) -> tuple[int, str]:
        """Status and text; 0 where nobody answers."""
        try:
            with urllib.request.urlopen(f"http://{LOCALHOST}:{self.probe_port}{path}", timeout=2) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as refused:
            return refused.code, refused.read().decode()
        except OSError as problem:
            return 0, str(problem)

    def kill(self) -> None:
        self._plane.kill_component(self.name)


def account_kubeconfig(plane: ControlPlane, account: str) -> Path:
    """Credentials of a service account, and nothing more: what it may do is what its role allows."""
    token = plane.kubectl("create", "token", account, f"--namespace={NAMESPACE}").strip()
    config = yaml.safe_load(plane.kubeconfig.read_text())
    config["users"] = [{"name": "admin", "user": {"token": token}}]
    path = plane.workdir / f"{account}.kubeconfig"
    path.write_text(yaml.safe_dump(config))
    return path


def _configuration(plane: ControlPlane, balancer: Balancer, more: Mapping[str, Any]) -> Path:
    path = plane.workdir / "controller-config.yaml"
    election = {"leaseDuration": f"{LEASE_SECONDS}s", "renewDeadline": "3s", "retryPeriod": "1s"}
    head = {"apiVersion": "config.lws.x-k8s.io/v1alpha1", "kind": "Configuration"}
    path.write_text(yaml.safe_dump({**head, "leaderElection": election, "webhook": {"url": balancer.url}, **more}))
    return path
