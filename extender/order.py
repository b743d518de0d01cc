"""Who goes first: priority, then age; and what is kept free for whoever is first and does not fit yet.

Groups are decided in the order of their turn. The first that does not fit is the *head*: it holds one domain, and those
behind it (backfill) get no host of that domain, so the members that leave it make room for the head and nobody else.

The domain held is the one that is likely to be free soonest, by this rule. Candidates are the healthy domains whose
total capacity could take the group, whoever stands there now. Of these the one with the fewest members to leave wins:
the places that the group lacks there, and the members of groups whose exclusive topology keeps it out. Ties go to the
first by name. A held domain only gets emptier, so this number never grows from one decision to the next, and a large
group is not starved by small ones. A group that needs no particular domain holds just enough nodes, those with the
fewest members to leave. A group that fits no healthy domain holds nothing and is in nobody's way.

Groups whose candidates have no node in common (other hardware, say) do not wait for each other: each such pool has a
head of its own.
"""

from __future__ import annotations

from collections.abc import Collection, Hashable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from lws_sched.placement import Budget, Decision, GroupRequest, Placed, Refused, Snapshot, UnknownLevel, plan
from lws_sched.placement.node import natural_key
from lws_sched.placement.room import Closed, Need, Room, asked, avoided, barring, room_for, whole_need
from lws_sched.placement.snapshot import kind_of
from lws_sched.placement.table import Bools, Ints, Partition

NO_SOLVER = Budget(deterministic_time=0.0)
TRIES = 1
"""A batch of hundreds takes a second each time; after that, groups are placed one after the other in their turn."""


@dataclass(frozen=True, eq=False)
class Hold:
    """What is kept free for the head. Masks have the shape [nodes]."""

    key: str
    place: str
    """The nodes held, in words."""
    nodes: Bools
    candidates: Bools
    """All nodes of domains that could be held for it."""

    def kept_for(self, whom: str) -> str:
        """A clause that says so."""
        return f"{self.place} {'are' if self.place[0].isdigit() else 'is'} kept free for {whom}"


def turn(request: GroupRequest) -> tuple[object, ...]:
    """Sort key: highest priority first, then oldest."""
    return (-request.priority, request.created, natural_key(request.key))


def plan_in_order(
    snapshot: Snapshot, requests: Sequence[GroupRequest], budget: Budget, provided: Collection[str] = ()
) -> dict[str, Decision]:
    """A decision for each request, by key: as the engine would plan them together, except that nobody behind the head
    gets what the head could have, or holds. Groups that are `provided` for otherwise hold nothing."""
    ordered = sorted(requests, key=turn)
    return _decide(
        snapshot, ordered, budget, _Heads(frozenset(provided), np.zeros(len(snapshot.table), dtype=np.bool_))
    )


@dataclass(frozen=True, eq=False)
class _Heads:
    """The heads so far: what they are candidates for, who cannot be one, and what the last of them has changed."""

    provided: frozenset[str]
    pools: Bools
    hold: Hold | None = None
    before: Mapping[str, Decision] = field(default_factory=dict)
    """What was decided of those behind the last head before it held anything."""
    tries: int = TRIES
    """How often those behind a group that was wrongly left out may still be planned together anew."""

    def explained(self, decision: Decision) -> Decision:
        """A refusal that the hold is the cause of says so."""
        before = self.before.get(decision.key)
        if self.hold is None or isinstance(decision, Placed) or not isinstance(before, Placed):
            return decision
        head = self.hold.key
        reason = f"it would fit, but {self.hold.kept_for(f'group {head}')}, whose turn is before its own"
        return replace(decision, reason=reason, fix=f"wait, or give it a higher priority than {head}")


def _decide(snapshot: Snapshot, ordered: Sequence[GroupRequest], budget: Budget, heads: _Heads) -> dict[str, Decision]:
    if not ordered:
        return {}
    decisions = {each.key: heads.explained(each) for each in plan(snapshot, ordered, budget)}
    line = _Line(snapshot, decisions)
    for position, request in enumerate(ordered):
        if not line.is_news(request, heads.provided):
            continue
        hold = hold_for(line.ahead, request)
        if hold is None or (hold.candidates & heads.pools).any():
            continue
        behind = ordered[position + 1 :]
        if line.let_in(request):
            # Left out for the sake of younger groups that together are larger.
            if heads.tries:
                return {**decisions, **_decide(line.ahead, behind, budget, replace(heads, tries=heads.tries - 1))}
            continue
        decision = decisions[request.key]
        assert isinstance(decision, Refused)
        decisions[request.key] = replace(decision, reason=f"{decision.reason}; {hold.kept_for('it')}")
        later = replace(heads, pools=heads.pools | hold.candidates, hold=hold, before=decisions)
        return {**decisions, **_decide(closed(line.ahead, hold.nodes), behind, budget, later)}
    return decisions


