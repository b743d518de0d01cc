"""What is told of plans and of the room that is left, from a simulated extender."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random
from typing import Any

import msgspec
import pytest

from lws_sched.api.core import Node, Pod
from lws_sched.extender.app import App
from lws_sched.extender.plan_meter import FRESH_SECONDS, PlanMeter
from lws_sched.intake import capacity
from lws_sched.intake.cluster import Cluster
from lws_sched.kube.port import Runtime
from lws_sched.placement import Placed, Refused, Snapshot
from lws_sched.telemetry import families
from lws_sched.telemetry.counts import Gauge, Instrument
from lws_sched.telemetry.families import Family
from tests.controlplane.nodes import RACK_LABEL as RACK
from tests.controlplane.nodes import rack_nodes
from tests.scenarios.conditions import all_groups_complete
from tests.scenarios.manifests import lws
from tests.scenarios.sim_cluster import SimCluster


def read(instruments: tuple[Instrument, ...], family: Family) -> dict[tuple[str, ...], float]:
    (gauge,) = (each for each in instruments if each.family == family)
    assert isinstance(gauge, Gauge)
    return dict(gauge.read())


def placed(members: int, bound: int) -> Placed:
    return Placed("g", tuple("n" * members), "", "", "feasible", value=members, bound=bound)


def test_a_plan_tells_how_far_it_may_be_from_the_best_one() -> None:
    meter = PlanMeter()
    assert read(meter.instruments(), families.PLAN_GAP) == {(): 0.0}

    meter.planned([placed(6, 6), Refused("h", "", "", "undecided", value=0, bound=2)], 0.25)

    assert read(meter.instruments(), families.PLAN_VALUE) == {(): 6}
    assert read(meter.instruments(), families.PLAN_BOUND) == {(): 8}
    assert read(meter.instruments(), families.PLAN_GAP) == {(): 0.25}
    assert meter.seconds.values()[()].sum == 0.25


def test_what_can_be_proven_to_have_no_place_leaves_no_gap() -> None:
    meter = PlanMeter()

    meter.planned([placed(4, 4), Refused("h", "", "", "infeasible")], 0.0)

    assert read(meter.instruments(), families.PLAN_GAP) == {(): 0.0}


class Observed(SimCluster):
    """A simulated cluster whose extender can be asked for its metrics."""

    app: App

    def _build(self, runtime: Runtime) -> App:
        self.app = super()._build(runtime)
        return self.app


@pytest.fixture
def cluster() -> Iterator[Observed]:
    cluster = Observed(seed=1)
    yield cluster
    cluster.close()


def test_the_room_that_is_left_is_told_by_level(cluster: Observed) -> None:
    cluster.has_racks(2, hosts=4)
    cluster.apply(lws("one", size=3).required())
    cluster.eventually(all_groups_complete("one"))
    cluster.always(lambda _: "", FRESH_SECONDS)

    largest, broken = (read(cluster.app.instruments, each) for each in (families.LARGEST_FIT, families.FRAGMENTATION))

    # Of five hosts that are free, one rack has four.
    assert largest[("rack", "nvidia.com/gpu")] == 4
    assert broken[("rack", "nvidia.com/gpu")] == pytest.approx(0.2)
    assert read(cluster.app.instruments, families.PLAN_VALUE) == {(): 3}


def test_it_is_not_measured_anew_for_every_scrape(cluster: Observed) -> None:
    cluster.has_racks(1, hosts=4)
    cluster.eventually(lambda _: "" if len(read(cluster.app.instruments, families.LARGEST_FIT)) else "no nodes yet")
    before = read(cluster.app.instruments, families.LARGEST_FIT)

    cluster.has_racks(1, hosts=8)

    assert read(cluster.app.instruments, families.LARGEST_FIT) == before
    cluster.always(lambda _: "", FRESH_SECONDS)
    assert read(cluster.app.instruments, families.LARGEST_FIT)[("rack", "nvidia.com/gpu")] == 8


def test_the_two_numbers_are_those_of_the_domains() -> None:
    rng = Random(7)
    for _ in range(20):
        fleet = racks_in_use(rng)
        domains = capacity.domains(fleet, (), RACK, "nvidia.com/gpu")
        room = capacity.room(fleet, RACK, "nvidia.com/gpu")

        assert room.largest == max(each.largest for each in domains)
        assert room.fragmentation == pytest.approx(capacity.fragmentation(domains))


def racks_in_use(rng: Random) -> Snapshot:
    """Three racks of four hosts, each with some of its accelerators taken, some hosts cordoned."""
    nodes = [
        {**node, "spec": {"unschedulable": rng.random() < 0.2}, "metadata": {**node["metadata"], "uid": "u"}}
        for node in rack_nodes(3, 4)
    ]
    pods = [
        {"metadata": {"name": f"p{at}", "namespace": "ns", "uid": f"p{at}"}, "spec": spec(node, rng.choice((2, 8)))}
        for at, node in enumerate(nodes)
        if rng.random() < 0.6
    ]
    found = Cluster(
        nodes=tuple(msgspec.convert(each, Node) for each in nodes),
        pods=tuple(msgspec.convert(each, Pod) for each in pods),
    )
    return found.fleet().snapshot()


def spec(node: dict[str, Any], accelerators: int) -> dict[str, Any]:
    requests = {"requests": {"nvidia.com/gpu": str(accelerators)}}
    return {"nodeName": node["metadata"]["name"], "containers": [{"name": "c", "resources": requests}]}
