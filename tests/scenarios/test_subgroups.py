"""Groups whose subgroups want a domain of their own."""

from __future__ import annotations

from tests.scenarios.cluster import Cluster
from tests.scenarios.conditions import all_groups_complete, pods_are_unbound, says
from tests.scenarios.manifests import lws

SUBGROUP = "leaderworkerset.sigs.k8s.io/subgroup-index"


def racks_by_subgroup(cluster: Cluster, name: str) -> dict[str, set[str]]:
    rack_of = {host: rack for rack, hosts in cluster.racks().items() for host in hosts}
    racks: dict[str, set[str]] = {}
    for each in cluster.pods(name).values():
        subgroup = each["metadata"]["labels"].get(SUBGROUP, "none")
        racks.setdefault(subgroup, set()).add(rack_of[each["spec"]["nodeName"]])
    return racks


def test_every_subgroup_stands_in_one_rack(cluster: Cluster) -> None:
    cluster.has_racks(5, hosts=5)
    cluster.apply(lws("split", size=10).subgroups(3, policy="LeaderExcluded").leader(accelerators=0))
    cluster.apply(lws("halved", size=6).subgroups(3))
    cluster.eventually(all_groups_complete("split", "halved"))
    for name in ("split", "halved"):
        assert all(len(racks) == 1 for racks in racks_by_subgroup(cluster, name).values())
    cluster.invariants_hold()


def test_exclusive_subgroups_share_no_rack_with_each_other_or_with_those_of_another_group(cluster: Cluster) -> None:
    cluster.has_racks(4, hosts=4)
    cluster.apply(lws("alone", replicas=2, size=4).subgroups(2, exclusive=True))
    cluster.eventually(all_groups_complete("alone"))
    assert len(set.union(*cluster.racks_of("alone").values())) == 4
    cluster.apply(lws("late", size=2).subgroups(2, exclusive=True))
    cluster.eventually(says("late-0", "closed to it by other groups"))
    cluster.eventually(pods_are_unbound("late"))
    cluster.invariants_hold()
