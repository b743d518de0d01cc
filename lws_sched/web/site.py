"""The page's routes: the page itself, its files, its answers as JSON, and the door.

Every answer carries headers that keep a browser from loading anything from elsewhere, from running inline scripts, from
being framed, and from keeping what it was told. Nothing about a caller is logged.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from http import HTTPStatus
from importlib.resources import files
from typing import Any

import msgspec
from flask import Flask, Request, Response, request
from markupsafe import Markup, escape
from werkzeug.exceptions import HTTPException

from lws_sched.admission.callers import Verdict
from lws_sched.intake.documents import BadInput
from lws_sched.kube.errors import ApiError
from lws_sched.web.doors import LONGEST_COOKIE, Door, KeyDoor, TokenDoor
from lws_sched.web.page import Body, Page
from lws_sched.web.question import LONGEST, Refused

TYPES = {
    "html": "text/html; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
}
MANIFEST = "application/yaml"
"""What a manifest is sent as: another site cannot have a browser send that without asking first."""
HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Cache-Control": "no-store",
}
FORGIVEN = 1024
"""Bytes of a body beyond the longest manifest, so that what is too long is told so in words."""


def site(page: Page, door: Door) -> Flask:
    """The application, behind its door."""
    app = Flask(__name__, static_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = LONGEST + FORGIVEN
    assets = _assets()

    def behind(view: Callable[..., Any]) -> Callable[..., Any]:
        def guarded(**arguments: str) -> Any:
            verdict = door.judge(request)
            return view(**arguments) if verdict.status is HTTPStatus.OK else _said(verdict.status, verdict.sentence)

        return guarded

    app.add_url_rule("/", "page", lambda: _front(door, assets))
    app.add_url_rule("/assets/<name>", "asset", lambda name: _asset(assets, name))
    app.add_url_rule("/api/layout", "layout", behind(lambda: _sent(page.layout())))
    app.add_url_rule("/api/state", "state", behind(lambda: _sent(page.state())))
    app.add_url_rule("/api/groups/<namespace>/<name>", "group", behind(lambda **which: _group(page, **which)))
    app.add_url_rule("/api/what-if", "what-if", behind(lambda: _what_if(page, door)), methods=["POST"])
    if isinstance(door, TokenDoor):
        app.add_url_rule("/sign-in", "sign-in", lambda: _sign_in(door, assets), methods=["POST"])
        app.add_url_rule("/sign-out", "sign-out", lambda: _sign_out(door), methods=["POST"])
    app.register_error_handler(HTTPException, _refused)
    app.after_request(_secured)
    return app


# --- the page --------------------------------------------------------------------------------------------------------
def _front(door: Door, assets: dict[str, bytes]) -> Response:
    verdict = door.judge(request)
    if verdict.status is not HTTPStatus.OK:
        if door.asks_for_token and verdict.status is HTTPStatus.UNAUTHORIZED:
            # Who has not tried yet is asked, not reproached.
            verdict = replace(verdict, sentence="your sign-in has ended" if door.cookie in request.cookies else "")
        return _closed(door, assets, verdict)
    if isinstance(door, KeyDoor) and request.args.get("key"):
        # The key goes out of sight, and out of the history.
        answer = _sent_home()
        door.admit(answer, door.key)
        return answer
    text = assets["index.html"]
    return _text(text if door.asks_for_token else text.replace(b'data-signed-in="true"', b'data-signed-in="false"'))


def _closed(door: Door, assets: dict[str, bytes], verdict: Verdict) -> Response:
    """A page that says why the page is not shown, and what to do."""
    form = Markup(assets["token-form.html"].decode()) if door.asks_for_token else ""
    title = "Sign in" if verdict.status is HTTPStatus.UNAUTHORIZED else verdict.status.phrase
    page = assets["door.html"].decode()
    for mark, value in (("title", title), ("message", verdict.sentence), ("form", form)):
        page = page.replace("{{" + mark + "}}", str(escape(value)))
    return _text(page.encode(), verdict.status)


def _text(body: bytes, status: HTTPStatus = HTTPStatus.OK) -> Response:
    return Response(body, status, content_type=TYPES["html"])


def _asset(assets: dict[str, bytes], name: str) -> Response:
    kind = name.rpartition(".")[2]
    if name not in assets or kind == "html":
        return _said(HTTPStatus.NOT_FOUND, f"there is no file {name}")
    answer = Response(assets[name], content_type=TYPES[kind])
    answer.cache_control.no_cache = True
    answer.add_etag()
    answer.make_conditional(request)
    return answer


def _assets() -> dict[str, bytes]:
    """All files of the page, by name."""
    return {each.name: each.read_bytes() for each in files("lws_sched.web").joinpath("assets").iterdir()}


# --- the answers -----------------------------------------------------------------------------------------------------
def _sent(body: Body) -> Response:
    """As JSON, compressed where the caller takes it; nothing where it has it already."""
    if request.if_none_match.contains(body.tag):
        answer = Response(status=HTTPStatus.NOT_MODIFIED)
    elif request.accept_encodings.quality("gzip") > 0:
        answer = Response(body.compressed, content_type="application/json")
        answer.content_encoding = "gzip"
    else:
        answer = Response(body.plain, content_type="application/json")
    answer.set_etag(body.tag)
    answer.vary.add("Accept-Encoding")
    return answer


def _group(page: Page, namespace: str, name: str) -> Response | dict[str, Any]:
    found = page.group(namespace, name)
    return _said(HTTPStatus.NOT_FOUND, f"there is no group {namespace}/{name} any more") if found is None else found


def _what_if(page: Page, door: Door) -> Response | dict[str, Any]:
    if request.mimetype != MANIFEST:
        return _said(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, f"send the manifest as {MANIFEST}")
    try:
        return page.questions.answer(request.get_data(cache=False), door.authorization(request))
    except BadInput as problem:
        return _said(HTTPStatus.BAD_REQUEST, str(problem))
    except Refused as problem:
        return _said(problem.status, str(problem))
    except ApiError as problem:
        return _said(HTTPStatus.BAD_GATEWAY, f"the API server says: {problem}")


def _said(status: HTTPStatus, sentence: str) -> Response:
    answer = Response(msgspec.json.encode({"error": sentence}), status, content_type="application/json")
    if status is HTTPStatus.UNAUTHORIZED:
        answer.headers["WWW-Authenticate"] = 'Bearer realm="lws-sched"'
    return answer


# --- the door --------------------------------------------------------------------------------------------------------
def _sign_in(door: TokenDoor, assets: dict[str, bytes]) -> Response:
    token = request.form.get("token", "").strip().removeprefix("Bearer ").strip()
    verdict = _judged(door, token)
    if verdict.status is not HTTPStatus.OK:
        return _closed(door, assets, verdict)
    answer = _sent_home()
    door.admit(answer, token)
    return answer


def _judged(door: TokenDoor, token: str) -> Verdict:
    """The verdict on a token that was typed in, in words for who typed it."""
    if not _is_from_here(request):
        return Verdict(HTTPStatus.FORBIDDEN, sentence="sign in from this page itself")
    if len(token) > LONGEST_COOKIE:
        sentence = f"a token of more than {LONGEST_COOKIE} characters is too long for a browser to keep"
        return Verdict(HTTPStatus.UNAUTHORIZED, sentence=f"{sentence}: use `lws-sched page`")
    verdict = door.judge_token(f"Bearer {token}")
    if verdict.status is HTTPStatus.UNAUTHORIZED:
        return replace(verdict, sentence="this cluster does not know that token, or not any more")
    return verdict


def _sign_out(door: TokenDoor) -> Response:
    answer = _sent_home()
    if _is_from_here(request):
        door.leave(answer)
    return answer


def _sent_home() -> Response:
    return Response(status=HTTPStatus.SEE_OTHER, headers={"Location": "./"})


def _is_from_here(asked: Request) -> bool:
    """Whether a form was sent by a page of ours, as browsers tell; what is no browser tells nothing."""
    site, origin = asked.headers.get("Sec-Fetch-Site", ""), asked.headers.get("Origin", "")
    return site in ("", "same-origin") and (not origin or origin.partition("://")[2] == asked.host)


# --- every answer ----------------------------------------------------------------------------------------------------
def _refused(problem: HTTPException) -> Response:
    """What the framework refuses, in the form of the other answers."""
    status = HTTPStatus(problem.code or HTTPStatus.INTERNAL_SERVER_ERROR)
    sentences = {
        HTTPStatus.NOT_FOUND: "there is nothing at this address",
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE: f"more than {LONGEST // 1024} KiB: give fewer sets at once",
        HTTPStatus.INTERNAL_SERVER_ERROR: "this went wrong; the log of the process says how",
    }
    return _said(status, sentences.get(status, status.phrase))


def _secured(answer: Response) -> Response:
    for name, value in HEADERS.items():
        answer.headers.setdefault(name, value)
    return answer
