"""The extender dies while groups are on their way, and another one picks them up."""

from __future__ import annotations

import pytest

from tests.scenarios.cluster import Cluster, Condition
from tests.scenarios.conditions import all_groups_complete, either, no_pod_is_bound, some_record_is
from tests.scenarios.manifests import lws

GROUPS, SIZE = 10, 8
SOME_RESERVED = either(some_record_is("Reserved", "llama"), some_record_is("Committed", "llama"))
SOME_COMMITTED = either(some_record_is("Committed", "llama"), some_record_is("Bound", "llama"))


@pytest.mark.parametrize(
    "moment",
    [
        pytest.param(no_pod_is_bound("llama"), id="at once"),
        pytest.param(SOME_RESERVED, id="once a place is reserved"),
        pytest.param(SOME_COMMITTED, id="once a stage is committed"),
    ],
)
def test_ten_groups_complete_though_the_extender_was_killed_amid_them(cluster: Cluster, moment: Condition) -> None:
    cluster.has_racks(12, hosts=8)
    cluster.apply(lws("llama", replicas=GROUPS, size=SIZE).exclusive())
    cluster.eventually(moment)
    cluster.crash_extender()
    cluster.always(lambda _: "", seconds=1)
    cluster.start_extender()
    cluster.eventually(all_groups_complete("llama"), within=120)
    racks = cluster.racks_of("llama")
    assert all(len(each) == 1 for each in racks.values())
    assert len({rack for each in racks.values() for rack in each}) == GROUPS

    # The one that took over looks after groups that it did not plan.
    before = cluster.uids("llama")
    cluster.delete_pod("llama-3-1")
    cluster.eventually(all_groups_complete("llama", other_than={"llama-3-1": before["llama-3-1"]}))
