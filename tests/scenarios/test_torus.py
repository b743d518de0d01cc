"""Groups that ask for a box of hosts in a torus that a Topology object tells of."""

from __future__ import annotations

from itertools import pairwise

from tests.controlplane.nodes import RACK_LABEL
from tests.scenarios.cluster import NODES, SETS, TOPOLOGIES, Body, Cluster
from tests.scenarios.conditions import all_groups_complete, pods_are_unbound, says
from tests.scenarios.manifests import lws

POD, X, Y = (f"example.com/{name}" for name in ("pod", "x", "y"))
LENGTH = 4


def torus(name: str) -> Body:
    axes = [{"nodeLabel": label, "length": LENGTH, "wraps": True} for label in (X, Y)]
    levels = [{"name": "pod", "nodeLabel": POD, "axes": axes}, {"name": "rack", "nodeLabel": RACK_LABEL}]
    return {
        "apiVersion": "lws-sched.io/v1alpha1",
        "kind": "Topology",
        "metadata": {"name": name},
        "spec": {"levels": levels},
    }


def places_hosts(cluster: Cluster) -> dict[str, tuple[int, int]]:
    """The first racks become the rows of a torus. By host: where it stands."""
    places = {
        host: (row, column)
        for row, hosts in enumerate([*cluster.racks().values()][:LENGTH])
        for column, host in enumerate(hosts[:LENGTH])
    }
    for host, (row, column) in places.items():
        labels = {POD: f"pod-{cluster.namespace}", X: str(row), Y: str(column)}
        cluster.merge(NODES, host, {"metadata": {"labels": labels}})
    return places


def by_rank(cluster: Cluster, set_name: str, group: int) -> list[str]:
    """The nodes of a group's members in rank order."""
    nodes, leader = cluster.nodes_of(set_name), f"{set_name}-{group}"
    workers = sorted(
        (name for name in nodes if name.startswith(f"{leader}-")), key=lambda name: int(name.split("-")[-1])
    )
    return [nodes[name] for name in (leader, *workers)]


def distance(one: tuple[int, int], other: tuple[int, int]) -> int:
    return sum(min((a - b) % LENGTH, (b - a) % LENGTH) for a, b in zip(one, other, strict=True))


def test_each_group_stands_on_a_box_of_hosts_in_the_order_of_its_ranks(cluster: Cluster) -> None:
    cluster.has_racks(LENGTH, hosts=LENGTH)
    places = places_hosts(cluster)
    cluster.create(TOPOLOGIES, torus("torus"))
    try:
        cluster.apply(lws("square", replicas=2, size=4).on_box("2x2"))
        cluster.eventually(all_groups_complete("square"))
        for group in range(2):
            cells = [places[node] for node in by_rank(cluster, "square", group)]
            assert all(distance(one, other) == 1 for one, other in pairwise([*cells, cells[0]])), cells
        cluster.apply(lws("plate", size=16).on_box("4x4"))
        cluster.eventually(
            says("plate-0", "it needs a box of 4 x 4 free hosts; the 8 free hosts of all tori make none")
        )
        cluster.eventually(pods_are_unbound("plate"))
        cluster.delete_set("square")
        cluster.eventually(all_groups_complete("plate"))
        assert {*by_rank(cluster, "plate", 0)} == {*places}
    finally:
        cluster.delete(TOPOLOGIES, "torus")
    cluster.invariants_hold()


def test_a_box_of_another_size_than_the_group_is_refused_at_once(cluster: Cluster) -> None:
    said = cluster.refusal_of(SETS, lws("odd", size=5).on_box("2x2").body)
    assert "must be two or three sides in hosts that multiply to the group's size (5), such as 4x4 or 2x2x4" in said
