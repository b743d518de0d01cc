"""The admission hooks: from request to verdict and patch."""

from __future__ import annotations

import json
from typing import Any

import jsonpatch

from lws_sched.admission import review
from lws_sched.admission.hook import Hook, Request
from lws_sched.api import names
from lws_sched.controller.hooks import hooks
from tests.unit.core.samples import sample_json

HOOKS = {hook.name: hook for hook in hooks()}
DEFAULT, POD, VALIDATE = (HOOKS[name] for name in ("mleaderworkerset.kb.io", "mpod.kb.io", "vleaderworkerset.kb.io"))


def _patched(hook: Hook, body: dict[str, Any]) -> dict[str, Any]:
    verdict = hook.decide(Request("CREATE", "default", body))
    assert verdict.allowed
    patched: dict[str, Any] = jsonpatch.apply_patch(body, list(verdict.patch))
    return patched


def test_hooks_are_registered_where_manifests_for_this_api_expect_them() -> None:
    registered = [hook for hook in hooks() if hook.registered]
    assert {hook.name: (hook.path, str(hook.kind), hook.operations, hook.mutating) for hook in registered} == {
        "mleaderworkerset.kb.io": (
            "/mutate-leaderworkerset-x-k8s-io-v1-leaderworkerset",
            "LeaderWorkerSet",
            ("CREATE", "UPDATE"),
            True,
        ),
        "mpod.kb.io": ("/mutate--v1-pod", "Pod", ("CREATE",), True),
        "vleaderworkerset.kb.io": (
            "/validate-leaderworkerset-x-k8s-io-v1-leaderworkerset",
            "LeaderWorkerSet",
            ("CREATE", "UPDATE"),
            False,
        ),
    }
    assert POD.selector == {"matchExpressions": [{"key": names.SET_NAME, "operator": "Exists"}]}


def test_defaults_come_as_a_patch_and_a_complete_set_needs_none() -> None:
    body = sample_json()
    del body["spec"]["networkConfig"], body["spec"]["rolloutStrategy"]
    assert _patched(DEFAULT, body) == sample_json()
    assert DEFAULT.decide(Request("CREATE", "default", sample_json())).patch == ()


def test_a_member_comes_back_with_its_labels_and_variables() -> None:
    meta = {"name": "x-0", "labels": {names.SET_NAME: "x", names.WORKER_INDEX: "0"}, "annotations": {names.SIZE: "1"}}
    pod = _patched(POD, {"metadata": meta, "spec": {"subdomain": "x", "containers": [{"name": "c"}]}})
    assert pod["metadata"]["labels"][names.GROUP_INDEX] == "0"
    assert pod["spec"]["containers"][0]["env"][0] == {"name": "LWS_LEADER_ADDRESS", "value": "x-0.x.default"}


def test_a_member_without_its_size_is_denied() -> None:
    pod = {"metadata": {"name": "x-0", "labels": {names.SET_NAME: "x"}}, "spec": {}}
    verdict = POD.decide(Request("CREATE", "default", pod))
    assert (verdict.allowed, verdict.message) == (False, "size annotation is unexpectedly missing for pod x-0")


def test_rules_are_checked_on_create_and_against_the_old_object_on_update() -> None:
    good, bad = sample_json(), sample_json()
    bad["spec"]["leaderWorkerTemplate"]["subGroupPolicy"] = {"subGroupSize": 2}
    assert VALIDATE.decide(Request("CREATE", "default", bad)).allowed
    verdict = VALIDATE.decide(Request("UPDATE", "default", bad, old_object=good))
    assert not verdict.allowed
    assert "cannot enable subGroupSize after the lws is already created" in verdict.message


def test_metadata_that_is_null_is_metadata_that_is_absent() -> None:
    body = sample_json()
    body["metadata"]["creationTimestamp"] = None
    assert VALIDATE.decide(Request("CREATE", "default", body)).allowed


def test_what_cannot_be_read_is_denied_with_the_place() -> None:
    body = sample_json()
    body["spec"]["replicas"] = "two"
    sent = {"request": {"uid": "u", "operation": "CREATE", "namespace": "default", "name": "x", "object": body}}
    status = json.loads(review.answer(VALIDATE, json.dumps(sent).encode()).body)["response"]["status"]
    assert status["code"] == 400
    assert "$.spec.replicas" in status["message"]


def test_the_webhook_that_allows_everything_is_answered_though_nobody_registers_it() -> None:
    hook = HOOKS["vpod.kb.io"]
    assert (hook.path, hook.registered) == ("/validate--v1-pod", False)
    assert hook.decide(Request("UPDATE", "default", {"metadata": {"name": "p"}})).allowed
