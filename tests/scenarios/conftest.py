"""The scenarios' cluster: `sim` and `plane`, one after the other for each scenario that asks for `cluster`."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest

from tests.controlplane.start import start_plane
from tests.scenarios.cluster import Cluster
from tests.scenarios.plane_cluster import PlaneCluster
from tests.scenarios.sim_cluster import SimCluster
from tests.system.product import LwsSched

_numbers = count(1)


@pytest.fixture(scope="session")
def product(request: pytest.FixtureRequest) -> Iterator[LwsSched]:
    """One control plane with our processes, for all scenarios of the session."""
    with start_plane() as plane:
        product = LwsSched(plane)
        product.install()
        yield product
        if request.session.testsfailed:
            plane.keep_logs()


@pytest.fixture(params=["sim", pytest.param("plane", marks=pytest.mark.plane)])
def cluster(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Cluster]:
    """An empty cluster. Whatever the scenario did, the invariants have held."""
    if request.param == "sim":
        simulated = SimCluster(seed=1)
        yield simulated
        simulated.close()
        simulated.invariants_hold()
        return
    product: LwsSched = request.getfixturevalue("product")
    real = PlaneCluster(product, next(_numbers), tmp_path)
    real.open()
    try:
        yield real
    finally:
        real.close()
    real.invariants_hold()
