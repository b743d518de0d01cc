"""The four calls of placement.proto, as functions of bytes and a caller: who may ask, what for, and what is refused."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Protocol, TypeVar

import msgspec
from google.protobuf.message import DecodeError

from lws_sched.admission.callers import Callers, Right, on_resource
from lws_sched.api.core import POD
from lws_sched.api.lws import LEADER_WORKER_SET
from lws_sched.api.placement import GROUP_PLACEMENT, GroupPlacement
from lws_sched.kube.errors import ApiError, Forbidden, Invalid, NotFound
from lws_sched.kube.port import Runtime
from lws_sched.service import frames
from lws_sched.service import placement_pb2 as pb
from lws_sched.service.desk import Desk, Patience
from lws_sched.service.frames import Admitted, Template
from lws_sched.service.refusal import Refusal
from lws_sched.service.watching import Hub

M = TypeVar("M")
ROLE = "lws-sched-view"
WATCH_SECONDS = 1800.0
"""How long a watch without an end of its own goes on: then its caller is judged anew."""
CUT_SECONDS = 10.0
"""How long a watcher that is too slow is given to hear that."""
_NAME = re.compile(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?")

_STATUS = {
    HTTPStatus.UNAUTHORIZED: "UNAUTHENTICATED",
    HTTPStatus.FORBIDDEN: "PERMISSION_DENIED",
    HTTPStatus.SERVICE_UNAVAILABLE: "UNAVAILABLE",
}


class Asking(Patience, Protocol):
    """Somebody who waits for one answer."""

    @property
    def authorization(self) -> str:
        """The Authorization header, "" where there is none."""


class Call(Asking, Protocol):
    """One call under way."""

    def on_end(self, task: Callable[[], None]) -> None:
        """Have a task called when the call ends, by whomever."""

    def cut(self) -> None:
        """End the call at once, though its caller may then not learn why."""


@dataclass(frozen=True)
class Calls:
    """Each method raises Refusal."""

    runtime: Runtime
    callers: Callers
    desk: Desk
    hub: Hub

    def plan(self, body: bytes, call: Asking) -> bytes:
        self._known(call)
        request: pb.PlanRequest = _parsed(pb.PlanRequest, body)
        _check_name("namespace", request.namespace or "default")
        question = frames.Plan(request.manifests, request.namespace, request.cluster, self.runtime.clock.now())

        def admit(sets: tuple[Template, ...]) -> Admitted:
            namespaces = sorted({each.namespace for each in sets})
            self._may(call, *(on_resource("get", GROUP_PLACEMENT, each, ROLE) for each in namespaces))
            return self._admitted(sets, call)

        return self.desk.ask(question, admit, call)

    def defragment(self, body: bytes, call: Asking) -> bytes:
        self._may(call, on_resource("list", GROUP_PLACEMENT, role=ROLE))
        request: pb.DefragmentRequest = _parsed(pb.DefragmentRequest, body)
        _check_name("namespace", request.namespace or "default")
        now = self.runtime.clock.now()
        question = frames.Plan(request.manifests, request.namespace, request.cluster, now, moves=True)
        return self.desk.ask(question, lambda sets: self._admitted(sets, call), call)

    def explain(self, body: bytes, call: Asking) -> bytes:
        self._known(call)
        request: pb.ExplainRequest = _parsed(pb.ExplainRequest, body)
        _check_name("namespace", request.namespace or "default")
        _check_name("name", request.name)
        self._may(call, on_resource("get", GROUP_PLACEMENT, request.namespace, ROLE))
        question = frames.Explain(request.namespace, request.name, self.runtime.clock.now())
        # The sets exist: what admission makes of their pods is no news to anybody.
        return self.desk.ask(question, lambda sets: self._dry_run(sets, call), call)

    def watch(self, body: bytes, call: Call) -> Iterator[pb.PlacementEvent]:
        self._known(call)
        request: pb.WatchPlacementsRequest = _parsed(pb.WatchPlacementsRequest, body)
        _check_name("namespace", request.namespace or "default")
        _check_name("leader_worker_set", request.leader_worker_set or "any")
        self._may(call, on_resource("watch", GROUP_PLACEMENT, request.namespace, ROLE))
        namespace, name = request.namespace, request.leader_worker_set

        def selected(record: GroupPlacement) -> bool:
            is_there = namespace in ("", record.metadata.namespace)
            return is_there and name in ("", record.spec.leader_worker_set)

        # The reason waits behind what was sent before, which a client that stands still may never take.
        watch = self.hub.watch(selected, lambda: self.runtime.call_later(CUT_SECONDS, call.cut))
        call.on_end(lambda: self.hub.leave(watch))
        end = self.runtime.clock.monotonic() + WATCH_SECONDS
        try:
            yield from watch.events(lambda: end - self.runtime.clock.monotonic())
        finally:
            self.hub.leave(watch)

    # --- who may -----------------------------------------------------------------------------------------------------

    def _known(self, call: Asking) -> None:
        """Before anything is read: is it a user at all?"""
        self._may(call)

    def _may(self, call: Asking, *rights: Right) -> None:
        verdict = self.callers.judge(call.authorization, *rights)
        if verdict.status is not HTTPStatus.OK:
            raise Refusal(_STATUS[verdict.status], verdict.sentence)

    # --- what admission makes of pods --------------------------------------------------------------------------------

    def _admitted(self, sets: tuple[Template, ...], call: Asking) -> Admitted:
        """Asked only for those who may make such sets: for others we would be asking what they may not know."""
        allowed: dict[str, bool] = {}
        for each in sets:
            if each.namespace not in allowed:
                right = on_resource("create", LEADER_WORKER_SET, each.namespace)
                allowed[each.namespace] = self.callers.judge(call.authorization, right).status is HTTPStatus.OK
        asked = self._dry_run([each if allowed[each.namespace] else _without_pods(each) for each in sets], call)
        notes = [
            f"the templates of {each.name} are taken as they are: you may not create such sets in {each.namespace}"
            for each in sets
            if each.pods and not allowed[each.namespace]
        ]
        return Admitted(asked.specs, (*asked.notes, *notes))

    def _dry_run(self, sets: tuple[Template, ...] | list[Template], call: Asking) -> Admitted:
        found = [self._specs(each, call) for each in sets]
        return Admitted(tuple(specs for specs, _ in found), tuple(note for _, note in found if note))

    def _specs(self, template: Template, call: Asking) -> tuple[tuple[bytes, ...], str]:
        specs = []
        for pod in template.pods:
            if call.remaining() <= 0 or not call.is_wanted():
                raise Refusal("DEADLINE_EXCEEDED", "the answer was not ready in time: allow more")
            try:
                spec = self.runtime.cluster.create(POD, msgspec.json.decode(pod), dry_run=True).spec
            except (Invalid, Forbidden, NotFound) as error:
                return (), f"the templates of {template.name} are taken as they are: {error}"
            except ApiError as error:
                raise Refusal("UNAVAILABLE", f"the API server could not be asked about the pods: {error}") from None
            specs.append(msgspec.msgpack.encode(spec))
        return tuple(specs), ""


def _check_name(field: str, name: str) -> None:
    if not _NAME.fullmatch(name):
        raise Refusal("INVALID_ARGUMENT", f"{field} is no name of an object: give one as kubectl prints it")


def _without_pods(template: Template) -> Template:
    return Template(template.namespace, template.name, ())


def _parsed(kind: Callable[[], Any], body: bytes) -> Any:
    message = kind()
    try:
        message.ParseFromString(body)
    except DecodeError:
        name = message.DESCRIPTOR.full_name
        raise Refusal("INVALID_ARGUMENT", f"the request is no {name}: see placement.proto") from None
    return message
