"""Asking the API server who a caller is (TokenReview) and what they may do (SubjectAccessReview)."""

from __future__ import annotations

import msgspec

from lws_sched.api.meta import Kind, Meta, Wire


class ReviewedUser(Wire, frozen=True, kw_only=True):
    username: str = ""
    uid: str = ""
    groups: tuple[str, ...] = ()
    extra: dict[str, tuple[str, ...]] = msgspec.field(default_factory=dict)


class TokenReviewStatus(Wire, frozen=True, kw_only=True):
    authenticated: bool = False
    user: ReviewedUser = ReviewedUser()
    error: str = ""


class TokenReview(Wire, frozen=True, kw_only=True):
    metadata: Meta = Meta()
    status: TokenReviewStatus = TokenReviewStatus()


class AccessReviewStatus(Wire, frozen=True, kw_only=True):
    allowed: bool = False
    reason: str = ""


class SubjectAccessReview(Wire, frozen=True, kw_only=True):
    metadata: Meta = Meta()
    status: AccessReviewStatus = AccessReviewStatus()


TOKEN_REVIEW = Kind("authentication.k8s.io", "v1", "TokenReview", "tokenreviews", TokenReview, namespaced=False)
ACCESS_REVIEW = Kind(
    "authorization.k8s.io",
    "v1",
    "SubjectAccessReview",
    "subjectaccessreviews",
    SubjectAccessReview,
    namespaced=False,
)
