"""The page's routes as a browser gets them: what is served, to whom, and with which headers."""

from __future__ import annotations

import gzip
import json
import re
from http import HTTPStatus
from typing import cast

import pytest
from flask.testing import FlaskClient

from lws_sched.admission.callers import Callers, Right, Verdict
from lws_sched.web.doors import LONGEST_COOKIE, KeyDoor, TokenDoor
from lws_sched.web.question import LONGEST
from lws_sched.web.site import HEADERS, MANIFEST, site
from tests.unit.web.stage import Stage, a_set
from tests.unit.web.test_questions import text

KEY = "the-key"
LOCAL = "127.0.0.1:8001"
SECURE = "https://page.example:8444"


class Judge:
    """Knows the token `viewer`, who may look, and `stranger`, who may not; `broken` cannot be asked about."""

    def __init__(self) -> None:
        self.rights: list[str] = []

    def judge(self, authorization: str, *rights: Right) -> Verdict:
        self.rights = [str(right) for right in rights]
        found = {
            "Bearer viewer": Verdict(HTTPStatus.OK, "viewer"),
            "Bearer stranger": Verdict(HTTPStatus.FORBIDDEN, "stranger", "stranger may not: bind it to <that> role"),
            "Bearer broken": Verdict(HTTPStatus.SERVICE_UNAVAILABLE, sentence="try again"),
        }
        return found.get(authorization, Verdict(HTTPStatus.UNAUTHORIZED, sentence="send the token"))


def served(stage: Stage | None = None, judge: Judge | None = None) -> FlaskClient:
    """As the extender serves it."""
    door = TokenDoor(cast("Callers", judge or Judge()))
    return site((stage or Stage().racks(2, 2)).page, door).test_client()


def local(stage: Stage | None = None) -> FlaskClient:
    """As `lws-sched page` serves it."""
    return site((stage or Stage().racks(2, 2)).page, KeyDoor(KEY, 8001)).test_client()


def signed_in() -> FlaskClient:
    client = served()
    client.post("/sign-in", data={"token": "viewer"}, base_url=SECURE)
    return client


# --- what is behind the door ------------------------------------------------------------------------------------------
@pytest.mark.parametrize("path", ["/api/layout", "/api/state", "/api/groups/default/llama-0"])
def test_answers_are_for_those_who_may_look(path: str) -> None:
    judge = Judge()
    client = served(judge=judge)

    refused = client.get(path)
    assert (refused.status_code, refused.json) == (401, {"error": "send the token"})
    assert refused.headers["WWW-Authenticate"].startswith("Bearer")
    assert client.get(path, headers={"Authorization": "Bearer stranger"}).status_code == 403
    assert client.get(path, headers={"Authorization": "Bearer broken"}).status_code == 503
    assert client.get(path, headers={"Authorization": "Bearer viewer"}).status_code in (200, 404)
    assert judge.rights == ["GET the nonResourceURL /page"]


def test_a_question_is_for_those_who_may_look_too() -> None:
    assert served().post("/api/what-if", data=text(a_set()), content_type=MANIFEST).status_code == 401


# --- the page and its files -------------------------------------------------------------------------------------------
def test_every_answer_keeps_the_browser_from_loading_running_or_framing_anything_else() -> None:
    client = signed_in()
    for answer in (
        client.get("/", base_url=SECURE),
        client.get("/assets/main.js"),
        client.get("/api/state", base_url=SECURE),
        client.get("/nowhere"),
        client.get("/api/state"),
        client.post("/sign-in", data={"token": "x"}),
    ):
        policy = answer.headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert "http:" not in policy
        assert {name for name in HEADERS if name not in answer.headers} == set()


def test_what_was_told_is_kept_by_no_cache() -> None:
    client = signed_in()
    for path in ("/", "/api/state", "/api/layout"):
        assert client.get(path, base_url=SECURE).headers["Cache-Control"] == "no-store"


