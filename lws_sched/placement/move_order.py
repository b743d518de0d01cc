"""An order of moves in which each goes to room that is free at that moment, by depth-first search.

Which pieces leave, and how many of which kind go to which target, is given; which piece goes to which target, and when,
is found here. A state is what is still to leave and to come; states that led nowhere are not entered again. A move
counts only if a place is found on the fleet as it is just then, with the piece still on its old nodes.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field

from lws_sched.placement.relocation import Piece, moved
from lws_sched.placement.snapshot import Snapshot

MOST_STATES = 2_000
"""States looked at before the search for an order is given up."""

Cell = tuple[int, int]
"""(kind, place): pieces of one kind, and a place that they leave or go to."""
FindPlace = Callable[[Snapshot, Piece, Cell], tuple[str, ...] | None]
"""New nodes for a piece at a target, on the fleet as it is; None where there is no room yet."""
Steps = tuple[tuple[Piece, tuple[str, ...]], ...]
"""Pieces and their new nodes, in order."""


@dataclass(frozen=True)
class Proposal:
    """Pieces to move and where to, without an order."""

    leaving: Mapping[Cell, Sequence[Piece]]
    """Pieces of a cell are alike."""
    entering: Mapping[Cell, int]
    """How many of a kind come to a target."""
    place: FindPlace
    pods: int
    settles: bool = True
    """Where no order is found, there is none that moves these pieces to these places."""


@dataclass(frozen=True)
class Proposed:
    """The proposal that moves the fewest pods, None where the budget ended first; the least that any can move, None
    where there is no further one; the solver's time."""

    proposal: Proposal | None
    bound: int | None
    deterministic_time: float


@dataclass(frozen=True)
class Order:
    """The moves in order, and the fleet after them. `steps` is None where no order was found; there is none if
    `complete`."""

    steps: Steps | None
    after: Snapshot
    complete: bool


def find_order(snapshot: Snapshot, proposal: Proposal) -> Order:
    search = _Search(proposal)
    left = {cell: len(pieces) for cell, pieces in sorted(proposal.leaving.items())}
    found = search.extend(snapshot, left, dict(sorted(proposal.entering.items())))
    if found is None:
        return Order(None, snapshot, proposal.settles and search.states < MOST_STATES)
    steps, after = found
    return Order(steps, after, True)


@dataclass
class _Search:
    proposal: Proposal
    states: int = 0
    dead: set[Hashable] = field(default_factory=set)

    def extend(
        self, snapshot: Snapshot, left: dict[Cell, int], entering: dict[Cell, int]
    ) -> tuple[Steps, Snapshot] | None:
        """The remaining moves and the fleet after them; None where there is no order."""
        if not any(left.values()):
            return (), snapshot
        state = (*left.values(), *entering.values())
        if state in self.dead or self.states >= MOST_STATES:
            return None
        self.states += 1
        for source, target in self._choices(left, entering):
            piece = self.proposal.leaving[source][left[source] - 1]
            slots = self.proposal.place(snapshot, piece, target)
            if slots is None:
                continue
            rest = self.extend(
                moved(snapshot, piece, slots),
                left | {source: left[source] - 1},
                entering | {target: entering[target] - 1},
            )
            if rest is not None:
                return ((piece, slots), *rest[0]), rest[1]
        self.dead.add(state)
        return None

    def _choices(self, left: dict[Cell, int], entering: dict[Cell, int]) -> list[tuple[Cell, Cell]]:
        """(source, target) of every kind of move that is left. First those to places that nothing is still to leave,
        which stand in nobody's way; large pieces before small."""
        waiting = {place for (_, place), count in left.items() if count}
        choices = [
            (source, target)
            for source, count in left.items()
            for target, room in entering.items()
            if count and room and source[0] == target[0]
        ]
        return sorted(choices, key=lambda each: (each[1][1] in waiting, -self.proposal.leaving[each[0]][0].pods, each))
