"""What to do next about one group: a pure function of what is seen of it.

`decide(view)` answers with a `Step`: at most one write of the record, and the deeds that follow from it. It is derived
anew from the cluster each time, so a step that was lost (a crash, a refused write) is simply decided again. The rules,
by state of the record:

- none or Waiting: ask for a place, unless the reservation was given back and no pod has come since.
- Reserved: lift the gates of members that came before the plan. Give the slots back when no pod comes within 30 s of
  somebody's trying to make it. Where a slot's node is lost or filled by others, or the scheduler refuses a member on
  its slot, or two barriers failed, or some pods never come: abort, as a pin cannot be undone.
- Committed: only forward. Bindings left undone are posted; a member lost before its stage was bound takes all with it.
- Bound: a member that comes back gets its slot, or another one where its node is lost or refused it. When the leader
  goes, the slots are kept (Sticky) for the next one, but for those on nodes that the leader was told to leave.
- Sticky: the next incarnation is given these slots; where some are lost, all of those are replaced in one decision.
  What it still has is kept while it waits for that.
- Aborting: wait until every member that is not behind our gate is gone, then plan again.

In every state, a member that is leaving a node which is no more is let go at once: nobody is left to confirm its end,
and all of its group would wait for Kubernetes' own collector, which takes about a minute. One that nobody has deleted
is let go after a while: the node may come back, as where its machine registers anew.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from lws_sched.api import names
from lws_sched.api import placement as api
from lws_sched.api.core import Condition, Pod
from lws_sched.api.placement import GroupPlacement
from lws_sched.api.timestamps import seconds_of
from lws_sched.core.group import is_gated
from lws_sched.extender import records
from lws_sched.extender.records import Stamp
from lws_sched.extender.stages import is_leader_first
from lws_sched.intake.wanted import MemberShapes, WantedGroup
from lws_sched.placement import shape_of

NO_POD_SECONDS = 30.0
"""How long slots are held for pods that do not come."""
MISSING_SECONDS = 60.0
"""How long slots are held for a group of which only some pods come (a quota may be full)."""
BEHIND_SECONDS = 900.0
"""How much longer than that, where the StatefulSet that is to make the pods has not been attended to yet: a cluster
that makes thousands of pods is behind, and to take groups down adds to its work."""
STICKY_SECONDS = 300.0
"""How long the slots of a group that is down are kept for its return."""
REFUSED_SECONDS = 5.0
"""How long a member may be unschedulable on its own slot before the group is planned elsewhere."""
FORGET_REFUSAL_SECONDS = 300.0
AGAIN_SECONDS = 2.0
"""How long a binding may take to show before it is posted again."""
BOUND_SECONDS = 1.0
"""How long after its commit a group whose bindings were posted is noted as bound, where no other group is binding."""
RUSH_SECONDS = 8.0
"""The same, where others are: noting it competes with their bindings, and nothing depends on it meanwhile."""
MAX_FAILED_BARRIERS = 2
RETURN_SECONDS = 10.0
"""How long a node that was deleted may take to come back with its pods. Kubernetes' collector gives it 40 to 60 s, too
long for a group that stands in part."""


@dataclass(frozen=True)
class View:
    """What is seen of one group. `pods` maps worker index to the live pod of that name, terminating ones included."""

    record: GroupPlacement | None
    wanted: WantedGroup | None
    pods: Mapping[int, Pod]
    is_healthy: Callable[[str], bool]
    """Whether a node, by name, can take pods now, and still is in the group's domain."""
    stamp: Stamp
    committing: bool = False
    """This process is binding the group's stage at this moment."""
    held: frozenset[str] = frozenset()
    """Members, by name, whose bind calls are held: nothing is wrong with their slots."""
    is_overfull: Callable[[str], bool] = lambda _: False
    """Whether a node, by name, has not enough for all that stands and is held on it, or is gone."""
    missed_since: Callable[[str], float] = lambda _: math.inf
    """When a node, by name, was first missed; inf while it is there."""
    attended: float = 0.0
    """When the StatefulSet that is to make the missing pods was first seen attended to (as 0 before all time), inf
    while it is not."""
    posted: bool = False
    """This process has posted every binding that the record commits, whatever our copy of the pods shows."""
    is_rush: bool = False
    """This process has been posting bindings of some group within the last BOUND_SECONDS."""


