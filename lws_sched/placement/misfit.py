"""Why a group that asks for a box of hosts has no place in a torus, and what would help.

The nearest fix is the spot, over all tori, where the fewest hosts are not free; and a box of other sides, of as many
hosts, where one fits now. Both are tried by search before they are promised.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

from lws_sched.placement import topology, wording
from lws_sched.placement.boxes import Boxed, flatter, lattices, nearest
from lws_sched.placement.exact import fits, space_for
from lws_sched.placement.request import GroupRequest
from lws_sched.placement.room import Asked
from lws_sched.placement.snapshot import Snapshot
from lws_sched.placement.torus_grid import said


@dataclass(frozen=True)
class Misfit:
    """The sentences, and the nodes that let the group in once nothing stands on them."""

    reason: str
    fix: str
    emptied: tuple[str, ...] = ()


def misfit(snapshot: Snapshot, request: GroupRequest, keys: Asked) -> Misfit:
    """Nodes take the members, but no box of them: why not."""
    wanted = f"it needs a box of {said(request.box)} free hosts{wording.place(keys)}"
    if not lattices(snapshot.table):
        return _without_torus(snapshot, wanted)
    now, empty = _space(snapshot, request, keys), _space(snapshot.empty, request, keys)
    found = nearest(now, empty, snapshot.table.partition(keys.base))
    other = next((f"ask for {said(each.box)}" for each in flatter(request) if fits(snapshot, each)), "")
    if found is None:
        shapes = {each.nodes.shape for each in lattices(snapshot.table)}
        largest = max(shapes, key=lambda shape: (prod(shape), shape))
        return Misfit(
            f"{wanted}; no torus has one even when empty: the largest is {said(largest)}",
            other or "ask for a box that a torus holds, or add hosts",
        )
    emptied = next((each for each in (found.blocked, found.hosts) if fits(snapshot.emptied(each), request)), None)
    free = sum(int((cells.worker | cells.leader).sum()) for cells in now.cells(None))
    reason = f"{wanted}; the {free} free hosts of all tori make none, and {found.value} comes nearest"
    if emptied is None:
        return Misfit(reason, other or f"free hosts that lie together in {found.value}")
    names = tuple(snapshot.table.names[node] for node in sorted(emptied.tolist()))
    many = "1 host" if len(names) == 1 else f"{len(names)} hosts"
    fix = f"free {many} in {found.value} ({wording.listed(names, 'node')})"
    return Misfit(reason, f"{fix}, or {other}" if other else fix, names)


def _without_torus(snapshot: Snapshot, wanted: str) -> Misfit:
    levels = topology.with_axes(snapshot.table.keys)
    if not levels:
        return Misfit(
            f"{wanted}, and no Topology tells where hosts stand in a torus", "write a Topology with axes for a level"
        )
    labels = [levels[0].labels[0], *(axis.label for axis in levels[0].axes)]
    return Misfit(
        f"{wanted}, and no node has coordinates in {levels[0].name}",
        f"label the nodes with {', '.join(labels)}, counted from 0",
    )


def _space(snapshot: Snapshot, request: GroupRequest, keys: Asked) -> Boxed:
    space = space_for(snapshot, request, keys)
    assert isinstance(space, Boxed)
    return space
