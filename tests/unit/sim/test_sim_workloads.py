"""StatefulSets, garbage collection, kubelets and lost nodes."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lws_sched.admission.hook import Hook, Request, Verdict, denied
from lws_sched.api.core import CONTROLLER_REVISION, NODE, POD, SERVICE, STATEFUL_SET
from lws_sched.kube.errors import NotFound
from lws_sched.sim.objects import Json, is_ready
from lws_sched.sim.stateful_set_plan import REVISION, max_unavailable
from lws_sched.sim.world import World
from tests.unit.sim.builders import NAMESPACE, get_pod, node, owner, pod, pods, stateful_set

DELETED = "DELETED"


def world_with(replicas: int, *, nodes: int = 2, **spec: Any) -> World:
    world = World()
    world.create_nodes(node(f"n{number}") for number in range(nodes))
    world.server.create(STATEFUL_SET, stateful_set("a", replicas, **spec))
    world.settle()
    return world


def status(world: World) -> Json:
    found: Json = world.server.get(STATEFUL_SET, NAMESPACE, "a").body["status"]
    return found


def images(world: World) -> dict[str, str]:
    return {name: body["spec"]["containers"][0]["image"] for name, body in pods(world).items()}


def change(world: World, **spec: Any) -> None:
    world.server.merge(STATEFUL_SET, NAMESPACE, "a", {"spec": spec})
    world.settle()


def new_image(image: str) -> Json:
    return {"spec": {"containers": [{"name": "main", "image": image}]}}


def least_ready(world: World) -> int:
    """The fewest ready pods at any time after all were ready."""
    ready: set[str] = set()
    fewest, started = 99, False
    for event in world.log:
        if event.kind != "Pod":
            continue
        uid = event.version.uid
        if event.type != DELETED and is_ready(event.body) and not event.body["metadata"].get("deletionTimestamp"):
            ready.add(uid)
        else:
            ready.discard(uid)
        started = started or len(ready) == 4
        fewest = min(fewest, len(ready)) if started else fewest
    return fewest


# --- StatefulSets ----------------------------------------------------------------------------------------------------


def test_all_pods_are_made_at_once_with_their_identity() -> None:
    world = world_with(3, start=1)
    assert list(pods(world)) == ["a-1", "a-2", "a-3"]
    body = get_pod(world, "a-2")
    labels = body["metadata"]["labels"]
    assert (labels["app"], labels["apps.kubernetes.io/pod-index"]) == ("a", "2")
    assert (body["spec"]["hostname"], body["spec"]["subdomain"]) == ("a-2", "service")
    reference = body["metadata"]["ownerReferences"][0]
    assert (reference["kind"], reference["controller"], reference["blockOwnerDeletion"]) == ("StatefulSet", True, True)
    created = [event.t for event in world.log if event.kind == "Pod" and event.type == "ADDED"]
    assert max(created) - min(created) < 0.01


def test_the_status_counts_pods_and_names_revisions() -> None:
    found = status(world_with(3))
    assert {key: found[key] for key in ("replicas", "readyReplicas", "availableReplicas", "updatedReplicas")} == {
        "replicas": 3,
        "readyReplicas": 3,
        "availableReplicas": 3,
        "updatedReplicas": 3,
    }
    assert found["currentRevision"] == found["updateRevision"]
    assert found["observedGeneration"] == 1


def test_surplus_pods_go_highest_ordinal_first() -> None:
    world = world_with(4)
    change(world, replicas=1)
    marked = [
        event.body["metadata"]["name"]
        for event in world.log
        if event.kind == "Pod" and event.body["metadata"].get("deletionTimestamp") and event.type != DELETED
    ]
    assert marked == ["a-3", "a-2", "a-1"]
    assert list(pods(world)) == ["a-0"]


def test_a_deleted_pod_is_made_anew_only_once_the_old_one_is_gone() -> None:
    world = world_with(2)
    old = get_pod(world, "a-1")["metadata"]["uid"]
    world.server.delete(POD, NAMESPACE, "a-1")
    world.settle()
    story = [(event.type, event.version.uid == old) for event in world.log if event.body["metadata"]["name"] == "a-1"]
    assert story.index(("DELETED", True)) < story.index(("ADDED", False))
    assert is_ready(get_pod(world, "a-1"))


def test_a_pod_that_ended_is_replaced() -> None:
    world = world_with(1)
    old = get_pod(world, "a-0")["metadata"]["uid"]
    world.kubelets.fail_pod(NAMESPACE, "a-0")
    world.settle()
    assert get_pod(world, "a-0")["metadata"]["uid"] != old
    assert is_ready(get_pod(world, "a-0"))


@pytest.mark.parametrize(
    ("rolling", "expected"),
    [
        pytest.param({}, {"two"}, id="all"),
        pytest.param({"partition": 4}, {"one"}, id="none below the partition"),
        pytest.param({"partition": 2}, {"one", "two"}, id="those from the partition up"),
    ],
)
def test_a_rolling_update_respects_the_partition(rolling: Json, expected: set[str]) -> None:
    world = world_with(4, updateStrategy={"type": "RollingUpdate", "rollingUpdate": rolling})
    change(world, template=new_image("two"))
    assert set(images(world).values()) == expected
    first = rolling.get("partition", 0)
    assert [name for name, image in images(world).items() if image == "two"] == [f"a-{n}" for n in range(first, 4)]


@pytest.mark.parametrize(("limit", "fewest"), [(1, 3), (2, 2), ("50%", 2)])
def test_a_rolling_update_keeps_to_max_unavailable(limit: int | str, fewest: int) -> None:
    world = world_with(4, updateStrategy={"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": limit}})
    change(world, template=new_image("two"))
    assert set(images(world).values()) == {"two"}
    assert least_ready(world) == fewest


def test_a_percentage_of_max_unavailable_is_rounded_down_and_never_less_than_one() -> None:
    assert [max_unavailable(value, 10) for value in ("25%", "5%", 0, None, 3)] == [2, 1, 1, 1, 3]


def test_below_the_partition_a_lost_pod_returns_in_its_old_revision() -> None:
    world = world_with(2, updateStrategy={"rollingUpdate": {"partition": 1}})
    change(world, template=new_image("two"))
    world.server.delete(POD, NAMESPACE, "a-0")
    world.settle()
    assert images(world) == {"a-0": "one", "a-1": "two"}
    assert status(world)["currentRevision"] != status(world)["updateRevision"]
    change(world, updateStrategy={"rollingUpdate": {"partition": 0}})
    assert images(world) == {"a-0": "two", "a-1": "two"}
    assert status(world)["currentRevision"] == status(world)["updateRevision"]


def test_each_template_is_recorded_once_as_a_revision() -> None:
    world = world_with(1)
    for image in ("two", "one"):
        change(world, template=new_image(image))
    revisions = {
        each.body["metadata"]["name"]: each.body["revision"] for each in world.server.list(CONTROLLER_REVISION)
    }
    assert sorted(revisions.values()) == [2, 3]
    assert get_pod(world, "a-0")["metadata"]["labels"][REVISION] == max(revisions, key=lambda each: revisions[each])


def test_pods_that_admission_denies_are_tried_again_ever_more_rarely() -> None:
    world = World()
    world.create_nodes([node("n")])
    tries: list[float] = []

    def decide(request: Request) -> Verdict:
        tries.append(world.elapsed)
        return denied("not yet") if world.elapsed < 1.0 else Verdict()

    world.cluster.admit(Hook("h", "/h", POD, ("CREATE",), True, decide))
    world.server.create(STATEFUL_SET, stateful_set("a", 1))
    world.settle()
    assert 6 < len(tries) < 14
    assert tries[-1] - tries[-2] > 0.3
    assert is_ready(get_pod(world, "a-0"))


# --- garbage ---------------------------------------------------------------------------------------------------------


def alone(name: str, **metadata: Any) -> Json:
    return SERVICE.body({"name": name, "namespace": NAMESPACE, **metadata})


def test_what_a_deleted_object_owned_goes_too_down_to_the_last() -> None:
    world = world_with(2)
    world.server.delete(STATEFUL_SET, NAMESPACE, "a", propagation="Background")
    assert len(pods(world)) == 2
    world.settle()
    assert pods(world) == {}
    assert world.server.list(CONTROLLER_REVISION) == []


def test_in_the_foreground_an_owner_stays_until_its_dependents_are_gone() -> None:
    world = world_with(2)
    world.server.delete(STATEFUL_SET, NAMESPACE, "a", propagation="Foreground")
    world.settle()
    gone = [f"{event.kind} {event.body['metadata']['name']}" for event in world.log if event.type == DELETED]
    assert gone[-1] == "StatefulSet a"
    assert {"Pod a-0", "Pod a-1"} <= set(gone)


def test_a_leader_pod_deleted_in_the_foreground_takes_its_statefulset_and_its_pods_along() -> None:
    world = World()
    world.create_nodes(node(f"n{number}") for number in range(3))
    leader = world.server.create(POD, pod("a", {}, nodeName="n0")).body
    body = stateful_set("a", 2, start=1)
    body["metadata"]["ownerReferences"] = [owner(leader)]
    world.server.create(STATEFUL_SET, body)
    world.settle()
    assert len(pods(world)) == 3
    world.server.delete(POD, NAMESPACE, "a", propagation="Foreground")
    world.settle()
    assert pods(world) == {}
    gone = [f"{event.kind} {event.body['metadata']['name']}" for event in world.log if event.type == DELETED]
    assert gone[-1] == "Pod a"


def test_a_dependent_with_another_owner_stays_and_loses_the_reference() -> None:
    world = World()
    first, second = (world.server.create(SERVICE, alone(name)).body for name in ("first", "second"))
    references = [owner(first, controller=False), owner(second, controller=False)]
    world.server.create(SERVICE, alone("child", ownerReferences=references))
    world.server.delete(SERVICE, NAMESPACE, "first")
    world.settle()
    left = world.server.get(SERVICE, NAMESPACE, "child").body["metadata"]["ownerReferences"]
    assert [each["name"] for each in left] == ["second"]
    world.server.delete(SERVICE, NAMESPACE, "second")
    world.settle()
    with pytest.raises(NotFound):
        world.server.get(SERVICE, NAMESPACE, "child")


def test_an_object_made_for_an_owner_that_is_gone_is_collected() -> None:
    world = World()
    former = world.server.create(SERVICE, alone("owner")).body
    world.server.delete(SERVICE, NAMESPACE, "owner")
    world.server.create(SERVICE, alone("owner"))
    world.server.create(SERVICE, alone("child", ownerReferences=[owner(former)]))
    world.settle()
    assert [each.body["metadata"]["name"] for each in world.server.list(SERVICE)] == ["owner"]


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 7), st.booleans()), min_size=1, max_size=8), st.data())
def test_no_object_outlives_its_owners(parents: list[tuple[int, bool]], data: st.DataObject) -> None:
    world = World()
    made = [world.server.create(SERVICE, alone("s0")).body]
    for number, (parent, block) in enumerate(parents, start=1):
        reference = owner(made[parent % len(made)], block=block)
        made.append(world.server.create(SERVICE, alone(f"s{number}", ownerReferences=[reference])).body)
    victim = data.draw(st.sampled_from(made))["metadata"]["name"]
    world.server.delete(
        SERVICE, NAMESPACE, victim, propagation=data.draw(st.sampled_from(["Background", "Foreground"]))
    )
    world.settle()
    left = {each.uid: each.body for each in world.server.list(SERVICE)}
    assert victim not in {body["metadata"]["name"] for body in left.values()}
    for body in left.values():
        assert all(ref["uid"] in left for ref in body["metadata"].get("ownerReferences", []))


# --- kubelets and nodes ----------------------------------------------------------------------------------------------


def bound_world() -> World:
    world = World()
    world.create_nodes([node("n0"), node("n1")])
    world.server.create(POD, pod("a", {}, nodeName="n0"))
    world.settle()
    return world


def test_a_bound_pod_runs_and_is_ready_after_a_moment() -> None:
    world = bound_world()
    body = get_pod(world, "a")
    assert body["status"]["phase"] == "Running"
    assert is_ready(body)
    assert 0 < world.elapsed < 1


def test_a_pod_may_be_told_how_long_it_takes_to_be_ready() -> None:
    world = World()
    world.create_nodes([node("n0")])
    world.kubelets.start_seconds = lambda _: 5.0
    world.server.create(POD, pod("a", {}, nodeName="n0"))
    world.run(until=lambda: is_ready(get_pod(world, "a")))
    assert world.elapsed == pytest.approx(5.0, abs=0.1)


def test_a_failing_container_is_restarted_in_place() -> None:
    world = bound_world()
    world.kubelets.fail_container(NAMESPACE, "a")
    assert not is_ready(get_pod(world, "a"))
    world.settle()
    assert is_ready(get_pod(world, "a"))
    assert get_pod(world, "a")["status"]["containerStatuses"][0]["restartCount"] == 1


def test_a_lost_node_is_tainted_and_its_pods_are_unready_then_evicted_and_stuck() -> None:
    world = bound_world()
    world.lose_node("n0")
    world.settle()
    taints = world.server.get(NODE, "", "n0").body["spec"]["taints"]
    assert {(each["key"], each["effect"]) for each in taints} == {
        ("node.kubernetes.io/unreachable", "NoSchedule"),
        ("node.kubernetes.io/unreachable", "NoExecute"),
    }
    assert not is_ready(get_pod(world, "a"))
    world.run(limit_seconds=301)
    assert get_pod(world, "a")["metadata"]["deletionTimestamp"]
    world.return_node("n0")
    world.settle()
    assert pods(world) == {}


def test_pods_of_a_node_that_came_back_in_time_are_ready_again() -> None:
    world = bound_world()
    world.lose_node("n0")
    world.run(limit_seconds=60)
    world.return_node("n0")
    world.run(limit_seconds=400)
    assert is_ready(get_pod(world, "a"))
    assert world.server.get(NODE, "", "n0").body["spec"]["taints"] == []


def test_pods_of_a_deleted_node_are_cleared_away() -> None:
    world = bound_world()
    world.delete_node("n0")
    world.run(limit_seconds=100)
    assert pods(world) == {}