@dataclass(frozen=True)
class Step:
    """What to do about a group, in this order. The empty step is: nothing."""

    write: GroupPlacement | None = None
    remove: bool = False
    """The record has no more use."""
    plan: bool = False
    """Find the group a place."""
    place: tuple[tuple[Pod, str], ...] = ()
    """Gated members and the nodes to pin them to, their gates lifted."""
    bind: tuple[tuple[Pod, str], ...] = ()
    """Committed members whose binding was not posted."""
    delete: tuple[Pod, ...] = ()
    let_go: tuple[Pod, ...] = ()
    """Members on a node which is no more: they need not be waited for."""
    confirm_lost: tuple[str, ...] = ()
    """Pod names that a read of the API server must confirm as gone before anything else of this step is done."""
    again: float | None = None
    """Seconds until the group should be looked at once more, if nothing happens before."""


NOTHING = Step()


def decide(view: View) -> Step:
    step, left = _decide(view), _orphans(view)
    if not left:
        return step
    let_go = tuple(pod for pod, seconds in left if seconds <= 0)
    waits = [seconds for _, seconds in left if seconds > 0]
    again = min([*waits, *([] if step.again is None else [step.again])], default=None)
    return replace(step, let_go=let_go, again=again)


def _orphans(view: View) -> list[tuple[Pod, float]]:
    """Members on nodes that are no more, in worker-index order, and for how many seconds each is still waited for."""
    found: list[tuple[Pod, float]] = []
    for _, pod in sorted(view.pods.items()):
        since = view.missed_since(pod.spec.node_name) if pod.spec.node_name else math.inf
        if since < math.inf:
            found.append((pod, 0.0 if is_leaving(pod) else since + RETURN_SECONDS - view.stamp.now))
    return found


def _decide(view: View) -> Step:
    record = view.record
    if view.wanted is None:
        return NOTHING if record is None or view.pods else Step(remove=True)
    if record is None:
        return _unless_held_back(view, _unrecorded(view, view.wanted))
    if all(ref.uid != view.wanted.set_uid for ref in record.metadata.owner_references):
        return NOTHING if _ungated(view) else Step(remove=True)
    return _unless_held_back(view, _BY_STATE[record.status.state](view, record))


def _unless_held_back(view: View, step: Step) -> Step:
    """Nobody is planned whose pods somebody else holds back; what it holds is given back once nothing stands on it."""
    if not step.plan or not is_held_back(view):
        return step
    record = step.write or view.record
    if record is None or not record.status.slots or record.status.state == api.BOUND:
        return replace(step, plan=False)
    left = NO_POD_SECONDS - records.age(record, view.stamp.now)
    if step.write is not None or (record.status.state != api.ABORTING and left > 0):
        return replace(step, plan=False, again=max(left, AGAIN_SECONDS))
    return Step(write=records.given_back(record, view.stamp, records.HELD_BACK))


def is_held_back(view: View) -> bool:
    """Whether a gate that is not ours holds a member back, or the members that a queue is to admit are not there."""
    foreign = any(gate.name != names.GATE for pod in view.pods.values() for gate in pod.spec.scheduling_gates)
    return foreign or (view.wanted is not None and view.wanted.is_queued and not _has_come(view, view.wanted))


def _has_come(view: View, wanted: WantedGroup) -> bool:
    """The leader of a group that is planned from its pods; of plain pods a worker too, to know what workers are."""
    leader = view.pods.get(0)
    if leader is None or is_leaving(leader):
        return False
    return not wanted.is_of_pods or wanted.size == 1 or len(view.pods) > 1


