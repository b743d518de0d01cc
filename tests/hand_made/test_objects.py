"""What a set consists of, and what of it comes back."""

from __future__ import annotations

from typing import Any

import pytest

from tests.hand_made.stage import (
    AVAILABLE,
    NAME,
    PODS,
    PREFIX,
    PROGRESSING,
    REVISION,
    SERVICES,
    SETS,
    STATEFUL_SETS,
    Stage,
    annotations_of,
    labels_of,
    manifest,
    rolling,
    workers_of,
)


def test_a_set_has_its_leaders_its_workers_and_one_service(stage: Stage) -> None:
    stage.create()
    stage.sees(replicas=2, partition=0, worker_sets=workers_of(0, 1), services=[NAME], true=PROGRESSING, revisions=1)
    leaders, lws = stage.leader_set, stage.set
    key = labels_of(leaders)[REVISION]
    assert labels_of(leaders) == {"name": NAME, REVISION: key}
    assert annotations_of(leaders) == {"replicas": "2"}
    spec = leaders["spec"]
    assert spec["serviceName"] == NAME
    assert spec["podManagementPolicy"] == "Parallel"
    assert spec["selector"] == {"matchLabels": {PREFIX + "name": NAME, PREFIX + "worker-index": "0"}}
    assert labels_of(spec["template"]) == {"name": NAME, "worker-index": "0", REVISION: key}
    assert annotations_of(spec["template"]) == {"size": "2"}
    assert [each["name"] for each in spec["template"]["spec"]["containers"]] == ["leader"]
    (owner,) = leaders["metadata"]["ownerReferences"]
    assert (owner["kind"], owner["uid"], owner["controller"]) == ("LeaderWorkerSet", lws["metadata"]["uid"], True)

    workers = stage.get(STATEFUL_SETS, f"{NAME}-1")
    identity = {"name": NAME, "group-index": "1", "group-key": "randomValue"}
    assert labels_of(workers) == labels_of(workers["spec"]["template"]) == {**identity, REVISION: key}
    assert annotations_of(workers["spec"]["template"]) == {"size": "2", "leader-name": f"{NAME}-1"}
    spec = workers["spec"]
    assert (spec["replicas"], spec["serviceName"], spec["ordinals"]) == (1, NAME, {"start": 1})
    assert spec["selector"] == {"matchLabels": {PREFIX + label: value for label, value in identity.items()}}
    (owner,) = workers["metadata"]["ownerReferences"]
    assert (owner["kind"], owner["name"], owner["blockOwnerDeletion"]) == ("Pod", f"{NAME}-1", True)

    service = stage.get(SERVICES, NAME)["spec"]
    assert (service["clusterIP"], service["publishNotReadyAddresses"]) == ("None", True)
    assert service["selector"] == {PREFIX + "name": NAME}
    assert "ports" not in service
    stage.says("GroupsProgressing", f"Created leader statefulset {NAME}")
    stage.says("GroupsProgressing", f"Created worker statefulset for leader pod {NAME}-0")
    stage.says("GroupsProgressing", f"Created worker statefulset for leader pod {NAME}-1")
    stage.says("GroupsProgressing", "Replicas are progressing, with 0 groups ready of total 2 groups")
    stage.says("CreatingRevision", f"Creating revision with key {key} for a newly created LeaderWorkerSet")


def test_a_set_is_scaled_up_down_and_to_zero_and_back(stage: Stage) -> None:
    stage.create()
    stage.edit(replicas=4)
    stage.make_leaders(2, 4)
    stage.sees(replicas=4, partition=0, worker_sets=workers_of(0, 1, 2, 3))
    stage.edit(replicas=3)
    stage.take_down(3, 4)
    stage.sees(replicas=3, worker_sets=workers_of(0, 1, 2))
    stage.edit(replicas=0)
    stage.take_down(0, 3)
    stage.sees(replicas=0, worker_sets=[])
    stage.edit(replicas=3)
    stage.make_leaders(0, 3)
    stage.sees(replicas=3, worker_sets=workers_of(0, 1, 2), true=PROGRESSING)


