"""The invariants that hold at every resourceVersion: each looks at the step just replayed and the state after it.

I1  No member is bound before a record of its group, Committed or Bound, lists its UID.
I3  The bound members of a group share the value of each topology label asked for; with exclusive-topology, no member of
    another group of the namespace stands in that domain. Labels count as they were when a member was committed.
I4  No node is over-committed, see `over_commitment`.
I5  One record owns a slot, and a record names one live UID for one member.
I9  No gated pod is bound.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from tests.invariants.objects import EXCLUSIVE, Amounts, Pod, Record, Slot
from tests.invariants.state import PodStep, RecordStep, State, Step


@dataclass(frozen=True)
class Judge:
    """Says what is wrong with a step: pairs of the invariant and a sentence."""

    levels: Mapping[str, str] = field(default_factory=dict)
    """Node labels by the names that topology annotations may use for them."""

    def faults(self, state: State, step: Step) -> Iterator[tuple[str, str]]:
        match step:
            case PodStep(old, new) if new is not None:
                yield from _gated_and_bound(new)
                if step.bound is not None:
                    yield from _bound_before_commit(state, new)
                    yield from self._outside_domain(state, new)
                    yield from self._shared_domain(state, new)
                if step.bound is not None or (new.node and old and new.requests != old.requests):
                    yield from over_commitment(state, new.node, new, f"pod {new.key}")
            case RecordStep(old, new) if new is not None:
                yield from _doubly_owned(state, new)
                yield from _two_incarnations(state, new)
                before = set(_places(old))
                for slot in new.slots:
                    if (slot.pod, slot.node) not in before:
                        yield from over_commitment(state, slot.node, slot, f"the slot of {slot.pod}")

    def _outside_domain(self, state: State, pod: Pod) -> Iterator[tuple[str, str]]:
        if not pod.ours or not state.is_settled(pod):
            return
        for asked in sorted(set(state.topology(pod).values())):
            key = self._label(state, pod, asked)
            value = _label_value(state, pod, key)
            if value is None:
                yield "I3", f"pod {pod.key} was bound to {pod.node}, which has no label {key}"
                continue
            for other in _same_incarnation(state, pod):
                elsewhere = _label_value(state, other, key)
                if elsewhere != value and state.is_settled(other):
                    yield "I3", f"pods {pod.key} and {other.key} of one group are in {key} {value} and {elsewhere}"
                    break

    def _shared_domain(self, state: State, pod: Pod) -> Iterator[tuple[str, str]]:
        """A domain is one group's alone as soon as one of the two groups that meet there asks for it."""
        if not pod.ours or not state.is_settled(pod):
            return
        namespace = f"{pod.namespace}/"
        asked = {each.topology.get(EXCLUSIVE, "") for name, each in state.sets.items() if name.startswith(namespace)}
        for each in sorted((asked | {pod.topology.get(EXCLUSIVE, "")}) - {""}):
            key = self._label(state, pod, each)
            value = _label_value(state, pod, key)
            for other in _others_in(state, pod, key, value) if value is not None else ():
                wanted = each in (state.topology(pod).get(EXCLUSIVE), state.topology(other).get(EXCLUSIVE))
                if wanted and state.is_settled(other):
                    yield "I3", f"pods {pod.key} and {other.key} of two groups are in {key} {value}, which is exclusive"
                    return

    def _label(self, state: State, pod: Pod, asked: str) -> str:
        """The node label that an annotation means: a level's, or what it says. A level that is not among those given
        is taken from the record, which then only has to be true to itself."""
        if asked in self.levels:
            return self.levels[asked]
        if any(asked in node.labels for node in state.nodes.values()):
            return asked
        record = state.records.get(pod.group)
        return record.domain_key if record and record.domain_key else asked


