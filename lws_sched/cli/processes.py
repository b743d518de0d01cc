"""The two processes: connect, build, serve, register the webhooks, run until told to stop.

The order matters. The webhook server serves its certificate before anything is registered with the API server, and
`/readyz` says so only after; informers are complete before the planner or a reconciler runs; losing the Lease ends the
process, as restarting is the one way to know that nothing of the old term is still under way.

Several replicas: all serve the webhooks, with one certificate that they share in a Secret; the leader alone keeps the
webhook configurations right, and writes.
"""

from __future__ import annotations

import gc
import logging
import os
import signal
import socket
import sys
import threading
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from lws_sched import __version__
from lws_sched.admission import registration
from lws_sched.admission.callers import Callers
from lws_sched.admission.hook import Hook
from lws_sched.admission.registration import ConfigurationNames, Connection, Registrar, ServiceConnection, UrlConnection
from lws_sched.admission.server import HookMeter, Readiness, Upkeep, hook_server
from lws_sched.admission.web import WebServer
from lws_sched.cli import config, endpoints, heap
from lws_sched.cli.config import Common, Configuration, ExtenderConfiguration, InvalidConfiguration
from lws_sched.cli.config_file import load
from lws_sched.cli.tracing import TracedRuntime, traced_hooks, tracer_of
from lws_sched.kube.client import Client
from lws_sched.kube.clock import SystemClock
from lws_sched.kube.errors import ConfigError
from lws_sched.kube.lease import LeaseName
from lws_sched.kube.limit import RateLimit
from lws_sched.kube.runtime import Settings as RuntimeSettings
from lws_sched.kube.runtime import ThreadedRuntime
from lws_sched.telemetry import families
from lws_sched.telemetry.counts import Gauge, Instrument
from lws_sched.telemetry.exposition import Exposition

if TYPE_CHECKING:
    from lws_sched.telemetry.tracing import Tracer

log = logging.getLogger(__name__)
C = TypeVar("C", bound=Common)

SWITCH_SECONDS = 0.0002
"""How long a busy thread keeps the interpreter when another wants it. The default of 5 ms is far more than a `filter`
call or a webhook may take, and each call needs the interpreter several times."""


@dataclass(frozen=True)
class Invocation:
    """What the command line says beside the configuration."""

    kubeconfig: Path | None
    config: Path | None
    overrides: Mapping[str, Any]
    """Fields of the configuration that flags give, by dotted path."""
    namespace: str
    """Where the Lease and the Secret are; "" where that is to be found out."""
    log_level: str


REPORTERS = {"lws-controller": "leaderworkerset"}
"""What a process's events say who wrote them, where that is not its name: the API says what the controller's do."""


@dataclass(frozen=True)
class Webhooks:
    """One process's hooks, and the names of the configurations that register them."""

    hooks: Sequence[Hook]
    names: ConfigurationNames


def _nothing() -> None:
    return


def _no_problem() -> str:
    return ""


@dataclass(frozen=True)
class Parts:
    """What a process has besides its runtime."""

    webhooks: Webhooks
    instruments: Sequence[Instrument] = ()
    start: Callable[[], object] = _nothing
    stop: Callable[[], object] = _nothing
    leading: Callable[[], None] = _nothing
    """Called when this replica becomes the leader; may block."""
    lost: Callable[[], None] = _nothing
    """Called when the Lease is lost, before the process ends."""
    problem: Readiness = _no_problem
    """Why what this process has besides its runtime cannot be used; "" where it can."""


Assemble = Callable[[ThreadedRuntime, "Tracer | None"], Parts]


def run_controller(invocation: Invocation) -> int:
    """Run the controller until SIGTERM; the exit code."""
    from lws_sched.api.lws import LEADER_WORKER_SET
    from lws_sched.controller.app import Options, build
    from lws_sched.controller.metering import CountingRecorder, gauges

    def configured(configuration: Configuration) -> Assemble:
        gang = configuration.gang_scheduling_management
        options = Options(gang_provider=gang.scheduler_provider if gang else "")

        def assemble(runtime: ThreadedRuntime, _: Tracer | None) -> Parts:
            recorder = CountingRecorder(runtime.recorder)
            runtime.recorder = recorder
            app = build(runtime, options)
            instruments = (*recorder.instruments(), *gauges(runtime.informer(LEADER_WORKER_SET)))
            return Parts(Webhooks(app.hooks, registration.CONTROLLER), instruments)

        return assemble

    return _run(invocation, "lws-controller", Configuration, configured)


