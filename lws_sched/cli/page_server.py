"""The page inside the extender's process: where it is served, with which certificate, and who answers what-if.

Questions go to the planning processes of the placement service: nothing that a person pastes is read or planned in the
process that answers kube-scheduler.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

from lws_sched.admission.callers import Callers
from lws_sched.admission.server import Upkeep
from lws_sched.admission.web import WebServer
from lws_sched.cli import endpoints
from lws_sched.cli.config import ExtenderConfiguration, address
from lws_sched.intake.answers import answers_json
from lws_sched.intake.documents import BadInput
from lws_sched.kube.port import Clock
from lws_sched.kube.runtime import ThreadedRuntime
from lws_sched.service import placement_pb2 as pb
from lws_sched.service.calls import Calls
from lws_sched.service.refusal import Refusal
from lws_sched.service.translation import answer_of
from lws_sched.telemetry.counts import Instrument
from lws_sched.web.doors import TokenDoor
from lws_sched.web.leadership import UNKNOWN, Leader, Leadership
from lws_sched.web.page import Page, Surroundings
from lws_sched.web.question import CALLED, LONGEST, Refused
from lws_sched.web.site import site
from lws_sched.web.sources import sources

THREADS = 8
QUESTIONS = 3
"""What-ifs that wait for their answer at most: the other threads are for those who look."""
ANSWER_SECONDS = 30.0
STATUSES = {
    "PERMISSION_DENIED": HTTPStatus.FORBIDDEN,
    "UNAUTHENTICATED": HTTPStatus.UNAUTHORIZED,
    "RESOURCE_EXHAUSTED": HTTPStatus.TOO_MANY_REQUESTS,
    "DEADLINE_EXCEEDED": HTTPStatus.GATEWAY_TIMEOUT,
    "UNAVAILABLE": HTTPStatus.SERVICE_UNAVAILABLE,
}


@dataclass
class PageServer:
    """The server, and the thread that looks after its certificate."""

    server: WebServer
    upkeep: Upkeep
    calls: Calls
    _stopped: threading.Event = field(default_factory=threading.Event)

    def start(self) -> None:
        """Raises OSError where the port is taken."""
        self.upkeep.look()
        self.server.start()
        threading.Thread(target=self.upkeep.run, args=(self._stopped,), name="page-certificate", daemon=True).start()

    def stop(self) -> None:
        self._stopped.set()
        self.server.stop()
        self.calls.desk.stop()

    def instruments(self) -> tuple[Instrument, ...]:
        return ()


def page_server(
    configuration: ExtenderConfiguration, runtime: ThreadedRuntime, namespace: str, calls: Calls
) -> PageServer | None:
    """Not started yet; None where it is turned off. To be called before the runtime starts."""
    where = address(configuration.page.bind_address)
    if where is None:
        return None
    around = Surroundings(Planned(calls, runtime.clock), _leader(runtime), runtime.unsynced)
    page = Page(sources(runtime), runtime.clock, around)
    app = site(page, TokenDoor(Callers(runtime.cluster, runtime.clock)))
    server = WebServer(app, *where, threads=THREADS, tls=endpoints.tls_policy(configuration.tls))
    source = endpoints.webhook_certificate(configuration, runtime.cluster, runtime.clock, namespace)
    upkeep = Upkeep(server, source, None, runtime.leads, what="the certificate of the page")
    return PageServer(server, upkeep, calls)


def _leader(runtime: ThreadedRuntime) -> Callable[[], Leader]:
    lease = runtime.settings.lease
    if lease is None:
        return lambda: Leader(UNKNOWN)
    return Leadership(runtime.cluster, runtime.clock, runtime.submit, lease.namespace, lease.name).leader


@dataclass(frozen=True)
class Planned:
    """`question.Asker`: asks as the caller of the placement service that whoever looks at the page is."""

    calls: Calls
    clock: Clock
    turns: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(QUESTIONS))

    def answer(self, text: bytes, authorization: str) -> dict[str, Any]:
        if not self.turns.acquire(blocking=False):
            sentence = "others wait for the answers to their what-ifs; try again in a few seconds"
            raise Refused(HTTPStatus.TOO_MANY_REQUESTS, sentence)
        try:
            return self._answer(text, authorization)
        finally:
            self.turns.release()

    def _answer(self, text: bytes, authorization: str) -> dict[str, Any]:
        if len(text) > LONGEST:
            raise BadInput(f"{CALLED} is longer than {LONGEST // 1024} KiB: give fewer sets at once")
        try:
            manifests = text.decode()
        except UnicodeDecodeError as problem:
            raise BadInput(f"{CALLED} is not text (byte {problem.start} is not UTF-8)") from None
        call = _Asking(authorization, self.clock, self.clock.monotonic() + ANSWER_SECONDS)
        try:
            body = self.calls.plan(pb.PlanRequest(manifests=manifests).SerializeToString(), call)
        except Refusal as refusal:
            if refusal.code == "INVALID_ARGUMENT":
                raise BadInput(refusal.sentence) from None
            status = STATUSES.get(refusal.code, HTTPStatus.INTERNAL_SERVER_ERROR)
            raise Refused(status, refusal.sentence) from None
        response: pb.PlanResponse = pb.PlanResponse.FromString(body)
        return {"groups": answers_json([*map(answer_of, response.groups)]), "notes": [*response.notes]}


@dataclass(frozen=True)
class _Asking:
    """`service.calls.Asking` of a request to the page: nobody tells whether the browser still waits."""

    authorization: str
    clock: Clock
    end: float

    def remaining(self) -> float:
        return self.end - self.clock.monotonic()

    def is_wanted(self) -> bool:
        return True
