"""What kube-scheduler is told: filter by published slots, bind through the barrier, nothing before the commit."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import cast

import msgspec
import pytest

from lws_sched.api import names
from lws_sched.api import placement as api
from lws_sched.api.core import Node, Pod
from lws_sched.api.extender import BindingArgs, BindingResult, ExtenderArgs
from lws_sched.api.placement import GroupPlacement
from lws_sched.extender.barrier import Barrier
from lws_sched.extender.commit import Committer
from lws_sched.extender.ledger import Ledger
from lws_sched.extender.records import RecordStore
from lws_sched.extender.verbs import Verbs
from lws_sched.kube.errors import Unavailable
from lws_sched.kube.port import Change, Cluster, Informer, Runtime
from tests.unit.extender.builders import NODES, members, pod, record
from tests.unit.extender.fakes import CONFLICT, FakeInformer, FakeRuntime

UIDS = {"a-0": "uid-0", "a-0-1": "uid-1", "a-0-2": "uid-2"}


@dataclass
class Bench:
    """The verbs over one recorded group and three nodes of 8 accelerators."""

    first: GroupPlacement
    runtime: FakeRuntime = field(default_factory=FakeRuntime)
    answers: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.ledger = Ledger()
        for name in (*NODES, "n3"):
            self.ledger.node_changed(Change(None, node(name)))
        self.informer: FakeInformer[GroupPlacement] = FakeInformer(self.first)
        self.informer.subscribe(self._record_changed)
        self.ledger.record_changed(Change(None, self.first))
        self.pods: FakeInformer[Pod] = FakeInformer(*members().values())
        runtime = cast(Runtime, self.runtime)
        records = RecordStore(cast(Cluster, self.runtime.cluster), cast(Informer[GroupPlacement], self.informer))
        pods = cast(Informer[Pod], self.pods)
        self.verbs = Verbs(
            runtime,
            self.ledger,
            records,
            pods,
            Barrier(),
            Committer(runtime, records, pods, self.ledger, lambda _: None),
        )

    def _record_changed(self, change: Change[GroupPlacement]) -> None:
        self.ledger.record_changed(change)

    def bind(self, name: str, node: str, uid: str = "", is_alive: Callable[[], bool] = lambda: True) -> None:
        args = BindingArgs(pod_name=name, pod_namespace="ns", pod_uid=uid or UIDS.get(name, "u"), node=node)

        def respond(result: BindingResult) -> None:
            assert name not in self.answers, "answered twice"
            self.answers[name] = result.error

        self.verbs.bind(args, respond, is_alive)

    def bind_all(self) -> None:
        for name, slot in zip(UIDS, NODES, strict=True):
            self.bind(name, slot)

    @property
    def writes(self) -> list[tuple[str, str]]:
        return self.runtime.cluster.writes

    @property
    def current(self) -> GroupPlacement:
        record = self.informer.get("ns", "a-0")
        assert record is not None
        return record

    @property
    def bindings(self) -> list[str]:
        return [what for verb, what in self.writes if verb == "bind"]


def node(name: str) -> Node:
    return msgspec.convert(
        {
            "metadata": {"name": name},
            "status": {
                "allocatable": {"nvidia.com/gpu": "8", "pods": "10"},
                "conditions": [{"type": "Ready", "status": "True"}],
            },
        },
        Node,
    )


def stranger(accelerators: int) -> Pod:
    resources = {"requests": {"nvidia.com/gpu": accelerators}}
    spec = {"containers": [{"name": "c", "resources": resources}]}
    return msgspec.convert({"metadata": {"name": "x", "namespace": "ns", "uid": "u"}, "spec": spec}, Pod)


@pytest.fixture
def bench() -> Bench:
    return Bench(record(api.RESERVED))


class TestFilter:
    def test_a_member_passes_on_its_slot_and_nowhere_else(self, bench: Bench) -> None:
        answer = bench.verbs.filter(ExtenderArgs(pod=pod(1), node_names=("n0", "n1", "n3")))
        assert answer.node_names == ("n1",)

    def test_a_replica_that_does_not_lead_answers_with_an_error_which_is_tried_again_by_itself(
        self, bench: Bench
    ) -> None:
        bench.runtime.leads = False
        answer = bench.verbs.filter(ExtenderArgs(pod=pod(1), node_names=("n0", "n1", "n3")))
        assert "does not lead" in answer.error
        assert not answer.failed_and_unresolvable_nodes

    def test_a_member_whose_slot_is_not_offered_is_told_where_it_is(self, bench: Bench) -> None:
        answer = bench.verbs.filter(ExtenderArgs(pod=pod(1), node_names=("n3",)))
        assert answer.node_names == ()
        assert answer.failed_and_unresolvable_nodes == {"n3": "lws-sched: the slot of a-0-1 is on node n1"}

    def test_a_member_without_a_place_is_rejected(self) -> None:
        bench = Bench(record(api.WAITING))
        answer = bench.verbs.filter(ExtenderArgs(pod=pod(0), node_names=("n0",)))
        assert "has no slot" in answer.failed_and_unresolvable_nodes["n0"]

    def test_another_pod_loses_the_nodes_where_slots_leave_too_little(self, bench: Bench) -> None:
        answer = bench.verbs.filter(ExtenderArgs(pod=stranger(1), node_names=("n0", "n3")))
        assert answer.node_names == ("n3",)
        assert answer.failed_nodes == {"n0": "lws-sched: nvidia.com/gpu is reserved for a group"}

    def test_another_pod_that_wants_nothing_that_is_held_passes_everywhere(self, bench: Bench) -> None:
        answer = bench.verbs.filter(ExtenderArgs(pod=stranger(0), node_names=("n0", "n3")))
        assert answer.node_names == ("n0", "n3")

    def test_asking_twice_gives_the_same_answer_and_writes_nothing(self, bench: Bench) -> None:
        args = ExtenderArgs(pod=pod(1), node_names=("n0", "n1"))
        assert bench.verbs.filter(args) == bench.verbs.filter(args)
        assert bench.writes == []


class TestBind:
    def test_nothing_is_bound_until_the_last_member_has_come_and_the_record_says_committed(self, bench: Bench) -> None:
        bench.bind("a-0", "n0")
        bench.bind("a-0-1", "n1")
        assert bench.writes == []
        bench.bind("a-0-2", "n2")
        assert bench.writes[0] == ("replace", "GroupPlacement/a-0 Committed")
        assert bench.bindings == ["a-0:uid-0->n0", "a-0-1:uid-1->n1", "a-0-2:uid-2->n2"]
        assert bench.verbs.committer.has_posted(bench.current)
        assert bench.answers == dict.fromkeys(UIDS, "")

    def test_a_member_that_does_not_come_in_time_leaves_all_unbound(self, bench: Bench) -> None:
        bench.bind("a-0", "n0")
        bench.bind("a-0-1", "n1")
        bench.runtime.timers[0].task()
        assert bench.bindings == []
        assert all("member a-0-2 did not arrive within 12 s" in error for error in bench.answers.values())
        assert bench.current.status.failed_barriers == 1

    def test_a_member_that_does_not_exist_yet_releases_the_others_but_is_no_failure(self, bench: Bench) -> None:
        del bench.pods.known["ns/a-0-2"]
        bench.bind("a-0", "n0")
        bench.runtime.timers[0].task()
        assert "member a-0-2 has not been created within 12 s" in bench.answers["a-0"]
        assert bench.writes == []

    def test_a_member_deleted_while_held_releases_the_others_unbound(self, bench: Bench) -> None:
        bench.bind("a-0", "n0")
        bench.bind("a-0-1", "n1")
        bench.verbs.member_left("ns/a-0", "a-0-1")
        assert bench.bindings == []
        assert "a-0-1 was deleted" in bench.answers["a-0"]

    def test_a_caller_that_gave_up_does_not_count(self, bench: Bench) -> None:
        bench.bind("a-0", "n0", is_alive=lambda: False)
        bench.bind("a-0-1", "n1")
        bench.bind("a-0-2", "n2")
        assert bench.writes == []

    def test_a_binding_elsewhere_than_the_slot_is_refused(self, bench: Bench) -> None:
        bench.bind("a-0", "n3")
        assert "the slot of a-0 is on node n0, not n3" in bench.answers["a-0"]

    def test_a_pod_deleted_since_the_scheduler_saw_it_fails_the_whole_stage(self, bench: Bench) -> None:
        bench.pods.known["ns/a-0-2"] = pod(2, leaving=True)
        bench.bind_all()
        assert bench.writes == []
        assert "a-0-2 was deleted" in bench.answers["a-0"]

    def test_a_member_that_only_the_api_server_knows_is_taken_in_before_it_is_bound(self, bench: Bench) -> None:
        bench.runtime.cluster.pods["ns/a-0-1"] = bench.pods.known.pop("ns/a-0-1")
        bench.bind_all()
        assert bench.answers["a-0-1"] == ""
        assert bench.pods.get("ns", "a-0-1") is not None

    def test_a_member_that_our_copy_has_behind_its_gate_is_read_anew_before_it_is_bound(self, bench: Bench) -> None:
        bench.runtime.cluster.pods["ns/a-0-1"] = bench.pods.known["ns/a-0-1"]
        bench.pods.known["ns/a-0-1"] = pod(1, gated=True)
        bench.bind_all()
        assert bench.answers["a-0-1"] == ""
        assert bench.pods.known["ns/a-0-1"] == bench.runtime.cluster.pods["ns/a-0-1"]

    def test_a_record_written_anew_while_calls_were_held_commits_nothing(self, bench: Bench) -> None:
        bench.bind("a-0", "n0")
        bench.bind("a-0-1", "n1")
        moved = msgspec.structs.replace(bench.first.status, slots=("n3", "n1", "n2"))
        bench.informer.learn(msgspec.structs.replace(bench.first, status=moved))
        bench.bind("a-0-2", "n2")
        assert bench.writes == []
        assert "it was given other slots meanwhile" in bench.answers["a-0-2"]

    def test_a_pod_that_only_bears_a_members_name_is_not_bound_as_one(self, bench: Bench) -> None:
        bench.pods.known["ns/a-0-1"] = msgspec.structs.replace(
            stranger(8), metadata=msgspec.structs.replace(stranger(8).metadata, name="a-0-1", uid="uid-1")
        )
        bench.bind("a-0-1", "n1")
        assert bench.bindings == []
        assert "is reserved for a group" in bench.answers["a-0-1"]

    def test_losing_the_race_for_the_record_once_is_tried_again(self, bench: Bench) -> None:
        bench.runtime.cluster.refuse["replace"] = CONFLICT
        bench.bind_all()
        assert len(bench.bindings) == 3

    def test_a_binding_the_api_server_refuses_is_reported_to_the_scheduler_and_stays_committed(
        self, bench: Bench
    ) -> None:
        bench.runtime.cluster.refuse["a-0-1"] = CONFLICT
        bench.runtime.cluster.pods["ns/a-0-1"] = pod(1)
        bench.bind_all()
        assert "binding a-0-1 to n1 failed" in bench.answers["a-0-1"]
        assert not bench.verbs.committer.has_posted(bench.current)
        del bench.runtime.cluster.refuse["a-0-1"], bench.answers["a-0-1"]
        bench.bind("a-0-1", "n1")
        assert bench.bindings[-1] == "a-0-1:uid-1->n1"

    def test_a_member_that_was_bound_already_is_a_success(self, bench: Bench) -> None:
        bench.runtime.cluster.refuse["a-0-1"] = CONFLICT
        bench.runtime.cluster.pods["ns/a-0-1"] = pod(1, node="n1")
        bench.bind_all()
        assert bench.answers["a-0-1"] == ""

    def test_under_leader_ready_the_leader_is_bound_first_and_the_workers_together(self) -> None:
        bench = Bench(record(api.RESERVED, leader_first=True))
        bench.bind("a-0", "n0")
        assert bench.bindings == ["a-0:uid-0->n0"]
        bench.bind("a-0-1", "n1")
        assert len(bench.bindings) == 1
        bench.bind("a-0-2", "n2")
        assert len(bench.bindings) == 3

    def test_the_leader_that_left_sticky_slots_does_not_get_them_but_its_successor_does(self) -> None:
        bench = Bench(record(api.STICKY, leader_uid="uid-0"))
        bench.bind("a-0", "n0")
        assert "still belongs to another leader" in bench.answers.pop("a-0")
        bench = Bench(record(api.STICKY, leader_uid="before"))
        bench.bind_all()
        assert len(bench.bindings) == 3

    def test_members_that_come_back_to_a_bound_group_are_bound_alone_and_it_stays_bound(self) -> None:
        bench = Bench(record(api.BOUND, leader_uid="uid-0", committed=UIDS))
        bench.pods.known |= {"ns/a-0-1": pod(1, uid="next-1"), "ns/a-0-2": pod(2, uid="next-2")}
        bench.bind("a-0-1", "n1", uid="next-1")
        bench.bind("a-0-2", "n2", uid="next-2")
        assert bench.bindings == ["a-0-1:next-1->n1", "a-0-2:next-2->n2"]
        assert [what for verb, what in bench.writes if verb == "replace"] == ["GroupPlacement/a-0 Bound"] * 2

    def test_another_pod_loses_the_slots_of_members_that_stand_on_them(self) -> None:
        bench = Bench(record(api.BOUND, leader_uid="uid-0"))
        for index, slot in enumerate(NODES):
            bench.ledger.pod_changed(Change(None, pod(index, node=slot)))
        answer = bench.verbs.filter(ExtenderArgs(pod=stranger(8), node_names=("n0", "n3")))
        assert answer.node_names == ("n3",)

    def test_another_pod_is_bound_through(self, bench: Bench) -> None:
        bench.pods.known["ns/x"] = stranger(8)
        bench.bind("x", "n3", uid="u")
        assert bench.bindings == ["x:u->n3"]
        assert bench.answers == {"x": ""}

    def test_another_pod_that_would_cut_into_a_slot_is_refused(self, bench: Bench) -> None:
        bench.pods.known["ns/x"] = stranger(8)
        bench.bind("x", "n0", uid="u")
        assert bench.bindings == []
        assert "nvidia.com/gpu of node n0 is reserved for a group" in bench.answers["x"]

    def test_a_place_whose_room_was_taken_since_it_was_found_is_not_held(self, bench: Bench) -> None:
        assert bench.ledger.try_charge("u", "n3", {"nvidia.com/gpu": 8}) == ""
        elsewhere = msgspec.structs.replace(bench.first.status, slots=("n0", "n1", "n3"))
        assert not bench.ledger.try_hold("ns/a-0", msgspec.structs.replace(bench.first, status=elsewhere))
        assert bench.ledger.try_hold("ns/a-0", bench.first)

    def test_a_member_that_has_no_slot_is_never_bound_through(self, bench: Bench) -> None:
        odd = msgspec.structs.replace(pod(0), metadata=msgspec.structs.replace(pod(0).metadata, name="b-0", uid="u"))
        assert names.SET_NAME in odd.metadata.labels
        bench.pods.known["ns/b-0"] = odd
        bench.bind("b-0", "n3", uid="u")
        assert bench.bindings == []
        assert "has no slot" in bench.answers["b-0"]

    def test_losing_the_lease_refuses_every_held_call(self, bench: Bench) -> None:
        bench.bind("a-0", "n0")
        bench.verbs.refuse_everything("lws-sched: this replica no longer leads")
        assert bench.answers == {"a-0": "lws-sched: this replica no longer leads"}


def test_a_pod_whose_binding_got_no_answer_keeps_its_room_until_it_is_gone() -> None:
    """It may stand there all the same, and no watch may say so for a while."""
    bench = Bench(record(api.WAITING))
    lost = stranger(8)
    bench.pods.known["ns/x"] = lost
    bench.runtime.cluster.refuse["x"] = Unavailable("no answer")
    bench.bind("x", "n3", uid="u")
    assert "no answer" in bench.answers["x"]
    assert free_on(bench, "n3") == 0
    bench.ledger.pod_changed(Change(lost, None))
    assert free_on(bench, "n3") == 8


def free_on(bench: Bench, node: str) -> int:
    snapshot = bench.ledger.snapshot()
    return int(snapshot.available("nvidia.com/gpu")[snapshot.table.position[node]])
