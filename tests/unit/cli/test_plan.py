from __future__ import annotations

import json
from pathlib import Path
from random import Random
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.unit.cli.commands import (
    RACK,
    Files,
    LeaderWorkerSet,
    lws,
    member,
    plan,
    priority_class,
    racks,
    record,
    run,
    taken,
)


def hosts(rack: int, *numbers: int) -> list[str]:
    return [f"rack-{rack:02}-host-{number:02}" for number in numbers]


def test_every_member_of_a_group_is_told_its_node(files: Files) -> None:
    cluster = files.cluster(racks(2, 4), taken("rack-00-host-01"))
    outcome = plan(files, cluster, lws("llama", replicas=1, size=4).required("rack"))
    assert outcome.code == 0
    assert outcome.json == {
        "groups": [
            {
                "name": "llama-0",
                "feasible": True,
                "domain": {"level": RACK, "value": "rack-01"},
                "slots": [
                    {"pod": pod, "node": node}
                    for pod, node in zip(
                        ["llama-0", "llama-0-1", "llama-0-2", "llama-0-3"], hosts(1, 0, 1, 2, 3), strict=True
                    )
                ],
                "proof": "exact",
                "value": 4,
                "bound": 4,
                "reason": "",
                "fix": "",
            }
        ]
    }


def test_a_group_that_cannot_be_placed_is_told_why_and_what_would_help(files: Files) -> None:
    outcome = plan(files, files.cluster(racks(2, 4)), lws("big", size=5).required("rack"))
    [group] = outcome.json["groups"]
    assert outcome.code == 3
    assert (group["feasible"], group["slots"], group["domain"], group["proof"]) == (False, [], None, "infeasible")
    assert "holds 4 even when empty" in group["reason"]
    assert group["fix"] == "ask for topology.lws-sched.io/block, where it fits"


def test_the_groups_of_all_sets_are_planned_together(files: Files) -> None:
    outcome = plan(
        files, files.cluster(racks(3, 4)), lws("a", replicas=2, size=4).required(), lws("b", size=4).required()
    )
    assert outcome.code == 0
    assert {group["domain"]["value"] for group in outcome.json["groups"]} == {"rack-00", "rack-01", "rack-02"}


def test_pods_that_have_ended_take_no_room(files: Files) -> None:
    cluster = files.cluster(racks(1, 4), taken(*hosts(0, 0, 1), phase="Succeeded"), taken(*hosts(0, 2), phase="Failed"))
    assert plan(files, cluster, lws("a", size=4)).code == 0
    assert plan(files, files.cluster(racks(1, 4), taken(*hosts(0, 0))), lws("a", size=4)).code == 3


def test_held_slots_take_room_until_their_members_stand_there(files: Files) -> None:
    held = record("other-0", hosts(0, 0, 1))
    cluster = files.cluster(racks(1, 4), held, member("other-0", 0, hosts(0, 0)[0]))
    assert plan(files, cluster, lws("a", size=2)).code == 0
    assert plan(files, cluster, lws("a", size=3)).code == 3
    waiting = record("other-0", [], state="Waiting")
    assert plan(files, files.cluster(racks(1, 4), waiting), lws("a", size=4)).code == 0


@pytest.mark.parametrize("how", ["by its record", "by its pods"])
def test_a_group_that_stands_is_told_where_it_is_and_not_planned_again(files: Files, how: str) -> None:
    nodes = hosts(1, 3, 2, 1, 0)
    pods = [member("a-0", index, node) for index, node in enumerate(nodes)]
    standing = [record("a-0", nodes, state="Bound"), *pods] if how == "by its record" else pods
    outcome = plan(files, files.cluster(racks(3, 4), standing), lws("a", replicas=2, size=4).required())
    assert outcome.code == 0
    assert [slot["node"] for slot in outcome.groups["a-0"]["slots"]] == nodes
    assert outcome.groups["a-0"]["domain"] == {"level": RACK, "value": "rack-01"}
    assert outcome.groups["a-1"]["domain"]["value"] in ("rack-00", "rack-02")


def test_members_that_are_bound_stay_where_they_are(files: Files) -> None:
    bound = [member("a-0", 0, hosts(1, 2)[0]), member("a-0", 2, hosts(1, 0)[0])]
    outcome = plan(files, files.cluster(racks(2, 4), bound), lws("a", size=4).required())
    assert [slot["node"] for slot in outcome.groups["a-0"]["slots"]] == [
        *hosts(1, 2),
        *hosts(1, 1),
        *hosts(1, 0),
        *hosts(1, 3),
    ]
    stuck = plan(files, files.cluster(racks(2, 4), bound, taken(*hosts(1, 3))), lws("a", size=4).required())
    assert stuck.code == 3
    assert stuck.groups["a-0"]["reason"].startswith("2 of its members are bound already")


