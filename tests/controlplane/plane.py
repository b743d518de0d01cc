"""A real Kubernetes control plane on this machine, started and stopped by a test.

`ControlPlane` runs etcd, kube-apiserver, kube-controller-manager, kube-scheduler and kwok
as children of this process, each held as a `Process` under its name, and the programs under
test (`spawn`) beside them. Any of them can be stopped, killed, paused and started again; a
started component is ready when the call returns. Those that are supervised are also started
again when they end by themselves; the others then stay down. The cluster's state is etcd's
data folder, so it survives whatever is done to the components.

Everything lives in one working folder, which is removed at the end. After a failure (an
exception leaves the `with` block, or `keep_logs()` was called) the logs stay and their
place is printed; with LWS_SCHED_KEEP_LOGS=1 they always stay.
"""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import yaml

from tests.controlplane import build, components, pki, scheduler_config
from tests.controlplane.client import Client, path_of
from tests.controlplane.components import Ports, Site, answers_ok
from tests.controlplane.ports import LOCALHOST, free_ports, wait_free
from tests.controlplane.process import Process
from tests.controlplane.supervisor import Supervisor
from tests.controlplane.wait import wait_until

SchedulerConfig = Mapping[str, Any] | Path
KUBECTL_TIMEOUT = 120.0
SLOW_TO_RETURN = ("controller-manager", "kwok")
"""What is started anew with the API server or etcd. Each informer of kube-controller-manager waits the longer to ask
again the longer nobody answered, up to a minute, and StatefulSets and the garbage collector are blind meanwhile; where
it holds a Lease it would end instead. Kubelets ask again for what they were refused; kwok does only after a start.
"""


class KubectlFailed(RuntimeError):
    """kubectl exited with an error; the message holds what it wrote to stderr."""


