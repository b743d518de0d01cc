from __future__ import annotations

import base64
from dataclasses import dataclass, field
from typing import Any

import msgspec
import pytest

from deploy.tools import generate_rights
from lws_sched.admission import certificates, verb_access
from lws_sched.api.meta import Kind
from lws_sched.api.timestamps import micro_time
from lws_sched.cli import check
from lws_sched.cli.check_scheduler import configured
from lws_sched.cli.findings import FAILED, OK, WARNING, Finding
from lws_sched.kube.errors import ApiError, Invalid, NotFound
from tests.unit.cli.commands import Body, racks
from tests.unit.deploy.manifests import DEPLOY, documents

(_config_map,) = (each for each in documents("kustomize/default/scheduler.yaml") if each["kind"] == "ConfigMap")
SCHEDULER = _config_map["data"]["scheduler.yaml"]
CONFIG = "lws-sched-scheduler-config/scheduler.yaml"
CALLS = "certificates of kube-scheduler's calls"
NOW = 1_790_000_000.0
AUTHORITY = base64.b64encode(certificates.issue(("x",), NOW).authority).decode()


@dataclass
class Installation:
    """A whole installation as the API server tells of it; tests take parts away."""

    objects: dict[str, list[Body]] = field(default_factory=dict)
    missing_kinds: set[str] = field(default_factory=set)
    denied: set[str] = field(default_factory=set)
    """Resources that the service accounts may not touch."""
    validating: ApiError | None = field(default_factory=lambda: Invalid("denied the request: wrong"))
    gates: bool = True

    def __post_init__(self) -> None:
        webhook = {"name": "w", "clientConfig": {"caBundle": AUTHORITY}}
        taint = {"key": "gpu", "effect": "NoSchedule"}
        self.objects = {
            "Lease": [_lease("b8b2488c.x-k8s.io"), _lease("lws-sched-scheduler"), _lease("lws-extender.lws-sched.io")],
            "ConfigMap": [_named("lws-sched-scheduler-config", data={"scheduler.yaml": SCHEDULER})],
            "Secret": [_named("lws-sched-extender-verbs", data=_certificates(NOW))],
            "MutatingWebhookConfiguration": [
                _named("lws-mutating-webhook-configuration", webhooks=[webhook]),
                _named("lws-sched-pod-placement", webhooks=[webhook]),
            ],
            "ValidatingWebhookConfiguration": [_named("lws-validating-webhook-configuration", webhooks=[webhook])],
            "Node": [{**node, "spec": {"taints": [taint]}} for node in racks(1, 2)],
            "Pod": [_pod("bound", node_name="rack-00-host-00")],
        }

    def get(self, kind: Kind[Any], namespace: str, name: str) -> Any:
        for body in self.objects.get(kind.kind, []):
            if body["metadata"]["name"] == name:
                return msgspec.convert(body, kind.type)
        raise NotFound(f"{kind.plural} {name} not found")

    def list(self, kind: Kind[Any]) -> list[Any]:
        if kind.kind in self.missing_kinds:
            raise NotFound("the server could not find the requested resource")
        return [msgspec.convert(body, kind.type) for body in self.objects.get(kind.kind, [])]

    def create(self, kind: Kind[Any], body: Any, *, dry_run: bool = False) -> Any:
        if kind.kind == "SubjectAccessReview":
            asked = body["spec"]["resourceAttributes"]
            resource = "/".join(each for each in (asked["resource"], asked["subresource"]) if each)
            return msgspec.convert({"status": {"allowed": resource not in self.denied}}, kind.type)
        assert dry_run
        if kind.kind == "LeaderWorkerSet" and self.validating is not None:
            raise self.validating
        gates = [{"name": "lws-sched.io/group-placement"}] if self.gates else []
        return msgspec.convert({**body, "spec": {**body["spec"], "schedulingGates": gates}}, kind.type)

    def findings(self) -> dict[str, Finding]:
        return {each.what: each for each in check.findings(self, "lws-system", NOW)}


def _named(name: str, **fields: Any) -> Body:
    return {"metadata": {"name": name}, **fields}


def _lease(name: str, renewed: float = NOW - 2) -> Body:
    return _named(name, spec={"holderIdentity": "me", "leaseDurationSeconds": 15, "renewTime": micro_time(renewed)})


