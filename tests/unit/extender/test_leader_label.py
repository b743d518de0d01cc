from __future__ import annotations

from typing import Any

import pytest

from lws_sched.api.core import POD
from lws_sched.extender.leader_label import LEADER, LeaderLabel
from lws_sched.kube.errors import LostLease, Unavailable
from lws_sched.kube.port import Runtime
from lws_sched.sim.world import World

NAMESPACE = "lws-system"


def world(*labelled: str) -> World:
    found = World()
    for name in ("a", "b"):
        labels = {"app": "extender"} | ({LEADER: "true"} if name in labelled else {})
        body = POD.body({"namespace": NAMESPACE, "name": name, "labels": labels}, spec={"containers": [{"name": "c"}]})
        found.cluster.create(POD, body)
    return found


def leaders(world: World) -> list[str]:
    return [each.metadata.name for each in world.cluster.list(POD, NAMESPACE, f"{LEADER}=true")]


def started(world: World, name: str) -> list[LeaderLabel]:
    """The label of a component that leads; taken when the test says so."""
    made: list[LeaderLabel] = []

    def build(runtime: Runtime) -> None:
        made.append(LeaderLabel(runtime, NAMESPACE, name))

    world.start(f"extender-{name}", build)
    world.settle()
    return made


@pytest.mark.parametrize("before", [(), ("a",), ("b",), ("a", "b")])
def test_the_leader_alone_carries_the_label(before: tuple[str, ...]) -> None:
    found = world(*before)
    (label,) = started(found, "b")

    label.take()

    assert leaders(found) == ["b"]
    assert found.cluster.get(POD, NAMESPACE, "b").metadata.labels["app"] == "extender"


def test_an_api_server_that_does_not_answer_is_asked_again() -> None:
    found = world("a")
    (label,) = started(found, "b")
    refused = [Unavailable("no answer")]
    send = label.runtime.cluster.merge

    class Once:
        def __getattr__(self, name: str) -> Any:
            return getattr(found.cluster, name)

        def merge(self, *args: Any, **more: Any) -> Any:
            if refused:
                raise refused.pop()
            return send(*args, **more)

    label.runtime.cluster = Once()
    label.take()
    assert leaders(found) == ["a"]

    found.settle()
    assert leaders(found) == ["b"]


def test_who_no_longer_leads_takes_nothing() -> None:
    found = world("a")
    (label,) = started(found, "b")

    class Follower:
        def epoch(self) -> int:
            raise LostLease("another leads")

    LeaderLabel(Follower(), NAMESPACE, "b").take()  # type: ignore[arg-type]

    assert leaders(found) == ["a"]
    assert label.pod == "b"


def test_a_process_that_is_no_pod_goes_on(caplog: pytest.LogCaptureFixture) -> None:
    found = world("a")
    (label,) = started(found, "nobody")

    with caplog.at_level("INFO"):
        label.take()

    assert "there is no pod lws-system/nobody to label" in caplog.text
