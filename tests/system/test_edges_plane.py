"""What surrounds the controller, on a real API server: certificates, webhooks, several replicas, endpoints."""

from __future__ import annotations

import base64
import ssl
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from lws_sched.admission import certificates, rotation
from lws_sched.admission.rotation import Held
from lws_sched.admission.server import LOOK_SECONDS as LOOK_EVERY
from tests.controlplane.client import ApiError, path_of
from tests.controlplane.plane import ControlPlane
from tests.controlplane.ports import LOCALHOST, free_ports
from tests.controlplane.start import start_plane
from tests.controlplane.wait import wait_until
from tests.system.product import CRDS, DEPLOY
from tests.system.replicas import LEASE_SECONDS, NAMESPACE, Balancer, Replica, account_kubeconfig

pytestmark = pytest.mark.plane

SETS = path_of("leaderworkerset.x-k8s.io/v1/leaderworkersets", "default")
SECRET = path_of("secrets", NAMESPACE, "lws-webhook-server-cert")
LEASE = path_of("coordination.k8s.io/v1/leases", NAMESPACE, "b8b2488c.x-k8s.io")
ADMISSION = "admissionregistration.k8s.io/v1"
MUTATING = path_of(f"{ADMISSION}/mutatingwebhookconfigurations", name="lws-mutating-webhook-configuration")
VALIDATING = path_of(f"{ADMISSION}/validatingwebhookconfigurations", name="lws-validating-webhook-configuration")
LOOK_SECONDS = 15.0
"""A replica looks every 5 s; on a busy machine a little later."""


class Edges:
    """Two replicas on one control plane."""

    def __init__(self, plane: ControlPlane, balancer: Balancer) -> None:
        self.plane, self.client = plane, plane.client
        self.replicas = {name: Replica(plane, balancer, name) for name in ("lws-a", "lws-b")}

    def secret(self) -> dict[str, bytes]:
        data = self.client.get(SECRET)["data"]
        return {key: base64.b64decode(text) for key, text in data.items()}

    def write_secret(self, state: Held) -> None:
        data = {k: None if v is None else base64.b64encode(v).decode() for k, v in rotation.data(state).items()}
        self.client.patch(SECRET, {"data": data})

    def bundles(self) -> set[bytes]:
        """The authorities that the API server is told to trust."""
        webhooks = [each for path in (MUTATING, VALIDATING) for each in self.client.get(path)["webhooks"]]
        return {base64.b64decode(each["clientConfig"]["caBundle"]) for each in webhooks}

    def served(self) -> set[str]:
        """The certificates that the replicas serve, PEM."""
        return {ssl.get_server_certificate((LOCALHOST, each.port)) for each in self.replicas.values()}

    def leader(self) -> str:
        return str(self.client.get(LEASE)["spec"]["holderIdentity"])

    def tried(self, **spec: Any) -> dict[str, Any]:
        """What the API server makes of a set, without keeping it."""
        return self.client.create(SETS, lws("tried", **spec), dryRun="All")


def lws(name: str, **spec: Any) -> dict[str, Any]:
    template = {"spec": {"containers": [{"name": "main", "image": "busybox"}]}}
    whole = {"replicas": 2, "leaderWorkerTemplate": {"size": 2, "workerTemplate": template}} | spec
    kind = {"apiVersion": "leaderworkerset.x-k8s.io/v1", "kind": "LeaderWorkerSet"}
    return {**kind, "metadata": {"name": name}, "spec": whole}


@pytest.fixture(scope="module")
def edges() -> Iterator[Edges]:
    with start_plane() as plane:
        plane.kubectl("apply", "--server-side", "-k", str(DEPLOY))
        plane.kubectl("wait", "--for=condition=Established", "--timeout=60s", "-f", str(CRDS))
        balancer = Balancer()
        yield Edges(plane, balancer)
        balancer.close()


def test_two_replicas_serve_one_certificate_that_the_api_server_trusts(edges: Edges) -> None:
    (served,) = edges.served()
    held = edges.secret()

    assert held["tls.crt"].decode().strip() == served.strip()
    assert edges.bundles() == {held["ca.crt"]}
    assert edges.tried()["spec"]["networkConfig"] == {"subdomainPolicy": "Shared"}


ROLLING = "spec.rolloutStrategy.rollingUpdateConfiguration"
SUBGROUP = "spec.leaderWorkerTemplate.SubGroupPolicy.subGroupSize"


