"""What-if: what is answered, what is refused, and how much it may cost."""

from __future__ import annotations

import threading
from typing import Any

import pytest
import yaml

from lws_sched.intake.cluster import Cluster
from lws_sched.intake.documents import BadInput
from lws_sched.intake.shapes import template_shapes
from lws_sched.web import question
from lws_sched.web.question import Questions, Refused
from tests.scenarios.manifests import LeaderWorkerSet
from tests.unit.web.stage import Stage, a_set


def text(*sets: LeaderWorkerSet) -> bytes:
    return yaml.safe_dump_all([each.body for each in sets]).encode()


def asked(stage: Stage, *sets: LeaderWorkerSet) -> Any:
    return stage.page.questions.answer(text(*sets), "")


def test_each_group_is_told_where_it_would_go_or_why_not_and_what_would_help() -> None:
    stage = Stage().racks(1, 3)

    answer = asked(stage, a_set("small", size=2), a_set("large", size=4))

    small, large = answer["groups"]
    assert (small["feasible"], small["domain"]["value"], len(small["slots"])) == (True, "rack-00", 2)
    assert (large["feasible"], large["slots"]) == (False, [])
    assert "holds 3 even when empty" in large["reason"]
    assert "add hosts to rack-00" in large["fix"]


def test_what_stands_and_what_is_held_counts_as_taken() -> None:
    stage = Stage().racks(1, 3).taken("rack-00-host-00").recorded("other-0", ("rack-00-host-01",))

    [group] = asked(stage, a_set(size=2))["groups"]
    assert group["feasible"] is False


def test_a_set_that_is_not_ours_is_planned_as_if_it_were_and_that_is_said() -> None:
    answer = asked(Stage().racks(1, 3), a_set().on_default_scheduler())

    assert answer["groups"][0]["feasible"] is True
    assert "is not on the scheduler lws-sched" in answer["notes"][0]


@pytest.mark.parametrize(
    ("manifest", "said"),
    [
        (b"", "is empty"),
        (b"a: [", "this is not YAML"),
        (b"kind: Pod\napiVersion: v1", "has no LeaderWorkerSet"),
        (b"x" * (question.LONGEST + 1), "longer than 128 KiB"),
        (text(a_set(replicas=201)), "asks for 201 groups, and the page plans 200 at once"),
        (text(a_set(replicas=200, size=101)), "asks for 20200 pods"),
        (b"a: &a [x]\nb: [" + b"*a, " * 21 + b"]", "more than 20 YAML aliases"),
        (b"[" * 61 + b"]" * 61, "nested more than 60 deep"),
        (b"[" * 60_000, "nested more than 60 deep"),
        (b"\xff\xfe\x00", "not text"),
    ],
)
def test_what_cannot_be_planned_is_refused_in_one_sentence(manifest: bytes, said: str) -> None:
    with pytest.raises(BadInput, match=said):
        Stage().racks(1, 3).page.questions.answer(manifest, "")


def test_json_that_is_endlessly_deep_is_refused_too() -> None:
    with pytest.raises(BadInput, match="nested more than 60 deep"):
        Stage().racks(1, 3).page.questions.answer(b'{"a":' * 20_000 + b"1" + b"}" * 20_000, "")


def test_without_nodes_it_says_so() -> None:
    with pytest.raises(BadInput, match="the cluster has no nodes"):
        asked(Stage(), a_set())


def test_one_question_is_worked_out_at_a_time() -> None:
    stage, entered, leave = Stage().racks(1, 3), threading.Event(), threading.Event()

    def slow_shapes(known: Cluster, lws: Any) -> Any:
        entered.set()
        leave.wait(5)
        return template_shapes(known, lws), ""

    def objects() -> Cluster:
        return Cluster(nodes=tuple(stage.sources.nodes.objects()))

    questions = Questions(objects, slow_shapes, stage.clock.now, patience=0.01)
    first = threading.Thread(target=lambda: questions.answer(text(a_set())))
    first.start()
    assert entered.wait(5)
    try:
        with pytest.raises(Refused, match="try again in a few seconds"):
            questions.answer(text(a_set()))
    finally:
        leave.set()
        first.join()
    assert questions.answer(text(a_set()))["groups"][0]["feasible"] is True
