"""What a host has to give, less what DaemonSets will put there; and what members ask for, as admission makes them."""

from __future__ import annotations

import pytest

from tests.scenarios.cluster import DAEMON_SETS, NODES, PODS, Body, Cluster
from tests.scenarios.conditions import all_groups_complete, is_ready, no_pod_is_bound, records_are, says
from tests.scenarios.manifests import lws, pod, pod_template

PLANE_ONLY = pytest.mark.parametrize("cluster", [pytest.param("plane", marks=pytest.mark.plane)], indirect=True)


def agents(cpu: str) -> Body:
    template = pod_template({"cpu": cpu})
    template["metadata"] = {"labels": {"app": "agent"}}
    spec = {"selector": {"matchLabels": {"app": "agent"}}, "template": template}
    return {"apiVersion": "apps/v1", "kind": "DaemonSet", "metadata": {"name": "agent"}, "spec": spec}


def an_agent_runs_on_every_node(cluster: Cluster) -> str:
    running = [each for each in cluster.all(PODS) if each["metadata"].get("labels", {}).get("app") == "agent"]
    found = sum(map(is_ready, running))
    return "" if found == len(cluster.all(NODES)) else f"{found} agents run on {len(cluster.all(NODES))} nodes"


def test_hosts_that_come_are_not_promised_whole_while_daemons_are_still_to_come_to_them(cluster: Cluster) -> None:
    """A group that fits hosts without their agents is not put there in the moments before those come."""
    cluster.has_racks(1, hosts=2)
    cluster.create(DAEMON_SETS, agents(cpu="20"))
    cluster.eventually(an_agent_runs_on_every_node)
    cpus = int(cluster.all(NODES)[0]["status"]["allocatable"]["cpu"])
    cluster.apply(lws("greedy", size=2).required().asking_also(cpu=str(cpus - 10)))
    cluster.apply(lws("modest", replicas=4, size=2).required().asking_also(cpu=str(cpus - 20)))
    cluster.eventually(records_are("Waiting", ["greedy-0"]))
    cluster.eventually(says("greedy", "^group greedy-0 waits: .*cpu"))
    for _ in range(3):
        cluster.has_racks(1, hosts=2)
    cluster.eventually(all_groups_complete("modest"))
    cluster.eventually(an_agent_runs_on_every_node)
    assert no_pod_is_bound("greedy")(cluster) == ""


@PLANE_ONLY
def test_what_admission_adds_to_a_member_is_part_of_the_plan(cluster: Cluster) -> None:
    """A LimitRange gives each container CPUs that the template does not ask for: one member a host, not two. The
    simulated API server has no LimitRanges."""
    cluster.has_racks(1, hosts=2)
    cpus = int(cluster.all(NODES)[0]["status"]["allocatable"]["cpu"])
    limits = {"type": "Container", "defaultRequest": {"cpu": str(cpus * 2 // 3)}, "default": {"cpu": str(cpus)}}
    cluster.create("limitranges", {"metadata": {"name": "defaults"}, "spec": {"limits": [limits]}})
    cluster.apply(lws("unasking", size=2).required().accelerators(1))
    cluster.eventually(all_groups_complete("unasking"))
    assert len(set(cluster.nodes_of("unasking").values())) == 2
    shape = (cluster.record("unasking-0") or {})["spec"]["worker"]["requests"]
    assert shape["cpu"] == cpus * 2 // 3 * 1000


@PLANE_ONLY
def test_a_member_that_only_the_scheduler_knows_to_be_refused_is_placed_elsewhere_with_its_group(
    cluster: Cluster,
) -> None:
    """Both racks have room; in the one that would be chosen, somebody has the port that the members want."""
    cluster.has_racks(1, hosts=2)
    host = cluster.all(NODES)[0]["metadata"]["name"]
    squatter = pod("squatter", node=host)
    squatter["spec"]["containers"][0]["ports"] = [{"containerPort": 80, "hostPort": 8080}]
    cluster.create(PODS, squatter)
    manifest = lws("serving", size=2).required()
    template = manifest.body["spec"]["leaderWorkerTemplate"]["workerTemplate"]["spec"]
    template["containers"][0]["ports"] = [{"containerPort": 80, "hostPort": 8080}]
    cluster.apply(manifest)
    cluster.eventually(says("serving", "gives up its slots .*the scheduler refused its slot: .*free ports"))
    cluster.has_racks(1, hosts=2)
    cluster.eventually(all_groups_complete("serving"))
    assert host not in cluster.nodes_of("serving").values()
