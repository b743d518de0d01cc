"""The drills that have a name, simulated and on the real control plane.

Most begin with a group of four of which only three pods may be created: the three pinned to their slots, their bind
calls held. Then something dies, goes or is cut off, and at last the fourth may come.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pytest

from tests.controlplane.nodes import RACK_LABEL
from tests.drills.sabotage import TAINT, Breakable
from tests.scenarios.cluster import CONTROLLER, EXTENDER, NODES, PODS, SCHEDULER, SET_NAME, Body
from tests.scenarios.conditions import (
    all_groups_complete,
    either,
    no_pod_is_bound,
    pods_are_running,
    pods_are_unbound,
    records_are,
    says,
    some_record_is,
)
from tests.scenarios.manifests import OUR_SCHEDULER, PER_HOST, LeaderWorkerSet, lws, pod

SIZE = 4


@dataclass(frozen=True)
class Held:
    """A group of which one member cannot be created, and the slots of all by pod name."""

    slots: dict[str, str]
    missing: str
    """Which one is the StatefulSet controller's choice."""
    present: str
    """A worker that is held."""


def three_of_four_held(cluster: Breakable, racks: int = 2) -> Held:
    cluster.has_racks(racks, hosts=SIZE)
    cluster.limit_pods(SIZE - 1)
    cluster.apply(lws("llama", size=SIZE).exclusive())
    cluster.eventually(lambda each: "" if len(each.pods("llama")) == SIZE - 1 else "not three pods")
    cluster.eventually(records_are("Reserved", ["llama-0"]))
    cluster.always(no_pod_is_bound("llama"), seconds=0.5)
    nodes = (cluster.record("llama-0") or {})["status"]["slots"]
    slots = {f"llama-0-{index}" if index else "llama-0": node for index, node in enumerate(nodes)}
    [missing] = slots.keys() - cluster.pods("llama").keys()
    present = max(slots.keys() - {missing})
    return Held(slots, missing, present)


def test_a_member_that_goes_while_no_controller_runs_takes_its_group_along_where_it_has_no_place(
    cluster: Breakable,
) -> None:
    cluster.has_racks(1, hosts=SIZE)
    cluster.apply(lws("llama", size=SIZE).required())
    cluster.eventually(all_groups_complete("llama"))
    cluster.eventually(records_are("Bound", ["llama-0"]))
    cluster.crash(CONTROLLER)
    node = cluster.nodes_of("llama")["llama-0-2"]
    cluster.merge(NODES, node, {"spec": {"unschedulable": True}})
    cluster.delete_pod("llama-0-2")
    cluster.eventually(lambda each: "" if "llama-0-2" not in each.pods("llama") else "llama-0-2 is there")
    cluster.start(CONTROLLER)
    cluster.eventually(no_pod_is_bound("llama"), within=30)
    cluster.merge(NODES, node, {"spec": {"unschedulable": False}})
    ends_whole_in_one_rack(cluster)


def ends_whole_in_one_rack(cluster: Breakable) -> None:
    cluster.eventually(all_groups_complete("llama"), within=90)
    assert len(cluster.racks_of("llama")["llama-0"]) == 1


def killed(component: str) -> Callable[[Breakable], None]:
    def strike(cluster: Breakable) -> None:
        cluster.crash(component)
        cluster.always(no_pod_is_bound("llama"), seconds=0.5)
        cluster.start(component)

    return strike


def frozen_for_a_while(cluster: Breakable) -> None:
    cluster.freeze(EXTENDER)
    cluster.always(no_pod_is_bound("llama"), seconds=1)
    cluster.thaw(EXTENDER)


def replaced_while_frozen(cluster: Breakable) -> None:
    cluster.freeze(EXTENDER)
    cluster.take_over()
    cluster.thaw(EXTENDER)


def replaced_after_its_death(cluster: Breakable) -> None:
    cluster.crash(EXTENDER)
    cluster.take_over()


def cut_off(cluster: Breakable) -> None:
    cluster.cut_bind_calls()


def without_api_server(cluster: Breakable) -> None:
    cluster.restart_api_server(0.5)


def without_etcd(cluster: Breakable) -> None:
    cluster.restart_etcd()


