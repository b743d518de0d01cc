"""Rolling updates of LeaderWorkerSets that fill the cluster: no spare host, no manual step."""

from __future__ import annotations

import copy

import pytest

from tests.scenarios.cluster import NODES, SETS, Cluster, Condition
from tests.scenarios.conditions import all_groups_complete, records_are, says
from tests.scenarios.manifests import LeaderWorkerSet, lws

UPDATED = {"env": [{"name": "VERSION", "value": "2"}]}
FULL = 4


def update(cluster: Cluster, manifest: LeaderWorkerSet) -> None:
    """A new template that asks for as much as the old one."""
    template = copy.deepcopy(manifest.body["spec"]["leaderWorkerTemplate"])
    template["workerTemplate"]["spec"]["containers"][0].update(UPDATED)
    cluster.merge(SETS, manifest.name, {"spec": {"leaderWorkerTemplate": template}})


def is_updated(name: str) -> Condition:
    """Every pod is of the new template, and there are as many groups as asked for."""

    def missing(cluster: Cluster) -> str:
        old = [pod for pod, each in cluster.pods(name).items() if not each["spec"]["containers"][0].get("env")]
        new = {each["name"]: each for each in UPDATED["env"]}
        for pod, each in cluster.pods(name).items():
            env = {one["name"]: one.get("value") for one in each["spec"]["containers"][0].get("env", ())}
            if any(env.get(key) != one["value"] for key, one in new.items()):
                old.append(pod)
        return f"still old: {', '.join(sorted(set(old)))}" if old else ""

    return missing


@pytest.mark.parametrize(("surge", "unavailable"), [(0, 1), (1, 1), (0, 2)])
def test_an_update_of_a_full_cluster_finishes_and_groups_stay_on_their_nodes(
    cluster: Cluster, surge: int, unavailable: int
) -> None:
    cluster.has_racks(FULL, hosts=4)
    manifest = lws("fleet", replicas=FULL, size=4).exclusive().rolling(surge=surge, unavailable=unavailable)
    cluster.apply(manifest)
    cluster.eventually(all_groups_complete("fleet"))
    before, uids = cluster.nodes_of("fleet"), cluster.uids("fleet")
    update(cluster, manifest)
    cluster.eventually(is_updated("fleet"), within=120)
    cluster.eventually(all_groups_complete("fleet", other_than=uids), within=120)
    after = cluster.nodes_of("fleet")
    assert sum(after[name] == before[name] for name in before) >= 0.95 * len(before)


def test_without_leave_to_be_unavailable_the_surge_group_waits_and_says_for_what(cluster: Cluster) -> None:
    cluster.has_racks(2, hosts=4)
    manifest = lws("fleet", replicas=2, size=4).exclusive().rolling(surge=1, unavailable=0)
    cluster.apply(manifest)
    cluster.eventually(all_groups_complete("fleet"))
    uids = cluster.uids("fleet")
    update(cluster, manifest)
    cluster.eventually(records_are("Waiting", ["fleet-2"]))
    cluster.eventually(says("fleet", r"^group fleet-2 waits: .*maxUnavailable"))
    assert uids.items() <= cluster.uids("fleet").items()
    cluster.has_racks(1, hosts=4)
    cluster.eventually(is_updated("fleet"), within=120)
    cluster.eventually(all_groups_complete("fleet", other_than=uids), within=120)


def test_a_group_of_the_old_revision_that_restarts_midway_is_placed_as_its_revision_asks(cluster: Cluster) -> None:
    """The new template selects nodes that there are none of: only the first group is updated, and waits."""
    cluster.has_racks(2, hosts=5)
    manifest = lws("fleet", replicas=2, size=4).required()
    cluster.apply(manifest)
    cluster.eventually(all_groups_complete("fleet"))
    uids = cluster.uids("fleet")
    template = copy.deepcopy(manifest.body["spec"]["leaderWorkerTemplate"])
    template["workerTemplate"]["spec"]["nodeSelector"] = {"example.com/generation": "next"}
    cluster.merge(SETS, "fleet", {"spec": {"leaderWorkerTemplate": template}})
    cluster.eventually(says("fleet", r"^group fleet-1 .*waits: .*example.com/generation"))
    nodes = cluster.nodes_of("fleet")
    cluster.merge(NODES, nodes["fleet-0-2"], {"spec": {"unschedulable": True}})
    cluster.delete_pod("fleet-0")
    cluster.eventually(has_new_members("fleet-0", uids))
    after = cluster.nodes_of("fleet")
    assert [pod for pod in nodes if pod.startswith("fleet-0") and after[pod] != nodes[pod]] == ["fleet-0-2"]


def has_new_members(leader: str, old: dict[str, str]) -> Condition:
    """All members of the group stand, and none is of `old`."""

    def missing(cluster: Cluster) -> str:
        pods = cluster.groups(leader.rpartition("-")[0]).get(leader, [])
        fresh = [each for each in pods if each["metadata"]["uid"] not in old.values() and each["spec"].get("nodeName")]
        return "" if len(fresh) == 4 else f"{len(fresh)} of 4 members of {leader} are new and bound"

    return missing
