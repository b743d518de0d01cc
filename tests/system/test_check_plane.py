"""`lws-sched check` on a real installation: each thing is broken on purpose, and the sentence about it is read."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from lws_sched.admission import certificates
from lws_sched.cli.main import main
from tests.controlplane.client import path_of
from tests.controlplane.nodes import create_nodes, rack_nodes
from tests.controlplane.start import start_plane
from tests.controlplane.wait import wait_until
from tests.system.product import DEPLOY, EXTENDER
from tests.system.replicas import NAMESPACE, account_kubeconfig
from tests.system.second_scheduler import SCHEDULER, VERBS_SECRET, SecondScheduler

pytestmark = pytest.mark.plane

LEASES = path_of("coordination.k8s.io/v1/leases", NAMESPACE)
WEBHOOKS = path_of("admissionregistration.k8s.io/v1/mutatingwebhookconfigurations")
POD_WEBHOOK = f"{WEBHOOKS}/lws-sched-pod-placement"
SECRET = path_of("secrets", NAMESPACE, VERBS_SECRET)
CONFIG = path_of("configmaps", NAMESPACE, "lws-sched-scheduler-config")
PODS = path_of("pods", "default")
NODE = path_of("nodes", name="rack-00-host-00")
Break = Callable[[SecondScheduler], None]


@pytest.fixture(scope="module")
def product() -> Iterator[SecondScheduler]:
    with start_plane() as plane:
        nodes = rack_nodes(1, 4)
        for node in nodes:
            node["spec"] = {"taints": [{"key": "nvidia.com/gpu", "value": "present", "effect": "NoSchedule"}]}
        create_nodes(plane, nodes)
        product = SecondScheduler(plane)
        product.install()
        plane.kubectl("apply", "-f", "-", input=json.dumps(tolerant()))

        def is_bound() -> bool:
            return [bool(pod["spec"].get("nodeName")) for pod in plane.client.list(PODS)] == [True, True]

        wait_until(is_bound, "a group is bound", 60)
        yield product


def tolerant() -> dict[str, Any]:
    """A set whose pods stand on tainted nodes."""
    tolerations = [{"key": "nvidia.com/gpu", "operator": "Exists"}]
    container = {"name": "c", "image": "i", "resources": {"limits": {"nvidia.com/gpu": 8}}}
    pod = {"schedulerName": "lws-sched", "tolerations": tolerations, "containers": [container]}
    return {
        "apiVersion": "leaderworkerset.x-k8s.io/v1",
        "kind": "LeaderWorkerSet",
        "metadata": {"name": "sound", "namespace": "default"},
        "spec": {"leaderWorkerTemplate": {"size": 2, "workerTemplate": {"spec": pod}}},
    }


def checked(product: SecondScheduler, *more: str) -> dict[str, dict[str, str]]:
    """What the command finds that is not as it should be, by what it is about."""
    arguments = ["check", "--kubeconfig", str(product.plane.kubeconfig), "-o", "json", *more]
    result = CliRunner().invoke(main, arguments)
    found = {each["what"]: each for each in json.loads(result.stdout)["checks"]}
    assert result.exit_code == int(any(each["result"] == "failed" for each in found.values()))
    return {what: each for what, each in found.items() if each["result"] != "ok"}


def test_a_sound_installation_has_nothing_to_say(product: SecondScheduler) -> None:
    assert checked(product) == {}


@contextmanager
def without_the_extender(product: SecondScheduler) -> Iterator[None]:
    """It would mend what the test breaks."""
    product.plane.stop_component(EXTENDER)
    try:
        yield
    finally:
        product.plane.start_component(EXTENDER)


def test_without_the_extender_it_is_missed(product: SecondScheduler) -> None:
    with without_the_extender(product):
        found = checked(product)

    assert "nobody last renewed the Lease" in found["extender leader"]["detail"]
    assert "failed calling webhook" in found["extender answers"]["detail"]
    assert found["extender answers"]["fix"] == "look at the logs of the extender"


def expired(product: SecondScheduler) -> None:
    old = certificates.issue(["x"], time.time() - 2 * 365 * 86400).authority
    path, value = "/webhooks/0/clientConfig/caBundle", base64.b64encode(old).decode()
    product.plane.client.patch(POD_WEBHOOK, [{"op": "replace", "path": path, "value": value}], "json")


def unregistered(product: SecondScheduler) -> None:
    product.plane.client.delete(POD_WEBHOOK)


def mixed_up(product: SecondScheduler) -> None:
    other = certificates.issue(["x"], time.time()).certificate
    product.plane.client.patch(SECRET, {"data": {"client.crt": base64.b64encode(other).decode()}})


@pytest.mark.parametrize(
    ("spoil", "what", "said"),
    [
        (expired, "webhooks lws-sched-pod-placement", "the certificate authority ended on 20"),
        (unregistered, "webhooks lws-sched-pod-placement", "not registered"),
        (mixed_up, "certificates of kube-scheduler's calls", "holds no certificates that trust each other"),
    ],
)
def test_spoilt_certificates_and_webhooks_are_named(
    product: SecondScheduler, spoil: Break, what: str, said: str
) -> None:
    with without_the_extender(product):
        spoil(product)
        found = checked(product)[what]

    assert (found["result"], said in found["detail"], bool(found["fix"])) == ("failed", True, True), found
    wait_until(lambda: what not in checked(product), "the extender mends it", 30)


def test_a_role_that_is_not_bound_is_named(product: SecondScheduler) -> None:
    path = path_of("rbac.authorization.k8s.io/v1/clusterrolebindings", name="lws-sched-controller")
    before = product.plane.client.get(path)
    product.plane.client.delete(path)
    try:
        found = checked(product)["rights of lws-sched-controller"]
    finally:
        del before["metadata"]["resourceVersion"]
        product.plane.client.create(path.rpartition("/")[0], before)
    wait_until(lambda: "rights of lws-sched-controller" not in checked(product), "the right is given back", 30)

    assert found["result"] == "failed"
    assert "system:serviceaccount:lws-system:lws-sched-controller may not list leaderworkersets" in found["detail"]
    assert found["fix"] == "kubectl apply --server-side -k deploy"


def test_a_profile_that_does_not_look_at_every_node_is_named(product: SecondScheduler, tmp_path: Path) -> None:
    text = product.plane.client.get(CONFIG)["data"]["scheduler.yaml"]
    early = text.replace("percentageOfNodesToScore: 100", "percentageOfNodesToScore: 10")
    product.plane.client.patch(CONFIG, {"data": {"scheduler.yaml": early}})
    try:
        found = checked(product)
    finally:
        product.plane.client.patch(CONFIG, {"data": {"scheduler.yaml": text}})
    each = found["scheduler configuration lws-sched-scheduler-config/scheduler.yaml"]
    assert each["detail"].startswith("percentageOfNodesToScore of the profile is 10")
    assert each["fix"] == "set it to 100"

    path = tmp_path / "kube-scheduler.yaml"
    path.write_text(early)
    assert (
        checked(product, "--scheduler-config", str(path))[f"scheduler configuration {path}"]["fix"] == "set it to 100"
    )


def test_a_scheduler_that_does_not_lead_is_missed(product: SecondScheduler) -> None:
    product.plane.kill_component(SCHEDULER)
    try:
        product.plane.client.patch(f"{LEASES}/{SCHEDULER}", {"spec": {"renewTime": "2026-01-01T00:00:00.000000Z"}})
        found = checked(product)["scheduler leader"]
    finally:
        product.plane.start_component(SCHEDULER)

    assert "last renewed the Lease" in found["detail"]
    assert found["fix"] == "look at the logs of the pods of lws-sched-scheduler"


def test_nodes_without_taints_or_labels_are_named(product: SecondScheduler) -> None:
    plane, node = product.plane, product.plane.client.get(NODE)
    label = "topology.lws-sched.io/rack"
    plane.client.patch(NODE, {"metadata": {"labels": {label: None}}, "spec": {"taints": []}})
    try:
        found = checked(product)
    finally:
        plane.client.patch(NODE, {"metadata": {"labels": node["metadata"]["labels"]}, "spec": node["spec"]})

    assert "rack-00-host-00" in found["topology labels"]["fix"]
    assert found["accelerator nodes"]["detail"].startswith("1 of 4 nodes have no taint")


def test_whoever_may_not_look_is_told_so(product: SecondScheduler) -> None:
    plane = product.plane
    plane.kubectl("create", "serviceaccount", "nobody", f"--namespace={NAMESPACE}")
    path = account_kubeconfig(plane, "nobody")
    result = CliRunner().invoke(main, ["check", "--kubeconfig", str(path)])

    assert "you may not look" in result.stdout
    assert "have an administrator run this" in result.stdout
    assert "Traceback" not in result.output


def test_a_kind_that_is_missing_is_named(product: SecondScheduler) -> None:
    """Last: it takes the groups along."""
    crd = path_of("apiextensions.k8s.io/v1/customresourcedefinitions", name="groupplacements.lws-sched.io")
    product.plane.client.delete(crd)
    what = "kind GroupPlacement"
    wait_until(lambda: what in checked(product), "the kind is gone", 30)

    found = checked(product)[what]
    assert (found["result"], found["detail"]) == ("failed", "the API server does not know it")
    assert DEPLOY.name in found["fix"]
