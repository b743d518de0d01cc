"""Which groups and pods of lower priority to evict so that a group fits: the cheapest set over every domain (`hunt`).

The order of costs is that of `victims.Cost`. The placement that holds once the victims are gone is checked by code that
shares nothing with the search for them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from lws_sched.placement import wording
from lws_sched.placement.exact import search
from lws_sched.placement.explain import diagnose
from lws_sched.placement.hunt import Hunt
from lws_sched.placement.obstruction import covers
from lws_sched.placement.request import Budget, GroupRequest, Placed, Refused
from lws_sched.placement.snapshot import Snapshot
from lws_sched.placement.verify import verify
from lws_sched.placement.victims import Cost, Scale, Victim, evictable, without

DEFAULT_BUDGET = Budget()


@dataclass(frozen=True)
class Eviction:
    """Whom to evict, and the place that the group has once they are gone."""

    key: str
    victims: tuple[str, ...]
    """Keys, in natural order; empty where the group fits as things are."""
    placed: Placed
    value: Cost
    bound: Cost
    """No set that makes room costs less."""
    proof: str
    """`optimal` where value and bound agree, else `feasible`."""
    reason: str


def preempt(
    snapshot: Snapshot, request: GroupRequest, victims: Iterable[Victim], budget: Budget = DEFAULT_BUDGET
) -> Eviction | Refused:
    """The cheapest victims of lower priority than the request's, whose leaving lets it in.

    `snapshot` is the fleet with the victims in place, their members charged to tenants named like the victims. The
    budget bounds the solver alone: with none, answers are greedy, and exact where hosts are not shared. Refused where
    the group does not fit even with all of them gone.
    """
    offered = evictable(victims, request.priority)
    cleared = without(snapshot, offered)
    if search(cleared, request) is None:
        return _refused(cleared, request, len(offered))
    scale = Scale(offered)
    hunt = Hunt(snapshot, offered, scale, budget, lambda after: search(after, request) is not None)
    found = hunt.cheapest(covers(snapshot, request, offered, scale))
    gone = [offered[each] for each in sorted(found.evicted)]
    after = without(snapshot, gone)
    placed = search(after, request)
    assert placed is not None
    verify(after, request, placed)
    value, bound = (scale.cost(each) for each in (found.weight, found.bound))
    return Eviction(
        key=request.key,
        victims=tuple(each.key for each in gone),
        placed=placed,
        value=value,
        bound=bound,
        proof="optimal" if value == bound else "feasible",
        reason=reason_for(gone, placed),
    )


def _refused(cleared: Snapshot, request: GroupRequest, count: int) -> Refused:
    diagnosis = diagnose(cleared, request)
    others = f"all {count} groups and pods" if count > 1 else "the one group or pod"
    evicted = f", even with {others} of lower priority evicted" if count else "; nothing of lower priority is there"
    return Refused(request.key, diagnosis.reason + evicted, diagnosis.fix, "infeasible")


def reason_for(gone: Sequence[Victim], placed: Placed) -> str:
    """Why the placement holds, for a user."""
    where = placed.domain_value or "the cluster"
    if not gone:
        return f"it fits in {where} as things are"
    return f"evicting {listed(gone)} makes room in {where}{despite(gone)}"


def listed(gone: Sequence[Victim]) -> str:
    """The victims by name, with their pods and highest priority."""
    named = wording.listed([each.key for each in gone], "group or pod")
    pods = sum(len(each.pods) for each in gone)
    highest = max(each.priority for each in gone)
    return f"{named} ({pods} pod{'s' if pods > 1 else ''} of priority {highest} at most)"


def despite(gone: Sequence[Victim]) -> str:
    """What is said of disruption budgets that stand in the way."""
    protected = [each.key for each in gone if each.protected]
    return f", although disruption budgets protect {wording.listed(protected, 'group')}" if protected else ""
