"""What a real API server and kube-scheduler make of the files under deploy/."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from deploy.tools import generate_crds
from lws_sched.admission import certificates
from lws_sched.admission.hook import Hook, Request, Verdict, changed, denied
from lws_sched.admission.registration import EXTENDER, UrlConnection, configurations
from lws_sched.admission.server import hook_server
from lws_sched.api import names
from lws_sched.api.core import POD
from tests.controlplane.client import ApiError, path_of
from tests.controlplane.plane import ControlPlane, KubectlFailed
from tests.controlplane.wait import wait_until
from tests.unit.deploy.manifests import DEPLOY, files

pytestmark = pytest.mark.plane

NAMESPACE = "deploy"
SETS = path_of("leaderworkerset.x-k8s.io/v1/leaderworkersets", NAMESPACE)
PLACEMENTS = path_of("lws-sched.io/v1alpha1/groupplacements", NAMESPACE)
HOST = "127.0.0.1"
CONTROLLER = ("Deployment", "lws-sched-controller")


@pytest.fixture(scope="module")
def plane() -> Iterator[ControlPlane]:
    with ControlPlane(scheduler_config=DEPLOY / "scheduler" / "kube-scheduler-config.yaml", kwok=False) as plane:
        plane.kubectl("apply", "-k", str(DEPLOY))
        wait_until(lambda: is_served(plane, SETS), "LeaderWorkerSets are served")
        wait_until(lambda: is_served(plane, PLACEMENTS), "GroupPlacements are served")
        plane.create_namespace(NAMESPACE)
        yield plane


def is_served(plane: ControlPlane, path: str) -> bool:
    """A new kind is not found at first, then its storage is initializing (429)."""
    try:
        return plane.client.find(path) is not None
    except ApiError as problem:
        if problem.status == 429:
            return False
        raise


def lws(name: str, **spec: Any) -> dict[str, Any]:
    template = {"spec": {"containers": [{"name": "main", "image": "busybox"}]}}
    whole = {"leaderWorkerTemplate": {"workerTemplate": template}, **spec}
    kind = {"apiVersion": "leaderworkerset.x-k8s.io/v1", "kind": "LeaderWorkerSet"}
    return {**kind, "metadata": {"name": name, "namespace": NAMESPACE}, "spec": whole}


def template_with(**fields: Any) -> dict[str, Any]:
    template = {"spec": {"containers": [{"name": "main", "image": "busybox"}]}}
    return {"workerTemplate": template, **fields}


def test_the_generated_crd_is_what_this_api_server_gives(plane: ControlPlane) -> None:
    skeleton = yaml.safe_load(generate_crds.SKELETON.read_text())

    text = generate_crds.rendered(skeleton, json.loads(plane.client.text("/openapi/v3/api/v1")))

    assert text == generate_crds.OUTPUT.read_text()


def test_a_minimal_set_gets_the_defaults(plane: ControlPlane) -> None:
    spec = plane.client.create(SETS, lws("minimal", rolloutStrategy={"rollingUpdateConfiguration": {}}))["spec"]

    template = spec["leaderWorkerTemplate"]
    assert (spec["replicas"], spec["startupPolicy"]) == (1, "LeaderCreated")
    assert (template["size"], template["restartPolicy"]) == (1, "RecreateGroupOnPodRestart")
    assert template["workerTemplate"] == {"spec": {"containers": [{"name": "main", "image": "busybox"}]}}
    assert spec["rolloutStrategy"] == {
        "type": "RollingUpdate",
        "rollingUpdateConfiguration": {"partition": 0, "maxUnavailable": 1, "maxSurge": 0},
    }


@pytest.mark.parametrize(
    "spec",
    [
        pytest.param({"replicas": -1}, id="negative replicas"),
        pytest.param({"replicas": 1_000_001}, id="a million and one replicas"),
        pytest.param({"startupPolicy": "Sometimes"}, id="unknown startup policy"),
        pytest.param({"leaderWorkerTemplate": template_with(restartPolicy="Sometimes")}, id="unknown restart policy"),
        pytest.param({"leaderWorkerTemplate": {}}, id="no worker template"),
        pytest.param({"rolloutStrategy": {"type": "Recreate"}}, id="unknown rollout"),
        pytest.param({"networkConfig": {}}, id="network without subdomain policy"),
        pytest.param({"networkConfig": {"subdomainPolicy": "Some"}}, id="unknown subdomain policy"),
        pytest.param(
            {"leaderWorkerTemplate": {"workerTemplate": {"spec": {"containers": [{"name": "a"}, {"name": "a"}]}}}},
            id="two containers of one name",
        ),
    ],
)
def test_a_set_that_breaks_the_schema_is_refused(plane: ControlPlane, spec: dict[str, Any]) -> None:
    with pytest.raises(ApiError) as refused:
        plane.client.create(SETS, lws("broken", **spec))

    assert (refused.value.status, refused.value.reason) == (422, "Invalid")


def test_kubectl_prints_and_scales_a_set(plane: ControlPlane) -> None:
    plane.client.create(SETS, lws("scaled"))
    plane.client.patch(f"{SETS}/scaled/status", {"status": {"readyReplicas": 1, "replicas": 1, "updatedReplicas": 1}})

    plane.kubectl("scale", "lws", "scaled", "--replicas=3", f"--namespace={NAMESPACE}")

    header, row = plane.kubectl("get", "lws", "scaled", f"--namespace={NAMESPACE}").splitlines()
    assert header.split() == ["NAME", "READY", "DESIRED", "UP-TO-DATE", "AGE"]
    assert row.split()[:4] == ["scaled", "1", "3", "1"]


def test_a_pod_field_of_the_future_survives_kubectl_apply(plane: ControlPlane) -> None:
    future = lws("future")
    pod = future["spec"]["leaderWorkerTemplate"]["workerTemplate"]["spec"]
    pod["futureField"] = {"of": ["any", "shape"]}
    pod["containers"][0] |= {"futureKnob": 3, "securityContext": {"futureMode": "Strict"}}

    plane.kubectl("apply", "-f", "-", input=json.dumps(future))

    stored = plane.client.get(f"{SETS}/future")["spec"]["leaderWorkerTemplate"]["workerTemplate"]["spec"]
    assert stored == pod


def test_two_appliers_share_a_template_container_by_container(plane: ControlPlane) -> None:
    path = f"{SETS}/shared"
    plane.client.apply(path, lws("shared"), "first")
    sidecar = lws("shared")
    sidecar["spec"]["leaderWorkerTemplate"]["workerTemplate"]["spec"]["containers"] = [
        {"name": "sidecar", "image": "busybox", "ports": [{"containerPort": 80}]}
    ]

    merged = plane.client.apply(path, sidecar, "second")

    containers = merged["spec"]["leaderWorkerTemplate"]["workerTemplate"]["spec"]["containers"]
    assert [c["name"] for c in containers] == ["main", "sidecar"]
    assert containers[1]["ports"] == [{"containerPort": 80, "protocol": "TCP"}]


def test_a_new_groupplacement_prints_as_waiting(plane: ControlPlane) -> None:
    kind = {"apiVersion": "lws-sched.io/v1alpha1", "kind": "GroupPlacement"}
    body = {**kind, "metadata": {"name": "a-0"}, "spec": {"leaderWorkerSet": "a", "size": 4}}
    plane.client.create(PLACEMENTS, body)

    header, row = plane.kubectl("get", "gp", "a-0", f"--namespace={NAMESPACE}").splitlines()
    assert header.split() == ["NAME", "STATE", "DOMAIN", "SIZE", "BOUND", "REASON", "AGE"]
    assert row.split()[:4] == ["a-0", "Waiting", "4", "0"]


@pytest.mark.parametrize("path", files("samples"))
def test_a_sample_is_accepted(plane: ControlPlane, path: str) -> None:
    plane.kubectl("apply", "--dry-run=server", "-f", str(DEPLOY / path))


@pytest.mark.parametrize("overlay", ["default", "volcano"])
def test_the_whole_installation_is_accepted(plane: ControlPlane, overlay: str) -> None:
    text = plane.kubectl("kustomize", str(DEPLOY / "kustomize" / overlay))

    said = plane.kubectl("apply", "--server-side", "--force-conflicts", "--dry-run=server", "-f", "-", input=text)

    documents = [each for each in yaml.safe_load_all(text) if each]
    assert len(said.splitlines()) == len(documents) > 30
    (controller,) = (each for each in documents if (each["kind"], each["metadata"]["name"]) == CONTROLLER)
    assert controller["spec"]["template"]["spec"]["containers"][0]["image"] == "lws-sched:0.1.0"


@pytest.mark.parametrize("overlay", ["cert-manager"])
def test_an_overlay_with_kinds_of_others_can_be_built(plane: ControlPlane, overlay: str) -> None:
    text = plane.kubectl("kustomize", str(DEPLOY / "kustomize" / overlay))

    webhooks = [each for each in yaml.safe_load_all(text) if each["kind"].endswith("WebhookConfiguration")]
    assert len(webhooks) == 3
    assert all("cert-manager.io/inject-ca-from" in each["metadata"]["annotations"] for each in webhooks)


@pytest.mark.parametrize(
    ("account", "verb", "resource", "allowed"),
    [
        ("lws-sched-extender", "create", "pods/binding", True),
        ("lws-sched-extender", "update", "groupplacements.lws-sched.io", True),
        ("lws-sched-extender", "delete", "nodes", False),
        ("lws-sched-controller", "patch", "statefulsets.apps", True),
        ("lws-sched-controller", "update", "groupplacements.lws-sched.io", False),
        ("lws-sched-controller", "get", "secrets", False),
        ("lws-sched-controller", "get", "secrets/lws-webhook-server-cert", False),
    ],
)
def test_roles(plane: ControlPlane, account: str, verb: str, resource: str, allowed: bool) -> None:
    user = f"--as=system:serviceaccount:lws-system:{account}"
    question = ("auth", "can-i", verb, resource, user, f"--namespace={NAMESPACE}")
    if allowed:
        assert plane.kubectl(*question).strip() == "yes"
    else:
        with pytest.raises(KubectlFailed):
            plane.kubectl(*question)


def test_kube_scheduler_runs_with_the_configuration(plane: ControlPlane) -> None:
    assert plane.component("scheduler").alive


def place(request: Request) -> Verdict:
    if request.object["metadata"]["name"] == "unwanted":
        return denied("this pod is not wanted")
    gates = [{"name": names.GATE}]
    return Verdict(
        patch=changed(request.object, {**request.object, "spec": {**_spec(request), "schedulingGates": gates}})
    )


def _spec(request: Request) -> dict[str, Any]:
    return dict(request.object["spec"])


def pod(name: str, scheduler: str) -> dict[str, Any]:
    spec = {"schedulerName": scheduler, "containers": [{"name": "main", "image": "busybox"}]}
    return {"metadata": {"name": name}, "spec": spec}


def test_the_api_server_asks_a_registered_hook_about_our_pods_only(plane: ControlPlane) -> None:
    hook = Hook("pods.lws-sched.io", "/pods", POD, ("CREATE",), True, place, scheduler=names.SCHEDULER)
    certificate = certificates.issue([HOST], time.time())
    server = hook_server([hook], HOST, 0, lambda: "")
    server.use(certificate)
    server.start()
    connection = UrlConnection(f"https://{HOST}:{server.port}", certificate.authority)
    ((kind, body),) = configurations([hook], EXTENDER, connection)
    account = "system:serviceaccount:lws-system:lws-sched-extender"
    pods = path_of("pods", NAMESPACE)
    try:
        applied = plane.kubectl("apply", "--server-side", f"--as={account}", "-f", "-", input=json.dumps(body))
        assert EXTENDER.mutating in applied
        wait_until(lambda: _is_asked(plane, pods), "the API server asks the hook")

        with pytest.raises(
            ApiError, match=r'"pods.lws-sched.io" denied the request: this pod is not wanted'
        ) as refused:
            plane.client.create(pods, pod("unwanted", names.SCHEDULER))
        assert (refused.value.status, refused.value.reason) == (403, "Forbidden")

        stranger = plane.client.create(pods, pod("unwanted", "default-scheduler"))
        assert "schedulingGates" not in stranger["spec"]
    finally:
        plane.client.delete(path_of(f"{kind.group}/v1/{kind.plural}", name=EXTENDER.mutating))
        server.stop()


def _is_asked(plane: ControlPlane, pods: str) -> bool:
    answer = plane.client.create(pods, pod("probe", names.SCHEDULER), dryRun="All")
    return "schedulingGates" in answer["spec"]
