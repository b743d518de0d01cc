"""Room for those of higher priority: whole groups leave, as few as will do, and queue again whole."""

from __future__ import annotations

import pytest

from tests.scenarios.cluster import PODS, SET_NAME, Cluster, Condition
from tests.scenarios.conditions import (
    all_groups_complete,
    no_pod_is_bound,
    pods_are_running,
    pods_are_unbound,
    records_are,
    says,
)
from tests.scenarios.manifests import PER_HOST, lws, pod


def has_predecessors(leader: str) -> Condition:
    def missing(cluster: Cluster) -> str:
        record = cluster.record(leader)
        return "" if record and record["status"].get("predecessors") else f"{leader} waits for nobody"

    return missing


def test_a_group_of_higher_priority_takes_the_place_of_a_whole_one(cluster: Cluster) -> None:
    high = cluster.has_priority_class(100)
    cluster.has_racks(1, hosts=4)
    cluster.apply(lws("batch", size=4).required())
    cluster.eventually(all_groups_complete("batch"))
    uids = cluster.uids("batch")
    cluster.apply(lws("urgent", size=3).required().priority(high))
    cluster.eventually(all_groups_complete("urgent"))
    cluster.eventually(records_are("Waiting", ["batch-0"]))
    cluster.always(no_pod_is_bound("batch"), seconds=2)
    assert not set(cluster.uids("batch").values()) & set(uids.values())
    cluster.eventually(says("batch", r"group batch-0 gives up its slots .*evicted to make room for group .*/urgent-0"))
    cluster.delete_set("urgent")
    cluster.eventually(all_groups_complete("batch"))


def test_the_cheapest_groups_go_and_all_others_stay(cluster: Cluster) -> None:
    high, low = cluster.has_priority_class(100), cluster.has_priority_class(10)
    cluster.has_racks(3, hosts=4)
    cluster.apply(lws("costly", replicas=1, size=4).exclusive().priority(low))
    cluster.apply(lws("large", replicas=1, size=4).required())
    cluster.apply(lws("small", replicas=1, size=2).required())
    cluster.eventually(all_groups_complete("costly", "large", "small"))
    costly, large = cluster.uids("costly"), cluster.uids("large")
    cluster.apply(lws("urgent", size=4).required().priority(high))
    cluster.eventually(all_groups_complete("urgent", "costly", "large"))
    assert cluster.uids("costly") == costly
    assert cluster.uids("large") == large
    assert cluster.nodes_of("small") == {}.fromkeys(cluster.nodes_of("small"), "")


def test_nobody_else_is_evicted_where_those_who_leave_make_room_for_two(cluster: Cluster) -> None:
    high, low = cluster.has_priority_class(100), cluster.has_priority_class(10)
    cluster.has_racks(3, hosts=3)
    cluster.apply(lws("wide", size=6))
    cluster.eventually(all_groups_complete("wide"))
    cluster.apply(lws("narrow", size=3).required().priority(low))
    cluster.eventually(all_groups_complete("narrow"))
    before = cluster.uids("narrow")
    cluster.apply(lws("urgent", replicas=2, size=3).required().priority(high))
    cluster.eventually(all_groups_complete("urgent", "narrow"))
    assert cluster.uids("narrow") == before


def test_nobody_of_equal_priority_or_for_whom_never_preempts_is_evicted(cluster: Cluster) -> None:
    never = cluster.has_priority_class(100, never_preempts=True)
    cluster.has_racks(1, hosts=4)
    cluster.apply(lws("batch", size=4).required())
    cluster.eventually(all_groups_complete("batch"))
    uids = cluster.uids("batch")
    cluster.apply(lws("polite", size=2).required().priority(never))
    cluster.apply(lws("equal", size=2).required())
    cluster.eventually(records_are("Waiting", ["polite-0", "equal-0"]))
    cluster.always(no_pod_is_bound("polite"), seconds=3)
    assert cluster.uids("batch") == uids


def test_a_group_that_a_budget_protects_goes_last(cluster: Cluster) -> None:
    high = cluster.has_priority_class(100)
    cluster.has_racks(2, hosts=4)
    cluster.apply(lws("guarded", size=2).exclusive())
    cluster.apply(lws("plain", size=4).exclusive())
    cluster.eventually(all_groups_complete("guarded", "plain"))
    cluster.protect("guard", {SET_NAME: "guarded"})
    uids = cluster.uids("guarded")
    cluster.always(all_groups_complete("guarded", "plain"), seconds=1)  # by then the planner has heard of the budget
    cluster.apply(lws("urgent", size=4).required().priority(high))
    cluster.eventually(all_groups_complete("urgent"))
    assert cluster.uids("guarded") == uids


