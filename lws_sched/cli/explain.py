"""`lws-sched explain`: why a group waits, or why it is where it is, and the nearest fix."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from lws_sched.api.meta import key_of
from lws_sched.cli.output import Exit, print_json, print_lines, print_table, say
from lws_sched.cli.source import GROUP_KINDS, FileCluster, LiveCluster, Source, speaking
from lws_sched.intake.cluster import Cluster
from lws_sched.intake.explaining import Explained, explain, place_and_name
from lws_sched.intake.groups import Group, Member

if TYPE_CHECKING:
    from lws_sched.cli.asking import Server


def run(source: Mapping[str, Any], target: str, namespace: str, *, as_json: bool, server: Server) -> Exit:
    with speaking():
        where, name = place_and_name(target, namespace)
        told = server.answer(source, lambda client: client.explain(where, name))
        if told is not None:
            show(*told, as_json=as_json)
            return Exit.OK
        opened = Source(**source).open()
        found = opened.read(where, GROUP_KINDS)
        lws, groups = explain(found, where, name, opened.shapes, opened.now(), lambda: _whole(opened))
    show(key_of(lws), groups, as_json=as_json)
    return Exit.OK


def _whole(opened: FileCluster | LiveCluster) -> Cluster | None:
    """With the hardware; None where the user may not see that."""
    from lws_sched.kube.errors import Forbidden

    try:
        return opened.read()
    except Forbidden as error:
        say(f"note: no plan was made at this moment: {error}")
        return None


def show(lws: str, groups: Sequence[Explained], *, as_json: bool) -> None:
    """Print what is known of the groups of the set `lws` (`namespace/name`)."""
    if as_json:
        print_json({"set": lws, "groups": [_json(each) for each in groups]})
        return
    for number, each in enumerate(groups):
        print_lines(*([""] if number else []), *each.sentences)
        if len(groups) == 1 or not _is_well(each.group):
            _members(each.group)


def _is_well(group: Group) -> bool:
    return group.ready == group.size


def _members(group: Group) -> None:
    headers = ("  MEMBER", "STATE", "NODE", "RESTARTS", "MESSAGE")
    print_table(headers, map(_row, group.members), expendable=("RESTARTS",))


def _row(member: Member) -> tuple[str, ...]:
    node = member.node or (f"{member.slot} (reserved)" if member.slot else "-")
    return (f"  {member.pod}", "Ready" if member.ready else member.state, node, str(member.restarts), member.message)


def _json(each: Explained) -> dict[str, Any]:
    group, ask, fresh = each.group, each.asked, each.now
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
