"""Hands a placement to the independent checker, with the nodes that matter to it as plain values."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from lws_sched.placement import topology
from lws_sched.placement.check import violations
from lws_sched.placement.request import GroupRequest, Placed
from lws_sched.placement.snapshot import Snapshot, namespace_of
from lws_sched.placement.table import ABSENT, Ints


def verify(snapshot: Snapshot, request: GroupRequest, placed: Placed) -> None:
    """Raises AssertionError, with what is wrong, where the placement breaks a promise on this snapshot."""
    keys = snapshot.table.keys
    by_label = replace(
        request,
        required=topology.key_or_name(request.required, keys),
        exclusive=topology.key_or_name(request.exclusive, keys),
        subgroup_required=topology.key_or_name(request.subgroup_required, keys),
        subgroup_exclusive=topology.key_or_name(request.subgroup_exclusive, keys),
    )
    facts = snapshot.facts(_witnesses(snapshot, by_label, placed))
    found = violations(facts.values(), by_label, placed)
    if found:
        raise AssertionError("; ".join(found))


def _witnesses(snapshot: Snapshot, request: GroupRequest, placed: Placed) -> Ints:
    """The slots' nodes, and the nodes where groups of the namespace stand in a domain that somebody holds there."""
    table, tenancy = snapshot.table, snapshot.tenancy
    slots = np.array([table.position[node] for node in placed.slots], dtype=np.int64)
    near = np.zeros(len(table), dtype=np.bool_)
    same = tenancy.namespaces == tenancy.namespace_numbers.get(namespace_of(request), ABSENT)
    held = {
        topology.key_or_name(tenancy.exclusive_keys[number], table.keys)
        for number in {*tenancy.exclusives[same].tolist(), *tenancy.inner[same].tolist()}
    }
    for key in (held | {request.exclusive, request.subgroup_exclusive}) & table.keys:
        column = table.column(key)
        codes = column.codes[slots]
        near |= column.marked(codes[codes != ABSENT])
    return np.concatenate([slots, tenancy.positions[same & near[tenancy.positions]]])
