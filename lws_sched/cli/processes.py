"""The two processes: connect, build, serve, register the webhooks, run until told to stop.

The order matters. The webhook server answers before anything is registered with the API server, and `/readyz` says so
only after; informers are complete before the planner or a reconciler runs; losing the Lease ends the process, as
restarting is the one way to know that nothing of the old term is still under way.
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
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from lws_sched import __version__
from lws_sched.admission import certificates, registration
from lws_sched.admission.hook import Hook
from lws_sched.admission.registration import ConfigurationNames, ServiceConnection, UrlConnection
from lws_sched.admission.server import HookServer
from lws_sched.kube.client import Client
from lws_sched.kube.clock import SystemClock
from lws_sched.kube.config import ConfigError
from lws_sched.kube.errors import ApiError
from lws_sched.kube.lease import LeaseName
from lws_sched.kube.runtime import Settings as RuntimeSettings
from lws_sched.kube.runtime import ThreadedRuntime

log = logging.getLogger(__name__)

SWITCH_SECONDS = 0.0002
"""How long a busy thread keeps the interpreter when another wants it. The default of 5 ms is far more than a `filter`
call may take, and each call needs the interpreter several times."""
REGISTER_SECONDS = 30.0
"""How often the registration is written again; where nothing changed, the API server stores nothing."""
REGISTER_AGAIN_SECONDS = 2.0


@dataclass(frozen=True)
class Settings:
    """What both processes take from the command line."""

    kubeconfig: Path | None
    webhook_bind_address: str
    webhook_url: str
    namespace: str
    leader_elect: bool
    log_level: str


@dataclass(frozen=True)
class Webhooks:
    """How one process's hooks are registered."""

    hooks: Sequence[Hook]
    names: ConfigurationNames
    service: str


def run_controller(settings: Settings) -> int:
    """Run the controller until SIGTERM; the exit code."""
    from lws_sched.controller.app import Options, build

    def assemble(runtime: ThreadedRuntime) -> Parts:
        app = build(runtime, Options())
        return Parts(Webhooks(app.hooks, registration.CONTROLLER, "lws-webhook-service"))

    return _run(settings, "lws-controller", assemble)


def run_extender(settings: Settings, bind_address: str) -> int:
    """Run the extender until SIGTERM; the exit code."""
    from lws_sched.extender.app import build
    from lws_sched.extender.listener import Listener

    sys.setswitchinterval(SWITCH_SECONDS)

    def assemble(runtime: ThreadedRuntime) -> Parts:
        app = build(runtime)
        listener = Listener(app.verbs, *_address(bind_address))
        return Parts(
            Webhooks(app.hooks, registration.EXTENDER, "lws-sched-extender"),
            start=listener.start,
            stop=listener.stop,
            lost=lambda: app.verbs.refuse_everything("lws-sched: this replica no longer leads"),
        )

    return _run(settings, "lws-extender", assemble)


def _nothing() -> None:
    return


@dataclass(frozen=True)
class Parts:
    """What a process has besides its runtime."""

    webhooks: Webhooks
    start: Callable[[], None] = _nothing
    stop: Callable[[], None] = _nothing
    lost: Callable[[], None] = _nothing
    """Called when the Lease is lost, before the process ends."""


def _run(settings: Settings, name: str, assemble: Callable[[ThreadedRuntime], Parts]) -> int:
    _log_to_stderr(settings.log_level)
    # Thousands of decoded objects live long and hold no cycles: looking through them over and over finds nothing.
    gc.set_threshold(50_000, 50, 100)
    try:
        client = Client.connect(f"{name}/{__version__}", str(settings.kubeconfig) if settings.kubeconfig else None)
        return _serve(settings, name, client, assemble)
    except (ConfigError, OSError) as problem:
        log.error("%s cannot start: %s", name, problem)
        return 1


def _serve(settings: Settings, name: str, client: Client, assemble: Callable[[ThreadedRuntime], Parts]) -> int:
    ended, ready, failed = threading.Event(), threading.Event(), threading.Event()
    identity = _identity()
    lease = LeaseName(settings.namespace, f"{name}.lws-sched.io", identity) if settings.leader_elect else None
    runtime = ThreadedRuntime(client, RuntimeSettings(name, identity, lease))
    parts = assemble(runtime)
    certificate = certificates.issue(_served_names(settings, parts.webhooks), SystemClock().now())
    server = HookServer(parts.webhooks.hooks, *_address(settings.webhook_bind_address), certificate, ready.is_set)

    def lost() -> None:
        if not ended.is_set():
            log.error("%s lost its Lease and ends", name)
            parts.lost()
            ended.set()

    runtime.on_leadership(lambda epoch: log.info("%s leads epoch=%d", name, epoch), lost)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())
    server.start()

    def become_ready() -> None:
        runtime.start()
        try:
            parts.start()
        except OSError as problem:
            log.error("%s cannot start: %s", name, problem)
            failed.set()
            ended.set()
            return
        _register(settings, client, name, parts.webhooks, certificate, ended)
        ready.set()
        log.info("%s is ready", name)
        # Somebody may delete or edit the configuration: without it, members would be created unseen.
        while not ended.wait(REGISTER_SECONDS):
            _register(settings, client, name, parts.webhooks, certificate, ended)

    threading.Thread(target=become_ready, name="start", daemon=True).start()
    ended.wait()
    ready.clear()
    server.stop()
    parts.stop()
    runtime.stop()
    return 1 if failed.is_set() else 0


def _register(
    settings: Settings,
    client: Client,
    name: str,
    webhooks: Webhooks,
    certificate: certificates.Certificate,
    ended: threading.Event,
) -> None:
    """Tell the API server where the webhooks are and whom to trust, as often as it takes."""
    connection: registration.Connection = (
        UrlConnection(settings.webhook_url, certificate.authority)
        if settings.webhook_url
        else ServiceConnection(settings.namespace, webhooks.service, certificate.authority)
    )
    while not ended.is_set():
        try:
            registration.register(client, webhooks.hooks, webhooks.names, connection, manager=name)
            return
        except ApiError as error:
            log.warning("the webhooks are not registered yet: %s", error)
            ended.wait(REGISTER_AGAIN_SECONDS)


def _served_names(settings: Settings, webhooks: Webhooks) -> tuple[str, ...]:
    """The names that the serving certificate must be good for."""
    if settings.webhook_url:
        return (urlsplit(settings.webhook_url).hostname or "localhost",)
    return (f"{webhooks.service}.{settings.namespace}.svc",)


def _identity() -> str:
    """Unique to this process. A pod's name is unique enough, and lets its next container take the Lease over at once:
    the one before is dead."""
    return os.environ.get("POD_NAME") or f"{socket.gethostname()}_{uuid.uuid4()}"


def _address(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    if not port.isdigit():
        raise OSError(f"{text!r} is not an address such as 0.0.0.0:9443")
    return host.strip("[]"), int(port)


def _log_to_stderr(level: str) -> None:
    logging.basicConfig(
        stream=sys.stderr, level=level.upper(), format="%(asctime)s %(levelname)s %(name)s %(message)s", force=True
    )