@pytest.mark.parametrize(
    "strike",
    [
        pytest.param(killed(EXTENDER), id="the extender is killed"),
        pytest.param(killed(SCHEDULER), id="the scheduler is killed"),
        pytest.param(killed(CONTROLLER), id="the controller is killed"),
        pytest.param(frozen_for_a_while, id="the extender is frozen for a while"),
        pytest.param(replaced_while_frozen, id="the extender wakes and believes it still leads"),
        pytest.param(replaced_after_its_death, id="another extender takes over"),
        pytest.param(cut_off, id="the held calls lose their connections"),
        pytest.param(without_api_server, id="the API server is restarted"),
        pytest.param(without_etcd, id="etcd is restarted"),
    ],
)
def test_a_group_held_at_the_barrier_is_bound_only_whole(
    cluster: Breakable, strike: Callable[[Breakable], None]
) -> None:
    three_of_four_held(cluster)
    strike(cluster)
    cluster.always(no_pod_is_bound("llama"), seconds=1)
    cluster.limit_pods(None)
    ends_whole_in_one_rack(cluster)


@pytest.mark.parametrize("number", [1, 3, 4])
def test_the_extender_killed_amid_the_bindings_completes_them_after_its_restart(
    cluster: Breakable, number: int
) -> None:
    cluster.has_racks(2, hosts=SIZE)
    cluster.crash_at_binding(number)
    cluster.apply(lws("llama", size=SIZE).exclusive())
    cluster.eventually(some_record_is("Committed", "llama"))
    before = cluster.uids("llama")
    assert len(before) == SIZE
    cluster.always(lambda _: "", seconds=1)
    cluster.start(EXTENDER)
    ends_whole_in_one_rack(cluster)
    assert cluster.uids("llama") == before, "a pod was lost, and only the extender had died"


@pytest.mark.parametrize("number", [1, 2, 4])
def test_a_binding_whose_answer_is_lost_stands_and_the_others_follow(cluster: Breakable, number: int) -> None:
    cluster.has_racks(2, hosts=SIZE)
    cluster.lose_the_answer_of_binding(number)
    cluster.apply(lws("llama", size=SIZE).exclusive())
    cluster.eventually(either(some_record_is("Committed", "llama"), some_record_is("Bound", "llama")))
    before = cluster.uids("llama")
    ends_whole_in_one_rack(cluster)
    assert cluster.uids("llama") == before, "a pod was lost, and only an answer was"


@pytest.mark.parametrize("restart", [without_api_server, without_etcd])
def test_a_restart_of_the_store_amid_the_bindings_leaves_no_half_bound_group(
    cluster: Breakable, restart: Callable[[Breakable], None]
) -> None:
    cluster.has_racks(4, hosts=SIZE)
    cluster.apply(lws("llama", replicas=4, size=SIZE).exclusive())
    cluster.eventually(either(some_record_is("Committed", "llama"), some_record_is("Bound", "llama")))
    restart(cluster)
    cluster.eventually(all_groups_complete("llama"), within=90)


@pytest.mark.parametrize(
    "manifest",
    [
        pytest.param(lws("llama", size=SIZE).exclusive().leader_ready(), id="LeaderReady"),
        pytest.param(lws("llama", size=1).required(), id="size 1"),
        pytest.param(lws("llama", size=SIZE).required().leader(accelerators=0), id="a leader without accelerators"),
    ],
)
def test_every_kind_of_group_survives_the_extenders_death_at_its_first_binding(
    cluster: Breakable, manifest: LeaderWorkerSet
) -> None:
    cluster.has_racks(2, hosts=SIZE)
    cluster.crash_at_binding(1)
    cluster.apply(manifest)
    cluster.eventually(some_record_is("Committed", "llama"))
    cluster.always(lambda _: "", seconds=1)
    cluster.start(EXTENDER)
    ends_whole_in_one_rack(cluster)


def test_a_member_deleted_while_held_lets_the_others_go_unbound(cluster: Breakable) -> None:
    held = three_of_four_held(cluster)
    cluster.delete_pod(held.present)
    cluster.always(no_pod_is_bound("llama"), seconds=1)
    cluster.limit_pods(None)
    ends_whole_in_one_rack(cluster)


