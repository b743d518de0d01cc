from __future__ import annotations

from typing import Any

import pytest
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from hypothesis.strategies import integers, sampled_from

from lws_sched.admission.hook import ALLOWED, Hook, Request, Verdict, changed, denied
from lws_sched.api import names
from lws_sched.api.core import NODE, POD, SERVICE, STATEFUL_SET
from lws_sched.api.placement import GROUP_PLACEMENT
from lws_sched.kube.errors import AlreadyExists, Conflict, Forbidden, Gone, Invalid, NotFound, Unavailable
from lws_sched.sim.manifests import rack_nodes
from lws_sched.sim.objects import FOREGROUND, Json
from lws_sched.sim.world import World
from tests.unit.sim.builders import NAMESPACE, get_pod, pod, pods, stateful_set

GATE = {"name": "example.com/gate"}


def service(name: str, **metadata: Any) -> Json:
    return SERVICE.body({"name": name, "namespace": NAMESPACE, **metadata}, spec={"clusterIP": "None"})


def pin(name: str) -> Json:
    terms = [{"matchFields": [{"key": "metadata.name", "operator": "In", "values": [name]}]}]
    return {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}}}


# --- writes and preconditions ----------------------------------------------------------------------------------------


def test_a_created_object_gets_what_the_system_gives() -> None:
    stored = World().server.create(STATEFUL_SET, stateful_set("a", 1)).body["metadata"]
    assert stored["uid"]
    assert stored["resourceVersion"] == "1"
    assert stored["creationTimestamp"] == "2026-01-01T00:00:00Z"
    assert stored["generation"] == 1


def test_a_name_is_completed_from_its_prefix_and_taken_only_once() -> None:
    server = World().server
    first, second = (server.create(SERVICE, service("", generateName="s-")).body["metadata"]["name"] for _ in "ab")
    assert first != second
    assert first.startswith("s-")
    with pytest.raises(AlreadyExists, match='services "a" already exists'):
        [server.create(SERVICE, service("a")) for _ in range(2)]


def test_a_write_with_an_old_version_or_another_uid_conflicts_and_changes_nothing() -> None:
    server = World().server
    old = server.create(SERVICE, service("a"))
    new = server.merge(SERVICE, NAMESPACE, "a", {"metadata": {"labels": {"x": "1"}}})
    with pytest.raises(Conflict, match="the object has been modified"):
        server.replace(SERVICE, old.body)
    with pytest.raises(Conflict, match="UID in precondition"):
        server.merge(SERVICE, NAMESPACE, "a", {"metadata": {"uid": "other"}})
    with pytest.raises(Conflict, match="UID in precondition"):
        server.delete(SERVICE, NAMESPACE, "a", uid="other")
    assert server.get(SERVICE, NAMESPACE, "a") is new


def test_a_write_that_changes_nothing_is_no_write() -> None:
    world = World()
    stored = world.server.create(STATEFUL_SET, stateful_set("a", 1))
    assert world.server.replace(STATEFUL_SET, stored.body) is stored
    assert world.server.merge(STATEFUL_SET, NAMESPACE, "a", {"spec": {"replicas": 1}}) is stored
    assert world.server.apply(STATEFUL_SET, stateful_set("a", 1), manager="me") is stored
    assert len(world.log) == 1


def test_the_generation_counts_changes_of_the_spec_alone() -> None:
    server = World().server
    server.create(STATEFUL_SET, stateful_set("a", 1))
    server.merge(STATEFUL_SET, NAMESPACE, "a", {"metadata": {"labels": {"x": "1"}}})
    status = server.merge(STATEFUL_SET, NAMESPACE, "a", {"status": {"replicas": 1}}, subresource="status")
    assert status.body["metadata"]["generation"] == 1
    assert server.merge(STATEFUL_SET, NAMESPACE, "a", {"spec": {"replicas": 2}}).body["metadata"]["generation"] == 2


