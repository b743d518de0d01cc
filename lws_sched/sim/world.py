"""A simulated world: a cluster, its Kubernetes, and the product's components, on one clock and one seed.

    world = World(seed=1)
    world.create_nodes(rack_nodes(4, 16))
    world.start("controller", lambda runtime: build(runtime, Options()))
    world.cluster.create(LEADER_WORKER_SET, body)
    world.run(until=lambda: ..., limit_seconds=60)

A component's `build` gets a `port.Runtime`, as it would from the real runtime; the `hooks` of the app that it returns
are called by the simulated API server, and `connect_extender` has the simulated kube-scheduler call its verbs.
Components can be crashed and restarted, and given faults. The same seed gives the same world, to the byte of its log.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any, Generic, TypeVar

from lws_sched.api.core import NODE
from lws_sched.kube.errors import LostLease
from lws_sched.kube.port import Runtime
from lws_sched.sim.api_server import ApiServer
from lws_sched.sim.cluster import SimCluster
from lws_sched.sim.daemon_sets import DaemonSets
from lws_sched.sim.extender_link import ExtenderLink, ExtenderServer, Reached
from lws_sched.sim.faults import NONE, FaultInjector, Faults
from lws_sched.sim.garbage import GarbageCollector
from lws_sched.sim.kubelets import Kubelets
from lws_sched.sim.loop import Latencies, Loop
from lws_sched.sim.node_lifecycle import NodeLifecycle
from lws_sched.sim.objects import Json
from lws_sched.sim.picture import picture
from lws_sched.sim.pod_index import PodIndex
from lws_sched.sim.runtime import SimRuntime
from lws_sched.sim.scheduler import PROFILES, Scheduler
from lws_sched.sim.stateful_sets import StatefulSets
from lws_sched.sim.store import HISTORY, Event, ObjectStore

A = TypeVar("A")
Build = Callable[[Runtime], A]
LOOK_SECONDS = 0.02
NOTICE_SECONDS = 0.3
"""Until a thawed process whose lease is gone has ended."""


@dataclass(frozen=True)
class Stop:
    """Why a run ended, and when."""

    reason: str
    """`reached`: the predicate holds. `quiet`: nothing is left to happen soon. `limit`: the time is up."""
    seconds: float
    """Simulated, since the start of the world."""


class NotReached(AssertionError):
    """The predicate did not come to hold within the limit; the message is a picture of the world."""


@dataclass
class _Component(Generic[A]):
    name: str
    build: Build[A]
    faults: FaultInjector
    lease: str
    runtime: SimRuntime
    app: A | None = None

    @property
    def is_up(self) -> bool:
        return self.runtime.is_alive

    @property
    def is_ready(self) -> bool:
        """Its informers are complete: it may lead, and its webhooks are registered."""
        return self.runtime.is_alive and self.runtime.is_synced and not self.runtime.is_frozen


class World:
    def __init__(
        self,
        seed: int = 1,
        *,
        latencies: Latencies | None = None,
        profiles: tuple[str, ...] = PROFILES,
        history: int = HISTORY,
    ) -> None:
        self.log: list[Event] = []
        self.loop = Loop(seed, latencies or Latencies())
        self.clock = self.loop.clock
        # Names and UIDs do not depend on how things interleave.
        store = ObjectStore(self.loop.clock, Random(f"{seed} identities"), history)
        store.listeners.append(self.log.append)
        self.server = ApiServer(store, self.loop.clock)
        self.cluster = SimCluster(self.server, self.loop)
        self.pods = PodIndex(store)
        self.stateful_sets = StatefulSets(self.loop, self.server, self.pods)
        self.daemon_sets = DaemonSets(self.loop, self.server, self.pods)
        self.garbage = GarbageCollector(self.loop, self.server)
        self.kubelets = Kubelets(self.loop, self.server, self.pods)
        self.nodes = NodeLifecycle(self.loop, self.server, self.pods)
        self.scheduler = Scheduler(self.loop, self.server, profiles)
        self.scheduler.start()
        self._seed = seed
        self._components: dict[str, _Component[Any]] = {}
        self._leases: dict[str, tuple[SimRuntime, int]] = {}
        """Who holds a lease, and the epoch, by the lease's name."""
        self._outlived: set[SimRuntime] = set()
        """Processes that were frozen while they lost their lease: connections to them may still be open."""
        self.faults_at: list[float] = []
        """When injected faults made a write fail, and when processes died, were frozen or cut off."""
        self._extender = ""
        store.listeners.append(self._wake)

    # --- components --------------------------------------------------------------------------------------------------

    def start(self, name: str, build: Build[A], *, faults: Faults = NONE, lease: str = "") -> A:
        """Start a component. It takes the lease of its name (or `lease`) from whoever holds it."""
        injector = FaultInjector(faults, Random(f"{self._seed} faults of {name}"), self._note_fault)
        component: _Component[A] = _Component(name, build, injector, lease or name, self._runtime(name, injector))
        self._components[name] = component
        return self._launch(component)

    def crash(self, name: str) -> None:
        """The component's process dies; what it was going to do, it will not."""
        component = self._components[name]
        component.runtime.stop()
        self._died(component)

    def is_up(self, name: str) -> bool:
        return name in self._components and self._components[name].is_up

    def is_known(self, name: str) -> bool:
        return name in self._components

    def is_frozen(self, name: str) -> bool:
        return self._components[name].runtime.is_frozen

    def holds_lease(self, name: str) -> bool:
        """Also while it is down or frozen, as long as nobody took it."""
        component = self._components[name]
        return self._leases[component.lease][0] is component.runtime

    def give_faults(self, name: str, faults: Faults) -> None:
        """Faults of a component from now on."""
        self._components[name].faults.give(faults)

    def freeze(self, name: str) -> None:
        """SIGSTOP: the process does nothing and answers nothing, with its connections open."""
        self._note_fault()
        self._components[name].runtime.freeze()

    def thaw(self, name: str) -> None:
        """SIGCONT. A process that lost its lease meanwhile goes on with what it was at, but its clock tells it at every
        write that it must not, and soon it ends. The instant between that look and the write is not simulated."""
        self._note_fault()
        component = self._components[name]
        runtime = component.runtime
        runtime.thaw()
        if component.is_up and not self.holds_lease(name):
            self._outlived.add(runtime)
            self.loop.soon(NOTICE_SECONDS, lambda: self._end(component, runtime))

    def _end(self, component: _Component[Any], runtime: SimRuntime) -> None:
        if component.runtime is runtime and runtime.is_alive:
            self.crash(component.name)

    def restart_api_server(self, seconds: float) -> None:
        """It is away for so long, and then knows no event from before: all watches list again."""
        self._note_fault()
        self.server.is_up = False

        def back() -> None:
            self.server.store.forget_history()
            self.server.is_up = True
            self._note_fault()

        self.loop.after(seconds, back)

    def restart(self, name: str) -> Any:
        """Start a component anew, from nothing but the cluster; it is crashed first if it is up. Returns its app."""
        component = self._components[name]
        if component.is_up:
            self.crash(name)
        component.faults.revive()
        component.runtime = self._runtime(name, component.faults)
        return self._launch(component)

    def app(self, name: str) -> Any:
        return self._components[name].app

    def writes_of(self, name: str) -> int:
        """How many writes a component made, over all its incarnations: those that `Faults` counts."""
        return self._components[name].faults.writes

    def connect_extender(
        self,
        component: str,
        managed_resources: Sequence[str],
        verbs: Callable[[Any], ExtenderServer] = lambda app: app.verbs,
    ) -> ExtenderLink:
        """Have the scheduler call a component's verbs for pods that name a managed resource; now or once it starts.

        Of several replicas, components with the lease of that name, the holder is called; one that has just woken to
        the loss of its lease gets its share of the calls.
        """

        def reach() -> Reached | None:
            replicas = [each for each in self._components.values() if each.lease == component and each.is_up]
            serving = [each for each in replicas if self.holds_lease(each.name) or each.runtime in self._outlived]
            if not serving:
                return None
            chosen = serving[0] if len(serving) == 1 else self.loop.rng.choice(serving)
            runtime = chosen.runtime
            return Reached(verbs(chosen.app), runtime, runtime.is_frozen, runtime.guarded)

        self._extender = component
        self.scheduler.extender = ExtenderLink(self.loop, managed_resources, reach)
        return self.scheduler.extender

    def _runtime(self, name: str, faults: FaultInjector) -> SimRuntime:
        runtime = SimRuntime(name, self.loop, self.cluster, faults, lambda: self._epoch(runtime))
        return runtime

    def _launch(self, component: _Component[A]) -> A:
        _, epoch = self._leases.get(component.lease, (None, 0))
        self._leases[component.lease] = (component.runtime, epoch + 1)
        runtime = component.runtime
        component.app = app = component.build(runtime)
        for hook in getattr(app, "hooks", ()):
            self.server.admission.admit(hook, lambda: component.is_ready)
        runtime.start(lambda: self._died(component))
        return app

    def _epoch(self, runtime: SimRuntime) -> int:
        for holder, epoch in self._leases.values():
            if holder is runtime and runtime.is_synced:
                return epoch
        raise LostLease(f"{runtime.name} is not the leader any more")

    def _died(self, component: _Component[Any]) -> None:
        self._note_fault()
        if component.lease == self._extender and self.scheduler.extender is not None:
            self.scheduler.extender.disconnect(component.runtime)
        after, component.faults.restart_after = component.faults.restart_after, None
        if after is not None:
            self.loop.after(after, lambda: self._revive(component))

    def _revive(self, component: _Component[Any]) -> None:
        if not component.is_up:
            self.restart(component.name)

    def _note_fault(self) -> None:
        self.faults_at.append(self.elapsed)

    def _wake(self, event: Event) -> None:
        for component in self._components.values():
            if component.is_up:
                component.runtime.wake(event)

    # --- the cluster -------------------------------------------------------------------------------------------------

    def create_nodes(self, nodes: Iterable[Mapping[str, Any]]) -> None:
        for node in nodes:
            self.server.create(NODE, node)

    def lose_node(self, name: str) -> None:
        """Nothing is heard of the node any more; its kubelet does nothing."""
        self.nodes.set_ready(name, "Unknown")

    def return_node(self, name: str) -> None:
        self.nodes.set_ready(name, "True")

    def delete_node(self, name: str) -> None:
        self.server.delete(NODE, "", name)

    # --- time --------------------------------------------------------------------------------------------------------

    @property
    def elapsed(self) -> float:
        """Simulated seconds since the start."""
        return self.loop.elapsed

    def run(
        self,
        until: Callable[[], bool] | None = None,
        *,
        limit_seconds: float = 60.0,
        look_seconds: float = LOOK_SECONDS,
    ) -> Stop:
        """Let time pass until the predicate holds, or, without one, for `limit_seconds`. Raises NotReached.

        While things change, the predicate is looked at every `look_seconds`; with 0.0, after every write.
        """
        end = self.elapsed + limit_seconds
        looked_at = (-1, -1.0)
        while True:
            due = self.loop.next_due()
            is_over = due is None or due > end
            if until is not None and (is_over or self._is_news(looked_at, look_seconds)):
                if until():
                    return Stop("reached", self.elapsed)
                looked_at = (self.server.store.rv, self.elapsed)
            if is_over:
                self.loop.sleep_until(end)
                if until is None or until():
                    return Stop("limit" if until is None else "reached", self.elapsed)
                raise NotReached(f"not within {limit_seconds:g} simulated seconds\n{self.picture()}")
            self.loop.step()

    def settle(self, *, quiet_seconds: float = 2.0, limit_seconds: float = 600.0) -> Stop:
        """Let things happen until the next is more than `quiet_seconds` away. Raises NotReached."""
        end = self.elapsed + limit_seconds
        while (due := self.loop.next_due()) is not None and due <= self.elapsed + quiet_seconds:
            if due > end:
                raise NotReached(f"not quiet within {limit_seconds:g} simulated seconds\n{self.picture()}")
            self.loop.step()
        return Stop("quiet", self.elapsed)

    def _is_news(self, looked_at: tuple[int, float], look_seconds: float) -> bool:
        rv, when = looked_at
        return self.server.store.rv != rv and self.elapsed - when >= look_seconds

    # --- what happened -----------------------------------------------------------------------------------------------

    def picture(self) -> str:
        """The state of the world in a few lines, for people."""
        states = {
            each.name: "ready" if each.is_ready else "starting" if each.is_up else "down"
            for each in self._components.values()
        }
        return picture(self.server, self.log, self.elapsed, states)

    def lines(self) -> Iterator[Json]:
        """The log as `{"t": seconds, "type": ..., "object": {...}}`, in the order of resourceVersions; at the end, per
        kind, that nothing is missing up to now: `{"complete": kind, "rv": ..., "t": seconds}`."""
        for event in self.log:
            yield event.as_json()
        for kind in sorted({event.kind for event in self.log}):
            yield {"complete": kind, "rv": self.server.store.rv, "t": round(self.elapsed, 6)}

    def write_log(self, path: Path) -> None:
        """The log as lines of JSON."""
        with path.open("w", encoding="utf-8") as file:
            for line in self.lines():
                file.write(json.dumps(line, separators=(",", ":"), sort_keys=True) + "\n")
