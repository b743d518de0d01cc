"""The chart on the real control plane: installed by real Helm, upgraded, uninstalled with groups held and waiting."""

from __future__ import annotations

import base64
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from lws_sched.admission import certificates
from lws_sched.admission.registration import EXTENDER as EXTENDER_NAMES
from lws_sched.admission.registration import ServiceConnection, configurations
from lws_sched.extender.app import build
from lws_sched.sim.world import World
from tests.controlplane.client import path_of
from tests.controlplane.nodes import create_nodes, rack_nodes
from tests.controlplane.plane import ControlPlane
from tests.controlplane.start import start_plane
from tests.controlplane.wait import wait_until
from tests.scenarios.manifests import lws
from tests.system.product import EXTENDER
from tests.system.replicas import NAMESPACE, account_kubeconfig
from tests.system.second_scheduler import SCHEDULER, SecondScheduler
from tests.unit.deploy.charts import CHART, helm, rendered

pytestmark = pytest.mark.plane

BUNDLE = base64.b64encode(certificates.issue(["x"], time.time()).authority).decode()
PODS, NODES = path_of("pods", "default"), path_of("nodes")
SETS = path_of("leaderworkerset.x-k8s.io/v1/leaderworkersets", "default")
CONFIG_MAPS = path_of("configmaps", "default")
DEPLOYMENTS = path_of("apps/v1/deployments", NAMESPACE)
CRDS = path_of("apiextensions.k8s.io/v1/customresourcedefinitions")
WEBHOOKS = path_of("admissionregistration.k8s.io/v1/mutatingwebhookconfigurations")


def run_helm(plane: ControlPlane, *arguments: str) -> str:
    return helm(*arguments, "--kubeconfig", str(plane.kubeconfig), "--namespace", NAMESPACE)


@pytest.fixture(scope="module")
def plane() -> Iterator[ControlPlane]:
    with start_plane() as plane:
        create_nodes(plane, rack_nodes(2, 4))
        yield plane


@pytest.fixture(scope="module")
def notes(plane: ControlPlane) -> str:
    """The chart is installed: what Helm said at the end."""
    return run_helm(plane, "install", "lws-sched", str(CHART), "--create-namespace").partition("\nNOTES:\n")[2]


@pytest.fixture(scope="module")
def product(plane: ControlPlane, notes: str) -> SecondScheduler:
    product = SecondScheduler(plane, installed=rendered())
    product.install()
    return product


@pytest.mark.parametrize(
    ("values", "said", "unsaid"),
    [
        ({}, ["wait deployment --all"], ["tlsConfig"]),
        ({"scheduler": {"mode": "cluster"}}, ["serverName: lws-sched-extender-verbs.lws-system.svc"], []),
        ({"monitoring": {"dashboard": True}}, [], ["monitoring.prometheus"]),
        ({"crds": {"install": False}}, ["kubectl apply --server-side -k deploy/crds"], []),
    ],
    ids=["defaults", "the cluster's own scheduler", "dashboard", "without the kinds"],
)
def test_the_notes_say_what_to_do_next(
    plane: ControlPlane, tmp_path: Path, values: Mapping[str, Any], said: list[str], unsaid: list[str]
) -> None:
    path = tmp_path / "values.yaml"
    path.write_text(yaml.safe_dump(values))

    text = run_helm(plane, "install", "another", str(CHART), "--values", str(path), "--dry-run=client")

    notes = text.partition("\nNOTES:\n")[2]
    assert all(each in notes for each in [*said, "lws-sched check -n lws-system"])
    assert not any(each in notes for each in unsaid)
    steps = [line[0] for line in notes.splitlines() if line[:2] in ("1.", "2.", "3.")]
    assert steps == [str(number + 1) for number in range(len(steps))]


def test_an_upgrade_leaves_what_the_programs_wrote_and_upgrades_the_kinds(
    plane: ControlPlane, notes: str, tmp_path: Path
) -> None:
    registered(plane)
    newer = tmp_path / "newer"
    shutil.copytree(CHART, newer)
    crd = newer / "files" / "crds" / "groupplacements.yaml"
    crd.write_text(crd.read_text().replace("shortNames: [gp]", "shortNames: [gp, newer]"))

    run_helm(plane, "upgrade", "lws-sched", str(newer), "--set=extender.replicas=3")

    assert plane.client.get(f"{DEPLOYMENTS}/lws-sched-extender")["spec"]["replicas"] == 3
    after = plane.client.get(f"{WEBHOOKS}/lws-sched-pod-placement")["webhooks"]
    assert [each["clientConfig"]["caBundle"] for each in after] == [BUNDLE] * len(after)
    names = plane.client.get(f"{CRDS}/groupplacements.lws-sched.io")["spec"]["names"]
    assert names["shortNames"] == ["gp", "newer"]


