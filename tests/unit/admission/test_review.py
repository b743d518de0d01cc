from __future__ import annotations

import base64
import json
from collections.abc import Callable
from typing import Any

import jsonpatch
import msgspec
import pytest

from lws_sched.admission import review
from lws_sched.admission.hook import ALLOWED, Hook, Request, Verdict, changed, denied
from lws_sched.api.core import POD, Pod

POD_OBJECT: dict[str, Any] = {"metadata": {"name": "a-0", "labels": {}}, "spec": {"futureField": [1, {"x": None}]}}


def hook(decide: Callable[[Request], Verdict]) -> Hook:
    return Hook(name="pods.test", path="/pods", kind=POD, operations=("CREATE",), mutating=True, decide=decide)


def body(**request: Any) -> bytes:
    whole = {"uid": "u1", "operation": "CREATE", "namespace": "ns", "name": "a-0", "object": POD_OBJECT, **request}
    return json.dumps({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": whole}).encode()


def response(decide: Callable[[Request], Verdict], sent: bytes) -> dict[str, Any]:
    answer = review.answer(hook(decide), sent)
    assert (answer.status, answer.content_type) == (200, "application/json")
    envelope = json.loads(answer.body)
    assert (envelope["apiVersion"], envelope["kind"]) == ("admission.k8s.io/v1", "AdmissionReview")
    decided: dict[str, Any] = envelope["response"]
    assert decided.pop("uid") == "u1"
    return decided


def status(decided: dict[str, Any]) -> tuple[int, str, str]:
    assert decided["allowed"] is False
    told = decided["status"]
    return told["code"], told["reason"], told["message"]


def asked(sent: bytes) -> Request:
    """What the hook is given."""
    seen: list[Request] = []

    def decide(request: Request) -> Verdict:
        seen.append(request)
        return ALLOWED

    response(decide, sent)
    return seen[0]


def raising(error: Exception) -> Callable[[Request], Verdict]:
    def decide(_: Request) -> Verdict:
        raise error

    return decide


def test_the_hook_sees_the_request_with_every_field_of_the_object() -> None:
    assert asked(body(dryRun=True, oldObject=POD_OBJECT, operation="UPDATE")) == Request(
        operation="UPDATE", namespace="ns", object=POD_OBJECT, old_object=POD_OBJECT, dry_run=True
    )


def test_null_fields_of_the_envelope_are_absent() -> None:
    assert asked(body(oldObject=None, dryRun=None)) == Request(operation="CREATE", namespace="ns", object=POD_OBJECT)


def test_null_metadata_is_absent_as_older_api_servers_send_it() -> None:
    sent = {**POD_OBJECT, "metadata": {"name": "a-0", "creationTimestamp": None}}

    assert asked(body(object=sent, oldObject=sent)).object["metadata"] == {"name": "a-0"}


def test_an_allowed_request_has_no_patch() -> None:
    assert response(lambda _: ALLOWED, body()) == {"allowed": True}


def test_warnings_go_to_the_user_and_nothing_is_refused() -> None:
    verdict = Verdict(warnings=("metadata.name: this is long",))
    assert response(lambda _: verdict, body()) == {"allowed": True, "warnings": ["metadata.name: this is long"]}


def test_a_patch_applied_to_the_object_gives_what_the_hook_made_of_it() -> None:
    wanted = {"metadata": {"name": "a-0", "labels": {"a/b": "c"}}, "spec": {**POD_OBJECT["spec"], "nodeName": "n1"}}

    decided = response(lambda request: Verdict(patch=changed(request.object, wanted)), body())

    assert decided["patchType"] == "JSONPatch"
    assert jsonpatch.apply_patch(POD_OBJECT, base64.b64decode(decided["patch"]).decode()) == wanted


def test_a_denial_is_forbidden_with_the_words_of_the_hook() -> None:
    decided = response(lambda _: denied("size must be at least 1"), body())

    assert status(decided) == (403, "Forbidden", "size must be at least 1")
    assert "patch" not in decided


def test_an_object_of_another_shape_is_a_bad_request_that_says_where() -> None:
    def decide(request: Request) -> Verdict:
        msgspec.convert(request.object, Pod)
        return ALLOWED

    code, reason, message = status(response(decide, body(object={"metadata": {"name": 7}})))

    assert (code, reason) == (400, "BadRequest")
    assert message == "Pod ns/a-0 cannot be read: Expected `str`, got `int` - at `$.metadata.name`"


def test_a_review_without_an_object_is_a_bad_request() -> None:
    code, _, message = status(response(lambda _: ALLOWED, body(object=None)))

    assert (code, message) == (400, "the review of Pod ns/a-0 carries no object to decide about")


def test_a_hook_that_raises_is_answered_and_logged(caplog: pytest.LogCaptureFixture) -> None:
    code, reason, message = status(response(raising(KeyError("secret")), body()))

    assert (code, reason) == (500, "InternalError")
    assert message == "the webhook pods.test failed on Pod ns/a-0 (KeyError): see its log, then try again"
    assert "hook failed hook=pods.test object=Pod ns/a-0" in caplog.text
    assert "Traceback" in caplog.text


@pytest.mark.parametrize(
    "sent",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"{", id="cut off"),
        pytest.param(b"[]", id="no object"),
        pytest.param(b"{}", id="no request"),
        pytest.param(b'{"request": {"operation": "CREATE"}}', id="no uid"),
        pytest.param(b'{"request": {"uid": "\xff"}}', id="no UTF-8"),
        pytest.param(b'{"request": {"uid": "u", "operation": "CREATE", "object": 1}}', id="object is a number"),
    ],
)
def test_a_body_that_is_no_review_is_a_bad_request_in_one_sentence(sent: bytes) -> None:
    answer = review.answer(hook(lambda _: ALLOWED), sent)

    assert answer.status == 400
    assert answer.body.startswith(b"pods.test: the body is not an AdmissionReview: ")
    assert b"\n" not in answer.body
