"""A drill's cluster on the real control plane: two replicas of the extender, and every connection breakable.

`DrillSystem` has one kube-scheduler with our profile beside the default one; `SecondSchedulerSystem` has two: the
cluster's own, as it comes, and one that holds only our profile, as `deploy/kustomize/default` runs it.

kube-scheduler and the API server reach the extender through relays, as through Services: the verbs go to the replica
that holds the Lease, the webhook to any that runs. The extenders reach the API server through a proxy that sees
bindings.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import urllib3
import yaml

from tests.controlplane.client import ApiError, path_of
from tests.controlplane.nodes import RACK_LABEL
from tests.controlplane.plane import ControlPlane
from tests.controlplane.ports import LOCALHOST, free_ports
from tests.controlplane.scheduler_config import load_scheduler_config
from tests.controlplane.supervisor import Restart
from tests.controlplane.wait import wait_until
from tests.drills.outages import Outages
from tests.drills.relay import BindingProxy, Relay, VerbsRelay
from tests.drills.sabotage import Breakable
from tests.drills.witness import FilterWitness, Pace
from tests.invariants.check import Report, check
from tests.scenarios.cluster import CONTROLLER, EXTENDER, SCHEDULER, Body, Denied
from tests.scenarios.plane_cluster import PlaneCluster
from tests.system import product
from tests.system.product import LwsSched

R = TypeVar("R")
PATIENCE_SECONDS, POLL_SECONDS = 30.0, 0.2
SECOND = "second-scheduler"
SECOND_DEPLOYED = product.DEPLOY / "kustomize" / "default" / "scheduler.yaml"
REPLICAS = (product.EXTENDER, f"{product.EXTENDER}-b")
LEASE = path_of("coordination.k8s.io/v1/leases", "lws-system", "lws-extender.lws-sched.io")
LEASE_LOST = "lost its Lease and ends"
"""What a process of ours logs where it rightly ends by itself."""
MISSED_A_SUCCESSOR = "Pod updated on a different node than previously added to"
"""What kube-scheduler logs where it does: a pod went and another of its name came while the API server was away, and it
takes the second for the first."""
TERMS = {"lease-duration": "4s", "renew-deadline": "3s", "retry-period": "1s"}


class DrillSystem(LwsSched):
    """The product, with relays in its connections and a second extender that waits for the Lease."""

    all_ask = True
    """Whether every scheduler of the cluster asks the extender."""
    scheduler = "scheduler"
    """The component that holds our profile."""
    has_controller = True

    def __init__(self, plane: ControlPlane) -> None:
        super().__init__(plane)
        self._verbs = dict(zip(REPLICAS, free_ports(2), strict=True))
        self._hooks = dict(zip(REPLICAS, free_ports(2), strict=True))
        self.metrics_ports |= dict(zip(REPLICAS, free_ports(2), strict=True))
        self._holder = ""
        self.witness = FilterWitness(lambda: self._verbs.get(self.leader()), Pace())
        self.to_verbs = VerbsRelay(lambda: self._verbs.get(self.leader()), self.witness.hear)
        self.to_hooks = Relay(self._any_hook)
        keys = plane.serving_keys
        self.bindings = BindingProxy(plane.port("apiserver"), keys.cert, keys.key, keys.ca)

    def install(self, *, controller: bool = True) -> None:
        super().install(controller=controller)
        # Its garbage collector asks which kinds there are at its start, and then every 30 s: groups of a set that was
        # deleted before it knew of sets would stay.
        self.plane.restart_component("controller-manager")
        for scheduler in {SCHEDULER, self.scheduler}:
            self.plane.supervise(scheduler)

    @property
    def verbs_url(self) -> str:
        return f"http://{LOCALHOST}:{self.to_verbs.port}"

    def leader(self) -> str:
        """The replica that the Lease names; the last that it named while nobody leads, or the API server is away."""
        with contextlib.suppress(ApiError, urllib3.exceptions.HTTPError, OSError):
            self._holder = self.plane.client.get(LEASE)["spec"].get("holderIdentity") or self._holder
        return self._holder

    def start_extender(self) -> None:
        self._credentials().write_text(yaml.safe_dump(self._through_proxy()))
        self._start_replica(REPLICAS[0])

    def start_standby(self, leader: str) -> str:
        """Start the replica that does not lead, if it does not run; which one that is."""
        standby = REPLICAS[0] if leader == REPLICAS[1] else REPLICAS[1]
        try:
            process = self.plane.component(standby)
        except KeyError:
            self._start_replica(standby)
        else:
            process.ensure()
        return standby

    def have_the_first_lead(self) -> None:
        """As at the start of every drill: one replica, the first."""
        first, second = REPLICAS
        if self._runs(second):
            self.plane.kill_component(second)
        self.plane.ensure_component(first)
        wait_until(lambda: self.leader() == first, "the first extender leads", 30)

    def close(self) -> None:
        for each in (self.to_verbs, self.to_hooks, self.bindings, self.witness):
            each.close()

    def _start_replica(self, name: str) -> None:
        more = ["--bind-address", f"{LOCALHOST}:{self._verbs[name]}", "--kubeconfig", str(self._credentials())]
        more += ["--webhook-url", f"https://{LOCALHOST}:{self.to_hooks.port}", "--placement-bind-address=0"]
        more += ["--page-bind-address=0"]
        more += [f"--leader-elect-{term}={seconds}" for term, seconds in TERMS.items()]
        self._spawn(name, "extender", self._hooks[name], *more, *self._extender_options())

    def _extender_options(self) -> tuple[str, ...]:
        return ()

    def _any_hook(self) -> int | None:
        running = [name for name in (self.leader(), *REPLICAS) if name in REPLICAS and self._runs(name)]
        return self._hooks[running[0]] if running else None

    def _runs(self, name: str) -> bool:
        try:
            return self.plane.component(name).alive
        except KeyError:
            return False

    def _credentials(self) -> Path:
        return self.plane.workdir / "extender.kubeconfig"

    def _through_proxy(self) -> dict[str, object]:
        config: dict[str, object] = yaml.safe_load(self.plane.kubeconfig.read_text())
        text = yaml.safe_dump(config).replace(self.plane.url, f"https://{LOCALHOST}:{self.bindings.port}")
        return dict(yaml.safe_load(text))


class SecondSchedulerSystem(DrillSystem):
    """The product beside a kube-scheduler that knows nothing of it."""

    all_ask = False
    scheduler = SECOND

    def scheduler_config(self) -> dict[str, Any]:
        documents = yaml.safe_load_all(SECOND_DEPLOYED.read_text())
        deployed = next(each for each in documents if each["kind"] == "ConfigMap")
        path = self.plane.workdir / "deployed-scheduler.yaml"
        path.write_text(deployed["data"]["scheduler.yaml"])
        config = load_scheduler_config(path, self.verbs_url)
        for extender in config["extenders"]:  # on one host, through a relay that sees the calls
            del extender["enableHTTPS"], extender["tlsConfig"]
        return config

    def use_scheduler_config(self) -> None:
        path = self.plane.workdir / f"{SECOND}.yaml"
        path.write_text(yaml.safe_dump(self.plane.complete_scheduler_config(self.scheduler_config())))
        self.plane.spawn(SECOND, [str(self.plane.bin("kube-scheduler")), f"--config={path}", "--secure-port=0", "-v=2"])

    def _extender_options(self) -> tuple[str, ...]:
        path = self.plane.workdir / "extender-config.yaml"
        head = {"apiVersion": "config.lws-sched.io/v1alpha1", "kind": "ExtenderConfiguration"}
        path.write_text(yaml.safe_dump({**head, "reservations": {"taintNodes": True}}))
        return ("--config", str(path))


class WithoutController(DrillSystem):
    """The extender alone: somebody else's controller makes the pods."""

    has_controller = False

    def install(self, *, controller: bool = False) -> None:
        super().install(controller=controller)


