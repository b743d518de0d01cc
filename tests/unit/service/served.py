"""The placement service on a simulated cluster: the real server on a real port, with real planning processes."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, cast

import grpc
import pytest

from lws_sched.admission import certificates
from lws_sched.admission.callers import Callers
from lws_sched.api.access import (
    TOKEN_REVIEW,
    AccessReviewStatus,
    ReviewedUser,
    SubjectAccessReview,
    TokenReview,
    TokenReviewStatus,
)
from lws_sched.api.meta import Kind
from lws_sched.api.placement import GROUP_PLACEMENT
from lws_sched.controller import app as controller
from lws_sched.extender import app as extender
from lws_sched.kube.clock import SystemClock
from lws_sched.kube.port import Cluster, Runtime
from lws_sched.service.calls import Calls
from lws_sched.service.desk import COMMAND, Desk
from lws_sched.service.feed import Feed
from lws_sched.service.placement_pb2_grpc import PlacementStub
from lws_sched.service.server import CallMeter, PlacementServer
from lws_sched.service.watching import Hub
from lws_sched.sim.loop import SimClock
from lws_sched.sim.manifests import ACCELERATOR
from lws_sched.sim.world import World

NAME = "lws-sched-extender.lws-system.svc"
ADMIN, VIEWER, NOBODY = "admin", "viewer", "nobody"


@dataclass
class Cast:
    """An API server's authorizer: admin may do everything, viewer look into the namespace `team`, nobody nothing."""

    asked: list[Any] = field(default_factory=list)

    def create(self, kind: Kind[Any], body: dict[str, Any]) -> Any:
        spec = body["spec"]
        self.asked.append(spec)
        if kind is TOKEN_REVIEW:
            is_known = spec["token"] in (ADMIN, VIEWER, NOBODY)
            user = ReviewedUser(username=spec["token"])
            return TokenReview(status=TokenReviewStatus(authenticated=is_known, user=user))
        attributes = spec["resourceAttributes"]
        is_look = attributes["resource"] == "groupplacements" and attributes["namespace"] == "team"
        is_allowed = spec["user"] == ADMIN or (spec["user"] == VIEWER and is_look)
        return SubjectAccessReview(status=AccessReviewStatus(allowed=is_allowed))


@dataclass
class Parts:
    """What a component of the simulated world needs to have: no hooks."""

    calls: Calls
    hooks: tuple[()] = ()


@dataclass
class Served:
    world: World
    server: PlacementServer
    calls: Calls
    meter: CallMeter
    authority: bytes

    def channel(self, authority: bytes | None = None) -> grpc.Channel:
        credentials = grpc.ssl_channel_credentials(authority or self.authority)
        options = (("grpc.ssl_target_name_override", NAME),)
        return grpc.secure_channel(f"127.0.0.1:{self.server.port}", credentials, options)

    def call(self, method: str, request: Any, token: str = ADMIN, timeout: float = 60.0) -> Any:
        metadata = [("authorization", f"Bearer {token}")] if token else []
        with self.channel() as channel:
            return getattr(PlacementStub(channel), method)(request, timeout=timeout, metadata=metadata)

    def refusal(self, method: str, request: Any, token: str = ADMIN, timeout: float = 60.0) -> tuple[str, str]:
        """The status and the sentence with which a call fails."""
        metadata = [("authorization", f"Bearer {token}")] if token else []
        with self.channel() as channel:
            call = getattr(PlacementStub(channel), method)
            with pytest.raises(grpc.RpcError) as raised:  # noqa: PT012 - of a stream only reading it fails
                answer = call(request, timeout=timeout, metadata=metadata)
                if method == "WatchPlacements":
                    deque(answer)
        return raised.value.code().name, str(raised.value.details())


@contextmanager
def serving(command: tuple[str, ...] = COMMAND, processes: int = 2) -> Iterator[Served]:
    world = World(seed=1)
    callers = Callers(cast("Cluster", Cast()), SimClock())

    def build(runtime: Runtime) -> Parts:
        desk = Desk(Feed(runtime), processes, command)
        hub = Hub(runtime.informer(GROUP_PLACEMENT))
        return Parts(Calls(runtime, callers, desk, hub))

    world.start("controller", lambda runtime: controller.build(runtime, controller.Options()))
    world.start("extender", lambda runtime: extender.build(runtime, extender.Options(patience=0)))
    parts = world.start("service", build)
    world.connect_extender("extender", [ACCELERATOR])
    world.settle()
    clock = SystemClock()
    meter = CallMeter(clock)
    server = PlacementServer(parts.calls, "127.0.0.1", 0, meter, clock)
    certificate = certificates.issue([NAME], clock.now())
    server.use(certificate)
    server.start()
    try:
        yield Served(world, server, parts.calls, meter, certificate.authority)
    finally:
        server.stop()