def test_the_page_loads_only_files_of_its_own_and_has_no_inline_scripts_or_styles() -> None:
    page = signed_in().get("/", base_url=SECURE).text
    wanted = re.findall(r'(?:href|src)="([^"]+)"', page)

    assert {each.partition("/")[0] for each in wanted} == {"assets", "api", "#side"}
    assert "<style" not in page
    assert re.findall(r"<script(?![^>]*\bsrc=)", page) == []
    assert re.findall(r'\s(?:on\w+|style)="', page) == []
    files = [each for each in wanted if each.startswith("assets/")]
    assert [each for each in files if served().get(f"/{each}").status_code != 200] == []


def test_every_module_that_is_imported_is_preloaded() -> None:
    page = signed_in().get("/", base_url=SECURE).text
    client = served()
    preloaded = set(re.findall(r'modulepreload" href="assets/([^"]+)"', page))
    imported = {
        name for module in preloaded for name in re.findall(r'from "\./([^"]+)"', client.get(f"/assets/{module}").text)
    }

    assert imported | {"main.js"} == preloaded


def test_files_are_asked_for_again_only_when_they_changed() -> None:
    client = served()
    first = client.get("/assets/page.css")
    again = client.get("/assets/page.css", headers={"If-None-Match": first.headers["ETag"]})

    assert (first.mimetype, first.headers["Cache-Control"]) == ("text/css", "no-cache")
    assert (again.status_code, again.data) == (304, b"")


@pytest.mark.parametrize("name", ["index.html", "door.html", "../site.py", "..%2fsite.py", "none.js"])
def test_nothing_but_its_files_is_served(name: str) -> None:
    assert served().get(f"/assets/{name}").status_code == 404


# --- answers ----------------------------------------------------------------------------------------------------------
def test_an_answer_comes_compressed_where_that_is_taken_and_empty_where_it_is_known() -> None:
    client = signed_in()
    plain = client.get("/api/state", base_url=SECURE)
    packed = client.get("/api/state", base_url=SECURE, headers={"Accept-Encoding": "gzip"})
    known = client.get("/api/state", base_url=SECURE, headers={"If-None-Match": plain.headers["ETag"]})

    assert packed.headers["Content-Encoding"] == "gzip"
    assert gzip.decompress(packed.data) == plain.data
    assert json.loads(plain.data)["use"] == "ffff"
    assert (known.status_code, known.data) == (304, b"")


def test_a_question_is_answered_or_refused_in_words() -> None:
    client = signed_in()

    def asked(data: bytes, content_type: str = MANIFEST) -> tuple[int, str]:
        answer = client.post("/api/what-if", data=data, content_type=content_type, base_url=SECURE)
        return answer.status_code, str(answer.json.get("error", "")) if answer.json else ""

    assert asked(text(a_set())) == (200, "")
    assert asked(b"kind: Pod")[0] == 400
    assert asked(text(a_set()), "text/plain") == (415, f"send the manifest as {MANIFEST}")
    assert asked(b"x" * (LONGEST + 1)) == (400, "the manifest is longer than 128 KiB: give fewer sets at once")
    assert asked(b"x" * (LONGEST + 4096)) == (413, "more than 128 KiB: give fewer sets at once")


def test_a_group_that_is_gone_is_said_to_be() -> None:
    answer = signed_in().get("/api/groups/default/llama-9", base_url=SECURE)

    assert (answer.status_code, answer.json) == (404, {"error": "there is no group default/llama-9 any more"})


# --- the door of the extender -----------------------------------------------------------------------------------------
def test_who_comes_for_the_first_time_is_asked_for_a_token_and_told_where_to_get_one() -> None:
    answer = served().get("/")

    assert (answer.status_code, "Bearer token" in answer.text) == (401, True)
    assert "kubectl -n lws-system create token" in answer.text
    assert '<p class="message" role="alert"></p>' in answer.text


def test_who_was_signed_in_is_told_that_it_has_ended() -> None:
    client = served()
    client.set_cookie("__Host-lws-sched", "old", domain="page.example", secure=True)
    client.set_cookie("another", "x", domain="other.example")

    assert "your sign-in has ended" in client.get("/", base_url=SECURE).text
    assert "your sign-in has ended" not in client.get("/", base_url="https://other.example").text


