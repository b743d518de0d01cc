"""defrag and drain, on clusters in files. Whatever they print is carried out on the file, and must then be so."""

from __future__ import annotations

from typing import Any

from tests.unit.cli.commands import Body, Files, LeaderWorkerSet, lws, member, plan, racks, run, taken


def in_default(manifest: LeaderWorkerSet) -> Body:
    return {**manifest.body, "metadata": {**manifest.body["metadata"], "namespace": "default"}}


def standing(name: str, nodes: list[str]) -> list[Body]:
    return [member(name, index, node) for index, node in enumerate(nodes)]


def moved(objects: list[Body], steps: list[dict[str, Any]]) -> list[Body]:
    """The cluster after the moves, which must each start where the pod is."""
    where = {each["metadata"]["name"]: each for each in objects if each["kind"] == "Pod"}
    for step in steps:
        for each in step["pods"]:
            pod = where[each["pod"]]
            assert pod["spec"]["nodeName"] == each["from"]
            pod["spec"]["nodeName"] = each["to"]
    return objects


def broken_up() -> list[Body]:
    """Two racks of four hosts; a group of one host in each: no rack has four hosts free."""
    small = lws("small", replicas=2, size=1)
    return [
        *racks(2, 4),
        in_default(small),
        *standing("small-0", ["rack-00-host-01"]),
        *standing("small-1", ["rack-01-host-02"]),
    ]


def test_one_moved_pod_makes_room_and_is_proved_to_be_the_fewest(files: Files) -> None:
    objects, wide = broken_up(), lws("wide", size=4).required()
    assert plan(files, files.cluster(objects), wide).code == 3
    outcome = run("defrag", "--for", files.sets(wide), "--cluster", files.cluster(objects), "-o", "json")
    [group] = outcome.json["groups"]
    assert (outcome.code, group["moved"], group["atLeast"], group["proof"]) == (0, 1, 1, "optimal")
    after = files.cluster(moved(objects, group["moves"]), name="after.yaml")
    assert plan(files, after, wide).groups["wide-0"]["domain"] == group["domain"]


def test_pods_of_no_group_move_too_and_are_said_to_be_nobodys(files: Files) -> None:
    objects = [*racks(2, 4), *taken("rack-00-host-01", "rack-01-host-02")]
    outcome = run("defrag", "--for", files.sets(lws("wide", size=4).required()), "--cluster", files.cluster(objects))
    assert outcome.code == 0
    assert "wide-0: fits in rack-0" in outcome.out
    assert "(nobody makes this pod anew: do it yourself)" in outcome.out


def test_pods_of_daemon_sets_stay(files: Files) -> None:
    objects = [*racks(2, 4), *taken("rack-00-host-01", "rack-01-host-02")]
    for pod in objects[-2:]:
        pod["metadata"]["ownerReferences"] = [{"kind": "DaemonSet", "name": "d", "controller": True}]
    outcome = run("defrag", "--for", files.sets(lws("wide", size=4).required()), "--cluster", files.cluster(objects))
    assert outcome.code == 3
    assert "even with all that may be moved out of the way" in outcome.out


def test_groups_that_fit_as_things_are_move_nobody(files: Files) -> None:
    cluster = files.cluster(racks(2, 4))
    outcome = run("defrag", "--for", files.sets(lws("wide", size=4).required()), "--cluster", cluster)
    assert (outcome.code, "nothing has to move" in outcome.out) == (0, True)


def test_moves_for_several_groups_follow_from_one_another(files: Files) -> None:
    objects = [*racks(3, 4), *standing("s-0", ["rack-00-host-00"]), *standing("t-0", ["rack-01-host-00"])]
    wide = lws("wide", replicas=2, size=4).required()
    outcome = run("defrag", "--for", files.sets(wide), "--cluster", files.cluster(objects), "-o", "json")
    assert outcome.code == 0
    steps = [step for group in outcome.json["groups"] for step in group["moves"]]
    after = files.cluster(moved(objects, steps), name="after.yaml")
    assert plan(files, after, wide).code == 0


def test_a_plan_says_that_nothing_was_done_and_how_to_do_it_and_a_file_cannot_be_acted_on(files: Files) -> None:
    arguments = ("defrag", "--for", files.sets(lws("wide", size=4).required()), "--cluster", files.cluster(broken_up()))
    assert "1 of 1 group fits once 1 pod moved; nothing was done: --yes moves the groups" in run(*arguments).err
    acted = run(*arguments, "--yes")
    assert (acted.code, "nothing can be moved on a cluster in a file" in acted.err) == (2, True)


def test_a_drained_rack_sends_its_groups_whole_to_others(files: Files) -> None:
    nodes = [f"rack-00-host-0{index}" for index in range(3)]
    objects = [*racks(2, 4), in_default(lws("a", size=3).required()), *standing("a-0", nodes)]
    outcome = run("drain", "rack-00", "--cluster", files.cluster(objects), "-o", "json")
    [group] = outcome.json["groups"]
    assert (outcome.code, group["name"], group["domain"], group["atOnce"]) == (0, "default/a-0", "rack-01", 1)
    assert {slot["node"].partition("-host")[0] for slot in group["slots"]} == {"rack-01"}
    one = run("drain", nodes[1], "--cluster", files.cluster(objects), "-o", "json").json
    assert one["nodes"] == [nodes[1]]
    assert one["groups"][0]["members"] == [{"pod": "a-0-1", "node": nodes[1]}]


def test_a_group_with_no_other_place_is_named_with_the_reason(files: Files) -> None:
    nodes = [f"rack-00-host-0{index}" for index in range(4)]
    objects = [*racks(1, 4), in_default(lws("a", size=4).required()), *standing("a-0", nodes)]
    outcome = run("drain", nodes[0], "--cluster", files.cluster(objects))
    assert outcome.code == 3
    assert "default/a-0 has no other place: it would fit in rack-00, but nodes there take no new pods" in outcome.out


def test_an_incomplete_group_is_left_alone(files: Files) -> None:
    objects = [*racks(2, 4), in_default(lws("a", size=3)), *standing("a-0", ["rack-00-host-00"])]
    outcome = run("drain", "rack-00", "--cluster", files.cluster(objects))
    assert (outcome.code, "default/a-0 is not complete (1 of 3 bound)" in outcome.out) == (3, True)


def test_a_target_that_is_nothing_and_a_file_that_cannot_be_drained_are_told(files: Files) -> None:
    cluster = files.cluster(racks(1, 2))
    assert "there is no node or domain rack-77" in run("drain", "rack-77", "--cluster", cluster).err
    outcome = run("drain", "rack-00", "--cluster", cluster, "--yes")
    assert (outcome.code, "cannot be drained" in outcome.err) == (2, True)


def test_a_domain_may_be_named_with_its_level_or_label(files: Files) -> None:
    cluster = files.cluster(racks(2, 2))
    for target in ("rack=rack-01", "topology.lws-sched.io/rack=rack-01", "rack-01"):
        nodes = run("drain", target, "--cluster", cluster, "-o", "json").json["nodes"]
        assert nodes == ["rack-01-host-00", "rack-01-host-01"]
