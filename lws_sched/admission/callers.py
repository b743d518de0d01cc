"""Who a caller is, and whether they may have what they ask for: for every port that people or their programs call.

The metrics, the page and the placement service ask here, as Kubernetes' own components do: a TokenReview tells whose
bearer token it is, a SubjectAccessReview whether that user may do it. So the roles of the cluster decide, and there is
no list of users to keep. A way to use it:

    callers = Callers(cluster, clock)
    verdict = callers.judge(headers.get("Authorization", ""), on_resource("list", GROUP_PLACEMENT, namespace))
    if verdict.status is not HTTPStatus.OK:
        return Response(verdict.sentence, verdict.status)

Answers are remembered, by the token's hash: what was allowed for a minute, what was refused for ten seconds, so that a
role that was bound just now soon counts. The token itself is neither kept nor logged. Thread-safe; may block on two
requests to the API server.
"""

from __future__ import annotations

import hashlib
import logging
import threading
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, Generic, TypeVar

from lws_sched.api.access import ACCESS_REVIEW, TOKEN_REVIEW, ReviewedUser
from lws_sched.api.meta import Kind
from lws_sched.kube.errors import ApiError
from lws_sched.kube.port import Clock, Cluster

log = logging.getLogger(__name__)
K = TypeVar("K")
V = TypeVar("V")

ALLOWED_SECONDS = 60.0
REFUSED_SECONDS = 10.0
REMEMBERED = 1000
"""Answers of one kind kept at most; the oldest goes first."""
LONGEST_TOKEN = 16 * 1024
"""Characters. A longer one is no token, and not worth a request."""


@dataclass(frozen=True)
class Right:
    """What a caller must be allowed to do: a verb on a path that is no object's, or on objects of a kind."""

    verb: str
    path: str = ""
    group: str = ""
    resource: str = ""
    namespace: str = ""
    """Of the objects; "" is every namespace."""
    role: str = field(default="", compare=False)
    """A role that allows it, for the refusal's advice."""

    def attributes(self) -> dict[str, Any]:
        """The part of a SubjectAccessReview that says what is asked for."""
        if self.path:
            return {"nonResourceAttributes": {"path": self.path, "verb": self.verb}}
        named = {"verb": self.verb, "group": self.group, "resource": self.resource, "namespace": self.namespace}
        return {"resourceAttributes": named}

    def __str__(self) -> str:
        if self.path:
            return f"{self.verb.upper()} the nonResourceURL {self.path}"
        where = f"in the namespace {self.namespace}" if self.namespace else "in every namespace"
        return f"{self.verb} {self.resource}{f'.{self.group}' if self.group else ''} {where}"


def on_path(verb: str, path: str, role: str = "") -> Right:
    return Right(verb, path=path, role=role)


def on_resource(verb: str, kind: Kind[Any], namespace: str = "", role: str = "") -> Right:
    return Right(verb, group=kind.group, resource=kind.plural, namespace=namespace, role=role)


@dataclass(frozen=True)
class Verdict:
    """`status` is OK, UNAUTHORIZED, FORBIDDEN, or SERVICE_UNAVAILABLE where the API server cannot be asked."""

    status: HTTPStatus
    user: str = ""
    """The name of the user, where it is known."""
    sentence: str = ""
    """For the caller: why not, and what to do."""


@dataclass
class Callers:
    """Decides about callers, by their Authorization header."""

    cluster: Cluster
    clock: Clock

    def __post_init__(self) -> None:
        self._users: _Memory[bytes, ReviewedUser | None] = _Memory(self.clock)
        self._rights: _Memory[tuple[bytes, Right], bool] = _Memory(self.clock)

    def judge(self, authorization: str, *rights: Right) -> Verdict:
        """Whether the caller may do all of `rights`; of none, whether it is a user at all."""
        scheme, _, token = authorization.partition(" ")
        token = token.strip()
        if scheme.lower() != "bearer" or not token or len(token) > LONGEST_TOKEN:
            return _UNKNOWN
        digest = hashlib.sha256(token.encode("utf-8", "surrogateescape")).digest()
        try:
            user = self._user(digest, token)
            if user is None:
                return _UNKNOWN
            missing = next((right for right in rights if not self._may(digest, user, right)), None)
        except ApiError as problem:
            log.warning("a caller could not be judged: %s", problem)
            return _UNDECIDED
        if missing is None:
            return Verdict(HTTPStatus.OK, user.username)
        return Verdict(HTTPStatus.FORBIDDEN, user.username, _refusal(user, missing))

    def _user(self, digest: bytes, token: str) -> ReviewedUser | None:
        known = self._users.get(digest)
        if known is not None:
            return known[0]
        review = self.cluster.create(TOKEN_REVIEW, TOKEN_REVIEW.body({}, spec={"token": token})).status
        user = review.user if review.authenticated else None
        self._users.put(digest, user, ALLOWED_SECONDS if user else REFUSED_SECONDS)
        return user

    def _may(self, digest: bytes, user: ReviewedUser, right: Right) -> bool:
        known = self._rights.get((digest, right))
        if known is not None:
            return known[0]
        spec = {"user": user.username, "uid": user.uid, "groups": user.groups, "extra": user.extra}
        body = ACCESS_REVIEW.body({}, spec=spec | right.attributes())
        allowed = self.cluster.create(ACCESS_REVIEW, body).status.allowed
        self._rights.put((digest, right), allowed, ALLOWED_SECONDS if allowed else REFUSED_SECONDS)
        return allowed


class _Memory(Generic[K, V]):
    """Answers that count for a while."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._known: dict[K, tuple[float, V]] = {}

    def get(self, key: K) -> tuple[V] | None:
        """The answer, wrapped, as None is an answer too; None where there is none that counts."""
        with self._lock:
            until, answer = self._known.get(key, (float("-inf"), None))
            return None if self._clock.monotonic() >= until else (answer,)  # type: ignore[return-value]

    def put(self, key: K, answer: V, seconds: float) -> None:
        with self._lock:
            self._known.pop(key, None)
            if len(self._known) >= REMEMBERED:
                del self._known[next(iter(self._known))]
            self._known[key] = (self._clock.monotonic() + seconds, answer)


_UNKNOWN = Verdict(
    HTTPStatus.UNAUTHORIZED,
    sentence="send the token of a user or a service account that this cluster knows: Authorization: Bearer ...",
)
_UNDECIDED = Verdict(
    HTTPStatus.SERVICE_UNAVAILABLE, sentence="the API server could not be asked who the caller is; try again"
)


def _refusal(user: ReviewedUser, right: Right) -> str:
    advice = f"bind it to the role {right.role}" if right.role else "bind it to a role that allows this"
    return f"{user.username} may not {right}: {advice}"
