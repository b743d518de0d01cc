"""`lws-sched page`: the page on this machine, with the rights of who starts it, until Ctrl-C.

It listens on loopback only, and answers only to who has the key in the address that it prints.
"""

from __future__ import annotations

import secrets
import signal
import socket
import threading
import webbrowser
from collections.abc import Mapping
from typing import Any

from lws_sched.admission.web import WebServer
from lws_sched.api.topology import TOPOLOGY
from lws_sched.cli.output import Exit, fail, say
from lws_sched.cli.source import FileCluster, LiveCluster, Source, speaking
from lws_sched.intake.cluster import levels_of
from lws_sched.intake.shapes import template_shapes
from lws_sched.kube.admitted import admitted_shapes
from lws_sched.kube.clock import SystemClock
from lws_sched.kube.errors import ApiError
from lws_sched.kube.runtime import Settings, ThreadedRuntime
from lws_sched.placement import LEVELS, Level
from lws_sched.web.doors import KeyDoor
from lws_sched.web.leadership import Leadership
from lws_sched.web.page import Page, Surroundings
from lws_sched.web.question import Questions
from lws_sched.web.site import site
from lws_sched.web.sources import cluster_of, sources, still

HOST = "127.0.0.1"
THREADS = 8
LEASE = "lws-extender.lws-sched.io"
KEY_BYTES = 24


def run(source: Mapping[str, Any], namespace: str, port: int, *, should_open: bool) -> Exit:
    with speaking():
        opened = Source(**source).open()
        page, runtime = _still(opened) if isinstance(opened, FileCluster) else _live(opened, namespace)
    server, address = _serve(page, port)
    print(address, flush=True)
    say("the page is served to this machine alone, with your rights, until Ctrl-C")
    if runtime is not None:
        threading.Thread(target=runtime.start, name="start", daemon=True).start()
    if should_open:
        webbrowser.open(address)
    _until_told()
    server.stop()
    if runtime is not None:
        runtime.stop()
    return Exit.OK


def _still(opened: FileCluster) -> tuple[Page, None]:
    """Raises BadInput."""
    cluster = opened.read()
    levels = cluster.levels or levels_of(cluster.topologies) or LEVELS
    clock = SystemClock()
    questions = Questions(lambda: cluster, lambda known, lws: (template_shapes(known, lws), ""), clock.now)
    return Page(still(cluster), clock, Surroundings(questions, levels=levels)), None


def _live(opened: LiveCluster, namespace: str) -> tuple[Page, ThreadedRuntime]:
    runtime = ThreadedRuntime(opened.client, Settings("lws-sched-page", socket.gethostname()))
    leadership = Leadership(runtime.cluster, runtime.clock, runtime.submit, namespace, LEASE)
    found, levels = sources(runtime), opened.levels or _levels(opened)
    questions = Questions(
        lambda: cluster_of(found, levels),
        lambda known, lws: admitted_shapes(opened.client, known, lws),
        runtime.clock.now,
    )
    around = Surroundings(questions, leadership.leader, runtime.unsynced, levels)
    return Page(found, runtime.clock, around), runtime


def _levels(opened: LiveCluster) -> tuple[Level, ...]:
    """As Topology objects say, if the cluster has any and we may read them."""
    try:
        return levels_of(opened.client.list(TOPOLOGY)) or LEVELS
    except ApiError:
        return LEVELS


def _serve(page: Page, port: int) -> tuple[WebServer, str]:
    """The server, accepting connections, and the address to open."""
    key = secrets.token_urlsafe(KEY_BYTES)
    port = port or _free_port()
    server = WebServer(site(page, KeyDoor(key, port)), HOST, port, threads=THREADS)
    try:
        server.start()
    except OSError:
        fail(f"port {port} cannot be used, perhaps another program has it: choose another with --port", Exit.FAILED)
    return server, f"http://{HOST}:{port}/?key={key}"


def _free_port() -> int:
    with socket.create_server((HOST, 0)) as probe:
        return int(probe.getsockname()[1])


def _until_told() -> None:
    """Until Ctrl-C or SIGTERM."""
    told = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: told.set())
    told.wait()