def is_behind_our_gate_alone(pod: Pod) -> bool:
    """Whether only our gate holds the pod back: others (a queue's, say) decide before we do."""
    return [gate.name for gate in pod.spec.scheduling_gates] == [names.GATE]


def is_leaving(pod: Pod) -> bool:
    return bool(pod.metadata.deletion_timestamp)


def revision_of(pod: Pod) -> str:
    return pod.metadata.labels.get(names.REVISION, "")


def size_of(leader: Pod) -> int:
    """The size of the group that a leader was made for; 0 where it does not say."""
    size = leader.metadata.annotations.get(names.SIZE, "")
    return int(size) if size.isdigit() else 0


def _unrecorded(view: View, wanted: WantedGroup) -> Step:
    """A group without a record: new, or its record was deleted by hand. Then its pods tell where it stands: a whole
    group is taken over as it is; parts of one hold pins that no record explains, and are deleted."""
    ungated = _ungated(view)
    if not ungated:
        return Step(plan=True)
    nodes = tuple(view.pods[index].spec.node_name for index in sorted(view.pods))
    if sorted(view.pods) == list(range(wanted.size)) and all(nodes):
        uids = {pod.metadata.name: pod.metadata.uid for pod in view.pods.values()}
        leader, worker = (shape_of(view.pods[index].spec) for index in (0, min(1, wanted.size - 1)))
        shaped = replace(wanted, shapes=MemberShapes(leader, worker, view.pods[0].spec.priority))
        return Step(write=records.adopted(shaped, nodes, uids, view.stamp))
    return Step(delete=_deletable(view, ungated), again=REFUSED_SECONDS)


def _waiting(view: View, record: GroupPlacement) -> Step:
    given_back = record.status.reason == records.NO_POD_CAME
    return NOTHING if given_back and not view.pods else Step(plan=True)


def _reserved(view: View, record: GroupPlacement) -> Step:
    given_up = _give_up(view, record)
    if given_up is not None:
        return given_up
    if not _fits_members(view, record):
        return _abort(view, record, "the group changed before it was bound") if _ungated(view) else Step(plan=True)
    if not _ungated(view) and is_held_back(view):
        left = NO_POD_SECONDS - records.age(record, view.stamp.now)
        return Step(again=left) if left > 0 else Step(write=records.given_back(record, view.stamp, records.HELD_BACK))
    if not view.pods:
        left = NO_POD_SECONDS - (view.stamp.now - _missed_since(view, seconds_of(record.status.since)))
        return Step(again=left) if left > 0 else Step(write=records.given_back(record, view.stamp))
    absent = 0 if is_leader_first(record, view.pods.get(0)) else record.spec.size - len(view.pods)
    if absent and _ungated(view) and view.stamp.now - _missed_since(view, _newest(view)) > MISSING_SECONDS:
        reason = f"{absent} of its {record.spec.size} pods were not created within {MISSING_SECONDS:g} s of the others"
        return _abort(view, record, reason)
    if absent:
        return Step(place=_to_place(view, record), again=MISSING_SECONDS)
    waiting_at_slot = any(_is_unschedulable(pod) for pod in view.pods.values())
    return Step(place=_to_place(view, record), again=REFUSED_SECONDS if waiting_at_slot else None)


def _give_up(view: View, record: GroupPlacement) -> Step | None:
    """Take the group down where a slot that is not committed yet has proved useless; None while all may still do."""
    leader = record.metadata.name
    open_slots = [
        node
        for index, node in enumerate(record.status.slots)
        if names.member_name(leader, index) not in record.status.committed
    ]
    unhealthy = [node for node in open_slots if not view.is_healthy(node)]
    if unhealthy:
        return _abort(view, record, f"node {unhealthy[0]} was lost, cordoned or relabelled before the group was bound")
    overfull = [node for node in open_slots if view.is_overfull(node)]
    if overfull:
        return _abort(view, record, f"others have taken what the group needs on node {overfull[0]} before it was bound")
    if record.status.failed_barriers >= MAX_FAILED_BARRIERS:
        return _abort(view, record, record.status.reason)
    refused = _refused_members(view, record)
    if refused:
        return _abort(view, record, f"the scheduler refused its slot: {refused[0].reason}", tuple(refused))
    return None


