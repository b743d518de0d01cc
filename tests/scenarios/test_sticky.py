"""A group that comes back: to its own nodes, and where some of them are lost, as near to them as can be."""

from __future__ import annotations

from itertools import pairwise

import pytest

from tests.scenarios.cluster import NODES, PODS, Body, Cluster
from tests.scenarios.conditions import all_groups_complete, records_are, says
from tests.scenarios.manifests import lws

ALL_RACKS = slice(None)


def cordon(cluster: Cluster, *nodes: str, is_closed: bool = True) -> None:
    for node in nodes:
        cluster.faults.append(cluster.now())
        cluster.merge(NODES, node, {"spec": {"unschedulable": is_closed}})


def restart(cluster: Cluster, leader: str) -> None:
    cluster.delete_pod(leader)


def moves(history: list[Body]) -> int:
    """How often the slots of a record were decided anew."""
    slots = [each["status"]["slots"] for each in history if each["status"].get("slots")]
    return sum(before != after for before, after in pairwise(slots))


def test_a_restarted_group_returns_to_its_own_nodes_though_others_would_fit_better(cluster: Cluster) -> None:
    cluster.has_racks(2, hosts=4)
    cluster.apply(lws("home", size=3).required())
    cluster.eventually(all_groups_complete("home"))
    nodes, uids = cluster.nodes_of("home"), cluster.uids("home")
    restart(cluster, "home-0")
    cluster.eventually(all_groups_complete("home", other_than=uids))
    assert cluster.nodes_of("home") == nodes


@pytest.mark.parametrize(("size", "lost"), [(4, 1), (4, 3), (8, 8)])
def test_nodes_that_fail_together_cost_one_decision_and_only_their_slots_move(
    cluster: Cluster, size: int, lost: int
) -> None:
    cluster.has_racks(2, hosts=2 * size)
    cluster.apply(lws("home", size=size).required())
    cluster.eventually(all_groups_complete("home"))
    before, uids = cluster.nodes_of("home"), cluster.uids("home")
    gone = sorted(before.values())[:lost]
    cordon(cluster, *gone)
    restart(cluster, "home-0")
    cluster.eventually(all_groups_complete("home", other_than=uids))
    after = cluster.nodes_of("home")
    assert {name: node for name, node in after.items() if node not in gone and before[name] not in gone} == {
        name: node for name, node in before.items() if node not in gone
    }
    assert not set(gone) & set(after.values())
    assert len(cluster.racks_of("home")["home-0"]) == 1
    assert moves(cluster.history("GroupPlacement", "home-0")) == 1


@pytest.mark.parametrize("is_deleted", [True, False], ids=["deleted", "left where it was"])
@pytest.mark.parametrize("member", ["home-0", "home-0-1"])
@pytest.mark.parametrize("policy", ["RecreateGroupOnPodRestart", "None"])
def test_nobody_waits_for_a_member_on_a_node_that_was_deleted(
    cluster: Cluster, member: str, policy: str, is_deleted: bool
) -> None:
    """Kubernetes' own collector would let go of it after 40 to 60 s, and the others would stand for nothing."""
    cluster.has_racks(2, hosts=4)
    cluster.apply(lws("home", size=3).required().restart_policy(policy))
    cluster.eventually(all_groups_complete("home"))
    uids, node = cluster.uids("home"), cluster.nodes_of("home")[member]
    cluster.faults.append(cluster.now())
    cluster.delete(NODES, node)
    if is_deleted:
        cluster.delete_pod(member)
    stays_whole = policy == "None" and member != "home-0"
    again = all_groups_complete("home", other_than={member: uids[member]} if stays_whole else uids)
    cluster.eventually(again, 20 if is_deleted else 30)
    assert node not in cluster.nodes_of("home").values()


def test_without_a_free_host_in_the_domain_the_whole_group_moves(cluster: Cluster) -> None:
    cluster.has_racks(2, hosts=4)
    cluster.apply(lws("home", size=4).required())
    cluster.eventually(all_groups_complete("home"))
    [rack] = cluster.racks_of("home")["home-0"]
    uids = cluster.uids("home")
    cordon(cluster, cluster.nodes_of("home")["home-0-2"])
    restart(cluster, "home-0")
    cluster.eventually(all_groups_complete("home", other_than=uids))
    assert cluster.racks_of("home")["home-0"] & {rack} == set()


def test_a_group_that_cannot_return_whole_keeps_what_it_still_has_and_says_why(cluster: Cluster) -> None:
    cluster.has_racks(1, hosts=4)
    cluster.apply(lws("home", size=4).required())
    cluster.eventually(all_groups_complete("home"))
    nodes, uids = cluster.nodes_of("home"), cluster.uids("home")
    cordon(cluster, nodes["home-0-2"])
    restart(cluster, "home-0")
    cluster.apply(lws("rival", size=3).required())
    cluster.eventually(says("home", r"^group home-0 waits: .*" + nodes["home-0-2"]))
    cluster.eventually(records_are("Waiting", ["rival-0"]))
    cluster.eventually(records_are("Sticky", ["home-0"]))
    assert "uncordon" in (cluster.record("home-0") or {})["status"]["fix"]
    cordon(cluster, nodes["home-0-2"], is_closed=False)
    cluster.eventually(all_groups_complete("home", other_than=uids))
    assert cluster.nodes_of("home") == nodes


