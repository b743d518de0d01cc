"""Answers to kube-scheduler's `preempt`: a pod of another profile takes a group whole, or leaves it alone.

kube-scheduler's preemption chooses single pods of one node, for one pod; of a group it would take the member that
happens to stand there. An extender can only drop nodes from its choice. A node is kept where

- of every group with a member among the victims, all living pods are: the group goes whole;
- what the victims take, and what the node has left beside its held slots, is enough for the pod: else they would go
  in vain, as `filter` keeps the pod off the node afterwards.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable

from lws_sched.api.core import Pod
from lws_sched.api.extender import MetaVictims, PreemptionArgs, PreemptionResult
from lws_sched.extender.ledger import Ledger, lacks
from lws_sched.extender.observer import BY_GROUP, ON_NODE
from lws_sched.extender.stages import is_member
from lws_sched.intake.standing import standing_node, tenant_of
from lws_sched.kube.port import Informer
from lws_sched.placement import pod_requests


def on_node(pod: Pod) -> Iterable[str]:
    """The index ON_NODE: pods that take room, by node."""
    node = standing_node(pod)
    return (node,) if node else ()


def spared(pods: Informer[Pod], ledger: Ledger, args: PreemptionArgs) -> PreemptionResult:
    """What is left of kube-scheduler's choice. The ledger is read without its lock."""
    kept = {node: each for node, each in (args.victims or {}).items() if _may_go(pods, ledger, args.pod, node, each)}
    return PreemptionResult(victims=kept)


def _may_go(pods: Informer[Pod], ledger: Ledger, pod: Pod, node: str, victims: MetaVictims) -> bool:
    uids = {each.uid for each in victims.pods or ()}
    going = [each for each in pods.by_index(ON_NODE, node) if each.metadata.uid in uids]
    return all(_goes_whole(pods, each, uids) for each in going) and _suffices(ledger, pod, node, going)


def _goes_whole(pods: Informer[Pod], victim: Pod, uids: Collection[str]) -> bool:
    tenant = tenant_of(victim) if is_member(victim) else None
    return tenant is None or all(each.metadata.uid in uids for each in pods.by_index(BY_GROUP, tenant.group))


def _suffices(ledger: Ledger, pod: Pod, node: str, going: Iterable[Pod]) -> bool:
    room = ledger.headroom(node)
    if room is None:
        return True  # no slot is held there: kube-scheduler has counted right
    left = Counter(room)
    for each in going:
        left.update({**pod_requests(each.spec), "pods": 1})
    return not lacks(pod_requests(pod.spec), left)