def test_pods_of_no_group_go_too_but_never_a_part_of_a_group(cluster: Cluster) -> None:
    high = cluster.has_priority_class(100)
    cluster.has_racks(2, hosts=4)
    cluster.apply(lws("whole", size=3).required())
    cluster.eventually(all_groups_complete("whole"))
    [rack] = cluster.racks_of("whole")["whole-0"]
    number = [*cluster.racks()].index(rack)
    fillers = cluster.fill(slice(1 - number, 2 - number), hosts=2)
    cluster.eventually(pods_are_running(fillers))
    uids = cluster.uids("whole")
    cluster.apply(lws("urgent", size=4).required().priority(high))
    cluster.eventually(all_groups_complete("urgent"))
    assert cluster.uids("whole") == uids
    assert not {each["metadata"]["name"] for each in cluster.all(PODS)} & set(fillers)


@pytest.mark.parametrize("moment", ["the decision", "the eviction"])
def test_an_extender_that_dies_between_decision_and_place_finishes_it_when_it_is_back(
    cluster: Cluster, moment: str
) -> None:
    high = cluster.has_priority_class(100)
    cluster.has_racks(1, hosts=4)
    cluster.apply(lws("batch", replicas=2, size=2).required())
    cluster.eventually(all_groups_complete("batch"))
    cluster.apply(lws("urgent", size=4).required().priority(high))
    if moment == "the decision":
        cluster.eventually(has_predecessors("urgent-0"))
    else:
        cluster.eventually(records_are("Aborting", ["batch-0", "batch-1"]))
    cluster.crash_extender()
    cluster.start_extender()
    cluster.eventually(all_groups_complete("urgent"))
    cluster.eventually(records_are("Waiting", ["batch-0", "batch-1"]))
    assert no_pod_is_bound("batch")(cluster) == ""
    cluster.delete_set("urgent")
    cluster.eventually(all_groups_complete("batch"))


def test_what_the_evicted_leave_goes_to_nobody_else(cluster: Cluster) -> None:
    """Small groups and pods wait for every host that the evicted group leaves; all of them go to the one it is for."""
    high = cluster.has_priority_class(100)
    cluster.has_racks(1, hosts=4)
    cluster.apply(lws("batch", size=4).required())
    cluster.eventually(all_groups_complete("batch"))
    rivals = [f"rival-{number}" for number in range(3)]
    cluster.create_all(PODS, [pod(name, accelerators=PER_HOST) for name in rivals])
    cluster.apply(lws("small", replicas=3, size=1))
    cluster.eventually(records_are("Waiting", ["small-0", "small-1", "small-2"]))
    cluster.apply(lws("urgent", size=4).required().priority(high))
    cluster.eventually(all_groups_complete("urgent"))
    cluster.always(pods_are_unbound(rivals), seconds=1)
    assert no_pod_is_bound("small")(cluster) == ""
    cluster.delete_set("urgent")
    cluster.eventually(some_are_bound(4))


def some_are_bound(count: int) -> Condition:
    def missing(cluster: Cluster) -> str:
        bound = [each for each in cluster.all(PODS) if each["spec"].get("nodeName")]
        return "" if len(bound) == count else f"{len(bound)} pods are bound, not {count}"

    return missing


def test_a_reservation_of_which_nothing_is_committed_gives_way_to_a_pod_of_higher_priority(cluster: Cluster) -> None:
    """The group's place is reserved, but none of its pods can be created; a pod of no group wants one of the hosts."""
    high = cluster.has_priority_class(100)
    cluster.has_racks(1, hosts=4)
    first = next(iter(cluster.racks().values()))[0]
    # Of a priority that kube-scheduler does not evict for "urgent" by itself.
    cluster.create(PODS, pod("early", accelerators=PER_HOST, node=first, priority=high))
    cluster.eventually(pods_are_running(["early"]))
    cluster.apply(lws("absent", size=3).required().priority("of-a-class-that-there-is-none-of"))
    cluster.eventually(records_are("Reserved", ["absent-0"]))
    cluster.create(PODS, pod("low", accelerators=PER_HOST))
    cluster.always(pods_are_unbound(["low"]), seconds=2)
    cluster.create(PODS, pod("urgent", accelerators=PER_HOST, priority=high))
    cluster.eventually(pods_are_running(["urgent"]), within=20)
    cluster.eventually(says("absent", "gives up its slots .*pod .*/urgent of priority 100 needs the room"))


@pytest.mark.parametrize("cluster", [pytest.param("plane", marks=pytest.mark.plane)], indirect=True)
def test_a_pod_of_another_profile_takes_a_group_whole_or_not_at_all(cluster: Cluster) -> None:
    """kube-scheduler's own preemption is the default profile's; the simulated scheduler has none."""
    high = cluster.has_priority_class(100)
    cluster.has_racks(1, hosts=5)
    cluster.apply(lws("whole", size=4).required())
    cluster.eventually(all_groups_complete("whole"))
    whole = cluster.uids("whole")
    cluster.apply(lws("single", size=1))
    cluster.eventually(all_groups_complete("single"))
    cluster.create(PODS, pod("first", accelerators=PER_HOST, priority=high))
    cluster.eventually(pods_are_running(["first"]))
    assert no_pod_is_bound("single")(cluster) == ""
    cluster.create(PODS, pod("second", accelerators=PER_HOST, priority=high))
    cluster.always(pods_are_unbound(["second"]), seconds=4)
    assert cluster.uids("whole") == whole
