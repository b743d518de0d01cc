"""Groups that a queue admits first, and groups that no LeaderWorkerSet asks for."""

from __future__ import annotations

from tests.scenarios.cluster import PODS, Body, Cluster, Condition
from tests.scenarios.conditions import all_groups_complete, is_gated, pods_are_running, pods_are_unbound
from tests.scenarios.manifests import OUR_SCHEDULER, PER_HOST, lws, pod

QUEUE = "quota.example/admission"
OURS = "lws-sched.io/group-placement"
LWS = "leaderworkerset.sigs.k8s.io/"


def pods_are_there(set_name: str, count: int) -> Condition:
    def missing(cluster: Cluster) -> str:
        found = len(cluster.pods(set_name))
        return "" if found == count else f"{found} of {count} pods"

    return missing


def admit(cluster: Cluster, set_name: str) -> None:
    """What a queue does: lift its gate."""
    for name, each in cluster.pods(set_name).items():
        left = [gate for gate in each["spec"]["schedulingGates"] if gate["name"] != QUEUE]
        cluster.merge(PODS, name, {"spec": {"schedulingGates": left}})


def test_a_group_behind_a_foreign_gate_is_planned_once_only_ours_is_left(cluster: Cluster) -> None:
    cluster.has_racks(1, hosts=4)
    cluster.apply(lws("queued", size=4).required().gated_by(QUEUE))
    cluster.eventually(pods_are_there("queued", 4))
    cluster.apply(lws("other", size=4).required())
    cluster.eventually(all_groups_complete("other"))
    assert cluster.records("queued") == {}
    cluster.delete_set("other")
    admit(cluster, "queued")
    cluster.eventually(all_groups_complete("queued"))


def test_a_set_with_a_queues_label_is_planned_from_its_leader(cluster: Cluster) -> None:
    cluster.has_racks(1, hosts=4)
    cluster.apply(lws("labelled", size=4).required().labelled("kueue.x-k8s.io/queue-name", "team"))
    cluster.eventually(all_groups_complete("labelled"))
    assert is_gated(cluster.history("Pod", "labelled-0")[0])


def member(index: int, size: int) -> Body:
    """A plain pod that says of itself which member of which group it is."""
    name = "plain-0" if index == 0 else f"plain-0-{index}"
    made = pod(name, accelerators=PER_HOST, scheduler=OUR_SCHEDULER)
    made["metadata"]["labels"] = {
        LWS + "name": "plain",
        LWS + "group-index": "0",
        LWS + "worker-index": str(index),
        LWS + "template-revision-hash": "1",
    }
    made["metadata"]["annotations"] |= {LWS + "size": str(size), "lws-sched.io/required-topology": "rack"}
    return made


def test_plain_pods_that_carry_the_labels_of_a_group_are_placed_as_one(cluster: Cluster) -> None:
    cluster.has_racks(3, hosts=4)
    fillers = cluster.fill(slice(0, 2), hosts=2)
    cluster.eventually(pods_are_running(fillers))
    members = [member(index, 4) for index in range(4)]
    cluster.create_all(PODS, members[:2])
    names = [each["metadata"]["name"] for each in members]
    cluster.always(pods_are_unbound(names), seconds=2)
    cluster.create_all(PODS, members[2:])
    cluster.eventually(pods_are_running(names))
    assert len(cluster.racks_of("plain")["plain-0"]) == 1


def test_a_pod_with_forged_labels_gets_no_slot_of_somebody_elses_group(cluster: Cluster) -> None:
    cluster.has_racks(1, hosts=4)
    cluster.apply(lws("plain", size=3).required())
    cluster.eventually(all_groups_complete("plain"))
    forged = member(3, 4)
    cluster.create(PODS, forged)
    beyond = member(0, 1)
    beyond["metadata"]["name"] = "plain-7"
    beyond["metadata"]["labels"][LWS + "group-index"] = "7"
    cluster.create(PODS, beyond)
    cluster.always(pods_are_unbound(["plain-0-3", "plain-7"]), seconds=3)
    for name in ("plain-0-3", "plain-7"):
        if cluster.find(PODS, name):  # a real StatefulSet adopts what bears such a name, and removes it
            cluster.delete(PODS, name)