def _pod(name: str, node_name: str = "", created: float = NOW - 120) -> Body:
    meta = {"name": name, "namespace": "default", "creationTimestamp": micro_time(created)}
    return {"metadata": meta, "spec": {"schedulerName": "lws-sched", "nodeName": node_name}}


def test_a_whole_installation_has_nothing_to_find() -> None:
    assert {each.result for each in Installation().findings().values()} == {OK}


def _no_leader(it: Installation) -> None:
    it.objects["Lease"].pop()


def _silent_leader(it: Installation) -> None:
    it.objects["Lease"][0] = _lease("b8b2488c.x-k8s.io", NOW - 600)


def _no_webhook(it: Installation) -> None:
    it.objects["ValidatingWebhookConfiguration"].clear()


def _old_certificate(it: Installation) -> None:
    old = base64.b64encode(certificates.issue(("x",), NOW - 3 * 365 * 86400).authority).decode()
    it.objects["MutatingWebhookConfiguration"][1]["webhooks"][0] = {"clientConfig": {"caBundle": old}}


def _unseen_pod(it: Installation) -> None:
    it.objects["Pod"].append(_pod("lonely"))


def _silent_scheduler(it: Installation) -> None:
    it.objects["Lease"][1] = _lease("lws-sched-scheduler", NOW - 600)


def _profile_that_stops_early(it: Installation) -> None:
    it.objects["ConfigMap"][0]["data"]["scheduler.yaml"] = SCHEDULER.replace("ToScore: 100", "ToScore: 10")


def _no_profile(it: Installation) -> None:
    it.objects["ConfigMap"][0]["data"]["scheduler.yaml"] = SCHEDULER.replace(
        "schedulerName: lws-sched", "schedulerName: x"
    )


def _no_client_certificate(it: Installation) -> None:
    it.objects["Secret"][0]["data"]["client.crt"] = it.objects["Secret"][0]["data"]["tls.crt"]


def _old_client_certificate(it: Installation) -> None:
    it.objects["Secret"] = [_named("lws-sched-extender-verbs", data=_certificates(NOW - 11 * 365 * 86400))]


def _certificates(issued: float) -> Body:
    access = verb_access.turned(verb_access.read({}), ["x"], issued)
    return {key: base64.b64encode(value).decode() for key, value in verb_access.written(access).items() if value}


def _no_labels(it: Installation) -> None:
    for node in it.objects["Node"]:
        node["metadata"]["labels"] = {}


def _no_taints(it: Installation) -> None:
    it.objects["Node"][1]["spec"] = {}


def _taints_that_pass(it: Installation) -> None:
    keys = ("lws-sched.io/reserved", "node.kubernetes.io/unschedulable")
    it.objects["Node"][1]["spec"] = {"taints": [{"key": key, "effect": "NoSchedule"} for key in keys]}


