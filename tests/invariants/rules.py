"""The invariants that hold at every resourceVersion: each looks at the step just replayed and the state after it.

I1  No member is bound before a record of its group, Committed or Bound, lists its UID.
I3  The bound members of a group share the value of each topology label asked for; with exclusive-topology, no member of
    another group of the namespace stands in that domain. Labels count as they were when a member was committed.
I4  No node is over-committed, see `_over_commitment`.
I5  One record owns a slot, and a record names one live UID for one member.
I6  No group is evicted in part: kube-scheduler's preemption takes no member of a group that also stands on other nodes
    and has a record, and one whose record gave its slots up (Aborting) is planned again only once no member is bound
    any more.
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
    all_ask: bool = True
    """Whether every scheduler asks the extender. One that does not may put pods where slots are held."""

    def faults(self, state: State, step: Step) -> Iterator[tuple[str, str]]:
        match step:
            case PodStep(old, new) if new is not None:
                yield from _gated_and_bound(new)
                if step.bound is not None:
                    yield from _bound_before_commit(state, new)
                    yield from self._outside_domain(state, new)
                    yield from self._shared_domain(state, new)
                if new.preempted and not (old and old.preempted):
                    yield from _taken_alone(state, new)
                if step.bound is not None or (new.node and old and new.requests != old.requests):
                    yield from self._over_commitment(state, new.node, new, f"pod {new.key}")
            case RecordStep(old, new) if new is not None:
                if old is not None and old.state == "Aborting" != new.state:
                    yield from _left_behind(state, new)
                yield from _doubly_owned(state, new)
                yield from _two_incarnations(state, new)
                before = set(_places(old))
                for slot in new.slots:
                    if (slot.pod, slot.node) not in before:
                        yield from self._over_commitment(state, slot.node, slot, f"the slot of {slot.pod}")

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

    def _over_commitment(self, state: State, node_name: str, added: Pod | Slot, what: str) -> Iterator[tuple[str, str]]:
        """What was just added to a node must fit it, in each resource that it takes.

        Two sums must stay within the node's allocatable amounts:
        - all pods bound there that have not ended, leaving ones included;
        - of those, members and pods that want a device, plus every slot held there whose member does not stand there. A
          pod that wants no device never reaches the extender, so it may take CPU or memory from under a slot; that is a
          stated limit (taint such nodes), and the scheduler's own filters then still keep the first sum.
        A member standing on its slot counts once, as itself. Only additions are judged: a node may shrink under its
        pods, or vanish. Nothing is judged on a node that is not there. As versions are replayed by resourceVersion, a
        slot that was given up before a pod took its place is never counted with it, and one given up after always is.

        Beside a scheduler that does not ask, members and slots alone are judged: two schedulers may choose one node at
        one moment, which is the kubelet's to refuse.
        """
        node = state.nodes.get(node_name)
        if node is None or not (self.all_ask or isinstance(added, Slot) or added.ours):
            return
        room = node.allocatable
        for whose, total in self._sums(state, node_name, added):
            over = next(
                (each for each, amount in sorted(added.requests.items()) if amount and total[each] > room.get(each, 0)),
                "",
            )
            if over:
                yield "I4", f"with {what}, {whose} take {total[over]} {over} of {room.get(over, 0)} on node {node_name}"
                return

    def _sums(self, state: State, node: str, added: Pod | Slot) -> Iterator[tuple[str, Counter[str]]]:
        standing, held = state.on(node), state.held_on(node)
        if self.all_ask:
            yield "bound pods", _sum(pod.requests for pod in standing)
        if not self.all_ask or isinstance(added, Slot) or added.wants_device:
            counted = [pod.requests for pod in standing if (pod.wants_device if self.all_ask else pod.ours)]
            yield f"pods and {len(held)} held slots", _sum([*counted, *(slot.requests for slot in held)])

    def _label(self, state: State, pod: Pod, asked: str) -> str:
        """The node label that an annotation means: a level's, or what it says. A level that is not among those given
        is taken from the record, which then only has to be true to itself."""
        if asked in self.levels:
            return self.levels[asked]
        if any(asked in node.labels for node in state.nodes.values()):
            return asked
        record = state.records.get(pod.group)
        return record.domain_key if record and record.domain_key else asked


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


def _taken_alone(state: State, victim: Pod) -> Iterator[tuple[str, str]]:
    """kube-scheduler evicts from one node at a time, so who has a member on another node loses only a part. A group
    whose record has gone with its set is going as a whole."""
    if not victim.ours or victim.group not in state.records:
        return
    for other in _same_incarnation(state, victim):
        if other.node != victim.node:
            yield (
                "I6",
                f"pod {victim.key} is preempted on {victim.node}, and {other.key} of its group on {other.node} not",
            )
            return


def _left_behind(state: State, record: Record) -> Iterator[tuple[str, str]]:
    for member in state.members(record.key):
        if member.ours and member.node:
            yield "I6", f"record {record.key} gave its slots up and is {record.state} while {member.key} is bound"
            return


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
