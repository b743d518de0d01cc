"""Which events have a group looked at, and when: a large set that comes up brings thousands of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, cast

import msgspec
from msgspec.structs import replace

from lws_sched.api import names
from lws_sched.api.core import NODE, POD, STATEFUL_SET, Node, Pod, StatefulSet
from lws_sched.api.meta import Kind
from lws_sched.core.revision import REVISIONS_OF_SETS
from lws_sched.extender import app
from lws_sched.extender.planner import GATHER_SECONDS
from lws_sched.kube.port import Change, Index, Reconcile, Runtime
from tests.unit.extender.builders import pod
from tests.unit.extender.fakes import FakeInformer, FakeRuntime

AT_ONCE = 0.0


@dataclass
class Looks:
    """A queue that notes its keys and after how many seconds each is due, and runs none."""

    asked: list[tuple[str, float]] = field(default_factory=list)

    def add(self, key: str) -> None:
        self.asked.append((key, AT_ONCE))

    def add_after(self, key: str, seconds: float) -> None:
        self.asked.append((key, seconds))


@dataclass
class Wired(FakeRuntime):
    """A runtime on which the extender is built."""

    looks: Looks = field(default_factory=Looks)
    informers: dict[Kind[Any], FakeInformer[Any]] = field(default_factory=dict)

    def informer(
        self, kind: Kind[Any], *, indexes: Mapping[str, Index[Any]] | None = None, labels: str = ""
    ) -> FakeInformer[Any]:
        assert labels in ("", app.OF_A_SET, REVISIONS_OF_SETS)
        return self.informers.setdefault(kind, FakeInformer(indexes=indexes))

    def queue(self, name: str, reconcile: Reconcile, *, workers: int = 1) -> Looks:
        assert callable(reconcile), (name, workers)
        return self.looks

    def tell(self, kind: Kind[Any], change: Change[Any]) -> list[tuple[str, float]]:
        """What is asked of the planner because of this change."""
        self.looks.asked.clear()
        for subscriber in self.informers[kind].subscribers:
            subscriber(change)
        return list(self.looks.asked)


def wired() -> Wired:
    runtime = Wired()
    app.build(cast(Runtime, runtime))
    return runtime


def leaders(replicas: int, *, ready: int = 0, uid: str = "1", attended: bool = True) -> StatefulSet:
    labels = {names.SET_NAME: "a"}
    body = {
        "metadata": {"name": "a", "namespace": "ns", "uid": uid, "generation": 2, "labels": labels},
        "spec": {"replicas": replicas},
        "status": {"readyReplicas": ready, "observedGeneration": 2 if attended else 1},
    }
    return msgspec.convert(body, StatefulSet)


def arrival(member: Pod) -> list[tuple[str, float]]:
    return wired().tell(POD, Change(None, member))


def test_workers_that_come_pinned_are_looked_at_together() -> None:
    assert arrival(pod(1)) == [("group/ns/a-0", GATHER_SECONDS)]


def test_a_leader_is_looked_at_at_once_as_its_workers_wait_for_what_becomes_of_it() -> None:
    assert arrival(pod(0)) == [("group/ns/a-0", AT_ONCE)]


def test_a_worker_behind_a_gate_is_looked_at_at_once() -> None:
    assert arrival(pod(1, gated=True)) == [("group/ns/a-0", AT_ONCE)]
    assert arrival(pod(1, gates=("kueue.x-k8s.io/admission",))) == [("group/ns/a-0", AT_ONCE)]


def test_a_worker_that_changes_or_goes_is_looked_at_at_once() -> None:
    for change in (
        Change(pod(1), pod(1, leaving=True)),
        Change(pod(1), None),
        Change(pod(1), pod(1, unschedulable="0/9 nodes")),
    ):
        assert wired().tell(POD, change) == [("group/ns/a-0", AT_ONCE)]


def test_a_binding_has_nobody_looked_at() -> None:
    assert wired().tell(POD, Change(pod(1), pod(1, node="n1"))) == []


def test_of_the_leader_stateful_set_its_size_matters_and_that_somebody_attends_to_it() -> None:
    look_at_the_set = [("set/ns/a", AT_ONCE)]
    assert wired().tell(STATEFUL_SET, Change(None, leaders(3))) == look_at_the_set
    assert wired().tell(STATEFUL_SET, Change(leaders(3), leaders(3, ready=1))) == []
    assert wired().tell(STATEFUL_SET, Change(leaders(3), leaders(4))) == look_at_the_set
    assert wired().tell(STATEFUL_SET, Change(leaders(3, attended=False), leaders(3))) == look_at_the_set
    assert wired().tell(STATEFUL_SET, Change(leaders(3), leaders(3, uid="2"))) == look_at_the_set
    assert wired().tell(STATEFUL_SET, Change(leaders(3), None)) == look_at_the_set


def test_annotations_that_are_added_to_a_pinned_worker_are_no_news() -> None:
    before = pod(1)
    after = replace(before, metadata=replace(before.metadata, annotations={"someone.io/said": "so"}))
    assert wired().tell(POD, Change(before, after)) == []


def test_a_node_that_goes_has_the_groups_looked_at_of_which_a_member_is_there() -> None:
    runtime = wired()
    for member in (pod(0, node="n0"), pod(1, node="n1", leaving=True)):
        runtime.informers[POD].known[member.metadata.name] = member
    [n1, n2] = (msgspec.convert({"metadata": {"name": name}}, Node) for name in ("n1", "n2"))
    for node in (n1, n2):
        assert runtime.tell(NODE, Change(None, node)) == []
    assert runtime.tell(NODE, Change(n1, None)) == [("group/ns/a-0", AT_ONCE)]
    assert runtime.tell(NODE, Change(n2, None)) == []