def cordoned(cluster: Breakable, node: str) -> None:
    cluster.merge(NODES, node, {"spec": {"unschedulable": True}})


def tainted(cluster: Breakable, node: str) -> None:
    cluster.merge(NODES, node, {"spec": {"taints": [TAINT]}})


def relabelled(cluster: Breakable, node: str) -> None:
    cluster.merge(NODES, node, {"metadata": {"labels": {RACK_LABEL: "elsewhere"}}})


def lost(cluster: Breakable, node: str) -> None:
    cluster.set_readiness(node, ready=False)


def deleted(cluster: Breakable, node: str) -> None:
    cluster.delete(NODES, node)


@pytest.mark.parametrize("member", ["present", "missing"])
@pytest.mark.parametrize("strike", [cordoned, tainted, relabelled, lost, deleted])
def test_a_slot_that_goes_bad_under_a_held_group_costs_it_nothing_but_its_place(
    cluster: Breakable, strike: Callable[[Breakable, str], None], member: str
) -> None:
    held = three_of_four_held(cluster)
    node = held.slots[held.missing if member == "missing" else held.present]
    cluster.faults.append(cluster.now())
    strike(cluster, node)
    cluster.limit_pods(None)
    ends_whole_in_one_rack(cluster)
    # A taint concerns who is not placed yet: the scheduler had let the held members pass.
    if strike is not tainted or member == "missing":
        assert node not in cluster.nodes_of("llama").values()


def test_a_slot_that_comes_into_the_exclusive_rack_of_others_under_a_held_group_is_not_bound(
    cluster: Breakable,
) -> None:
    cluster.has_racks(3, hosts=SIZE)
    cluster.apply(lws("alone", size=2).exclusive())
    cluster.eventually(all_groups_complete("alone"))
    [rack] = cluster.racks_of("alone")["alone-0"]
    cluster.limit_pods(2 + SIZE - 1)
    cluster.apply(lws("llama", size=SIZE))
    cluster.eventually(records_are("Reserved", ["llama-0"]))
    node = (cluster.record("llama-0") or {})["status"]["slots"][0]
    cluster.eventually(lambda each: "" if len(each.pods("llama")) == SIZE - 1 else "not three pods")
    cluster.faults.append(cluster.now())
    cluster.merge(NODES, node, {"metadata": {"labels": {RACK_LABEL: rack}}})
    cluster.always(no_pod_is_bound("llama"), seconds=2)
    cluster.limit_pods(None)
    cluster.eventually(all_groups_complete("llama"), within=90)
    assert rack not in cluster.racks_of("llama")["llama-0"]


@pytest.mark.parametrize(
    "cluster", ["sim-second", pytest.param("plane-second", marks=pytest.mark.plane)], indirect=True
)
@pytest.mark.parametrize("member", ["present", "missing"])
def test_a_slot_that_another_scheduler_fills_under_a_held_group_costs_it_nothing_but_its_place(
    cluster: Breakable, member: str
) -> None:
    held = three_of_four_held(cluster)
    node = held.slots[held.missing if member == "missing" else held.present]
    cluster.faults.append(cluster.now())
    cluster.limit_pods(SIZE)
    cluster.create(PODS, pod("squatter", accelerators=PER_HOST, node=node))
    cluster.always(no_pod_is_bound("llama"), seconds=1)
    cluster.limit_pods(None)
    ends_whole_in_one_rack(cluster)
    assert node not in cluster.nodes_of("llama").values()


def test_a_member_that_the_scheduler_refuses_is_placed_elsewhere_with_its_group_and_the_reason_shown(
    cluster: Breakable,
) -> None:
    held = three_of_four_held(cluster)
    tainted(cluster, held.slots[held.missing])
    cluster.limit_pods(None)
    cluster.eventually(says("llama", "group llama-0 gives up its slots and is placed anew: .*untolerated taint"))
    ends_whole_in_one_rack(cluster)


def down(cluster: Breakable) -> None:
    cluster.crash(EXTENDER)


def hanging(cluster: Breakable) -> None:
    cluster.freeze(EXTENDER)