def _committed(view: View, record: GroupPlacement) -> Step:
    if view.committing:
        return NOTHING
    if view.posted and len(record.status.committed) == record.spec.size:
        return _note_bound(view, record)
    by_name = {pod.metadata.name: pod for pod in view.pods.values()}
    slots = _slot_by_name(record)
    unbound: list[tuple[Pod, str]] = []
    lost: list[str] = []
    for name, uid in sorted(record.status.committed.items()):
        pod = by_name.get(name)
        if pod is None or pod.metadata.uid != uid or (is_leaving(pod) and not pod.spec.node_name):
            lost.append(name)
        elif not pod.spec.node_name:
            unbound.append((pod, slots[name]))
    if lost:
        reason = f"{lost[0]} was lost after the group was committed and before it was bound"
        step = _abort(view, record, reason)
        return Step(write=step.write, delete=step.delete, confirm_lost=tuple(lost), again=step.again)
    overfull = [node for _, node in unbound if view.is_overfull(node)]
    if overfull:
        reason = f"node {overfull[0]} is gone, or has no room left for a member that was committed to it"
        return _abort(view, record, reason)
    if unbound:
        return _bind(view, record, unbound)
    if len(record.status.committed) < record.spec.size:
        return _give_up(view, record) or Step(place=_to_place(view, record), again=REFUSED_SECONDS)
    return Step(write=records.bound(record, view.stamp))


def _bound(view: View, record: GroupPlacement) -> Step:
    leader = view.pods.get(0)
    if leader is None or is_leaving(leader):
        return Step(write=records.sticky(record, view.stamp))
    if leader.metadata.uid != record.status.leader_uid:
        return Step(write=records.sticky(record, view.stamp), plan=is_gated(leader))
    leaving = _to_leave(leader, record)
    if leaving:
        return Step(write=records.leaving(record, leaving, view.stamp.now + FORGET_REFUSAL_SECONDS, view.stamp))
    slots = _slot_by_name(record)
    unbound = [
        (pod, slots[pod.metadata.name])
        for _, pod in sorted(view.pods.items())
        if not pod.spec.node_name and record.status.committed.get(pod.metadata.name) == pod.metadata.uid
    ]
    if unbound and not view.committing:
        return _bind(view, record, unbound)
    lost = lost_slots(view, record)
    known = {record.status.slots[index] for index in lost}
    refused = [slot for slot in _refused_members(view, record) if slot.node not in known]
    if refused:
        return Step(write=records.member_refused(record, tuple(refused), view.stamp))
    stuck = tuple(pod for index, pod in sorted(view.pods.items()) if index in lost and _is_pinned(pod))
    waits = any(is_behind_our_gate_alone(view.pods[index]) for index in lost & view.pods.keys())
    again = REFUSED_SECONDS if any(_is_unschedulable(pod) for pod in view.pods.values()) else None
    return Step(place=_to_place(view, record), delete=stuck, plan=waits, again=again)


def _to_leave(leader: Pod, record: GroupPlacement) -> tuple[str, ...]:
    """Nodes that the group is to leave and that its record does not know of yet."""
    asked = {node.strip() for node in leader.metadata.annotations.get(names.LEAVE_NODES, "").split(",")}
    return tuple(sorted(asked - {slot.node for slot in record.status.refused} - {""}))


