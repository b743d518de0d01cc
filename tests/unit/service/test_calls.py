"""The calls as a client makes them, over TLS, beside a running controller, extender and scheduler."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import Any

import grpc
import msgspec
import pytest
import yaml
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from lws_sched.admission import certificates
from lws_sched.api.core import POD
from lws_sched.api.lws import LEADER_WORKER_SET
from lws_sched.api.placement import BOUND, GROUP_PLACEMENT
from lws_sched.api.topology import TOPOLOGY
from lws_sched.service import placement_pb2 as pb
from lws_sched.service.limits import MESSAGE_BYTES
from lws_sched.service.placement_pb2_grpc import PlacementStub
from lws_sched.service.server import SERVICE
from lws_sched.sim.manifests import filler, rack_nodes
from tests.scenarios.manifests import LeaderWorkerSet, lws
from tests.unit.service.served import ADMIN, NAME, NOBODY, VIEWER, Served, serving


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    """Four racks of four hosts. In `team`: llama stands, wide waits, as no rack has six hosts."""
    with serving() as served:
        world = served.world
        world.create_nodes(rack_nodes(4, 4))
        for each in (lws("llama", replicas=1, size=4).required(), lws("wide", replicas=1, size=6).required()):
            world.cluster.create(LEADER_WORKER_SET, body(each))
        world.run(until=lambda: is_bound(served, "llama-0"))
        world.settle()
        yield served


def placements(served: Served) -> dict[str, str]:
    """States by group."""
    return {each.metadata.name: each.status.state for each in served.world.cluster.list(GROUP_PLACEMENT, "team")}


def is_bound(served: Served, group: str) -> bool:
    return placements(served).get(group) == BOUND


def body(manifest: LeaderWorkerSet, namespace: str = "team") -> dict[str, Any]:
    return {**manifest.body, "metadata": {**manifest.body["metadata"], "namespace": namespace}}


def text(*manifests: LeaderWorkerSet, namespace: str = "team") -> str:
    return yaml.safe_dump_all([body(each, namespace) for each in manifests])


# --- Plan ------------------------------------------------------------------------------------------------------------
def test_a_plan_tells_each_groups_place_beside_what_is_on_the_cluster(served: Served) -> None:
    answer = served.call("Plan", pb.PlanRequest(manifests=text(lws("new", replicas=4, size=4).required())))

    assert [group.name for group in answer.groups] == ["new-0", "new-1", "new-2", "new-3"]
    placed = [group for group in answer.groups if group.feasible]
    assert len(placed) == 3
    standing = served.world.cluster.get(GROUP_PLACEMENT, "team", "llama-0").status.domain
    assert standing is not None
    assert standing.value not in {group.domain.value for group in placed}
    assert {group.domain.level for group in placed} == {"topology.lws-sched.io/rack"}
    assert [slot.pod for slot in placed[0].slots] == ["new-0", "new-0-1", "new-0-2", "new-0-3"]
    (refused,) = [group for group in answer.groups if not group.feasible]
    assert (refused.proof, bool(refused.reason), refused.HasField("domain")) == ("infeasible", True, False)


def test_a_plan_sees_what_changed_a_moment_ago(served: Served) -> None:
    request = pb.PlanRequest(manifests=text(lws("late", replicas=1, size=4).required()))
    assert served.call("Plan", request).groups[0].feasible
    fillers = [filler(f"filler-{rack}", f"rack-0{rack}-host-00") for rack in range(4)]
    for each in fillers:
        served.world.cluster.create(POD, each)
    served.world.settle()
    assert not served.call("Plan", request).groups[0].feasible

    for each in fillers:
        served.world.cluster.delete(POD, "fillers", each["metadata"]["name"])
    served.world.settle()
    assert served.call("Plan", request).groups[0].feasible


def test_a_plan_reads_levels_from_the_clusters_topology_objects(served: Served) -> None:
    request = pb.PlanRequest(manifests=text(lws("rowed", replicas=1, size=4).required("cage")))
    assert not served.call("Plan", request).groups[0].feasible

    levels = [{"name": "cage", "nodeLabel": "topology.lws-sched.io/rack"}]
    served.world.cluster.create(TOPOLOGY, TOPOLOGY.body({"name": "cages"}, spec={"levels": levels}))
    served.world.settle()
    assert served.call("Plan", request).groups[0].feasible

    served.world.cluster.delete(TOPOLOGY, "", "cages")
    served.world.settle()


def test_a_set_that_stands_is_told_where_it_is(served: Served) -> None:
    (group,) = served.call("Plan", pb.PlanRequest(manifests=text(lws("llama", replicas=1, size=4).required()))).groups

    assert (group.standing, group.feasible, len(group.slots)) == (True, True, 4)


def test_a_plan_on_a_cluster_in_the_request_does_not_look_at_the_live_one(served: Served) -> None:
    cluster = yaml.safe_dump_all(rack_nodes(1, 2))
    request = pb.PlanRequest(manifests=text(lws("new", replicas=1, size=2).required()), cluster=cluster)

    (group,) = served.call("Plan", request).groups

    assert {slot.node for slot in group.slots} == {"rack-00-host-00", "rack-00-host-01"}


def test_sets_of_another_scheduler_are_planned_as_if_they_were_ours_and_a_note_says_so(served: Served) -> None:
    other = lws("other", replicas=1, size=2)
    other.body["spec"]["leaderWorkerTemplate"]["workerTemplate"]["spec"]["schedulerName"] = "default-scheduler"

    answer = served.call("Plan", pb.PlanRequest(manifests=text(other)))

    assert answer.groups[0].feasible
    assert "other is not on the scheduler lws-sched" in answer.notes[0]


@pytest.mark.parametrize(
    ("request_", "sentence"),
    [
        (pb.PlanRequest(), "the manifests is empty: give YAML or JSON"),
        (pb.PlanRequest(manifests="kind: ["), "the manifests, line 1: this is not YAML"),
        (pb.PlanRequest(manifests="kind: Pod"), "the manifests has no LeaderWorkerSet"),
        (
            pb.PlanRequest(manifests=text(lws("a", replicas=2, size=2)), cluster="kind: Pod\nmetadata: {name: a}"),
            "the cluster has no nodes (it has Pod)",
        ),
        (pb.PlanRequest(manifests=text(lws("a", replicas=2000, size=2))), "ask for 2000 groups, and 1000 are planned"),
        (pb.PlanRequest(manifests=text(lws("a", replicas=9, size=9999))), "ask for 89991 pods, and 20000 are planned"),
        (pb.PlanRequest(manifests="[" * 100_000), "the manifests"),
        (pb.PlanRequest(manifests='{"a":' * 100_000), "the manifests"),
    ],
    ids=["nothing", "not yaml", "no set", "no nodes", "too many groups", "too many pods", "deep yaml", "deep json"],
)
def test_bad_input_is_one_sentence(served: Served, request_: pb.PlanRequest, sentence: str) -> None:
    code, told = served.refusal("Plan", request_)

    assert (code, sentence in told) == ("INVALID_ARGUMENT", True), told
    assert "\n" not in told


# --- Explain ---------------------------------------------------------------------------------------------------------
def test_a_group_that_waits_is_explained_with_its_fix(served: Served) -> None:
    answer = served.call("Explain", pb.ExplainRequest(name="wide", namespace="team"))

    (group,) = answer.groups
    assert (answer.set, group.name, group.state) == ("team/wide", "wide-0", "Waiting")
    assert group.reason
    assert group.asked.required == "rack"
    assert any(line.startswith("  why: ") for line in group.sentences)


def test_a_pod_leads_to_its_group(served: Served) -> None:
    (group,) = served.call("Explain", pb.ExplainRequest(name="llama-0-2", namespace="team")).groups

    assert (group.name, group.state, len(group.members)) == ("llama-0", "Bound", 4)
    assert all(member.ready and member.node == member.slot for member in group.members)


def test_what_is_not_there_is_not_found(served: Served) -> None:
    code, sentence = served.refusal("Explain", pb.ExplainRequest(name="nothing", namespace="team"))
    assert (code, "there is no LeaderWorkerSet, group or pod nothing in namespace team" in sentence) == (
        "NOT_FOUND",
        True,
    )
    assert served.refusal("Explain", pb.ExplainRequest())[0] == "INVALID_ARGUMENT"


# --- Defragment ------------------------------------------------------------------------------------------------------
def test_the_fewest_moves_make_room(served: Served) -> None:
    nodes = rack_nodes(2, 2)
    pods = [{**filler(f"one-{rack}", f"rack-0{rack}-host-00"), "status": {"phase": "Running"}} for rack in range(2)]
    cluster = yaml.safe_dump_all([*nodes, *pods])
    request = pb.DefragmentRequest(manifests=text(lws("new", replicas=1, size=2).required()), cluster=cluster)

    (moves,) = served.call("Defragment", request).groups

    assert (moves.answer.feasible, moves.moved, moves.at_least) == (True, 1, 1)
    ((pod,),) = [move.pods for move in moves.moves]
    assert (pod.from_node[:7], pod.to_node[:7]) in {("rack-00", "rack-01"), ("rack-01", "rack-00")}


# --- WatchPlacements -------------------------------------------------------------------------------------------------
def test_a_watch_lists_what_there_is_and_then_tells_changes(served: Served) -> None:
    with served.channel() as channel:
        stream = PlacementStub(channel).WatchPlacements(
            pb.WatchPlacementsRequest(namespace="team"), timeout=60, metadata=[("authorization", f"Bearer {VIEWER}")]
        )
        listed = [next(stream) for _ in range(3)]
        assert [(event.type, event.placement.name) for event in listed] == [
            (pb.PlacementEvent.LISTED, "llama-0"),
            (pb.PlacementEvent.LISTED, "wide-0"),
            (pb.PlacementEvent.COMPLETE, ""),
        ]
        assert [slot.pod for slot in listed[0].placement.slots] == ["llama-0", "llama-0-1", "llama-0-2", "llama-0-3"]

        fresh = (event for event in stream if event.placement.name == "fresh-0")
        served.world.cluster.create(LEADER_WORKER_SET, body(lws("fresh", replicas=1, size=2)))
        served.world.run(until=lambda: is_bound(served, "fresh-0"))
        served.world.settle()  # until the watch has told it, too
        states: list[str] = []
        while not states or states[-1] != "Bound":
            event = next(fresh)
            assert event.type == pb.PlacementEvent.CHANGED
            states.append(event.placement.state)
        assert states[0] == "Reserved"

        served.world.cluster.delete(LEADER_WORKER_SET, "team", "fresh")
        served.world.run(until=lambda: "fresh-0" not in placements(served))
        served.world.settle()
        while next(fresh).type != pb.PlacementEvent.GONE:
            pass
        stream.cancel()


def test_a_watch_of_one_set_tells_of_no_other(served: Served) -> None:
    request = pb.WatchPlacementsRequest(namespace="team", leader_worker_set="wide")
    with served.channel() as channel:
        stream = PlacementStub(channel).WatchPlacements(
            request, timeout=60, metadata=[("authorization", f"Bearer {ADMIN}")]
        )
        assert [next(stream).placement.name for _ in range(2)] == ["wide-0", ""]
        stream.cancel()


# --- who may ---------------------------------------------------------------------------------------------------------
REQUESTS = {
    "Plan": pb.PlanRequest(manifests=text(lws("new", replicas=1, size=2))),
    "Explain": pb.ExplainRequest(name="llama", namespace="team"),
    "Defragment": pb.DefragmentRequest(manifests=text(lws("new", replicas=1, size=2))),
    "WatchPlacements": pb.WatchPlacementsRequest(),
}


@pytest.mark.parametrize("method", REQUESTS)
def test_no_call_is_answered_without_a_token_that_the_cluster_knows(served: Served, method: str) -> None:
    assert served.refusal(method, REQUESTS[method], token="")[0] == "UNAUTHENTICATED"
    assert served.refusal(method, REQUESTS[method], token="stranger")[0] == "UNAUTHENTICATED"


@pytest.mark.parametrize("method", REQUESTS)
def test_no_call_is_answered_without_the_right_to_it(served: Served, method: str) -> None:
    code, sentence = served.refusal(method, REQUESTS[method], token=NOBODY)

    assert (code, "nobody may not" in sentence) == ("PERMISSION_DENIED", True)


def test_who_may_look_into_a_namespace_may_plan_and_explain_there_and_nowhere_else(served: Served) -> None:
    assert served.call("Explain", REQUESTS["Explain"], token=VIEWER).groups
    assert served.refusal("Explain", pb.ExplainRequest(name="llama"), token=VIEWER)[0] == "PERMISSION_DENIED"
    elsewhere = pb.PlanRequest(manifests=text(lws("new", replicas=1, size=2), namespace="other"))
    assert served.refusal("Plan", elsewhere, token=VIEWER)[0] == "PERMISSION_DENIED"
    assert served.refusal("Defragment", REQUESTS["Defragment"], token=VIEWER)[0] == "PERMISSION_DENIED"


def test_admission_is_asked_about_pods_only_for_who_may_make_such_sets(served: Served) -> None:
    answer = served.call("Plan", REQUESTS["Plan"], token=VIEWER)

    assert answer.groups[0].feasible
    assert "the templates of new are taken as they are: you may not create such sets in team" in answer.notes
    assert not served.call("Plan", REQUESTS["Plan"], token=ADMIN).notes


# --- limits, health, reflection --------------------------------------------------------------------------------------
def test_a_message_that_is_too_large_is_refused(served: Served) -> None:
    request = pb.PlanRequest(manifests="x" * (MESSAGE_BYTES + 1))

    assert served.refusal("Plan", request)[0] == "RESOURCE_EXHAUSTED"


def test_bytes_that_are_no_message_are_refused(served: Served) -> None:
    with served.channel() as channel, pytest.raises(grpc.RpcError) as raised:
        channel.unary_unary(f"/{SERVICE}/Plan")(b"\xff\xff", metadata=[("authorization", f"Bearer {ADMIN}")])

    assert raised.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert raised.value.details() == "the request is no lwssched.placement.v1alpha1.PlanRequest: see placement.proto"


def test_health_and_reflection_need_no_token(served: Served) -> None:
    with served.channel() as channel:
        check = health_pb2_grpc.HealthStub(channel).Check
        for name in ("", SERVICE):
            assert check(health_pb2.HealthCheckRequest(service=name)).status == health_pb2.HealthCheckResponse.SERVING
        ask = reflection_pb2.ServerReflectionRequest(list_services="")
        (listed,) = reflection_pb2_grpc.ServerReflectionStub(channel).ServerReflectionInfo(iter([ask]))

    assert SERVICE in {each.name for each in listed.list_services_response.service}


def test_a_new_certificate_is_served_to_new_connections(served: Served) -> None:
    with served.channel() as before:
        health = health_pb2_grpc.HealthStub(before)
        health.Check(health_pb2.HealthCheckRequest())
        fresh = certificates.issue([NAME], time.time())
        served.server.use(fresh)
        with served.channel(fresh.authority) as after:
            health_pb2_grpc.HealthStub(after).Check(health_pb2.HealthCheckRequest(), timeout=10)
        with served.channel() as stranger, pytest.raises(grpc.RpcError):
            health_pb2_grpc.HealthStub(stranger).Check(health_pb2.HealthCheckRequest(), timeout=5)
        health.Check(health_pb2.HealthCheckRequest())
    served.authority = fresh.authority


def test_calls_are_counted_by_method_and_status(served: Served) -> None:
    served.refusal("Explain", pb.ExplainRequest(name="nothing", namespace="team"))
    started, handled, seconds = served.meter.instruments()

    counted = msgspec.to_builtins({labels[-2:]: count for labels, count in handled.values().items()}, str_keys=False)  # type: ignore[union-attr]
    assert counted["Explain", "NotFound"] >= 1
    assert started.values()["unary", SERVICE, "Explain"] >= counted["Explain", "NotFound"]  # type: ignore[union-attr]
    assert seconds.values()["unary", SERVICE, "Explain"].sum > 0  # type: ignore[union-attr]


def test_many_ask_at_once_and_all_are_answered(served: Served) -> None:
    answers: list[Any] = []
    threads = [
        threading.Thread(target=lambda: answers.append(served.call("Plan", REQUESTS["Plan"], timeout=60)))
        for _ in range(10)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert [len(answer.groups) for answer in answers] == [1] * 10
