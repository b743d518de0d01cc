"""The fewest pods to move so that a group fits which fits nowhere now, as an order of moves that can be carried out.

Chains are allowed: a group may move into room that another one leaves. Every move goes to room that is free at that
moment, so nothing is ever without a place. Who must share a domain moves together and keeps all that it asks for
(`relocation`). Each piece moves once at most.

Where members take whole hosts, the fewest pods are a matter of counts (`whole_hosts`, `relocation_model`), else of
nodes (`shared_hosts`); an order is looked for by depth-first search (`move_order`). Of a box, the fewest are first
looked for among the plans that clear one spot (`box_moves`). If there is none, that proposal is forbidden and the
next best is tried. No plan moves fewer pods than the least that was not forbidden; nor, since a plan that moves some
piece twice pays for it, than the very least and one piece more.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from lws_sched.placement.box_moves import clearing, spots_for
from lws_sched.placement.exact import search
from lws_sched.placement.explain import diagnose
from lws_sched.placement.move_order import Proposed, Steps, find_order
from lws_sched.placement.relocation import Movable, Move, Piece, lifted, moved, pieces_of
from lws_sched.placement.request import Budget, GroupRequest, Placed, Refused
from lws_sched.placement.shared_hosts import SharedHosts
from lws_sched.placement.snapshot import Snapshot
from lws_sched.placement.verify import verify
from lws_sched.placement.whole_hosts import WholeHosts, count_hosts

DEFAULT_BUDGET = Budget()
MOST_SPOTS = 64
"""Spots that are tried for a box, those with the fewest pods in the way first."""


@dataclass(frozen=True)
class Defragmentation:
    """Moves, to be carried out in this order, and the place that the group has then."""

    key: str
    moves: tuple[Move, ...]
    placed: Placed
    value: int
    """Pods moved."""
    bound: int
    """No plan moves fewer."""
    proof: str
    """`optimal` where value and bound agree, else `feasible`."""
    reason: str


class Proposer(Protocol):
    """Proposes what to move, the fewest pods first."""

    def propose(self, deterministic_time: float) -> Proposed: ...

    def forbid(self) -> None:
        """Never propose the last again."""


def defragment(
    snapshot: Snapshot, request: GroupRequest, movables: Iterable[Movable], budget: Budget = DEFAULT_BUDGET
) -> Defragmentation | Refused:
    """The fewest pods to move, and in which order, so that the request fits.

    `snapshot` is the fleet with everything in place, members charged to tenants named like their groups. Refused
    `infeasible` where no choice of moves makes room, `undecided` where the budget ended first or every choice found
    would need room that is not free in time.
    """
    placed = search(snapshot, request)
    if placed is not None:
        verify(snapshot, request, placed)
        return Defragmentation(request.key, (), placed, 0, 0, "optimal", "it fits as things are: nothing has to move")
    pieces = pieces_of(movables)
    cleared = lifted(snapshot, pieces)
    if search(cleared, request) is None:
        diagnosis = diagnose(cleared, request)
        reason = f"{diagnosis.reason}, even with all that may be moved out of the way"
        return Refused(request.key, reason, diagnosis.fix, "infeasible")
    return _Attempt(snapshot, request, pieces, budget).answer()


class _Attempt:
    def __init__(self, snapshot: Snapshot, request: GroupRequest, pieces: Sequence[Piece], budget: Budget) -> None:
        self._snapshot = snapshot
        self._request = request
        self._pieces = pieces
        self._left = budget.deterministic_time
        self._bounds: list[int] = []
        """What plans that are no longer looked for move at least."""

    def answer(self) -> Defragmentation | Refused:
        cleared = self._by_clearing()
        if cleared is not None and cleared.proof == "optimal":
            return cleared
        answer = self._by_proposals()
        if cleared is None or (isinstance(answer, Defragmentation) and answer.value < cleared.value):
            return answer
        return cleared

    def _by_clearing(self) -> Defragmentation | None:
        """A box at the first spot from which all who stand in the way find room elsewhere."""
        spots = spots_for(self._snapshot, self._request, self._pieces) or []
        for spot in spots[:MOST_SPOTS]:
            order = find_order(self._snapshot, clearing(self._snapshot, spot, self._pieces))
            if order.steps is not None:
                found = self._done(order.steps, order.after, spots[0].pods)
                assert found is not None
                return found
        return None

    def _by_proposals(self) -> Defragmentation | Refused:
        proposer = self._proposer()
        while True:
            proposed = proposer.propose(self._left)
            self._left -= proposed.deterministic_time
            if proposed.bound is None or proposed.proposal is None:
                return self._refused(proposed)
            order = find_order(self._snapshot, proposed.proposal)
            found = None if order.steps is None else self._done(order.steps, order.after, proposed.bound)
            if found is not None:
                return found
            self._bounds.append(proposed.bound + min(piece.pods for piece in self._pieces))
            if order.steps is not None or not order.complete:
                self._bounds.append(proposed.proposal.pods)
            proposer.forbid()

    def _proposer(self) -> Proposer:
        count = count_hosts(self._snapshot, self._request, self._pieces)
        if count is None:
            return SharedHosts(self._snapshot, self._request, self._pieces)
        return WholeHosts(count)

    def _done(self, steps: Steps, after: Snapshot, bound: int) -> Defragmentation | None:
        """The plan of these steps; None where the group has no place after them."""
        placed = search(after, self._request)
        if placed is None:
            return None
        verify(after, self._request, placed)
        moves = self._moves(steps)
        pods = sum(len(move.members) for move in moves)
        bound = min([bound, pods, *self._bounds])
        names = {move.key for move in moves}
        what = f"{pods} pod{'s' if pods > 1 else ''} of {len(names)} group{'s' if len(names) > 1 else ''}"
        return Defragmentation(
            key=self._request.key,
            moves=moves,
            placed=placed,
            value=pods,
            bound=bound,
            proof="optimal" if pods == bound else "feasible",
            reason=f"moving {what}, in {len(moves)} move{'s' if len(moves) > 1 else ''}, makes room in "
            f"{placed.domain_value or 'the cluster'}",
        )

    def _moves(self, steps: Steps) -> tuple[Move, ...]:
        """The steps as moves, each checked on the fleet as it is then."""
        snapshot, moves = self._snapshot, list[Move]()
        for piece, slots in steps:
            verify(snapshot, piece.request, Placed(piece.request.key, slots, "", "", "feasible"))
            snapshot = moved(snapshot, piece, slots)
            moves.append(Move(piece.request.key, piece.members, piece.slots, slots))
        return tuple(moves)

    def _refused(self, proposed: Proposed) -> Refused:
        diagnosis = diagnose(self._snapshot, self._request)
        if proposed.bound is None and not self._bounds:
            reason = f"{diagnosis.reason}, and no moving of others makes room for it"
            return Refused(self._request.key, reason, diagnosis.fix, "infeasible")
        if proposed.bound is None:
            reason = f"{diagnosis.reason}; others would have to move into room that is not free in time"
        else:
            reason = f"{diagnosis.reason}; the time allowed did not suffice to say whether moving others makes room"
        return Refused(self._request.key, reason, diagnosis.fix, "undecided")