def test_under_restart_policy_none_a_member_whose_node_is_lost_gets_another_host_of_the_rack(cluster: Cluster) -> None:
    cluster.has_racks(2, hosts=6)
    cluster.apply(lws("tough", size=4).required().restart_policy("None"))
    cluster.eventually(all_groups_complete("tough"))
    nodes, uids = cluster.nodes_of("tough"), cluster.uids("tough")
    lost = ("tough-0-1", "tough-0-3")
    cordon(cluster, *(nodes[name] for name in lost))
    for name in lost:
        cluster.delete_pod(name)
    cluster.eventually(all_groups_complete("tough", other_than={name: uids[name] for name in lost}))
    after = cluster.nodes_of("tough")
    assert {name for name in nodes if after[name] != nodes[name]} == set(lost)
    assert len(cluster.racks_of("tough")["tough-0"]) == 1
    assert {name for name, uid in cluster.uids("tough").items() if uid != uids[name]} == set(lost)


def test_under_restart_policy_none_of_members_lost_together_those_return_that_there_is_room_for(
    cluster: Cluster,
) -> None:
    cluster.has_racks(1, hosts=5)
    cluster.apply(lws("tough", size=4).required().restart_policy("None"))
    cluster.eventually(all_groups_complete("tough"))
    nodes, uids = cluster.nodes_of("tough"), cluster.uids("tough")
    lost = ("tough-0-1", "tough-0-2")
    cordon(cluster, *(nodes[name] for name in lost))
    for name in lost:
        cluster.delete_pod(name)
    cluster.eventually(says("tough", r"^group tough-0 waits: .*uncordon"))
    cluster.eventually(lambda each: "" if bound_pods(each) == 3 else f"{bound_pods(each)} pods are bound, not 3")
    cordon(cluster, *(nodes[name] for name in lost), is_closed=False)
    cluster.eventually(all_groups_complete("tough", other_than={name: uids[name] for name in lost}))
    assert {name for name, uid in cluster.uids("tough").items() if uid != uids[name]} == set(lost)


def bound_pods(cluster: Cluster) -> int:
    return sum(bool(node) for node in cluster.nodes_of("tough").values())


def test_under_restart_policy_none_a_member_waits_for_a_host_of_the_rack_and_the_others_stay(cluster: Cluster) -> None:
    cluster.has_racks(2, hosts=4)
    cluster.apply(lws("tough", size=4).required().restart_policy("None"))
    cluster.eventually(all_groups_complete("tough"))
    nodes, uids = cluster.nodes_of("tough"), cluster.uids("tough")
    cordon(cluster, nodes["tough-0-1"])
    cluster.delete_pod("tough-0-1")
    cluster.eventually(says("tough", r"^group tough-0 waits: "))
    cluster.eventually(says("tough-0-1", r"^group tough-0 waits: "))
    cordon(cluster, nodes["tough-0-1"], is_closed=False)
    cluster.eventually(all_groups_complete("tough", other_than={"tough-0-1": uids["tough-0-1"]}))
    assert cluster.nodes_of("tough") == nodes
    assert (cluster.record("tough-0") or {})["status"].get("reason", "") == ""
    assert all(uid == uids[name] for name, uid in cluster.uids("tough").items() if name != "tough-0-1")
    assert len(cluster.all(PODS)) == 4


def test_a_group_that_is_told_to_leave_nodes_stands_elsewhere_once_it_was_taken_down_and_nobody_moves_before(
    cluster: Cluster,
) -> None:
    cluster.has_racks(2, hosts=4)
    cluster.apply(lws("guest", size=3).required())
    cluster.eventually(all_groups_complete("guest"))
    cluster.eventually(records_are("Bound", ["guest-0"]))
    uids, [rack] = cluster.uids("guest"), cluster.racks_of("guest")["guest-0"]
    nodes = cluster.racks()[rack]
    cluster.merge(PODS, "guest-0", {"metadata": {"annotations": {"lws-sched.io/leave-nodes": ",".join(nodes)}}})
    cluster.eventually(lambda _: "" if _is_told_to_leave(cluster, "guest-0", nodes) else "it was not told yet")
    assert cluster.uids("guest") == uids
    restart(cluster, "guest-0")
    cluster.eventually(all_groups_complete("guest", other_than=uids))
    assert cluster.racks_of("guest")["guest-0"].isdisjoint({rack})


def _is_told_to_leave(cluster: Cluster, leader: str, nodes: list[str]) -> bool:
    record = cluster.record(leader)
    return record is not None and {*nodes} <= {each["node"] for each in record["status"].get("refused", ())}
