"""Worker StatefulSets that somebody else changed, and those that nobody did."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from typing import Any

import pytest

from lws_sched.api import names
from lws_sched.api.core import POD, STATEFUL_SET
from lws_sched.api.lws import LEADER_WORKER_SET
from tests.unit.controller.scene import SET, Scene

WORKERS = f"{SET}-0"
MERGE = f"merge StatefulSet {WORKERS}"


def _scene(**arguments: Any) -> Scene:
    scene = Scene(replicas=1, **arguments)
    scene.leader(0)
    scene.cluster.writes.clear()
    return scene


def _change(scene: Scene, edit: Callable[[dict[str, Any]], None]) -> dict[str, Any]:
    body = deepcopy(scene.cluster.named(STATEFUL_SET, WORKERS))
    edit(body)
    scene.cluster.put(STATEFUL_SET, body)
    scene.runtime.settle()
    return scene.cluster.named(STATEFUL_SET, WORKERS)


def _scaled(body: dict[str, Any]) -> None:
    body["spec"]["replicas"] = 7


def _other_image(body: dict[str, Any]) -> None:
    body["spec"]["template"]["spec"]["containers"][0]["image"] = "other"


def _other_label(body: dict[str, Any]) -> None:
    body["spec"]["template"]["metadata"]["labels"][names.REVISION] = "other"


def _lost_identity(body: dict[str, Any]) -> None:
    del body["metadata"]["labels"][names.SET_NAME]


@pytest.mark.parametrize("edit", [_scaled, _other_image, _other_label, _lost_identity])
def test_what_somebody_changed_of_the_workers_is_undone(edit: Callable[[dict[str, Any]], None]) -> None:
    scene = _scene()
    before = deepcopy(scene.cluster.named(STATEFUL_SET, WORKERS))
    after = _change(scene, edit)
    assert after["spec"] == before["spec"]
    assert after["metadata"]["labels"] == before["metadata"]["labels"]
    assert scene.cluster.writes.count(MERGE) == 1


def _sidecar(body: dict[str, Any]) -> None:
    body["spec"]["template"]["spec"]["containers"].append({"name": "mesh", "image": "mesh"})
    body["spec"]["template"]["spec"]["nodeSelector"] = {"rack": "r1"}
    body["spec"]["revisionHistoryLimit"] = 3
    body["metadata"]["labels"]["theirs"] = "x"


def test_what_somebody_added_to_the_workers_stays() -> None:
    scene = _scene()
    after = _change(scene, _sidecar)
    assert [each["name"] for each in after["spec"]["template"]["spec"]["containers"]] == ["worker", "mesh"]
    assert scene.cluster.writes == []


def test_a_changed_annotation_of_the_set_reaches_no_workers_that_run() -> None:
    """It would replace their pods, although no revision says so."""
    scene = _scene(annotations={names.EXCLUSIVE_TOPOLOGY: ""})
    _change(scene, _sidecar)
    body = deepcopy(scene.lws)
    body["metadata"]["annotations"] = {names.EXCLUSIVE_TOPOLOGY: "rack", "note": "new"}
    scene.cluster.put(LEADER_WORKER_SET, body)
    scene.runtime.settle()
    assert MERGE not in scene.cluster.writes


def test_workers_of_another_revision_than_their_leaders_are_about_to_go_and_left_alone() -> None:
    scene = _scene()
    leader = scene.cluster.named(POD, WORKERS)
    leader["metadata"]["labels"][names.REVISION] = "newer"
    scene.cluster.put(POD, leader)
    _change(scene, _scaled)
    assert scene.cluster.writes.count(MERGE) == 0


def test_a_change_that_comes_back_at_once_is_not_fought_for_ever() -> None:
    """As where an admission webhook rewrites images: the same content again is not written again."""
    scene = _scene()
    put = scene.cluster.put

    def rewriting(kind: Any, body: Any) -> dict[str, Any]:
        stored = deepcopy(dict(body))
        if stored["metadata"]["name"] == WORKERS and kind is STATEFUL_SET:
            _other_image(stored)
        return put(kind, stored)

    scene.cluster.put = rewriting  # type: ignore[method-assign]
    _change(scene, _other_image)
    _change(scene, lambda body: body.update(status={"replicas": 1}))
    assert scene.cluster.writes.count(MERGE) == 1
