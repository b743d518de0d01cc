"""When a group is recreated."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import pytest

from lws_sched.api import names
from lws_sched.api.core import Pod
from lws_sched.api.lws import LeaderWorkerSet
from lws_sched.core.restart import Members, failed_member, note
from tests.unit.core.samples import leader, pod_status, sample, worker, workers

LEADER = leader()
WORKERS = workers(LEADER)
WORKER = worker(WORKERS)
DELETED = "2026-01-01T00:00:00Z"
AFTER_START = sample(template={"restartPolicy": "RecreateGroupAfterStart"})
EXPERIMENTAL = sample(annotations={names.RECREATE_AFTER_START: ""})


def _terminating(pod: Pod) -> Pod:
    return msgspec.structs.replace(pod, metadata=msgspec.structs.replace(pod.metadata, deletion_timestamp=DELETED))


def _failed(lws: LeaderWorkerSet, pods: Sequence[Pod], lost: Sequence[Pod] = ()) -> str:
    first = next(pod for pod in pods if pod.metadata.labels[names.WORKER_INDEX] == "0")
    failed = failed_member(lws, Members(first, WORKERS, pods, lost))
    return "" if failed is None else failed.metadata.name


@pytest.mark.parametrize(
    ("pods", "lost", "wanted"),
    [
        pytest.param([LEADER, WORKER], [], "", id="a healthy group stays"),
        pytest.param([LEADER, worker(WORKERS, status=pod_status(restarts=1))], [], "test-sample-0-1", id="a restart"),
        pytest.param(
            [LEADER, worker(WORKERS, status=pod_status(restarts=1, phase="Pending"))], [], "test-sample-0-1",
            id="a restart of an init container",
        ),
        pytest.param([LEADER, worker(WORKERS, status=pod_status(phase="Failed"))], [], "test-sample-0-1", id="an end"),
        pytest.param([LEADER, _terminating(WORKER)], [], "test-sample-0-1", id="a deletion"),
        pytest.param([LEADER], [WORKER], "test-sample-0-1", id="a forced deletion, seen only as a disappearance"),
        pytest.param(
            [LEADER, worker(WORKERS, uid="successor", status=pod_status(phase="Pending"))], [WORKER], "test-sample-0-1",
            id="a forced deletion whose successor is there already",
        ),
        pytest.param(
            [msgspec.structs.replace(LEADER, status=pod_status(restarts=2)), WORKER], [], "test-sample-0",
            id="a restart of the leader",
        ),
        pytest.param([_terminating(LEADER), _terminating(WORKER)], [], "", id="a leader that goes already"),
        pytest.param(
            [LEADER, WORKER, _terminating(worker(workers(leader(uid="former")), 2))], [], "",
            id="a worker of a former leader",
        ),
        pytest.param(
            [LEADER, WORKER], [worker(workers(leader(uid="former")))], "", id="a lost worker of a former leader"
        ),
        pytest.param(
            [LEADER, _terminating(worker(workers(LEADER, revision="old")))], [], "", id="a worker of another revision"
        ),
        pytest.param(
            [LEADER, WORKER, _terminating(worker(WORKERS, 2, annotations={names.SIZE: "2"}))], [], "",
            id="a worker too many",
        ),
    ],
)  # fmt: skip
def test_recreate_on_pod_restart(pods: Sequence[Pod], lost: Sequence[Pod], wanted: str) -> None:
    assert _failed(sample(), pods, lost) == wanted


@pytest.mark.parametrize("lws", [AFTER_START, EXPERIMENTAL], ids=["policy", "annotation"])
def test_a_group_that_has_not_started_is_left_alone(lws: LeaderWorkerSet) -> None:
    restarted = worker(WORKERS, status=pod_status(restarts=1, phase="Pending"))
    assert _failed(lws, [LEADER, restarted]) == ""
    assert _failed(lws, [LEADER], []) == ""


@pytest.mark.parametrize("lws", [AFTER_START, EXPERIMENTAL], ids=["policy", "annotation"])
def test_a_started_group_is_recreated_even_if_the_lost_member_is_pending_again(lws: LeaderWorkerSet) -> None:
    successor = worker(WORKERS, uid="successor", status=pod_status(phase="Pending"))
    assert _failed(lws, [LEADER, _terminating(WORKER)]) == "test-sample-0-1"
    assert _failed(lws, [LEADER, successor], [WORKER]) == "test-sample-0-1"


def test_a_resize_does_not_make_old_groups_look_unfinished() -> None:
    """The group's own size counts, not the live one."""
    lws = sample(template={"size": 4, "restartPolicy": "RecreateGroupAfterStart"})
    assert _failed(lws, [leader(annotations={names.SIZE: "2"}), _terminating(WORKER)]) == "test-sample-0-1"


@pytest.mark.parametrize("policy", ["None", "Default"])
def test_other_policies_never_recreate(policy: str) -> None:
    assert _failed(sample(template={"restartPolicy": policy}), [LEADER, _terminating(WORKER)], [WORKER]) == ""


def test_of_several_failed_members_the_first_by_name_is_named() -> None:
    pods = [LEADER, _terminating(worker(WORKERS, 2)), _terminating(WORKER)]
    assert _failed(sample(), pods) == _failed(sample(), pods[::-1]) == "test-sample-0-1"


def test_the_event_names_the_pod_the_leader_and_the_group() -> None:
    wanted = "Worker pod test-sample-0-1 failed, deleted leader pod test-sample-0 to recreate group 0"
    assert note(WORKER.metadata.name, LEADER) == wanted
