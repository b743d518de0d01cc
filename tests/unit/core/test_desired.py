"""The bodies of StatefulSets, where the whole-controller tests do not reach."""

from __future__ import annotations

from typing import Any

import pytest

from lws_sched.api import names
from lws_sched.api.lws import LeaderWorkerSet
from lws_sched.core.desired import Workers, leader_stateful_set, worker_stateful_set
from lws_sched.core.rollout import Rollout
from tests.unit.core.samples import leader, rolling, sample

CLAIM = {
    "metadata": {"name": "data", "labels": {"dropped": "yes"}},
    "spec": {
        "accessModes": ["ReadWriteOnce"],
        "storageClassName": "fast",
        "selector": {"matchLabels": {"dropped": "yes"}},
        "resources": {"requests": {"storage": "512Mi"}},
    },
}


def _leaders(lws: LeaderWorkerSet) -> dict[str, Any]:
    return leader_stateful_set(lws, "key", Rollout(partition=0, replicas=2))


def _workers(lws: LeaderWorkerSet, at_revision: LeaderWorkerSet | None = None, **pod: Any) -> dict[str, Any]:
    return worker_stateful_set(Workers(lws, at_revision or lws, leader(**pod), {}))


def test_labels_and_annotations_of_the_set_are_passed_on_to_stateful_sets_and_not_to_pods() -> None:
    lws = sample(annotations={"note": "x", "kubectl.kubernetes.io/last-applied-configuration": "{}"})
    for body in (_leaders(lws), _workers(lws)):
        assert body["metadata"]["annotations"]["note"] == "x"
        assert "kubectl.kubernetes.io/last-applied-configuration" not in body["metadata"]["annotations"]
        assert "note" not in body["spec"]["template"]["metadata"]["annotations"]


def test_the_users_template_is_kept_and_ours_wins() -> None:
    metadata = {"labels": {"app": "x", names.SET_NAME: "other"}, "annotations": {"a": "b"}}
    template = {"metadata": metadata, "spec": {"containers": [], "fromTheFuture": True}}
    body = _leaders(sample(template={"leaderTemplate": None, "workerTemplate": template}))["spec"]["template"]
    assert body["spec"] == template["spec"]
    assert body["metadata"]["labels"]["app"] == "x"
    assert body["metadata"]["labels"][names.SET_NAME] == "test-sample"
    assert body["metadata"]["annotations"] == {"a": "b", names.SIZE: "2"}


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ({"maxUnavailable": 1}, 1),
        ({"maxUnavailable": "50%", "maxSurge": 3}, 5),
        ({"maxUnavailable": 0, "maxSurge": 9}, 4),
    ],
)
def test_leaders_replaced_at_once_are_those_that_may_miss_and_those_that_are_extra(
    given: dict[str, Any], wanted: int
) -> None:
    lws = sample(replicas=4, rolloutStrategy=rolling(**given))
    assert _leaders(lws)["spec"]["updateStrategy"]["rollingUpdate"]["maxUnavailable"] == wanted


def test_subgroups_are_told_to_the_pods() -> None:
    policy = {"subGroupSize": 2, "subGroupPolicyType": "LeaderExcluded"}
    asked = {names.EXCLUSIVE_TOPOLOGY: "rack", names.SUBGROUP_EXCLUSIVE_TOPOLOGY: "host"}
    lws = sample(template={"size": 5, "subGroupPolicy": policy}, annotations=asked)
    wanted = asked | {names.SIZE: "5", names.SUBGROUP_SIZE: "2", names.SUBGROUP_POLICY_TYPE: "LeaderExcluded"}
    assert _leaders(lws)["spec"]["template"]["metadata"]["annotations"] == wanted
    workers = _workers(lws)["spec"]["template"]["metadata"]["annotations"]
    assert workers == wanted | {names.LEADER_NAME: "test-sample-0"}


def test_a_subgroup_topology_without_subgroups_is_not_passed_on() -> None:
    lws = sample(annotations={names.SUBGROUP_EXCLUSIVE_TOPOLOGY: "host", names.EXCLUSIVE_TOPOLOGY: ""})
    assert _leaders(lws)["spec"]["template"]["metadata"]["annotations"] == {names.SIZE: "2"}


def test_claims_keep_what_the_api_passes_on_and_retention_is_always_whole() -> None:
    retention = {"whenDeleted": "Delete", "whenScaled": ""}
    lws = sample(
        template={"volumeClaimTemplates": [CLAIM], "persistentVolumeClaimRetentionPolicy": retention},
    )
    for body in (_leaders(lws), _workers(lws)):
        assert body["spec"]["persistentVolumeClaimRetentionPolicy"] == {"whenDeleted": "Delete", "whenScaled": "Retain"}
        assert body["spec"]["volumeClaimTemplates"] == [
            {
                "apiVersion": "v1",
                "kind": "PersistentVolumeClaim",
                "metadata": {"name": "data", "namespace": "default"},
                "spec": {
                    "accessModes": ["ReadWriteOnce"],
                    "storageClassName": "fast",
                    "resources": {"requests": {"storage": "512Mi"}},
                },
            }
        ]


def test_workers_are_of_the_leaders_revision_and_bear_the_live_sets_annotations() -> None:
    live = sample(template={"size": 9}, annotations={names.EXCLUSIVE_TOPOLOGY: "rack"})
    body = _workers(live, sample(template={"size": 4}))
    assert body["spec"]["replicas"] == 3
    annotations = body["spec"]["template"]["metadata"]["annotations"]
    assert (annotations[names.SIZE], annotations[names.EXCLUSIVE_TOPOLOGY]) == ("4", "rack")


def test_the_leaders_domain_is_added_to_the_workers_own_node_selector() -> None:
    lws = sample(template={"workerTemplate": {"spec": {"containers": [], "nodeSelector": {"gpu": "yes"}}}})
    body = worker_stateful_set(Workers(lws, lws, leader(), {"rack": "r1"}))
    assert body["spec"]["template"]["spec"]["nodeSelector"] == {"gpu": "yes", "rack": "r1"}
