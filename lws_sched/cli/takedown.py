"""Taking groups down on purpose, one after the other: what `drain --yes` and `defrag --yes` have in common.

A group is taken down by deleting its leader: its controller then makes all of it anew, and the planner places it as a
whole. It is back when all its members are ready, none of them on a node that it was to leave.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping, Sequence

from lws_sched.api import names
from lws_sched.api.core import POD
from lws_sched.api.meta import split_key
from lws_sched.api.placement import GROUP_PLACEMENT
from lws_sched.cli.source import LiveCluster
from lws_sched.intake.groups import Group

LOOK_SECONDS = 1.0
NOTE_SECONDS = 15.0
"""How long the extender may take to note which nodes a group is to leave."""


def is_back(group: Group | None, nodes: Collection[str]) -> bool:
    """Whether all of the group runs, and nothing of it on these nodes."""
    return group is not None and group.ready == group.size and not {*nodes} & {*group.nodes}


def can_spare(set_key: str, group: str, at_once: int, groups: Mapping[str, Group]) -> bool:
    """Whether the set of a group can do without it now: as many of its groups as may be away are not away already."""
    of_set = [each for each in groups.values() if f"{each.namespace}/{each.set_name}" == set_key]
    return sum(each.ready < each.size for each in of_set if each.key != group) < at_once


def delete_leader(cluster: LiveCluster, group: str) -> None:
    """Raises ApiError."""
    cluster.client.delete(POD, *split_key(group), propagation="Foreground")


def tell_to_leave(cluster: LiveCluster, group: str, nodes: Sequence[str]) -> bool:
    """Have the planner note that the group gets no slot on these nodes for a while. False where it does not answer.

    Raises ApiError.
    """
    namespace, leader = split_key(group)
    change = {"metadata": {"annotations": {names.LEAVE_NODES: ",".join(nodes)}}}
    cluster.client.merge(POD, namespace, leader, change)
    deadline = time.monotonic() + NOTE_SECONDS
    while time.monotonic() < deadline:
        record = cluster.client.get(GROUP_PLACEMENT, namespace, leader)
        if {*nodes} <= {slot.node for slot in record.status.refused}:
            return True
        time.sleep(LOOK_SECONDS / 4)
    return False
