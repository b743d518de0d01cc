from __future__ import annotations

from http import HTTPStatus
from typing import Any, cast

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
from lws_sched.cli.scrapers import REMEMBERED_SECONDS, Scrapers
from lws_sched.kube.errors import Unavailable
from lws_sched.kube.port import Cluster
from lws_sched.sim.loop import SimClock


class Reviewer:
    """An API server that knows two tokens; one of them may read metrics."""

    def __init__(self) -> None:
        self.asked: list[Any] = []
        self.is_up = True

    def create(self, kind: Kind[Any], body: dict[str, Any]) -> Any:
        if not self.is_up:
            raise Unavailable("no answer")
        self.asked.append(body["spec"])
        if kind is TOKEN_REVIEW:
            token = body["spec"]["token"]
            user = ReviewedUser(username=f"user-{token}", groups=("all",))
            return TokenReview(status=TokenReviewStatus(authenticated=token in ("scraper", "other"), user=user))
        assert kind is ACCESS_REVIEW
        return SubjectAccessReview(status=AccessReviewStatus(allowed=body["spec"]["user"] == "user-scraper"))


def scrapers() -> tuple[Scrapers, Reviewer, SimClock]:
    reviewer, clock = Reviewer(), SimClock()
    return Scrapers(cast("Cluster", reviewer), clock), reviewer, clock


def test_a_caller_is_known_and_allowed_or_not() -> None:
    found, reviewer, _ = scrapers()

    assert found.judge("Bearer scraper") is HTTPStatus.OK
    assert found.judge("Bearer other") is HTTPStatus.FORBIDDEN
    assert found.judge("Bearer stranger") is HTTPStatus.UNAUTHORIZED
    assert reviewer.asked[1] == {
        "user": "user-scraper",
        "uid": "",
        "groups": ("all",),
        "extra": {},
        "nonResourceAttributes": {"path": "/metrics", "verb": "get"},
    }


def test_who_shows_no_token_is_not_asked_about() -> None:
    found, reviewer, _ = scrapers()

    assert {found.judge(header) for header in ("", "Bearer ", "Basic eDp5")} == {HTTPStatus.UNAUTHORIZED}
    assert reviewer.asked == []


def test_an_answer_is_remembered_for_a_minute() -> None:
    found, reviewer, clock = scrapers()
    found.judge("Bearer scraper")
    found.judge("Bearer scraper")
    assert len(reviewer.asked) == 2

    clock.elapsed += REMEMBERED_SECONDS
    found.judge("Bearer scraper")
    assert len(reviewer.asked) == 4


def test_an_api_server_that_does_not_answer_lets_nobody_in_and_is_asked_again() -> None:
    found, reviewer, _ = scrapers()
    reviewer.is_up = False
    assert found.judge("Bearer scraper") is HTTPStatus.SERVICE_UNAVAILABLE

    reviewer.is_up = True
    assert found.judge("Bearer scraper") is HTTPStatus.OK
