"""The AdmissionReview envelope (`admission.k8s.io/v1`): bytes in, a hook's verdict, bytes out.

Whatever happens, the API server gets an answer with one sentence in it, as a call without an answer would leave the
user with a time-out and no cause:

* a denial: code 403, reason Forbidden, the hook's own message;
* an object that does not have the shape the hook reads: code 400, and where in the object;
* a hook that raises: code 500, logged here with its traceback;
* a body that is no AdmissionReview: HTTP 400, as there is no request to answer to.

Objects stay raw JSON, so fields that nobody here knows survive. A null in the metadata is an absent field.
"""

from __future__ import annotations

import base64
import logging
from dataclasses import dataclass
from typing import Any

import msgspec

from lws_sched.admission.hook import Hook, JsonObject, Request, Verdict
from lws_sched.api.core import PodTemplate
from lws_sched.api.lws import LeaderWorkerSet
from lws_sched.api.meta import Meta

log = logging.getLogger(__name__)

JSON = "application/json"
TEXT = "text/plain; charset=utf-8"


@dataclass(frozen=True)
class Answer:
    """What goes back over HTTP."""

    status: int
    body: bytes
    content_type: str = JSON


class _ReviewRequest(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    uid: str
    operation: str
    namespace: str = ""
    name: str = ""
    object: dict[str, Any] | None = None
    old_object: dict[str, Any] | None = None
    dry_run: bool | None = None


class _Review(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    request: _ReviewRequest


class _WithMetadata(msgspec.Struct, frozen=True):
    metadata: Meta


_DECODER = msgspec.json.Decoder(_Review)
_ENCODER = msgspec.json.Encoder()


def answer(hook: Hook, body: bytes) -> Answer:
    """Decide one review. Never raises."""
    try:
        request = _DECODER.decode(body).request
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        return Answer(400, f"{hook.name}: the body is not an AdmissionReview: {error}".encode(), TEXT)
    return Answer(200, _encode(request.uid, _decide(hook, request)))


def _decide(hook: Hook, request: _ReviewRequest) -> dict[str, Any]:
    """The `response` of the review, without its uid."""
    what = f"{hook.kind} {request.namespace}/{request.name}" if request.name else f"{hook.kind}"
    if request.object is None:
        return _refusal(400, "BadRequest", f"the review of {what} carries no object to decide about")
    try:
        verdict = hook.decide(
            Request(
                operation=request.operation,
                namespace=request.namespace,
                object=_readable(request.object),
                old_object=None if request.old_object is None else _readable(request.old_object),
                dry_run=bool(request.dry_run),
            )
        )
    except msgspec.ValidationError as error:
        return _refusal(400, "BadRequest", f"{what} cannot be read: {error}")
    except Exception as error:
        # The API server keeps objects to their schemas. Others who call this port may not.
        if misshapen := _misshapen(hook, request.object) or _misshapen(hook, request.old_object):
            return _refusal(400, "BadRequest", f"{what} cannot be read: {misshapen}")
        log.exception("hook failed hook=%s object=%s", hook.name, what)
        message = f"the webhook {hook.name} failed on {what} ({type(error).__name__}): see its log, then try again"
        return _refusal(500, "InternalError", message)
    return _response(verdict)


def _readable(obj: JsonObject) -> JsonObject:
    """The object with metadata that hooks can rely on. Older API servers send `creationTimestamp: null` for an object
    that has none yet. Raises msgspec.ValidationError."""
    metadata = obj.get("metadata")
    if metadata is None:
        return {**obj, "metadata": {}}
    if isinstance(metadata, dict) and None in metadata.values():
        metadata = {field: value for field, value in metadata.items() if value is not None}
    msgspec.convert({"metadata": metadata}, _WithMetadata)
    return {**obj, "metadata": metadata}


def _misshapen(hook: Hook, obj: JsonObject | None) -> str:
    """In what the object is not of its kind; "" where it is, as far as anything here reads it."""
    try:
        read = None if obj is None else msgspec.convert(obj, hook.kind.type)
        if isinstance(read, LeaderWorkerSet):
            template = read.spec.leader_worker_template
            msgspec.convert([template.actual_leader_template, template.worker_template], list[PodTemplate])
    except msgspec.ValidationError as error:
        return str(error)
    return ""


def _response(verdict: Verdict) -> dict[str, Any]:
    if not verdict.allowed:
        return _refusal(403, "Forbidden", verdict.message)
    response: dict[str, Any] = {"allowed": True}
    if verdict.warnings:
        response["warnings"] = verdict.warnings
    if verdict.patch:
        patch = base64.b64encode(_ENCODER.encode(verdict.patch)).decode()
        response |= {"patchType": "JSONPatch", "patch": patch}
    return response


def _refusal(code: int, reason: str, message: str) -> dict[str, Any]:
    return {
        "allowed": False,
        "status": {"status": "Failure", "code": code, "reason": reason, "message": message},
    }


def _encode(uid: str, response: dict[str, Any]) -> bytes:
    return _ENCODER.encode(
        {
            "apiVersion": "admission.k8s.io/v1",
            "kind": "AdmissionReview",
            "response": {"uid": uid, **response},
        }
    )