def over_commitment(state: State, node_name: str, added: Pod | Slot, what: str) -> Iterator[tuple[str, str]]:
    """What was just added to a node must fit it, in each resource that it takes.

    Two sums must stay within the node's allocatable amounts:
    - all pods bound there that have not ended, leaving ones included;
    - of those, members and pods that want a device, plus every slot held there whose member does not stand there. A
      pod that wants no device never reaches the extender, so it may take CPU or memory from under a slot; that is a
      stated limit (taint such nodes), and the scheduler's own filters then still keep the first sum.
    A member standing on its slot counts once, as itself. Only additions are judged: a node may shrink under its pods,
    or vanish. Nothing is judged on a node that is not there. As versions are replayed by resourceVersion, a slot that
    was given up before a pod took its place is never counted with it, and one given up after always is.
    """
    node = state.nodes.get(node_name)
    if node is None:
        return
    standing, held = state.on(node_name), state.held_on(node_name)
    sums = [("bound pods", _sum(pod.requests for pod in standing))]
    if isinstance(added, Slot) or added.wants_device:
        claims = [*(pod.requests for pod in standing if pod.wants_device), *(slot.requests for slot in held)]
        sums.append((f"pods and {len(held)} held slots", _sum(claims)))
    for resource, amount in sorted(added.requests.items()):
        room = node.allocatable.get(resource, 0)
        for whose, total in sums:
            if amount > 0 and total[resource] > room:
                yield "I4", f"with {what}, {whose} take {total[resource]} {resource} of {room} on node {node_name}"
                break


def _bound_before_commit(state: State, pod: Pod) -> Iterator[tuple[str, str]]:
    if not pod.ours:
        return
    group = state.committed.get((pod.key, pod.uid))
    if group is None:
        yield "I1", f"pod {pod.key} ({pod.uid}) was bound to {pod.node} before any record committed it"
    elif group != pod.group:
        yield "I1", f"pod {pod.key} of group {pod.group} was bound as committed by the record of {group}"


def _gated_and_bound(pod: Pod) -> Iterator[tuple[str, str]]:
    if pod.gated and pod.node:
        yield "I9", f"pod {pod.key} carries a scheduling gate and is bound to {pod.node}"


def _doubly_owned(state: State, record: Record) -> Iterator[tuple[str, str]]:
    for slot in record.slots:
        others = sorted(state.owners(slot.pod) - {record.key})
        if others:
            yield "I5", f"the slot of pod {slot.pod} is held by the records {record.key} and {others[0]}"


def _two_incarnations(state: State, record: Record) -> Iterator[tuple[str, str]]:
    committed = record.committed.get(record.key, record.leader_uid)
    if record.leader_uid and committed != record.leader_uid and {committed, record.leader_uid} <= state.living.keys():
        yield "I5", f"record {record.key} names two live leaders: {record.leader_uid} and {committed}"
    for pod, uid in sorted(record.committed.items()):
        living = state.living.get(uid)
        if living is not None and living.key != pod:
            yield "I5", f"record {record.key} lists the UID of pod {living.key} for {pod}"


def _same_incarnation(state: State, pod: Pod) -> list[Pod]:
    """Bound members of the pod's group that serve with it. Members of an earlier incarnation may still be leaving, or
    not yet be told to; where a record commits this pod, those it commits beside it are the incarnation."""
    record = state.records.get(pod.group)
    committed = record.committed if record and record.committed.get(pod.key) == pod.uid else None
    return [
        each
        for each in state.members(pod.group)
        if each.node and each.key != pod.key and not each.leaving and not each.ended
        if committed is None or committed.get(each.key) == each.uid
    ]


def _others_in(state: State, pod: Pod, key: str, value: str) -> Iterator[Pod]:
    """Members of other groups of our profile, of the pod's namespace, that stand in a domain, leaving ones included."""
    for node in state.domain(key, value):
        for other in state.on(node):
            if other.ours and other.group != pod.group and other.namespace == pod.namespace:
                yield other


def _label_value(state: State, pod: Pod, key: str) -> str | None:
    node = state.nodes.get(pod.node)
    return node.labels.get(key) if node else None


def _places(record: Record | None) -> Iterator[tuple[str, str]]:
    return ((slot.pod, slot.node) for slot in record.slots) if record else iter(())


def _sum(amounts: Iterable[Amounts]) -> Counter[str]:
    total = Counter[str]()
    for each in amounts:
        total.update(each)
    return total