class RealCluster(PlaneCluster, Breakable):
    """One drill's namespace on a `DrillSystem`."""

    def __init__(self, system: DrillSystem, number: int, folder: Path) -> None:
        super().__init__(system, number, folder)
        self._system = system
        self._frozen: set[str] = set()
        self._outages = Outages()
        self._restarts_before = len(self._plane.supervisor.restarts)
        self._life = threading.RLock()
        """Processes are also killed by what watches the bindings, on a thread of its own."""

    def create(self, resource: str, body: Body) -> Body:
        return _asked(lambda: super(RealCluster, self).create(resource, body))

    def merge(self, resource: str, name: str, change: Body) -> None:
        _asked(lambda: super(RealCluster, self).merge(resource, name, change))

    def delete(self, resource: str, name: str, *, force: bool = False) -> None:
        _asked(lambda: super(RealCluster, self).delete(resource, name, force=force))

    def find(self, resource: str, name: str) -> Body | None:
        return _patiently(lambda: super(RealCluster, self).find(resource, name))

    def all(self, resource: str) -> list[Body]:
        return _patiently(lambda: super(RealCluster, self).all(resource))

    def open(self) -> None:
        super().open()
        self._system.witness.write_to(self._log)

    def ask_filter_again(self) -> None:
        """The drill is over, and the cluster comes to rest: `filter` must say the same again, and write nothing."""
        self._system.witness.ask_at_rest()

    @property
    def restarts(self) -> tuple[Restart, ...]:
        """What ended by itself since this drill began, and was started again as a kubelet would."""
        return tuple(self._plane.supervisor.restarts[self._restarts_before :])

    @property
    def unexplained(self) -> tuple[str, ...]:
        """One sentence on each process that ended by itself without a known reason."""
        known = (LEASE_LOST, MISSED_A_SUCCESSOR)
        return tuple(str(each) for each in self.restarts if not any(reason in each.said for reason in known))

    def crash(self, component: str) -> None:
        with self._life:
            self._outages.begin(component, self.now())
            super().crash(component)

    def start(self, component: str) -> None:
        with self._life:
            super().start(component)
            self._outages.end(component, self.now())

    def process(self, component: str) -> str:
        if component == EXTENDER:
            return self._system.leader()
        return self._system.scheduler if component == SCHEDULER else super().process(component)

    def judge(self) -> Report:
        levels = {"rack": RACK_LABEL}
        faults = [*self.faults, *(each.at for each in self.restarts), *self._outages.moments(self.now())]
        return check(self.watched(), faults=faults, levels=levels, all_ask=self._system.all_ask)

    def freeze(self, component: str) -> None:
        self._outages.begin(component, self.now())
        self._frozen.add(self.process(component))
        super().freeze(component)

    def thaw(self, component: str) -> None:
        for name in self._frozen:
            self._plane.component(name).resume()
        self._frozen.clear()
        self._outages.end(component, self.now())
        self.faults.append(self.now())

    def take_over(self) -> None:
        self.faults.append(self.now())
        before = self._system.leader()
        if self._system.start_standby(before) in self._frozen:
            self.thaw(EXTENDER)  # whoever led in its place has died since
        if before not in self._frozen:
            with self._life:
                self._outages.begin(EXTENDER, self.now())
                self._plane.kill_component(before)  # it would keep its Lease
        wait_until(lambda: self._system.leader() not in ("", before), "another extender leads", 30)
        self._outages.end(EXTENDER, self.now())
        self.faults.append(self.now())

    def cut_bind_calls(self) -> None:
        self.faults.append(self.now())
        self._system.to_verbs.cut()

    def crash_at_binding(self, number: int) -> None:
        def at_binding(count: int) -> bool:
            if count == number:
                self.crash(EXTENDER)
            return True

        self._system.bindings.watch(at_binding)

    def lose_the_answer_of_binding(self, number: int) -> None:
        """The API server binds, and the extender never hears of it."""
        self.faults.append(self.now())
        self._system.bindings.watch(lambda count: count != number)

    def let_bindings_pass(self) -> None:
        """Nothing happens at a binding any more."""
        self._system.bindings.watch(lambda _: True)

    def mend(self) -> None:
        """End what a drill may have left broken, and have the first extender lead again."""
        self.thaw(EXTENDER)
        self.let_bindings_pass()
        for component in (CONTROLLER, SCHEDULER) if self._system.has_controller else (SCHEDULER,):
            self.start(component)
        self._system.have_the_first_lead()
        self.faults.append(self.now())
        self.limit_pods(None)

    def restart_etcd(self) -> None:
        self.faults.append(self.now())
        self._plane.kill_component("etcd")
        self._plane.start_component("etcd")
        self.faults.append(self.now())


def _patiently(request: Callable[[], R]) -> R:
    """What is looked at while the API server may just be coming back."""
    end = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            return request()
        except (ApiError, urllib3.exceptions.HTTPError) as refused:
            is_final = isinstance(refused, ApiError) and refused.status < 500
            if is_final or time.monotonic() > end:
                raise
            time.sleep(POLL_SECONDS)


def _asked(request: Callable[[], R]) -> R:
    """What a user asks for in the middle of a drill may be refused: a webhook is down, the object is gone."""
    try:
        return request()
    except (ApiError, urllib3.exceptions.HTTPError) as refused:
        raise Denied(str(refused)) from None
