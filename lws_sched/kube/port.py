"""The cluster port: everything the controller and the extender may do to a cluster, and how they are driven.

Two implementations: `lws_sched.kube.runtime` (a real API server, threads) and `lws_sched.sim` (in process, one thread,
a seeded clock). A component is a function of a `Runtime`: it asks for informers and queues, subscribes, and returns;
from then on the runtime calls it. The contract a component may rely on, and a runtime must keep:

1. Handlers of one informer are called one at a time, in the order of the watch, after the informer's own store has the
   change. They must be quick and must not write to the cluster: they put keys on queues.
2. A queue never runs the same key twice at once; a key added while it runs is run once more afterwards.
3. `reconcile` may raise: the key is then run again after a back-off that doubles per key. Returning a number of seconds
   asks for another run after that time; returning None ends it.
4. No queue runs before every informer of the runtime holds its first complete list.
5. An informer may lag behind the cluster by any time; it never goes backwards for one object.
6. Writes raise the errors of `lws_sched.kube.errors` and nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

from lws_sched.api.meta import Kind, Object

T = TypeVar("T", bound=Object)
Body = Mapping[str, Any]
PatchOperation = Mapping[str, Any]
"""One RFC 6902 operation."""
Index = Callable[[T], Iterable[str]]
"""The values under which an object is filed."""
Reconcile = Callable[[str], float | None]


class Clock(Protocol):
    def now(self) -> float:
        """Wall time, seconds since the epoch: for what is written down."""

    def monotonic(self) -> float:
        """Seconds that only grow: for time-outs."""


class Cluster(Protocol):
    """Requests to the API server. All may raise ApiError's subclasses; `Unavailable` may have taken effect."""

    def get(self, kind: Kind[T], namespace: str, name: str) -> T: ...

    def list(self, kind: Kind[T], namespace: str = "", labels: str = "") -> list[T]:
        """All objects of a kind, all pages; `namespace` "" is every namespace, `labels` a selector in wire syntax."""

    def create(self, kind: Kind[T], body: Body, *, dry_run: bool = False) -> T:
        """Raises AlreadyExists, Invalid, Forbidden. A dry run passes admission and stores nothing."""

    def replace(self, kind: Kind[T], body: Body) -> T:
        """PUT. The body carries metadata.resourceVersion: raises Conflict where the object has moved on."""

    def apply(self, kind: Kind[T], body: Body, *, manager: str) -> T:
        """Server-side apply with force: creates the object, or takes over the given fields."""

    def merge(self, kind: Kind[T], namespace: str, name: str, body: Body, *, subresource: str = "") -> T:
        """JSON merge patch. A metadata.resourceVersion or uid in the body is a precondition (Conflict)."""

    def patch(self, kind: Kind[T], namespace: str, name: str, operations: Sequence[PatchOperation]) -> T:
        """JSON patch (RFC 6902). A failing `test` operation raises Invalid, and nothing is changed."""

    def delete(
        self,
        kind: Kind[T],
        namespace: str,
        name: str,
        *,
        uid: str = "",
        propagation: str = "Background",
        grace_seconds: int | None = None,
    ) -> None:
        """Raises NotFound; Conflict where `uid` is given and is not the object's."""

    def bind(self, namespace: str, pod: str, uid: str, node: str) -> None:
        """POST the pod's binding with its UID as precondition. Raises Conflict where it is bound already."""


@dataclass(frozen=True)
class Change(Generic[T]):
    """One change of one object as an informer saw it: created (`old` None), changed, or deleted (`new` None)."""

    old: T | None
    new: T | None

    @property
    def latest(self) -> T:
        obj = self.old if self.new is None else self.new
        assert obj is not None
        return obj


class Informer(Protocol[T]):
    """A local copy of all objects of one kind, kept fresh by a watch. Reads never touch the network."""

    def get(self, namespace: str, name: str) -> T | None: ...

    def objects(self) -> list[T]: ...

    def by_index(self, index: str, value: str) -> list[T]:
        """Objects filed under `value` in the index of that name, in the order of their keys."""

    def subscribe(self, handler: Callable[[Change[T]], None]) -> None: ...

    def learn(self, obj: T) -> None:
        """Read your own writes: take in what a write answered, before the watch tells. Handlers are not called again
        for it when the watch then does."""


class Queue(Protocol):
    def add(self, key: str) -> None: ...

    def add_after(self, key: str, seconds: float) -> None: ...


ObjectReference = Mapping[str, str]
"""`apiVersion`, `kind`, `name` and, where there is one, `namespace`."""


class Recorder(Protocol):
    def event(
        self,
        regarding: Kind[T],
        obj: T,
        *,
        type: str,
        reason: str,
        action: str,
        note: str,
        related: ObjectReference | None = None,
    ) -> None:
        """Write an event (events.k8s.io/v1) about an object, best effort and never blocking: an event that cannot be
        written is logged. The same event again within ten minutes is not written twice. `related` is a second object
        that has part in it."""


class Timer(Protocol):
    def cancel(self) -> None: ...


class Runtime(Protocol):
    """Drives one component. `name` is what logs, events and field managers call it."""

    cluster: Cluster
    clock: Clock
    recorder: Recorder

    def informer(
        self, kind: Kind[T], *, indexes: Mapping[str, Index[T]] | None = None, labels: str = ""
    ) -> Informer[T]: ...

    def queue(self, name: str, reconcile: Reconcile, *, workers: int = 1) -> Queue: ...

    def submit(self, task: Callable[[], None]) -> None:
        """Run a task that may block on the cluster, soon and off the caller's thread. An exception is logged."""

    def gather(self, tasks: Sequence[Callable[[], None]]) -> list[BaseException | None]:
        """Run tasks side by side and wait for all: for each, the exception it raised, or None."""

    def call_later(self, seconds: float, task: Callable[[], None]) -> Timer: ...

    def epoch(self) -> int:
        """The fencing token of this leader's Lease. Raises LostLease where this process does not hold it."""
