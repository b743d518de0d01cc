"""Levels that labels do not tell of, given by a Topology object."""

from __future__ import annotations

from tests.controlplane.nodes import RACK_LABEL
from tests.scenarios.cluster import TOPOLOGIES, Body, Cluster
from tests.scenarios.conditions import all_groups_complete, pods_are_unbound, says
from tests.scenarios.manifests import lws

CAGES: Body = {
    "apiVersion": "lws-sched.io/v1alpha1",
    "kind": "Topology",
    "metadata": {"name": "cages"},
    "spec": {"levels": [{"name": "cage", "nodeLabel": RACK_LABEL}]},
}


def test_a_level_is_known_once_a_topology_names_it_and_unknown_when_that_is_gone(cluster: Cluster) -> None:
    cluster.has_racks(2, hosts=4)
    cluster.apply(lws("early", size=4).required("cage"))
    cluster.eventually(says("early-0", "no node carries the topology level or label cage"))
    cluster.eventually(pods_are_unbound("early"))
    cluster.create(TOPOLOGIES, CAGES)
    try:
        cluster.eventually(all_groups_complete("early"))
        assert all(len(racks) == 1 for racks in cluster.racks_of("early").values())
    finally:
        cluster.delete(TOPOLOGIES, CAGES["metadata"]["name"])
    cluster.always(all_groups_complete("early"), seconds=2)
    cluster.apply(lws("late", size=4).required("cage"))
    cluster.eventually(says("late-0", "no node carries the topology level or label cage"))
    cluster.eventually(pods_are_unbound("late"))
    cluster.invariants_hold()
