"""What-if on the page that the extender serves: asked of the planning processes, and refused in words."""

from __future__ import annotations

import threading
from http import HTTPStatus
from typing import Any, cast

import pytest

from lws_sched.cli.page_server import ANSWER_SECONDS, QUESTIONS, Planned
from lws_sched.intake.documents import BadInput
from lws_sched.service import placement_pb2 as pb
from lws_sched.service.calls import Asking, Calls
from lws_sched.service.refusal import Refusal
from lws_sched.sim.loop import SimClock
from lws_sched.web.question import LONGEST, Refused


class PlacementCalls:
    """Answers every manifest with one group that has a place; the manifest `no: <code>` with that refusal."""

    def __init__(self) -> None:
        self.asked: list[Asking] = []
        self.may_answer = threading.Event()
        self.may_answer.set()

    def plan(self, body: bytes, call: Asking) -> bytes:
        self.asked.append(call)
        self.may_answer.wait(5)
        text: str = pb.PlanRequest.FromString(body).manifests
        if text.startswith("no: "):
            raise Refusal(text.removeprefix("no: "), "this is why")
        answer = pb.Answer(name="llama-0", namespace="default", feasible=True, slots=[pb.Slot(pod="llama-0", node="n")])
        return bytes(pb.PlanResponse(groups=[answer], notes=["a note"]).SerializeToString())


def planned() -> tuple[Planned, PlacementCalls]:
    calls = PlacementCalls()
    return Planned(cast("Calls", calls), SimClock()), calls


def test_a_question_is_asked_as_the_one_who_looks_and_for_so_long() -> None:
    asker, calls = planned()

    answer: Any = asker.answer(b"kind: LeaderWorkerSet", "Bearer viewer")

    assert (answer["groups"][0]["name"], answer["groups"][0]["slots"]) == ("llama-0", [{"pod": "llama-0", "node": "n"}])
    assert answer["notes"] == ["a note"]
    [call] = calls.asked
    assert (call.authorization, call.remaining(), call.is_wanted()) == ("Bearer viewer", ANSWER_SECONDS, True)


@pytest.mark.parametrize(
    ("code", "status"),
    [
        ("PERMISSION_DENIED", HTTPStatus.FORBIDDEN),
        ("RESOURCE_EXHAUSTED", HTTPStatus.TOO_MANY_REQUESTS),
        ("DEADLINE_EXCEEDED", HTTPStatus.GATEWAY_TIMEOUT),
        ("UNAVAILABLE", HTTPStatus.SERVICE_UNAVAILABLE),
        ("INTERNAL", HTTPStatus.INTERNAL_SERVER_ERROR),
    ],
)
def test_a_refusal_keeps_its_sentence(code: str, status: HTTPStatus) -> None:
    with pytest.raises(Refused, match="this is why") as refused:
        planned()[0].answer(f"no: {code}".encode(), "")
    assert refused.value.status is status


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b"no: INVALID_ARGUMENT", "this is why"),
        (b"x" * (LONGEST + 1), "longer than 128 KiB"),
        (b"\xff", "is not text"),
    ],
)
def test_what_is_wrong_with_a_manifest_is_said(text: bytes, said: str) -> None:
    with pytest.raises(BadInput, match=said):
        planned()[0].answer(text, "")


def test_questions_leave_threads_to_those_who_look() -> None:
    asker, calls = planned()
    calls.may_answer.clear()
    waiting = [threading.Thread(target=lambda: asker.answer(b"x", "")) for _ in range(QUESTIONS)]
    for each in waiting:
        each.start()
    while len(calls.asked) < QUESTIONS:
        pass
    try:
        with pytest.raises(Refused, match="try again in a few seconds"):
            asker.answer(b"x", "")
    finally:
        calls.may_answer.set()
        for each in waiting:
            each.join()
    assert asker.answer(b"x", "")
