from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lws_sched.api.core import NODE, POD
from lws_sched.api.extender import BindingResult
from lws_sched.kube.errors import NotFound
from lws_sched.sim.extender_link import ExtenderLink
from lws_sched.sim.manifests import ACCELERATOR, RACK, rack_nodes
from lws_sched.sim.objects import Json
from lws_sched.sim.world import World
from tests.unit.sim.builders import NAMESPACE, ScriptedExtender, node, node_of, pod, pods, why_pending

AFFINITY = "requiredDuringSchedulingIgnoredDuringExecution"
TAINT = {"key": "dedicated", "value": "gang", "effect": "NoSchedule"}


def world_of(*nodes: Json) -> World:
    world = World()
    world.create_nodes(nodes)
    return world


def schedule(world: World, *bodies: Json) -> None:
    for body in bodies:
        world.server.create(POD, body)
    world.run(limit_seconds=0.5)


def node_affinity(*terms: Json) -> Json:
    return {"nodeAffinity": {AFFINITY: {"nodeSelectorTerms": list(terms)}}}


def expression(key: str, operator: str, *values: str) -> Json:
    return {"matchExpressions": [{"key": key, "operator": operator, "values": list(values)}]}


def pinned(name: str) -> Json:
    return {"matchFields": [{"key": "metadata.name", "operator": "In", "values": [name]}]}


def pod_affinity(kind: str, key: str, operator: str, *values: str, topology: str = RACK) -> Json:
    selector = {"matchExpressions": [{"key": key, "operator": operator, "values": list(values)}]}
    return {kind: {AFFINITY: [{"labelSelector": selector, "topologyKey": topology}]}}


# --- filters ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("spec", "chosen"),
    [
        pytest.param({"nodeSelector": {"zone": "b"}}, "b", id="a node selector"),
        pytest.param({"affinity": node_affinity(expression("zone", "In", "b", "c"))}, "b", id="In"),
        pytest.param({"affinity": node_affinity(expression("zone", "NotIn", "a"))}, "b", id="NotIn"),
        pytest.param({"affinity": node_affinity(expression("fast", "Exists"))}, "b", id="Exists"),
        pytest.param({"affinity": node_affinity(expression("fast", "DoesNotExist"))}, "a", id="DoesNotExist"),
        pytest.param({"affinity": node_affinity(expression("fast", "Gt", "8"))}, "b", id="Gt"),
        pytest.param({"affinity": node_affinity(pinned("b"))}, "b", id="a pin"),
        pytest.param({"affinity": node_affinity(pinned("x"), pinned("b"))}, "b", id="one of several terms"),
        pytest.param(
            {"affinity": node_affinity({**pinned("b"), **expression("zone", "In", "a")})}, "", id="all of one"
        ),
        pytest.param({"affinity": node_affinity({})}, "", id="an empty term matches nothing"),
        pytest.param({"nodeSelector": {"zone": "c"}}, "", id="a selector of no node"),
    ],
)
def test_node_selectors_and_affinity_choose_as_kubernetes_says(spec: Json, chosen: str) -> None:
    world = world_of(node("a", labels={"zone": "a"}), node("b", labels={"zone": "b", "fast": "9"}))
    schedule(world, pod("p", **spec))
    assert node_of(world, "p") == chosen


@pytest.mark.parametrize(
    ("tolerations", "chosen"),
    [
        pytest.param([], "", id="none"),
        pytest.param([{"key": "dedicated", "value": "gang", "effect": "NoSchedule"}], "n", id="equal"),
        pytest.param([{"key": "dedicated", "value": "other"}], "", id="another value"),
        pytest.param([{"key": "dedicated", "operator": "Exists"}], "n", id="the key exists"),
        pytest.param([{"operator": "Exists"}], "n", id="everything"),
        pytest.param([{"operator": "Exists", "effect": "NoExecute"}], "", id="another effect"),
    ],
)
def test_taints_keep_pods_away_that_do_not_tolerate_them(tolerations: list[Json], chosen: str) -> None:
    world = world_of(node("n", taints=[TAINT]))
    schedule(world, pod("p", tolerations=tolerations))
    assert node_of(world, "p") == chosen


def test_a_cordoned_node_takes_no_pods() -> None:
    world = world_of(node("n"))
    world.server.merge(NODE, "", "n", {"spec": {"unschedulable": True}})
    schedule(world, pod("p"))
    assert why_pending(world, "p") == "0/1 nodes are available: 1 node(s) were unschedulable."