def test_status_and_the_rest_are_written_apart_where_there_is_a_status_subresource() -> None:
    server = World().server
    server.create(STATEFUL_SET, {**stateful_set("a", 1), "status": {"replicas": 7}})
    body = server.merge(STATEFUL_SET, NAMESPACE, "a", {"status": {"replicas": 7}, "spec": {"replicas": 2}}).body
    assert (body["spec"]["replicas"], body.get("status")) == (2, None)
    both = {"status": {"replicas": 7}, "spec": {"replicas": 3}}
    body = server.merge(STATEFUL_SET, NAMESPACE, "a", both, subresource="status").body
    assert (body["spec"]["replicas"], body["status"]) == (2, {"replicas": 7})


def test_a_group_placement_is_written_with_its_status() -> None:
    server = World().server
    record = GROUP_PLACEMENT.body({"name": "a-0", "namespace": NAMESPACE}, spec={}, status={"state": "Waiting"})
    stored = server.create(GROUP_PLACEMENT, record)
    changed = {**stored.body, "status": {"state": "Reserved"}}
    assert server.replace(GROUP_PLACEMENT, changed).body["status"] == {"state": "Reserved"}


def test_apply_creates_then_changes_and_removes_what_is_given_no_longer() -> None:
    server = World().server
    body = stateful_set("a", 1)
    body["metadata"]["annotations"] = {"mine": "1"}
    server.apply(STATEFUL_SET, body, manager="me")
    server.merge(STATEFUL_SET, NAMESPACE, "a", {"metadata": {"annotations": {"theirs": "2"}}})
    stored = server.apply(STATEFUL_SET, stateful_set("a", 3), manager="me").body
    assert stored["spec"]["replicas"] == 3
    assert stored["metadata"]["annotations"] == {"theirs": "2"}


def test_of_a_statefulset_only_what_kubernetes_lets_change_may_change() -> None:
    server = World().server
    server.create(STATEFUL_SET, stateful_set("a", 1))
    with pytest.raises(Invalid, match="serviceName are forbidden"):
        server.merge(STATEFUL_SET, NAMESPACE, "a", {"spec": {"serviceName": "other"}})


def test_lists_are_selected_by_namespace_and_labels() -> None:
    server = World().server
    server.create(SERVICE, service("a", labels={"app": "x"}))
    server.create(SERVICE, service("b"))
    server.create(SERVICE, SERVICE.body({"name": "c", "namespace": "other", "labels": {"app": "x"}}))
    assert [each.body["metadata"]["name"] for each in server.list(SERVICE, labels="app=x")] == ["a", "c"]
    assert [each.body["metadata"]["name"] for each in server.list(SERVICE, NAMESPACE, "app")] == ["a"]


def test_a_watch_from_before_the_history_is_told_to_list_again() -> None:
    world = World(history=4)
    for number in range(12):
        world.server.create(SERVICE, service(f"s{number}"))
    store = world.server.store
    with pytest.raises(Gone):
        store.next_event("Service", 1)
    event = store.next_event("Service", 10)
    assert event is not None
    assert event.version.rv == 11
    assert store.next_event("Service", 12) is None


# --- deletion --------------------------------------------------------------------------------------------------------


def test_finalizers_keep_a_deleted_object_until_the_last_is_removed() -> None:
    server = World().server
    server.create(SERVICE, service("a", finalizers=["x", "y"]))
    server.delete(SERVICE, NAMESPACE, "a")
    assert server.get(SERVICE, NAMESPACE, "a").body["metadata"]["deletionTimestamp"]
    with pytest.raises(Invalid, match="finalizers"):
        server.merge(SERVICE, NAMESPACE, "a", {"metadata": {"finalizers": ["x", "y", "z"]}})
    server.merge(SERVICE, NAMESPACE, "a", {"metadata": {"finalizers": ["y"]}})
    server.merge(SERVICE, NAMESPACE, "a", {"metadata": {"finalizers": []}})
    with pytest.raises(NotFound):
        server.get(SERVICE, NAMESPACE, "a")


