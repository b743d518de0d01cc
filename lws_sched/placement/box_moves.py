"""The fewest pods to move so that a box of hosts becomes free, spot by spot.

Where members are alike, nobody holds a domain, and one piece stands on every host that takes no member now and could,
a plan that ends with the box at a spot has moved every piece on such hosts of the spot: so no plan moves fewer pods
than stand in the way at the cheapest spot. Spots are proposed in the order of what stands there, and each piece there
goes wherever it finds room outside the spot. Plans that move others besides, to make room for these, are not among
them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lws_sched.placement.boxes import Boxed, is_box
from lws_sched.placement.exact import search
from lws_sched.placement.move_order import Cell, Proposal
from lws_sched.placement.relocation import Piece, lifted
from lws_sched.placement.request import GroupRequest
from lws_sched.placement.room import Asked, asked, closed_to, room_for
from lws_sched.placement.snapshot import Snapshot
from lws_sched.placement.table import Bools


@dataclass(frozen=True)
class Spot:
    """Hosts for the box, as node positions, and the numbers of the pieces that stand in the way."""

    pods: int
    hosts: tuple[int, ...]
    pieces: tuple[int, ...]


def spots_for(snapshot: Snapshot, request: GroupRequest, pieces: Sequence[Piece]) -> list[Spot] | None:
    """Where the box could stand, the fewest pods in the way first; None where that is not told by who stands on which
    host."""
    keys = asked(snapshot.table, request)
    if not request.box or not isinstance(keys, Asked) or not is_box(request, keys):
        return None
    if request.leader != request.worker or request.exclusive or snapshot.tenancy.is_exclusive:
        return None
    cleared = lifted(snapshot, pieces)
    then, now = (_takes(each, request, keys) for each in (cleared, snapshot))
    owner = _in_the_way(snapshot, then & ~now, pieces)
    if owner is None:
        return None
    space = Boxed(cleared, request, room_for(cleared, request, closed_to(cleared, request, keys)))
    found = set()
    for cells in space.cells(snapshot.table.partition(keys.base)):
        for spot in cells.spots():
            hosts = tuple(sorted(int(cells.nodes[place]) for place in cells.at(spot)))
            there = sorted({owner[host] for host in hosts if host in owner})
            found.add((sum(pieces[each].pods for each in there), len(there), hosts, tuple(there)))
    return [Spot(pods, hosts, there) for pods, _, hosts, there in sorted(found)]


def _takes(snapshot: Snapshot, request: GroupRequest, keys: Asked) -> Bools:
    return room_for(snapshot, request, closed_to(snapshot, request, keys)).workers > 0


def _in_the_way(snapshot: Snapshot, waiting: Bools, pieces: Sequence[Piece]) -> dict[int, int] | None:
    """By host that waits for others to leave, the number of the one piece there; None where there is not one."""
    owner: dict[int, int] = {}
    for number, piece in enumerate(pieces):
        for node in {*piece.slots}:
            position = snapshot.table.position.get(node)
            if position is not None and waiting[position] and owner.setdefault(position, number) != number:
                return None
    return owner if len(owner) == np.count_nonzero(waiting) else None


def clearing(snapshot: Snapshot, spot: Spot, pieces: Sequence[Piece]) -> Proposal:
    """Each piece that stands in the way goes wherever it finds room outside the spot."""
    outside: Bools = np.ones(len(snapshot.table), dtype=np.bool_)
    outside[[*spot.hosts]] = False

    def place(snapshot: Snapshot, piece: Piece, _: Cell) -> tuple[str, ...] | None:
        found = search(snapshot, piece.request, outside)
        return None if found is None else found.slots

    leaving = {(number, 0): [pieces[number]] for number in spot.pieces}
    entering = {(number, 1): 1 for number in spot.pieces}
    return Proposal(leaving, entering, place, spot.pods, settles=False)
