"""Answers as messages of placement.proto, and back."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from lws_sched.api import names
from lws_sched.api.lws import LeaderWorkerSet
from lws_sched.api.meta import key_of
from lws_sched.api.placement import GroupPlacement
from lws_sched.intake.answers import Answer
from lws_sched.intake.explaining import Explained
from lws_sched.intake.groups import Group, Member
from lws_sched.intake.wanted import Ask
from lws_sched.service import placement_pb2 as pb

if TYPE_CHECKING:
    from lws_sched.intake.defrag import Plan


def answer_message(answer: Answer) -> pb.Answer:
    return pb.Answer(
        name=answer.name,
        namespace=answer.namespace,
        feasible=answer.feasible,
        domain=pb.Domain(level=answer.level, value=answer.domain) if answer.feasible else None,
        slots=_slots(answer.slots),
        proof=answer.proof,
        value=answer.value,
        bound=answer.bound,
        reason=answer.reason,
        fix=answer.fix,
        size=answer.size,
        standing=answer.standing,
    )


def answer_of(message: pb.Answer) -> Answer:
    return Answer(
        key=f"{message.namespace}/{message.name}",
        size=message.size,
        feasible=message.feasible,
        level=message.domain.level,
        domain=message.domain.value,
        slots=tuple((slot.pod, slot.node) for slot in message.slots),
        proof=message.proof,
        value=message.value,
        bound=message.bound,
        reason=message.reason,
        fix=message.fix,
        standing=message.standing,
    )


def explain_message(lws: LeaderWorkerSet, groups: Sequence[Explained]) -> pb.ExplainResponse:
    return pb.ExplainResponse(set=key_of(lws), groups=[_group_message(each) for each in groups])


def _group_message(each: Explained) -> pb.Group:
    group, ask = each.group, each.asked
    return pb.Group(
        name=group.name,
        namespace=group.namespace,
        state=group.state,
        since=group.since,
        asked=pb.Asked(required=ask.required, exclusive=ask.exclusive, preferred=ask.preferred),
        domain=pb.Domain(level=group.level, value=group.domain) if group.level else None,
        proof=group.proof,
        reason=group.reason,
        fix=group.fix,
        now=None if each.now is None else answer_message(each.now),
        members=[
            pb.Member(
                pod=member.pod,
                state=member.state,
                ready=member.ready,
                slot=member.slot,
                node=member.node,
                restarts=member.restarts,
                message=member.message,
            )
            for member in group.members
        ],
        sentences=each.sentences,
    )


def explained(message: pb.Group, set_name: str) -> Explained:
    """`set_name` without its namespace."""
    members = tuple(
        Member(
            pod=each.pod,
            slot=each.slot,
            node=each.node,
            ready=each.ready,
            restarts=each.restarts,
            state=each.state,
            message=each.message,
        )
        for each in message.members
    )
    group = Group(
        namespace=message.namespace,
        set_name=set_name,
        index=int(message.name.removeprefix(f"{set_name}-")),
        state=message.state,
        members=members,
        level=message.domain.level,
        domain=message.domain.value,
        reason=message.reason,
        fix=message.fix,
        proof=message.proof,
        since=message.since,
    )
    asked = Ask(message.asked.required, message.asked.exclusive, tuple(message.asked.preferred))
    now = answer_of(message.now) if message.HasField("now") else None
    return Explained(group, asked, now, tuple(message.sentences))


def moves_message(plan: Plan) -> pb.Moves:
    return pb.Moves(
        answer=answer_message(plan.answer),
        moves=[
            pb.Move(
                group=step.group,
                pods=[pb.MovedPod(pod=pod, from_node=before, to_node=after) for pod, before, after in step.pods],
                is_owned=step.is_owned,
            )
            for step in plan.steps
        ],
        moved=plan.moved,
        at_least=plan.at_least,
    )


def plan_of(message: pb.Moves) -> Plan:
    from lws_sched.intake.defrag import Plan, Step

    steps = tuple(
        Step(move.group, tuple((pod.pod, pod.from_node, pod.to_node) for pod in move.pods), move.is_owned)
        for move in message.moves
    )
    return Plan(answer_of(message.answer), steps, message.moved, message.at_least)


def placement_message(record: GroupPlacement) -> pb.PlacementState:
    meta, spec, status = record.metadata, record.spec, record.status
    members = ((names.member_name(meta.name, index), node) for index, node in enumerate(status.slots))
    domain = status.domain
    return pb.PlacementState(
        name=meta.name,
        namespace=meta.namespace,
        leader_worker_set=spec.leader_worker_set,
        group_index=spec.group_index,
        size=spec.size,
        revision=spec.revision,
        state=status.state,
        since=status.since,
        domain=None if domain is None else pb.Domain(level=domain.key, value=domain.value),
        slots=_slots(members),
        bound=status.bound,
        reason=status.reason,
        fix=status.fix,
        proof=status.proof,
        resource_version=meta.resource_version,
    )


def _slots(pairs: Iterable[tuple[str, str]]) -> list[pb.Slot]:
    return [pb.Slot(pod=pod, node=node) for pod, node in pairs]
