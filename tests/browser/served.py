"""The page on loopback, over a cluster that a test changes under it or that stays as it is."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from typing import cast

from lws_sched.admission import certificates
from lws_sched.admission.callers import Callers, Right, Verdict
from lws_sched.admission.web import TlsPolicy, WebServer
from lws_sched.intake.cluster import Cluster
from lws_sched.intake.shapes import template_shapes
from lws_sched.kube.clock import SystemClock
from lws_sched.placement import LEVELS
from lws_sched.web.doors import Door, KeyDoor, TokenDoor
from lws_sched.web.leadership import Leader
from lws_sched.web.page import Page, Surroundings
from lws_sched.web.question import Questions
from lws_sched.web.site import site
from lws_sched.web.sources import still
from tests.controlplane.ports import LOCALHOST, free_port

KEY = "key"
TOKEN = "viewer"


@dataclass
class Judge:
    """Lets one token in."""

    def judge(self, authorization: str, *rights: Right) -> Verdict:
        if authorization == f"Bearer {TOKEN}":
            return Verdict(HTTPStatus.OK, TOKEN)
        return Verdict(HTTPStatus.UNAUTHORIZED, sentence="send the token")


@contextmanager
def served(page: Page, port: int = 0) -> Iterator[str]:
    """As `lws-sched page` serves it; the address with the key."""
    port = port or free_port()
    with _running(page, KeyDoor(KEY, port), port, None):
        yield f"http://{LOCALHOST}:{port}/?key={KEY}"


@contextmanager
def served_with_token(page: Page) -> Iterator[str]:
    """As the extender serves it."""
    port = free_port()
    with _running(page, TokenDoor(cast("Callers", Judge())), port, TlsPolicy()):
        yield f"https://{LOCALHOST}:{port}/"


@contextmanager
def _running(page: Page, door: Door, port: int, tls: TlsPolicy | None) -> Iterator[None]:
    server = WebServer(site(page, door), LOCALHOST, port, threads=8, tls=tls)
    if tls is not None:
        server.use(certificates.issue([LOCALHOST], time.time()))
    server.start()
    try:
        yield
    finally:
        server.stop()


def page_of(cluster: Cluster) -> Page:
    clock = SystemClock()
    questions = Questions(lambda: cluster, lambda known, lws: (template_shapes(known, lws), ""), clock.now)
    leader = Leader("leads", "lws-sched-extender-7d9c8-x2x4p")
    return Page(still(cluster), clock, Surroundings(questions, lambda: leader, levels=LEVELS))