def test_a_token_is_kept_where_scripts_and_other_sites_cannot_reach_it() -> None:
    answer = served().post("/sign-in", data={"token": " Bearer viewer "}, base_url=SECURE)

    assert (answer.status_code, answer.headers["Location"]) == (303, "./")
    cookie = answer.headers["Set-Cookie"]
    assert cookie == "__Host-lws-sched=viewer; Secure; HttpOnly; Path=/; SameSite=Strict"
    assert signed_in().get("/", base_url=SECURE).status_code == 200


def test_a_token_that_is_no_good_is_said_to_be_and_not_kept() -> None:
    client = served()
    unknown = client.post("/sign-in", data={"token": "x"}, base_url=SECURE)
    forbidden = client.post("/sign-in", data={"token": "stranger"}, base_url=SECURE)
    long = client.post("/sign-in", data={"token": "x" * (LONGEST_COOKIE + 1)}, base_url=SECURE)

    assert (unknown.status_code, "this cluster does not know that token" in unknown.text) == (401, True)
    assert (forbidden.status_code, "bind it to &lt;that&gt; role" in forbidden.text) == (403, True)
    assert (long.status_code, "too long for a browser to keep" in long.text) == (401, True)
    assert [each for each in (unknown, forbidden, long) if "Set-Cookie" in each.headers] == []


@pytest.mark.parametrize(
    "headers", [{"Origin": "https://evil.example"}, {"Origin": "null"}, {"Sec-Fetch-Site": "cross-site"}]
)
def test_another_site_cannot_sign_anybody_in_or_out(headers: dict[str, str]) -> None:
    client = served()
    answer = client.post("/sign-in", data={"token": "viewer"}, base_url=SECURE, headers=headers)
    out = client.post("/sign-out", base_url=SECURE, headers=headers)

    assert (answer.status_code, "Set-Cookie" in answer.headers) == (403, False)
    assert "Set-Cookie" not in out.headers


def test_signing_out_takes_the_token_away() -> None:
    client = signed_in()
    client.post("/sign-out", base_url=SECURE, headers={"Sec-Fetch-Site": "same-origin"})

    assert client.get("/api/state", base_url=SECURE).status_code == 401


# --- the door on this machine -----------------------------------------------------------------------------------------
def test_the_key_in_the_address_opens_the_page_and_goes_out_of_sight() -> None:
    client = local()
    first = client.get(f"/?key={KEY}", headers={"Host": LOCAL})

    assert (first.status_code, first.headers["Location"]) == (303, "./")
    assert first.headers["Set-Cookie"] == f"lws-sched-page-8001={KEY}; HttpOnly; Path=/; SameSite=Strict"
    client.set_cookie("lws-sched-page-8001", KEY, domain="127.0.0.1")
    assert client.get("/", base_url=f"http://{LOCAL}").status_code == 200
    assert client.get("/api/state", base_url=f"http://{LOCAL}").status_code == 200


def test_without_the_key_nobody_on_this_machine_gets_in() -> None:
    client = local()

    for query in ("", "?key=", "?key=another", "?key=%C3%A9"):
        answer = client.get(f"/{query}", headers={"Host": LOCAL})
        assert answer.status_code == 401
        assert "open the whole address that `lws-sched page` printed" in answer.text
    assert client.get("/api/state", headers={"Host": LOCAL}).status_code == 401


def test_a_site_that_points_its_own_name_at_this_machine_gets_nothing_even_with_the_key() -> None:
    assert local().get(f"/?key={KEY}", headers={"Host": "evil.example:8001"}).status_code == 403
    assert local().get(f"/?key={KEY}", headers={"Host": "127.0.0.1:9999"}).status_code == 403


def test_there_is_no_signing_in_on_this_machine() -> None:
    client = local()

    assert client.post("/sign-in", data={"token": "viewer"}, headers={"Host": LOCAL}).status_code == 404
    client.set_cookie("lws-sched-page-8001", KEY, domain="127.0.0.1")
    assert 'data-signed-in="false"' in client.get("/", base_url=f"http://{LOCAL}").text