def test_an_exclusive_domain_of_another_group_is_respected(files: Files) -> None:
    other = member("b-0", 0, hosts(0, 0)[0], exclusive=RACK)
    outcome = plan(files, files.cluster(racks(1, 4), other), lws("a", size=2))
    assert outcome.code == 3
    assert "closed to it by other groups of namespace default, such as default/b-0" in outcome.groups["a-0"]["reason"]


def test_the_higher_priority_is_served_first(files: Files) -> None:
    low, high = lws("a-low", size=4).required(), lws("b-high", size=4).required()
    high.body["spec"]["leaderWorkerTemplate"]["workerTemplate"]["spec"]["priorityClassName"] = "urgent"
    outcome = plan(files, files.cluster(racks(1, 4), priority_class("urgent", 1000)), low, high)
    assert {name: group["feasible"] for name, group in outcome.groups.items()} == {"a-low-0": False, "b-high-0": True}


def test_a_set_on_another_scheduler_is_planned_and_said_so(files: Files) -> None:
    outcome = plan(files, files.cluster(racks(1, 4)), lws("a", size=4).on_default_scheduler())
    assert outcome.code == 0
    assert "note: a is not on the scheduler lws-sched" in outcome.err


def test_sets_and_cluster_are_read_as_json_lists_and_from_standard_input(files: Files) -> None:
    nodes, pods = racks(1, 4), taken(*hosts(0, 0))
    items = [{key: node[key] for key in ("metadata", "status")} for node in nodes]
    typed = {"apiVersion": "v1", "kind": "NodeList", "items": items}
    two = files.text(
        "two.json", json.dumps(typed) + "\n" + json.dumps({"apiVersion": "v1", "kind": "List", "items": pods})
    )
    split = files.text(
        "split.yaml", yaml.safe_dump(typed) + "---\n" + yaml.safe_dump(pods[0]) + "---\n# nothing here\n"
    )
    text = json.dumps({"apiVersion": "v1", "kind": "List", "items": [lws("a", size=3).body, lws("b", size=1).body]})
    for cluster in (two, split):
        outcome = run("plan", "-f", "-", "--cluster", cluster, "-o", "json", stdin=text)
        assert {name: group["feasible"] for name, group in outcome.groups.items()} == {"a-0": True, "b-0": False}


def test_a_table_names_reasons_once_and_fixes_with_them(files: Files) -> None:
    cluster = files.cluster(racks(2, 4))
    sets = files.sets(lws("big", replicas=5, size=5).required(), lws("ok", size=2))
    outcome = run("plan", "-f", sets, "--cluster", cluster)
    assert outcome.code == 3
    lines = outcome.out.splitlines()
    assert lines[0].split() == ["GROUP", "PLACED", "DOMAIN", "PODS", "NODES", "PROOF"]
    assert next(line for line in lines if line.startswith("ok-0")).split()[:3] == ["ok-0", "yes", "rack-00"]
    assert sum("even when empty" in line for line in lines) == 1
    assert "big-0, big-1, big-2 and 2 more: it needs 5 hosts" in outcome.out
    assert "  fix: ask for topology.lws-sched.io/block, where it fits" in lines
    assert "\x1b" not in outcome.out
    assert all(line == line.rstrip() for line in lines)


def test_nothing_is_written(files: Files) -> None:
    cluster, sets = files.cluster(racks(2, 4)), files.sets(lws("a", size=4))
    before = {path: path.read_bytes() for path in Path().iterdir()}
    run("plan", "-f", sets, "--cluster", cluster)
    assert {path: path.read_bytes() for path in Path().iterdir()} == before


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.randoms(use_true_random=False), st.data())
def test_the_order_of_objects_and_the_format_change_nothing(files: Files, random: Random, data: st.DataObject) -> None:
    nodes = racks(3, 3)
    names = [node["metadata"]["name"] for node in nodes]
    objects = [*nodes, *taken(*data.draw(st.sets(st.sampled_from(names), max_size=7)))]
    sets = [
        lws(name, replicas=data.draw(st.integers(1, 2)), size=data.draw(st.integers(1, 4))).required()
        for name in ("a", "b")
    ]
    straight = plan(files, files.cluster(objects), *sets)
    random.shuffle(objects)
    shuffled = plan(files, files.cluster(objects, name="cluster.json"), *sets)
    assert (straight.code, straight.out) == (shuffled.code, shuffled.out)
    assert straight.code in (0, 3)


