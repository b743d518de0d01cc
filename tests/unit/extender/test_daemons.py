"""Room for DaemonSet pods that are still to come: kept until they stand, on the nodes that they come to."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
import pytest

from lws_sched.api.core import DaemonSet, Node, Pod
from lws_sched.extender.ledger import Ledger
from lws_sched.kube.port import Change


def node(name: str, labels: dict[str, str] | None = None, taints: list[dict[str, str]] | None = None) -> Node:
    status = {"allocatable": {"cpu": "64", "pods": "20"}, "conditions": [{"type": "Ready", "status": "True"}]}
    meta = {"name": name, "labels": labels or {}}
    return msgspec.convert({"metadata": meta, "spec": {"taints": taints or []}, "status": status}, Node)


def daemons(cpu: str = "8", uid: str = "d", **spec: Any) -> DaemonSet:
    template = {"spec": {"containers": [{"name": "c", "resources": {"requests": {"cpu": cpu}}}], **spec}}
    meta = {"name": "agent", "namespace": "kube-system", "uid": uid}
    return msgspec.convert({"metadata": meta, "spec": {"template": template}}, DaemonSet)


def its_pod(on: str, uid: str = "d", phase: str = "Running", cpu: str = "8") -> Pod:
    owner = {"apiVersion": "apps/v1", "kind": "DaemonSet", "name": "agent", "uid": uid, "controller": True}
    meta = {"name": f"agent-{on}", "namespace": "kube-system", "uid": f"pod-{on}", "ownerReferences": [owner]}
    container = {"name": "c", "resources": {"requests": {"cpu": cpu}}}
    return msgspec.convert(
        {"metadata": meta, "spec": {"nodeName": on, "containers": [container]}, "status": {"phase": phase}}, Pod
    )


def stranger(on: str, cpu: str) -> Pod:
    container = {"name": "c", "resources": {"requests": {"cpu": cpu}}}
    return msgspec.convert(
        {"metadata": {"name": "s", "uid": "s"}, "spec": {"nodeName": on, "containers": [container]}}, Pod
    )


def free_cpus(ledger: Ledger, name: str = "n0") -> float:
    snapshot = ledger.snapshot()
    return float(snapshot.available("cpu")[snapshot.table.position[name]]) / 1000


@pytest.fixture
def ledger() -> Ledger:
    ledger = Ledger()
    ledger.node_changed(Change(None, node("n0")))
    return ledger


def test_a_node_without_its_pod_has_that_much_less_to_give_and_no_less_once_it_stands(ledger: Ledger) -> None:
    ledger.daemon_set_changed(Change(None, daemons()))
    assert free_cpus(ledger) == 56
    ledger.pod_changed(Change(None, its_pod("n0")))
    assert free_cpus(ledger) == 56
    ledger.node_changed(Change(None, node("n1")))
    assert free_cpus(ledger, "n1") == 56


def test_a_pod_that_goes_or_ends_is_replaced(ledger: Ledger) -> None:
    ledger.daemon_set_changed(Change(None, daemons()))
    ledger.pod_changed(Change(None, its_pod("n0")))
    ledger.pod_changed(Change(its_pod("n0"), its_pod("n0", phase="Failed")))
    assert free_cpus(ledger) == 56
    ledger.pod_changed(Change(its_pod("n0", phase="Failed"), None))
    assert free_cpus(ledger) == 56


def test_a_daemon_set_that_changes_or_goes_gives_back_what_it_was_to_take(ledger: Ledger) -> None:
    first, larger = daemons(), daemons(cpu="16")
    ledger.daemon_set_changed(Change(None, first))
    assert ledger.daemon_set_changed(Change(first, larger))
    assert free_cpus(ledger) == 48
    assert ledger.daemon_set_changed(Change(larger, None))
    assert free_cpus(ledger) == 64


def test_only_nodes_that_take_the_template_are_charged(ledger: Ledger) -> None:
    ledger.node_changed(Change(None, node("gpu", {"kind": "gpu"})))
    ledger.node_changed(Change(None, node("tainted", {"kind": "gpu"}, [{"key": "own", "effect": "NoSchedule"}])))
    pressed = [{"key": "node.kubernetes.io/disk-pressure", "effect": "NoSchedule"}]
    ledger.node_changed(Change(None, node("pressed", {"kind": "gpu"}, pressed)))
    ledger.daemon_set_changed(Change(None, daemons(nodeSelector={"kind": "gpu"})))
    found = {name: free_cpus(ledger, name) for name in ("n0", "gpu", "tainted", "pressed")}
    assert found == {"n0": 64, "gpu": 56, "tainted": 64, "pressed": 56}


def test_a_node_that_is_relabelled_or_goes_is_settled_anew(ledger: Ledger) -> None:
    ledger.daemon_set_changed(Change(None, daemons(nodeSelector={"kind": "gpu"})))
    plain, labelled = node("n0"), node("n0", {"kind": "gpu"})
    ledger.node_changed(Change(plain, labelled))
    assert free_cpus(ledger) == 56
    ledger.node_changed(Change(labelled, None))
    ledger.node_changed(Change(None, plain))
    assert free_cpus(ledger) == 64


def test_a_node_is_not_overfull_for_pods_that_only_may_come(ledger: Ledger) -> None:
    ledger.daemon_set_changed(Change(None, daemons(cpu="60")))
    ledger.pod_changed(Change(None, stranger("n0", cpu="32")))
    assert free_cpus(ledger) == -28
    assert not ledger.is_overfull("n0")


def test_what_admission_added_to_a_pod_is_charged_beside_its_template(ledger: Ledger) -> None:
    ledger.daemon_set_changed(Change(None, daemons()))
    ledger.pod_changed(Change(None, its_pod("n0", cpu="10")))
    assert free_cpus(ledger) == 54


def test_pods_are_known_before_their_daemon_set_is(ledger: Ledger) -> None:
    ledger.pod_changed(Change(None, its_pod("n0")))
    assert free_cpus(ledger) == 56
    ledger.daemon_set_changed(Change(None, daemons()))
    assert free_cpus(ledger) == 56


def test_a_node_that_is_emptied_in_thought_keeps_its_daemons(ledger: Ledger) -> None:
    """A group that fits only where none of them stands would wait for ever for a domain to be free of them."""
    ledger.daemon_set_changed(Change(None, daemons()))
    ledger.pod_changed(Change(None, its_pod("n0")))
    emptied = ledger.snapshot().emptied(np.array([0]))
    assert emptied.available("cpu")[0] == 56_000
