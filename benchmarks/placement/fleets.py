"""Fleets of hosts: generated racks, and the uneven racks of a production topology.

Generated fleets are what most GPU clusters look like: racks of equal hosts, in blocks. Amounts are in scheduler units.
"""

from __future__ import annotations

import csv
import gzip
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from lws_sched.placement import NodeState

RACK = "topology.lws-sched.io/rack"
BLOCK = "topology.lws-sched.io/block"
GPU = "nvidia.com/gpu"
GPUS = 8
"""GPUs of a host."""
CPU = 96_000
"""Millicores of a host."""
PODS = 110
TOPOLOGY = "lingjun2023_topology.csv.gz"


def host(name: str, rack: str, block: str, **more: int) -> NodeState:
    offered = {"cpu": CPU, GPU: GPUS, "pods": PODS, **more}
    return NodeState(name=name, labels={BLOCK: block, RACK: rack}, allocatable=offered)


def generated(racks: int, hosts_per_rack: int, racks_per_block: int = 16) -> list[NodeState]:
    return [
        host(f"host-{rack}-{index}", f"rack-{rack}", f"block-{rack // racks_per_block}")
        for rack in range(racks)
        for index in range(hosts_per_rack)
    ]


def lingjun(traces: Path, blocks: int | None = None) -> list[NodeState]:
    """The hosts of the topology file, of its smallest blocks only if a number is given."""
    rows = read_rows(traces / TOPOLOGY)
    sizes: dict[str, int] = {}
    for row in rows:
        sizes[row["block"]] = sizes.get(row["block"], 0) + 1
    wanted = sorted(sizes, key=lambda block: (sizes[block], block))[:blocks]
    return [host(row["host"], row["rack"], row["block"]) for row in rows if row["block"] in wanted]


def renamed(nodes: Sequence[NodeState], random: np.random.Generator) -> list[NodeState]:
    """The same fleet under other names, listed in another order: which of equally good places comes first, in the list
    or by name, is chance."""
    blocks, racks = (
        {value: f"{level}-{number:04}" for number, value in enumerate(random.permutation(_values(nodes, key)).tolist())}
        for level, key in (("block", BLOCK), ("rack", RACK))
    )
    order = sorted(random.permutation(len(nodes)).tolist(), key=lambda index: racks[nodes[index].labels[RACK]])
    return [
        replace(
            nodes[index],
            name=f"host-{number:05}",
            labels={
                **nodes[index].labels,
                BLOCK: blocks[nodes[index].labels[BLOCK]],
                RACK: racks[nodes[index].labels[RACK]],
            },
        )
        for number, index in enumerate(order)
    ]


def _values(nodes: Sequence[NodeState], key: str) -> list[str]:
    return list(dict.fromkeys(node.labels[key] for node in nodes))


def read_rows(path: Path) -> list[dict[str, str]]:
    """The rows of a trace file: a comment, a header, then the data."""
    with gzip.open(path, "rt", encoding="utf-8") as file:
        return list(csv.DictReader(line for line in file if not line.startswith("#")))