@pytest.mark.parametrize(
    ("spoil", "what", "result", "said"),
    [
        (lambda it: it.missing_kinds.add("GroupPlacement"), "kind GroupPlacement", FAILED, "does not know it"),
        (_no_leader, "extender leader", FAILED, "no Lease lws-system/lws-extender.lws-sched.io"),
        (_silent_leader, "controller leader", FAILED, "last renewed the Lease 10m ago"),
        (_no_webhook, "webhooks lws-validating-webhook-configuration", FAILED, "not registered"),
        (_old_certificate, "webhooks lws-sched-pod-placement", FAILED, "authority ended on"),
        (lambda it: setattr(it, "validating", None), "controller answers", FAILED, "let a wrong LeaderWorkerSet pass"),
        (
            lambda it: setattr(it, "validating", ApiError("failed calling webhook: refused")),
            "controller answers",
            FAILED,
            "failed calling webhook",
        ),
        (lambda it: setattr(it, "gates", False), "extender answers", FAILED, "passed unseen"),
        (_unseen_pod, "scheduler profile lws-sched", FAILED, "no scheduler looks at 1 pod: default/lonely"),
        (
            lambda it: it.objects["Pod"].clear(),
            "scheduler profile lws-sched",
            WARNING,
            "nothing shows that it is there",
        ),
        (lambda it: it.denied.add("services"), "rights of lws-sched-controller", FAILED, "create services"),
        (
            lambda it: it.denied.add("pods/binding"),
            "rights of lws-sched-extender",
            FAILED,
            "may not create pods/binding",
        ),
        (_silent_scheduler, "scheduler leader", FAILED, "last renewed the Lease 10m ago"),
        (
            _profile_that_stops_early,
            f"scheduler configuration {CONFIG}",
            FAILED,
            "percentageOfNodesToScore of the profile",
        ),
        (_no_profile, f"scheduler configuration {CONFIG}", FAILED, "it has no profile lws-sched"),
        (_no_client_certificate, CALLS, FAILED, "holds no certificates that trust each other"),
        (lambda it: it.objects["Secret"].clear(), CALLS, FAILED, "the scheduler's pods cannot start"),
        (_old_client_certificate, CALLS, FAILED, "they end on"),
        (_no_labels, "topology labels", WARNING, "none of 2 nodes carries one"),
        (_no_taints, "accelerator nodes", WARNING, "1 of 2 nodes have no taint"),
        (_taints_that_pass, "accelerator nodes", WARNING, "1 of 2 nodes have no taint"),
    ],
)
def test_what_is_broken_is_named_with_a_fix(spoil: Any, what: str, result: str, said: str) -> None:
    installation = Installation()
    spoil(installation)
    found = installation.findings()
    assert (found[what].result, said in found[what].detail, bool(found[what].fix)) == (result, True, True)
    assert {each.what for each in found.values() if each.result != OK} == {what}


def test_the_rights_are_those_of_the_roles() -> None:
    """`python -m deploy.tools.generate_rights` writes them anew."""
    assert generate_rights.OUTPUT.read_text() == generate_rights.rendered()


def test_an_installation_without_a_second_scheduler_needs_nothing_of_it() -> None:
    installation = Installation()
    del installation.objects["Lease"][1]
    installation.objects["ConfigMap"].clear()
    installation.objects["Secret"].clear()

    assert {each.result for each in installation.findings().values()} == {OK}


# --- the scheduler's configuration -----------------------------------------------------------------------------------
OWN = (DEPLOY / "scheduler" / "kube-scheduler-config.yaml").read_text()


@pytest.mark.parametrize("text", [OWN, SCHEDULER], ids=["the cluster's own", "the second"])
def test_the_configurations_that_we_give_are_good(text: str) -> None:
    assert configured("it", text).result == OK


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("percentageOfNodesToScore: 100\n", "\n", "percentageOfNodesToScore of the profile is not set"),
        ("- name: DefaultPreemption", "- name: Other", "DefaultPreemption is on"),
        ("bindVerb: bind", "bindVerb: bound", "bindVerb of the extender is bound"),
        ("filterVerb: filter", "weight: 1", "filterVerb of the extender is not set"),
        ("ignorable: false", "ignorable: true", "the extender is ignorable"),
        ("nodeCacheCapable: true", "nodeCacheCapable: false", "nodeCacheCapable of the extender is not true"),
        ("httpTimeout: 15s", "httpTimeout: 5s", "httpTimeout of the extender is 5s"),
        ("  - {name: google.com/tpu, ignoredByScheduler: false}\n", "", "does not manage google.com/tpu"),
        ("gpu, ignoredByScheduler: false", "gpu, ignoredByScheduler: true", "nvidia.com/gpu has ignoredByScheduler"),
        ("http://127.0.0.1:8900", "https://lws.example:8900", "over TLS without a client certificate"),
        ("name: lws-sched.io/member", "name: other.io/member", "no extender that manages lws-sched.io/member"),
        ("kind: KubeSchedulerConfiguration", "kind: Policy", "it is no KubeSchedulerConfiguration"),
        ("profiles:", "profiles: [", "it is no YAML"),
    ],
)
def test_a_fault_in_it_is_named_with_a_fix(old: str, new: str, said: str) -> None:
    assert old in OWN
    found = configured("it", OWN.replace(old, new))

    assert (found.result, said in found.detail, bool(found.fix)) == (FAILED, True, True), found
    assert "\n" not in found.detail