def test_why_no_node_will_do_is_counted_by_reason() -> None:
    world = world_of(node("a"), node("b", labels={"zone": "b"}), node("c", taints=[TAINT]))
    schedule(world, pod("filler", nodeName="b"))
    schedule(world, pod("p", affinity=node_affinity(expression("zone", "Exists"))))
    assert why_pending(world, "p") == (
        "0/3 nodes are available: 1 Insufficient nvidia.com/gpu, 1 node(s) didn't match Pod's node affinity/selector, "
        "1 node(s) had untolerated taint(s) {dedicated: gang}."
    )


def test_the_number_of_pods_on_a_node_is_limited_and_zero_quantities_ask_for_nothing() -> None:
    world = world_of(node("n", pods="1"))
    schedule(world, pod("a", {"lws-sched.io/member": "0"}), pod("b", {"cpu": "1"}))
    assert sorted(node_of(world, name) for name in "ab") == ["", "n"]
    assert "Too many pods" in why_pending(world, "b") + why_pending(world, "a")


def test_requests_are_those_of_containers_and_sidecars_or_of_the_largest_init_step_and_overhead() -> None:
    world = world_of(node("n", cpu="7"))

    def init(cpu: str, **fields: Any) -> Json:
        return {"name": f"i{cpu}", "resources": {"requests": {"cpu": cpu}}, **fields}

    steps = [init("1", restartPolicy="Always"), init("5")]
    schedule(world, pod("p", {"cpu": "2"}, initContainers=steps, overhead={"cpu": "500m"}))
    assert node_of(world, "p") == "n"
    schedule(world, pod("q", {"cpu": "600m"}))
    assert node_of(world, "q") == ""
    schedule(world, pod("r", {"cpu": "500m"}))
    assert node_of(world, "r") == "n"


def test_the_emptier_node_is_preferred() -> None:
    world = world_of(node("a"), node("b"))
    schedule(world, pod("filler", {"cpu": "6"}, nodeName="a"))
    schedule(world, pod("p", {"cpu": "1"}))
    assert node_of(world, "p") == "b"


def test_the_first_pod_of_an_affinity_goes_anywhere_and_the_others_follow_it() -> None:
    world = world_of(*rack_nodes(3, 2))
    together = pod_affinity("podAffinity", "group", "In", "g")
    for name in ("first", "second"):
        schedule(world, pod(name, labels={"group": "g"}, affinity=together))
    assert node_of(world, "first")
    assert node_of(world, "first")[:7] == node_of(world, "second")[:7]
    schedule(world, pod("third", labels={"group": "g"}, affinity=together))
    assert "didn't match pod affinity rules" in why_pending(world, "third")


def test_a_pod_whose_affinity_is_to_others_waits_for_them() -> None:
    world = world_of(*rack_nodes(1, 2))
    schedule(world, pod("follower", affinity=pod_affinity("podAffinity", "group", "In", "g")))
    assert "didn't match pod affinity rules" in why_pending(world, "follower")
    schedule(world, pod("leader", labels={"group": "g"}))
    assert node_of(world, "follower")


def test_anti_affinity_keeps_a_pod_out_of_a_topology_and_others_out_of_its_own() -> None:
    world = world_of(*rack_nodes(2, 2))
    alone = pod_affinity("podAntiAffinity", "group", "Exists")
    schedule(world, pod("holder", labels={"group": "g"}, nodeName="rack-00-host-00"))
    schedule(world, pod("shy", labels={"group": "h"}, affinity=alone))
    assert node_of(world, "shy").startswith("rack-01")
    schedule(world, pod("late", labels={"group": "i"}))
    assert node_of(world, "late") == "rack-00-host-01"
    schedule(world, pod("more", labels={"group": "i"}))
    assert "didn't satisfy existing pods anti-affinity rules" in why_pending(world, "more")
    schedule(world, pod("shy-too", labels={"group": "j"}, affinity=alone))
    assert "didn't match pod anti-affinity rules" in why_pending(world, "shy-too")


def test_affinity_looks_at_pods_of_the_same_namespace_only() -> None:
    world = world_of(*rack_nodes(1, 2))
    other = pod("other", labels={"group": "g"}, nodeName="rack-00-host-00")
    other["metadata"]["namespace"] = "elsewhere"
    schedule(world, other)
    schedule(world, pod("shy", affinity=pod_affinity("podAntiAffinity", "group", "Exists")))
    assert node_of(world, "shy") == "rack-00-host-01"