@dataclass(eq=False)
class _Line:
    """Groups in the order of their turn, each decided on the fleet with those before it in place."""

    ahead: Snapshot
    decisions: dict[str, Decision]
    """As planned together; corrected in place."""
    _refused: dict[Hashable, Decision] = field(default_factory=dict)
    """What was said to the first of its kind that does not fit."""
    _is_stale: bool = False
    """Somebody got in whom the common plan had left out: what it says of those behind may hold no more."""

    def is_news(self, request: GroupRequest, provided: Collection[str]) -> bool:
        """Whether the group is the first of its kind that is left out; if it is not left out, its place is taken."""
        kind = kind_of(self.ahead, request)
        decision = self.decisions[request.key]
        if self._is_stale and isinstance(decision, Placed):
            decision = self._placed_anew(request, decision, kind)
        if isinstance(decision, Placed):
            self._take(request, decision)
            return False
        if request.key in provided or kind in self._refused:
            return False
        self._refused[kind] = decision
        return True

    def let_in(self, request: GroupRequest) -> bool:
        """Give a group that was left out its place after all, if it fits beside those before it."""
        [alone] = plan(self.ahead, [request], NO_SOLVER)
        if not isinstance(alone, Placed):
            return False
        self._refused.pop(kind_of(self.ahead, request))
        self._take(request, alone)
        self._is_stale = True
        return True

    def _placed_anew(self, request: GroupRequest, before: Placed, kind: Hashable) -> Decision:
        """Where it was planned, if that is still free; else elsewhere, if there is room. Room only shrinks, so one
        refusal speaks for its kind."""
        known = self._refused.get(kind)
        if known is not None:
            decision = replace(known, key=request.key)
        else:
            [decision] = plan(self.ahead, [replace(request, stay=before.slots)], NO_SOLVER)
        self.decisions[request.key] = decision
        return decision

    def _take(self, request: GroupRequest, placed: Placed) -> None:
        self.decisions[request.key] = placed
        self.ahead = self.ahead.with_group(request, placed.slots)


def hold_for(snapshot: Snapshot, request: GroupRequest) -> Hold | None:
    """What a group that does not fit now holds; None where no healthy domain could ever take it."""
    table = snapshot.table
    keys = asked(table, request)
    if isinstance(keys, UnknownLevel):
        return None
    empty, need = snapshot.emptied(np.arange(len(table))), whole_need(request)
    refused = avoided(table, request)
    shut = Closed(refused, refused, None) if refused.any() else None
    once_empty, now = (room_for(each, request, shut) for each in (empty, snapshot))
    base = table.partition(keys.base)
    could = np.flatnonzero(once_empty.slack(base, need) >= 0)
    if not len(could):
        return None
    candidates = np.isin(base.codes, could) & (once_empty.workers > 0)
    if not keys.base:
        nodes = _mask(_fewest(now, once_empty, base, need), len(table))
        return Hold(request.key, _named(snapshot, nodes), nodes, candidates)
    lacking = np.maximum(-now.slack(base, need), 0)
    leaving = [
        int(lacking[each]) + len(barring(snapshot, request, keys, base.members(each))) for each in could.tolist()
    ]
    for domain in could[np.argsort(leaving, kind="stable")].tolist():
        nodes = base.codes == domain
        if not request.subgroup_size or _takes(closed(empty, ~nodes), request):
            labels = table.nodes[int(base.members(domain)[0])].labels
            return Hold(request.key, " and ".join(f"{key} {labels[key]}" for key in keys.base), nodes, candidates)
    return None


def _takes(snapshot: Snapshot, request: GroupRequest) -> bool:
    """Whether the group fits: with subgroups, room alone does not tell."""
    [decision] = plan(snapshot, [replace(request, stay=())], NO_SOLVER)
    return isinstance(decision, Placed)


def closed(snapshot: Snapshot, nodes: Bools) -> Snapshot:
    """The fleet with nothing free on these nodes."""
    free = snapshot.free.copy()
    free[:, nodes] = np.minimum(free[:, nodes], 0)
    return replace(snapshot, free=free)


def _fewest(now: Room, once_empty: Room, everywhere: Partition, need: Need) -> Ints:
    """Just enough nodes, those with the fewest members to leave first."""
    able = np.flatnonzero(once_empty.workers > 0)
    nodes = able[np.lexsort((able, (once_empty.workers - now.workers)[able]))]
    low, high = 1, len(nodes)
    while low < high:
        middle = (low + high) // 2
        room = once_empty.within(_mask(nodes[:middle], len(everywhere.codes)))
        if room.slack(everywhere, need)[0] >= 0:
            high = middle
        else:
            low = middle + 1
    return nodes[:low]


def _mask(nodes: Ints, size: int) -> Bools:
    mask = np.zeros(size, dtype=np.bool_)
    mask[nodes] = True
    return mask


def _named(snapshot: Snapshot, nodes: Bools) -> str:
    names = [snapshot.table.names[index] for index in np.flatnonzero(nodes).tolist()]
    return f"node {names[0]}" if len(names) == 1 else f"{len(names)} nodes ({names[0]} and others)"
