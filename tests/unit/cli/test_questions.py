"""explain, status, top and topology, on clusters in files."""

from __future__ import annotations

import pytest

from tests.unit.cli.commands import BLOCK, RACK, Body, Files, lws, member, plan, racks, record, run, taken

NODES = [f"rack-00-host-0{index}" for index in range(4)]


def waiting(name: str, reason: str, fix: str) -> Body:
    body = record(name, [], state="Waiting")
    body["status"] |= {"reason": reason, "fix": fix}
    return body


def in_default(body: Body) -> Body:
    return {**body, "metadata": {**body["metadata"], "namespace": "default"}}


def standing(name: str = "a-0", nodes: list[str] = NODES) -> list[Body]:
    placed = record(name, nodes, state="Bound")
    placed["status"]["domain"] = {"key": RACK, "value": "rack-00"}
    return [placed, *(member(name, index, node) for index, node in enumerate(nodes))]


def test_status_tells_how_much_of_each_group_runs_and_why_others_wait(files: Files) -> None:
    ready = standing()
    for pod in ready[1:]:
        pod["status"] = {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}
    ready[2]["status"]["containerStatuses"] = [{"name": "main", "restartCount": 3}]
    a = in_default(lws("a", replicas=2, size=4).body)
    cluster = files.cluster(racks(2, 4), a, ready, waiting("a-1", "no rack has room", "wait"))
    outcome = run("status", "--cluster", cluster, "-o", "json")
    assert outcome.code == 0
    [a_set] = outcome.json["sets"]
    assert (a_set["name"], a_set["ready"], a_set["replicas"]) == ("a", 1, 2)
    first, second = a_set["groups"]
    assert (first["state"], first["ready"], first["bound"], first["restarts"]) == ("Bound", 4, 4, 3)
    assert first["domain"] == {"level": RACK, "value": "rack-00"}
    assert (second["state"], second["reason"], second["fix"]) == ("Waiting", "no rack has room", "wait")
    table = run("status", "--cluster", cluster)
    assert "a-1 waits: no rack has room." in table.out
    assert "1 of 2 groups are ready" in table.err


def test_status_of_an_empty_cluster_says_so(files: Files) -> None:
    outcome = run("status", "--cluster", files.cluster(racks(1, 1)), "-n", "team")
    assert (outcome.code, outcome.out, outcome.err) == (0, "", "there is no LeaderWorkerSet in namespace team\n")


@pytest.mark.parametrize(
    ("pods", "state"),
    [(0, "NoPods"), (2, "Partial"), (4, "Bound")],
)
def test_a_group_without_a_record_is_told_by_its_pods(files: Files, pods: int, state: str) -> None:
    a = in_default(lws("a", size=4).on_default_scheduler().body)
    there = [member("a-0", index, node) for index, node in enumerate(NODES[:pods])]
    outcome = run("status", "--cluster", files.cluster(racks(1, 4), a, there), "-o", "json")
    assert outcome.json["sets"][0]["groups"][0]["state"] == state


@pytest.mark.parametrize("target", ["a", "a-0", "a-0-2", "default/a-0", "pod/a-0-2", "lws/a", "gp/a-0"])
def test_a_group_is_explained_by_its_set_itself_or_a_pod(files: Files, target: str) -> None:
    a = in_default(lws("a", size=4).required("rack").body)
    cluster = files.cluster(racks(2, 4), a, standing())
    outcome = run("explain", target, "--cluster", cluster, "-o", "json")
    [group] = outcome.json["groups"]
    assert (group["name"], group["domain"]["value"]) == ("a-0", "rack-00")
    assert [each["node"] for each in group["members"]] == NODES
    said = run("explain", target, "--cluster", cluster).out
    assert "asks for: one rack per group" in said
    assert f"is in: rack-00 ({RACK})" in said


def test_a_waiting_group_is_told_what_a_plan_says_now(files: Files) -> None:
    a = in_default(lws("a", size=4).required("rack").body)
    old = waiting("a-0", "no rack has room", "wait")
    roomy = run("explain", "a-0", "--cluster", files.cluster(racks(1, 4), a, old))
    assert "why: no rack has room" in roomy.out
    assert "planned at this moment it would go to rack-00" in roomy.out
    full = run("explain", "a-0", "--cluster", files.cluster(racks(1, 4), taken(*NODES[:2]), a, old), "-o", "json")
    [group] = full.json["groups"]
    assert (group["now"]["feasible"], group["now"]["fix"].startswith("free 2 hosts in rack-00")) == (False, True)


@pytest.mark.parametrize("more", ["", "; rack-00 is kept free for it"], ids=["word for word", "and goes on"])
def test_what_the_record_and_a_plan_of_now_both_say_is_said_once(files: Files, more: str) -> None:
    asked = lws("a", size=4).required("rack")
    there = [*racks(1, 4), *taken(*NODES[:2])]
    now = plan(files, files.cluster(there), asked).groups["a-0"]
    record = waiting("a-0", now["reason"] + more, now["fix"])
    told = run("explain", "a-0", "--cluster", files.cluster(there, in_default(asked.body), record)).out
    assert f"why: {now['reason']}{more}\n  fix: {now['fix']}\n  MEMBER" in told
    old = waiting("a-0", now["reason"], "wait")
    changed = run("explain", "a-0", "--cluster", files.cluster(there, in_default(asked.body), old)).out
    assert f"planned at this moment: {now['reason']}\n  fix: {now['fix']}\n" in changed


