"""`lws-sched explain`: why a group waits, or why it is where it is, and the nearest fix."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from lws_sched.api import names
from lws_sched.api.core import Pod
from lws_sched.api.lws import LeaderWorkerSet
from lws_sched.api.meta import key_of
from lws_sched.api.placement import HOLDING, WAITING
from lws_sched.api.timestamps import seconds_of
from lws_sched.cli.output import Exit, age, print_json, print_lines, print_table
from lws_sched.cli.source import FileCluster, LiveCluster, Source, speaking
from lws_sched.core.desired import scheduler_of
from lws_sched.intake.cluster import Cluster
from lws_sched.intake.documents import BadInput
from lws_sched.intake.groups import BOUND, Group, Member, group_of_pod, groups_of
from lws_sched.intake.sets import on_our_scheduler
from lws_sched.intake.wanted import ask_of, is_ours, unsupported
from lws_sched.intake.what_if import Answer, what_if

PREFIXES = ("lws/", "leaderworkerset/", "group/", "groupplacement/", "gp/", "pod/")

_PROOFS = {
    "exact": "no place is better for this group alone: the narrowest domain that takes it, and of those the tightest",
    "optimal": "planned together with others, of whom provably no more can be placed",
    "feasible": "planned together with others, of whom perhaps more could have been placed",
}


def run(source: Mapping[str, Any], target: str, namespace: str, *, as_json: bool) -> Exit:
    with speaking():
        opened = Source(**source).open()
        cluster = opened.read()
        lws, groups = _find(cluster, target, namespace)
        fresh = _planned_now(opened, cluster, lws, groups)
        now = opened.now()
    if as_json:
        print_json({"set": key_of(lws), "groups": [_json(lws, group, fresh.get(group.key)) for group in groups]})
    else:
        for number, group in enumerate(groups):
            print_lines(*([""] if number else []), *_sentences(lws, group, fresh.get(group.key), now))
            if len(groups) == 1 or not _is_well(group):
                _members(group)
    return Exit.OK


def _find(cluster: Cluster, target: str, namespace: str) -> tuple[LeaderWorkerSet, tuple[Group, ...]]:
    """The set that a name means, and which of its groups: all, or the one that is named or that a pod belongs to."""
    name = next((target.removeprefix(prefix) for prefix in PREFIXES if target.startswith(prefix)), target)
    if "/" in name:
        namespace, _, name = name.partition("/")
    found: list[tuple[LeaderWorkerSet, tuple[Group, ...]]] = []
    wanted = {group_of_pod(pod) for pod in _pods(cluster, namespace, name)}
    for lws in sorted(cluster.sets, key=key_of):
        if namespace not in ("", lws.metadata.namespace):
            continue
        groups = groups_of(cluster, lws)
        if lws.metadata.name == name:
            found.append((lws, groups))
            continue
        chosen = tuple(group for group in groups if group.name == name or group.key in wanted)
        if chosen:
            found.append((lws, chosen))
    if len(found) > 1:
        places = ", ".join(key_of(lws) for lws, _ in found)
        raise BadInput(f"{name} means several things: {places}; name the namespace with -n")
    if found:
        return found[0]
    where = f" in namespace {namespace}" if namespace else ""
    pods = _pods(cluster, namespace, name)
    if pods:
        raise BadInput(
            f"pod {key_of(pods[0])} belongs to no group: it is placed alone, by {pods[0].spec.scheduler_name}; "
            f"`kubectl describe pod` tells of it"
        )
    raise BadInput(f"there is no LeaderWorkerSet, group or pod {name}{where}; `lws-sched status` lists what there is")


def _pods(cluster: Cluster, namespace: str, name: str) -> list[Pod]:
    return [pod for pod in cluster.pods if pod.metadata.name == name and namespace in ("", pod.metadata.namespace)]


def _planned_now(
    opened: FileCluster | LiveCluster, cluster: Cluster, lws: LeaderWorkerSet, groups: Sequence[Group]
) -> dict[str, Answer]:
    """For groups that have no place: what a plan made at this moment says."""
    if all(group.state in HOLDING or group.state == BOUND for group in groups):
        return {}
    ours = lws if is_ours(lws) else on_our_scheduler(lws)
    answers = what_if(cluster, (ours,), opened.shapes(cluster, (ours,)), now=opened.now())
    return {answer.key: answer for answer in answers if not answer.standing}


def _sentences(lws: LeaderWorkerSet, group: Group, fresh: Answer | None, now: float | None) -> list[str]:
    since = f" for {age(seconds_of(group.since), now)}" if group.since and now is not None else ""
    lines = [f"{group.key}: {group.state}{since}; {group.bound} of {group.size} members bound, {group.ready} ready"]
    lines.append(f"  asks for: {_asked(lws)}")
    if not is_ours(lws):
        scheduler = scheduler_of(lws.spec.leader_worker_template.worker_template) or "default-scheduler"
        lines.append(
            f"  it is on the scheduler {scheduler}, which places pod by pod: for whole groups set schedulerName: "
            f"{names.SCHEDULER} in its templates"
        )
    elif sentence := unsupported(lws):
        lines.append(f"  why: {sentence}")
    if group.domain:
        domain = f"{group.domain} ({group.level})"
        proof = f": {_PROOFS[group.proof]}" if group.proof in _PROOFS else ""
        lines.append(f"  is in: {domain}{proof}")
    if group.reason:
        lines.append(f"  why: {group.reason}")
    if group.fix:
        lines.append(f"  fix: {group.fix}")
    if fresh is not None:
        lines += _at_this_moment(group, fresh)
    return lines


def _at_this_moment(group: Group, fresh: Answer) -> list[str]:
    if fresh.feasible:
        return [f"  planned at this moment it would go to {fresh.domain or 'the cluster'}"]
    if group.state == WAITING and (group.reason, group.fix) == (fresh.reason, fresh.fix):
        return []
    return [f"  planned at this moment: {fresh.reason}", *([f"  fix: {fresh.fix}"] if fresh.fix else [])]


def _asked(lws: LeaderWorkerSet) -> str:
    ask = ask_of(lws)
    parts = [
        *([f"one {ask.required} per group"] if ask.required else []),
        *([f"a {ask.exclusive} of its own"] if ask.exclusive else []),
        *([f"one {ask.subgroup_required} per subgroup"] if ask.subgroup_required else []),
        *([f"a {ask.subgroup_exclusive} of its own per subgroup"] if ask.subgroup_exclusive else []),
        *([f"{', then '.join(ask.preferred)} if possible"] if ask.preferred else []),
        *([f"groups spread over {ask.spread}"] if ask.spread else []),
    ]
    return ", ".join(parts) or "room anywhere"


def _is_well(group: Group) -> bool:
    return group.ready == group.size


def _members(group: Group) -> None:
    print_table(("  MEMBER", "STATE", "NODE", "RESTARTS", "MESSAGE"), [_row(member) for member in group.members])


def _row(member: Member) -> tuple[str, ...]:
    node = member.node or (f"{member.slot} (reserved)" if member.slot else "-")
    return (f"  {member.pod}", "Ready" if member.ready else member.state, node, str(member.restarts), member.message)


def _json(lws: LeaderWorkerSet, group: Group, fresh: Answer | None) -> dict[str, Any]:
    ask = ask_of(lws)
    return {
        "name": group.name,
        "namespace": group.namespace,
        "state": group.state,
        "since": group.since,
        "asked": {"required": ask.required, "exclusive": ask.exclusive, "preferred": list(ask.preferred)},
        "domain": {"level": group.level, "value": group.domain} if group.level else None,
        "proof": group.proof,
        "reason": group.reason,
        "fix": group.fix,
        "now": None
        if fresh is None
        else {"feasible": fresh.feasible, "domain": fresh.domain, "reason": fresh.reason, "fix": fresh.fix},
        "members": [
            {
                "pod": member.pod,
                "state": member.state,
                "ready": member.ready,
                "slot": member.slot,
                "node": member.node,
                "restarts": member.restarts,
                "message": member.message,
            }
            for member in group.members
        ],
    }