def group(size: int = 4, **more: Any) -> dict[str, Any]:
    template = {"spec": {"containers": [{"name": "main", "image": "busybox"}]}}
    return {"leaderWorkerTemplate": {"size": size, "workerTemplate": template, **more}}


def rolling(**configuration: Any) -> dict[str, Any]:
    return {"rolloutStrategy": {"type": "RollingUpdate", "rollingUpdateConfiguration": configuration}}


def subgroups(size: int, subgroup: int, **more: Any) -> dict[str, Any]:
    return group(size, subGroupPolicy={"subGroupSize": subgroup, **more})


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (group(0), "spec.leaderWorkerTemplate.size: Invalid value: 0: size must be equal or greater than 1"),
        (
            {"replicas": 100_000, **group(1_000_000)},
            "spec.replicas: Invalid value: 100000: "
            "the product of replicas and worker replicas must not exceed 2147483647",
        ),
        (
            rolling(maxUnavailable=-1),
            f"{ROLLING}.maxUnavailable: Invalid value: -1: must be greater than or equal to 0",
        ),
        (
            rolling(maxUnavailable="200%"),
            f'{ROLLING}.maxUnavailable: Invalid value: "200%": must not be greater than 100%',
        ),
        (rolling(maxSurge="200%"), f'{ROLLING}.maxSurge: Invalid value: "200%": must not be greater than 100%'),
        (
            rolling(maxUnavailable=0, maxSurge=0),
            f"{ROLLING}.maxUnavailable: Invalid value: 0: must not be 0 when `maxSurge` is 0",
        ),
        (
            rolling(maxUnavailable="25%", maxSurge=0),
            f'{ROLLING}.maxUnavailable: Invalid value: "25%": must not be 0 when `maxSurge` is 0',
        ),
        (rolling(partition=-1), f"{ROLLING}.partition: Invalid value: -1: must be greater than or equal to 0"),
        (subgroups(4, 0), f"{SUBGROUP}: Invalid value: 0: subGroupSize must be equal or greater than 1"),
        (
            subgroups(6, 4),
            f"{SUBGROUP}: Invalid value: 4: size or size - 1 must be divisible by subGroupSize",
        ),
        (
            subgroups(4, 2, subGroupPolicyType="LeaderExcluded"),
            f"{SUBGROUP}: Invalid value: 2: size-1 must be divisible by subGroupSize when using LeaderExcluded",
        ),
    ],
)
def test_a_rule_reaches_the_user_with_its_exact_message(edges: Edges, spec: dict[str, Any], message: str) -> None:
    with pytest.raises(ApiError) as refused:
        edges.tried(**spec)

    assert (refused.value.status, refused.value.reason) == (403, "Forbidden")
    assert refused.value.message == f'admission webhook "vleaderworkerset.kb.io" denied the request: {message}'


def test_several_broken_rules_come_in_one_answer(edges: Edges) -> None:
    with pytest.raises(ApiError, match=r"denied the request: \[spec\.leaderWorkerTemplate\.size: .*, spec\.rollout"):
        edges.tried(**group(0), **rolling(partition=-1, maxUnavailable=1))


def stored(edges: Edges, name: str, **spec: Any) -> str:
    """The path of a set that exists."""
    edges.client.create(SETS, lws(name, replicas=0, **spec))
    return f"{SETS}/{name}"


@pytest.mark.parametrize(
    ("before", "change", "message"),
    [
        (
            subgroups(4, 2),
            {"subGroupPolicy": {"subGroupSize": 4}},
            f"{SUBGROUP}: Invalid value: 4: field is immutable",
        ),
        (
            group(4),
            {"subGroupPolicy": {"subGroupSize": 2}},
            f"{SUBGROUP}: Invalid value: 2: cannot enable subGroupSize after the lws is already created",
        ),
        (
            subgroups(4, 2),
            {"subGroupPolicy": None},
            f"{SUBGROUP}: Invalid value: 2: cannot remove subGroupSize after enabled",
        ),
    ],
    ids=["changed", "added", "removed"],
)
def test_what_may_not_change_is_refused_with_its_exact_message(
    edges: Edges, request: pytest.FixtureRequest, before: dict[str, Any], change: dict[str, Any], message: str
) -> None:
    path = stored(edges, f"kept-{request.node.callspec.id}", **before)

    with pytest.raises(ApiError) as refused:
        edges.client.patch(path, {"spec": {"leaderWorkerTemplate": change}})

    assert refused.value.message == f'admission webhook "vleaderworkerset.kb.io" denied the request: {message}'


