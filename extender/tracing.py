"""What is traced of placing groups: plans with their decisions, commits, and bindings.

Two parts of the extender are replaced by these where traces are asked for; where they are not, nothing is different,
and this module is not imported. A group's commit begins a trace of its own, which refers to the decision that it
carries out: groups that are planned together are not bound together.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from lws_sched.api.placement import GroupPlacement
from lws_sched.extender.barrier import BindCall
from lws_sched.extender.commit import Committer
from lws_sched.extender.plan_meter import PlanMeter
from lws_sched.placement import Decision, Placed
from lws_sched.telemetry.tracing import Attributes, Span, SpanContext, Tracer

REMEMBERED = 10_000
"""Groups whose decision is known: those beyond them are committed without a reference."""


@dataclass
class TracedMeter(PlanMeter):
    tracer: Tracer = field(kw_only=True)
    decisions: dict[str, SpanContext] = field(default_factory=dict)
    """The span of the decision that gave each group its place, by key."""

    def planned(self, decisions: Iterable[Decision], seconds: float) -> None:
        found = [*decisions]
        super().planned(found, seconds)
        attributes: Attributes = {
            "lws_sched.groups": len(found),
            "lws_sched.placed": sum(isinstance(each, Placed) for each in found),
            "lws_sched.value": self.value,
            "lws_sched.bound": self.bound,
        }
        span = self.tracer.told("plan", attributes, seconds)
        for each in found:
            decided = self.tracer.told("decide", decision_attributes(each), parent=span)
            self.decisions.pop(each.key, None)
            if isinstance(each, Placed):
                self.decisions[each.key] = decided.get_span_context()
        while len(self.decisions) > REMEMBERED:
            self.decisions.pop(next(iter(self.decisions)), None)


def decision_attributes(decision: Decision) -> Attributes:
    if isinstance(decision, Placed):
        return {
            "lws_sched.group": decision.key,
            "lws_sched.result": "placed",
            "lws_sched.level": decision.domain_key,
            "lws_sched.domain": decision.domain_value,
            "lws_sched.members": len(decision.slots),
            "lws_sched.proof": decision.proof,
        }
    return {
        "lws_sched.group": decision.key,
        "lws_sched.result": "refused",
        "lws_sched.reason": decision.reason,
        "lws_sched.fix": decision.fix,
        "lws_sched.proof": decision.proof,
    }


@dataclass(frozen=True)
class TracedCommitter(Committer):
    tracer: Tracer = field(kw_only=True)
    decisions: dict[str, SpanContext] = field(kw_only=True)
    _commits: dict[str, Span] = field(default_factory=dict)
    """The span of the commit under way that a member belongs to, by its UID."""

    def commit(self, group: str, calls: Sequence[BindCall]) -> None:
        attributes: Attributes = {"lws_sched.group": group, "lws_sched.members": len(calls)}
        members = [call.args.pod_uid for call in calls]
        with self.tracer.root("commit", attributes, self.decisions.pop(group, None)) as span:
            self._commits.update(dict.fromkeys(members, span))
            try:
                super().commit(group, calls)
            finally:
                for uid in members:
                    self._commits.pop(uid, None)

    def _write_committed(self, group: str, calls: Sequence[BindCall]) -> GroupPlacement:
        with self.tracer.span("record", {"lws_sched.group": group}):
            return super()._write_committed(group, calls)

    def bind_pod(self, namespace: str, name: str, uid: str, node: str) -> None:
        attributes = {"k8s.namespace.name": namespace, "k8s.pod.name": name, "k8s.pod.uid": uid, "k8s.node.name": node}
        with self.tracer.span("bind", attributes, parent=self._commits.get(uid)):
            super().bind_pod(namespace, name, uid, node)
