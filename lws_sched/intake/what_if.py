"""What would become of LeaderWorkerSets on a cluster: every group's place, or why it has none. Nothing is written.

Groups that stand already are told where they are and not planned again. Of a group that stands in part, the members
that are bound stay where they are. All others are planned together, beside what is on the cluster, exactly as the
extender would; whoever has no place then gets one where groups or pods of lower priority would be evicted for it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from lws_sched.api import names
from lws_sched.api.lws import LeaderWorkerSet
from lws_sched.api.meta import key_of
from lws_sched.api.placement import HOLDING
from lws_sched.intake import wanted
from lws_sched.intake.answers import Answer
from lws_sched.intake.cluster import Cluster, Member
from lws_sched.intake.room_made import make_room
from lws_sched.intake.wanted import MemberShapes, WantedGroup
from lws_sched.placement import Budget, Decision, GroupRequest, Placed, Refused, Snapshot, plan
from lws_sched.placement.node import natural_key
from lws_sched.placement.topology import HOSTNAME, key_or_name

SOLVER_BUDGET = Budget(deterministic_time=0.1)
"""The extender's: a larger one could promise what is then not done."""


def what_if(
    cluster: Cluster,
    sets: Sequence[LeaderWorkerSet],
    shapes: Mapping[str, MemberShapes],
    budget: Budget = SOLVER_BUDGET,
    now: float | None = None,
    *,
    evict: bool = True,
) -> tuple[Answer, ...]:
    """An answer for each group of the sets, in their order. `shapes` are by the sets' keys; `now` is the time in
    seconds, for refusals of nodes that run out, None where only the cluster's objects are known. With `evict` false
    nobody is evicted."""
    groups = groups_wanted(sets, shapes)
    refused = {key_of(lws): sentence for lws in sets if (sentence := wanted.unsupported(lws))}
    snapshot = cluster.snapshot()
    answers: dict[str, Answer] = {}
    fresh: list[WantedGroup] = []
    for key, group in groups.items():
        sentence = refused.get(f"{group.namespace}/{group.set_name}", "")
        found = _standing(cluster, snapshot, group) or (_unsupported(group, sentence) if sentence else None)
        if found is not None:
            answers[key] = found
        else:
            fresh.append(group)
    own = frozenset(group.key for group in fresh if cluster.members_of(group.key) or group.key in cluster.record_of)
    base = cluster.snapshot(without=own) if own else snapshot
    requests = {group.key: _request(cluster, group, now) for group in fresh}
    decisions, after = _decided(base, requests, budget)
    for decision in decisions:
        members = cluster.members_of(decision.key)
        answers[decision.key] = answer_of(groups[decision.key], _kept(decision, members))
    if evict:
        answers |= _evicting(cluster, after, groups, requests, decisions, budget)
    return tuple(answers[key] for key in groups)


def _decided(
    base: Snapshot, requests: Mapping[str, GroupRequest], budget: Budget
) -> tuple[Sequence[Decision], Snapshot]:
    """What becomes of the groups, and the fleet with those in place who got one. Groups of which a batch left open
    whether they have a place are asked about again beside those that it placed, as the extender does when it next looks
    at who waits."""
    found: dict[str, Decision] = {}
    left = [*requests.values()]
    while left:
        decisions = plan(base, left, budget)
        found |= {decision.key: decision for decision in decisions}
        placed = [(requests[each.key], each.slots) for each in decisions if isinstance(each, Placed)]
        base = base.with_groups(placed)
        refused = [each for each in decisions if isinstance(each, Refused)]
        is_open = placed and any(each.proof == "undecided" for each in refused)
        left = [requests[each.key] for each in refused] if is_open else []
    return [found[key] for key in requests], base


def _evicting(
    cluster: Cluster,
    base: Snapshot,
    groups: Mapping[str, WantedGroup],
    requests: Mapping[str, GroupRequest],
    decisions: Sequence[Decision],
    budget: Budget,
) -> dict[str, Answer]:
    """Answers for groups that have no place as things are, and for whom others would have to leave theirs. `base` is
    the fleet with everybody in place who has one."""
    blocked = [
        requests[each.key]
        for each in decisions
        if isinstance(each, Refused) and each.proof == "infeasible" and groups[each.key].shapes.preempts
    ]
    # Members of a group that stands in part are bound: only such as are missing could be placed, and not this way.
    blocked = [each for each in blocked if not cluster.members_of(each.key)]
    blocked.sort(key=lambda each: (-each.priority, natural_key(each.key)))
    found = make_room(cluster, base, blocked, budget) if blocked else {}
    return {
        key: replace(answer_of(groups[key], eviction.placed), reason=eviction.reason, proof=eviction.proof)
        for key, eviction in found.items()
    }