def test_gated_pods_and_pods_of_other_schedulers_are_left_alone() -> None:
    world = world_of(node("n"))
    schedule(world, pod("gated", schedulingGates=[{"name": "g"}]), pod("foreign", schedulerName="someone"))
    assert [node_of(world, name) for name in ("gated", "foreign")] == ["", ""]
    world.server.merge(POD, NAMESPACE, "gated", {"spec": {"schedulingGates": None}})
    world.settle()
    assert node_of(world, "gated") == "n"


# --- order and retries -----------------------------------------------------------------------------------------------


def test_a_pod_of_higher_priority_goes_first() -> None:
    world = world_of(node("n"))
    world.server.priority_classes["high"] = 100
    schedule(world, pod("low"), pod("high", priorityClassName="high"))
    assert [node_of(world, name) for name in ("low", "high")] == ["", "n"]


def test_an_unschedulable_pod_is_tried_again_when_room_is_freed_and_not_before() -> None:
    world = world_of(node("n"))
    schedule(world, pod("filler", nodeName="n"))
    schedule(world, pod("p"))
    attempts = world.scheduler.attempts
    world.run(limit_seconds=60)
    assert world.scheduler.attempts == attempts
    world.server.delete(POD, NAMESPACE, "filler")
    world.settle()
    assert node_of(world, "p") == "n"


def test_a_new_node_takes_pods_that_wait() -> None:
    world = world_of()
    schedule(world, pod("p"))
    world.create_nodes([node("n")])
    world.settle()
    assert node_of(world, "p") == "n"


@settings(max_examples=25, deadline=None)
@given(
    st.integers(0, 5),
    st.lists(st.tuples(st.integers(0, 8), st.integers(0, 4), st.booleans()), max_size=24),
)
def test_no_node_is_ever_over_committed(seed: int, wanted: list[tuple[int, int, bool]]) -> None:
    world = World(seed)
    world.create_nodes(node(f"n{number}", cpu="4", pods="5") for number in range(3))
    for number, (accelerators, cpu, deleted) in enumerate(wanted):
        world.server.create(POD, pod(f"p{number}", {ACCELERATOR: str(accelerators), "cpu": str(cpu)}))
        world.run(limit_seconds=0.01)
        if deleted:
            world.server.delete(POD, NAMESPACE, f"p{number // 2}", grace_seconds=0) if f"p{number // 2}" in pods(
                world
            ) else None
    world.settle()
    standing: dict[str, Json] = {}
    for event in world.log:
        if event.kind != "Pod":
            continue
        standing.pop(event.version.uid, None)
        if event.type != "DELETED" and event.body["spec"].get("nodeName"):
            standing[event.version.uid] = event.body
        assert_within_capacity(standing)


def assert_within_capacity(standing: dict[str, Json]) -> None:
    for name in ("n0", "n1", "n2"):
        here = [body["spec"] for body in standing.values() if body["spec"]["nodeName"] == name]
        requests = [spec["containers"][0]["resources"]["requests"] for spec in here]
        assert sum(int(each[ACCELERATOR]) for each in requests) <= 8
        assert sum(int(each["cpu"]) for each in requests) <= 4
        assert len(here) <= 5


# --- the extender ----------------------------------------------------------------------------------------------------


def with_extender(world: World, *resources: str) -> tuple[ScriptedExtender, ExtenderLink]:
    scripted = ScriptedExtender()
    world.start("extender", lambda _: scripted)
    link = world.connect_extender("extender", resources or (ACCELERATOR,), verbs=lambda app: app)
    world.settle()
    return scripted, link


def test_the_extender_sees_only_pods_that_name_a_managed_resource() -> None:
    world = world_of(node("a"), node("b"))
    scripted, _ = with_extender(world, ACCELERATOR, "lws-sched.io/member")
    schedule(world, pod("cpu", {"cpu": "1"}), pod("gpu"), pod("member", {"lws-sched.io/member": "0"}))
    assert {each.pod.metadata.name for each in scripted.filtered} == {"gpu", "member"}
    assert sorted(scripted.filtered[0].node_names or ()) == ["a", "b"]
    assert node_of(world, "cpu")
    assert not node_of(world, "gpu")


def test_a_pinned_pod_is_sent_with_its_one_node() -> None:
    world = world_of(node("a"), node("b"))
    scripted, _ = with_extender(world)
    schedule(world, pod("p", affinity=node_affinity(pinned("b"))))
    assert scripted.filtered[0].node_names == ("b",)


