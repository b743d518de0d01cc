"""The drills' cluster: `sim` and `plane`, one after the other for each drill that asks for `cluster`."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest

from tests.controlplane.start import start_plane
from tests.drills.real import DrillSystem, RealCluster
from tests.drills.sabotage import Breakable
from tests.scenarios.cluster import CONTROLLER, EXTENDER, SCHEDULER
from tests.scenarios.sim_cluster import SimCluster

SHORT = (
    "the extender is killed",
    "the scheduler is killed",
    "wakes and believes it still leads",
    "amid_the_bindings_completes_them_after_its_restart[plane-3]",
    "plane-relabelled-missing",
    "plane-cordoned-present",
    "another_name_is_refused",
)
"""What `make test` drills on the real control plane; `make drills` does all."""
_numbers = count(1)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        is_ours = item.path.parent == Path(__file__).parent
        if is_ours and item.get_closest_marker("plane") and not any(name in item.nodeid for name in SHORT):
            item.add_marker(pytest.mark.long)


class SimDrill(SimCluster, Breakable):
    """A simulated drill's cluster."""


@pytest.fixture(scope="session")
def system(request: pytest.FixtureRequest) -> Iterator[DrillSystem]:
    """One control plane with our processes, for all drills of the session."""
    with start_plane() as plane:
        system = DrillSystem(plane)
        system.install()
        yield system
        system.close()
        if request.session.testsfailed:
            plane.keep_logs()


@pytest.fixture
def real(system: DrillSystem, tmp_path: Path) -> Iterator[RealCluster]:
    """An empty cluster on the real control plane. Whatever the drill did, the invariants have held."""
    cluster = RealCluster(system, next(_numbers), tmp_path)
    cluster.open()
    try:
        yield cluster
    finally:
        cluster.thaw(EXTENDER)
        for component in (CONTROLLER, SCHEDULER):
            cluster.start(component)
        system.have_the_first_lead()
        cluster.faults.append(cluster.now())
        cluster.limit_pods(None)
        cluster.close()
    cluster.invariants_hold()


@pytest.fixture(params=["sim", pytest.param("plane", marks=pytest.mark.plane)])
def cluster(request: pytest.FixtureRequest) -> Iterator[Breakable]:
    """An empty cluster, simulated and real."""
    if request.param == "plane":
        yield request.getfixturevalue("real")
        return
    simulated = SimDrill(seed=1)
    yield simulated
    simulated.close()
    simulated.invariants_hold()
