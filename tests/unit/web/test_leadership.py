"""Who leads, as the page tells."""

from __future__ import annotations

from typing import Any, cast

from lws_sched.api.core import Lease, LeaseSpec
from lws_sched.api.meta import Meta
from lws_sched.api.timestamps import micro_time
from lws_sched.kube.errors import ApiError, Forbidden, NotFound, Unavailable
from lws_sched.kube.port import Cluster
from lws_sched.sim.loop import SimClock
from lws_sched.web.leadership import LOOK_SECONDS, Leader, Leadership


class ApiServer:
    """Holds a Lease, or answers with a problem."""

    def __init__(self, answer: LeaseSpec | ApiError) -> None:
        self.answer = answer
        self.asked = 0

    def get(self, kind: Any, namespace: str, name: str) -> Lease:
        self.asked += 1
        if isinstance(self.answer, ApiError):
            raise self.answer
        return Lease(metadata=Meta(name=name, namespace=namespace), spec=self.answer)


def leadership(answer: LeaseSpec | ApiError) -> tuple[Leadership, ApiServer, SimClock]:
    server, clock = ApiServer(answer), SimClock()
    return Leadership(cast("Cluster", server), clock, lambda task: task(), "lws-system", "lws-extender"), server, clock


def held(clock: SimClock, ago: float) -> LeaseSpec:
    return LeaseSpec(holder_identity="a", lease_duration_seconds=15, renew_time=micro_time(clock.now() - ago))


def test_the_holder_of_a_lease_that_is_renewed_leads() -> None:
    assert leadership(held(SimClock(), ago=3))[0].leader() == Leader("leads", "a")


def test_nobody_leads_once_the_lease_has_run_out_or_was_given_back_or_never_was() -> None:
    for answer in (held(SimClock(), ago=60), LeaseSpec(lease_duration_seconds=15), NotFound("there is none")):
        assert leadership(answer)[0].leader() == Leader("nobody")


def test_who_may_not_read_the_lease_is_not_alarmed() -> None:
    for answer in (Forbidden("no"), Unavailable("no answer")):
        assert leadership(answer)[0].leader() == Leader("unknown")


def test_the_lease_is_read_now_and_then_however_many_look() -> None:
    found, server, clock = leadership(held(SimClock(), ago=0))
    for _ in range(10):
        found.leader()
    assert server.asked == 1

    clock.elapsed += LOOK_SECONDS
    server.answer = NotFound("gone")
    assert (found.leader(), server.asked) == (Leader("nobody"), 2)
