"""Random near-full fleets and the batch of groups that waits for them.

Racks have 8 to 16 hosts, and what stands on them leaves each rack's room random. Members come in up to three shapes,
each of different resources: a GPU member takes all GPUs of a host and a quarter of its CPU, a CPU member (a router, or
a leader without GPUs) takes a quarter of its CPU, a NIC member one of its two NICs. So what a rack holds is told by its
sums, a bound close to the truth can be proved, and "percent of the bound" means something; the engine is told nothing
of this. The batch asks for about 1.15 times what is free of each shape.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.placement.fleets import BLOCK, GPU, GPUS, PODS, RACK
from benchmarks.placement.floor import Floor, Waiting
from lws_sched.placement import GroupRequest, NodeState, PodShape

NIC = "example.com/nic"
NICS = 2
CPU = 96_000
SHAPES = (
    PodShape(requests=(("cpu", 24_000), (GPU, GPUS))),
    PodShape(requests=(("cpu", 24_000),)),
    PodShape(requests=((NIC, 1),)),
)
PER_HOST = (1, 3, NICS)
"""Members of each shape that an empty host takes beside those of the others."""
LARGEST = 16
DEMAND = 1.15


@dataclass(frozen=True)
class Instance:
    """A fleet, who stands on it (host and shape), and who waits, oldest first."""

    seed: int
    nodes: tuple[NodeState, ...]
    standing: tuple[tuple[int, PodShape], ...]
    requests: tuple[GroupRequest, ...]

    def floor(self, with_fleet: bool) -> Floor:
        floor = Floor(self.nodes, with_fleet)
        for number, (host, shape) in enumerate(self.standing):
            floor.occupy(f"standing-{number}", host, shape)
        return floor

    def queue(self) -> list[Waiting]:
        return [Waiting(request) for request in self.requests]


def near_full(racks: int, resources: int, seed: int, exclusive: bool = False) -> Instance:
    """`resources` (1 to 3) is how many of the shapes occur. Exclusive groups want their rack for themselves."""
    random = np.random.default_rng([seed, racks, resources, int(exclusive)])
    nodes = tuple(_nodes(random, racks))
    rack_of = np.array([int(node.labels[RACK].removeprefix("rack-")) for node in nodes])
    free = np.zeros(resources, dtype=np.int64)
    standing = []
    for kind in range(resources):
        fill = random.uniform(0, 1, size=racks)[rack_of]
        taken = random.binomial(PER_HOST[kind], fill)
        free[kind] = PER_HOST[kind] * len(nodes) - taken.sum()
        standing += [(host, SHAPES[kind]) for host in range(len(nodes)) for _ in range(taken[host])]
    return Instance(seed, nodes, tuple(standing), tuple(_batch(random, free, exclusive)))


def _nodes(random: np.random.Generator, racks: int) -> Sequence[NodeState]:
    sizes = random.choice([8, 12, 14, 16], size=racks, p=[0.1, 0.1, 0.2, 0.6])
    return [
        NodeState(
            name=f"host-{rack}-{index}",
            labels={BLOCK: f"block-{rack // 16}", RACK: f"rack-{rack}"},
            allocatable={"cpu": CPU, GPU: GPUS, NIC: NICS, "pods": PODS},
        )
        for rack in range(racks)
        for index in range(sizes[rack])
    ]


def _batch(random: np.random.Generator, free: np.ndarray, exclusive: bool) -> list[GroupRequest]:
    """Groups until every shape's demand is met; a leader is of the workers' shape, or a CPU or NIC member."""
    wanted = DEMAND * free
    asked = np.zeros(len(free))
    requests: list[GroupRequest] = []
    while (asked < wanted).any():
        short = np.flatnonzero(asked < wanted)
        worker = int(random.choice(short))
        leader = int(random.choice(short)) if random.random() < 0.5 else worker
        size = int(random.integers(2, LARGEST + 1))
        asked[worker] += size - 1
        asked[leader] += 1
        requests.append(
            GroupRequest(
                key=f"bench/group-{len(requests)}",
                size=size,
                leader=SHAPES[leader],
                worker=SHAPES[worker],
                required="" if exclusive else RACK,
                exclusive=RACK if exclusive else "",
                created=f"2026-01-01T{len(requests) // 3600:02}:{len(requests) // 60 % 60:02}:{len(requests) % 60:02}Z",
            )
        )
    return requests
