from __future__ import annotations

from http import HTTPStatus
from typing import Any, cast

from lws_sched.admission import callers as module
from lws_sched.admission.callers import (
    ALLOWED_SECONDS,
    LONGEST_TOKEN,
    REFUSED_SECONDS,
    REMEMBERED,
    Callers,
    on_path,
    on_resource,
)
from lws_sched.api.access import (
    ACCESS_REVIEW,
    TOKEN_REVIEW,
    AccessReviewStatus,
    ReviewedUser,
    SubjectAccessReview,
    TokenReview,
    TokenReviewStatus,
)
from lws_sched.api.meta import Kind
from lws_sched.api.placement import GROUP_PLACEMENT
from lws_sched.kube.errors import Unavailable
from lws_sched.kube.port import Cluster
from lws_sched.sim.loop import SimClock

METRICS = on_path("get", "/metrics", role="lws-sched-metrics")
ABOUT_TEAM = on_resource("get", GROUP_PLACEMENT, "team")


class Reviewer:
    """An API server that knows two tokens; the user of one of them may do everything but list."""

    def __init__(self) -> None:
        self.asked: list[Any] = []
        self.is_up = True
        self.allowed = {"user-scraper"}

    def create(self, kind: Kind[Any], body: dict[str, Any]) -> Any:
        if not self.is_up:
            raise Unavailable("no answer")
        spec = body["spec"]
        self.asked.append(spec)
        if kind is TOKEN_REVIEW:
            user = ReviewedUser(username=f"user-{spec['token']}", groups=("all",))
            is_known = spec["token"] in ("scraper", "other")
            return TokenReview(status=TokenReviewStatus(authenticated=is_known, user=user))
        assert kind is ACCESS_REVIEW
        verb = (spec.get("resourceAttributes") or spec["nonResourceAttributes"])["verb"]
        return SubjectAccessReview(status=AccessReviewStatus(allowed=spec["user"] in self.allowed and verb != "list"))


def callers() -> tuple[Callers, Reviewer, SimClock]:
    reviewer, clock = Reviewer(), SimClock()
    return Callers(cast("Cluster", reviewer), clock), reviewer, clock


def test_a_caller_is_known_and_allowed_or_not() -> None:
    found, reviewer, _ = callers()

    allowed = found.judge("Bearer scraper", METRICS)
    assert (allowed.status, allowed.user) == (HTTPStatus.OK, "user-scraper")
    assert found.judge("Bearer other", METRICS).status is HTTPStatus.FORBIDDEN
    assert found.judge("Bearer stranger", METRICS).status is HTTPStatus.UNAUTHORIZED
    assert reviewer.asked[1] == {
        "user": "user-scraper",
        "uid": "",
        "groups": ("all",),
        "extra": {},
        "nonResourceAttributes": {"path": "/metrics", "verb": "get"},
    }


def test_a_right_on_objects_is_asked_for_by_group_kind_and_namespace() -> None:
    found, reviewer, _ = callers()

    assert found.judge("bearer scraper", ABOUT_TEAM).status is HTTPStatus.OK
    assert reviewer.asked[-1]["resourceAttributes"] == {
        "verb": "get",
        "group": "lws-sched.io",
        "resource": "groupplacements",
        "namespace": "team",
    }


def test_all_rights_must_be_there_and_the_refusal_names_the_missing_one() -> None:
    found, _, _ = callers()

    verdict = found.judge("Bearer scraper", ABOUT_TEAM, on_resource("list", GROUP_PLACEMENT, role="view"))

    assert verdict.status is HTTPStatus.FORBIDDEN
    assert verdict.sentence == (
        "user-scraper may not list groupplacements.lws-sched.io in every namespace: bind it to the role view"
    )


def test_a_user_who_asks_for_nothing_in_particular_only_has_to_be_known() -> None:
    found, reviewer, _ = callers()

    assert found.judge("Bearer other").status is HTTPStatus.OK
    assert found.judge("Bearer stranger").status is HTTPStatus.UNAUTHORIZED
    assert len(reviewer.asked) == 2


def test_who_shows_no_token_is_not_asked_about() -> None:
    found, reviewer, _ = callers()

    headers = ("", "Bearer ", "Basic eDp5", "Bearer " + "x" * (LONGEST_TOKEN + 1))
    assert {found.judge(header, METRICS).status for header in headers} == {HTTPStatus.UNAUTHORIZED}
    assert reviewer.asked == []


def test_an_answer_is_remembered_for_a_minute() -> None:
    found, reviewer, clock = callers()
    found.judge("Bearer scraper", METRICS)
    found.judge("Bearer scraper", METRICS)
    assert len(reviewer.asked) == 2

    clock.elapsed += ALLOWED_SECONDS
    found.judge("Bearer scraper", METRICS)
    assert len(reviewer.asked) == 4


def test_a_role_that_was_bound_just_now_soon_counts() -> None:
    found, reviewer, clock = callers()
    assert found.judge("Bearer other", METRICS).status is HTTPStatus.FORBIDDEN

    reviewer.allowed.add("user-other")
    assert found.judge("Bearer other", METRICS).status is HTTPStatus.FORBIDDEN
    clock.elapsed += REFUSED_SECONDS
    assert found.judge("Bearer other", METRICS).status is HTTPStatus.OK


def test_many_strangers_do_not_fill_the_memory() -> None:
    found, _, _ = callers()
    for number in range(REMEMBERED + 5):
        found.judge(f"Bearer stranger-{number}", METRICS)

    assert len(found._users._known) == REMEMBERED
    assert found.judge("Bearer scraper", METRICS).status is HTTPStatus.OK


def test_an_api_server_that_does_not_answer_lets_nobody_in_and_is_asked_again() -> None:
    found, reviewer, _ = callers()
    reviewer.is_up = False
    assert found.judge("Bearer scraper", METRICS).status is HTTPStatus.SERVICE_UNAVAILABLE

    reviewer.is_up = True
    assert found.judge("Bearer scraper", METRICS).status is HTTPStatus.OK


def test_no_token_is_logged_or_kept() -> None:
    found, reviewer, _ = callers()
    reviewer.is_up = False
    seen: list[str] = []
    module.log.addFilter(lambda record: seen.append(record.getMessage()) or True)  # type: ignore[func-returns-value]
    found.judge("Bearer secret-token", METRICS)
    reviewer.is_up = True
    found.judge("Bearer secret-token", METRICS)

    assert seen
    assert "secret-token" not in repr((seen, found._users.__dict__, found._rights.__dict__))
