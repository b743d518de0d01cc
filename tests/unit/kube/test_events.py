from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lws_sched.api.core import NODE, POD, Node
from lws_sched.api.meta import Meta
from lws_sched.kube.errors import ApiError, Forbidden
from lws_sched.kube.events import NOTE_BYTES, QUEUED, QUIET_SECONDS, EventRecorder, Note, Reporter, event_body
from tests.unit.kube.builders import HeldClock, pod

SOON = 10.0
REPORTER = Reporter("lws-sched-extender", "extender-0")
NOTE = Note("Warning", "NoRoom", "Place", "rack r7 lacks 2 hosts")


@dataclass
class Notebook:
    """Stands for the cluster: keeps what is created."""

    refusal: ApiError | None = None
    written: list[dict[str, Any]] = field(default_factory=list)

    def create(self, kind: object, body: dict[str, Any], *, dry_run: bool = False) -> None:
        assert (str(kind), dry_run) == ("Event", False)
        if self.refusal:
            raise self.refusal
        self.written.append(body)


def recorder(notebook: Notebook, clock: HeldClock) -> EventRecorder:
    return EventRecorder(notebook, REPORTER, clock)  # type: ignore[arg-type]


def write_out(recorder: EventRecorder) -> None:
    recorder.thread.start()
    recorder.end()
    recorder.thread.join(SOON)
    assert not recorder.thread.is_alive()


def tell(recorder: EventRecorder, note: str = NOTE.text, name: str = "a") -> None:
    recorder.event(POD, pod(name, 1), type="Warning", reason="NoRoom", action="Place", note=note)


def test_an_event_says_who_what_and_when() -> None:
    body = event_body(POD, pod("a", 1), NOTE, REPORTER, 1_700_000_000.25)
    assert body == {
        "apiVersion": "events.k8s.io/v1",
        "kind": "Event",
        "metadata": {"namespace": "ns", "name": body["metadata"]["name"]},
        "eventTime": "2023-11-14T22:13:20.250000Z",
        "reportingController": "lws-sched-extender",
        "reportingInstance": "extender-0",
        "regarding": {"apiVersion": "v1", "kind": "Pod", "namespace": "ns", "name": "a", "uid": "uid-of-a"},
        "type": "Warning",
        "reason": "NoRoom",
        "action": "Place",
        "note": "rack r7 lacks 2 hosts",
    }
    assert body["metadata"]["name"].startswith("a.")


def test_an_event_may_name_a_second_object() -> None:
    other = {"apiVersion": "v1", "kind": "Pod", "namespace": "default", "name": "b"}
    note = Note("Normal", "r", "a", "text", related=other)
    assert event_body(POD, pod("a", 1), note, REPORTER, 0)["related"] == other
    assert "related" not in event_body(POD, pod("a", 1), NOTE, REPORTER, 0)


def test_an_event_about_a_node_goes_to_the_default_namespace() -> None:
    body = event_body(NODE, Node(metadata=Meta(name="n1", uid="u")), NOTE, REPORTER, 0)
    assert body["metadata"]["namespace"] == "default"
    assert "namespace" not in body["regarding"]


@settings(deadline=None)
@given(st.text("aé€😀", max_size=8), st.integers(0, 600))
def test_a_note_fits_whatever_it_is_written_in(end: str, repeats: int) -> None:
    text = "ü" * repeats + end
    note = event_body(POD, pod("a", 1), Note("Normal", "r", "a", text), REPORTER, 0)["note"]
    assert len(note.encode()) <= NOTE_BYTES
    assert note == text or note.endswith("...")


def test_the_same_event_is_written_again_only_after_ten_minutes() -> None:
    notebook, clock = Notebook(), HeldClock()
    events = recorder(notebook, clock)
    for pause in (0.0, QUIET_SECONDS - 1, 1.0):
        clock.time += pause
        tell(events)
    tell(events, "another note")
    tell(events, name="b")
    write_out(events)
    assert [(body["regarding"]["name"], body["note"]) for body in notebook.written] == [
        ("a", NOTE.text),
        ("a", NOTE.text),
        ("a", "another note"),
        ("b", NOTE.text),
    ]
    assert len({body["metadata"]["name"] for body in notebook.written}) == 4


def test_an_event_that_is_refused_is_logged_with_its_text(caplog: pytest.LogCaptureFixture) -> None:
    events = recorder(Notebook(Forbidden("the namespace is being terminated")), HeldClock())
    tell(events)
    write_out(events)
    assert "rack r7 lacks 2 hosts why=the namespace is being terminated" in caplog.text


def test_the_caller_never_waits_and_what_does_not_fit_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    events = recorder(Notebook(), HeldClock())
    for number in range(QUEUED + 1):
        tell(events, str(number))
    assert len(caplog.records) == 1
    assert f"note={QUEUED} why=" in caplog.text


def test_what_was_done_is_told_each_time_it_was_done() -> None:
    notebook, clock = Notebook(), HeldClock()
    told = recorder(notebook, clock)
    for _ in range(2):
        told.event(POD, pod("a", 1), type="Normal", reason="Recreated", action="Delete", note="a worker failed")
        clock.time += 1.0
    write_out(told)
    assert len(notebook.written) == 2
