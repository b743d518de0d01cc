"""What a planning process knows of the cluster: kept change by change, it is what a look at everything would find."""

from __future__ import annotations

import copy
from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from lws_sched.api.core import NODE, POD
from lws_sched.api.meta import Kind
from lws_sched.api.placement import GROUP_PLACEMENT
from lws_sched.api.topology import TOPOLOGY
from lws_sched.intake.cluster import Cluster
from lws_sched.placement import Snapshot
from lws_sched.service.answering import Known
from lws_sched.service.frames import WATCHED, Changes

GPU = "nvidia.com/gpu"
NODES = ("n0", "n1")
GROUPS = ("team/a-0", "team/b-0")
Body = dict[str, Any]


def node(name: str, accelerators: int, rack: str, cordoned: bool) -> Body:
    return {
        "metadata": {"name": name, "labels": {"topology.lws-sched.io/rack": rack}},
        "spec": {"unschedulable": cordoned},
        "status": {
            "allocatable": {GPU: str(accelerators), "pods": "110"},
            "conditions": [{"type": "Ready", "status": "True"}],
        },
    }


def member(group: str, index: int, node: str, accelerators: int, phase: str) -> Body:
    """`index` 0 is the leader; group "" means a pod of no group."""
    namespace, _, leader = group.partition("/")
    name = (f"{leader}-{index}" if index else leader) if group else f"stranger-{index}"
    labels = {
        "leaderworkerset.sigs.k8s.io/name": leader.partition("-")[0],
        "leaderworkerset.sigs.k8s.io/group-index": "0",
        "leaderworkerset.sigs.k8s.io/worker-index": str(index),
    }
    container = {"name": "c", "resources": {"requests": {GPU: str(accelerators)}}}
    return {
        "metadata": {"name": name, "namespace": namespace or "team", "labels": labels if group else {}},
        "spec": {"nodeName": node, "containers": [container]},
        "status": {"phase": phase},
    }


def record(group: str, state: str, slots: tuple[str, ...], exclusive: str) -> Body:
    namespace, _, name = group.partition("/")
    shape = {"requests": {GPU: 2}}
    spec = {"leaderWorkerSet": name.partition("-")[0], "size": len(slots), "leader": shape, "worker": shape}
    spec["exclusiveKey"] = exclusive
    return {
        "metadata": {"name": name, "namespace": namespace},
        "spec": spec,
        "status": {"state": state, "slots": list(slots)},
    }


def topology(name: str, label: str) -> Body:
    return {"metadata": {"name": name}, "spec": {"levels": [{"name": "row", "nodeLabel": label}]}}


BODIES = {
    NODE: st.builds(node, st.sampled_from(NODES), st.integers(1, 8), st.sampled_from("xy"), st.booleans()),
    POD: st.builds(
        member,
        st.sampled_from((*GROUPS, "")),
        st.integers(0, 1),
        st.sampled_from((*NODES, "")),
        st.integers(1, 2),
        st.sampled_from(("Running", "Succeeded")),
    ),
    GROUP_PLACEMENT: st.builds(
        record,
        st.sampled_from(GROUPS),
        st.sampled_from(("Reserved", "Bound", "Waiting")),
        st.lists(st.sampled_from(NODES), min_size=1, max_size=2).map(tuple),
        st.sampled_from(("", "rack")),
    ),
    TOPOLOGY: st.builds(topology, st.sampled_from("pq"), st.sampled_from(("example.com/row", "example.com/hall"))),
}
EVENTS = st.lists(
    st.sampled_from((NODE, POD, POD, POD, GROUP_PLACEMENT, GROUP_PLACEMENT, TOPOLOGY)).flatmap(
        lambda kind: st.tuples(st.just(kind), BODIES[kind], st.sampled_from((False, False, False, True)))
    ),
    min_size=8,
    max_size=25,
)
START = [(NODE, node(name, 8, "x", cordoned=False), False) for name in NODES]


def key_of(body: Body) -> str:
    meta = body["metadata"]
    return f"{meta['namespace']}/{meta['name']}" if "namespace" in meta else str(meta["name"])


def told(known: Known, kind: Kind[Any], body: Body, *, gone: bool) -> None:
    obj = msgspec.convert(copy.deepcopy(body), kind.type)
    encoded = b"" if gone else msgspec.msgpack.encode(obj)
    known.learn(Changes(WATCHED.index(kind), ((key_of(body), encoded),)))


def facts(snapshot: Snapshot) -> Any:
    """What a plan reads of a fleet, without the numbers that it gives to names."""
    for each in snapshot.facts().values():
        amounts = {name: amount for name, amount in each.free.items() if amount}
        yield each.name, each.labels, amounts, each.schedulable, sorted(map(repr, each.tenants))
    yield snapshot.table.levels


@settings(max_examples=25, deadline=None)
@given(EVENTS, st.frozensets(st.sampled_from(GROUPS)))
def test_it_is_what_a_look_at_everything_would_find(
    events: list[tuple[Kind[Any], Body, bool]], without: frozenset[str]
) -> None:
    known = Known()
    for kind, body, gone in (*START, *events):
        told(known, kind, body, gone=gone)
        kept = known.cluster()
        anew = Cluster(kept.nodes, kept.pods, kept.sets, kept.records, topologies=kept.topologies)
        for groups in (frozenset[str](), without, frozenset[str]()):
            assert list(facts(kept.snapshot(groups))) == list(facts(anew.snapshot(groups)))
        assert kept.record_of == anew.record_of
        assert kept.pods_of == anew.pods_of
        assert all(kept.members_of(group) == anew.members_of(group) for group in GROUPS)
