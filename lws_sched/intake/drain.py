"""How a node or a domain can be emptied of groups: which go where, in which order.

Groups of one set go one after the other, as many at once as its maxUnavailable allows; those that are not ready count
against it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from lws_sched.api.meta import key_of
from lws_sched.core.rollout import budget
from lws_sched.intake.cluster import Cluster
from lws_sched.intake.groups import Group, groups_of
from lws_sched.intake.standing_groups import Standing, relocate, standing_groups, without_nodes
from lws_sched.placement import Placed, Refused, plan


@dataclass(frozen=True)
class Departure:
    """One group that has members on the nodes: where it would go, or why it has no other place."""

    group: str
    members: tuple[tuple[str, str], ...]
    """(pod, node) of those that stand on the nodes."""
    feasible: bool
    domain: str = ""
    slots: tuple[tuple[str, str], ...] = ()
    reason: str = ""
    fix: str = ""
    at_once: int = 1
    """Groups of its set that may be away at the same time."""
    set_key: str = ""


def plan_drain(cluster: Cluster, nodes: Iterable[str]) -> tuple[Departure, ...]:
    """The groups that stand on these nodes, in the order to take them down. Each counts on the room that those before
    it leave."""
    closed = frozenset(nodes)
    fleet = without_nodes(cluster, closed).fleet()
    found = []
    for group in standing_groups(cluster, fleet.snapshot()):
        on_them = tuple(pair for pair in zip(group.pods, group.slots, strict=True) if pair[1] in closed)
        if not on_them:
            continue
        for charge in group.charges:
            fleet.release(charge.owner)
        [decision] = plan(fleet.snapshot(), [group.request])
        if isinstance(decision, Placed):
            relocate(fleet, group, range(len(group.slots)), decision.slots)
            found.append(_leaves(group, on_them, decision))
        else:
            relocate(fleet, group, range(len(group.slots)), group.slots)
            found.append(_stays(group, on_them, decision))
    return tuple(found)


def stuck_groups(cluster: Cluster, nodes: Iterable[str], planned: Sequence[Departure]) -> tuple[Group, ...]:
    """Groups with members there of which others are missing: they are on their way, and cannot be taken down whole."""
    closed, known = frozenset(nodes), {each.group for each in planned}
    return tuple(
        group
        for lws in sorted(cluster.sets, key=key_of)
        for group in groups_of(cluster, lws)
        if group.key not in known and any(member.node in closed for member in group.members)
    )


def _leaves(group: Standing, members: tuple[tuple[str, str], ...], placed: Placed) -> Departure:
    return Departure(
        group=group.request.key,
        members=members,
        feasible=True,
        domain=placed.domain_value,
        slots=tuple(zip(group.pods, placed.slots, strict=True)),
        at_once=_at_once(group),
        set_key=key_of(group.lws) if group.lws is not None else "",
    )


def _stays(group: Standing, members: tuple[tuple[str, str], ...], refused: Refused) -> Departure:
    return Departure(
        group=group.request.key,
        members=members,
        feasible=False,
        reason=refused.reason,
        fix=refused.fix,
        at_once=_at_once(group),
        set_key=key_of(group.lws) if group.lws is not None else "",
    )


def _at_once(group: Standing) -> int:
    return max(1, budget(group.lws).unavailable) if group.lws is not None else 1
