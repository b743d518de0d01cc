"""Why groups wait, or why they are where they are: what is known of each, and the same in sentences for people.

A name means a LeaderWorkerSet, a group (named like its leader pod) or a pod. For groups that have no place a plan is
made at this moment, beside what their records say.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

from lws_sched.api import names
from lws_sched.api.core import Pod
from lws_sched.api.lws import LeaderWorkerSet
from lws_sched.api.meta import key_of
from lws_sched.api.placement import HOLDING
from lws_sched.api.timestamps import age, seconds_of
from lws_sched.core.desired import scheduler_of
from lws_sched.intake.answers import Answer
from lws_sched.intake.cluster import Cluster
from lws_sched.intake.documents import BadInput
from lws_sched.intake.groups import BOUND, Group, group_of_pod, groups_of
from lws_sched.intake.wanted import Ask, MemberShapes, ask_of, is_ours, unsupported

PREFIXES = ("lws/", "leaderworkerset/", "group/", "groupplacement/", "gp/", "pod/")

_PROOFS = {
    "exact": "no place is better for this group alone, by how tight and how narrow a domain takes it",
    "optimal": "planned together with others, of whom provably no more can be placed",
    "feasible": "planned together with others, of whom perhaps more could have been placed",
}

Shapes = Callable[[Cluster, Sequence[LeaderWorkerSet]], Mapping[str, MemberShapes]]
"""The shapes of the sets' members, by the sets' keys."""


class NotThere(BadInput):
    """Nothing of that name is in the cluster."""


@dataclass(frozen=True)
class Explained:
    """One group, and what there is to say about it."""

    group: Group
    asked: Ask
    now: Answer | None
    """What a plan made at this moment says; None where the group has its place."""
    sentences: tuple[str, ...]


def place_and_name(target: str, namespace: str) -> tuple[str, str]:
    """The namespace ("" for any) and the name that a target means: `team/llama-0`, `pod/llama-0`, `llama-0`."""
    name = next((target.removeprefix(prefix) for prefix in PREFIXES if target.startswith(prefix)), target)
    if "/" in name:
        namespace, _, name = name.partition("/")
    return namespace, name


def explain(
    cluster: Cluster,
    namespace: str,
    name: str,
    shapes: Shapes,
    now: float | None,
    whole: Callable[[], Cluster | None] | None = None,
) -> tuple[LeaderWorkerSet, tuple[Explained, ...]]:
    """The set that a name means, and which of its groups: all, or the one that is named or that a pod belongs to.

    `now` is the time in seconds; None where it is not known. `whole` gives the cluster to plan on, where `cluster` has
    no more than the groups: it is asked only if a group has no place; None where that may not be seen. Raises NotThere,
    BadInput, and what `shapes` and `whole` raise.
    """
    lws, groups = _find(cluster, namespace, name)
    fresh = _planned_now(whole or (lambda: cluster), lws, groups, shapes, now)
    return lws, tuple(
        Explained(group, ask_of(lws), answer, tuple(_sentences(lws, group, answer, now)))
        for group in groups
        for answer in (fresh.get(group.key),)
    )


def _find(cluster: Cluster, namespace: str, name: str) -> tuple[LeaderWorkerSet, tuple[Group, ...]]:
    found: list[tuple[LeaderWorkerSet, tuple[Group, ...]]] = []
    pods = _pods(cluster, namespace, name)
    wanted = {group_of_pod(pod) for pod in pods}
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
    if pods:
        raise BadInput(
            f"pod {key_of(pods[0])} belongs to no group: it is placed alone, by {pods[0].spec.scheduler_name}; "
            f"`kubectl describe pod` tells of it"
        )
    where = f" in namespace {namespace}" if namespace else ""
    raise NotThere(f"there is no LeaderWorkerSet, group or pod {name}{where}; `lws-sched status` lists what there is")


def _pods(cluster: Cluster, namespace: str, name: str) -> list[Pod]:
    return [pod for pod in cluster.pods if pod.metadata.name == name and namespace in ("", pod.metadata.namespace)]


def _planned_now(
    whole: Callable[[], Cluster | None],
    lws: LeaderWorkerSet,
    groups: Sequence[Group],
    shapes: Shapes,
    now: float | None,
) -> dict[str, Answer]:
    """For groups that have no place: what a plan made at this moment says."""
    if all(group.state in HOLDING or group.state == BOUND for group in groups):
        return {}
    cluster = whole()
    if cluster is None:
        return {}
    from lws_sched.intake.sets import on_our_scheduler
    from lws_sched.intake.what_if import what_if

    ours = lws if is_ours(lws) else on_our_scheduler(lws)
    answers = what_if(cluster, (ours,), shapes(cluster, (ours,)), now=now)
    return {answer.key: answer for answer in answers if not answer.standing}


# --- sentences -------------------------------------------------------------------------------------------------------
def _sentences(lws: LeaderWorkerSet, group: Group, fresh: Answer | None, now: float | None) -> list[str]:
    since = f" for {age(seconds_of(group.since), now)}" if group.since and now is not None else ""
    lines = [f"{group.key}: {group.state}{since}; {group.bound} of {group.size} members bound, {group.ready} ready"]
    told = facts(lws, group)
    lines += [f"  {heading}: {sentence}" if heading else f"  {sentence}" for heading, sentence in told]
    if fresh is not None:
        lines += _at_this_moment(told, fresh)
    return lines


def facts(lws: LeaderWorkerSet, group: Group) -> list[tuple[str, str]]:
    """Headings and sentences, each once; a sentence that stands alone has no heading."""
    found = [("asks for", _asked(lws))]
    if not is_ours(lws):
        scheduler = scheduler_of(lws.spec.leader_worker_template.worker_template) or "default-scheduler"
        sentence = (
            f"it is on the scheduler {scheduler}, which places pod by pod: for whole groups set schedulerName: "
            f"{names.SCHEDULER} in its templates"
        )
        found.append(("", sentence))
    elif sentence := unsupported(lws):
        reason, _, fix = sentence.partition(": ")
        found += [("why", reason), ("fix", fix)]
    if group.domain:
        proof = f": {_PROOFS[group.proof]}" if group.proof in _PROOFS else ""
        found.append(("is in", f"{group.domain} ({group.level}){proof}"))
    if group.reason:
        found.append(("why", group.reason))
    if group.fix:
        found.append(("fix", group.fix))
    return [*dict.fromkeys(found)]


def _at_this_moment(told: Collection[tuple[str, str]], fresh: Answer) -> list[str]:
    """What is said of a plan made now, beside the facts: nothing where they say the same."""
    if fresh.feasible:
        return [f"  planned at this moment it would go to {fresh.domain or 'the cluster'}"]
    # The reason of a group that is first in turn goes on with what is kept free for it.
    is_reason_told = any(f"{sentence}; ".startswith(f"{fresh.reason}; ") for _, sentence in told)
    if is_reason_told and (not fresh.fix or ("fix", fresh.fix) in told):
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
        *([f"a box of {' x '.join(map(str, ask.box))} hosts per group"] if ask.box else []),
    ]
    return ", ".join(parts) or "room anywhere"