def test_an_unbound_pod_goes_at_once_and_a_bound_one_waits_for_its_kubelet() -> None:
    world = World()
    world.create_nodes(rack_nodes(1, 1))
    world.server.create(POD, pod("unbound", schedulerName="nobody"))
    world.server.create(POD, pod("bound", nodeName="rack-00-host-00"))
    for name in ("unbound", "bound"):
        world.server.delete(POD, NAMESPACE, name)
    assert list(pods(world)) == ["bound"]
    meta = get_pod(world, "bound")["metadata"]
    assert (meta["deletionTimestamp"], meta["deletionGracePeriodSeconds"]) == ("2026-01-01T00:00:30Z", 30)
    world.settle()
    assert pods(world) == {}


def test_a_deletion_without_grace_does_not_wait_for_the_kubelet() -> None:
    world = World()
    world.server.create(POD, pod("bound", nodeName="no-such-node"))
    world.server.delete(POD, NAMESPACE, "bound")
    world.server.delete(POD, NAMESPACE, "bound", grace_seconds=0)
    assert pods(world) == {}


def test_a_foreground_deletion_leaves_a_finalizer() -> None:
    server = World().server
    server.create(SERVICE, service("a"))
    server.delete(SERVICE, NAMESPACE, "a", propagation="Foreground")
    assert server.get(SERVICE, NAMESPACE, "a").body["metadata"]["finalizers"] == [FOREGROUND]


# --- pods ------------------------------------------------------------------------------------------------------------


def test_a_pod_gets_the_defaults_of_the_api_server() -> None:
    server = World().server
    body = pod("a", {})
    body["spec"]["containers"][0]["resources"] = {"limits": {"cpu": "2", "memory": "1Gi"}, "requests": {"cpu": "1"}}
    stored = server.create(POD, {**body, "status": {"phase": "Running"}}).body
    assert stored["spec"]["schedulerName"] == "default-scheduler"
    assert stored["spec"]["priority"] == 0
    assert stored["spec"]["containers"][0]["resources"]["requests"] == {"cpu": "1", "memory": "1Gi"}
    assert stored["status"] == {"phase": "Pending"}


def test_the_priority_is_that_of_the_class() -> None:
    server = World().server
    server.priority_classes["high"] = 100
    assert server.create(POD, pod("a", priorityClassName="high")).body["spec"]["priority"] == 100
    with pytest.raises(Forbidden, match="no PriorityClass with name low was found"):
        server.create(POD, pod("b", priorityClassName="low"))
    with pytest.raises(Forbidden, match="must not be provided"):
        server.create(POD, pod("c", priority=7))


def test_a_dry_run_answers_as_a_create_would_and_stores_nothing() -> None:
    world = World()
    assert world.cluster.create(POD, pod("a"), dry_run=True).spec.scheduler_name == "default-scheduler"
    assert world.log == []
    world.cluster.create(POD, pod("a"))
    with pytest.raises(AlreadyExists):
        world.cluster.create(POD, pod("a"), dry_run=True)


def test_a_gated_pod_says_so_and_cannot_be_bound() -> None:
    world = World()
    uid = world.cluster.create(POD, pod("a", schedulingGates=[GATE])).metadata.uid
    conditions = get_pod(world, "a")["status"]["conditions"]
    assert [(each["type"], each["reason"]) for each in conditions] == [("PodScheduled", "SchedulingGated")]
    with pytest.raises(Conflict, match=r"non-empty \.spec\.schedulingGates"):
        world.cluster.bind(NAMESPACE, "a", uid, "node")


def test_a_pod_is_bound_once_and_only_as_the_pod_that_was_meant() -> None:
    world = World()
    uid = world.cluster.create(POD, pod("a", schedulerName="nobody")).metadata.uid
    with pytest.raises(Conflict, match="UID in precondition"):
        world.cluster.bind(NAMESPACE, "a", "other", "node")
    world.cluster.bind(NAMESPACE, "a", uid, "node")
    with pytest.raises(Conflict, match="already assigned to node"):
        world.cluster.bind(NAMESPACE, "a", uid, "node")
    with pytest.raises(NotFound):
        world.cluster.bind(NAMESPACE, "b", uid, "node")


