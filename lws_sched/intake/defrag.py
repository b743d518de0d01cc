"""Which pods to move, and in which order, so that groups fit which fit nowhere now."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from lws_sched.api.lws import LeaderWorkerSet
from lws_sched.intake.answers import Answer
from lws_sched.intake.cluster import Cluster
from lws_sched.intake.standing_groups import Standing, relocate, standing_groups, standing_pods
from lws_sched.intake.wanted import MemberShapes, WantedGroup
from lws_sched.intake.what_if import answer_of, groups_wanted, what_if
from lws_sched.placement import Budget, Defragmentation, Fleet, Tenant, defragment
from lws_sched.placement.relocation import Movable

BUDGET = Budget(deterministic_time=2.0)


@dataclass(frozen=True)
class Step:
    """Pods of one group that go to other nodes together: (pod, from, to)."""

    group: str
    pods: tuple[tuple[str, str, str], ...]
    is_owned: bool = True
    """Whether somebody makes the pods anew once they are gone."""


@dataclass(frozen=True)
class Plan:
    """What one group takes: the steps before it, and its place after them."""

    answer: Answer
    steps: tuple[Step, ...] = ()
    moved: int = 0
    """Pods moved."""
    at_least: int = 0
    """No plan moves fewer."""


def plan_moves(
    cluster: Cluster,
    sets: Sequence[LeaderWorkerSet],
    shapes: Mapping[str, MemberShapes],
    budget: Budget = BUDGET,
    *,
    only_ours: bool = False,
) -> tuple[Plan, ...]:
    """One plan after the other for each group of the sets; each counts on the steps of those before it. `only_ours`
    leaves everybody where they are but the groups that we place."""
    answers = {answer.key: answer for answer in what_if(cluster, sets, shapes, evict=False)}
    fleet = cluster.fleet(without=frozenset(key for key, answer in answers.items() if not answer.standing))
    snapshot = fleet.snapshot()
    groups = groups_wanted(sets, shapes)
    blocked = [groups[key] for key, answer in answers.items() if not answer.feasible]
    resources = {
        name for group in blocked for shape in (group.shapes.leader, group.shapes.worker) for name, _ in shape.requests
    }
    movables = {
        each.request.key: each
        for each in (*standing_groups(cluster, snapshot), *standing_pods(cluster, resources))
        if each.request.key not in groups and (not only_ours or each.request.key in cluster.record_of)
    }
    plans: dict[str, Plan] = {}
    for key, answer in answers.items():
        if answer.feasible:
            plans[key] = Plan(answer)
            if not answer.standing:
                _place(fleet, groups[key], [node for _, node in answer.slots])
    for group in blocked:
        plans[group.key] = _unblock(fleet, group, movables, budget)
    return tuple(plans[key] for key in answers)


def _unblock(fleet: Fleet, group: WantedGroup, movables: dict[str, Standing], budget: Budget) -> Plan:
    request = group.request()
    choice = [Movable(each.request, each.slots) for each in movables.values()]
    found = defragment(fleet.snapshot(), request, choice, budget)
    if not isinstance(found, Defragmentation):
        return Plan(answer_of(group, found))
    steps = []
    for move in found.moves:
        standing = movables[move.key]
        relocate(fleet, standing, move.members, move.after)
        slots = dict(enumerate(standing.slots)) | dict(zip(move.members, move.after, strict=True))
        movables[move.key] = replace(standing, slots=tuple(slots[index] for index in range(len(slots))))
        names = [standing.pods[index] for index in move.members]
        steps.append(Step(move.key, tuple(zip(names, move.before, move.after, strict=True)), standing.is_owned))
    _place(fleet, group, found.placed.slots)
    answer = replace(answer_of(group, found.placed), reason=found.reason, proof=found.proof)
    return Plan(answer, tuple(steps), found.value, found.bound)


def _place(fleet: Fleet, group: WantedGroup, nodes: Sequence[str]) -> None:
    tenant = Tenant(group=group.key, namespace=group.namespace, exclusive=group.ask.exclusive)
    for index, node in enumerate(nodes):
        shape = group.shapes.worker if index else group.shapes.leader
        fleet.charge(f"planned:{group.key}:{index}", node, dict(shape.requests), tenant)
