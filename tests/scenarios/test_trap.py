"""The trap of placing a leader before its workers are known: 24 groups that all fit, where only half of them get in."""

from __future__ import annotations

from tests.scenarios.cluster import Cluster
from tests.scenarios.conditions import all_groups_complete
from tests.scenarios.manifests import lws

EVERY_SECOND_RACK = slice(1, None, 2)
GROUPS, SIZE = 24, 12


def test_twenty_four_groups_of_twelve_all_fit_where_every_second_rack_is_half_full(cluster: Cluster) -> None:
    cluster.has_racks(62, hosts=16)
    cluster.fill(EVERY_SECOND_RACK, hosts=8)
    cluster.apply(lws("llama", replicas=GROUPS, size=SIZE).exclusive())
    cluster.eventually(all_groups_complete("llama"), within=120)
    each_group_has_a_rack_of_its_own(cluster)
    assert cluster.judge().longest_unsettled < 2.0

    before = cluster.uids("llama")
    group = {name for name in before if f"{name}-".startswith("llama-7-")}
    assert len(group) == SIZE
    cluster.delete_pod("llama-7-5")
    cluster.eventually(all_groups_complete("llama", other_than={"llama-7-5": before["llama-7-5"]}))
    after = cluster.uids("llama")
    assert {name for name in before if after[name] != before[name]} == group
    each_group_has_a_rack_of_its_own(cluster)
    assert cluster.judge().longest_unsettled < 2.0


def each_group_has_a_rack_of_its_own(cluster: Cluster) -> None:
    racks = cluster.racks_of("llama")
    assert all(len(each) == 1 for each in racks.values())
    assert len({rack for each in racks.values() for rack in each}) == len(racks) == GROUPS