@pytest.mark.parametrize(
    ("operations", "refusal"),
    [
        pytest.param([{"op": "remove", "path": "/spec/schedulingGates"}], "", id="a gate is lifted"),
        pytest.param(
            [{"op": "add", "path": "/spec/schedulingGates/-", "value": {"name": "new"}}],
            "only deletion is allowed",
            id="a gate is added",
        ),
        pytest.param([{"op": "add", "path": "/spec/affinity", "value": pin("n")}], "", id="it is pinned"),
        pytest.param(
            [{"op": "add", "path": "/spec/nodeSelector", "value": {"zone": "a", "rack": "1"}}],
            "",
            id="its node selector is narrowed",
        ),
        pytest.param([{"op": "remove", "path": "/spec/nodeSelector"}], "nodeSelector", id="the selector is widened"),
        pytest.param(
            [{"op": "add", "path": "/spec/hostNetwork", "value": True}], "may not change fields", id="anything else"
        ),
    ],
)
def test_what_may_change_of_a_gated_pod(operations: list[Json], refusal: str) -> None:
    server = World().server
    server.create(POD, pod("a", schedulingGates=[GATE], nodeSelector={"zone": "a"}))
    if refusal:
        with pytest.raises(Invalid, match=refusal):
            server.patch(POD, NAMESPACE, "a", operations)
    else:
        server.patch(POD, NAMESPACE, "a", operations)


def test_a_bound_pod_gets_the_zone_of_its_node_and_no_other_label_of_it() -> None:
    world = World()
    node = rack_nodes(1, 1)[0]
    world.cluster.create(NODE, node)
    before = world.cluster.create(POD, pod("a"))
    world.cluster.bind(NAMESPACE, "a", before.metadata.uid, node["metadata"]["name"])
    after = get_pod(world, "a")["metadata"]["labels"]
    assert after == {**before.metadata.labels, "topology.kubernetes.io/zone": "zone-a"}
    assert names.given_labels(after) == before.metadata.labels


def test_a_pin_can_be_narrowed_and_not_undone() -> None:
    server = World().server
    server.create(POD, pod("a", schedulingGates=[GATE], affinity=pin("n")))
    with pytest.raises(Invalid, match="only additions"):
        server.merge(POD, NAMESPACE, "a", {"spec": {"affinity": pin("m")}})
    with pytest.raises(Invalid, match="only additions"):
        server.merge(POD, NAMESPACE, "a", {"spec": {"affinity": None}})


def test_a_pod_without_gates_keeps_its_selector() -> None:
    server = World().server
    server.create(POD, pod("a", schedulerName="nobody"))
    with pytest.raises(Invalid, match="may not change fields"):
        server.merge(POD, NAMESPACE, "a", {"spec": {"nodeSelector": {"zone": "a"}}})


def test_a_failing_test_operation_is_invalid() -> None:
    server = World().server
    server.create(POD, pod("a"))
    with pytest.raises(Invalid, match="the test of /metadata/uid failed"):
        server.patch(POD, NAMESPACE, "a", [{"op": "test", "path": "/metadata/uid", "value": "other"}])


# --- admission -------------------------------------------------------------------------------------------------------


def hook(name: str, decide: Any, **fields: Any) -> Hook:
    options: dict[str, Any] = {"kind": POD, "operations": ("CREATE",), "mutating": True, **fields}
    return Hook(name=name, path=f"/{name}", decide=decide, **options)


def labelling(value: str) -> Any:
    def decide(request: Request) -> Verdict:
        before = request.object["metadata"].get("labels", {})
        meta = {**request.object["metadata"], "labels": {**before, "trace": before.get("trace", "") + value}}
        return Verdict(patch=changed(request.object, {**request.object, "metadata": meta}))

    return decide


def test_mutating_hooks_run_in_order_before_validating_ones() -> None:
    world = World()
    seen: list[str] = []

    def validate(request: Request) -> Verdict:
        seen.append(request.object["metadata"]["labels"]["trace"])
        return ALLOWED

    world.cluster.admit(hook("v", validate, mutating=False))
    world.cluster.admit(hook("a", labelling("a")))
    world.cluster.admit(hook("b", labelling("b")))
    world.cluster.create(POD, pod("p"))
    assert seen == ["ab"]
    assert get_pod(world, "p")["metadata"]["labels"]["trace"] == "ab"


