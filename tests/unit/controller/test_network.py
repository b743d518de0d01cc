"""Switching between one subdomain for the set and one per group, and cleaning up behind it."""

from __future__ import annotations

from lws_sched.api.core import SERVICE
from tests.unit.controller.scene import SET, Scene

SHARED, UNIQUE = {"subdomainPolicy": "Shared"}, {"subdomainPolicy": "UniquePerReplica"}


def _roll(scene: Scene, index: int) -> None:
    """The leader is replaced; the garbage collector takes what it owned."""
    if f"{SET}-{index}" in scene.cluster.names(SERVICE):
        scene.cluster.remove(SERVICE, f"{SET}-{index}")
    scene.lose_leader(index)
    scene.leader(index)
    scene.become_ready(index)


def _scene(network: dict[str, str]) -> Scene:
    scene = Scene(networkConfig=network)
    for index in (0, 1):
        scene.leader(index)
    scene.become_ready(0, 1)
    return scene


def test_the_shared_service_goes_with_the_last_group_that_was_made_for_it() -> None:
    scene = _scene(SHARED)
    scene.edit(networkConfig=UNIQUE)
    assert scene.cluster.names(SERVICE) == [SET, f"{SET}-0", f"{SET}-1"]
    _roll(scene, 1)
    assert SET in scene.cluster.names(SERVICE)
    _roll(scene, 0)
    assert scene.cluster.names(SERVICE) == [f"{SET}-0", f"{SET}-1"]


def test_the_shared_service_stays_while_a_group_that_was_made_for_it_is_down_and_may_come_back() -> None:
    scene = _scene(SHARED)
    scene.edit(networkConfig=UNIQUE)
    _roll(scene, 1)
    scene.lose_leader(0)
    assert SET in scene.cluster.names(SERVICE)
    scene.lose_leader(1)
    assert SET in scene.cluster.names(SERVICE), "nobody is there, and who comes back is not known"


def test_a_shared_service_that_is_lost_is_made_again_while_a_group_that_was_made_for_it_is_there() -> None:
    scene = _scene(SHARED)
    scene.edit(networkConfig=UNIQUE)
    scene.cluster.remove(SERVICE, SET)
    scene.runtime.settle()
    assert SET in scene.cluster.names(SERVICE)


def test_back_to_shared_the_service_is_there_first_and_each_group_takes_its_own_along() -> None:
    scene = _scene(UNIQUE)
    scene.edit(networkConfig=SHARED)
    assert scene.cluster.names(SERVICE) == [SET, f"{SET}-0", f"{SET}-1"]
    _roll(scene, 1)
    assert scene.cluster.names(SERVICE) == [SET, f"{SET}-0"]
    _roll(scene, 0)
    assert scene.cluster.names(SERVICE) == [SET]


def test_a_strangers_service_of_the_sets_name_stays() -> None:
    scene = _scene(UNIQUE)
    scene.cluster.put(SERVICE, {"metadata": {"name": SET, "labels": {"leaderworkerset.sigs.k8s.io/name": SET}}})
    scene.runtime.settle()
    assert SET in scene.cluster.names(SERVICE)


def test_a_groups_service_that_a_former_leader_still_owns_is_made_again_once_it_is_gone() -> None:
    scene = _scene(UNIQUE)
    scene.lose_leader(0)
    scene.leader(0)
    former = scene.cluster.named(SERVICE, f"{SET}-0")["metadata"]["uid"]
    scene.cluster.remove(SERVICE, f"{SET}-0")
    scene.runtime.settle()
    assert scene.cluster.named(SERVICE, f"{SET}-0")["metadata"]["uid"] != former
