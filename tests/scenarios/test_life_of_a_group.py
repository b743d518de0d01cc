"""From the reservation to the end: what a group goes through when all is well, and when there is no room yet."""

from __future__ import annotations

from collections.abc import Callable

from tests.scenarios.cluster import PODS, RECORDS, SETS, Body, Cluster
from tests.scenarios.conditions import (
    all_groups_complete,
    is_gated,
    no_pod_is_bound,
    nothing_is_left_of,
    only_groups_are,
    pods_are_running,
    pods_are_unbound,
    records_are,
    says,
)
from tests.scenarios.manifests import PER_HOST, lws, pod

ALL_RACKS = slice(None)
AFFINITY = "requiredDuringSchedulingIgnoredDuringExecution"


def rv_of(body: Body) -> int:
    return int(body["metadata"]["resourceVersion"])


def first(history: list[Body], is_it: Callable[[Body], object]) -> Body:
    return next(each for each in history if is_it(each))


def committed_in(record: Body) -> dict[str, str]:
    return dict(record["status"].get("committed") or {})


def is_bound(pod: Body) -> bool:
    return bool(pod["spec"].get("nodeName"))


def test_the_same_manifest_without_our_scheduler_is_a_plain_leaderworkerset(cluster: Cluster) -> None:
    cluster.has_racks(3, hosts=4)
    cluster.apply(lws("plain", replicas=2, size=3).exclusive().on_default_scheduler())
    cluster.eventually(all_groups_complete("plain"))
    pods = cluster.pods("plain")
    assert all(each["spec"]["schedulerName"] == "default-scheduler" for each in pods.values())
    assert not any(map(is_gated, (line for name in pods for line in cluster.history("Pod", name))))
    for leader in ("plain-0", "plain-1"):
        affinity = pods[leader]["spec"]["affinity"]
        assert affinity["podAffinity"][AFFINITY]
        assert affinity["podAntiAffinity"][AFFINITY]
    assert cluster.records("plain") == {}
    assert cluster.find("apps/v1/statefulsets", "plain") is not None
    assert cluster.find("services", "plain") is not None


def test_a_cpu_only_leader_is_not_bound_before_its_group_is_committed(cluster: Cluster) -> None:
    cluster.has_racks(2, hosts=4)
    cluster.apply(lws("mixed", replicas=2, size=4).required().leader(accelerators=0))
    cluster.eventually(all_groups_complete("mixed"))
    for leader in ("mixed-0", "mixed-1"):
        commit = first(cluster.history("GroupPlacement", leader), committed_in)
        assert len(committed_in(commit)) == 4
        assert rv_of(commit) < rv_of(first(cluster.history("Pod", leader), is_bound))
    assert all(len(each) == 1 for each in cluster.racks_of("mixed").values())


def test_under_leader_ready_the_leader_commits_alone_and_the_workers_as_a_second_stage(cluster: Cluster) -> None:
    cluster.has_racks(2, hosts=4)
    cluster.apply(lws("ready", replicas=1, size=4).exclusive().leader().leader_ready())
    cluster.eventually(all_groups_complete("ready"))
    history = cluster.history("GroupPlacement", "ready-0")
    sizes = [len(committed_in(each)) for each in history]
    assert [size for index, size in enumerate(sizes) if size and size not in sizes[:index]] == [1, 4]
    reserved = first(history, lambda each: each["status"].get("state") == "Reserved")
    assert len(reserved["status"]["slots"]) == 4
    assert len(cluster.racks_of("ready")["ready-0"]) == 1


def test_a_group_of_256_comes_up_whole(cluster: Cluster) -> None:
    cluster.has_racks(1, hosts=256)
    cluster.apply(lws("big", replicas=1, size=256).exclusive())
    cluster.eventually(all_groups_complete("big"), within=120)
    assert len(cluster.uids("big")) == len(set(cluster.nodes_of("big").values())) == 256


def test_a_group_of_one_is_placed(cluster: Cluster) -> None:
    cluster.has_racks(1, hosts=4)
    cluster.apply(lws("single", replicas=4, size=1))
    cluster.eventually(all_groups_complete("single"))
    assert len(set(cluster.nodes_of("single").values())) == 4