def test_a_denial_reaches_the_user_in_the_words_of_the_api_server() -> None:
    world = World()
    world.cluster.admit(hook("judge", lambda _: denied("not today"), mutating=False))
    with pytest.raises(Invalid, match='admission webhook "judge" denied the request: not today'):
        world.cluster.create(POD, pod("p"))
    assert pods(world) == {}


def test_a_hook_is_called_only_for_what_it_is_registered_for() -> None:
    world = World()
    calls: list[str] = []

    def note(request: Request) -> Verdict:
        calls.append(f"{request.operation} {request.object['metadata']['name']}")
        return ALLOWED

    selector = {"matchExpressions": [{"key": "group", "operator": "Exists"}]}
    world.cluster.admit(hook("h", note, operations=("CREATE", "UPDATE"), selector=selector, scheduler="ours"))
    world.server.create(POD, pod("unlabelled", schedulerName="ours"))
    world.server.create(POD, pod("foreign", labels={"group": "1"}))
    world.server.create(POD, pod("member", labels={"group": "1"}, schedulerName="ours"))
    world.server.merge(POD, NAMESPACE, "member", {"metadata": {"labels": {"x": "1"}}})
    world.server.merge(POD, NAMESPACE, "member", {"status": {"phase": "Running"}}, subresource="status")
    assert calls == ["CREATE member", "UPDATE member"]


def test_a_hook_whose_process_is_down_fails_the_request() -> None:
    world = World()
    world.cluster.admit(hook("h", lambda _: ALLOWED), is_up=lambda: False)
    with pytest.raises(Unavailable, match='failed calling webhook "h"'):
        world.cluster.create(POD, pod("p"))


# --- nothing is lost -------------------------------------------------------------------------------------------------


class NoWriteIsLost(RuleBasedStateMachine):
    """Counters in annotations: each confirmed increment is there, and versions only grow."""

    def __init__(self) -> None:
        super().__init__()
        self.world = World()
        self.expected: dict[str, int] = {}
        self.stale: dict[str, Json] = {}

    names = sampled_from(["a", "b", "c"])

    @rule(name=names)
    def create(self, name: str) -> None:
        try:
            self.world.server.create(SERVICE, service(name, annotations={"count": "0"}))
        except AlreadyExists:
            assert name in self.expected
        else:
            self.expected[name] = 0

    @rule(name=names)
    def read(self, name: str) -> None:
        if name in self.expected:
            self.stale[name] = self.world.server.get(SERVICE, NAMESPACE, name).body

    @rule(name=names, by=integers(1, 3))
    def increment(self, name: str, by: int) -> None:
        """Read, modify, write; what was read may be old."""
        if name not in self.stale:
            return
        read = self.stale[name]
        value = int(read["metadata"]["annotations"]["count"]) + by
        body = {**read, "metadata": {**read["metadata"], "annotations": {"count": str(value)}}}
        try:
            self.world.server.replace(SERVICE, body)
        except (Conflict, NotFound):
            return
        self.expected[name] += by

    @rule(name=names)
    def delete(self, name: str) -> None:
        try:
            self.world.server.delete(SERVICE, NAMESPACE, name)
        except NotFound:
            assert name not in self.expected
        else:
            del self.expected[name]

    @invariant()
    def all_writes_are_there(self) -> None:
        stored = self.world.server.list(SERVICE)
        counts = {each.body["metadata"]["name"]: int(each.body["metadata"]["annotations"]["count"]) for each in stored}
        assert counts == self.expected
        versions = [event.version.rv for event in self.world.log]
        assert versions == list(range(1, len(versions) + 1))


NoWriteIsLost.TestCase.settings = settings(max_examples=30, stateful_step_count=25, deadline=None)
TestNoWriteIsLost = NoWriteIsLost.TestCase


def test_nodes_keep_the_status_that_they_are_created_with() -> None:
    world = World()
    world.create_nodes(rack_nodes(1, 1))
    assert world.server.get(NODE, "", "rack-00-host-00").body["status"]["allocatable"]["pods"] == "110"
