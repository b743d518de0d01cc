"""Groups with a restart budget: pauses, the last restart, and what is told of it."""

from __future__ import annotations

from typing import Any

from lws_sched.api import names
from lws_sched.api.core import POD
from lws_sched.api.placement import GROUP_PLACEMENT
from lws_sched.kube.errors import Unavailable
from tests.unit.controller.scene import SET, Scene
from tests.unit.controller.tiny import NOW

DELETE = f"delete-Foreground Pod {SET}-0"
KEY = names.RESTARTS_PREFIX + "0"


def _scene(**asked: str) -> Scene:
    scene = Scene(replicas=1, annotations={f"lws-sched.io/{name.replace('_', '-')}": x for name, x in asked.items()})
    _start(scene)
    return scene


def _start(scene: Scene, **leader: Any) -> None:
    scene.leader(0, ready=True, **leader)
    scene.worker(f"{SET}-0-1")
    scene.cluster.writes.clear()


def _fail(scene: Scene) -> None:
    scene.worker(f"{SET}-0-1", containerStatuses=[{"name": "worker", "restartCount": 1}])


def _come_back(scene: Scene) -> None:
    scene.cluster.remove(POD, f"{SET}-0-1")
    scene.lose_leader(0)
    _start(scene)


def _failed(scene: Scene) -> dict[str, Any] | None:
    return next((each for each in scene.lws["status"]["conditions"] if each["type"] == "Failed"), None)


def test_nothing_is_recorded_of_a_set_that_asks_for_no_limit() -> None:
    scene = _scene()
    _fail(scene)
    assert scene.cluster.writes == [DELETE]


def test_after_its_last_restart_a_group_is_failed_with_the_reason_and_the_pod() -> None:
    scene = _scene(max_group_restarts="1")
    _fail(scene)
    assert DELETE in scene.cluster.writes
    assert _failed(scene) is None
    _come_back(scene)
    _fail(scene)
    assert DELETE not in scene.cluster.writes
    failed = _failed(scene)
    assert failed is not None
    assert (failed["status"], failed["reason"]) == ("True", "GroupRestartLimitReached")
    said = f"group 0 failed for good after 1 restart: {SET}-0-1: container worker restarted"
    assert failed["message"] == said
    assert ("Warning", "GroupFailed", "Update", said.replace("group", "Group", 1)) in scene.runtime.recorded.events
    scene.restart()
    assert scene.cluster.writes == []


def test_raising_the_maximum_gives_a_failed_group_another_restart() -> None:
    scene = _scene(max_group_restarts="0")
    _fail(scene)
    assert _failed(scene) is not None
    body = scene.lws
    body["metadata"]["annotations"][names.MAX_GROUP_RESTARTS] = "1"
    scene.edit()
    assert DELETE in scene.cluster.writes
    failed = _failed(scene)
    assert failed is not None
    assert failed["status"] == "False"


def test_a_restart_that_must_wait_is_on_record_and_comes_when_its_time_has() -> None:
    scene = _scene(restart_backoff="40s")
    _fail(scene)
    _come_back(scene)
    _fail(scene)
    assert DELETE not in scene.cluster.writes
    assert scene.runtime.queues["groups"].waiting[f"default/{SET}-0"] == 40.0
    assert f"Group 0 is recreated in 40 s (restart 2): {SET}-0-1: container worker restarted" in scene.notes
    scene.cluster.now = NOW + 40
    scene.restart()
    assert scene.cluster.writes == [DELETE]


def test_a_crash_between_record_and_deletion_counts_once() -> None:
    scene = _scene(max_group_restarts="1")
    scene.cluster.refuse[DELETE] = Unavailable("gone")
    try:
        _fail(scene)
    except Unavailable:
        scene.restart()
    assert scene.cluster.writes == [DELETE]
    assert '"restarts":1' in scene.leader_set["metadata"]["annotations"][KEY]


def test_a_group_that_the_extender_places_anew_spends_nothing() -> None:
    scene = Scene(replicas=1, annotations={names.MAX_GROUP_RESTARTS: "0"})
    _start(scene, schedulerName=names.SCHEDULER)
    placement = {"metadata": {"name": f"{SET}-0"}, "spec": {"leaderWorkerSet": SET}, "status": {"state": "Aborting"}}
    scene.cluster.put(GROUP_PLACEMENT, placement)
    _fail(scene)
    assert scene.cluster.writes == [DELETE]
    assert _failed(scene) is None


def test_a_new_revision_has_a_fresh_budget_and_the_old_record_goes() -> None:
    scene = _scene(max_group_restarts="0")
    _fail(scene)
    scene.edit(template={"size": 3})
    scene.cluster.remove(POD, f"{SET}-0-1")
    scene.lose_leader(0)
    scene.leader(0)
    scene.become_ready(0)
    assert KEY not in scene.leader_set["metadata"]["annotations"]
    failed = _failed(scene)
    assert failed is not None
    assert failed["status"] == "False"
