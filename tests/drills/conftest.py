"""The drills' clusters, one after the other for each drill that asks for `cluster`: simulated and real, each with one
kube-scheduler for all and with a second one for our profile."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from itertools import count
from pathlib import Path

import pytest

from tests.controlplane.start import start_plane
from tests.drills.real import DrillSystem, RealCluster, SecondSchedulerSystem, WithoutController
from tests.drills.sabotage import Breakable
from tests.scenarios.sim_cluster import SimCluster

SHORT = (
    "[plane-the extender is killed]",
    "[plane-the scheduler is killed]",
    "[plane-the extender wakes and believes it still leads]",
    "amid_the_bindings_completes_them_after_its_restart[plane-3]",
    "plane-relabelled-missing",
    "plane-cordoned-present",
    "another_name_is_refused[plane]",
    "[plane-second-the extender is killed]",
    "[plane-second-the scheduler is killed]",
)
"""What `make test` drills on the real control plane; `make drills` does all."""
SECOND = "plane-second"
HERE = "tests/drills/"
_numbers = count(1)
_recoveries: list[float] = []
"""Of the named drills on the real control plane: seconds from the last fault until the end that was asked for."""
_restarts: list[str] = []
"""What ended by itself in them and was started again, each with the drill's name."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        is_ours = item.path.parent == Path(__file__).parent
        if is_ours and item.get_closest_marker("plane") and not any(name in item.nodeid for name in SHORT):
            item.add_marker(pytest.mark.long)
    # Each of the three systems is started once.
    items.sort(key=lambda item: ("uncontrolled" in getattr(item, "fixturenames", ()), f"[{SECOND}" in item.nodeid))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if _recoveries:
        reports = [*terminalreporter.getreports("failed"), *terminalreporter.getreports("error")]
        failed = sum(each.nodeid.startswith(HERE) for each in reports)
        terminalreporter.write_line(
            f"{len(_recoveries)} named drills on the real control plane, {failed} with a broken invariant or a group "
            f"left partial, longest recovery {max(_recoveries):.1f} s"
        )
    for restart in _restarts:
        terminalreporter.write_line(str(restart))


class SimDrill(SimCluster, Breakable):
    """A simulated drill's cluster."""


class Systems:
    """A control plane with our processes, for as long as the same kind of it is asked for."""

    def __init__(self) -> None:
        self._open = ExitStack()
        self._system: DrillSystem | None = None

    def of(self, kind: type[DrillSystem]) -> DrillSystem:
        if type(self._system) is not kind:
            self._open.close()
            self._system = kind(self._open.enter_context(start_plane()))
            self._open.callback(self._system.close)
            self._system.install()
        return self._system

    def close(self, *, failed: bool) -> None:
        if failed and self._system is not None:
            self._system.plane.keep_logs()
        self._open.close()


@pytest.fixture(scope="session")
def systems(request: pytest.FixtureRequest) -> Iterator[Systems]:
    systems = Systems()
    yield systems
    systems.close(failed=bool(request.session.testsfailed))


@pytest.fixture(
    params=[
        pytest.param("sim"),
        pytest.param("sim-second"),
        pytest.param("plane", marks=pytest.mark.plane),
        pytest.param(SECOND, marks=pytest.mark.plane),
    ]
)
def cluster(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Breakable]:
    """An empty cluster. Whatever the drill did, the invariants have held."""
    if request.param.startswith("sim"):
        yield from _simulated(SimDrill(seed=1, second_scheduler=request.param == "sim-second"))
    else:
        systems: Systems = request.getfixturevalue("systems")
        kind = SecondSchedulerSystem if request.param == SECOND else DrillSystem
        yield from _real(systems.of(kind), tmp_path, request.node.name)


@pytest.fixture(params=["sim", pytest.param("plane", marks=pytest.mark.plane)])
def uncontrolled(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Breakable]:
    """A cluster with the extender alone: somebody else carries LeaderWorkerSets out."""
    if request.param == "sim":
        yield from _simulated(SimDrill(seed=1, has_controller=False))
    else:
        systems: Systems = request.getfixturevalue("systems")
        yield from _real(systems.of(WithoutController), tmp_path, request.node.name)


def _simulated(cluster: SimDrill) -> Iterator[Breakable]:
    yield cluster
    cluster.close()
    cluster.invariants_hold()


def _real(system: DrillSystem, folder: Path, drill: str) -> Iterator[Breakable]:
    cluster = RealCluster(system, next(_numbers), folder)
    cluster.open()
    try:
        yield cluster
        _recoveries.append(cluster.now() - max(cluster.faults, default=cluster.now()))
        cluster.ask_filter_again()
    finally:
        cluster.mend()
        cluster.close()
        _restarts.extend(f"{drill}: {each}" for each in cluster.restarts)
    cluster.invariants_hold()
    assert not cluster.unexplained