def lost_slots(view: View, record: GroupPlacement) -> frozenset[int]:
    """Worker indices whose slot is of no more use, and on which nobody stands who will stay: the node is lost, or the
    scheduler refused the member there."""
    refused = {slot.node for slot in record.status.refused if slot.until > view.stamp.now}
    return frozenset(
        index
        for index, node in enumerate(record.status.slots)
        if (node in refused or not view.is_healthy(node)) and not _stays(view.pods.get(index))
    )


def _stays(pod: Pod | None) -> bool:
    return pod is not None and bool(pod.spec.node_name) and not is_leaving(pod)


def _is_pinned(pod: Pod) -> bool:
    return not pod.spec.node_name and not is_gated(pod) and not is_leaving(pod)


def _note_bound(view: View, record: GroupPlacement) -> Step:
    """Note that a whole group is bound: soon, once the rush of bindings is over; at once where a member is leaving, for
    what becomes of it is then the restart policy's concern."""
    is_quiet = len(view.pods) == record.spec.size and not any(is_leaving(pod) for pod in view.pods.values())
    age = records.age(record, view.stamp.now)
    if is_quiet and age < BOUND_SECONDS:
        return Step(again=BOUND_SECONDS - age)
    if is_quiet and view.is_rush and age < RUSH_SECONDS:
        return Step(again=min(age, RUSH_SECONDS - age))  # ever more rarely: looking competes with the bindings, too
    return Step(write=records.bound(record, view.stamp))


def _bind(view: View, record: GroupPlacement, unbound: list[tuple[Pod, str]]) -> Step:
    """Post bindings that seem to be missing; not at once, as our copy of the pods may only be late."""
    left = AGAIN_SECONDS - records.age(record, view.stamp.now)
    return Step(again=left) if left > 0 else Step(bind=tuple(unbound), again=AGAIN_SECONDS)


def _sticky(view: View, record: GroupPlacement) -> Step:
    leader = view.pods.get(0)
    if leader is None:
        left = STICKY_SECONDS - records.age(record, view.stamp.now)
        return Step(again=left) if left > 0 else Step(write=records.given_back(record, view.stamp))
    if is_leaving(leader):
        return NOTHING
    if is_gated(leader):
        # One that was given up while it waited here is still to be placed: nothing of it had to go.
        return Step(plan=True)
    if leader.metadata.uid == record.status.leader_uid:
        return _never_went(view, record, leader)
    if not _fits_members(view, record):
        return Step(plan=True)
    if lost_slots(view, record):
        return _abort(view, record, "a node of the group was lost, or refused a member, while the group was down")
    return Step(write=records.returned(record, view.stamp), place=_to_place(view, record))


def _never_went(view: View, record: GroupPlacement, leader: Pod) -> Step:
    """The leader that is said to have gone is there, outside its gate: our copy of the pods was late. It stands, or it
    was let through the gate before its group was given up, and is pinned to a slot that it cannot have."""
    if leader.spec.node_name:
        return Step(write=records.bound(record, view.stamp))
    left = REFUSED_SECONDS - records.age(record, view.stamp.now)
    reason = f"{leader.metadata.name} is pinned to a place that was given up"
    return Step(again=left) if left > 0 else _abort(view, record, reason)


def _aborting(view: View, record: GroupPlacement) -> Step:  # noqa: ARG001 - one signature for all states
    remaining = _ungated(view)
    if not remaining:
        return Step(plan=True)
    return Step(delete=_deletable(view, remaining), again=REFUSED_SECONDS)


_BY_STATE: Mapping[str, Callable[[View, GroupPlacement], Step]] = {
    api.WAITING: _waiting,
    api.RESERVED: _reserved,
    api.COMMITTED: _committed,
    api.BOUND: _bound,
    api.STICKY: _sticky,
    api.ABORTING: _aborting,
}


