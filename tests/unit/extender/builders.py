"""Small groups, records and pods for the extender's tests, in as few words as possible."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
from msgspec.structs import replace

from lws_sched.api import names
from lws_sched.api import placement as api
from lws_sched.api.core import Pod
from lws_sched.api.meta import Meta
from lws_sched.api.placement import GroupPlacement, GroupPlacementStatus
from lws_sched.api.timestamps import micro_time
from lws_sched.extender import records
from lws_sched.extender.life import View
from lws_sched.extender.records import Stamp
from lws_sched.intake.wanted import Ask, MemberShapes, WantedGroup
from lws_sched.placement import PodShape

NOW = 1_000_000.0
STAMP = Stamp(epoch=1, now=NOW)
SHAPE = PodShape(requests=(("nvidia.com/gpu", 8),))
NODES = ("n0", "n1", "n2")
SIZE = 3


def group(*, size: int = SIZE, revision: str = "rev", leader_first: bool = False) -> WantedGroup:
    """Group 0 of the set `a` in the namespace `ns`."""
    return WantedGroup(
        namespace="ns",
        set_name="a",
        set_uid="set-uid",
        index=0,
        size=size,
        revision=revision,
        ask=Ask(required="rack"),
        leader_first=leader_first,
        created="2026-01-01T00:00:00Z",
        shapes=MemberShapes(SHAPE, SHAPE),
    )


def record(state: str, *, age: float = 0.0, leader_first: bool = False, **status: object) -> GroupPlacement:
    """The record of `group()` in a state, `age` seconds old."""
    first = records.first_record(group(leader_first=leader_first))
    slots = () if state == api.WAITING else NODES
    fields = {"state": state, "slots": slots, "since": micro_time(NOW - age), "epoch": 1, **status}
    placed = replace(first, status=msgspec.convert({}, GroupPlacementStatus))
    return replace(placed, status=replace(placed.status, **fields), metadata=_written(first.metadata))


def pod(
    index: int,
    *,
    uid: str = "",
    node: str = "",
    gated: bool = False,
    leaving: bool = False,
    revision: str = "rev",
    unschedulable: str = "",
    gates: tuple[str, ...] = (),
    age: float = 0.0,
) -> Pod:
    """Member `index` of `group()`; without a node it is pinned, or behind our gate."""
    name = names.member_name("a-0", index)
    all_gates = (*gates, *((names.GATE,) if gated else ()))
    conditions = [
        {
            "type": "PodScheduled",
            "status": "False",
            "reason": "Unschedulable",
            "message": unschedulable,
            "lastTransitionTime": micro_time(NOW - age),
        }
    ] * bool(unschedulable)
    return msgspec.convert(
        {
            "metadata": {
                "name": name,
                "namespace": "ns",
                "uid": uid or f"uid-{index}",
                "creationTimestamp": micro_time(NOW - age),
                "deletionTimestamp": "2026-01-01T00:00:00Z" if leaving else "",
                "labels": {
                    names.SET_NAME: "a",
                    names.GROUP_INDEX: "0",
                    names.WORKER_INDEX: str(index),
                    names.REVISION: revision,
                },
            },
            "spec": {
                "nodeName": node,
                "schedulerName": names.SCHEDULER,
                "schedulingGates": [{"name": gate} for gate in all_gates],
                "containers": [{"name": "c", "resources": {"requests": {"nvidia.com/gpu": "8"}}}],
            },
            "status": {"conditions": conditions},
        },
        Pod,
    )


def members(**how: object) -> dict[int, Pod]:
    """All members alike."""
    return {index: pod(index, **how) for index in range(SIZE)}  # type: ignore[arg-type]


def bound_members() -> dict[int, Pod]:
    return {index: pod(index, node=NODES[index]) for index in range(SIZE)}


def uids(pods: Mapping[int, Pod]) -> dict[str, str]:
    return {each.metadata.name: each.metadata.uid for each in pods.values()}


def view(
    record: GroupPlacement | None,
    pods: Mapping[int, Pod] | None = None,
    *,
    wanted: WantedGroup | None = None,
    unwanted: bool = False,
    lost_nodes: tuple[str, ...] = (),
) -> View:
    return View(
        record=record,
        wanted=None if unwanted else wanted or group(),
        pods=pods or {},
        is_healthy=lambda node: node not in lost_nodes,
        stamp=STAMP,
    )


def _written(meta: Meta) -> Meta:
    return replace(meta, resource_version="7", uid="record-uid")
