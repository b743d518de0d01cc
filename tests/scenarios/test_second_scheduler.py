"""Our profile in a kube-scheduler of its own, beside one that never asks the extender (simulated: two schedulers)."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.scenarios.cluster import NODES, PODS, Body
from tests.scenarios.conditions import all_groups_complete, nothing_is_left_of, pods_are_unbound
from tests.scenarios.manifests import PER_HOST, lws, pod
from tests.scenarios.sim_cluster import SimCluster

RESERVED = "lws-sched.io/reserved"
KEPT = "cluster-autoscaler.kubernetes.io/scale-down-disabled"


@pytest.fixture
def cluster() -> Iterator[SimCluster]:
    cluster = SimCluster(seed=1, second_scheduler=True)
    yield cluster
    cluster.close()
    cluster.invariants_hold()


def tainted(cluster: SimCluster) -> set[str]:
    return {
        node["metadata"]["name"]
        for node in cluster.all(NODES)
        if any(taint["key"] == RESERVED for taint in (node.get("spec") or {}).get("taints") or ())
    }


def kept(cluster: SimCluster) -> set[str]:
    nodes = {node["metadata"]["name"]: node["metadata"].get("annotations") or {} for node in cluster.all(NODES)}
    return {name for name, annotations in nodes.items() if KEPT in annotations}


def test_nodes_that_groups_hold_are_tainted_and_kept_and_released_with_them(cluster: SimCluster) -> None:
    cluster.has_racks(2, hosts=4)
    cluster.apply(lws("held", size=3).required())
    cluster.eventually(all_groups_complete("held"))
    used = set(cluster.nodes_of("held").values())
    assert tainted(cluster) == kept(cluster) == used
    cluster.delete_set("held")
    cluster.eventually(nothing_is_left_of("held"))
    cluster.eventually(lambda _: f"still tainted: {tainted(cluster)}" if tainted(cluster) | kept(cluster) else "")


def test_pods_of_the_other_scheduler_leave_a_restarting_groups_hosts_alone(cluster: SimCluster) -> None:
    cluster.has_racks(1, hosts=4)
    cluster.apply(lws("stable", size=4).exclusive())
    cluster.eventually(all_groups_complete("stable"))
    uids = cluster.uids("stable")
    rivals = [f"rival-{number}" for number in range(6)]
    cluster.create_all(PODS, [pod(name, accelerators=PER_HOST) for name in rivals])
    cluster.delete_pod("stable-0-2")
    cluster.eventually(all_groups_complete("stable", other_than=uids))
    cluster.always(pods_are_unbound(rivals), seconds=2)
    cluster.delete_set("stable")
    cluster.eventually(nothing_is_left_of("stable"))
    cluster.eventually(lambda each: "" if sum(map(is_bound, each.all(PODS))) == 4 else "not four rivals are bound")


def is_bound(pod: Body) -> bool:
    return bool(pod["spec"].get("nodeName"))


def test_a_pod_that_takes_a_slot_before_the_taint_comes_costs_the_group_a_new_plan_and_nothing_else(
    cluster: SimCluster,
) -> None:
    """What a taint cannot prevent: both schedulers choose at the same moment. Nothing is bound meanwhile."""
    cluster.has_racks(6, hosts=4)
    cluster.create_all(PODS, [pod(f"rival-{number}", accelerators=PER_HOST) for number in range(4)])
    cluster.apply(lws("late", replicas=2, size=4).required())
    cluster.eventually(all_groups_complete("late"), within=120)