class ControlPlane:
    """One cluster. A context manager: entering starts it (once), leaving stops it.

    `scheduler=False` leaves out kube-scheduler, `kwok=False` the fake kubelets; both can
    still be started later with `start_component`. The `..._args` are appended to the
    component's command line, where they override the harness's own flags.
    """

    def __init__(
        self,
        workdir: Path | None = None,
        scheduler_config: SchedulerConfig | None = None,
        *,
        scheduler: bool = True,
        kwok: bool = True,
        apiserver_args: Sequence[str] = (),
        controller_manager_args: Sequence[str] = (),
        scheduler_args: Sequence[str] = ("-v=2",),
    ) -> None:
        binaries = build.binaries()
        self.workdir = _empty_folder(workdir)
        self.token = secrets.token_hex(16)
        self._site = _new_site(self.workdir, binaries)
        self._initial = ["controller-manager", *["scheduler"] * scheduler, *["kwok"] * kwok]
        self._keep_logs = os.environ.get("LWS_SCHED_KEEP_LOGS") == "1"
        self._processes: dict[str, Process] = {}
        self.supervisor = Supervisor()
        self._ports: dict[str, int] = {}
        self._write_credentials()
        self.set_scheduler_config(scheduler_config)
        self._define(apiserver_args, controller_manager_args, scheduler_args)
        self.client = Client(self.url, self.token, self.ca)

    def __enter__(self) -> Self:
        if not self.component("apiserver").alive:
            self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        # Ctrl-C is how a person ends it, not a failure. (A failed pytest assertion may be no `Exception`.)
        if kind is not None and not issubclass(kind, KeyboardInterrupt | SystemExit | GeneratorExit):
            self.keep_logs()
        self.stop()

    @property
    def url(self) -> str:
        return f"https://{LOCALHOST}:{self._site.ports.apiserver}"

    @property
    def kubeconfig(self) -> Path:
        """Credentials of a cluster administrator (a token in system:masters)."""
        return self._site.kubeconfig

    @property
    def ca(self) -> Path:
        return self._site.keys.ca

    @property
    def serving_keys(self) -> pki.Files:
        """What the servers show, good for 127.0.0.1: a proxy in front of one can show the same."""
        return self._site.keys

    def port(self, name: str) -> int:
        """Where a stock component listens."""
        return self._ports[name]

    @property
    def logs(self) -> Path:
        return self.workdir / "logs"

    def bin(self, name: str) -> Path:
        """A built program: etcd, kube-apiserver, kube-controller-manager, kube-scheduler, kubectl or kwok."""
        return self._site.bin / name

    def start(self) -> None:
        """Start everything; returns when pods can be created, scheduled and run."""
        try:
            self.start_component("etcd")
            self.start_component("apiserver")
            for name in self._initial:
                self.component(name).launch()
            for name in self._initial:
                self.component(name).wait_ready()
            self.wait_namespace("default")
        except BaseException:
            self.keep_logs()
            self.stop()
            raise

    def stop(self) -> None:
        """Stop everything (programs under test get to end by themselves), then remove the working folder."""
        self.supervisor.close()
        crashed = [p for p in self._processes.values() if p.crashed]
        stock = [p for name, p in self._processes.items() if name in self._ports]
        for process in reversed([p for p in self._processes.values() if p not in stock]):
            process.stop()
        for process in reversed(stock):
            process.kill()
        shutil.rmtree(self._site.workdir / "etcd", ignore_errors=True)
        if not self._keep_logs:
            shutil.rmtree(self.workdir, ignore_errors=True)
            return
        print(f"controlplane: logs are kept in {self.logs}", file=sys.stderr)
        for process in crashed:
            print(f"controlplane: {process.name} had crashed; its log ends with:\n{process.tail()}", file=sys.stderr)

    def keep_logs(self) -> None:
        """Leave the logs in place when the control plane is stopped: a test that used it failed."""
        self._keep_logs = True

    def component(self, name: str) -> Process:
        try:
            return self._processes[name]
        except KeyError:
            raise KeyError(f"no component {name!r}; there are: {', '.join(self._processes)}") from None

    def processes(self) -> list[Process]:
        """All processes of this control plane, running or not."""
        return list(self._processes.values())

    def start_component(self, name: str) -> None:
        """Start a component and wait until it is ready, first for its port if another life of it still holds that."""
        if name in self._ports:
            wait_free(self._ports[name])
        self.component(name).start()
        self._settle(name)

    def ensure_component(self, name: str) -> None:
        """`start_component`, unless it runs already."""
        if self.component(name).alive:
            return
        if name in self._ports:
            wait_free(self._ports[name])
        self.component(name).ensure()
        self._settle(name)

    def _settle(self, name: str) -> None:
        if name == "etcd" and self.component("apiserver").alive:
            # It finds its way back to etcd by itself, but not at once.
            self.component("apiserver").wait_ready()
        if name in ("etcd", "apiserver"):
            for client in filter(lambda each: self.component(each).alive, SLOW_TO_RETURN):
                self.kill_component(client)
                self.start_component(client)

    def stop_component(self, name: str, grace: float = 20.0) -> None:
        self.component(name).stop(grace)

    def kill_component(self, name: str) -> None:
        self.component(name).kill()

    def restart_component(self, name: str) -> None:
        self.stop_component(name)
        self.start_component(name)

    def spawn(
        self,
        name: str,
        argv: Sequence[str],
        env: Mapping[str, str] | None = None,
        ready: Callable[[], bool] | None = None,
        *,
        supervised: bool = False,
    ) -> Process:
        """Start one more program beside the others; `name` then works like a stock component's."""
        if name in self._processes:
            raise ValueError(f"there is already a component {name!r}")
        self._processes[name] = Process(name, argv, self.logs / f"{name}.log", env, ready)
        self.start_component(name)
        if supervised:
            self.supervise(name)
        return self._processes[name]

    def supervise(self, name: str) -> None:
        """From now on start it again whenever it ends by itself."""
        self.supervisor.watch(self.component(name))

    def set_scheduler_config(self, config: SchedulerConfig | None) -> None:
        """What kube-scheduler will run with from its next (re)start on; None is the stock configuration."""
        self._site.scheduler_config.write_text(yaml.safe_dump(self.complete_scheduler_config(config)))

    def complete_scheduler_config(self, config: SchedulerConfig | None) -> dict[str, Any]:
        """`config` with this cluster's connection filled in, for a second scheduler that a test spawns."""
        return scheduler_config.complete(config, self.kubeconfig)

    def metrics(self, name: str) -> str:
        """The Prometheus text of a stock component other than etcd and kwok."""
        port = self._ports[name]
        return Client(f"https://{LOCALHOST}:{port}", self.token, self.ca).text("/metrics")

    def kubectl(self, *args: str, input: str | None = None) -> str:
        """Run kubectl as administrator and return its stdout."""
        argv = [str(self.bin("kubectl")), f"--kubeconfig={self.kubeconfig}", *args]
        # Discovery is cached per server address: ports are reused, so each cluster gets its own cache.
        env = {**os.environ, "KUBECACHEDIR": str(self.workdir / "kubectl-cache")}
        run = subprocess.run(
            argv, input=input, env=env, capture_output=True, text=True, timeout=KUBECTL_TIMEOUT, check=False
        )
        if run.returncode != 0:
            raise KubectlFailed(f"kubectl {' '.join(args)}: exit {run.returncode}: {run.stderr.strip()}")
        return run.stdout

    def create_namespace(self, name: str) -> None:
        """Create a namespace and wait until pods can be created in it."""
        self.client.create(path_of("namespaces"), {"metadata": {"name": name}})
        self.wait_namespace(name)

    def wait_namespace(self, name: str, timeout: float = 30.0) -> None:
        """Wait for the default service account, without which admission refuses every pod."""
        account = path_of("serviceaccounts", name, "default")
        wait_until(lambda: self.client.find(account), f"namespace {name} has its default service account", timeout)

    def _write_credentials(self) -> None:
        user = {"token": self.token}
        cluster = {"server": self.url, "certificate-authority": str(self.ca)}
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "local", "cluster": cluster}],
            "users": [{"name": "admin", "user": user}],
            "contexts": [{"name": "local", "context": {"cluster": "local", "user": "admin"}}],
            "current-context": "local",
        }
        for path in (self.kubeconfig, self._site.tokens):
            path.touch(mode=0o600)
        self.kubeconfig.write_text(yaml.safe_dump(config))
        self._site.tokens.write_text(f"{self.token},admin,admin,system:masters\n")

    def _define(self, apiserver: Sequence[str], controllers: Sequence[str], scheduler: Sequence[str]) -> None:
        site, ports, keys = self._site, self._site.ports, self._site.keys
        stock = [
            ("etcd", ports.etcd, components.etcd(site), "http", "/readyz"),
            ("apiserver", ports.apiserver, components.apiserver(site, apiserver), "https", "/readyz"),
            (
                "controller-manager",
                ports.controller_manager,
                components.controller_manager(site, controllers),
                "https",
                "/healthz",
            ),
            ("scheduler", ports.scheduler, components.scheduler(site, scheduler), "https", "/readyz"),
            ("kwok", ports.kwok, components.kwok(site), "http", "/readyz"),
        ]
        for name, port, argv, scheme, path in stock:
            ready = answers_ok(scheme, port, path, keys, self.token if name == "apiserver" else "")
            self._processes[name] = Process(name, argv, self.logs / f"{name}.log", ready=ready)
            self._ports[name] = port


def _empty_folder(wanted: Path | None) -> Path:
    """The working folder. It is removed at the end, so it must not hold anything of somebody else's."""
    if wanted is None:
        return Path(tempfile.mkdtemp(prefix="lws-sched-plane-"))
    wanted.mkdir(parents=True, exist_ok=True)
    if any(wanted.iterdir()):
        raise ValueError(f"the control plane's working folder {wanted} is not empty")
    return wanted


def _new_site(workdir: Path, binaries: Path) -> Site:
    for name in ("logs", "pki"):
        (workdir / name).mkdir()
    return Site(
        bin=binaries,
        workdir=workdir,
        ports=Ports(*free_ports(len(Ports._fields))),
        keys=pki.write_files(workdir / "pki"),
        kubeconfig=workdir / "kubeconfig",
        tokens=workdir / "tokens.csv",
        scheduler_config=workdir / "scheduler.yaml",
    )