def registered(plane: ControlPlane) -> None:
    """Write the extender's webhook configuration as the extender does."""
    hooks = World().start("extender", build).hooks
    connection = ServiceConnection(NAMESPACE, "lws-sched-extender", base64.b64decode(BUNDLE))
    for _, body in configurations(hooks, EXTENDER_NAMES, connection):
        plane.client.apply(f"{WEBHOOKS}/{body['metadata']['name']}", body, "lws-extender", force=True)


def test_the_chart_is_installed_and_places_a_group(product: SecondScheduler, notes: str) -> None:
    assert "lws-sched check -n lws-system" in notes
    plane = product.plane
    plane.client.create(SETS, lws("held", size=4).required().body)

    wait_until(lambda: len(bound(plane, "held")) == 4, "the group is bound", 60)


def test_uninstalling_leaves_no_pod_gated_no_node_tainted_and_the_sets_alone(
    product: SecondScheduler, tmp_path: Path
) -> None:
    plane = product.plane
    plane.client.create(SETS, lws("waits", size=8).required().body)
    wait_until(lambda: len(gated(plane)) == 8, "its pods are gated", 30)
    running = bound(plane, "held")

    said = uninstalled(product)

    assert "8 gates lifted" in said
    assert "default/held, default/waits wait for a scheduler called lws-sched" in said
    assert gated(plane) == []
    assert not any(has_our_taint(node) for node in plane.client.list(NODES))
    # The hook's Job would have run this command; there is nobody here who runs its image.
    run_helm(plane, "uninstall", "lws-sched", "--no-hooks")
    assert bound(plane, "held") == running
    assert [each["metadata"]["name"] for each in plane.client.list(SETS)] == ["held", "waits"]
    # A new pod of a group asks nobody any more.
    plane.client.delete(f"{PODS}/held-0-1")
    wait_until(lambda: "held-0-1" in names_of(plane), "the StatefulSet makes it again", 30)
    assert gated(plane) == []

    collector_knows_the_kind(plane)
    for name in ("lws-controller", SCHEDULER):
        plane.stop_component(name)
    plane.kubectl("delete", "namespace", NAMESPACE, "--timeout=60s")
    plane.kubectl("delete", "crd", "leaderworkersets.leaderworkerset.x-k8s.io", "--timeout=60s")
    plane.kubectl("delete", "crd", "groupplacements.lws-sched.io", "--timeout=60s")
    wait_until(lambda: not names_of(plane), "nothing is left of the groups", 60)


def collector_knows_the_kind(plane: ControlPlane) -> None:
    """The garbage collector looks for new kinds every 30 s. Of one that has come and gone in between it never knows."""
    gone = {
        "apiVersion": "leaderworkerset.x-k8s.io/v1",
        "kind": "LeaderWorkerSet",
        "name": "gone",
        "uid": "00000000-0000-0000-0000-000000000000",
    }
    plane.client.create(CONFIG_MAPS, {"metadata": {"name": "left-behind", "ownerReferences": [gone]}})
    wait_until(lambda: plane.client.find(f"{CONFIG_MAPS}/left-behind") is None, "what its owner left is collected", 90)


def uninstalled(product: SecondScheduler) -> str:
    """Run the command of the hook's Job with the hook's rights and nothing more, and end the extender as its kubelet
    would."""
    plane = product.plane
    hooks = [each for each in rendered() if "helm.sh/hook" in (each["metadata"].get("annotations") or {})]
    (job,) = (each for each in hooks if each["kind"] == "Job")
    plane.kubectl("apply", "-f", "-", input=yaml.safe_dump_all([each for each in hooks if each is not job]))
    spec = job["spec"]["template"]["spec"]
    kubeconfig = account_kubeconfig(plane, spec["serviceAccountName"])
    argv = [sys.executable, "-m", "lws_sched.cli.main", *spec["containers"][0]["args"], "--kubeconfig", str(kubeconfig)]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as running:
        deployment = f"{DEPLOYMENTS}/lws-sched-extender"
        wait_until(lambda: plane.client.get(deployment)["spec"]["replicas"] == 0, "the extender is scaled down", 30)
        plane.stop_component(EXTENDER)
        said, _ = running.communicate(timeout=120)
    assert running.returncode == 0, said
    return said


def bound(plane: ControlPlane, name: str) -> dict[str, str]:
    return {
        pod["metadata"]["name"]: pod["spec"]["nodeName"]
        for pod in plane.client.list(PODS)
        if pod["spec"].get("nodeName") and pod["metadata"]["name"].startswith(f"{name}-")
    }


def gated(plane: ControlPlane) -> list[str]:
    return [pod["metadata"]["name"] for pod in plane.client.list(PODS) if pod["spec"].get("schedulingGates")]


def names_of(plane: ControlPlane) -> set[str]:
    return {pod["metadata"]["name"] for pod in plane.client.list(PODS)}


def has_our_taint(node: dict[str, Any]) -> bool:
    return any(taint["key"] == "lws-sched.io/reserved" for taint in node["spec"].get("taints", ()))