def test_a_set_of_no_groups_is_available(stage: Stage) -> None:
    stage.create(replicas=0)
    stage.sees(replicas=0, worker_sets=[], counts=(0, 0), true=AVAILABLE)


def test_groups_of_one_need_noworkers_of(stage: Stage) -> None:
    stage.create(template={"size": 1})
    stage.sees(replicas=2, worker_sets=[], true=PROGRESSING)
    stage.lead(0)
    stage.lead(1)
    stage.sees(counts=(2, 2), true=AVAILABLE, worker_sets=[])


def test_what_is_deleted_is_made_again(stage: Stage) -> None:
    stage.create()
    stage.sees(worker_sets=workers_of(0, 1), services=[NAME])
    for resource, name in ((STATEFUL_SETS, f"{NAME}-0"), (SERVICES, NAME), (STATEFUL_SETS, NAME)):
        uid = stage.get(resource, name)["metadata"]["uid"]
        stage.client.delete(stage.path(resource, name))
        stage.sees(worker_sets=workers_of(0, 1), services=[NAME], replicas=2)
        assert stage.get(resource, name)["metadata"]["uid"] != uid


def test_with_unique_subdomains_each_leader_owns_its_service_and_there_is_no_other(stage: Stage) -> None:
    stage.create(networkConfig={"subdomainPolicy": "UniquePerReplica"})
    stage.sees(services=workers_of(0, 1), worker_sets=workers_of(0, 1))
    for group in (0, 1):
        service = stage.get(SERVICES, f"{NAME}-{group}")
        (owner,) = service["metadata"]["ownerReferences"]
        assert owner["uid"] == stage.get(PODS, f"{NAME}-{group}")["metadata"]["uid"]
        assert service["spec"]["selector"] == {PREFIX + "name": NAME, PREFIX + "group-index": str(group)}
        assert stage.get(STATEFUL_SETS, f"{NAME}-{group}")["spec"]["serviceName"] == f"{NAME}-{group}"
    assert stage.leader_set["spec"]["serviceName"] == NAME
    assert annotations_of(stage.leader_set["spec"]["template"])["subdomainPolicy"] == "UniquePerReplica"


@pytest.mark.plane
def test_an_autoscaler_reads_and_writes_the_scale(plane_stage: Stage) -> None:
    stage = plane_stage
    stage.create()
    stage.sees(true=PROGRESSING)
    scale = stage.client.get(stage.path(SETS, NAME, "scale"))
    assert scale["spec"]["replicas"] == 2
    assert scale["status"]["selector"] == f"{PREFIX}name={NAME},{PREFIX}worker-index=0"
    stage.client.replace(stage.path(SETS, NAME, "scale"), {**scale, "spec": {"replicas": 3}})
    stage.sees(replicas=3)
    stage.change(STATEFUL_SETS, NAME, lambda leaders: leaders["status"].update({"replicas": 3}), "status")
    stage.sees(replicas=3)
    assert stage.client.get(stage.path(SETS, NAME, "scale"))["status"]["replicas"] == 3


def test_workers_of_an_exclusive_set_wait_for_the_leaders_node(stage: Stage) -> None:
    stage.create(annotations={PREFIX + "exclusive-topology": "cloud.google.com/gke-nodepool"})
    stage.sees(replicas=2, worker_sets=[])
    assert annotations_of(stage.leader_set["spec"]["template"])["exclusive-topology"] == "cloud.google.com/gke-nodepool"


def test_under_leader_ready_workers_come_with_their_ready_leader(stage: Stage) -> None:
    stage.create(replicas=4, startupPolicy="LeaderReady")
    stage.sees(worker_sets=[])
    stage.lead(0)
    stage.lead(1)
    stage.sees(worker_sets=workers_of(0, 1))
    stage.lead(2)
    stage.lead(3)
    stage.sees(worker_sets=workers_of(0, 1, 2, 3))


