"""Groups that are to share one domain, put onto its nodes together: vector packing, by best fit and, failing that, by
CP-SAT.

Members of a shape are alike whichever group they belong to, so only their number per node matters. The shapes that
take most of a node go first, each member to the node that is left with least; where some member finds no place, the
solver looks for numbers x[shape, node] that respect every node's room. Then each group takes its members from what
stands side by side.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lws_sched.placement.assignment import members_of, spread_over
from lws_sched.placement.eligibility import eligible
from lws_sched.placement.node import taken
from lws_sched.placement.request import GroupRequest, PodShape
from lws_sched.placement.room import Asked, closed_to
from lws_sched.placement.snapshot import Snapshot
from lws_sched.placement.table import Ints

MOST_CELLS = 4096
"""Shapes times nodes in one solver model."""
Homes = dict[str, tuple[int, ...]]
"""By group, a node position per member."""


def repack(snapshot: Snapshot, nodes: Ints, groups: Sequence[tuple[GroupRequest, Asked]]) -> Homes | None:
    """Places on these nodes for all groups; None where none were found."""
    scene = _Scene.of(snapshot, nodes, groups)
    counts = scene.best_fit()
    if counts is None and len(scene.parts) * len(nodes) <= MOST_CELLS:
        counts = spread_over(scene.free, scene.needs, scene.allowed, scene.wanted)
    return None if counts is None else scene.shared_out(counts)


@dataclass(frozen=True)
class _Part:
    """Members that are alike: a shape, and the nodes that its group may use."""

    shape: PodShape
    allowed: bytes


@dataclass(frozen=True, eq=False)
class _Scene:
    nodes: Ints
    groups: Sequence[GroupRequest]
    parts: list[_Part]
    of_group: dict[str, tuple[int, int]]
    """By group, the parts of its leader and of its workers."""
    free: Ints
    """Shape [resources, nodes]; like `needs`, only of resources that some member takes."""
    needs: Ints
    """Shape [parts, resources]."""
    allowed: Ints
    """Shape [parts, nodes], 0 or 1."""
    wanted: list[int]
    """Members per part."""

    @staticmethod
    def of(snapshot: Snapshot, nodes: Ints, groups: Sequence[tuple[GroupRequest, Asked]]) -> _Scene:
        parts: dict[_Part, int] = {}
        of_group: dict[str, tuple[int, int]] = {}
        wanted: list[int] = []
        for request, keys in groups:
            closed = closed_to(snapshot, request, keys)
            is_open = (
                snapshot.schedulable[nodes] if closed is None else (snapshot.schedulable & ~closed.to_leader)[nodes]
            )
            numbers = []
            for shape, count in members_of(request):
                part = _Part(shape, (is_open & eligible(snapshot.table, shape)[nodes]).tobytes())
                number = parts.setdefault(part, len(parts))
                if number == len(wanted):
                    wanted.append(0)
                wanted[number] += count
                numbers.append(number)
            of_group[request.key] = (numbers[0], numbers[1])
        amounts = [taken(dict(part.shape.requests)) for part in parts]
        resources = sorted({resource for each in amounts for resource in each})
        return _Scene(
            nodes,
            [request for request, _ in groups],
            list(parts),
            of_group,
            np.array([snapshot.available(resource)[nodes].clip(0) for resource in resources]),
            np.array([[each.get(resource, 0) for resource in resources] for each in amounts]),
            np.array([np.frombuffer(part.allowed, dtype=np.bool_) for part in parts], dtype=np.int64),
            wanted,
        )

    def best_fit(self) -> Ints | None:
        """Members per part and node, shape [parts, nodes]."""
        free = self.free.copy()
        scale = np.maximum(self.free.max(axis=1), 1)
        counts = np.zeros((len(self.parts), len(self.nodes)), dtype=np.int64)
        shares = (self.needs / scale).max(axis=1)
        for part in np.argsort(-shares, kind="stable").tolist():
            need = self.needs[part]
            asks = need > 0
            room = (free[asks] // need[asks][:, None]).min(axis=0) * self.allowed[part]
            waste = (free / scale[:, None]).sum(axis=0)
            left = self.wanted[part]
            for node in np.lexsort((waste, room == 0)).tolist():
                count = min(int(room[node]), left)
                counts[part, node] = count
                free[:, node] -= count * need
                left -= count
            if left:
                return None
        return counts

    def shared_out(self, counts: Ints) -> Homes:
        """Each group's members, side by side as far as can be: the largest groups first."""
        pools = [np.repeat(self.nodes, row).tolist() for row in counts]
        homes: Homes = {}
        for request in sorted(self.groups, key=lambda each: (-each.size, each.key)):
            leader, worker = self.of_group[request.key]
            workers, pools[worker] = pools[worker][: request.size - 1], pools[worker][request.size - 1 :]
            near = pools[leader].index(workers[0]) if workers and workers[0] in pools[leader] else 0
            homes[request.key] = (pools[leader].pop(near), *workers)
        return homes
