"""Taking over a cluster from the reference implementation: what it wrote, the way it wrote it, stays as it is.

Its StatefulSets are played here: the same server-side apply under the same field manager, of bodies as a Go program
serialises them (zero values included), with kubectl's record of the set among their annotations.
"""

from __future__ import annotations

import json

import pytest

from tests.controlplane.client import path_of
from tests.scenarios.cluster import EVENTS, PODS, SETS, Body, Cluster
from tests.scenarios.manifests import LeaderWorkerSet, lws
from tests.scenarios.test_lws_api import SERVICES, STATEFUL_SETS, is_available
from tests.system.product import CONTROLLER, LwsSched

on_the_plane = pytest.mark.parametrize("cluster", [pytest.param("plane", marks=pytest.mark.plane)], indirect=True)
REVISIONS = "apps/v1/controllerrevisions"
RECORD = "kubectl.kubernetes.io/last-applied-configuration"
ENV = {"name": "CPUS", "valueFrom": {"resourceFieldRef": {"resource": "limits.cpu"}}}


def _manifest() -> LeaderWorkerSet:
    manifest = lws("adopted", replicas=2, size=2).accelerators(1).on_default_scheduler()
    body, group = manifest.body, manifest.body["spec"]["leaderWorkerTemplate"]
    group["workerTemplate"]["spec"]["containers"][0]["env"] = [ENV]
    group["persistentVolumeClaimRetentionPolicy"] = {"whenDeleted": "Delete"}
    body["metadata"]["labels"] = {"app": "adopted"}
    body["metadata"]["annotations"] = {"note": "x", RECORD: json.dumps(body["spec"])}
    return manifest


def _as_go_writes_it(live: Body, manifest: LeaderWorkerSet) -> Body:
    """The leader StatefulSet as the reference implementation applies it."""
    group = manifest.body["spec"]["leaderWorkerTemplate"]
    given = group["workerTemplate"]["spec"]
    container = {**given["containers"][0], "env": [{**ENV, "valueFrom": {"resourceFieldRef": _FIELD}}]}
    container["resources"] = {**container["resources"], "claims": None}
    meta, spec = live["metadata"], live["spec"]
    template_meta = {field: spec["template"]["metadata"][field] for field in ("labels", "annotations")}
    kept = ("serviceName", "replicas", "podManagementPolicy", "selector", "updateStrategy")
    return {
        "apiVersion": "apps/v1",
        "kind": "StatefulSet",
        "metadata": {
            **{field: meta[field] for field in ("name", "namespace", "labels", "ownerReferences")},
            "annotations": {**meta["annotations"], RECORD: manifest.body["metadata"]["annotations"][RECORD]},
        },
        "spec": {
            **{field: spec[field] for field in kept},
            "persistentVolumeClaimRetentionPolicy": {"whenDeleted": "Delete", "whenScaled": "Retain"},
            "template": {
                "metadata": {**template_meta, "creationTimestamp": None},
                "spec": {**given, "containers": [container]},
            },
        },
    }


_FIELD = {"resource": "limits.cpu", "divisor": "0"}


def _versions(cluster: Cluster) -> dict[str, str]:
    kinds = (SETS, STATEFUL_SETS, SERVICES, REVISIONS, PODS)
    return {
        f"{kind} {each['metadata']['name']}": each["metadata"]["resourceVersion"]
        for kind in kinds
        for each in cluster.all(kind)
    }


@on_the_plane
def test_a_cluster_that_is_taken_over_sees_no_change_and_then_an_update_like_any_other(
    cluster: Cluster, product: LwsSched
) -> None:
    cluster.has_racks(1, hosts=2)
    manifest = _manifest()
    cluster.apply(manifest)
    cluster.eventually(is_available("adopted", 2))
    product.plane.stop_component(CONTROLLER)
    live = cluster.find(STATEFUL_SETS, "adopted")
    assert live is not None
    path = path_of(STATEFUL_SETS, cluster.namespace, "adopted")
    product.plane.client.apply(path, _as_go_writes_it(live, manifest), manager="lws", force=True)
    written = cluster.find(STATEFUL_SETS, "adopted")
    assert written is not None
    assert RECORD in written["metadata"]["annotations"]
    cluster.merge(STATEFUL_SETS, "adopted-0", {"metadata": {"annotations": {RECORD: "{}"}}})
    before = _versions(cluster)
    product.plane.start_component(CONTROLLER)

    def changed(each: Cluster) -> str:
        now = _versions(each)
        return ", ".join(sorted(key for key in before.keys() | now.keys() if before.get(key) != now.get(key)))

    cluster.always(changed, seconds=4)
    cluster.merge(SETS, "adopted", {"spec": {"replicas": 3}})
    cluster.eventually(is_available("adopted", 3))
    pods = {key: version for key, version in before.items() if key.startswith(f"{PODS} ")}
    assert pods.items() <= _versions(cluster).items()


@on_the_plane
def test_the_scale_subresource_answers_an_autoscaler(cluster: Cluster, product: LwsSched) -> None:
    cluster.has_racks(1, hosts=2)
    cluster.apply(lws("scaled", replicas=1, size=2).accelerators(1).on_default_scheduler())
    cluster.eventually(is_available("scaled", 1))
    client, path = product.plane.client, path_of(SETS, cluster.namespace, "scaled", "scale")
    scale = client.get(path)
    assert (scale["spec"]["replicas"], scale["status"]["replicas"]) == (1, 1)
    selected = client.list(path_of(PODS, cluster.namespace), labelSelector=scale["status"]["selector"])
    assert [pod["metadata"]["name"] for pod in selected] == ["scaled-0"]
    client.replace(path, {**scale, "spec": {"replicas": 2}})
    cluster.eventually(is_available("scaled", 2))
    kind = "LeaderWorkerSet"
    reporters = {each["reportingController"] for each in cluster.all(EVENTS) if each["regarding"]["kind"] == kind}
    assert reporters == {"leaderworkerset"}
