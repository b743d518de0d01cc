"""What the extender's process and a planning process (`worker`) say to each other: length-prefixed MessagePack.

The extender sends `Changes` whenever it likes, and one question at a time. The worker may ask back (`Templates`), which
the extender answers with `Admitted`, or with `Never` to end it; it answers each question with `Done` or `Failed`.
"""

from __future__ import annotations

import struct
from typing import Protocol

import msgspec

from lws_sched.api.core import NODE, POD
from lws_sched.api.lws import LEADER_WORKER_SET
from lws_sched.api.placement import GROUP_PLACEMENT
from lws_sched.api.topology import TOPOLOGY

WATCHED = (NODE, POD, LEADER_WORKER_SET, GROUP_PLACEMENT, TOPOLOGY)
"""The kinds that a worker is told of, as the extender's own planner sees them."""
_LENGTH = struct.Struct("!I")


class Frame(msgspec.Struct, frozen=True, tag=True, array_like=True):
    """Base of all that is said."""


class Changes(Frame, frozen=True, tag=True, array_like=True):
    """Objects of one of the `WATCHED` kinds by their keys; empty where they are gone."""

    kind: int
    objects: tuple[tuple[str, bytes], ...]


class Plan(Frame, frozen=True, tag=True, array_like=True):
    manifests: str
    namespace: str
    cluster: str
    now: float
    """Seconds since the epoch."""
    moves: bool = False
    """Whether pods may be moved to make room (Defragment)."""


class Explain(Frame, frozen=True, tag=True, array_like=True):
    namespace: str
    name: str
    now: float


Question = Plan | Explain


class Template(msgspec.Struct, frozen=True, array_like=True):
    """A set, and the pods (JSON) to ask admission about; none where the templates are to be taken as they are."""

    namespace: str
    name: str
    pods: tuple[bytes, ...]


class Templates(Frame, frozen=True, tag=True, array_like=True):
    sets: tuple[Template, ...]


class Admitted(Frame, frozen=True, tag=True, array_like=True):
    specs: tuple[tuple[bytes, ...], ...]
    """Per set the specs (MessagePack) of its pods as admission makes them; none where it could not be asked."""
    notes: tuple[str, ...] = ()


class Never(Frame, frozen=True, tag=True, array_like=True):
    """Nobody wants the answer any more."""


class Done(Frame, frozen=True, tag=True, array_like=True):
    response: bytes
    """The serialised message of placement.proto."""


class Failed(Frame, frozen=True, tag=True, array_like=True):
    code: str
    """The name of a gRPC status."""
    sentence: str


ToWorker = Changes | Plan | Explain | Admitted | Never
FromWorker = Templates | Done | Failed

_ENCODER = msgspec.msgpack.Encoder()
TO_WORKER = msgspec.msgpack.Decoder(ToWorker)
FROM_WORKER = msgspec.msgpack.Decoder(FromWorker)


def encoded(frame: Frame) -> bytes:
    body = _ENCODER.encode(frame)
    return _LENGTH.pack(len(body)) + body


class Readable(Protocol):
    """A socket, as far as it is read from."""

    def recv(self, bufsize: int, /) -> bytes: ...


def received(connection: Readable) -> bytes:
    """The next frame's body. Raises EOFError where the other side is gone, and what the socket raises."""
    (length,) = _LENGTH.unpack(_exactly(connection, _LENGTH.size))
    return _exactly(connection, length)


def _exactly(connection: Readable, size: int) -> bytes:
    whole = bytearray()
    while len(whole) < size:
        piece = connection.recv(min(size - len(whole), 1 << 20))
        if not piece:
            raise EOFError
        whole += piece
    return bytes(whole)