def _abort(view: View, record: GroupPlacement, reason: str, refused: tuple[api.RefusedSlot, ...] = ()) -> Step:
    """Drop the placement: delete what is pinned or bound; where nothing is, plan again at once."""
    remaining = _ungated(view)
    leader = view.pods.get(0)
    uid = leader.metadata.uid if leader else ""
    write = records.aborting(record, uid, reason, refused, view.stamp)
    if not remaining:
        return Step(write=write, plan=True)
    return Step(write=write, delete=_deletable(view, remaining), again=REFUSED_SECONDS)


def _ungated(view: View) -> list[Pod]:
    """Members that hold a pin or a node, in worker-index order: what must be gone before the group can move."""
    return [pod for _, pod in sorted(view.pods.items()) if not is_gated(pod)]


def _deletable(view: View, remaining: list[Pod]) -> tuple[Pod, ...]:
    """The leader alone where there is one, as its deletion takes the workers along; else each pod that is left."""
    leader = view.pods.get(0)
    targets = [leader] if leader is not None and not is_gated(leader) else remaining
    return tuple(pod for pod in targets if not is_leaving(pod))


def _fits_members(view: View, record: GroupPlacement) -> bool:
    """Whether the record is for what the group is now. Once there is a leader, it tells; before that, the set does."""
    wanted = view.wanted
    assert wanted is not None
    leader = view.pods.get(0)
    revision = revision_of(leader) if leader else wanted.revision
    return record.spec.revision == revision and record.spec.size == wanted.size


def _to_place(view: View, record: GroupPlacement) -> tuple[tuple[Pod, str], ...]:
    """Members behind our gate alone, of the record's revision: those that came before their place was known."""
    lost = lost_slots(view, record)
    return tuple(
        (pod, record.status.slots[index])
        for index, pod in sorted(view.pods.items())
        if index < len(record.status.slots)
        and index not in lost
        and is_behind_our_gate_alone(pod)
        and not is_leaving(pod)
        and revision_of(pod) == record.spec.revision
    )


def _refused_members(view: View, record: GroupPlacement) -> list[api.RefusedSlot]:
    """Members that kube-scheduler's own filters have refused on their slot for a while."""
    until = view.stamp.now + FORGET_REFUSAL_SECONDS
    return [
        api.RefusedSlot(node=record.status.slots[index], until=until, reason=_unschedulable_message(pod))
        for index, pod in sorted(view.pods.items())
        if index < len(record.status.slots)
        and pod.metadata.name not in view.held
        and _is_unschedulable(pod)
        and view.stamp.now - max(_unschedulable_since(pod), seconds_of(record.status.since)) > REFUSED_SECONDS
    ]


def _is_unschedulable(pod: Pod) -> bool:
    return not pod.spec.node_name and not is_gated(pod) and bool(_unschedulable_message(pod))


def _unschedulable_condition(pod: Pod) -> Condition | None:
    """kube-scheduler's word that the pod fits nowhere, unless it only repeats what our own filter said."""
    for condition in pod.status.conditions:
        if condition.type == "PodScheduled" and condition.status == "False" and condition.reason == "Unschedulable":
            return None if "lws-sched:" in condition.message else condition
    return None


def _unschedulable_message(pod: Pod) -> str:
    condition = _unschedulable_condition(pod)
    return (condition.message or "no reason given") if condition else ""


def _unschedulable_since(pod: Pod) -> float:
    condition = _unschedulable_condition(pod)
    return seconds_of(condition.last_transition_time) if condition else 0.0


def _missed_since(view: View, expected: float) -> float:
    """From when on pods are missed that were expected from a moment on: not while nobody had the time to make them."""
    return max(expected, min(view.attended, expected + BEHIND_SECONDS))


def _newest(view: View) -> float:
    """When the last pod of the group was created."""
    return max(seconds_of(pod.metadata.creation_timestamp) for pod in view.pods.values())


def _slot_by_name(record: GroupPlacement) -> dict[str, str]:
    leader = record.metadata.name
    return {names.member_name(leader, index): node for index, node in enumerate(record.status.slots)}
