"""What the API server can answer other than success. Every port implementation raises these and nothing else."""

from __future__ import annotations


class ApiError(Exception):
    """The API server refused a request. `status` is the HTTP code, 0 where no answer came."""

    status = 0

    def __init__(self, message: str, *, status: int | None = None, reason: str = "") -> None:
        super().__init__(message)
        if status is not None:
            self.status = status
        self.reason = reason


class NotFound(ApiError):
    status = 404


class Conflict(ApiError):
    """The object changed since it was read, or a UID or resourceVersion precondition failed: read it again."""

    status = 409


class AlreadyExists(ApiError):
    status = 409


class Gone(ApiError):
    """The resourceVersion asked for is older than the history kept: list again."""

    status = 410


class Invalid(ApiError):
    """The object breaks a rule of its schema, or an admission webhook denied it. The message is for the user."""

    status = 422


class Forbidden(ApiError):
    status = 403


class Unavailable(ApiError):
    """No answer, or one that says try again (408, 429, 5xx). Whether the request took effect is unknown."""

    status = 503


class LostLease(Exception):
    """This process is no longer the leader: it must not write."""


class ConfigError(Exception):
    """There is no usable configuration. The message says what was looked for and where."""