def test_claims_and_their_retention_reach_both_stateful_sets_and_stay_as_they_are(stage: Stage) -> None:
    claim = {
        "metadata": {"name": "data", "labels": {"not": "passed on"}},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1024Mi"}}},
    }
    retention = {"whenDeleted": "Delete"}
    stage.create(template={"volumeClaimTemplates": [claim], "persistentVolumeClaimRetentionPolicy": retention})
    stage.sees(worker_sets=workers_of(0, 1), true=PROGRESSING)
    for name in (NAME, f"{NAME}-0"):
        spec = stage.get(STATEFUL_SETS, name)["spec"]
        (made,) = spec["volumeClaimTemplates"]
        assert (made["metadata"]["name"], "labels" in made["metadata"]) == ("data", False)
        assert made["spec"]["accessModes"] == ["ReadWriteOnce"]
        assert spec["persistentVolumeClaimRetentionPolicy"] == {"whenDeleted": "Delete", "whenScaled": "Retain"}
    before = stage.versions()
    stage.sees(true=PROGRESSING)
    assert stage.versions() == before
    stage.edit(replicas=3)
    stage.sees(replicas=3)


def test_a_group_of_256_is_like_any_other(stage: Stage) -> None:
    stage.create(replicas=1, template={"size": 256})
    stage.ready(0)
    stage.sees(counts=(1, 1), true=AVAILABLE)
    assert stage.get(STATEFUL_SETS, f"{NAME}-0")["spec"]["replicas"] == 255


@pytest.mark.plane
def test_what_nobody_gave_has_the_apis_defaults_and_nothing_else_is_added(plane_stage: Stage) -> None:
    stage = plane_stage
    given = manifest()
    template = {"workerTemplate": given["spec"]["leaderWorkerTemplate"]["workerTemplate"]}
    stage.client.create(stage.path(SETS), {**given, "spec": {"leaderWorkerTemplate": template}})
    assert stage.set["spec"] == {
        "replicas": 1,
        "startupPolicy": "LeaderCreated",
        "leaderWorkerTemplate": {**template, "size": 1, "restartPolicy": "RecreateGroupOnPodRestart"},
        "networkConfig": {"subdomainPolicy": "Shared"},
        **rolling(),
    }


WHOLE = rolling()["rolloutStrategy"]


@pytest.mark.plane
@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ({"networkConfig": {"subdomainPolicy": None}}, {"networkConfig": {"subdomainPolicy": "Shared"}}),
        ({"networkConfig": None}, {"networkConfig": {"subdomainPolicy": "Shared"}}),
        ({"rolloutStrategy": {}}, {"rolloutStrategy": WHOLE}),
        ({"rolloutStrategy": {"type": ""}}, {"rolloutStrategy": WHOLE}),
        ({"rolloutStrategy": {"rollingUpdateConfiguration": {}}}, {"rolloutStrategy": WHOLE}),
        (
            rolling(partition=2, maxUnavailable=2, maxSurge="10%"),
            rolling(partition=2, maxUnavailable=2, maxSurge="10%"),
        ),
    ],
)
def test_what_is_given_in_part_is_made_whole(plane_stage: Stage, given: dict[str, Any], wanted: dict[str, Any]) -> None:
    made = plane_stage.client.create(plane_stage.path(SETS), manifest(**given), dryRun="All")
    assert wanted.items() <= made["spec"].items()


@pytest.mark.plane
@pytest.mark.parametrize(
    ("policy", "wanted"),
    [
        ("", "RecreateGroupOnPodRestart"),
        ("Default", "None"),
        ("None", "None"),
        ("RecreateGroupAfterStart", "RecreateGroupAfterStart"),
    ],
)
def test_restart_policies_old_and_new(plane_stage: Stage, policy: str, wanted: str) -> None:
    given = manifest(template={"restartPolicy": policy})
    made = plane_stage.client.create(plane_stage.path(SETS), given, dryRun="All")
    assert made["spec"]["leaderWorkerTemplate"]["restartPolicy"] == wanted
