"""How amounts, members and places are said in a refusal."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from lws_sched.placement.eligibility import eligible
from lws_sched.placement.node import taken
from lws_sched.placement.request import Amounts, GroupRequest
from lws_sched.placement.room import Asked
from lws_sched.placement.snapshot import Snapshot
from lws_sched.placement.table import Ints

COMMON = ("cpu", "memory", "ephemeral-storage", "pods")
SHOWN = 4
"""Names listed before the rest is only counted."""


def amount(resource: str, value: int) -> str:
    """An amount in scheduler units as a user writes it: `8 nvidia.com/gpu`, `1500m cpu`, `16Gi memory`."""
    if resource == "cpu":
        return f"{value // 1000} cpu" if value % 1000 == 0 else f"{value}m cpu"
    if resource in ("memory", "ephemeral-storage"):
        return f"{_bytes(value)} {resource}"
    return f"{value} {resource}"


def requests(amounts: Amounts, scarce: str = "") -> str:
    """What one pod asks for, in brief: its devices, or CPU and memory where it has none; and what is scarce."""
    devices = [each for each in amounts if each[0] not in COMMON]
    said = devices or [each for each in amounts if each[0] in COMMON[:2]]
    said += [each for each in amounts if each[0] == scarce and each not in said]
    return " and ".join(amount(*each) for each in said) or "a pod slot"


def members(snapshot: Snapshot, request: GroupRequest, scarce: str = "") -> str:
    """The group's demand: `12 hosts with 8 nvidia.com/gpu each`."""
    if request.size > 1 and request.leader.requests != request.worker.requests:
        workers = f"{request.size - 1} workers" if request.size > 2 else "1 worker"
        each = " each" if request.size > 2 else ""
        leader = requests(request.leader.requests, scarce)
        return f"a leader with {leader} and {workers} with {requests(request.worker.requests, scarce)}{each}"
    noun = "host" if _is_whole_host(snapshot, request.leader.requests) else "place"
    count, each = (f"{request.size} {noun}s", " each") if request.size > 1 else (f"1 {noun}", "")
    return f"{count} with {requests(request.leader.requests, scarce)}{each}"


def place(keys: Asked) -> str:
    """Where the members must stand: ` in one topology.lws-sched.io/rack of its own`."""
    parts = [f"one {key}" + (" of its own" if key == keys.exclusive else "") for key in keys.base]
    inner = [f"one {key}" + (" of its own" if key == keys.inner_exclusive else "") for key in keys.inner]
    where = f" in {' and '.join(parts)}" if parts else ""
    return f"{where}, each subgroup in {' and '.join(inner)}" if inner else where


def listed(names: Sequence[str], noun: str) -> str:
    """The first names and how many more there are."""
    shown = ", ".join(names[:SHOWN])
    more = len(names) - SHOWN
    return f"{shown} and {more} more {noun}{'s' if more > 1 else ''}" if more > 0 else shown


def offered(snapshot: Snapshot, resource: str) -> Ints:
    """What every node offers of a resource when nothing stands on it."""
    row = snapshot.resources.get(resource)
    allocatable = snapshot.table.allocatable
    if row is None or row >= len(allocatable):
        return np.zeros(len(snapshot.table), dtype=np.int64)
    amounts: Ints = allocatable[row]
    return amounts


def scarcest(snapshot: Snapshot, request: GroupRequest, nodes: Ints) -> str:
    """The resource of which these nodes have room for the fewest workers."""
    worker = request.worker if request.size > 1 else request.leader
    usable = nodes[(eligible(snapshot.table, worker) & snapshot.schedulable)[nodes]]
    counts = {
        resource: int((np.maximum(snapshot.available(resource)[usable], 0) // wanted).sum())
        for resource, wanted in sorted(taken(dict(worker.requests)).items())
    }
    return min(counts, key=lambda resource: counts[resource])


def _bytes(value: int) -> str:
    """Exact where a unit divides it, else to a tenth of the largest unit that it reaches."""
    for unit, name in ((1 << 30, "Gi"), (1 << 20, "Mi"), (1 << 10, "Ki")):
        if value >= unit:
            return f"{value // unit}{name}" if value % unit == 0 else f"{value / unit:.1f}{name}"
    return str(value)


def _is_whole_host(snapshot: Snapshot, amounts: Amounts) -> bool:
    """Whether no node ever takes two of them."""
    return any(int(offered(snapshot, resource).max(initial=0)) < 2 * wanted for resource, wanted in amounts)
