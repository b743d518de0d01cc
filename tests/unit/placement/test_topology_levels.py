from __future__ import annotations

import pytest

from lws_sched.placement import UnknownLevel, levels_on, resolve
from tests.unit.placement.cluster import BLOCK, RACK

SUBBLOCK = "cloud.google.com/gce-topology-subblock"
ZONE = "topology.kubernetes.io/zone"


@pytest.mark.parametrize(
    ("name", "keys", "label"),
    [
        pytest.param("rack", {RACK, SUBBLOCK}, RACK, id="our own label wins"),
        pytest.param("rack", {SUBBLOCK, ZONE}, SUBBLOCK, id="an alias picks the label that nodes carry"),
        pytest.param(SUBBLOCK, {RACK, SUBBLOCK}, SUBBLOCK, id="a label means itself"),
        pytest.param("example.com/hall", {"example.com/hall"}, "example.com/hall", id="any label may be named"),
        pytest.param("hall", {"example.com/hall"}, "example.com/hall", id="the last part of a label is enough"),
        pytest.param("hall", {"hall", "example.com/hall"}, "hall", id="a label without prefix means itself"),
        pytest.param(
            "slice", {"cloud.google.com/gke-nodepool"}, "cloud.google.com/gke-nodepool", id="a node pool is a slice"
        ),
        pytest.param("nvlink", {"nvidia.com/gpu.clique"}, "nvidia.com/gpu.clique", id="a clique is an NVLink domain"),
        pytest.param("host", {"kubernetes.io/hostname"}, "kubernetes.io/hostname", id="a host"),
    ],
)
def test_a_level_resolves_to_a_label_that_nodes_carry(name: str, keys: set[str], label: str) -> None:
    assert resolve(name, keys) == label


@pytest.mark.parametrize(
    ("name", "keys", "reason", "fix"),
    [
        pytest.param(
            "blok",
            {BLOCK, RACK},
            f"no node carries the topology level or label blok; the nodes carry block ({BLOCK}), rack ({RACK})",
            "ask for block",
            id="a misspelt level",
        ),
        pytest.param(
            "topology.lws-sched.io/rakc",
            {RACK},
            f"no node carries the label topology.lws-sched.io/rakc; the nodes carry rack ({RACK})",
            f"ask for {RACK}",
            id="a misspelt label",
        ),
        pytest.param(
            "rack",
            set(),
            "no node carries the topology level or label rack; the nodes carry no topology label",
            f"label the nodes with {RACK}",
            id="nodes without labels",
        ),
        pytest.param(
            "nvlink",
            {ZONE},
            f"no node carries the topology level or label nvlink; the nodes carry zone ({ZONE})",
            "ask for one of these, or label the nodes with topology.lws-sched.io/nvlink",
            id="a level that this cluster does not have",
        ),
    ],
)
def test_an_unknown_level_is_answered_with_what_there_is(name: str, keys: set[str], reason: str, fix: str) -> None:
    assert resolve(name, keys) == UnknownLevel(reason, fix)


def test_levels_are_listed_from_wide_to_narrow() -> None:
    assert levels_on({"kubernetes.io/hostname", RACK, "app", ZONE, BLOCK}) == (
        ZONE,
        BLOCK,
        RACK,
        "kubernetes.io/hostname",
    )
