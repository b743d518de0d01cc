"""The API for groups on the cluster's own scheduler: updates, scaling, networks, and hands that interfere."""

from __future__ import annotations

from typing import Any

from tests.scenarios.cluster import SETS, Body, Cluster, Condition
from tests.scenarios.conditions import all_groups_complete
from tests.scenarios.manifests import LeaderWorkerSet, lws

STATEFUL_SETS, SERVICES = "apps/v1/statefulsets", "services"


def _plain(name: str, replicas: int = 2, size: int = 2, **spec: Any) -> LeaderWorkerSet:
    manifest = lws(name, replicas=replicas, size=size).accelerators(1).on_default_scheduler()
    manifest.body["spec"].update(spec)
    return manifest


def _with_image(manifest: LeaderWorkerSet, image: str) -> Body:
    template = manifest.body["spec"]["leaderWorkerTemplate"]["workerTemplate"]
    containers = [{**each, "image": image} for each in template["spec"]["containers"]]
    return {"leaderWorkerTemplate": {"workerTemplate": {"spec": {"containers": containers}}}}


def is_available(name: str, replicas: int, image: str = "") -> Condition:
    """The status says so, of the set as it is now; with `image`, that is what every pod runs."""

    def missing(cluster: Cluster) -> str:
        found = cluster.find(SETS, name) or {"metadata": {}, "status": {}}
        status = found.get("status", {})
        true = sorted(each["type"] for each in status.get("conditions", ()) if each["status"] == "True")
        if status.get("observedGeneration") != found["metadata"].get("generation") or true != ["Available"]:
            return f"{name} is {true}, as of generation {status.get('observedGeneration')}"
        counts = [status.get(field, 0) for field in ("replicas", "readyReplicas", "updatedReplicas")]
        if counts != [replicas] * 3:
            return f"{name} counts {counts}"
        images = {each["spec"]["containers"][0]["image"] for each in cluster.pods(name).values()}
        return "" if not image or images == {image} else f"{name} runs {sorted(images)}"

    return missing


def services_are(*names: str) -> Condition:
    def missing(cluster: Cluster) -> str:
        found = sorted(each["metadata"]["name"] for each in cluster.all(SERVICES))
        return "" if found == sorted(names) else f"services {found}"

    return missing


def test_an_update_by_surge_in_which_the_set_grows_and_then_shrinks_to_nothing(cluster: Cluster) -> None:
    cluster.has_racks(1, hosts=4)
    rolling = {"type": "RollingUpdate", "rollingUpdateConfiguration": {"maxUnavailable": 0, "maxSurge": 1}}
    manifest = _plain("surging", rolloutStrategy=rolling)
    cluster.apply(manifest)
    cluster.eventually(is_available("surging", 2))
    cluster.merge(SETS, "surging", {"spec": {"replicas": 3, **_with_image(manifest, "busybox:2")}})
    cluster.eventually(is_available("surging", 3, image="busybox:2"))
    cluster.eventually(all_groups_complete("surging"))
    cluster.scale("surging", 0)
    cluster.eventually(is_available("surging", 0))
    cluster.eventually(lambda each: f"still there: {sorted(left)}" if (left := each.pods("surging")) else "")


NOWHERE = {"no-such": "node"}


def _on(manifest: LeaderWorkerSet, selector: dict[str, str], image: str) -> Body:
    """A change of the set that sends its pods to such nodes."""
    change = _with_image(manifest, image)
    change["leaderWorkerTemplate"]["workerTemplate"]["spec"]["nodeSelector"] = selector or None
    return {"spec": change}


def test_an_update_is_the_way_out_of_one_that_cannot_come_up(cluster: Cluster) -> None:
    cluster.has_racks(1, hosts=4)
    manifest = _plain("broken", replicas=4)
    cluster.apply(manifest)
    cluster.eventually(is_available("broken", 4))
    cluster.merge(SETS, "broken", _on(manifest, NOWHERE, "busybox:2"))
    cluster.eventually(_is_left_waiting("broken-3"))
    cluster.always(lambda each: "" if len(_running(each, "broken")) == 6 else str(_running(each, "broken")), 2.0)
    cluster.merge(SETS, "broken", _on(manifest, {}, "busybox:3"))
    cluster.eventually(is_available("broken", 4, image="busybox:3"))


def test_an_update_is_the_way_out_of_a_set_that_never_came_up(cluster: Cluster) -> None:
    cluster.has_racks(1, hosts=3)
    manifest = _plain("stillborn", replicas=3)
    manifest.body["spec"]["leaderWorkerTemplate"]["workerTemplate"]["spec"]["nodeSelector"] = NOWHERE
    cluster.apply(manifest)
    cluster.eventually(_is_left_waiting("stillborn-0"))
    cluster.merge(SETS, "stillborn", _on(manifest, {}, "busybox:2"))
    cluster.eventually(is_available("stillborn", 3, image="busybox:2"))


def _running(cluster: Cluster, name: str) -> list[str]:
    return [pod for pod, node in cluster.nodes_of(name).items() if node]


def _is_left_waiting(leader: str) -> Condition:
    """The group is whole, and none of it stands anywhere."""

    def missing(cluster: Cluster) -> str:
        nodes = cluster.nodes_of(leader.rpartition("-")[0])
        group = {name: node for name, node in nodes.items() if name == leader or name.startswith(f"{leader}-")}
        return "" if len(group) == 2 and not any(group.values()) else f"{group}"

    return missing


def test_services_follow_the_groups_from_one_network_to_the_other_and_back(cluster: Cluster) -> None:
    cluster.has_racks(1, hosts=2)
    cluster.apply(_plain("net"))
    cluster.eventually(is_available("net", 2))
    assert services_are("net")(cluster) == ""
    cluster.merge(SETS, "net", {"spec": {"networkConfig": {"subdomainPolicy": "UniquePerReplica"}}})
    cluster.eventually(is_available("net", 2))
    cluster.eventually(services_are("net-0", "net-1"))
    assert {each["spec"]["subdomain"] for each in cluster.groups("net")["net-1"]} == {"net-1"}
    cluster.merge(SETS, "net", {"spec": {"networkConfig": {"subdomainPolicy": "Shared"}}})
    cluster.eventually(is_available("net", 2))
    cluster.eventually(services_are("net"))


def test_workers_that_somebody_scaled_or_relabelled_are_brought_back(cluster: Cluster) -> None:
    cluster.has_racks(1, hosts=2)
    cluster.apply(_plain("meddled", replicas=1, size=3))
    cluster.eventually(is_available("meddled", 1))
    before = cluster.uids("meddled")

    def restored(cluster: Cluster) -> str:
        workers = cluster.find(STATEFUL_SETS, "meddled-0")
        assert workers is not None
        name = workers["metadata"]["labels"].get("leaderworkerset.sigs.k8s.io/name")
        return "" if (workers["spec"]["replicas"], name) == (2, "meddled") else f"{workers['spec']['replicas']} {name}"

    cluster.merge(STATEFUL_SETS, "meddled-0", {"spec": {"replicas": 4}})
    cluster.eventually(restored)
    cluster.merge(STATEFUL_SETS, "meddled-0", {"metadata": {"labels": {"leaderworkerset.sigs.k8s.io/name": None}}})
    cluster.eventually(restored)
    cluster.eventually(is_available("meddled", 1))
    assert before.items() <= cluster.uids("meddled").items()
