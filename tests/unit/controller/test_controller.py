"""The controller over a small cluster: what it creates, when it acts, and when it leaves things alone."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest

from lws_sched.api import names
from lws_sched.api.core import CONTROLLER_REVISION, NODE, POD, SERVICE, STATEFUL_SET
from lws_sched.api.lws import LEADER_WORKER_SET
from lws_sched.api.placement import GROUP_PLACEMENT
from lws_sched.kube.errors import Conflict, Unavailable
from tests.unit.controller.scene import KEY, SELECTOR, SET, Scene, owner_of, status_of
from tests.unit.controller.tiny import TinyCluster, only


# --- what is created -------------------------------------------------------------------------------------------------
def test_a_new_set_gets_its_revision_leader_set_service_and_status() -> None:
    scene = Scene()
    assert scene.cluster.names(CONTROLLER_REVISION) == [f"{SET}-{KEY}-1"]
    leader_set = scene.leader_set
    assert leader_set["metadata"]["labels"] == SELECTOR | {names.REVISION: KEY}
    assert leader_set["metadata"]["annotations"] == {names.REPLICAS: "2"}
    assert only(leader_set["metadata"]["ownerReferences"]) == {
        "apiVersion": "leaderworkerset.x-k8s.io/v1",
        "kind": "LeaderWorkerSet",
        "name": SET,
        "uid": "lws-uid",
        "controller": True,
        "blockOwnerDeletion": True,
    }
    spec = leader_set["spec"]
    template = spec.pop("template")
    assert spec == {
        "serviceName": SET,
        "replicas": 2,
        "podManagementPolicy": "Parallel",
        "selector": {"matchLabels": SELECTOR | {names.WORKER_INDEX: "0"}},
        "updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"partition": 0, "maxUnavailable": 1}},
    }
    assert template["metadata"]["labels"] == SELECTOR | {names.WORKER_INDEX: "0", names.REVISION: KEY}
    assert template["metadata"]["annotations"] == {names.SIZE: "2"}
    service = scene.cluster.named(SERVICE, SET)
    assert service["spec"] == {"clusterIP": "None", "publishNotReadyAddresses": True, "selector": SELECTOR}
    assert scene.conditions() == {"Progressing": "True"}
    assert scene.notes == [
        f"Creating revision with key {KEY} for a newly created LeaderWorkerSet",
        f"Created leader statefulset {SET}",
        "Replicas are progressing, with 0 groups ready of total 2 groups",
    ]


def test_a_leader_gets_its_workers() -> None:
    scene = Scene()
    scene.leader(0)
    workers = scene.cluster.named(STATEFUL_SET, f"{SET}-0")
    identity = SELECTOR | {names.GROUP_INDEX: "0", names.GROUP_KEY: "randomValue"}
    assert workers["metadata"]["labels"] == identity | {names.REVISION: KEY}
    assert (
        only(workers["metadata"]["ownerReferences"])["uid"] == scene.cluster.named(POD, f"{SET}-0")["metadata"]["uid"]
    )
    spec = workers["spec"]
    template = spec.pop("template")
    assert spec == {
        "serviceName": SET,
        "replicas": 1,
        "podManagementPolicy": "Parallel",
        "ordinals": {"start": 1},
        "selector": {"matchLabels": identity},
    }
    assert template["metadata"]["labels"] == identity | {names.REVISION: KEY}
    assert template["metadata"]["annotations"] == {names.SIZE: "2", names.LEADER_NAME: f"{SET}-0"}
    assert f"Created worker statefulset for leader pod {SET}-0" in scene.notes


def test_a_group_of_one_has_no_workers_and_its_leader_is_enough() -> None:
    scene = Scene(replicas=1, template={"size": 1})
    scene.leader(0, ready=True)
    assert scene.cluster.names(STATEFUL_SET) == [SET]
    assert scene.conditions() == {"Progressing": "False", "Available": "True"}


def test_with_unique_subdomains_every_group_has_its_service() -> None:
    scene = Scene(networkConfig={"subdomainPolicy": "UniquePerReplica"})
    scene.leader(0)
    scene.leader(1)
    assert scene.cluster.names(SERVICE) == [f"{SET}-0", f"{SET}-1"]
    service = scene.cluster.named(SERVICE, f"{SET}-1")
    assert service["spec"]["selector"] == SELECTOR | {names.GROUP_INDEX: "1"}
    assert only(service["metadata"]["ownerReferences"])["kind"] == "Pod"
    assert scene.cluster.named(STATEFUL_SET, f"{SET}-1")["spec"]["serviceName"] == f"{SET}-1"


def test_workers_wait_for_a_ready_leader_where_asked() -> None:
    scene = Scene(startupPolicy="LeaderReady")
    scene.leader(0)
    assert scene.cluster.names(STATEFUL_SET) == [SET]
    scene.leader(0, ready=True)
    assert scene.cluster.names(STATEFUL_SET) == [SET, f"{SET}-0"]


def test_exclusive_workers_follow_their_leader_to_its_domain() -> None:
    scene = Scene(annotations={names.EXCLUSIVE_TOPOLOGY: "rack"})
    scene.cluster.put(NODE, {"metadata": {"name": "n1", "labels": {"rack": "r7"}}})
    scene.leader(0)
    assert scene.cluster.names(STATEFUL_SET) == [SET]
    scene.leader(0, nodeName="n1")
    template = scene.cluster.named(STATEFUL_SET, f"{SET}-0")["spec"]["template"]
    assert template["spec"]["nodeSelector"] == {"rack": "r7"}
    assert template["metadata"]["annotations"][names.EXCLUSIVE_TOPOLOGY] == "rack"


def test_an_empty_topology_is_none_asked_for() -> None:
    scene = Scene(annotations={names.EXCLUSIVE_TOPOLOGY: ""})
    scene.leader(0)
    assert "nodeSelector" not in scene.cluster.named(STATEFUL_SET, f"{SET}-0")["spec"]["template"]["spec"]


def test_a_group_may_have_256_members() -> None:
    scene = Scene(template={"size": 256})
    scene.leader(0)
    assert scene.cluster.named(STATEFUL_SET, f"{SET}-0")["spec"]["replicas"] == 255


def test_exclusive_workers_of_lws_sched_do_not_wait() -> None:
    scene = Scene(annotations={names.EXCLUSIVE_TOPOLOGY: "rack"})
    scene.leader(0, schedulerName=names.SCHEDULER)
    assert "nodeSelector" not in scene.cluster.named(STATEFUL_SET, f"{SET}-0")["spec"]["template"]["spec"]


def test_a_leader_on_a_node_without_the_label_is_told_to_the_user_and_tried_again() -> None:
    scene = Scene(annotations={names.EXCLUSIVE_TOPOLOGY: "rack"})
    scene.cluster.put(NODE, {"metadata": {"name": "n1"}})
    scene.leader(0, nodeName="n1")
    assert "its node n1 is gone or has no label rack" in scene.notes[-1]
    assert scene.runtime.queues["groups"].waiting[f"default/{SET}-0"] > 0


def test_a_leader_on_a_node_that_is_gone_is_told_to_the_user_and_tried_again() -> None:
    scene = Scene(annotations={names.EXCLUSIVE_TOPOLOGY: "rack"})
    scene.leader(0, nodeName="n1")
    assert "its node n1 is gone or has no label rack" in scene.notes[-1]
    assert scene.runtime.queues["groups"].waiting[f"default/{SET}-0"] > 0


def test_workers_are_not_created_while_pods_of_their_names_are_left() -> None:
    scene = Scene()
    scene.leader(0)
    scene.worker(f"{SET}-0-1")
    scene.lose_leader(0)
    scene.leader(0)
    assert scene.cluster.names(STATEFUL_SET) == [SET]
    scene.cluster.remove(POD, f"{SET}-0-1")
    scene.runtime.settle()
    assert scene.cluster.names(STATEFUL_SET) == [SET, f"{SET}-0"]


def test_pods_that_nobody_deletes_are_not_waited_for_for_ever() -> None:
    """Where no garbage collector runs, as in many suites for this API."""
    scene = Scene()
    scene.leader(0)
    scene.worker(f"{SET}-0-1")
    scene.cluster.remove(STATEFUL_SET, f"{SET}-0")
    scene.runtime.settle()
    assert scene.cluster.names(STATEFUL_SET) == [SET]
    assert scene.runtime.queues["groups"].waiting[f"default/{SET}-0"] == 5.0
    scene.cluster.uptime += 5.0
    scene.runtime.queues["groups"].add(f"default/{SET}-0")
    scene.runtime.settle()
    assert scene.cluster.names(STATEFUL_SET) == [SET, f"{SET}-0"]


def test_workers_that_their_leader_owns_itself_are_not_waited_for() -> None:
    scene = Scene()
    scene.leader(0)
    leader = scene.cluster.named(POD, f"{SET}-0")
    owner = owner_of("Pod", leader) | {"apiVersion": "v1"}
    meta = {"name": f"{SET}-0-1", "labels": leader["metadata"]["labels"] | {names.WORKER_INDEX: "1"}}
    scene.cluster.put(POD, {"metadata": {**meta, "ownerReferences": [owner]}, "spec": {}, "status": status_of(True)})
    scene.cluster.remove(STATEFUL_SET, f"{SET}-0")
    scene.runtime.settle()
    assert scene.cluster.names(STATEFUL_SET) == [SET, f"{SET}-0"]


def test_no_workers_are_made_for_a_leader_that_has_gone_before_we_hear_of_it() -> None:
    """The garbage collector takes the workers' StatefulSet, and its watch is ahead of the pods'."""
    scene = Scene()
    scene.leader(0)
    scene.cluster.remove(POD, f"{SET}-0")
    scene.cluster.remove(STATEFUL_SET, f"{SET}-0")
    scene.cluster.writes.clear()
    scene.runtime.hear_of(STATEFUL_SET)
    scene.runtime.settle()
    assert [write for write in scene.cluster.writes if f"{SET}-0" in write] == []


@pytest.mark.parametrize(
    ("kind", "name"),
    [(STATEFUL_SET, f"{SET}-0"), (STATEFUL_SET, SET), (SERVICE, SET)],
    ids=["workers", "leaders", "service"],
)
def test_what_is_deleted_comes_back(kind: Any, name: str) -> None:
    scene = Scene()
    scene.leader(0)
    scene.cluster.remove(kind, name)
    scene.runtime.settle()
    assert name in scene.cluster.names(kind)


# --- when nothing is to do -------------------------------------------------------------------------------------------
def test_a_restarted_controller_writes_nothing_when_nothing_changed() -> None:
    scene = Scene()
    for index in (0, 1):
        scene.leader(index)
    scene.become_ready(0, 1)
    scene.restart()
    assert scene.cluster.writes == []
    assert scene.notes == []


def test_drift_of_the_leader_set_is_undone() -> None:
    scene = Scene()
    drifted = deepcopy(scene.leader_set)
    drifted["spec"]["template"]["spec"]["containers"][0]["image"] = "other"
    scene.cluster.put(STATEFUL_SET, drifted)
    scene.runtime.settle()
    assert scene.leader_set["spec"]["template"]["spec"]["containers"][0]["image"] != "other"


def test_a_set_that_is_being_deleted_is_left_to_the_garbage_collector() -> None:
    scene = Scene()
    meta = {**scene.lws["metadata"], "deletionTimestamp": "2026-01-01T12:00:00Z"}
    scene.cluster.put(LEADER_WORKER_SET, {**scene.lws, "metadata": meta})
    scene.cluster.remove(STATEFUL_SET, SET)
    scene.runtime.settle()
    assert scene.cluster.names(STATEFUL_SET) == []


def test_a_stranger_with_the_leader_sets_name_is_not_taken_over() -> None:
    scene = Scene()
    stranger = deepcopy(scene.leader_set)
    stranger["metadata"]["ownerReferences"] = [{"kind": "Other", "name": "x", "uid": "u", "controller": True}]
    scene.cluster.put(STATEFUL_SET, stranger)
    scene.cluster.writes.clear()
    scene.runtime.settle()
    assert scene.cluster.writes == []
    assert "belongs to Other x" in scene.notes[-1]


# --- status ----------------------------------------------------------------------------------------------------------
def test_readiness_and_scale_are_told_in_conditions_and_events() -> None:
    scene = Scene()
    for index in (0, 1):
        scene.leader(index)
    scene.become_ready(0, 1)
    assert scene.conditions() == {"Progressing": "False", "Available": "True"}
    assert scene.notes[-1] == "All replicas are ready, with 2 groups ready of total 2 groups"
    assert scene.lws["status"]["readyReplicas"] == scene.lws["status"]["updatedReplicas"] == 2
    scene.edit(replicas=3)
    assert scene.leader_set["spec"]["replicas"] == 3
    assert scene.conditions() == {"Progressing": "True", "Available": "False"}
    assert scene.notes[-1] == "Replicas are progressing, with 2 groups ready of total 3 groups"
    assert {each["observedGeneration"] for each in scene.lws["status"]["conditions"]} == {
        scene.lws["metadata"]["generation"]
    }


# --- restarts --------------------------------------------------------------------------------------------------------
def _running(**template: Any) -> Scene:
    scene = Scene(replicas=1, template=template)
    scene.leader(0, ready=True)
    scene.worker(f"{SET}-0-1")
    scene.cluster.writes.clear()
    return scene


RECREATED = f"Worker pod {SET}-0-1 failed, deleted leader pod {SET}-0 to recreate group 0"


def test_a_restarted_container_recreates_the_group_through_its_leader() -> None:
    scene = _running()
    scene.worker(f"{SET}-0-1", containerStatuses=[{"name": "worker", "restartCount": 1}])
    assert scene.cluster.writes == [f"delete-Foreground Pod {SET}-0"]
    assert ("Normal", "RecreateGroup", "Delete", RECREATED) in scene.runtime.recorded.events


def test_events_name_the_revision_or_the_pod_that_has_part_in_them() -> None:
    scene = Scene()
    scene.leader(0)
    scene.worker(f"{SET}-0-1", containerStatuses=[{"name": "worker", "restartCount": 1}])
    related = {note: (other["kind"], other["name"]) for note, other in scene.runtime.recorded.related.items() if other}
    assert related == {
        f"Creating revision with key {KEY} for a newly created LeaderWorkerSet": (
            "ControllerRevision",
            f"{SET}-{KEY}-1",
        ),
        f"Created worker statefulset for leader pod {SET}-0": ("Pod", f"{SET}-0"),
        f"Worker pod {SET}-0-1 failed, deleted leader pod {SET}-0 to recreate group 0": ("Pod", f"{SET}-0-1"),
    }


def test_a_force_deleted_worker_recreates_the_group_and_once_only() -> None:
    scene = _running()
    scene.cluster.remove(POD, f"{SET}-0-1")
    scene.runtime.settle()
    assert scene.cluster.writes == [f"delete-Foreground Pod {SET}-0"]
    scene.lose_leader(0)
    scene.leader(0, ready=True)
    assert scene.notes.count(RECREATED) == 1
    assert scene.cluster.writes.count(f"delete-Foreground Pod {SET}-0") == 1


@pytest.mark.parametrize(
    ("before", "policy", "is_recreated"),
    [
        pytest.param("another-uid", "RecreateGroupOnPodRestart", True, id="in place of one that was bound"),
        pytest.param("its-uid", "RecreateGroupOnPodRestart", False, id="only in our late copy"),
        pytest.param("", "RecreateGroupOnPodRestart", False, id="the first of its name"),
        pytest.param("another-uid", "None", False, id="and nobody is to be recreated"),
    ],
)
def test_a_worker_behind_the_gate_of_a_bound_group_stands_for_one_that_went_while_nobody_watched(
    before: str, policy: str, is_recreated: bool
) -> None:
    scene = _running(restartPolicy=policy)
    leader, worker = (deepcopy(scene.cluster.named(POD, f"{SET}-0{end}")) for end in ("", "-1"))
    status = {"state": "Bound", "leaderUID": leader["metadata"]["uid"], "committed": {f"{SET}-0-1": before}}
    placement = {"metadata": {"name": f"{SET}-0"}, "spec": {"leaderWorkerSet": SET}, "status": status}
    scene.cluster.put(GROUP_PLACEMENT, placement)
    leader["spec"] |= {"nodeName": "n0"}
    worker["metadata"]["uid"] = "its-uid"
    worker["spec"] = {"schedulingGates": [{"name": names.GATE}]}
    for body in (leader, worker):
        scene.cluster.put(POD, body)
    scene.restart()
    assert scene.cluster.writes == [f"delete-Foreground Pod {SET}-0"] * is_recreated


def test_workers_that_go_with_their_stateful_set_recreate_nothing() -> None:
    scene = _running()
    scene.cluster.remove(STATEFUL_SET, f"{SET}-0")
    scene.cluster.remove(POD, f"{SET}-0-1")
    scene.runtime.settle()
    assert f"create StatefulSet {SET}-0" in scene.cluster.writes
    assert f"delete-Foreground Pod {SET}-0" not in scene.cluster.writes


def test_without_a_restart_policy_a_lost_worker_is_the_stateful_sets_concern() -> None:
    scene = _running(restartPolicy="None")
    scene.cluster.remove(POD, f"{SET}-0-1")
    scene.runtime.settle()
    assert scene.cluster.writes == []


# --- rolling update --------------------------------------------------------------------------------------------------
def _roll(scene: Scene, index: int) -> None:
    """The StatefulSet controller replaces one leader, and the group becomes ready."""
    scene.lose_leader(index)
    scene.leader(index)
    scene.become_ready(index)


def test_a_rollout_goes_from_the_last_group_to_the_first_and_forgets_the_old_revision() -> None:
    scene = Scene(replicas=4)
    for index in range(4):
        scene.leader(index)
    scene.become_ready(0, 1, 2, 3)
    scene.edit(template={"workerTemplate": {"spec": {"containers": [{"name": "worker", "image": "new"}]}}})
    assert len(scene.cluster.names(CONTROLLER_REVISION)) == 2
    seen = [_partition(scene)]
    assert scene.conditions() == {"Progressing": "True", "Available": "False", "UpdateInProgress": "True"}
    for index in (3, 2, 1, 0):
        _roll(scene, index)
        seen.append(_partition(scene))
    assert seen == [3, 2, 1, 0, 0]
    assert scene.conditions() == {"Progressing": "False", "Available": "True", "UpdateInProgress": "False"}
    assert len(scene.cluster.names(CONTROLLER_REVISION)) == 1
    assert [note for note in scene.notes if note.startswith("Updating")] == [
        "Updating replica 3",
        "Updating replica 2",
        "Updating replica 1",
        "Updating replica 0",
    ]


def test_a_group_below_the_partition_comes_back_at_its_old_revision() -> None:
    scene = Scene(replicas=2)
    for index in (0, 1):
        scene.leader(index)
    scene.become_ready(0, 1)
    old = deepcopy(scene.leader_set["spec"]["template"])
    scene.edit(template={"size": 4, "workerTemplate": {"spec": {"containers": [{"name": "worker", "image": "new"}]}}})
    scene.lose_leader(0)
    meta = {**old["metadata"], "name": f"{SET}-0", "labels": old["metadata"]["labels"] | {names.GROUP_INDEX: "0"}}
    scene.cluster.put(POD, {"metadata": meta, "spec": old["spec"], "status": status_of(False)})
    scene.runtime.settle()
    workers = scene.cluster.named(STATEFUL_SET, f"{SET}-0")
    assert workers["spec"]["replicas"] == 1
    assert workers["spec"]["template"]["metadata"]["annotations"][names.SIZE] == "2"
    assert workers["spec"]["template"]["spec"]["containers"][0]["image"] != "new"
    assert workers["metadata"]["labels"][names.REVISION] == KEY


@pytest.mark.parametrize("is_heard_of_first", [True, False], ids=["in order", "the set's watch ahead of the pods'"])
def test_a_leader_that_is_given_another_revision_in_place_gets_workers_of_it(is_heard_of_first: bool) -> None:
    """Suites without a StatefulSet controller relabel a leader and delete its workers to play its replacement."""
    scene = Scene(replicas=1)
    scene.leader(0)
    scene.become_ready(0)
    scene.edit(template={"size": 4})
    key = scene.leader_set["metadata"]["labels"][names.REVISION]
    leader = deepcopy(scene.cluster.named(POD, f"{SET}-0"))
    leader["metadata"]["labels"][names.REVISION] = key
    scene.cluster.put(POD, leader)
    if is_heard_of_first:
        scene.runtime.settle()
        assert scene.cluster.named(STATEFUL_SET, f"{SET}-0")["metadata"]["labels"][names.REVISION] == KEY
    scene.cluster.remove(STATEFUL_SET, f"{SET}-0")
    scene.runtime.hear_of(STATEFUL_SET)
    scene.runtime.settle()
    workers = scene.cluster.named(STATEFUL_SET, f"{SET}-0")
    assert (workers["metadata"]["labels"][names.REVISION], workers["spec"]["replicas"]) == (key, 3)
    scene.become_ready(0)
    assert scene.conditions() == {"Progressing": "False", "Available": "True", "UpdateInProgress": "False"}


def test_surge_groups_come_first_and_are_given_back_last() -> None:
    scene = Scene(replicas=2, rolloutStrategy=_surging())
    for index in (0, 1):
        scene.leader(index)
    scene.become_ready(0, 1)
    scene.edit(template={"workerTemplate": {"spec": {"containers": [{"name": "worker", "image": "new"}]}}})
    assert (scene.leader_set["spec"]["replicas"], _partition(scene)) == (3, 2)
    scene.leader(2)
    scene.become_ready(2)
    for index in (1, 0):
        _roll(scene, index)
    assert (scene.leader_set["spec"]["replicas"], _partition(scene)) == (2, 0)
    assert f"deleting surge replica {SET}-2" in scene.notes


def test_going_back_to_a_former_template_takes_its_revision_again() -> None:
    scene = Scene()
    before = deepcopy(scene.lws["spec"]["leaderWorkerTemplate"])
    scene.leader(0)
    scene.edit(template={"size": 3})
    scene.edit(template=before)
    assert scene.leader_set["metadata"]["labels"][names.REVISION] == KEY
    assert len(scene.cluster.names(CONTROLLER_REVISION)) == 2


def test_a_missing_revision_is_made_again_under_the_leader_sets_key() -> None:
    scene = Scene()
    renamed = deepcopy(scene.leader_set)
    renamed["metadata"]["labels"][names.REVISION] = "template-hash"
    scene.cluster.put(STATEFUL_SET, renamed)
    scene.runtime.settle()
    made = scene.cluster.named(CONTROLLER_REVISION, f"{SET}-{KEY}-2")
    assert made["metadata"]["labels"][names.REVISION] == "template-hash"
    assert scene.leader_set["spec"]["template"]["metadata"]["labels"][names.REVISION] == "template-hash"


def _partition(scene: Scene) -> int:
    return int(scene.leader_set["spec"]["updateStrategy"]["rollingUpdate"]["partition"])


def _surging() -> dict[str, Any]:
    configuration = {"partition": 0, "maxUnavailable": 0, "maxSurge": 1}
    return {"type": "RollingUpdate", "rollingUpdateConfiguration": configuration}


# --- refusals --------------------------------------------------------------------------------------------------------
def test_a_conflict_is_tried_again_soon_and_in_silence() -> None:
    scene = Scene()
    scene.cluster.refuse[f"merge-status LeaderWorkerSet {SET}"] = Conflict("moved on")
    scene.edit(replicas=3)
    assert scene.runtime.queues["sets"].waiting == {f"default/{SET}": 1.0}
    assert not any("moved on" in note for note in scene.notes)


def test_a_failed_write_is_told_to_the_user_and_raised_for_the_back_off() -> None:
    scene = Scene()
    scene.cluster.refuse[f"apply StatefulSet {SET}"] = Unavailable("etcd is slow")
    with pytest.raises(Unavailable):
        scene.edit(replicas=3)
    event = ("Warning", "FailedUpdate", "Update", f"Failed to update leader statefulset {SET}: etcd is slow")
    assert event in scene.runtime.recorded.events


class _Forgetful(TinyCluster):
    """An API server that drops a field in silence, as one does for features that are switched off."""

    def put(self, kind: Any, body: Any) -> dict[str, Any]:
        stored = deepcopy(dict(body))
        if stored["metadata"]["name"] == SET and "template" in stored.get("spec", {}):
            stored["spec"]["template"]["spec"].pop("hostUsers", None)
        return super().put(kind, stored)


def test_a_field_that_the_api_server_drops_is_not_applied_again_and_again() -> None:
    scene = Scene()
    scene.cluster = _Forgetful()
    scene.create(template={"leaderTemplate": {"spec": {"hostUsers": False, "containers": []}}})
    scene.restart()
    scene.cluster.writes.clear()
    scene.leader(0)
    assert f"apply StatefulSet {SET}" not in scene.cluster.writes
    scene.edit(replicas=3)
    assert scene.cluster.writes.count(f"apply StatefulSet {SET}") == 1


def test_a_set_that_cannot_be_versioned_is_told_to_the_user_and_the_others_go_on() -> None:
    requests = {"resources": {"requests": {"cpu": "1e1.5"}}}
    scene = Scene(template={"workerTemplate": {"spec": {"containers": [{"name": "w", "image": "i", **requests}]}}})
    assert scene.notes == [
        "Failed to create revision: spec.leaderWorkerTemplate.workerTemplate.spec.containers.resources.requests: "
        "'1e1.5' is not a Kubernetes quantity such as 500m, 8 or 16Gi; correct it"
    ]
    scene.edit(template={"workerTemplate": {"spec": {"containers": [{"name": "w", "image": "i"}]}}})
    assert scene.cluster.names(STATEFUL_SET) == [SET]