def run_extender(invocation: Invocation) -> int:
    """Run the extender until SIGTERM; the exit code."""
    from lws_sched.cli.page_server import page_server
    from lws_sched.cli.placement_server import placement_calls, placement_service
    from lws_sched.cli.verb_server import verb_server
    from lws_sched.extender.app import Options, build
    from lws_sched.extender.leader_label import LeaderLabel
    from lws_sched.extender.metering import MeteredVerbs, PlacementMeter
    from lws_sched.placement import load_solver

    def configured(configuration: ExtenderConfiguration) -> Assemble:
        def assemble(runtime: ThreadedRuntime, tracer: Tracer | None) -> Parts:
            # While the first lists come: later, every call would wait for it.
            threading.Thread(target=load_solver, name="solver", daemon=True).start()
            app = build(runtime, Options(taint_reserved_nodes=configuration.reservations.taint_nodes, tracer=tracer))
            verbs = MeteredVerbs(app.verbs, runtime.clock)
            namespace = invocation.namespace or config.namespace_of(configuration)
            server = verb_server(configuration, verbs, runtime.cluster, runtime.clock, namespace)
            calls = placement_calls(runtime)
            others = (
                placement_service(configuration, runtime, namespace, calls),
                page_server(configuration, runtime, namespace, calls),
            )
            servers = [server, *(each for each in others if each is not None)]
            pod, lease = os.environ.get("POD_NAME"), runtime.settings.lease
            label = LeaderLabel(runtime, lease.namespace, pod) if pod and lease else None
            return Parts(
                Webhooks(app.hooks, registration.EXTENDER),
                [
                    *verbs.instruments(),
                    *PlacementMeter(runtime).instruments(),
                    *app.instruments,
                    *(instrument for each in servers for instrument in each.instruments()),
                ],
                start=lambda: [each.start() for each in servers],
                stop=lambda: [each.stop() for each in servers],
                problem=server.problem,
                leading=_nothing if label is None else label.take,
                lost=lambda: app.verbs.refuse_everything("lws-sched: this replica no longer leads"),
            )

        return assemble

    return _run(invocation, "lws-extender", ExtenderConfiguration, configured)


def _run(invocation: Invocation, name: str, kind: type[C], configured: Callable[[C], Assemble]) -> int:
    _log_to_stderr(invocation.log_level)
    heap.keep_little()
    sys.setswitchinterval(SWITCH_SECONDS)
    # Thousands of decoded objects live long and hold no cycles: looking through them over and over finds nothing. The
    # young ones are looked through in small portions: everybody waits meanwhile, 0.4 ms per thousand.
    gc.set_threshold(1_000, 250, 100)
    try:
        configuration = load(kind, invocation.config, invocation.overrides)
        client = _connect(configuration, name, invocation.kubeconfig)
        namespace = invocation.namespace or config.namespace_of(configuration)
        return Process(configuration, name, namespace, client, configured(configuration)).run()
    except (ConfigError, InvalidConfiguration, OSError) as problem:
        log.error("%s cannot start: %s", name, problem)
        return 1


def _connect(configuration: Common, name: str, kubeconfig: Path | None) -> Client:
    asked = configuration.client_connection
    limit = RateLimit(asked.qps, asked.burst) if asked.qps > 0 else None
    return Client.connect(f"{name}/{__version__}", str(kubeconfig) if kubeconfig else None, limit=limit)


