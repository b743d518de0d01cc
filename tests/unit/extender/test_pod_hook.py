"""Every member is pinned or gated at creation; only the right incarnation of the right revision gets a slot."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, cast

import msgspec
import pytest

from lws_sched.admission.hook import Request, Verdict
from lws_sched.api import names
from lws_sched.api import placement as api
from lws_sched.api.core import Pod, StatefulSet
from lws_sched.api.placement import GroupPlacement
from lws_sched.extender.ledger import Ledger
from lws_sched.extender.pod_hook import Arrivals, PodHook
from lws_sched.extender.records import RecordStore
from lws_sched.kube.port import Change, Cluster, Informer
from tests.unit.extender.builders import NODES, pod, record
from tests.unit.extender.fakes import FakeInformer
from tests.unit.extender.test_verbs import node

LEADER_UID = "uid-0"


@dataclass
class World:
    """One group's record, the workers' StatefulSet of leader `uid-0`, and that leader."""

    record: GroupPlacement | None
    leader: Pod | None = field(default_factory=lambda: pod(0))
    expects: Callable[[str], bool] = lambda _: False
    patience: float = 0.0
    arrivals: Arrivals = field(default_factory=Arrivals)

    def __post_init__(self) -> None:
        self.ledger = Ledger()
        for name in NODES:
            self.ledger.node_changed(Change(None, node(name)))
        self.records: FakeInformer[GroupPlacement] = FakeInformer(*([self.record] if self.record else []))
        if self.record:
            self.ledger.record_changed(Change(None, self.record))
        self.hook = PodHook(
            self.ledger,
            RecordStore(cast(Cluster, None), cast(Informer[GroupPlacement], self.records)),
            cast(Informer[Pod], FakeInformer(*([self.leader] if self.leader else []))),
            cast(Informer[StatefulSet], FakeInformer(workers_set())),
            self.expects,
            self.arrivals,
            self.patience,
        )

    def create(self, body: dict[str, Any], *, dry_run: bool = False) -> Verdict:
        return self.hook.decide(Request(operation="CREATE", namespace="ns", object=body, dry_run=dry_run))

    def reserve(self, record: GroupPlacement) -> None:
        self.records.learn(record)
        self.ledger.record_changed(Change(None, record))
        self.arrivals.notify("ns/a-0")


def workers_set(uid: str = "workers-uid") -> StatefulSet:
    owner = {"kind": "Pod", "name": "a-0", "uid": LEADER_UID, "controller": True}
    metadata = {"name": "a-0", "namespace": "ns", "uid": uid, "ownerReferences": [owner]}
    return msgspec.convert({"metadata": metadata}, StatefulSet)


def body(index: int, *, maker: str = "workers-uid", **labels: str) -> dict[str, Any]:
    """A member as it reaches the hook: labelled by the LeaderWorkerSet webhook, not yet stored."""
    made: dict[str, Any] = msgspec.to_builtins(pod(index))
    made["metadata"]["labels"] |= labels
    made["spec"]["containers"] = [{"name": "c"}]
    owner = {"kind": "StatefulSet", "name": "a-0" if index else "a", "uid": maker, "controller": True}
    made["metadata"]["ownerReferences"] = [owner]
    return made


def patch_of(verdict: Verdict) -> dict[str, Any]:
    assert verdict.allowed
    return {operation["path"]: operation.get("value") for operation in verdict.patch}


def node_in(verdict: Verdict) -> str | None:
    """The node that the patch pins to; None where it gates."""
    patch = patch_of(verdict)
    if "/spec/schedulingGates" in patch:
        assert patch["/spec/schedulingGates"] == [{"name": names.GATE}]
        assert "/spec/affinity" not in patch
        return None
    required = patch["/spec/affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
    [node] = required["nodeSelectorTerms"][0]["matchFields"][0]["values"]
    return str(node)


@pytest.mark.parametrize("index", [0, 1, 2])
def test_a_member_of_a_reserved_group_is_pinned_to_its_slot_and_marked(index: int) -> None:
    verdict = World(record(api.RESERVED)).create(body(index))
    assert node_in(verdict) == NODES[index]
    assert names.MEMBER_RESOURCE in patch_of(verdict)["/spec/containers"][0]["resources"]["requests"]


@pytest.mark.parametrize(
    "world",
    [
        pytest.param(World(None), id="nobody has planned the group"),
        pytest.param(World(record(api.WAITING)), id="the group waits"),
        pytest.param(World(record(api.ABORTING)), id="the group is being taken down"),
        pytest.param(World(record(api.RESERVED, slots=("n0", "gone", "n2"))), id="the slot's node is lost"),
        pytest.param(World(record(api.RESERVED), leader=None), id="the leader is unknown"),
        pytest.param(World(record(api.RESERVED), leader=pod(0, uid="next")), id="the leader is of another incarnation"),
        pytest.param(World(record(api.RESERVED), leader=pod(0, leaving=True)), id="the leader is leaving"),
        pytest.param(World(record(api.STICKY, leader_uid=LEADER_UID)), id="the group is down"),
        pytest.param(World(record(api.BOUND, leader_uid="next")), id="the record is for another incarnation"),
    ],
)
def test_a_worker_is_gated_when(world: World) -> None:
    assert node_in(world.create(body(1))) is None


def test_a_worker_made_by_a_stateful_set_that_is_no_more_is_gated() -> None:
    assert node_in(World(record(api.RESERVED)).create(body(1, maker="earlier"))) is None


def test_a_member_of_another_revision_is_gated() -> None:
    assert node_in(World(record(api.RESERVED)).create(body(0, **{names.REVISION: "other"}))) is None


def test_a_leader_returns_to_sticky_slots() -> None:
    assert node_in(World(record(api.STICKY, leader_uid="before")).create(body(0))) == "n0"


def test_a_leader_is_gated_while_the_record_still_serves_the_one_before() -> None:
    assert node_in(World(record(api.BOUND, leader_uid="before")).create(body(0))) is None


def test_a_worker_that_comes_back_to_a_bound_group_gets_its_slot() -> None:
    assert node_in(World(record(api.BOUND, leader_uid=LEADER_UID)).create(body(2))) == "n2"


def test_the_hook_waits_for_a_plan_that_is_on_its_way() -> None:
    def plan_arrives(_: str) -> bool:
        threading.Thread(target=world.reserve, args=(record(api.RESERVED),)).start()
        return True

    world = World(None, expects=plan_arrives, patience=30.0)
    assert node_in(world.create(body(0))) == "n0"


@pytest.mark.parametrize("notify", [lambda news: news.notify("ns/a-0"), Arrivals.notify_all], ids=["its own", "all's"])
def test_a_hook_that_waits_is_woken_by_news_of_its_group_and_not_by_that_of_others(
    notify: Callable[[Arrivals], None],
) -> None:
    arrivals, looked, has_come = Arrivals(), threading.Semaphore(0), threading.Event()

    def known() -> bool:
        looked.release()
        return has_come.is_set()

    waiting = threading.Thread(target=arrivals.wait_for, args=("ns/a-0", known, 30.0))
    waiting.start()
    assert looked.acquire(timeout=30)
    has_come.set()
    arrivals.notify("ns/b-0")
    assert not looked.acquire(timeout=0.05)
    notify(arrivals)
    assert looked.acquire(timeout=30)
    waiting.join(timeout=30)
    assert not waiting.is_alive()


def test_a_dry_run_is_marked_and_nothing_else() -> None:
    assert list(patch_of(World(record(api.RESERVED)).create(body(0), dry_run=True))) == [
        "/spec/containers",
        "/spec/tolerations",
    ]


def test_a_topology_on_a_pod_of_no_group_is_refused_in_one_sentence() -> None:
    stray = {"metadata": {"name": "p", "annotations": {names.REQUIRED_TOPOLOGY: "rack"}}, "spec": {"containers": []}}
    verdict = World(None).create(stray)
    assert not verdict.allowed
    assert verdict.message == (
        "pod p has the annotation lws-sched.io/required-topology but belongs to no group: "
        "put the annotation on a LeaderWorkerSet, or remove it"
    )


def test_a_pod_of_no_group_is_left_alone() -> None:
    assert World(None).create({"metadata": {"name": "p"}, "spec": {"containers": []}}) == Verdict()


def test_a_member_that_the_other_webhook_never_saw_is_refused() -> None:
    unseen = body(0)
    del unseen["metadata"]["labels"][names.WORKER_INDEX]
    verdict = World(record(api.RESERVED)).create(unseen)
    assert not verdict.allowed
    assert "the LeaderWorkerSet pod webhook did not see it" in verdict.message


def test_a_pod_that_borrows_the_labels_of_a_member_but_not_its_name_gets_no_slot() -> None:
    forged = body(0)
    forged["metadata"]["name"] = "impostor"
    assert not World(record(api.RESERVED)).create(forged).allowed


def test_a_pod_that_only_carries_a_leaders_labels_is_gated() -> None:
    forged = body(0)
    forged["metadata"]["ownerReferences"] = []
    assert node_in(World(record(api.RESERVED)).create(forged)) is None


def test_a_member_behind_somebody_elses_gate_is_not_pinned_yet() -> None:
    waiting = body(1)
    waiting["spec"]["schedulingGates"] = [{"name": "quota.example/queue"}]
    patch = patch_of(World(record(api.RESERVED)).create(waiting))
    assert "/spec/affinity" not in patch
    assert [each["name"] for each in _gates(patch)] in (["quota.example/queue", names.GATE], [names.GATE])


def _gates(patch: dict[str, Any]) -> list[dict[str, str]]:
    """The gates that the patch sets, or adds one by one."""
    return next(
        value if isinstance(value, list) else [value] for path, value in patch.items() if "schedulingGates" in path
    )
