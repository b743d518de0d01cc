"""The gang provider volcano: what its PodGroups hold, and that every group has the one of its present leader."""

from __future__ import annotations

from typing import Any

from lws_sched.admission.hook import Request
from lws_sched.api import names
from lws_sched.api.core import POD, Pod
from lws_sched.api.lws import LEADER_WORKER_SET, LeaderWorkerSet
from lws_sched.api.meta import Meta
from lws_sched.api.volcano import POD_GROUP
from lws_sched.controller.app import Options, build
from lws_sched.controller.hooks import hooks
from lws_sched.controller.volcano import GROUP_NAME, PROVIDER, pod_group, with_group_name
from lws_sched.sim.world import World
from tests.unit.core.samples import sample, sample_json

LABELS = {names.SET_NAME: "x", names.GROUP_INDEX: "1", names.REVISION: "abc"}


def leader(**labels: str) -> Pod:
    return Pod(metadata=Meta(namespace="default", name="x-1", uid="u1", labels={**LABELS, **labels}))


def container(name: str = "c", **requests: str) -> dict[str, Any]:
    return {"name": name, "resources": {"requests": requests}}


def lws_with(
    annotations: dict[str, str] | None = None, startup: str = "LeaderCreated", **template: Any
) -> LeaderWorkerSet:
    return sample(annotations=annotations or {}, template=template, startupPolicy=startup)


def test_every_member_is_given_the_name_of_its_pod_group() -> None:
    (hook,) = (each for each in hooks(with_group_name) if each.name == "mpod.kb.io")
    meta = {
        "name": "test-0",
        "labels": {names.SET_NAME: "test", names.WORKER_INDEX: "0", names.REVISION: "1"},
        "annotations": {names.SIZE: "1"},
    }
    pod = {"metadata": meta, "spec": {"subdomain": "x", "containers": [{"name": "c"}]}}

    patch = hook.decide(Request("CREATE", "default", pod)).patch

    (annotations,) = (each["value"] for each in patch if each["path"] == "/metadata/annotations")
    assert annotations[GROUP_NAME] == "test-0-1"
    assert with_group_name({"metadata": {"name": "p"}}) == {"metadata": {"name": "p"}}


def test_a_pod_group_adds_up_the_leader_and_its_workers() -> None:
    gpus = {"nvidia.com/gpu": "8"}
    lws = lws_with(
        size=4,
        leaderTemplate={"spec": {"containers": [container(cpu="500m", memory="1Gi")], "overhead": {"cpu": "100m"}}},
        workerTemplate={
            "spec": {
                "initContainers": [
                    container("big", memory="3Gi"),
                    container("car", cpu="1") | {"restartPolicy": "Always"},
                ],
                "containers": [container(cpu="1500m", memory="2Gi", **gpus)],
            }
        },
    )

    body = pod_group(lws, lws, leader(), "x-1-abc")

    assert body["spec"] == {
        "minMember": 4,
        "minResources": {"cpu": "8100m", "memory": "10Gi", "nvidia.com/gpu": "24"},
    }
    assert (body["metadata"]["name"], body["metadata"]["labels"][names.GROUP_INDEX]) == ("x-1-abc", "1")
    (owner,) = body["metadata"]["ownerReferences"]
    assert (owner["kind"], owner["name"], owner["uid"], owner["controller"]) == ("Pod", "x-1", "u1", True)


def test_annotations_choose_the_queue_and_volcanos_own_are_passed_on() -> None:
    own = {"volcano.sh/preemptable": "true"}
    lws = lws_with({**own, "scheduling.volcano.sh/queue-name": "research", "team": "a"})

    body = pod_group(lws, lws, leader(), "g")

    assert body["spec"]["queue"] == "research"
    assert body["metadata"]["annotations"] == own


def test_with_leader_ready_the_leader_may_start_alone() -> None:
    lws = lws_with(startup="LeaderReady", size=4)

    assert pod_group(lws, lws, leader(), "g")["spec"]["minMember"] == 1


def test_a_rebuilt_group_waits_for_as_many_members_as_its_revision_has() -> None:
    live, then = lws_with(size=8), lws_with(size=4)

    assert pod_group(live, then, leader(), "g")["spec"]["minMember"] == 4


def started() -> World:
    world = World()
    world.start("controller", lambda runtime: build(runtime, Options(gang_provider=PROVIDER)))
    world.settle()
    world.cluster.create(LEADER_WORKER_SET, LEADER_WORKER_SET.body({}) | sample_json())
    world.settle()
    return world


def owners(world: World) -> dict[str, str]:
    """UID of the owner by PodGroup."""
    return {each.metadata.name: each.metadata.owner_references[0].uid for each in world.cluster.list(POD_GROUP)}


def leaders(world: World) -> dict[str, str]:
    pods = [each for each in world.cluster.list(POD) if each.metadata.labels.get(names.WORKER_INDEX) == "0"]
    return {each.metadata.annotations[GROUP_NAME]: each.metadata.uid for each in pods}


def test_every_group_has_a_pod_group_of_its_leader() -> None:
    world = started()

    assert len(leaders(world)) == sample_json()["spec"]["replicas"]
    assert owners(world) == leaders(world)
    everyone = {each.metadata.annotations[GROUP_NAME] for each in world.cluster.list(POD)}
    assert everyone == set(owners(world))


def test_a_new_leader_gets_a_new_pod_group() -> None:
    world = started()
    before = owners(world)
    name = world.cluster.list(POD, labels=f"{names.WORKER_INDEX}=0")[0].metadata.name
    world.cluster.delete(POD, sample_json()["metadata"]["namespace"], name)
    world.settle()

    assert owners(world) == leaders(world)
    assert owners(world).keys() == before.keys()
    assert owners(world) != before


def test_a_deleted_pod_group_comes_back() -> None:
    world = started()
    before = owners(world)
    world.cluster.delete(POD_GROUP, sample_json()["metadata"]["namespace"], next(iter(before)))
    world.settle()

    assert owners(world) == before
