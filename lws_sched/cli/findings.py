"""What `lws-sched check` finds, and what of a client it uses."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, TypeVar

from lws_sched.api.meta import Kind, Object
from lws_sched.kube.port import Body

T = TypeVar("T", bound=Object)

OK, WARNING, FAILED = "ok", "warning", "failed"
STALE_SECONDS = 60.0
SOON_DAYS = 3


@dataclass(frozen=True)
class Finding:
    what: str
    result: str
    detail: str
    fix: str = ""


class Reads(Protocol):
    """Of a client what the checks use."""

    def get(self, kind: Kind[T], namespace: str, name: str) -> T: ...

    def list(self, kind: Kind[T]) -> list[T]: ...

    def create(self, kind: Kind[T], body: Body, *, dry_run: bool = False) -> T: ...
