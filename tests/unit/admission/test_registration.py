from __future__ import annotations

import base64
from typing import Any, cast

import pytest

from lws_sched.admission.hook import ALLOWED, Hook
from lws_sched.admission.registration import (
    CONTROLLER,
    EXTENDER,
    Connection,
    ServiceConnection,
    UrlConnection,
    configurations,
)
from lws_sched.api import names
from lws_sched.api.core import NODE, POD
from lws_sched.api.lws import LEADER_WORKER_SET
from lws_sched.api.meta import Kind
from lws_sched.controller.hooks import hooks as controller_hooks

URL = UrlConnection("https://127.0.0.1:9443/", b"PEM")
SERVICE = ServiceConnection("lws-system", "lws-webhook-service", b"PEM")
BUNDLE = base64.b64encode(b"PEM").decode()


def hook(**fields: Any) -> Hook:
    given = {"name": "pods.test", "path": "/pods", "kind": POD, "operations": ("CREATE",), "mutating": True, **fields}
    return Hook(decide=lambda _: ALLOWED, **given)


def webhook(connection: Connection = URL, **fields: Any) -> dict[str, Any]:
    ((_, body),) = configurations([hook(**fields)], EXTENDER, connection)
    (registered,) = body["webhooks"]
    return cast("dict[str, Any]", registered)


def test_a_mutating_hook_fails_closed_and_has_no_side_effects() -> None:
    assert webhook() == {
        "name": "pods.test",
        "admissionReviewVersions": ["v1"],
        "clientConfig": {"url": "https://127.0.0.1:9443/pods", "caBundle": BUNDLE},
        "rules": [
            {
                "apiGroups": [""],
                "apiVersions": ["v1"],
                "operations": ["CREATE"],
                "resources": ["pods"],
                "scope": "Namespaced",
            }
        ],
        "failurePolicy": "Fail",
        "matchPolicy": "Equivalent",
        "sideEffects": "None",
        "timeoutSeconds": 10,
        "reinvocationPolicy": "Never",
    }


def test_a_validating_hook_has_no_reinvocation_policy() -> None:
    assert "reinvocationPolicy" not in webhook(mutating=False)


def test_a_service_is_named_with_its_port_and_path() -> None:
    assert webhook(SERVICE)["clientConfig"] == {
        "service": {"namespace": "lws-system", "name": "lws-webhook-service", "port": 443, "path": "/pods"},
        "caBundle": BUNDLE,
    }


def test_a_hook_for_one_scheduler_is_called_for_no_other_pod() -> None:
    assert webhook(scheduler=names.SCHEDULER)["matchConditions"] == [
        {"name": "scheduler", "expression": "object.spec.schedulerName == 'lws-sched'"}
    ]


def test_a_selector_becomes_the_object_selector() -> None:
    selector = {"matchExpressions": [{"key": names.SET_NAME, "operator": "Exists"}]}

    assert webhook(selector=selector)["objectSelector"] == selector


@pytest.mark.parametrize(
    ("kind", "group", "scope"),
    [
        pytest.param(LEADER_WORKER_SET, "leaderworkerset.x-k8s.io", "Namespaced", id="a custom kind"),
        pytest.param(NODE, "", "Cluster", id="a cluster-scoped kind"),
    ],
)
def test_the_rule_is_that_of_the_kind(kind: Kind[Any], group: str, scope: str) -> None:
    (rule,) = webhook(kind=kind)["rules"]

    assert (rule["apiGroups"], rule["resources"], rule["scope"]) == ([group], [kind.plural], scope)


def test_hooks_are_parted_into_a_mutating_and_a_validating_configuration() -> None:
    found = configurations([hook(), hook(name="v.test", mutating=False), hook(name="m.test")], CONTROLLER, URL)

    assert [(kind.kind, body["metadata"]["name"], [w["name"] for w in body["webhooks"]]) for kind, body in found] == [
        ("MutatingWebhookConfiguration", "lws-mutating-webhook-configuration", ["pods.test", "m.test"]),
        ("ValidatingWebhookConfiguration", "lws-validating-webhook-configuration", ["v.test"]),
    ]


def test_the_controller_registers_the_webhooks_of_the_leaderworkerset_api() -> None:
    found = configurations(controller_hooks(), CONTROLLER, SERVICE)

    registered = {
        w["name"]: (w["clientConfig"]["service"]["path"], w["rules"][0]["resources"], w["rules"][0]["operations"])
        for _, body in found
        for w in body["webhooks"]
    }
    both = ["CREATE", "UPDATE"]
    assert registered == {
        "mleaderworkerset.kb.io": ("/mutate-leaderworkerset-x-k8s-io-v1-leaderworkerset", ["leaderworkersets"], both),
        "mpod.kb.io": ("/mutate--v1-pod", ["pods"], ["CREATE"]),
        "vleaderworkerset.kb.io": ("/validate-leaderworkerset-x-k8s-io-v1-leaderworkerset", ["leaderworkersets"], both),
    }


def test_the_extender_is_called_after_the_controller() -> None:
    assert CONTROLLER.mutating < EXTENDER.mutating
