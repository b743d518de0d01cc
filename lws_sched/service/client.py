"""A client of the placement service that speaks in the intake's terms. What it cannot get is a `Refusal`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import grpc

from lws_sched.intake.answers import Answer
from lws_sched.intake.explaining import Explained
from lws_sched.service import placement_pb2 as pb
from lws_sched.service.limits import MESSAGE_BYTES
from lws_sched.service.placement_pb2_grpc import PlacementStub
from lws_sched.service.refusal import Refusal
from lws_sched.service.translation import answer_of, explained, plan_of

if TYPE_CHECKING:
    from lws_sched.intake.defrag import Plan

SECONDS = 60.0
"""How long an answer is waited for."""


@dataclass(frozen=True)
class PlacementClient:
    """Opens a connection per question. `server_name` is whom the certificate must be of; "" for the address's host."""

    address: str
    authorities: bytes
    server_name: str
    token: str

    def plan(self, manifests: str, namespace: str) -> tuple[tuple[Answer, ...], tuple[str, ...]]:
        """The answers, and what to know about them."""
        request = pb.PlanRequest(manifests=manifests, namespace=namespace)
        response = self._asked(lambda stub: stub.Plan, request)
        return tuple(map(answer_of, response.groups)), tuple(response.notes)

    def explain(self, namespace: str, name: str) -> tuple[str, tuple[Explained, ...]]:
        """The set, as `namespace/name`, and its groups."""
        response = self._asked(lambda stub: stub.Explain, pb.ExplainRequest(namespace=namespace, name=name))
        set_name = response.set.partition("/")[2]
        return str(response.set), tuple(explained(group, set_name) for group in response.groups)

    def defragment(self, manifests: str, namespace: str) -> tuple[tuple[Plan, ...], tuple[str, ...]]:
        """The moves, and what to know about them."""
        request = pb.DefragmentRequest(manifests=manifests, namespace=namespace)
        response = self._asked(lambda stub: stub.Defragment, request)
        return tuple(map(plan_of, response.groups)), tuple(response.notes)

    def _asked(self, call: Callable[[PlacementStub], Any], request: Any) -> Any:
        options: list[tuple[str, Any]] = [("grpc.max_receive_message_length", MESSAGE_BYTES)]
        if self.server_name:
            options.append(("grpc.ssl_target_name_override", self.server_name))
        credentials = grpc.ssl_channel_credentials(self.authorities)
        metadata = (("authorization", f"Bearer {self.token}"),)
        with grpc.secure_channel(self.address, credentials, options) as channel:
            try:
                return call(PlacementStub(channel))(request, timeout=SECONDS, metadata=metadata)
            except grpc.RpcError as error:
                raise Refusal(error.code().name, str(error.details())) from None
