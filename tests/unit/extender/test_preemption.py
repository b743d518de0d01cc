"""kube-scheduler's choice of victims: groups go whole or not at all, and nobody goes in vain."""

from __future__ import annotations

from typing import cast

import msgspec

from lws_sched.api import placement as api
from lws_sched.api.core import Node, Pod
from lws_sched.api.extender import MetaPod, MetaVictims, PreemptionArgs
from lws_sched.extender.app import groups_of_pod
from lws_sched.extender.ledger import Ledger
from lws_sched.extender.observer import BY_GROUP, ON_NODE
from lws_sched.extender.preemption import on_node, spared
from lws_sched.kube.port import Change, Informer
from tests.unit.extender.builders import NODES, bound_members, pod, record
from tests.unit.extender.fakes import FakeInformer


def stranger(name: str, node: str = "", devices: int = 8) -> Pod:
    container = {"name": "c", "resources": {"requests": {"nvidia.com/gpu": str(devices)}}}
    meta = {"name": name, "namespace": "ns", "uid": name}
    return msgspec.convert({"metadata": meta, "spec": {"nodeName": node, "containers": [container]}}, Pod)


def kept(pods: list[Pod], choice: dict[str, list[str]], ledger: Ledger | None = None, devices: int = 8) -> list[str]:
    """The nodes that are left of a choice of UIDs by node."""
    informer = FakeInformer(*pods, indexes={BY_GROUP: groups_of_pod, ON_NODE: on_node})
    victims = {node: MetaVictims(pods=tuple(MetaPod(uid=uid) for uid in uids)) for node, uids in choice.items()}
    args = PreemptionArgs(pod=stranger("urgent", devices=devices), victims=victims)
    return sorted(spared(cast("Informer[Pod]", informer), ledger or Ledger(), args).victims)


def test_a_node_with_one_member_of_a_group_is_spared() -> None:
    pods = [*bound_members().values(), stranger("alone", node="n3")]
    assert kept(pods, {"n0": ["uid-0"], "n3": ["alone"]}) == ["n3"]


def test_a_group_that_stands_on_one_node_may_go_whole() -> None:
    pods = [pod(index, node="n0") for index in range(3)]
    assert kept(pods, {"n0": ["uid-0", "uid-1", "uid-2"]}) == ["n0"]
    assert kept(pods, {"n0": ["uid-0", "uid-1"]}) == []


def test_a_group_with_a_member_that_is_not_bound_yet_is_spared() -> None:
    assert kept([pod(0, node="n0"), pod(1)], {"n0": ["uid-0"]}) == []


def test_nobody_goes_from_a_node_whose_held_slots_would_keep_the_pod_off_it_all_the_same() -> None:
    ledger = Ledger()
    status = {
        "allocatable": {"nvidia.com/gpu": "16", "pods": "20"},
        "conditions": [{"type": "Ready", "status": "True"}],
    }
    ledger.node_changed(Change(None, msgspec.convert({"metadata": {"name": "n0"}, "status": status}, Node)))
    ledger.record_changed(Change(None, record(api.RESERVED)))
    small = stranger("small", node="n0", devices=4)
    ledger.pod_changed(Change(None, small))
    assert ledger.headroom(NODES[0]) is not None
    assert kept([small], {"n0": ["small"]}, ledger, devices=12) == []
    assert kept([small], {"n0": ["small"]}, ledger, devices=8) == ["n0"]
