"""The controller crashes between any two writes, has any write refused, hears of everything late and twice: whatever
happens, a set comes to the same end, no group is recreated that need not be, and an update keeps its floor.

Among the unit tests every story has faults at a few of its writes, others in each story; the drills take every write.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import pytest

from lws_sched.api import names
from lws_sched.api.core import SERVICE, STATEFUL_SET
from lws_sched.controller.volcano import PROVIDER
from lws_sched.sim.faults import NONE, Crash, Faults, Refusal
from tests.controlplane.nodes import RACK_LABEL
from tests.unit.controller.story import CONTROLLER, SET, Step, Told, told

EVERY = pytest.param(True, marks=pytest.mark.drill, id="every write")
A_FEW = pytest.param(False, id="a few writes")


def _create(**spec: Any) -> Step:
    return lambda tale: tale.create(**spec)


def _edit(**spec: Any) -> Step:
    return lambda tale: tale.edit(**spec)


def _rolling(**configuration: Any) -> dict[str, Any]:
    return {"type": "RollingUpdate", "rollingUpdateConfiguration": configuration}


UNIQUE = {"subdomainPolicy": "UniquePerReplica"}
LIMITED = {"lws-sched.io/max-group-restarts": "1", "lws-sched.io/restart-backoff": "1s"}
CLAIM = {
    "metadata": {"name": "models"},
    "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1024Mi"}}},
}
KEPT = {"whenDeleted": "Retain", "whenScaled": "Delete"}
FOR_VOLCANO = "groups that volcano schedules, an update and a container that restarts"
WORKER = f"{SET}-0-1"
STORIES: dict[str, tuple[Step, ...]] = {
    "a set is created, scaled to nothing and back": (_create(), _edit(replicas=0), _edit(replicas=3)),
    "an update": (_create(replicas=3), _edit(image="two")),
    "an update by surge, in which the set grows": (
        _create(rolloutStrategy=_rolling(maxUnavailable=0, maxSurge=1)),
        _edit(image="two", replicas=3),
    ),
    "an update and back, and a new size": (
        _create(rolloutStrategy=_rolling(partition=1)),
        _edit(image="two"),
        _edit(image="one"),
        _edit(template={"size": 3}, rolloutStrategy=_rolling(partition=0)),
    ),
    "subdomains of their own, and back": (
        _create(),
        _edit(networkConfig=UNIQUE),
        _edit(networkConfig={"subdomainPolicy": "Shared"}),
    ),
    "subdomains of their own but for the first group, which restarts": (
        _create(),
        _edit(networkConfig=UNIQUE, rolloutStrategy=_rolling(partition=1)),
        lambda tale: tale.restart_container(f"{SET}-0"),
    ),
    "leaders first, and hands that delete": (
        _create(startupPolicy="LeaderReady"),
        lambda tale: tale.delete_object(SERVICE, SET),
        lambda tale: tale.delete_object(STATEFUL_SET, f"{SET}-1"),
        lambda tale: tale.delete_object(STATEFUL_SET, SET),
        lambda tale: tale.wait_ready(2),
        lambda tale: tale.delete_pod(f"{SET}-0"),
    ),
    "an update of groups with claims": (
        _create(template={"volumeClaimTemplates": [CLAIM], "persistentVolumeClaimRetentionPolicy": KEPT}),
        _edit(image="two"),
    ),
    "a rack for each group, an update and a container that restarts": (
        _create(annotations={names.EXCLUSIVE_TOPOLOGY: RACK_LABEL}),
        _edit(image="two"),
        lambda tale: tale.restart_container(WORKER),
    ),
    FOR_VOLCANO: (_create(), _edit(image="two"), lambda tale: tale.restart_container(WORKER)),
    "a container restarts": (_create(), lambda tale: tale.restart_container(WORKER)),
    "a group uses up its restarts": (
        _create(annotations=LIMITED, template={"restartPolicy": "RecreateGroupAfterStart"}),
        lambda tale: tale.restart_container(WORKER),
        lambda tale: tale.restart_container(f"{SET}-0"),
    ),
}
FAULTS: dict[str, Callable[[int], Faults]] = {
    "a crash before the write": lambda write: Faults(crashes=(Crash(write, restart_after=0.5),)),
    "a crash after the write": lambda write: Faults(crashes=(Crash(write, after=True, restart_after=0.5),)),
    "a conflict": lambda write: Faults(refusals=(Refusal(write),)),
    "no answer": lambda write: Faults(refusals=(Refusal(write, unavailable=True),)),
    "no answer, but an effect": lambda write: Faults(refusals=(Refusal(write, unavailable=True, took_effect=True),)),
}


@cache
def _undisturbed(story: str) -> Told:
    return _told(story)


@cache
def _figures(story: str) -> tuple[dict[str, Any], int, int]:
    """Undisturbed: the end, the fewest groups ready meanwhile, and how many writes it took."""
    tale = _undisturbed(story)
    return tale.end(), tale.fewest_ready(), tale.world.writes_of(CONTROLLER)


def _told(story: str, faults: Faults = NONE, *, seed: int = 1) -> Told:
    return told(STORIES[story], faults, seed=seed, provider=PROVIDER if story == FOR_VOLCANO else "")


def _same_end(story: str, tale: Told, what: str) -> None:
    end, floor, _ = _figures(story)
    assert tale.end() == end, what
    if "update" in story:
        assert tale.fewest_ready() >= floor, what


@pytest.mark.parametrize("story", STORIES)
def test_undisturbed_a_story_ends_with_every_group_ready(story: str) -> None:
    tale = _undisturbed(story)
    status = tale.end()["status"][0]
    assert tale.ready_groups() == status["replicas"] == status["readyReplicas"]
    assert status["conditions"].get("Failed") == ("True" if "uses up" in story else None)


@pytest.mark.parametrize("every", [A_FEW, EVERY])
@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("story", STORIES)
def test_a_fault_at_any_write_changes_nothing_in_the_end(story: str, fault: str, every: bool) -> None:
    writes = _figures(story)[2]
    apart = 1 if every else writes
    first = 1 + (list(STORIES).index(story) + list(FAULTS).index(fault)) % apart
    for write in range(first, writes + 1, apart):
        _same_end(story, _told(story, FAULTS[fault](write)), f"{fault} at write {write} of {writes}")


@pytest.mark.parametrize("seed", [1, *(pytest.param(seed, marks=pytest.mark.drill) for seed in range(2, 21))])
@pytest.mark.parametrize("story", STORIES)
def test_news_that_comes_late_and_twice_and_with_broken_watches_changes_nothing_in_the_end(
    story: str, seed: int
) -> None:
    faults = Faults(late=0.3, late_seconds=0.6, doubled=0.3, dropped=0.05)
    _same_end(story, _told(story, faults, seed=seed), f"seed {seed}")
