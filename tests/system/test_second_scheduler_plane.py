"""The default installation on the real control plane: a second kube-scheduler that calls the extender over TLS."""

from __future__ import annotations

import json
import ssl
from collections.abc import Iterator
from http.client import HTTPSConnection
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.controlplane.client import path_of
from tests.controlplane.nodes import create_nodes, rack_nodes
from tests.controlplane.start import start_plane
from tests.controlplane.wait import wait_until
from tests.system.product import DEPLOY
from tests.system.second_scheduler import SCHEDULER, SecondScheduler

pytestmark = pytest.mark.plane

FIRST = DEPLOY / "samples" / "first.yaml"
PODS = path_of("pods", "default")


@pytest.fixture(scope="module")
def product() -> Iterator[SecondScheduler]:
    with start_plane() as plane:
        create_nodes(plane, [*rack_nodes(2, 4), *tpu_slices(2, 4)])
        product = SecondScheduler(plane)
        product.install()
        yield product


def test_a_group_is_placed_whole_over_the_secured_calls(product: SecondScheduler) -> None:
    product.plane.kubectl("apply", "-f", str(FIRST))

    wait_until(lambda: all_bound(product, 8), "both groups are bound", 60)
    pods = product.plane.client.list(PODS)
    racks = {(pod["metadata"]["name"].split("-")[1], pod["spec"]["nodeName"].rpartition("-host")[0]) for pod in pods}
    assert len(racks) == 2, f"each group in one rack, and not {sorted(racks)}"
    assert tainted(product) == {pod["spec"]["nodeName"] for pod in pods}


def test_the_second_scheduler_leads_by_a_lease_of_its_own(product: SecondScheduler) -> None:
    lease = product.plane.client.get(path_of("coordination.k8s.io/v1/leases", "lws-system", SCHEDULER))

    assert lease["spec"]["holderIdentity"]


def test_nobody_else_is_answered(product: SecondScheduler) -> None:
    folder = product.mounted_secret()
    stranger = ssl.create_default_context(cafile=str(folder / "ca.crt"))
    stranger.check_hostname = False
    with pytest.raises((ssl.SSLError, ConnectionError)):
        asked(product, stranger)

    stranger.load_cert_chain(folder / "client.crt", folder / "client.key")
    assert "NodeNames" in asked(product, stranger)


def test_new_certificates_reach_a_scheduler_that_is_restarted(product: SecondScheduler) -> None:
    """What docs/configuration.md says to do when a key was lost."""
    plane = product.plane
    before = (product.mounted_secret() / "ca.crt").read_bytes()
    plane.kubectl("delete", "secret", "lws-sched-extender-verbs", "--namespace=lws-system")
    secret = path_of("secrets", "lws-system", "lws-sched-extender-verbs")
    wait_until(lambda: plane.client.find(secret), "the extender makes new certificates", 30)
    folder = product.mounted_secret()
    assert (folder / "ca.crt").read_bytes() != before
    context = ssl.create_default_context(cafile=str(folder / "ca.crt"))
    context.check_hostname = False
    context.load_cert_chain(folder / "client.crt", folder / "client.key")
    wait_until(lambda: is_answered(product, context), "they are served", 30)

    plane.restart_component(SCHEDULER)
    plane.kubectl("delete", "-f", str(FIRST), "--cascade=foreground")
    again = yaml.safe_load(FIRST.read_text()) | {"metadata": {"name": "again"}}
    plane.kubectl("apply", "-f", "-", input=json.dumps(again))
    wait_until(lambda: all_bound(product, 8), "both groups are bound", 90)


def all_bound(product: SecondScheduler, count: int) -> bool:
    return len([pod for pod in product.plane.client.list(PODS) if pod["spec"].get("nodeName")]) == count


def tainted(product: SecondScheduler) -> set[str]:
    return {
        node["metadata"]["name"]
        for node in product.plane.client.list(path_of("nodes"))
        if any(taint["key"] == "lws-sched.io/reserved" for taint in node["spec"].get("taints", ()))
    }


def is_answered(product: SecondScheduler, context: ssl.SSLContext) -> bool:
    try:
        return "NodeNames" in asked(product, context)
    except (ssl.SSLError, ConnectionError):
        return False


