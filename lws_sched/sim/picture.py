"""A picture of a world in a few lines of text, for the reader of a failed scenario."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from lws_sched.api.core import POD
from lws_sched.api.placement import GROUP_PLACEMENT
from lws_sched.sim.api_server import ApiServer
from lws_sched.sim.objects import Json, condition, controller_uid, is_ready, is_terminating, named
from lws_sched.sim.store import Event

LATEST = 12


def picture(server: ApiServer, log: Sequence[Event], elapsed: float, components: Mapping[str, str]) -> str:
    lines = [f"at {elapsed:.3f} s, resourceVersion {server.store.rv}"]
    lines += [f"  component {name} is {state}" for name, state in components.items()]
    lines += _pods(server)
    lines += [
        f"  {named(each.body)} is {each.body['status'].get('state', 'Waiting')} {each.body['status'].get('reason', '')}"
        for each in server.store.objects(GROUP_PLACEMENT.kind)
        if each.body.get("status", {}).get("state") not in ("Bound",)
    ]
    lines += [f"  {each.t:9.3f} {each.type:8} {named(each.body)}" for each in log[-LATEST:]]
    return "\n".join(lines)


def _pods(server: ApiServer) -> list[str]:
    """Pods by what manages them: how many are in which state, and why those without a node have none."""
    states: dict[str, Counter[str]] = {}
    reasons: Counter[str] = Counter()
    for version in server.store.objects(POD.kind):
        pod = version.body
        states.setdefault(_managed_by(pod), Counter())[_state(pod)] += 1
        found = condition(pod, "PodScheduled")
        if found is not None and found["status"] == "False":
            reasons[f"{found['reason']}: {found.get('message', '')}"] += 1
    lines = [
        f"  pods of {owner}: " + ", ".join(f"{count} {state}" for state, count in sorted(counts.items()))
        for owner, counts in sorted(states.items())
    ]
    return lines + [f"  {count} pods {reason}" for reason, count in sorted(reasons.items())]


def _managed_by(pod: Json) -> str:
    uid = controller_uid(pod)
    return next((ref["name"] for ref in pod["metadata"].get("ownerReferences") or () if ref["uid"] == uid), "nobody")


def _state(pod: Json) -> str:
    if is_terminating(pod):
        return "terminating"
    if pod["spec"].get("nodeName"):
        return "ready" if is_ready(pod) else "bound"
    return "gated" if pod["spec"].get("schedulingGates") else "pending"