def relabelled(nodes: list[Any], label: str) -> list[Any]:
    """The racks under a label that nobody knows."""
    for node in nodes:
        node["metadata"]["labels"][label] = node["metadata"]["labels"].pop(RACK)
    return nodes


@pytest.mark.parametrize("how", ["by hand", "by a Topology"])
def test_levels_that_labels_do_not_tell_of_are_given(files: Files, how: str) -> None:
    nodes = relabelled(racks(2, 4), "example.com/row")
    levels = [{"nodeLabel": "topology.kubernetes.io/zone"}, {"nodeLabel": "example.com/row", "name": "cage"}]
    topology = {
        "apiVersion": "lws-sched.io/v1alpha1",
        "kind": "Topology",
        "metadata": {"name": "t"},
        "spec": {"levels": levels},
    }
    by_hand = how == "by hand"
    given_here = (
        ("--levels", "topology.kubernetes.io/zone,cage=example.com/row,kubernetes.io/hostname") if by_hand else ()
    )
    cluster = files.cluster(nodes, taken(*hosts(0, 0)), [] if by_hand else [topology])
    sets = files.sets(lws("a", size=4).required("cage"), lws("b", size=3))
    outcome = run("plan", "-f", sets, "--cluster", cluster, "-o", "json", *given_here)
    assert outcome.groups["a-0"]["domain"] == {"level": "example.com/row", "value": "rack-01"}
    assert outcome.groups["b-0"]["domain"] == {"level": "example.com/row", "value": "rack-00"}
    found = run("topology", "--cluster", cluster, "-o", "json", *given_here).json["levels"]
    assert [each["name"] for each in found] == ["zone", "cage", "host"]


def test_a_level_by_hand_that_no_node_carries_is_bad_input(files: Files) -> None:
    arguments = ("plan", "-f", files.sets(lws("a")), "--cluster", files.cluster(racks(1, 1)), "--levels")
    assert "no node carries the label example.com/x" in run(*arguments, "example.com/x").err
    assert "names a label twice" in run(*arguments, f"{RACK},{RACK}").err


def of_priority(manifest: LeaderWorkerSet, name: str) -> LeaderWorkerSet:
    manifest.body["spec"]["leaderWorkerTemplate"]["workerTemplate"]["spec"]["priorityClassName"] = name
    return manifest


def test_a_group_that_would_evict_others_is_told_whom(files: Files) -> None:
    """And one that has the same priority, or may not preempt, is not."""
    batch = [member("batch-0", index, f"rack-00-host-0{index}") for index in range(4)]
    cluster = files.cluster(racks(1, 4), batch, priority_class("urgent", 1000))
    urgent = plan(files, cluster, of_priority(lws("serve", size=2).required(), "urgent"))
    assert (urgent.code, urgent.groups["serve-0"]["feasible"]) == (0, True)
    assert urgent.groups["serve-0"]["reason"] == (
        "evicting default/batch-0 (4 pods of priority 0 at most) makes room in rack-00"
    )
    assert plan(files, cluster, lws("serve", size=2).required()).code == 3
    never = {**priority_class("patient", 1000), "preemptionPolicy": "Never"}
    patient = of_priority(lws("serve", size=2).required(), "patient")
    patient.body["spec"]["leaderWorkerTemplate"]["workerTemplate"]["spec"]["preemptionPolicy"] = "Never"
    assert plan(files, files.cluster(racks(1, 4), batch, never), patient).code == 3


def test_who_is_evicted_for_one_group_is_gone_for_the_next(files: Files) -> None:
    batch = [member(f"batch-{rack}", index, f"rack-0{rack}-host-0{index}") for rack in (0, 1) for index in range(2)]
    cluster = files.cluster(racks(2, 2), batch, priority_class("urgent", 1000))
    both = plan(files, cluster, of_priority(lws("serve", replicas=2, size=2).required(), "urgent"))
    assert {group["domain"]["value"] for group in both.groups.values()} == {"rack-00", "rack-01"}
    three = plan(files, cluster, of_priority(lws("serve", replicas=3, size=2).required(), "urgent"))
    assert [group["feasible"] for group in three.groups.values()] == [True, True, False]
