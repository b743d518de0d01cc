from __future__ import annotations

import base64
from dataclasses import dataclass, field
from typing import Any

import msgspec
import pytest

from lws_sched.admission import certificates
from lws_sched.api.meta import Kind
from lws_sched.api.timestamps import micro_time
from lws_sched.cli import check
from lws_sched.cli.check import FAILED, OK, WARNING, Finding
from lws_sched.kube.errors import ApiError, Invalid, NotFound
from tests.unit.cli.commands import Body, racks

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
            "Lease": [_lease("b8b2488c.x-k8s.io"), _lease("lws-extender.lws-sched.io")],
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
            attributes = body["spec"]["resourceAttributes"]
            return msgspec.convert({"status": {"allowed": attributes["resource"] not in self.denied}}, kind.type)
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


def _no_labels(it: Installation) -> None:
    for node in it.objects["Node"]:
        node["metadata"]["labels"] = {}


def _no_taints(it: Installation) -> None:
    it.objects["Node"][1]["spec"] = {}


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
        (lambda it: it.denied.add("statefulsets"), "rights of lws-sched-controller", WARNING, "create statefulsets"),
        (_no_labels, "topology labels", WARNING, "none of 2 nodes carries one"),
        (_no_taints, "accelerator nodes", WARNING, "1 of 2 nodes have no taint"),
    ],
)
def test_what_is_broken_is_named_with_a_fix(spoil: Any, what: str, result: str, said: str) -> None:
    installation = Installation()
    spoil(installation)
    found = installation.findings()
    assert (found[what].result, said in found[what].detail, bool(found[what].fix)) == (result, True, True)
    assert {each.what for each in found.values() if each.result != OK} == {what}
