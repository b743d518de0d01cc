"""Which pods take their group along."""

from __future__ import annotations

import pytest

from tests.hand_made.stage import (
    AVAILABLE,
    NAME,
    PODS,
    PREFIX,
    UPDATING,
    Stage,
    workers_of,
)

# A deletion that nobody was there to see leaves no trace: the controller does not crash here.
pytestmark = pytest.mark.parametrize("stage", ["sim", pytest.param("plane", marks=pytest.mark.plane)], indirect=True)


def _group_of_three(stage: Stage, policy: str, annotations: dict[str, str] | None = None) -> None:
    stage.create(annotations=annotations, replicas=1, template={"size": 3, "restartPolicy": policy})
    stage.sees(worker_sets=workers_of(0))
    stage.make_workers(0)


def _is_going(stage: Stage) -> bool:
    return "deletionTimestamp" in stage.get(PODS, f"{NAME}-0")["metadata"]


def test_without_a_policy_a_deleted_worker_is_nobodys_concern(stage: Stage) -> None:
    _group_of_three(stage, "None")
    stage.client.delete(stage.path(PODS, f"{NAME}-0-1"))
    stage.sees(worker_sets=workers_of(0))
    assert not _is_going(stage)
    assert stage.names(PODS) == [f"{NAME}-0", f"{NAME}-0-2"]


@pytest.mark.parametrize(
    ("policy", "started"), [("RecreateGroupOnPodRestart", False), ("RecreateGroupAfterStart", True)]
)
def test_a_deleted_worker_takes_its_leader_along(stage: Stage, policy: str, started: bool) -> None:
    _group_of_three(stage, policy)
    if started:
        for name in stage.names(PODS):
            stage.run(name)
    stage.client.delete(stage.path(PODS, f"{NAME}-0-1"))
    text = f"Worker pod {NAME}-0-1 failed, deleted leader pod {NAME}-0 to recreate group 0"
    stage.says("RecreateGroup", text)
    assert _is_going(stage)


EXPERIMENTAL = {PREFIX + "experimental-recreate-group-after-start": ""}


@pytest.mark.parametrize(
    ("policy", "annotations"), [("RecreateGroupOnPodRestart", EXPERIMENTAL), ("RecreateGroupAfterStart", {})]
)
def test_a_group_that_has_not_started_is_left_alone(stage: Stage, policy: str, annotations: dict[str, str]) -> None:
    _group_of_three(stage, policy, annotations)
    stage.run(f"{NAME}-0")
    stage.run(f"{NAME}-0-1")
    stage.client.delete(stage.path(PODS, f"{NAME}-0-1"))
    stage.sees(worker_sets=workers_of(0))
    assert not _is_going(stage)


def test_a_restarted_container_takes_the_leader_along(stage: Stage) -> None:
    _group_of_three(stage, "RecreateGroupOnPodRestart")
    stage.run(f"{NAME}-0-2", restarts=1)
    text = f"Worker pod {NAME}-0-2 failed, deleted leader pod {NAME}-0 to recreate group 0"
    stage.says("RecreateGroup", text)
    assert _is_going(stage)


def test_workers_of_a_former_revision_do_not_restart_an_updated_group(stage: Stage) -> None:
    stage.create(replicas=1, template={"size": 3})
    stage.ready(0)
    stage.make_workers(0)
    stage.sees(true=AVAILABLE)
    stage.rename_containers("workerTemplate", "new-worker")
    stage.sees(true=UPDATING, partition=0)
    stage.lead(0)
    for worker in (1, 2):
        stage.client.delete(stage.path(PODS, f"{NAME}-0-{worker}"))
    stage.workers_ready(0)
    stage.sees(true=AVAILABLE, counts=(1, 1))
    assert not _is_going(stage)
    stage.make_workers(0)
    stage.client.delete(stage.path(PODS, f"{NAME}-0-1"))
    stage.says("RecreateGroup", f"Worker pod {NAME}-0-1 failed, deleted leader pod {NAME}-0 to recreate group 0")
    assert _is_going(stage)