@pytest.mark.parametrize("strike", [down, hanging])
def test_without_an_answer_of_the_extender_its_groups_wait_and_all_other_pods_run(
    cluster: Breakable, strike: Callable[[Breakable], None]
) -> None:
    three_of_four_held(cluster)
    strike(cluster)
    cluster.limit_pods(None)  # the fourth member cannot come all the same: its webhook does not answer
    cluster.create_all(PODS, [pod(f"plain-{number}") for number in range(10)])
    cluster.eventually(pods_are_running([f"plain-{number}" for number in range(10)]))
    cluster.always(no_pod_is_bound("llama"), seconds=1)
    cluster.thaw(EXTENDER)
    cluster.start(EXTENDER)
    ends_whole_in_one_rack(cluster)


@pytest.mark.parametrize("cluster", ["sim", pytest.param("plane", marks=pytest.mark.plane)], indirect=True)
def test_pods_that_want_what_groups_want_wait_while_the_extender_is_down(cluster: Breakable) -> None:
    """Where the cluster's own scheduler asks: it cannot know which hosts are promised."""
    cluster.has_racks(1, hosts=SIZE)
    cluster.crash(EXTENDER)
    cluster.create(PODS, pod("wants", accelerators=PER_HOST))
    cluster.create(PODS, pod("plain"))
    cluster.eventually(pods_are_running(["plain"]))
    cluster.always(pods_are_unbound(["wants"]), seconds=1)
    cluster.start(EXTENDER)
    cluster.eventually(pods_are_running(["wants"]))


def test_a_member_that_never_comes_holds_no_host_for_ever(cluster: Breakable) -> None:
    """The quota stays: the group gives its hosts up, and another gets them."""
    three_of_four_held(cluster, racks=1)
    cluster.apply(lws("other", size=1))
    cluster.eventually(
        says("llama", "group llama-0 gives up its slots .*: 1 of its 4 pods were not created"), within=120
    )
    cluster.delete_set("llama")
    cluster.limit_pods(None)
    cluster.eventually(all_groups_complete("other"), within=90)


def test_a_reservation_whose_pods_never_come_is_given_back(cluster: Breakable) -> None:
    cluster.has_racks(1, hosts=SIZE)
    cluster.limit_pods(0)
    cluster.apply(lws("llama", size=SIZE).exclusive())
    cluster.eventually(records_are("Reserved", ["llama-0"]))
    cluster.eventually(records_are("Waiting", ["llama-0"]), within=60)
    assert "no pod of the group has come within 30 s" in (cluster.record("llama-0") or {})["status"]["reason"]
    cluster.limit_pods(None)
    ends_whole_in_one_rack(cluster)


def labelled(name: str, labels: Body, annotations: Body | None = None) -> Body:
    body = pod(name, accelerators=PER_HOST, scheduler=OUR_SCHEDULER, annotations=annotations)
    body["metadata"]["labels"] = labels
    return body


def test_a_pod_with_a_members_labels_and_another_name_is_refused(cluster: Breakable) -> None:
    """One with a member's name too would be adopted by the group's StatefulSet, and be a member."""
    held = three_of_four_held(cluster)
    member = cluster.pods("llama")[held.present]["metadata"]
    said = cluster.refusal_of(PODS, labelled("forged", member["labels"], member["annotations"]))
    assert "pod forged" in said
    cluster.always(no_pod_is_bound("llama"), seconds=1)
    cluster.limit_pods(None)
    ends_whole_in_one_rack(cluster)


def test_plain_pods_with_the_labels_of_a_group_are_placed_beside_the_others_and_take_nobodys_slots(
    cluster: Breakable,
) -> None:
    cluster.has_racks(3, hosts=SIZE)
    prefix = SET_NAME.removesuffix("name")
    names = ("ghost-0", "ghost-0-1")
    for index, name in enumerate(names):
        labels = {SET_NAME: "ghost", f"{prefix}group-index": "0", f"{prefix}worker-index": str(index)}
        cluster.create(PODS, labelled(name, labels, {f"{prefix}size": "2"}))
    cluster.apply(lws("llama", replicas=2, size=SIZE).exclusive())
    cluster.eventually(all_groups_complete("llama"))
    cluster.eventually(pods_are_running(names))
    cluster.delete(PODS, "ghost-0-1", force=True)
    cluster.delete(PODS, "ghost-0", force=True)
