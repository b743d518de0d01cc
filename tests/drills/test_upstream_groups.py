"""Groups that another LeaderWorkerSet controller makes: with exclusive-topology it gives the leader pod affinity, and
creates the workers only once that leader is scheduled. The test does what that controller and its pod webhook do."""

from __future__ import annotations

import pytest

from lws_sched.extender import life
from tests.controlplane.nodes import RACK_LABEL
from tests.drills.sabotage import Breakable
from tests.scenarios.cluster import EXTENDER, GROUP_INDEX, PODS, SET_NAME, STATEFUL_SETS, WORKER_INDEX, Body, Cluster
from tests.scenarios.conditions import all_groups_complete, no_pod_is_bound, records_are
from tests.scenarios.manifests import ACCELERATOR, OUR_SCHEDULER, PER_HOST, lws, pod_template

LWS = "leaderworkerset.sigs.k8s.io/"
SIZE, REVISION = 2, "upstreams-own-hash"


def the_set(cluster: Breakable) -> Body:
    """The object as the other controller's webhook leaves it."""
    body = lws("up", size=SIZE).exclusive().body
    body["spec"] |= {
        "startupPolicy": "LeaderCreated",
        "rolloutStrategy": {
            "type": "RollingUpdate",
            "rollingUpdateConfiguration": {"partition": 0, "maxUnavailable": 1, "maxSurge": 0},
        },
    }
    body["spec"]["leaderWorkerTemplate"]["restartPolicy"] = "RecreateGroupOnPodRestart"
    return cluster.create("leaderworkerset.x-k8s.io/v1/leaderworkersets", body)


def stateful_set(name: str, owner: Body, first: int, labels: Body, affinity: Body | None = None) -> Body:
    template = pod_template({ACCELERATOR: str(PER_HOST)})
    everywhere = {SET_NAME: "up", GROUP_INDEX: "0", f"{LWS}group-key": "key", f"{LWS}template-revision-hash": REVISION}
    annotations = {f"{LWS}size": str(SIZE), f"{LWS}exclusive-topology": RACK_LABEL}
    template["metadata"] = {"labels": {**everywhere, **labels}, "annotations": annotations}
    template["spec"] |= {"schedulerName": OUR_SCHEDULER, **({"affinity": affinity} if affinity else {})}
    reference = {each: owner[each] for each in ("apiVersion", "kind")}
    reference |= {each: owner["metadata"][each] for each in ("name", "uid")}
    return {
        "apiVersion": "apps/v1",
        "kind": "StatefulSet",
        "metadata": {"name": name, "labels": {SET_NAME: "up"}, "ownerReferences": [{**reference, "controller": True}]},
        "spec": {
            "replicas": 1,
            "serviceName": "up",
            "podManagementPolicy": "Parallel",
            "ordinals": {"start": first},
            "selector": {"matchLabels": labels},
            "template": template,
        },
    }


def leaders(owner: Body) -> Body:
    own = [{"key": f"{LWS}group-key", "operator": "In", "values": ["key"]}]
    term = {"topologyKey": RACK_LABEL, "labelSelector": {"matchExpressions": own}}
    affinity = {"podAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [term]}}
    return stateful_set("up", owner, 0, {WORKER_INDEX: "0"}, affinity)


def workers(cluster: Breakable) -> Body:
    leader = {"apiVersion": "v1", "kind": "Pod", **(cluster.find(PODS, "up-0") or {})}
    return stateful_set("up-0", leader, 1, {WORKER_INDEX: "1"})


def leader_is_scheduled(cluster: Cluster) -> str:
    leader = cluster.find(PODS, "up-0")
    return "" if leader and leader["spec"].get("nodeName") else "the leader has no node"


@pytest.mark.parametrize("dies", [False, True], ids=["", "the extender dies in between"])
def test_the_leader_is_bound_first_and_its_workers_follow_to_the_slots_that_were_kept(
    uncontrolled: Breakable, dies: bool
) -> None:
    uncontrolled.has_racks(2, hosts=SIZE)
    owner = the_set(uncontrolled)
    uncontrolled.eventually(records_are("Reserved", ["up-0"]))
    uncontrolled.create(STATEFUL_SETS, leaders(owner))
    uncontrolled.eventually(leader_is_scheduled)
    if dies:
        uncontrolled.crash(EXTENDER)
        uncontrolled.start(EXTENDER)
    uncontrolled.create(STATEFUL_SETS, workers(uncontrolled))
    uncontrolled.eventually(all_groups_complete("up"))
    assert len(uncontrolled.racks_of("up")["up-0"]) == 1
    assert list((uncontrolled.record("up-0") or {})["status"]["slots"]) == list(uncontrolled.nodes_of("up").values())


def test_a_leader_whose_workers_nobody_had_the_time_to_make_keeps_its_place(uncontrolled: Breakable) -> None:
    """Who brings up thousands of pods at once is minutes behind with them. To take down who waits makes it worse."""
    uncontrolled.has_racks(2, hosts=SIZE)
    owner = the_set(uncontrolled)
    uncontrolled.eventually(records_are("Reserved", ["up-0"]))
    uncontrolled.create(STATEFUL_SETS, stateful_set("up", owner, 0, {WORKER_INDEX: "0"}))
    uncontrolled.eventually(lambda each: "" if each.find(PODS, "up-0") else "no leader")
    before, slots = uncontrolled.uids("up"), (uncontrolled.record("up-0") or {})["status"]["slots"]
    uncontrolled.always(no_pod_is_bound("up"), seconds=life.MISSING_SECONDS + 5)
    uncontrolled.create(STATEFUL_SETS, workers(uncontrolled))
    uncontrolled.eventually(all_groups_complete("up"), within=60)
    assert before.items() <= uncontrolled.uids("up").items(), "the leader was taken down"
    assert list(uncontrolled.nodes_of("up").values()) == list(slots)