def test_a_size_may_change_and_deletion_is_never_refused(edges: Edges) -> None:
    path = stored(edges, "resized", **group(2))

    edges.client.patch(path, {"spec": {"leaderWorkerTemplate": {"size": 3}, "replicas": 0}})

    edges.client.delete(path)


@pytest.mark.parametrize(
    ("labels", "annotations", "message"),
    [
        ({"worker-index": "0"}, {}, "size annotation is unexpectedly missing for pod stray"),
        ({"worker-index": "0"}, {"size": "2"}, "parsing pod ordinal for pod stray"),
    ],
    ids=["no size", "no ordinal"],
)
def test_a_pod_that_is_no_member_of_anything_is_refused_by_name(
    edges: Edges, labels: dict[str, str], annotations: dict[str, str], message: str
) -> None:
    prefix = "leaderworkerset.sigs.k8s.io/"
    metadata = {
        "name": "stray",
        "labels": {prefix + key: value for key, value in {"name": "x", **labels}.items()},
        "annotations": {prefix + key: value for key, value in annotations.items()},
    }
    pod = {"metadata": metadata, "spec": {"containers": [{"name": "c", "image": "i"}]}}

    with pytest.raises(ApiError) as refused:
        edges.client.create(path_of("pods", "default"), pod)

    assert refused.value.message.startswith('admission webhook "mpod.kb.io" denied the request: ')
    assert message in refused.value.message


def test_a_bundle_that_somebody_overwrote_is_mended(edges: Edges) -> None:
    stranger = base64.b64encode(certificates.issue(["x.svc"], time.time()).authority).decode()
    webhooks = edges.client.get(VALIDATING)["webhooks"]
    for webhook in webhooks:
        webhook["clientConfig"]["caBundle"] = stranger
    edges.client.patch(VALIDATING, {"webhooks": webhooks})

    wait_until(lambda: edges.bundles() == {edges.secret()["ca.crt"]}, "the bundle is mended", LOOK_SECONDS)
    wait_until(lambda: _works(edges), "webhooks are called again", LOOK_SECONDS)


def test_a_configuration_that_somebody_deleted_comes_back(edges: Edges) -> None:
    edges.client.delete(MUTATING)

    wait_until(lambda: edges.client.find(MUTATING), "it is back", LOOK_SECONDS)
    wait_until(lambda: _works(edges), "webhooks are called again", LOOK_SECONDS)


def test_a_due_certificate_is_changed_without_one_failed_call(edges: Edges) -> None:
    """Two thirds of its life are over and its successor was trusted for long enough: the replicas change over, one
    after the other, while users go on."""
    now, life = time.time(), 3 * 86400.0
    with _users(edges) as failures:
        old = certificates.issue([LOCALHOST], now - 0.7 * life, life)
        serving = edges.secret()
        trusted = certificates.bundle(serving["ca.crt"], old.authority, now=now)
        edges.write_secret(_with(rotation.held(serving), authorities=trusted))
        wait_until(lambda: edges.bundles() == {trusted}, "the new authority is trusted", LOOK_SECONDS)

        # The replicas serve the old one, then stage a successor by themselves.
        edges.write_secret(Held(old, None, trusted))
        wait_until(lambda: edges.served() == {old.certificate.decode()}, "the old one is served", LOOK_SECONDS)
        wait_until(lambda: "next.crt" in edges.secret(), "a successor is staged", LOOK_SECONDS)
        staged = edges.secret()
        wait_until(lambda: edges.bundles() == {staged["ca.crt"]}, "its authority is trusted", LOOK_SECONDS)
        assert edges.served() == {old.certificate.decode()}

        # As if five minutes had passed since.
        aged = certificates.issue([LOCALHOST], now - rotation.TRUSTED_SECONDS - 1)
        trusted = certificates.bundle(staged["ca.crt"], aged.authority, now=now)
        edges.write_secret(_with(rotation.held(staged), authorities=trusted))
        wait_until(lambda: edges.bundles() == {trusted}, "the aged authority is trusted", LOOK_SECONDS)
        edges.write_secret(Held(old, aged, trusted))
        wait_until(lambda: edges.served() == {aged.certificate.decode()}, "both serve the new one", LOOK_SECONDS)
        time.sleep(1)

    assert failures == []


