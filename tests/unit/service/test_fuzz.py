"""Whatever bytes come, the answer is an answer or one sentence: never another exception, and no end of the process."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, cast

import msgspec
import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st

from lws_sched.admission.callers import Callers, Right, Verdict
from lws_sched.intake.documents import BadInput
from lws_sched.kube.port import Cluster
from lws_sched.service import frames
from lws_sched.service import placement_pb2 as pb
from lws_sched.service.answering import Known, answered
from lws_sched.service.calls import Calls
from lws_sched.service.desk import Desk
from lws_sched.service.frames import Admitted, Changes, Template
from lws_sched.service.refusal import Refusal
from lws_sched.service.watching import Hub
from lws_sched.sim.loop import SimClock
from lws_sched.sim.manifests import filler, rack_nodes
from lws_sched.sim.world import World
from tests.scenarios.manifests import lws
from tests.spoilt import EXAMPLES, spoilt

NAMES = st.from_regex(r"[a-z0-9.-]{1,8}", fullmatch=True)
SET = lws("llama", replicas=2, size=4).required().subgroups(2).leader().body
NODE, POD = rack_nodes(1, 1)[0], filler("filler", "rack-00-host-00")


def templates_alone(sets: tuple[Template, ...]) -> Admitted:
    return Admitted(tuple(() for _ in sets))


def known() -> Known:
    found = Known()
    encode = msgspec.msgpack.encode
    for kind, bodies in ((0, rack_nodes(2, 4)), (1, [POD])):
        objects = tuple(
            (body["metadata"]["name"], encode(msgspec.convert(body, frames.WATCHED[kind].type))) for body in bodies
        )
        found.learn(Changes(kind, objects))
    return found


KNOWN = known()


def ask(question: frames.Question) -> None:
    """Raises whatever is neither an answer nor a sentence."""
    said = "an answer"
    try:
        answered(question, KNOWN, templates_alone)
    except BadInput as problem:
        said = str(problem)
    assert said
    assert "\n" not in said


@pytest.mark.parametrize("moves", [False, True], ids=["plan", "defragment"])
@given(body=spoilt(SET))
@settings(max_examples=EXAMPLES, deadline=None)
def test_a_set_with_any_value_anywhere(moves: bool, body: Any) -> None:
    ask(frames.Plan(manifests=yaml.safe_dump(body), namespace="", cluster="", now=0.0, moves=moves))


@given(node=spoilt(NODE), pod=spoilt(POD))
@settings(max_examples=EXAMPLES, deadline=None)
def test_a_cluster_with_any_value_anywhere(node: Any, pod: Any) -> None:
    cluster = yaml.safe_dump_all([node, pod])
    ask(frames.Plan(manifests=yaml.safe_dump(SET), namespace="", cluster=cluster, now=0.0))


@given(text=st.text() | st.from_regex(r"[-?:,\[\]{}#&*!|>'\"%@` \n0a]{1,60}", fullmatch=True))
@settings(max_examples=EXAMPLES, deadline=None)
@example("a: &a [*a]")
@example("? {a: b}\n: c")
@example("kind: List\nitems: {}")
@example("!!python/object/apply:os.system ['true']")
def test_any_text_as_manifests_and_as_a_cluster(text: str) -> None:
    ask(frames.Plan(manifests=text, namespace="", cluster="", now=0.0))
    ask(frames.Plan(manifests=yaml.safe_dump(SET), namespace="", cluster=text or "-", now=0.0))


@given(namespace=NAMES, name=NAMES)
@settings(max_examples=EXAMPLES, deadline=None)
def test_any_name_to_explain(namespace: str, name: str) -> None:
    ask(frames.Explain(namespace=namespace, name=name, now=0.0))


# --- the decoders of the calls ---------------------------------------------------------------------------------------
@dataclass
class Someone:
    authorization: str = "Bearer token"

    def remaining(self) -> float:
        return 30.0

    def is_wanted(self) -> bool:
        return True

    def on_end(self, task: Callable[[], None]) -> None:
        task()

    def cut(self) -> None:
        raise AssertionError("not too slow")


class Everybody:
    def judge(self, authorization: str, *rights: Right) -> Verdict:
        return Verdict(HTTPStatus.OK)


class Here:
    """A desk whose questions are answered in this process."""

    def ask(self, question: frames.Question, admit: Any, patience: Any) -> bytes:
        try:
            return answered(question, KNOWN, admit)
        except BadInput as problem:
            raise Refusal("INVALID_ARGUMENT", str(problem)) from None


def calls() -> Calls:
    found: list[Calls] = []

    def build(runtime: Any) -> Any:
        hub = Hub(runtime.informer(frames.WATCHED[3]))
        found.append(Calls(runtime, cast(Callers, Everybody()), cast(Desk, Here()), hub))
        return type("Parts", (), {"hooks": ()})()

    world = World()
    world.start("service", build)
    world.settle()
    return found[0]


CALLS = calls()
MESSAGES = st.builds(
    lambda manifests, namespace: pb.PlanRequest(manifests=manifests, namespace=namespace).SerializeToString(),
    st.sampled_from([yaml.safe_dump(SET), ""]),
    st.text(max_size=5),
)


@pytest.mark.parametrize("method", ["plan", "explain", "defragment", "watch"])
@given(body=st.binary(max_size=200) | MESSAGES)
@settings(max_examples=EXAMPLES, deadline=None)
def test_any_bytes_as_a_request(method: str, body: bytes) -> None:
    code, said = "OK", ""
    try:
        answer = getattr(CALLS, method)(body, Someone())
        deque(answer)
    except Refusal as refusal:
        code, said = refusal.code, refusal.sentence
    assert code in ("OK", "INVALID_ARGUMENT", "NOT_FOUND", "UNAVAILABLE")
    assert "\n" not in said


@given(header=st.text(max_size=40) | st.binary(max_size=40).map(lambda each: each.decode("latin-1")))
@settings(max_examples=EXAMPLES, deadline=None)
def test_any_authorization_header(header: str) -> None:
    class NobodyKnown:
        def create(self, kind: Any, body: Any) -> Any:
            return kind.type()

    verdict = Callers(cast(Cluster, NobodyKnown()), SimClock()).judge(header)
    assert verdict.status == 401