def test_a_pod_that_the_extender_rejects_is_tried_again_after_any_event() -> None:
    world = world_of(node("a"))
    scripted, _ = with_extender(world)
    scripted.allow = lambda _: False
    schedule(world, pod("p"))
    assert len(scripted.filtered) == 2, "its own status patch is an event too"
    world.run(limit_seconds=30)
    assert len(scripted.filtered) == 2
    schedule(world, pod("unrelated", {"cpu": "1"}))
    assert len(scripted.filtered) > 2


def test_a_held_bind_keeps_its_room_and_the_scheduler_goes_on() -> None:
    world = world_of(node("n"))
    scripted, _ = with_extender(world)
    schedule(world, pod("held"), pod("other"), pod("cpu", {"cpu": "1"}))
    assert len(scripted.held) == 1
    assert node_of(world, "cpu") == "n"
    scripted.bind_held(world)
    world.settle()
    assert sorted(node_of(world, name) for name in ("held", "other")) == ["", "n"]


def test_a_refused_bind_frees_the_room_and_is_tried_again_after_1_2_4_seconds() -> None:
    world = world_of(node("n"))
    scripted, _ = with_extender(world)
    schedule(world, pod("p"))
    times = []
    for _ in range(4):
        world.run(until=lambda: bool(scripted.held), limit_seconds=15)
        times.append(world.elapsed)
        _, respond, alive = scripted.held.pop()
        respond(BindingResult(error="not now"))
        world.run(limit_seconds=0.1)
        assert not alive()
    gaps = [after - before for before, after in pairwise(times)]
    assert gaps == pytest.approx([1, 2, 4], abs=0.2)
    assert "binding rejected: not now" in why_pending(world, "p")


def test_a_bind_that_is_not_answered_in_time_is_an_error_and_a_late_answer_is_not_heard() -> None:
    world = world_of(node("n"))
    scripted, _ = with_extender(world)
    schedule(world, pod("p"))
    _, respond, alive = scripted.held.pop()
    assert alive()
    world.run(limit_seconds=world.loop.latencies.extender_timeout)
    assert not alive()
    respond(BindingResult())
    world.run(until=lambda: bool(scripted.held), limit_seconds=5)


def test_while_the_extender_is_down_its_pods_wait_and_all_others_are_placed() -> None:
    world = world_of(node("n"))
    scripted, _ = with_extender(world)
    schedule(world, pod("held"))
    world.crash("extender")
    assert not scripted.held[0][2](), "a broken connection ends the held call"
    schedule(world, pod("cpu", {"cpu": "1"}))
    assert node_of(world, "cpu") == "n"
    assert not node_of(world, "held")
    scripted.held.clear()
    world.restart("extender")
    world.run(until=lambda: bool(scripted.held), limit_seconds=15)


def test_a_hung_extender_costs_the_scheduler_one_timeout_per_attempt() -> None:
    world = world_of(node("n"))
    _, link = with_extender(world)
    link.hangs = True
    world.server.create(POD, pod("p"))
    world.run(limit_seconds=0.1)
    world.server.create(POD, pod("cpu", {"cpu": "1"}))
    started = world.elapsed
    world.run(until=lambda: bool(node_of(world, "cpu")), limit_seconds=30)
    assert world.elapsed - started == pytest.approx(world.loop.latencies.extender_timeout, abs=0.5)


def test_a_scheduler_that_is_started_again_knows_what_is_bound_and_forgets_what_it_assumed() -> None:
    world = world_of(node("n"))
    scripted, _ = with_extender(world)
    schedule(world, pod("held"))
    world.scheduler.kill()
    assert not scripted.held[0][2]()
    scripted.held.clear()
    world.run(limit_seconds=5)
    world.server.create(POD, pod("cpu", {"cpu": "7500m"}))
    assert not world.scheduler.is_running
    world.scheduler.start()
    world.run(until=lambda: bool(scripted.held) and bool(node_of(world, "cpu")), limit_seconds=5)
    scripted.bind_held(world)
    world.settle()
    assert node_of(world, "held") == "n"


def test_a_held_pod_that_is_deleted_frees_its_room() -> None:
    world = world_of(node("n"))
    scripted, _ = with_extender(world)
    schedule(world, pod("held"))
    world.server.delete(POD, NAMESPACE, "held")
    with pytest.raises(NotFound):
        scripted.bind_held(world)
    world.run(limit_seconds=world.loop.latencies.extender_timeout + 1)
    schedule(world, pod("next"))
    assert scripted.held[0][0].pod_name == "next"
