"""Whose turn it is: the first that does not fit keeps one domain free for itself, and nobody else waits for it."""

from __future__ import annotations

from tests.scenarios.cluster import RECORDS, Cluster, Condition
from tests.scenarios.conditions import all_groups_complete, nothing_is_left_of, pods_are_running, records_are, says
from tests.scenarios.manifests import lws

ALL_RACKS = slice(None)


def has_record(leader: str) -> Condition:
    return lambda cluster: "" if cluster.record(leader) else f"{leader} has no record"


def test_a_large_group_is_not_starved_by_a_stream_of_small_ones(cluster: Cluster) -> None:
    """Every rack is full of small groups; each that ends is followed by another, yet the large group gets a rack."""
    cluster.has_racks(2, hosts=4)
    for number in range(8):
        cluster.apply(lws(f"small-{number}", size=1))
    cluster.eventually(all_groups_complete(*(f"small-{number}" for number in range(8))))
    cluster.apply(lws("large", size=4).required())
    cluster.eventually(records_are("Waiting", ["large-0"]))
    for number in range(8):
        cluster.apply(lws(f"next-{number}", size=1))
        cluster.eventually(has_record(f"next-{number}-0"))
        cluster.delete_set(f"small-{number}")
        cluster.eventually(nothing_is_left_of(f"small-{number}"))
    cluster.eventually(all_groups_complete("large"))
    cluster.eventually(all_groups_complete(*(f"next-{number}" for number in range(4))))


def test_others_use_what_the_head_does_not_hold_and_are_told_what_it_does(cluster: Cluster) -> None:
    cluster.has_racks(2, hosts=4)
    fillers = cluster.fill(slice(0, 1), hosts=1) + cluster.fill(slice(1, 2), hosts=2)
    cluster.eventually(pods_are_running(fillers))
    cluster.apply(lws("head", size=4).required())
    cluster.eventually(says("head", r"^group head-0 waits: .* is kept free for it"))
    cluster.apply(lws("backfill", replicas=3, size=1))
    cluster.eventually(records_are("Waiting", ["backfill-2"]))
    cluster.eventually(
        says("backfill", r"^group backfill-2 waits: it would fit, but .* is kept free for group .*head-0")
    )
    used = {node for node in cluster.nodes_of("backfill").values() if node}
    assert len(used) <= 2
    assert used <= set([*cluster.racks().values()][1])


def test_a_group_that_fits_nowhere_holds_nothing(cluster: Cluster) -> None:
    cluster.has_racks(1, hosts=4)
    cluster.eventually(pods_are_running(cluster.fill(ALL_RACKS, hosts=1)))
    cluster.apply(lws("giant", size=5).required())
    cluster.eventually(records_are("Waiting", ["giant-0"]))
    cluster.apply(lws("small", replicas=3, size=1))
    cluster.eventually(all_groups_complete("small"))
    assert len(cluster.all(RECORDS)) == 4