def test_an_expired_certificate_is_replaced_at_once(edges: Edges) -> None:
    expired = certificates.issue([LOCALHOST], time.time() - 2 * 86400, 86400.0)
    edges.write_secret(Held(expired, None, expired.authority))

    def replaced() -> bool:
        held = edges.secret()
        return held["tls.crt"] != expired.certificate and edges.served() == {held["tls.crt"].decode()}

    wait_until(replaced, "both replicas serve a new one", LOOK_SECONDS)
    wait_until(lambda: _works(edges), "webhooks are called", LOOK_SECONDS)
    assert expired.authority not in edges.secret()["ca.crt"]


def test_the_probes_tell_what_is_missing(edges: Edges) -> None:
    replica = edges.replicas["lws-a"]

    assert replica.probe("/healthz") == (200, "ok")
    assert replica.probe("/readyz") == (200, "ok")
    assert replica.probe("/metrics")[0] == 404


def test_replicas_that_have_nothing_to_mend_write_nothing(edges: Edges) -> None:
    def versions() -> list[str]:
        return [edges.client.get(path)["metadata"]["resourceVersion"] for path in (MUTATING, VALIDATING, SECRET)]

    before = versions()
    time.sleep(2 * LOOK_EVERY)

    assert versions() == before


def test_metrics_are_for_those_who_may_read_them(edges: Edges) -> None:
    port = edges.replicas[edges.leader()].metrics_port
    account = f"--namespace={NAMESPACE}"
    stranger = edges.plane.kubectl("create", "token", "default", account).strip()
    assert _metrics(port, "")[0] == 401
    assert _metrics(port, "nonsense")[0] == 401
    status, text = _metrics(port, stranger)
    assert status == 403
    assert "bind it to the role lws-sched-metrics" in text

    binding = {
        "metadata": {"name": "prometheus"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "lws-sched-metrics"},
        "subjects": [{"kind": "ServiceAccount", "name": "prometheus", "namespace": "default"}],
    }
    edges.client.create(path_of("serviceaccounts", "default"), {"metadata": {"name": "prometheus"}})
    edges.client.create(path_of("rbac.authorization.k8s.io/v1/clusterrolebindings"), binding)
    prometheus = edges.plane.kubectl("create", "token", "prometheus", "--namespace=default").strip()
    wait_until(lambda: _metrics(port, prometheus)[0] == 200, "Prometheus may read them")

    text = _metrics(port, prometheus)[1]
    for line in (
        'leader_election_master_status{name="b8b2488c.x-k8s.io"} 1.0',
        'workqueue_depth{name="sets"} 0.0',
        'controller_runtime_webhook_requests_total{code="200",webhook="/validate-leaderworkerset-x-k8s-io-v1-leade',
        'rest_client_requests_total{code="200",host=',
        "lws_sched_ready 1.0",
        "lws_sched_webhook_certificate_expiry_seconds",
        "process_resident_memory_bytes",
    ):
        assert line in text, line


def test_the_next_replica_goes_on_within_the_lease_when_the_leader_is_killed(edges: Edges) -> None:
    first = edges.leader()
    (second,) = set(edges.replicas) - {first}
    edges.client.create(SETS, lws("survivor"))
    wait_until(lambda: _leaders_set(edges, "survivor"), "the set is reconciled")

    edges.replicas[first].kill()
    killed = time.monotonic()
    # The webhooks do not wait for the next leader.
    wait_until(lambda: _works(edges), "the other replica answers", 3)
    wait_until(lambda: edges.leader() == second, "the other replica leads", 3 * LEASE_SECONDS)
    took = time.monotonic() - killed
    edges.client.create(SETS, lws("later"))
    wait_until(lambda: _leaders_set(edges, "later"), "the next set is reconciled", 10)

    assert took < 2 * LEASE_SECONDS
    edges.plane.start_component(first)


def _held_by(edges: Edges, path: str) -> str:
    try:
        return str(edges.client.get(path)["data"]["ca.crt"])
    except ApiError:
        return ""


