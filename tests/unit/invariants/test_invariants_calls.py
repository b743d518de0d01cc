"""`filter` is judged by what it was overheard to answer: twice the same, without a write, and to nobody else's pods."""

from __future__ import annotations

from typing import Any

from tests.invariants.check import check
from tests.invariants.story import DEVICE, Story

NONE, SLOT = {"NodeNames": [], "Error": ""}, {"NodeNames": ["n1"], "Error": ""}


def asked(story: Story, *answers: dict[str, Any], resources: tuple[str, ...] = (DEVICE,)) -> None:
    call = {"pod": "default/llama-0", "resources": resources, "begun": story.now, "ended": story.now + 0.01}
    story.lines.append({"t": story.now, "filter": {**call, "answers": list(answers)}})
    story.wait(0.01)


def asked_at_rest(story: Story) -> None:
    """A round of one call; what the story goes on with comes after it."""
    story.lines.append({"t": story.now, "round": {"calls": 1, "begun": story.now, "ended": story.now + 0.5}})


def broken(story: Story) -> list[str]:
    return [each.invariant for each in check(story.lines).violations]


def quiet_cluster() -> Story:
    story = Story()
    story.node("n1", "r1")
    story.wait(10)
    return story


def test_two_answers_to_one_question_are_a_fault_of_filter() -> None:
    story = quiet_cluster()
    asked(story, SLOT, SLOT)
    assert (broken(story), check(story.lines).calls) == ([], 1)
    asked(story, SLOT, NONE)
    assert broken(story) == ["I7"]


def test_they_may_differ_where_the_cluster_changed_about_then() -> None:
    story = quiet_cluster()
    asked(story, NONE, SLOT)
    story.record("llama-0", "Reserved", slots=["n1"])
    assert broken(story) == []


def test_an_answer_that_is_an_error_is_no_answer() -> None:
    story = quiet_cluster()
    asked(story, SLOT, {"NodeNames": None, "Error": "lws-sched: this replica does not lead"})
    assert broken(story) == []


def test_a_write_after_every_round_of_calls_at_rest_is_the_calls_doing() -> None:
    story = quiet_cluster()
    for _ in range(3):
        asked_at_rest(story)
        story.record("llama-0", "Waiting")
        story.wait(10)
    assert broken(story) == ["I7"]
    asked_at_rest(story)
    story.wait(10)
    story.record("llama-0", "Waiting")
    assert broken(story) == [], "one round was followed by nothing"


def test_a_pod_that_wants_no_extended_resource_must_not_reach_the_extender() -> None:
    story = quiet_cluster()
    asked(story, SLOT, SLOT, resources=("cpu", "memory"))
    assert broken(story) == ["I8"]
