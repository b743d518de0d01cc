"""The scene as compact JSON: what seldom changes (`layout`: names, levels, capacities) and what does (`state`).

Hosts are told in columns, in the layout's order, one character or number a host; groups refer to hosts by number, and
to reasons by number, as many wait for the same one. So 5,000 hosts are some 20 kB, compressed.

    layout   {"resource", "hosts": [name], "capacity": [n], "levels": [{"name", "label", "domains": [name],
              "of": [number of the domain, or -1]}]}
    state    {"use": "fhtsc..." (free, held, taken, stranded, complete), "closed": "01...", "free": [n],
              "levels": [{"free", "held", "used", "capacity", "closed", "largest": [n], "fragmentation"}],
              "groups": {"namespace", "set", "index", "state", "revision", "domain", "level", "restarts", "since",
              "cause": [...], "hosts": [[number, or -1]], "members": ["rbdgspm..."]}, "causes": [[reason, fix]],
              "timeline": {...}, "leader": {...}, "missing": [kind]}

Members are, by worker index: ready, bound, being deleted, gated, pending, with a slot and no pod, missing.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from lws_sched.api import names
from lws_sched.api.timestamps import seconds_of
from lws_sched.intake import capacity
from lws_sched.intake.groups import Group, Member
from lws_sched.intake.standing import Held
from lws_sched.intake.uses import IDLE
from lws_sched.placement import Snapshot
from lws_sched.web.scene import Scene
from lws_sched.web.timeline import Entry, Timeline

NAMED = 50
"""Groups of one entry of the timeline that are told by name."""
Json = dict[str, Any]


def layout(snapshot: Snapshot) -> Json:
    resource = capacity.main_resource(snapshot)
    return {
        "resource": resource,
        "hosts": snapshot.table.names,
        "capacity": capacity.offered_by(snapshot, resource).tolist(),
        "levels": [
            {"name": level.name, "label": level.label, **_domains(snapshot, level.label)} for level in _levels(snapshot)
        ],
    }


def state(scene: Scene) -> Json:
    """What there is to see but for the timeline, the leader and what is missing."""
    snapshot = scene.snapshot
    resource = capacity.main_resource(snapshot)
    outstanding = scene.outstanding()
    groups = [scene.groups[key] for key in sorted(scene.groups, key=lambda key: _order(scene.groups[key]))]
    causes = _Causes()
    return {
        "use": "".join(scene.uses.get(name, IDLE).use.value[0] for name in snapshot.table.names),
        "closed": "".join("01"[not each] for each in snapshot.schedulable.tolist()),
        "free": np.maximum(snapshot.available(resource), 0).tolist(),
        "levels": [_figures(snapshot, outstanding, level.label, resource) for level in _levels(snapshot)],
        "groups": _groups(groups, snapshot, causes),
        "causes": causes.told,
    }


def timeline(found: Timeline) -> Json:
    return {"since": found.since, "entries": [_entry(each) for each in found.entries()]}


def _levels(snapshot: Snapshot) -> list[capacity.Level]:
    return [level for level in capacity.levels(snapshot) if level.label != names.HOSTNAME]


def _domains(snapshot: Snapshot, label: str) -> Json:
    """The domains of a level in natural order, and each host's."""
    partition, column = snapshot.table.partition((label,)), snapshot.table.column(label)
    found = [column.values[column.codes[partition.members(number)[0]]] for number in range(partition.count)]
    return {"domains": found, "of": partition.codes.tolist()}


def _figures(snapshot: Snapshot, outstanding: Iterable[Held], label: str, resource: str) -> Json:
    found = capacity.domains(snapshot, outstanding, label, resource)
    return {
        "free": [each.free for each in found],
        "held": [each.held for each in found],
        "used": [each.used for each in found],
        "capacity": [each.capacity for each in found],
        "closed": [each.unschedulable for each in found],
        "largest": [each.largest for each in found],
        "fragmentation": round(capacity.fragmentation(found), 4),
    }


class _Causes:
    """Reasons and fixes, each once."""

    def __init__(self) -> None:
        self.told: list[tuple[str, str]] = []
        self._numbers: dict[tuple[str, str], int] = {}

    def number(self, group: Group) -> int:
        cause = (group.reason, group.fix)
        if not group.reason:
            return -1
        if cause not in self._numbers:
            self._numbers[cause] = len(self.told)
            self.told.append(cause)
        return self._numbers[cause]


def _groups(groups: Sequence[Group], snapshot: Snapshot, causes: _Causes) -> Json:
    position = snapshot.table.position
    return {
        "namespace": [each.namespace for each in groups],
        "set": [each.set_name for each in groups],
        "index": [each.index for each in groups],
        "state": [each.state for each in groups],
        "revision": [each.revision for each in groups],
        "domain": [each.domain for each in groups],
        "level": [each.level for each in groups],
        "restarts": [each.restarts for each in groups],
        "since": [round(seconds_of(each.since), 1) for each in groups],
        "cause": [causes.number(each) for each in groups],
        "hosts": [[position.get(node, -1) for node in each.nodes] for each in groups],
        "members": ["".join(map(member_state, each.members)) for each in groups],
    }


def member_state(member: Member) -> str:
    """One letter, as above."""
    if member.ready:
        return "r"
    states = {"Deleting": "d", "Gated": "g", "Missing": "s" if member.slot else "m"}
    return states.get(member.state) or ("b" if member.node else "p")


def _order(group: Group) -> tuple[str, str, int]:
    return (group.namespace, group.set_name, group.index)


def _entry(entry: Entry) -> Json:
    return {
        "at": round(entry.at, 1),
        "kind": entry.kind,
        "namespace": entry.namespace,
        "set": entry.set_name,
        "groups": entry.groups[:NAMED],
        "count": len(entry.groups),
        "reason": entry.reason,
        "fix": entry.fix,
    }
