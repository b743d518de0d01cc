"""`lws-sched drain`: empty a node or a domain of groups, whole group by whole group. Without --yes it only tells.

A group is taken down by deleting its leader: its controller then makes all of it anew, and the planner places it as a
whole on other nodes, as these are cordoned. Groups that have no other place are left where they are.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

from lws_sched.api.core import NODE
from lws_sched.cli.output import Exit, listed, plural, print_json, print_lines, print_table, progress, say
from lws_sched.cli.source import FileCluster, LiveCluster, Source, speaking
from lws_sched.cli.takedown import LOOK_SECONDS, can_spare, delete_leader, is_back
from lws_sched.intake import capacity
from lws_sched.intake.cluster import Cluster
from lws_sched.intake.documents import BadInput
from lws_sched.intake.drain import Departure, plan_drain, stuck_groups
from lws_sched.intake.groups import Group, all_groups


def run(source: Mapping[str, Any], target: str, *, as_json: bool, act: bool, patience: float) -> Exit:
    with speaking():
        opened = Source(**source).open()
        if act and isinstance(opened, FileCluster):
            raise BadInput("a cluster in a file cannot be drained: leave out --yes, or --cluster")
        cluster = opened.read()
        nodes = _nodes(cluster, target)
        with progress("planning"):
            planned = plan_drain(cluster, nodes)
        stuck = stuck_groups(cluster, nodes, planned)
        if as_json:
            print_json(
                {"nodes": nodes, "groups": [_json(each) for each in planned], "incomplete": [g.key for g in stuck]}
            )
        else:
            _tell(nodes, planned, stuck)
        if act and isinstance(opened, LiveCluster):
            return _carry_out(opened, nodes, planned, patience)
    return Exit.OK if all(each.feasible for each in planned) and not stuck else Exit.REFUSED


def _nodes(cluster: Cluster, target: str) -> list[str]:
    """The node of that name; or the nodes of a domain, written `rack-07`, `rack=rack-07` or `<label>=rack-07`."""
    names = [node.metadata.name for node in cluster.nodes]
    if target in names:
        return [target]
    level, _, value = target.rpartition("=")
    snapshot = cluster.snapshot()
    labels = {each.label for each in capacity.levels(snapshot) if not level or level in (each.name, each.label)}
    if level and not labels:
        labels = {level}
    found = {
        label: [node.metadata.name for node in cluster.nodes if node.metadata.labels.get(label) == value]
        for label in sorted(labels)
    }
    found = {label: members for label, members in found.items() if members}
    if not found:
        raise BadInput(
            f"there is no node or domain {target}; `lws-sched topology` lists the levels, `lws-sched top` the domains"
        )
    if len({tuple(members) for members in found.values()}) > 1:
        raise BadInput(f"{value} is a domain of {' and of '.join(found)}: say which, as {next(iter(found))}={value}")
    return next(iter(found.values()))


def _tell(nodes: Sequence[str], planned: Sequence[Departure], stuck: Sequence[Group]) -> None:
    if planned:
        headers = ("GROUP", "MEMBERS THERE", "GOES TO", "AT ONCE")
        print_table(headers, [_row(each) for each in planned])
    for each in planned:
        if not each.feasible:
            print_lines(
                "", f"{each.group} has no other place: {each.reason}.", *([f"  fix: {each.fix}"] if each.fix else [])
            )
    for group in stuck:
        print_lines(
            "", f"{group.key} is not complete ({group.bound} of {group.size} bound): it is left alone until it is."
        )
    what = f"node {nodes[0]}" if len(nodes) == 1 else f"{len(nodes)} nodes ({listed(nodes)})"
    say(f"{plural(len(planned), 'group')} on {what}; other pods are not touched: use kubectl drain for them")


def _row(departure: Departure) -> tuple[Any, ...]:
    goes = (departure.domain or "the cluster", "green") if departure.feasible else ("nowhere", "red")
    return (departure.group, str(len(departure.members)), goes, str(departure.at_once))


def _json(departure: Departure) -> dict[str, Any]:
    return {
        "name": departure.group,
        "set": departure.set_key,
        "members": [{"pod": pod, "node": node} for pod, node in departure.members],
        "feasible": departure.feasible,
        "domain": departure.domain,
        "slots": [{"pod": pod, "node": node} for pod, node in departure.slots],
        "atOnce": departure.at_once,
        "reason": departure.reason,
        "fix": departure.fix,
    }


def _carry_out(cluster: LiveCluster, nodes: Sequence[str], planned: Sequence[Departure], patience: float) -> Exit:
    """Cordon the nodes, then take down group after group, each when its set can spare it."""
    for node in nodes:
        cluster.client.merge(NODE, "", node, {"spec": {"unschedulable": True}})
    say(f"cordoned {plural(len(nodes), 'node')}")
    waiting = [each for each in planned if each.feasible]
    gone: dict[str, str] = {}
    deadline = time.monotonic() + patience
    while waiting or gone:
        groups = {group.key: group for _, groups in all_groups(cluster.read()) for group in groups}
        for key in [key for key in gone if is_back(groups.get(key), nodes)]:
            del gone[key]
            say(f"{key} runs again, in {groups[key].domain or 'the cluster'}")
            deadline = time.monotonic() + patience
        for each in [*waiting]:
            if can_spare(each.set_key, each.group, each.at_once, groups):
                waiting.remove(each)
                gone[each.group] = each.set_key
                delete_leader(cluster, each.group)
                say(f"{each.group} taken down: {plural(len(waiting), 'group')} to go")
                break
        if (waiting or gone) and time.monotonic() > deadline:
            stands = listed([*gone, *(each.group for each in waiting)])
            say(f"gave up on {stands} after {patience:g} s: `lws-sched explain` tells why; the nodes stay cordoned")
            return Exit.FAILED
        time.sleep(LOOK_SECONDS)
    return Exit.OK if all(each.feasible for each in planned) else Exit.REFUSED