def test_the_extender_runs_under_its_own_account(edges: Edges) -> None:
    """Its role suffices for the certificates, the registration, the Lease and the metrics."""
    probes, hooks, metrics, verbs = free_ports(4)
    argv = [sys.executable, "-m", "lws_sched.cli.main", "extender", "--namespace", NAMESPACE]
    argv += ["--kubeconfig", str(account_kubeconfig(edges.plane, "lws-sched-extender"))]
    argv += ["--webhook-url", f"https://{LOCALHOST}:{hooks}", "--webhook-bind-address", f"{LOCALHOST}:{hooks}"]
    argv += ["--bind-address", f"{LOCALHOST}:{verbs}", "--metrics-bind-address", f"{LOCALHOST}:{metrics}"]
    argv += ["--health-probe-bind-address", f"{LOCALHOST}:{probes}", "--placement-bind-address", f"{LOCALHOST}:0"]
    argv += ["--page-bind-address", f"{LOCALHOST}:0"]
    pod = {"metadata": {"name": "extender-0"}, "spec": {"containers": [{"name": "c", "image": "i"}]}}
    edges.client.create(path_of("pods", NAMESPACE), pod)

    def ready() -> bool:
        with urllib.request.urlopen(f"http://{LOCALHOST}:{probes}/readyz", timeout=2) as answer:
            return bool(answer.status == 200)

    edges.plane.spawn("extender", argv, {"POD_NAME": "extender-0"}, ready)

    held = edges.client.get(path_of("secrets", NAMESPACE, "lws-sched-extender-cert"))["data"]
    path = path_of(f"{ADMISSION}/mutatingwebhookconfigurations", name="lws-sched-pod-placement")
    (webhook,) = edges.client.get(path)["webhooks"]
    assert webhook["clientConfig"]["caBundle"] == held["ca.crt"]

    def labelled() -> bool:
        labels = edges.client.get(path_of("pods", NAMESPACE, "extender-0"))["metadata"].get("labels", {})
        return bool(labels.get("lws-sched.io/leader") == "true")

    wait_until(labelled, "the leader's pod carries the label", LOOK_SECONDS)
    published = path_of("configmaps", NAMESPACE, "lws-sched-placement")
    authority = base64.b64decode(held["ca.crt"]).decode()
    wait_until(lambda: _held_by(edges, published) == authority, "clients can learn whom to trust", LOOK_SECONDS)
    status, text = _metrics(metrics, edges.plane.token)
    assert status == 200
    assert 'leader_election_master_status{name="lws-extender.lws-sched.io"} 1.0' in text
    log = (edges.plane.logs / "extender.log").read_text()
    assert "forbidden" not in log.lower()
    edges.plane.stop_component("extender")
    edges.client.delete(path)


def test_a_bad_configuration_ends_the_program_with_one_sentence(edges: Edges) -> None:
    path = edges.plane.workdir / "bad.yaml"
    path.write_text("apiVersion: config.lws.x-k8s.io/v1alpha1\nkind: Configuration\nwebhook:\n  prot: 1\n")
    argv = [sys.executable, "-m", "lws_sched.cli.main", "controller", "--config", str(path)]

    ended = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)

    assert ended.returncode == 1
    (line,) = ended.stderr.splitlines()
    said = "line 4: webhook.prot: there is no such field; see docs/configuration.md"
    assert line.endswith(f"cannot start: {path}: {said}")


def _with(state: Held, *, authorities: bytes) -> Held:
    return Held(state.serving, state.following, authorities)


def _works(edges: Edges) -> bool:
    """Whether both webhooks of the kind are called, and let a good set pass."""
    try:
        return "networkConfig" in edges.tried()["spec"]
    except ApiError:
        return False


def _leaders_set(edges: Edges, name: str) -> bool:
    return edges.client.find(path_of("apps/v1/statefulsets", "default", name)) is not None


@contextmanager
def _users(edges: Edges) -> Iterator[list[str]]:
    """Users who create sets all the time; yields what they were told that they should not have been."""
    failures: list[str] = []
    done = threading.Event()

    def create() -> None:
        while not done.wait(0.02):
            try:
                edges.tried()
            except ApiError as refused:
                failures.append(refused.message)

    thread = threading.Thread(target=create, daemon=True)
    thread.start()
    try:
        yield failures
    finally:
        done.set()
        thread.join()


def _metrics(port: int, token: str) -> tuple[int, str]:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    request = urllib.request.Request(f"https://{LOCALHOST}:{port}/metrics", headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=10, context=ssl._create_unverified_context()) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as refused:
        return refused.code, refused.read().decode()