def asked(product: SecondScheduler, context: ssl.SSLContext) -> Any:
    connection = HTTPSConnection(*product.verbs_address, timeout=10, context=context)
    pod = {"metadata": {"name": "p", "namespace": "default"}, "spec": {"containers": []}}
    connection.request("POST", "/filter", json.dumps({"Pod": pod, "NodeNames": ["a"]}))
    return json.loads(connection.getresponse().read())


# --- samples ---------------------------------------------------------------------------------------------------------
RACK, BLOCK, ZONE = "topology.lws-sched.io/rack", "topology.lws-sched.io/block", "topology.kubernetes.io/zone"
POOL = "cloud.google.com/gke-nodepool"
SHARED = {
    "cpu-leader": (RACK,),
    "hpa": (RACK,),
    "leader-ready": (RACK,),
    "preferred": (RACK, ZONE),
    "priority": (RACK,),
    "subgroups": (BLOCK,),
    "tpu-slice": (POOL,),
    "vllm": (RACK,),
}
"""Of each sample the labels whose one value all members of a group share. `first` is placed above, and `trap`, which
needs a thousand nodes, by tests/scenarios/test_trap.py."""


def tpu_slices(count: int, hosts: int) -> list[dict[str, Any]]:
    """Node pools as GKE makes them: a slice of v5e each, four chips a host."""
    nodes = rack_nodes(count, hosts, accelerators=4, resource="google.com/tpu", rack_label=POOL, prefix="tpu-")
    for node in nodes:
        node["metadata"]["labels"] |= {
            "cloud.google.com/gke-tpu-accelerator": "tpu-v5-lite-podslice",
            "cloud.google.com/gke-tpu-topology": "4x4",
        }
        node["spec"] = {"taints": [{"key": "google.com/tpu", "value": "present", "effect": "NoSchedule"}]}
    return nodes


def test_every_sample_is_placed_by_some_test() -> None:
    samples = {path.stem for path in (DEPLOY / "samples").glob("*.yaml")}
    assert samples == {*SHARED, "first", "trap"}


@pytest.mark.parametrize("name", sorted(SHARED))
def test_a_sample_is_placed(product: SecondScheduler, name: str) -> None:
    plane = product.plane
    plane.kubectl("delete", "leaderworkersets", "--all", "--cascade=foreground", "--timeout=60s")
    path = str(DEPLOY / "samples" / f"{name}.yaml")
    plane.kubectl("apply", "--server-side", "-f", path)
    try:
        sets = [each for each in yaml.safe_load_all(Path(path).read_text()) if each["kind"] == "LeaderWorkerSet"]
        # The autoscaler brings its set to its own minimum.
        replicas = {each["metadata"]["name"]: each["spec"].get("replicas", 2) for each in sets}
        size = {each["metadata"]["name"]: each["spec"]["leaderWorkerTemplate"]["size"] for each in sets}
        wanted = {f"{each}-{index}": size[each] for each in replicas for index in range(replicas[each])}
        wait_until(lambda: placed(product) == wanted, f"{wanted} are bound, and not {placed(product)}", 90)
        for group, nodes in nodes_of_groups(product).items():
            for label in SHARED[name]:
                assert len({node["metadata"]["labels"][label] for node in nodes}) == 1, f"{group} in one {label}"
    finally:
        plane.kubectl("delete", "-f", path, "--cascade=foreground", "--timeout=60s")


def nodes_of_groups(product: SecondScheduler) -> dict[str, list[dict[str, Any]]]:
    """The nodes of the bound members of each group, by its leader's name."""
    nodes = {node["metadata"]["name"]: node for node in product.plane.client.list(path_of("nodes"))}
    found: dict[str, list[dict[str, Any]]] = {}
    for pod in product.plane.client.list(PODS):
        labels = pod["metadata"]["labels"]
        if pod["spec"].get("nodeName"):
            group = f"{labels['leaderworkerset.sigs.k8s.io/name']}-{labels['leaderworkerset.sigs.k8s.io/group-index']}"
            found.setdefault(group, []).append(nodes[pod["spec"]["nodeName"]])
    return found


def placed(product: SecondScheduler) -> dict[str, int]:
    return {group: len(nodes) for group, nodes in nodes_of_groups(product).items()}
