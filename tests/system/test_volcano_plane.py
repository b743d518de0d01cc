"""The gang provider on a real API server, under the role that its overlay gives: PodGroups come and go with leaders."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.controlplane.client import path_of
from tests.controlplane.plane import ControlPlane
from tests.controlplane.start import start_plane
from tests.controlplane.wait import wait_until
from tests.system.product import CRDS, DEPLOY
from tests.system.replicas import Balancer, Replica

pytestmark = pytest.mark.plane

GROUPS = path_of("scheduling.volcano.sh/v1beta1/podgroups", "default")
SETS = path_of("leaderworkerset.x-k8s.io/v1/leaderworkersets", "default")
PODS = path_of("pods", "default")
GROUP_NAME = "scheduling.k8s.io/group-name"


@pytest.fixture(scope="module")
def plane() -> Iterator[ControlPlane]:
    with start_plane() as plane:
        plane.kubectl("apply", "--server-side", "-k", str(DEPLOY))
        plane.kubectl("apply", "-f", str(DEPLOY / "kustomize" / "volcano" / "rbac.yaml"))
        podgroups = str(Path(__file__).with_name("podgroups.yaml"))
        plane.kubectl("apply", "-f", podgroups)
        plane.kubectl("wait", "--for=condition=Established", "--timeout=60s", "-f", str(CRDS), "-f", podgroups)
        balancer = Balancer()
        Replica(plane, balancer, "lws-volcano", {"gangSchedulingManagement": {"schedulerProvider": "volcano"}})
        yield plane
        balancer.close()


def pod_groups(plane: ControlPlane) -> dict[str, dict[str, Any]]:
    return {each["metadata"]["name"]: each for each in plane.client.list(GROUPS)}


def by_group_name(plane: ControlPlane, index: str) -> dict[str, str]:
    """UIDs of the pods of a worker index, by the PodGroup that they name."""
    selector = f"leaderworkerset.sigs.k8s.io/worker-index={index}"
    pods = plane.client.list(PODS, labelSelector=selector)
    return {each["metadata"]["annotations"][GROUP_NAME]: each["metadata"]["uid"] for each in pods}


def owned(plane: ControlPlane) -> dict[str, str]:
    return {name: each["metadata"]["ownerReferences"][0]["uid"] for name, each in pod_groups(plane).items()}


def test_every_group_has_a_pod_group_that_goes_with_its_leader(plane: ControlPlane) -> None:
    requests = {"cpu": "250m", "memory": "64Mi"}
    pod = {"schedulerName": "volcano", "containers": [{"name": "c", "image": "i", "resources": {"requests": requests}}]}
    body = {
        "apiVersion": "leaderworkerset.x-k8s.io/v1",
        "kind": "LeaderWorkerSet",
        "metadata": {"name": "gang", "annotations": {"scheduling.volcano.sh/queue-name": "research"}},
        "spec": {"replicas": 2, "leaderWorkerTemplate": {"size": 3, "workerTemplate": {"spec": pod}}},
    }
    plane.client.create(SETS, body)
    wait_until(lambda: len(by_group_name(plane, "2")) == 2, "all pods are there")
    wait_until(lambda: owned(plane) == by_group_name(plane, "0"), "each leader has its PodGroup")

    assert by_group_name(plane, "2").keys() == pod_groups(plane).keys()
    for name, each in pod_groups(plane).items():
        assert each["spec"] == {
            "minMember": 3,
            "minResources": {"cpu": "750m", "memory": "192Mi"},
            "queue": "research",
        }, name

    before = owned(plane)
    plane.client.delete(f"{PODS}/gang-0", {"gracePeriodSeconds": 0})
    wait_until(lambda: owned(plane) == by_group_name(plane, "0") != before, "the new leader has a PodGroup", 60)
    assert owned(plane).keys() == before.keys()