@dataclass
class Process:
    """One process from its start to its end."""

    configuration: Common
    name: str
    namespace: str
    client: Client
    assemble: Assemble
    ended: threading.Event = field(default_factory=threading.Event)
    started: threading.Event = field(default_factory=threading.Event)
    """The caches are complete and the parts run."""
    failure: str = ""

    def __post_init__(self) -> None:
        self.clock = SystemClock()
        self.callers = Callers(self.client, self.clock)
        self.tracer = tracer_of(self.configuration, self.name)
        self.runtime = self._runtime()
        self.parts = self.assemble(self.runtime, self.tracer)
        meter = HookMeter()
        webhook = self.configuration.webhook
        hooks = self.parts.webhooks.hooks
        self.hooks = hook_server(
            hooks if self.tracer is None else traced_hooks(hooks, self.tracer),
            webhook.host or "0.0.0.0",
            webhook.port,
            self.readiness,
            tls=endpoints.tls_policy(self.configuration.tls),
            meter=meter,
        )
        source = endpoints.webhook_certificate(self.configuration, self.client, self.clock, self.namespace)
        self.upkeep = Upkeep(self.hooks, source, self._registrar(), self._leads)
        self.exposition = Exposition(
            [*self.runtime.instruments(), *meter.instruments(), *self.parts.instruments, *self._gauges()]
        )

    def run(self) -> int:
        """Until SIGTERM, or until the Lease is lost; the exit code. Raises OSError where a port is taken."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: self.ended.set())
        servers = list(self._start_servers())
        threading.Thread(target=self._become_ready, name="start", daemon=True).start()
        self.ended.wait()
        self.started.clear()
        for server in servers:
            server.stop()
        self.parts.stop()
        self.runtime.stop()
        if self.tracer is not None:
            self.tracer.stop()
        return 1 if self.failure else 0

    def readiness(self) -> str:
        """Why this process is not ready; "" where it is."""
        if not self.started.is_set():
            missing = ", ".join(self.runtime.unsynced())
            return f"still listing {missing}" if missing else "still starting"
        return self.upkeep.problem or self.parts.problem()

    def _start_servers(self) -> Iterator[WebServer]:
        self.hooks.start()
        yield self.hooks
        self._spawn("webhooks", lambda: self.upkeep.run(self.ended))
        health = endpoints.health_server(self.configuration.health, self.readiness)
        if health is not None:
            health.start()
            yield health
        tls = self.configuration.tls
        metrics = endpoints.metrics_server(self.configuration.metrics, tls, self.exposition.text, self.callers)
        if metrics is not None:
            metrics.start()
            log.info("controller-runtime.metrics\tServing metrics server port=%d", metrics.port)  # looked for by tools
            yield metrics
            upkeep = Upkeep(metrics, endpoints.metrics_certificate(self.clock), None, self._leads)
            self._spawn("metrics-certificate", lambda: upkeep.run(self.ended))

    def _become_ready(self) -> None:
        self.runtime.start()
        try:
            self.parts.start()
        except OSError as problem:
            log.error("%s cannot start: %s", self.name, problem)
            self.failure = str(problem)
            self.ended.set()
            return
        self.started.set()

    def _runtime(self) -> ThreadedRuntime:
        election, identity = self.configuration.leader_election, _identity()
        lease = LeaseName(self.namespace, election.resource_name, identity) if election.leader_elect else None
        settings = RuntimeSettings(
            self.name, identity, lease, config.terms(election), reporter=REPORTERS.get(self.name, "")
        )
        runtime = (
            ThreadedRuntime(self.client, settings)
            if self.tracer is None
            else TracedRuntime(self.client, settings, self.tracer)
        )
        runtime.on_leadership(self._won, self._lost)
        return runtime

    def _won(self, epoch: int) -> None:
        log.info("%s leads epoch=%d", self.name, epoch)
        self.runtime.submit(self.parts.leading)

    def _lost(self) -> None:
        if not self.ended.is_set():
            log.error("%s lost its Lease and ends", self.name)
            self.runtime.stand_down()
            self.parts.lost()
            self.ended.set()

    def _leads(self) -> bool:
        """Whether this replica may register the webhooks: it leads, and what it would have called is there."""
        return self.started.is_set() and self.runtime.leads()

    def _registrar(self) -> Registrar | None:
        if not self.configuration.internal_cert_management.enable:
            return None
        webhooks = self.parts.webhooks
        return Registrar(self.client, webhooks.hooks, webhooks.names, self._connection)

    def _connection(self, authorities: bytes) -> Connection:
        url = self.configuration.webhook.url
        if url:
            return UrlConnection(url, authorities)
        service = self.configuration.internal_cert_management.webhook_service_name
        return ServiceConnection(self.namespace, service, authorities)

    def _gauges(self) -> tuple[Gauge, ...]:
        return (
            Gauge(families.READY, lambda: {(): float(not self.readiness())}),
            Gauge(families.CERTIFICATE_ENDS, lambda: {(): ends} if (ends := self.upkeep.ends) else {}),
        )

    def _spawn(self, name: str, target: Callable[[], None]) -> None:
        threading.Thread(target=target, name=name, daemon=True).start()


def _identity() -> str:
    """Unique to this process. A pod's name is unique enough, and lets its next container take the Lease over at once:
    the one before is dead."""
    return os.environ.get("POD_NAME") or f"{socket.gethostname()}_{uuid.uuid4()}"


def _log_to_stderr(level: str) -> None:
    logging.basicConfig(
        stream=sys.stderr, level=level.upper(), format="%(asctime)s %(levelname)s %(name)s %(message)s", force=True
    )
