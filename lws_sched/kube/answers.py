"""What an answer of the API server means: a typed object, a page of them, or one of `lws_sched.kube.errors`.

Lists are split into raw items by one quick pass and then decoded item by item: no single call into the decoder keeps
other threads from running for long, and one unreadable object does not cost the others.

A null in JSON means the same as a field left out, to Kubernetes; the Structs know only the latter. An object that does
not decode is therefore tried once more without its nulls.
"""

from __future__ import annotations

from functools import cache
from typing import Any, TypeVar

import msgspec

from lws_sched.api.meta import Kind, Object, Wire
from lws_sched.api.nulls import without_nulls
from lws_sched.kube.errors import (
    AlreadyExists,
    ApiError,
    Conflict,
    Forbidden,
    Gone,
    Invalid,
    NotFound,
    Unavailable,
)
from lws_sched.kube.sharing import shared

T = TypeVar("T", bound=Object)
DENIED = "denied the request"
"""What the API server puts between an admission webhook's name and the webhook's own message."""


class Unreadable(Exception):
    """An object of the API server does not fit our type for it. The message names it."""


class Cause(Wire, frozen=True, kw_only=True):
    field: str = ""


class StatusDetails(Wire, frozen=True, kw_only=True):
    causes: tuple[Cause, ...] = ()


class Status(Wire, frozen=True, kw_only=True):
    """`v1.Status`: how the API server says no."""

    code: int = 0
    reason: str = ""
    message: str = ""
    details: StatusDetails | None = None


class PageMeta(Wire, frozen=True, kw_only=True):
    resource_version: str = ""
    next_token: str = msgspec.field(default="", name="continue")


class Page(Wire, frozen=True, kw_only=True):
    metadata: PageMeta = PageMeta()
    items: list[msgspec.Raw] | None = None


class Frame(Wire, frozen=True, kw_only=True):
    """One line of a watch."""

    type: str
    object: msgspec.Raw


class Identity(Wire, frozen=True, kw_only=True):
    """Of the metadata only what names an object: this decodes even where the rest does not."""

    name: str = ""
    namespace: str = ""
    resource_version: str = ""

    @property
    def key(self) -> str:
        return f"{self.namespace}/{self.name}" if self.namespace else self.name

    @property
    def version(self) -> int:
        return int(self.resource_version or 0)


class Envelope(Wire, frozen=True, kw_only=True):
    metadata: Identity


@cache
def decoder_of(type: type[Any]) -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(type)


# On the importing thread: msgspec crashes when two threads meet a type for the first time at once.
for _type in (Status, Page, Frame, Envelope):
    decoder_of(_type)


def read_object(kind: Kind[T], data: bytes | msgspec.Raw) -> T:
    """Raises Unreadable."""
    try:
        obj: T = decoder_of(kind.type).decode(data)
    except (msgspec.ValidationError, msgspec.DecodeError):
        obj = _read_without_nulls(kind, data)
    return shared(obj)


def read_page(kind: Kind[Any], data: bytes) -> Page:
    """Raises Unavailable: half a page is as good as no answer."""
    try:
        page: Page = decoder_of(Page).decode(data)
    except msgspec.DecodeError as error:
        raise Unavailable(f"the API server's list of {kind.plural} is not readable: {error}") from error
    return page


def read_frame(kind: Kind[Any], line: bytes) -> Frame:
    """Raises Unavailable: a line cut short is a broken stream."""
    try:
        frame: Frame = decoder_of(Frame).decode(line)
    except msgspec.DecodeError as error:
        raise Unavailable(f"the watch of {kind.plural} broke off: {error}") from error
    return frame


def read_identity(data: bytes | msgspec.Raw) -> Identity:
    """Which object this is, whatever the rest of it looks like; empty where even that is unreadable."""
    try:
        envelope: Envelope = decoder_of(Envelope).decode(data)
    except msgspec.DecodeError:
        return Identity()
    return envelope.metadata


def error_of(status: int, body: bytes, asked: str) -> ApiError:
    """The error for an answer that is no success. `asked` names the request where the answer has no message."""
    try:
        answer: Status = decoder_of(Status).decode(body)
    except msgspec.DecodeError:
        answer = Status(message=body[:200].decode(errors="replace").strip())
    message = answer.message or f"the API server answered {status} to {asked}"
    return _error_type(status, answer)(message, status=status, reason=answer.reason)


def _error_type(status: int, answer: Status) -> type[ApiError]:
    if 400 <= status < 500 and "admission webhook" in answer.message and DENIED in answer.message:
        return Invalid
    if answer.details and any(cause.field == "metadata.uid" for cause in answer.details.causes):
        # How a patch is answered whose body names another UID: "field is immutable".
        return Conflict
    if answer.reason in ("Expired", "Gone"):
        return Gone
    if status == 409 and answer.reason == "AlreadyExists":
        return AlreadyExists
    if status >= 500:
        return Unavailable
    return _BY_STATUS.get(status, ApiError)


_BY_STATUS: dict[int, type[ApiError]] = {
    400: Invalid,
    401: Forbidden,
    403: Forbidden,
    404: NotFound,
    408: Unavailable,
    409: Conflict,
    410: Gone,
    413: Invalid,
    422: Invalid,
    429: Unavailable,
}


def _read_without_nulls(kind: Kind[T], data: bytes | msgspec.Raw) -> T:
    try:
        return msgspec.convert(without_nulls(msgspec.json.decode(data)), kind.type)
    except (msgspec.ValidationError, msgspec.DecodeError) as error:
        key = read_identity(data).key
        raise Unreadable(f"{kind} {key} cannot be read: {error}; it is left out until it changes") from error
