"""`stage`: a simulated API server and a real one, one after the other."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import count

import pytest

from lws_sched.sim.faults import NONE, Crash, Faults
from tests.controlplane.plane import ControlPlane
from tests.hand_made.simulated import SimulatedApi
from tests.hand_made.stage import Stage
from tests.system.product import CRDS, DEPLOY, LwsSched

QUIET_SECONDS = 0.1
_numbers = count(1)


@pytest.fixture(scope="package")
def bare_plane() -> Iterator[ControlPlane]:
    """An API server and our controller, the only one that acts."""
    # Nobody makes service accounts there.
    with ControlPlane(scheduler=False, kwok=False, apiserver_args=["--disable-admission-plugins=ServiceAccount"]) as it:
        it.kubectl("apply", "--server-side", "-k", str(DEPLOY))
        it.kubectl("wait", "--for=condition=Established", "--timeout=60s", "-f", str(CRDS))
        LwsSched(it).start_controller()
        it.kill_component("controller-manager")
        yield it


@pytest.fixture
def plane_stage(bare_plane: ControlPlane) -> Stage:
    """For what only a real API server does."""
    return Stage(bare_plane.client, f"hand-made-{next(_numbers)}", QUIET_SECONDS)


FAULTS: Mapping[str, Faults] = {
    "sim": NONE,
    "crashes": Faults(crashes=tuple(Crash(write) for write in range(1, 2000, 2))),
    "late news": Faults(late=0.3, late_seconds=0.5, doubled=0.3, dropped=0.05),
}
"""The simulated controller's. In one it dies before every other write, in one it hears of things late and twice."""


@pytest.fixture(
    params=[
        "sim",
        *(pytest.param(name, marks=pytest.mark.drill) for name in ("crashes", "late news")),
        pytest.param("plane", marks=pytest.mark.plane),
    ]
)
def stage(request: pytest.FixtureRequest) -> Stage:
    if request.param in FAULTS:
        # What dies with a controller are the events that it had not written yet.
        return Stage(SimulatedApi(FAULTS[request.param]), "hand-made", 0.0, tells=request.param != "crashes")
    found = request.getfixturevalue("plane_stage")
    assert isinstance(found, Stage)
    return found
