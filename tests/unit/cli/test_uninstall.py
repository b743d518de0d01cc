"""Taking back what the extender put on a cluster, with groups that wait and groups that are held."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from lws_sched.api.core import LEASE, MUTATING_WEBHOOKS, POD
from lws_sched.api.names import SCALE_DOWN_DISABLED
from lws_sched.api.timestamps import micro_time
from lws_sched.cli.uninstall import StillRunning, found, stop, take_back
from lws_sched.kube.errors import NotFound
from tests.scenarios.cluster import NODES
from tests.scenarios.conditions import all_groups_complete
from tests.scenarios.manifests import lws
from tests.scenarios.sim_cluster import SimCluster

NAMESPACE = "lws-system"
LEASE_NAME = "lws-extender.lws-sched.io"


@pytest.fixture
def cluster() -> Iterator[SimCluster]:
    cluster = SimCluster(seed=1, second_scheduler=True)
    yield cluster
    cluster.close()


def with_one_placed_and_one_waiting(cluster: SimCluster) -> None:
    cluster.has_racks(1, hosts=4)
    cluster.apply(lws("placed", size=3).required())
    cluster.eventually(all_groups_complete("placed"))
    cluster.apply(lws("waits", size=4).required())
    cluster.eventually(lambda _: "" if len(found(cluster.world.cluster).gated) == 4 else "its pods are not all gated")


def test_what_is_left_is_told(cluster: SimCluster) -> None:
    with_one_placed_and_one_waiting(cluster)

    left = found(cluster.world.cluster)

    assert {pod.metadata.name for pod in left.gated} == {"waits-0", "waits-0-1", "waits-0-2", "waits-0-3"}
    assert len(left.marked) == 3
    assert {record.metadata.name for record in left.records} == {"placed-0", "waits-0"}
    assert [name.rpartition("/")[2] for name in left.naming_us] == ["placed", "waits"]


def test_no_pod_stays_gated_and_no_node_tainted_and_what_runs_goes_on(cluster: SimCluster) -> None:
    with_one_placed_and_one_waiting(cluster)
    running = cluster.nodes_of("placed")
    cluster.crash("extender")
    told: list[str] = []

    take_back(cluster.world.cluster, told.append)

    assert told == ["4 gates lifted", "3 nodes freed of our taint", "2 records deleted"]
    left = found(cluster.world.cluster)
    assert (left.gated, left.marked, left.records) == ((), (), ())
    assert cluster.nodes_of("placed") == running
    annotations = [node["metadata"].get("annotations") or {} for node in cluster.all(NODES)]
    assert not any(SCALE_DOWN_DISABLED in each for each in annotations)


def test_it_may_be_repeated(cluster: SimCluster) -> None:
    with_one_placed_and_one_waiting(cluster)
    cluster.crash("extender")
    take_back(cluster.world.cluster, lambda _: None)
    told: list[str] = []

    take_back(cluster.world.cluster, told.append)

    assert told == ["0 gates lifted", "0 nodes freed of our taint", "0 records deleted"]


def test_a_gate_of_somebody_else_stays(cluster: SimCluster) -> None:
    world = cluster.world
    spec = {
        "schedulingGates": [{"name": "kueue.x-k8s.io/admission"}, {"name": "lws-sched.io/group-placement"}],
        "containers": [{"name": "c", "image": "i"}],
    }
    world.cluster.create(POD, POD.body({"name": "both", "namespace": "default"}, spec=spec))

    take_back(world.cluster, lambda _: None)

    gates = world.cluster.get(POD, "default", "both").spec.scheduling_gates
    assert [gate.name for gate in gates] == ["kueue.x-k8s.io/admission"]


def test_the_webhook_goes_first_so_that_nothing_is_gated_meanwhile(cluster: SimCluster) -> None:
    world = cluster.world
    name = "lws-sched-pod-placement"
    world.cluster.create(MUTATING_WEBHOOKS, MUTATING_WEBHOOKS.body({"name": name}, webhooks=[]))
    told: list[str] = []

    take_back(world.cluster, told.append)

    assert told[0] == f"webhook {name} unregistered"
    with pytest.raises(NotFound):
        world.cluster.get(MUTATING_WEBHOOKS, "", name)


@pytest.mark.parametrize("silent_for", [0.0, 14.0])
def test_an_extender_that_still_leads_is_not_passed_over(cluster: SimCluster, silent_for: float) -> None:
    world = cluster.world
    held_by(cluster, "pod-a", world.clock.now() - silent_for)

    with pytest.raises(StillRunning, match=r"pod-a still holds the Lease .* stop the extender first"):
        stop(world.cluster, NAMESPACE, world.clock, 0.0, pause=lambda _: None)


@pytest.mark.parametrize(("holder", "silent_for"), [("", 0.0), ("pod-a", 16.0)])
def test_an_extender_that_ended_or_died_is(cluster: SimCluster, holder: str, silent_for: float) -> None:
    world = cluster.world
    held_by(cluster, holder, world.clock.now() - silent_for)

    stop(world.cluster, NAMESPACE, world.clock, 0.0, pause=lambda _: None)


def held_by(cluster: SimCluster, holder: str, renewed: float) -> None:
    spec = {"holderIdentity": holder, "leaseDurationSeconds": 15, "renewTime": micro_time(renewed)}
    cluster.world.cluster.create(LEASE, LEASE.body({"name": LEASE_NAME, "namespace": NAMESPACE}, spec=spec))