def groups_wanted(sets: Sequence[LeaderWorkerSet], shapes: Mapping[str, MemberShapes]) -> dict[str, WantedGroup]:
    """All groups of the sets by key, in their order."""
    return {
        group.key: group
        for lws in sets
        for group in (_group(lws, index, shapes[key_of(lws)]) for index in range(lws.spec.replicas))
    }


def _group(lws: LeaderWorkerSet, index: int, shapes: MemberShapes) -> WantedGroup:
    size = lws.spec.leader_worker_template.size
    return replace(wanted.SetReading(lws).group(index, revision="", size=size), shapes=shapes)


def _request(cluster: Cluster, group: WantedGroup, now: float | None) -> GroupRequest:
    at = {member.index: member.node for member in cluster.members_of(group.key)}
    record = cluster.record_of.get(group.key)
    refused = record.status.refused if record is not None and now is not None else ()
    return group.request(
        stay=tuple(at.get(index, "") for index in range(group.size)) if at else (),
        avoid=frozenset(slot.node for slot in refused if slot.until > (now or 0.0)),
    )


def _standing(cluster: Cluster, snapshot: Snapshot, group: WantedGroup) -> Answer | None:
    """Where the group is, if all of it has a place: by its record, or by its pods where it has none."""
    record = cluster.record_of.get(group.key)
    members = cluster.members_of(group.key)
    if record is not None and record.status.state in HOLDING and len(record.status.slots) == group.size:
        nodes = record.status.slots
    elif [member.index for member in members] == [*range(group.size)]:
        nodes = tuple(member.node for member in members)
    else:
        return None
    level, domain = _shared(snapshot, group, nodes)
    strays = [
        name
        for name in (group.ask.required, group.ask.exclusive)
        if name and not _is_shared(snapshot, key_or_name(name, snapshot.table.keys), nodes)
    ]
    return Answer(
        key=group.key,
        size=group.size,
        feasible=True,
        level=level,
        domain=domain,
        slots=_slots(group, nodes),
        proof="exact",
        value=group.size,
        bound=group.size,
        reason=f"it stands, but not within one {' and one '.join(strays)}" if strays else "",
        standing=True,
    )


def _shared(snapshot: Snapshot, group: WantedGroup, nodes: Sequence[str]) -> tuple[str, str]:
    """The label and value that all nodes share: of the level asked for, or else of the narrowest."""
    labels = [
        snapshot.table.nodes[at].labels for node in nodes if (at := snapshot.table.position.get(node)) is not None
    ]
    asked = (key_or_name(name, snapshot.table.keys) for name in (group.ask.required, group.ask.exclusive) if name)
    for key in (*asked, HOSTNAME, *snapshot.table.levels):
        values = {each.get(key) for each in labels}
        value = values.pop() if len(labels) == len(nodes) and len(values) == 1 else None
        if value is not None:
            return key, value
    return "", ""


def _is_shared(snapshot: Snapshot, key: str, nodes: Sequence[str]) -> bool:
    table = snapshot.table
    values = {table.nodes[table.position[node]].labels.get(key) for node in nodes if node in table.position}
    return len(values) == 1 and None not in values


def _kept(decision: Decision, members: Sequence[Member]) -> Decision:
    """A place that would move a member that is bound is none."""
    if (
        not members
        or isinstance(decision, Refused)
        or all(member.index < len(decision.slots) and decision.slots[member.index] == member.node for member in members)
    ):
        return decision
    return Refused(
        key=decision.key,
        reason=f"{len(members)} of its members are bound already, and beside them there is no room for the others",
        fix="delete its leader pod: the group starts anew and is placed whole",
        proof="infeasible",
    )


def answer_of(group: WantedGroup, decision: Decision) -> Answer:
    """The engine's decision in the terms of pods and domains."""
    if isinstance(decision, Placed):
        return Answer(
            key=group.key,
            size=group.size,
            feasible=True,
            level=decision.domain_key,
            domain=decision.domain_value,
            slots=_slots(group, decision.slots),
            proof=decision.proof,
            value=decision.value,
            bound=decision.bound,
        )
    return Answer(
        key=group.key,
        size=group.size,
        feasible=False,
        proof=decision.proof,
        value=decision.value,
        bound=decision.bound,
        reason=decision.reason,
        fix=decision.fix,
    )


def _unsupported(group: WantedGroup, sentence: str) -> Answer:
    reason, _, fix = sentence.partition(": ")
    return Answer(key=group.key, size=group.size, feasible=False, proof="infeasible", reason=reason, fix=fix)


def _slots(group: WantedGroup, nodes: Sequence[str]) -> tuple[tuple[str, str], ...]:
    return tuple((names.member_name(group.leader_name, index), node) for index, node in enumerate(nodes))
