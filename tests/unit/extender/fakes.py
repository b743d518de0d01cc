"""A cluster port that keeps objects in dictionaries and runs what is submitted at once."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

import msgspec

from lws_sched.api.core import Pod
from lws_sched.api.meta import Kind, Object, key_of
from lws_sched.kube.errors import Conflict, LostLease, NotFound
from lws_sched.kube.port import Change, Index

T = TypeVar("T", bound=Object)


class FakeInformer(Generic[T]):
    def __init__(self, *objects: T, indexes: Mapping[str, Index[T]] | None = None) -> None:
        self.known: dict[str, T] = {key_of(obj): obj for obj in objects}
        self.indexes = indexes or {}
        self.subscribers: list[Callable[[Change[T]], None]] = []

    def get(self, namespace: str, name: str) -> T | None:
        return self.known.get(f"{namespace}/{name}" if namespace else name)

    def objects(self) -> list[T]:
        return [self.known[key] for key in sorted(self.known)]

    def by_index(self, index: str, value: str) -> list[T]:
        return [obj for obj in self.objects() if value in self.indexes[index](obj)]

    def subscribe(self, handler: Callable[[Change[T]], None]) -> None:
        self.subscribers.append(handler)

    def learn(self, obj: T) -> None:
        old = self.known.get(key_of(obj))
        self.known[key_of(obj)] = obj
        for subscriber in self.subscribers:
            subscriber(Change(old, obj))


@dataclass
class FakeCluster:
    """Writes are noted in order; `refuse` makes bindings fail."""

    writes: list[tuple[str, str]] = field(default_factory=list)
    pods: dict[str, Pod] = field(default_factory=dict)
    refuse: dict[str, Exception] = field(default_factory=dict)
    versions: int = 100

    def get(self, kind: Kind[T], namespace: str, name: str) -> T:
        pod = self.pods.get(f"{namespace}/{name}")
        if pod is None:
            raise NotFound(f"{kind} {name} not found")
        return pod  # type: ignore[return-value]

    def create(self, kind: Kind[T], body: Mapping[str, Any], *, dry_run: bool = False) -> T:
        return self._stored("create", kind, body)

    def replace(self, kind: Kind[T], body: Mapping[str, Any]) -> T:
        if "replace" in self.refuse:
            raise self.refuse.pop("replace")
        return self._stored("replace", kind, body)

    def bind(self, namespace: str, pod: str, uid: str, node: str) -> None:
        if pod in self.refuse:
            raise self.refuse[pod]
        self.writes.append(("bind", f"{pod}:{uid}->{node}"))

    def _stored(self, verb: str, kind: Kind[T], body: Mapping[str, Any]) -> T:
        self.versions += 1
        metadata = {**body["metadata"], "resourceVersion": str(self.versions)}
        state = body.get("status", {}).get("state", "")
        self.writes.append((verb, f"{kind}/{metadata['name']} {state}".strip()))
        return msgspec.convert({**body, "metadata": metadata}, kind.type)


@dataclass
class FakeClock:
    seconds: float = 1_000_000.0

    def now(self) -> float:
        return self.seconds

    def monotonic(self) -> float:
        return self.seconds


@dataclass
class FakeTimer:
    task: Callable[[], None]
    cancelled: bool = False

    def cancel(self) -> None:
        self.cancelled = True


@dataclass
class FakeRuntime:
    cluster: FakeCluster = field(default_factory=FakeCluster)
    clock: FakeClock = field(default_factory=FakeClock)
    timers: list[FakeTimer] = field(default_factory=list)
    leads: bool = True

    def submit(self, task: Callable[[], None]) -> None:
        task()

    def gather(self, tasks: Sequence[Callable[[], None]]) -> list[BaseException | None]:
        outcomes: list[BaseException | None] = []
        for task in tasks:
            try:
                task()
                outcomes.append(None)
            except Exception as error:
                outcomes.append(error)
        return outcomes

    def call_later(self, seconds: float, task: Callable[[], None]) -> FakeTimer:
        self.timers.append(FakeTimer(task))
        return self.timers[-1]

    def epoch(self) -> int:
        if not self.leads:
            raise LostLease("another process leads")
        return 1


CONFLICT = Conflict("the object has been modified")