def test_why_no_version_of_a_group_can_be_placed_is_said_once(files: Files) -> None:
    claims = lws("a", size=4)
    claims.body["spec"]["leaderWorkerTemplate"]["workerTemplate"]["spec"]["resourceClaims"] = [{"name": "gpu"}]
    told = run("explain", "a-0", "--cluster", files.cluster(racks(1, 4), in_default(claims.body))).out
    assert told.count("uses resource claims") == 1
    assert "  fix: ask for devices as extended resources" in told


def test_a_group_on_another_scheduler_is_told_what_that_means(files: Files) -> None:
    a = in_default(lws("a", size=4).on_default_scheduler().body)
    assert "places pod by pod" in run("explain", "a", "--cluster", files.cluster(racks(1, 4), a)).out


def test_what_is_no_group_is_said_to_be_none(files: Files) -> None:
    cluster = files.cluster(racks(1, 4), taken(NODES[0]))
    nobody = run("explain", "llama", "--cluster", cluster)
    assert (nobody.code, nobody.out) == (2, "")
    assert nobody.err.startswith("lws-sched: there is no LeaderWorkerSet, group or pod llama;")
    alone = run("explain", f"taken-{NODES[0]}", "--cluster", cluster)
    assert f"pod default/taken-{NODES[0]} belongs to no group" in alone.err


def test_a_name_in_two_namespaces_asks_which(files: Files) -> None:
    a = in_default(lws("a").body)
    other = {**a, "metadata": {**a["metadata"], "namespace": "team"}}
    cluster = files.cluster(racks(1, 4), a, other)
    assert "a means several things: default/a, team/a" in run("explain", "a", "--cluster", cluster).err
    assert run("explain", "a", "-n", "team", "--cluster", cluster, "-o", "json").json["set"] == "team/a"


def test_top_counts_free_held_and_used_and_what_still_fits(files: Files) -> None:
    objects = [*racks(2, 4), *taken(NODES[0]), *taken(NODES[1], gpus=3), record("b-0", NODES[2:3])]
    outcome = run("top", "--cluster", files.cluster(objects), "-o", "json")
    first, second = outcome.json["domains"]
    assert (outcome.json["level"], outcome.json["resource"]) == (RACK, "nvidia.com/gpu")
    assert first == {
        "name": "rack-00",
        "nodes": 4,
        "closed": 0,
        "free": 13,
        "held": 8,
        "used": 11,
        "capacity": 32,
        "fragmentation": round(5 / 13, 4),
        "largest": 1,
    }
    assert (second["free"], second["largest"]) == (32, 4)
    assert outcome.json["fragmentation"] == round(1 - 32 / 45, 4)


def test_top_counts_no_free_room_on_closed_nodes(files: Files) -> None:
    nodes = racks(1, 2)
    nodes[0]["spec"] = {"unschedulable": True}
    [domain] = run("top", "--cluster", files.cluster(nodes), "-o", "json").json["domains"]
    assert (domain["free"], domain["closed"], domain["largest"]) == (8, 1, 1)


def test_top_takes_a_level_and_a_resource(files: Files) -> None:
    cluster = files.cluster(racks(2, 4))
    outcome = run("top", "--cluster", cluster, "-l", "block", "-r", "cpu", "-o", "json")
    assert (outcome.json["level"], [each["name"] for each in outcome.json["domains"]]) == (BLOCK, ["block-00"])
    assert outcome.json["domains"][0]["free"] == 8 * 96_000
    unknown = run("top", "--cluster", cluster, "-l", "rak")
    assert (unknown.code, "ask for rack" in unknown.err) == (2, True)
    assert "no node offers tpu" in run("top", "--cluster", cluster, "-r", "tpu").err


def test_topology_lists_levels_and_draws_every_host(files: Files) -> None:
    nodes = racks(2, 4)
    del nodes[7]["metadata"]["labels"][RACK]
    cluster = files.cluster(nodes, standing("a-0", NODES[:2]), taken(NODES[2]), record("b-0", NODES[3:]))
    outcome = run("topology", "--cluster", cluster, "-o", "json")
    assert [(each["name"], each["domains"], each["without"]) for each in outcome.json["levels"]] == [
        ("zone", 1, 0),
        ("block", 1, 0),
        ("rack", 2, 1),
        ("host", 8, 0),
    ]
    table = run("topology", "--cluster", cluster)
    assert "rack-00 ██░○" in table.out
    assert "rack-01 ···" in table.out
    assert "carry no topology.lws-sched.io/rack: rack-01-host-03" in table.err