def test_a_group_waits_whole_and_is_placed_once_there_is_room(cluster: Cluster) -> None:
    cluster.has_racks(1, hosts=4)
    fillers = cluster.fill(ALL_RACKS, hosts=1)
    cluster.apply(lws("patient", size=4).exclusive())
    cluster.eventually(records_are("Waiting", ["patient-0"]))
    cluster.eventually(says("patient", r"^group patient-0 waits: \S.*"))
    cluster.always(no_pod_is_bound("patient"), seconds=3)
    cluster.delete(PODS, fillers[0])
    cluster.eventually(all_groups_complete("patient"))


def test_scaling_and_deleting_leave_records_of_exactly_the_groups_there_are(cluster: Cluster) -> None:
    cluster.has_racks(4, hosts=4)
    cluster.apply(lws("elastic", replicas=1, size=4).exclusive())
    cluster.eventually(all_groups_complete("elastic"))
    before = cluster.uids("elastic")

    cluster.scale("elastic", 4)
    cluster.eventually(all_groups_complete("elastic"))
    assert before.items() <= cluster.uids("elastic").items()

    cluster.scale("elastic", 2)
    cluster.eventually(only_groups_are("elastic", ["elastic-0", "elastic-1"]))
    cluster.apply(lws("successor", replicas=2, size=4).exclusive())
    cluster.eventually(all_groups_complete("elastic", "successor"))

    cluster.delete_set("elastic")
    cluster.eventually(nothing_is_left_of("elastic"))
    assert cluster.find(SETS, "elastic") is None
    assert len(cluster.all(RECORDS)) == 2


def test_other_pods_do_not_take_the_slots_of_a_group_that_restarts(cluster: Cluster) -> None:
    cluster.has_racks(1, hosts=4)
    cluster.apply(lws("stable", size=4).exclusive())
    cluster.eventually(all_groups_complete("stable"))
    before = cluster.uids("stable")
    rivals = [pod(f"rival-{number}", accelerators=PER_HOST) for number in range(6)]
    cluster.create_all(PODS, rivals)
    names = [each["metadata"]["name"] for each in rivals]
    cluster.always(pods_are_unbound(names), seconds=1)

    cluster.delete_pod("stable-0-2")
    cluster.eventually(all_groups_complete("stable", other_than=before))
    cluster.always(pods_are_unbound(names), seconds=1)

    cluster.delete_set("stable")
    cluster.eventually(nothing_is_left_of("stable"))
    cluster.eventually(lambda each: "" if sum(map(is_bound, each.all(PODS))) == 4 else "not four rivals are bound")


def test_other_pods_use_what_a_group_leaves_free(cluster: Cluster) -> None:
    cluster.has_racks(1, hosts=4)
    cluster.apply(lws("half", size=4).required().accelerators(4))
    cluster.create_all(PODS, [pod(f"small-{number}", accelerators=4) for number in range(4)])
    cluster.eventually(all_groups_complete("half"))
    cluster.eventually(pods_are_running([f"small-{number}" for number in range(4)]))


def test_under_restart_policy_none_a_deleted_worker_returns_alone_to_its_own_slot(cluster: Cluster) -> None:
    cluster.has_racks(2, hosts=4)
    cluster.apply(lws("tough", replicas=1, size=4).exclusive().restart_policy("None"))
    cluster.eventually(all_groups_complete("tough"))
    nodes, uids = cluster.nodes_of("tough"), cluster.uids("tough")
    cluster.delete_pod("tough-0-2")
    cluster.eventually(all_groups_complete("tough", other_than={"tough-0-2": uids["tough-0-2"]}))
    assert cluster.nodes_of("tough") == nodes
    assert {name for name, uid in cluster.uids("tough").items() if uid != uids[name]} == {"tough-0-2"}


def test_under_restart_policy_none_two_workers_deleted_together_return_and_the_others_stay(cluster: Cluster) -> None:
    cluster.has_racks(2, hosts=4)
    cluster.apply(lws("tough", replicas=1, size=4).exclusive().restart_policy("None"))
    cluster.eventually(all_groups_complete("tough"))
    nodes, uids = cluster.nodes_of("tough"), cluster.uids("tough")
    lost = ("tough-0-1", "tough-0-3")
    for name in lost:
        cluster.delete_pod(name)
    cluster.eventually(all_groups_complete("tough", other_than={name: uids[name] for name in lost}))
    assert cluster.nodes_of("tough") == nodes
    assert {name for name, uid in cluster.uids("tough").items() if uid != uids[name]} == set(lost)
