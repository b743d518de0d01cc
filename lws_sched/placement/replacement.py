"""New places for the lost members of a group that is bound, decided at once; those that are left stay where they are.

The lost members go to the domain in which the others stand, a member of a subgroup to its subgroup's, as near to them
as can be (`sticky`); victims of lower priority are evicted for them where the caller offers any, the cheapest first
(`hunt`). Where that cannot be, the whole group must move, and the refusal says where to.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from lws_sched.placement import wording
from lws_sched.placement.exact import search
from lws_sched.placement.hunt import Hunt
from lws_sched.placement.obstruction import covers
from lws_sched.placement.preemption import despite, listed
from lws_sched.placement.request import Budget, GroupRequest, Placed, Refused
from lws_sched.placement.room import Asked, asked
from lws_sched.placement.snapshot import Snapshot
from lws_sched.placement.table import Bools
from lws_sched.placement.verify import verify
from lws_sched.placement.victims import Cost, Scale, Victim, evictable, without

DEFAULT_BUDGET = Budget()


@dataclass(frozen=True)
class Replacement:
    """All slots of the group by worker index, and whom to evict for the new ones."""

    key: str
    slots: tuple[str, ...]
    lost: tuple[int, ...]
    """The worker indices whose slots are new."""
    victims: tuple[str, ...]
    value: Cost
    bound: Cost
    """No set that makes room costs less."""
    proof: str
    """`exact` without victims; `optimal` where value and bound agree, else `feasible`."""
    reason: str


def replace_lost(
    snapshot: Snapshot,
    request: GroupRequest,
    lost: Collection[int],
    victims: Iterable[Victim] = (),
    budget: Budget = DEFAULT_BUDGET,
) -> Replacement | Refused:
    """Places for the members with these worker indices. `request.stay` has the slots of all members until now.

    `snapshot` is the fleet with the other members and the victims in place, and without the lost members. Refused
    where the whole group must move. Raises ValueError where no member is left, or `stay` does not name all slots.
    """
    group = _Group(snapshot, request, tuple(sorted(lost)))
    offered = evictable(victims, request.priority)
    if group.settle(without(snapshot, offered)) is None:
        return _refused(snapshot, group, len(offered))
    scale = Scale(offered)
    hunt = Hunt(snapshot, offered, scale, budget, lambda after: group.settle(after) is not None)
    found = hunt.cheapest(covers(snapshot, group.lost_part, offered, scale, group.within))
    gone = [offered[each] for each in sorted(found.evicted)]
    after = without(snapshot, gone)
    placed = group.settle(after)
    assert placed is not None
    group.check(after, placed)
    value, bound = scale.cost(found.weight), scale.cost(found.bound)
    return Replacement(
        key=request.key,
        slots=placed.slots,
        lost=group.lost,
        victims=tuple(each.key for each in gone),
        value=value,
        bound=bound,
        proof="exact" if not gone else "optimal" if value == bound else "feasible",
        reason=_reason(group, placed, gone),
    )


class _Group:
    """A group of which some members are lost."""

    def __init__(self, snapshot: Snapshot, request: GroupRequest, lost: tuple[int, ...]) -> None:
        if len(request.stay) != request.size:
            raise ValueError(
                f"{request.key} has {request.size} members, but the slots of {len(request.stay)} are given"
            )
        if len(lost) >= request.size:
            raise ValueError(f"no member of {request.key} is left: place the whole group afresh")
        self.request = request
        self.lost = lost
        self._left = [index for index in range(request.size) if index not in lost]
        self._snapshot = snapshot
        shapes = [request.worker if index else request.leader for index in self._left]
        pods = tuple((request.stay[index], shape.requests) for index, shape in zip(self._left, shapes, strict=True))
        self.standing = Victim(request.key, request.priority, pods)
        """The members that are left, as they can be lifted off the fleet."""
        self.within = self._domain()
        """The nodes of the domain that the members share."""

    @property
    def lost_part(self) -> GroupRequest:
        """The lost members as a group of their own."""
        leader = self.request.leader if 0 in self.lost else self.request.worker
        return replace(
            self.request, size=len(self.lost), leader=leader, preferred=(), spread="", stay=(), subgroup_size=0, box=()
        )

    def settle(self, snapshot: Snapshot) -> Placed | None:
        """A placement that keeps everybody who is left; None where there is none."""
        stay = tuple("" if index in self.lost else node for index, node in enumerate(self.request.stay))
        found = search(self._lifted(snapshot), replace(self.request, stay=stay), self.within)
        if found is not None and all(found.slots[index] == stay[index] for index in self._left):
            return found
        if self.request.subgroup_size or self.request.box:
            return None
        part = search(snapshot, self.lost_part, self.within)
        if part is None:
            return None
        slots = {index: stay[index] for index in self._left} | dict(zip(self.lost, part.slots, strict=True))
        whole = tuple(slots[index] for index in range(self.request.size))
        return replace(part, slots=whole, value=self.request.size, bound=self.request.size)

    def check(self, snapshot: Snapshot, placed: Placed) -> None:
        """Raises AssertionError where the new slots break a promise."""
        new = tuple(placed.slots[index] for index in self.lost)
        assert all(self.within[snapshot.table.position[node]] for node in new)
        if self.request.subgroup_size or self.request.box:
            verify(self._lifted(snapshot), self.request, placed)
        else:
            verify(snapshot, self.lost_part, replace(placed, slots=new))

    @property
    def standing_nodes(self) -> tuple[str, ...]:
        return tuple(self.request.stay[index] for index in self._left)

    def _lifted(self, snapshot: Snapshot) -> Snapshot:
        """The fleet without the members that are left. Where one stands on a node that takes nothing new, it keeps
        exactly its own room there."""
        lifted = without(snapshot, (self.standing,))
        table = snapshot.table
        nodes = {table.position[node] for node in self.standing_nodes if node in table.position}
        held = np.array([node for node in sorted(nodes) if not snapshot.schedulable[node]], dtype=np.int64)
        if not len(held):
            return lifted
        free, schedulable = lifted.free.copy(), lifted.schedulable.copy()
        free[:, held] = np.minimum(free[:, held], free[:, held] - snapshot.free[:, held])
        schedulable[held] = True
        return replace(lifted, free=free, schedulable=schedulable)

    def _domain(self) -> Bools:
        table = self._snapshot.table
        keys = asked(table, self.request)
        inside = np.ones(len(table), dtype=np.bool_)
        if not isinstance(keys, Asked) or not keys.base:
            return inside
        codes = table.partition(keys.base).codes
        known = [table.position[node] for node in self.standing_nodes if node in table.position]
        return np.isin(codes, np.unique(codes[known])) & (codes >= 0)


def _reason(group: _Group, placed: Placed, gone: Sequence[Victim]) -> str:
    nodes = wording.listed([placed.slots[index] for index in group.lost], "node")
    moved = f"{_lost(group)} to {nodes}"
    if not gone:
        return f"{moved}, beside the others in {placed.domain_value or 'the cluster'}"
    return f"{moved}, once {listed(gone)} gave way{despite(gone)}"


def _refused(snapshot: Snapshot, group: _Group, count: int) -> Refused:
    evicted = f", even with {count} groups and pods of lower priority evicted" if count else ""
    reason = f"{_lost(group)} nowhere in the domain of the others{evicted}: the whole group must move"
    anew = replace(group.request, stay=())
    elsewhere = search(without(snapshot, (group.standing,)), anew)
    if elsewhere is not None:
        fix = f"restart the whole group: it fits in {elsewhere.domain_value or 'the cluster'}"
    else:
        fix = "free room in the domain, repair the lost nodes, or add nodes"
    return Refused(group.request.key, reason, fix, "infeasible")


def _lost(group: _Group) -> str:
    several = len(group.lost) > 1
    return (
        f"{len(group.lost)} lost member{'s' if several else ''} of {group.request.size} {'go' if several else 'goes'}"
    )
