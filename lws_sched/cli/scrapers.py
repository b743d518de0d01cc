"""Who may read /metrics: a caller whose token the API server knows, and whom it lets GET the path /metrics.

That is how Kubernetes' own components decide (TokenReview, then SubjectAccessReview for a nonResourceURL), so that the
usual role of a Prometheus fits. Answers are remembered for a minute: a scrape must not cost two requests each time.
"""

from __future__ import annotations

import hashlib
import logging
import threading
from dataclasses import dataclass, field
from http import HTTPStatus

from lws_sched.api.access import ACCESS_REVIEW, TOKEN_REVIEW, ReviewedUser
from lws_sched.kube.errors import ApiError
from lws_sched.kube.port import Clock, Cluster

log = logging.getLogger(__name__)

REMEMBERED_SECONDS = 60.0
REMEMBERED = 1000
"""Answers kept at most."""


@dataclass
class Scrapers:
    """Decides about callers, by their Authorization header."""

    cluster: Cluster
    clock: Clock
    path: str = "/metrics"
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _known: dict[bytes, tuple[float, HTTPStatus]] = field(default_factory=dict)
    """Until when an answer counts, by the token's hash."""

    def judge(self, authorization: str) -> HTTPStatus:
        """OK, UNAUTHORIZED, FORBIDDEN, or SERVICE_UNAVAILABLE where the API server cannot be asked."""
        scheme, _, token = authorization.partition(" ")
        if scheme.lower() != "bearer" or not token.strip():
            return HTTPStatus.UNAUTHORIZED
        digest, now = hashlib.sha256(token.encode()).digest(), self.clock.monotonic()
        with self._lock:
            until, status = self._known.get(digest, (now, HTTPStatus.UNAUTHORIZED))
        if now < until:
            return status
        try:
            status = self._asked(token.strip())
        except ApiError as problem:
            log.warning("a caller of %s could not be judged: %s", self.path, problem)
            return HTTPStatus.SERVICE_UNAVAILABLE
        with self._lock:
            if len(self._known) >= REMEMBERED:
                self._known.clear()
            self._known[digest] = (now + REMEMBERED_SECONDS, status)
        return status

    def _asked(self, token: str) -> HTTPStatus:
        review = self.cluster.create(TOKEN_REVIEW, TOKEN_REVIEW.body({}, spec={"token": token})).status
        if not review.authenticated:
            return HTTPStatus.UNAUTHORIZED
        spec = _subject(review.user) | {"nonResourceAttributes": {"path": self.path, "verb": "get"}}
        access = self.cluster.create(ACCESS_REVIEW, ACCESS_REVIEW.body({}, spec=spec)).status
        return HTTPStatus.OK if access.allowed else HTTPStatus.FORBIDDEN


def _subject(user: ReviewedUser) -> dict[str, object]:
    return {"user": user.username, "uid": user.uid, "groups": user.groups, "extra": user.extra}
