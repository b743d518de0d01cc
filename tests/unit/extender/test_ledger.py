"""Room that is spoken for though nothing is seen to take it."""

from __future__ import annotations

import msgspec
import pytest
from msgspec.structs import replace

from lws_sched.api import placement as api
from lws_sched.api.core import Node, Pod
from lws_sched.api.placement import GroupPlacement
from lws_sched.extender.ledger import Ledger
from lws_sched.kube.port import Change
from tests.unit.extender.builders import NODES, bound_members, members, pod, record, uids

COMMITTED = record(api.COMMITTED, committed=uids(members()))
GPU = "nvidia.com/gpu"


@pytest.fixture
def ledger() -> Ledger:
    """Three nodes of 8 accelerators, and a group of three that is committed to them."""
    ledger = Ledger()
    status = {"allocatable": {GPU: "8", "pods": "20"}, "conditions": [{"type": "Ready", "status": "True"}]}
    for name in NODES:
        ledger.node_changed(Change(None, msgspec.convert({"metadata": {"name": name}, "status": status}, Node)))
    ledger.record_changed(Change(None, COMMITTED))
    return ledger


def free(ledger: Ledger) -> list[int]:
    snapshot = ledger.snapshot()
    return [int(snapshot.available(GPU)[snapshot.table.position[name]]) for name in NODES]


def test_a_record_that_goes_amid_its_bindings_leaves_the_room_of_members_that_may_still_be_bound(
    ledger: Ledger,
) -> None:
    ledger.pod_changed(Change(pod(0), pod(0, node="n0")))
    kept = ledger.keep_for(COMMITTED, lambda name, _: name == "ns/a-0-2")
    ledger.record_changed(Change(COMMITTED, None))
    assert kept == [("ns/a-0-1", "uid-1")]
    assert free(ledger) == [0, 0, 8]


def test_it_is_given_back_once_the_member_is_seen_to_go_or_is_known_to_be_gone(ledger: Ledger) -> None:
    ledger.keep_for(COMMITTED, lambda *_: False)
    ledger.record_changed(Change(COMMITTED, None))
    assert free(ledger) == [0, 0, 0]
    assert ledger.pod_changed(Change(pod(0), None)), "room was freed"
    ledger.uncharge("uid-1")
    ledger.pod_changed(Change(pod(2), pod(2, node="n2")))
    assert free(ledger) == [8, 8, 0]
    ledger.pod_changed(Change(bound_members()[2], None))
    assert free(ledger) == [8, 8, 8]


def test_a_node_is_overfull_once_others_stand_where_a_slot_is_held_and_no_longer_than_that(ledger: Ledger) -> None:
    spec = {"nodeName": "n1", "containers": [{"name": "c", "resources": {"requests": {GPU: "1"}}}]}
    squatter = msgspec.convert({"metadata": {"name": "s", "uid": "s"}, "spec": spec}, Pod)
    ledger.pod_changed(Change(None, squatter))
    assert [name for name in NODES if ledger.is_overfull(name)] == ["n1"]
    ledger.pod_changed(Change(squatter, None))
    assert not any(map(ledger.is_overfull, NODES))


def test_a_node_that_is_gone_has_no_room_left(ledger: Ledger) -> None:
    assert not ledger.is_overfull("n0")
    assert ledger.is_overfull("elsewhere")


def test_a_pod_is_short_of_the_first_resource_that_lacks_on_nodes_where_slots_are_held_and_of_none_elsewhere(
    ledger: Ledger,
) -> None:
    everywhere = [*NODES, "elsewhere"]
    assert ledger.short_of({GPU: 1, "nvidia.com/rdma": 1}, everywhere) == dict.fromkeys(NODES, GPU)
    assert ledger.short_of({GPU: 0}, everywhere) == {}, "what a pod asks nothing of cannot lack"


def test_a_pod_takes_one_of_the_pods_that_a_node_can_have(ledger: Ledger) -> None:
    full = {"allocatable": {GPU: "8", "pods": "1"}, "conditions": [{"type": "Ready", "status": "True"}]}
    ledger.node_changed(Change(None, msgspec.convert({"metadata": {"name": "n0"}, "status": full}, Node)))
    assert ledger.short_of({}, NODES) == {"n0": "pods"}


def in_racks(ledger: Ledger, **racks: str) -> None:
    """Tell the ledger of the nodes' racks, by node."""
    status = {"allocatable": {GPU: "8", "pods": "20"}, "conditions": [{"type": "Ready", "status": "True"}]}
    for name, rack in racks.items():
        body = {"metadata": {"name": name, "labels": {"rack": rack}}, "status": status}
        ledger.node_changed(Change(None, msgspec.convert(body, Node)))


def alone_on(node: str) -> GroupPlacement:
    """Another group of the namespace that has the rack of a node to itself."""
    first = record(api.BOUND)
    spec = replace(first.spec, size=1, exclusive_key="rack")
    status = replace(first.status, slots=(node,))
    return replace(first, metadata=replace(first.metadata, name="b-0"), spec=spec, status=status)


def test_a_node_that_is_relabelled_into_the_rack_that_another_group_has_to_itself_is_named_with_that_group(
    ledger: Ledger,
) -> None:
    in_racks(ledger, n0="r0", n1="r0", n2="r0", n3="r1")
    ledger.record_changed(Change(None, alone_on("n3")))
    assert ledger.intruder(COMMITTED) is None
    in_racks(ledger, n1="r1")
    assert ledger.intruder(COMMITTED) == ("n1", "ns/b-0")


def test_so_is_one_whose_group_comes_into_a_rack_that_is_to_be_exclusive(ledger: Ledger) -> None:
    in_racks(ledger, n0="r0", n1="r0", n2="r0", n3="r1")
    alone = alone_on("n3")
    ledger.record_changed(Change(None, alone))
    assert ledger.intruder(alone) is None
    in_racks(ledger, n3="r0")
    assert ledger.intruder(alone) == ("n3", "ns/a-0")


def test_where_nothing_is_exclusive_groups_share_a_rack(ledger: Ledger) -> None:
    in_racks(ledger, n0="r0", n1="r0", n2="r0")
    assert ledger.intruder(COMMITTED) is None
