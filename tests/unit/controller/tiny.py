"""A cluster of dictionaries behind the cluster port: enough API server to watch one component work, one step at a time.

Nothing else lives here: no StatefulSet controller, no garbage collector. A test puts pods in place and takes them away,
and calls `settle` to let the component see it and act until it rests. Every write is recorded as `verb Kind name`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from copy import deepcopy
from typing import Any, Generic, TypeVar

import msgspec

from lws_sched.api.meta import Kind, Object, key_of
from lws_sched.kube.errors import AlreadyExists, ApiError, Conflict, NotFound
from lws_sched.kube.port import (
    Body,
    Change,
    Clock,
    Cluster,
    Index,
    ObjectReference,
    PatchOperation,
    Reconcile,
    Recorder,
    Timer,
)
from lws_sched.sim.patch import merge_patch

T = TypeVar("T", bound=Object)
Json = dict[str, Any]
NOW = 1_767_268_800.0
"""2026-01-01T12:00:00Z."""
_ROUNDS = 50


class TinyClock:
    def __init__(self, cluster: TinyCluster) -> None:
        self._cluster = cluster

    def now(self) -> float:
        return self._cluster.now

    def monotonic(self) -> float:
        return self._cluster.uptime


class TinyCluster:
    """Objects as JSON by kind, namespace and name."""

    def __init__(self) -> None:
        self.objects: dict[tuple[str, str, str], Json] = {}
        self.writes: list[str] = []
        self.refuse: dict[str, ApiError] = {}
        """The next write of that record is refused with this error."""
        self.now, self.uptime = NOW, 0.0
        self._version = 0

    # --- what a test does --------------------------------------------------------------------------------------------
    def put(self, kind: Kind[Any], body: Mapping[str, Any]) -> Json:
        """Store an object as it is, with the metadata that an API server adds."""
        stored = deepcopy(dict(body))
        meta = stored["metadata"] = dict(stored["metadata"])
        self._version += 1
        meta.setdefault("namespace", "default" if kind.namespaced else "")
        meta.setdefault("uid", f"{kind.kind}-{meta['name']}-{self._version}")
        meta["resourceVersion"] = str(self._version)
        key = (kind.plural, meta["namespace"], meta["name"])
        before = self.objects.get(key, {})
        meta["generation"] = before.get("metadata", {}).get("generation", 0) + (
            before.get("spec") != stored.get("spec")
        )
        self.objects[key] = stored
        return stored

    def remove(self, kind: Kind[Any], name: str) -> None:
        del self.objects[(kind.plural, "default", name)]

    def named(self, kind: Kind[Any], name: str) -> Json:
        return self.objects[(kind.plural, "default", name)]

    def names(self, kind: Kind[Any]) -> list[str]:
        return sorted(name for plural, _, name in self.objects if plural == kind.plural)

    # --- the port ----------------------------------------------------------------------------------------------------
    def get(self, kind: Kind[T], namespace: str, name: str) -> T:
        return msgspec.convert(self._stored(kind, namespace, name), kind.type)

    def list(self, kind: Kind[T], namespace: str = "", labels: str = "") -> list[T]:
        found = (body for (plural, _, _), body in sorted(self.objects.items()) if plural == kind.plural)
        return [msgspec.convert(body, kind.type) for body in found if _selects(labels, body)]

    def create(self, kind: Kind[T], body: Body, *, dry_run: bool = False) -> T:
        meta = body["metadata"]
        self._record("create", kind, meta["name"])
        if (kind.plural, meta["namespace"], meta["name"]) in self.objects:
            raise AlreadyExists(f"{kind.plural} {meta['name']!r} already exists")
        return msgspec.convert(self.put(kind, body), kind.type)

    def apply(self, kind: Kind[T], body: Body, *, manager: str) -> T:
        meta = body["metadata"]
        self._record("apply", kind, meta["name"])
        before = self.objects.get((kind.plural, meta["namespace"], meta["name"]), {})
        kept = {field: before[field] for field in ("status",) if field in before}
        uid = {"uid": before["metadata"]["uid"]} if before else {}
        return msgspec.convert(self.put(kind, {**body, **kept, "metadata": {**meta, **uid}}), kind.type)

    def merge(self, kind: Kind[T], namespace: str, name: str, body: Body, *, subresource: str = "") -> T:
        self._record(f"merge-{subresource}" if subresource else "merge", kind, name)
        stored = self._stored(kind, namespace, name)
        for field in ("resourceVersion", "uid"):
            if body["metadata"].get(field, stored["metadata"][field]) != stored["metadata"][field]:
                raise Conflict("the object has been modified")
        return msgspec.convert(self.put(kind, merge_patch(stored, body)), kind.type)

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
        self._record(f"delete-{propagation}", kind, name)
        stored = self._stored(kind, namespace, name)
        if uid and stored["metadata"]["uid"] != uid:
            raise Conflict("the UID in the precondition is not the object's")
        if propagation == "Foreground":
            meta = {**stored["metadata"], "deletionTimestamp": "2026-01-01T12:00:00Z"}
            self.put(kind, {**stored, "metadata": meta})
        else:
            del self.objects[(kind.plural, namespace, name)]

    def replace(self, kind: Kind[T], body: Body) -> T:
        raise NotImplementedError

    def patch(self, kind: Kind[T], namespace: str, name: str, operations: Sequence[PatchOperation]) -> T:
        raise NotImplementedError

    def bind(self, namespace: str, pod: str, uid: str, node: str) -> None:
        raise NotImplementedError

    def _stored(self, kind: Kind[Any], namespace: str, name: str) -> Json:
        try:
            return self.objects[(kind.plural, namespace, name)]
        except KeyError:
            raise NotFound(f"{kind.plural} {name!r} not found") from None

    def _record(self, verb: str, kind: Kind[Any], name: str) -> None:
        record = f"{verb} {kind.kind} {name}"
        self.writes.append(record)
        if record in self.refuse:
            raise self.refuse.pop(record)


def _selects(selector: str, body: Json) -> bool:
    labels = body["metadata"].get("labels") or {}
    wanted = [term for term in selector.split(",") if term]
    return all((term[1:] not in labels) if term.startswith("!") else (term in labels) for term in wanted)


class TinyInformer(Generic[T]):
    """Sees the cluster only when told to."""

    def __init__(self, cluster: TinyCluster, kind: Kind[T], labels: str, indexes: Mapping[str, Index[T]]) -> None:
        self._cluster, self.kind, self._labels, self._indexes = cluster, kind, labels, indexes
        self._known: dict[str, T] = {}
        self._handlers: list[Callable[[Change[T]], None]] = []

    def get(self, namespace: str, name: str) -> T | None:
        return self._known.get(f"{namespace}/{name}")

    def objects(self) -> list[T]:
        return [self._known[key] for key in sorted(self._known)]

    def by_index(self, index: str, value: str) -> list[T]:
        return [obj for obj in self.objects() if value in self._indexes[index](obj)]

    def subscribe(self, handler: Callable[[Change[T]], None]) -> None:
        self._handlers.append(handler)

    def learn(self, obj: T) -> None:
        self._known[key_of(obj)] = obj

    def refresh(self) -> None:
        """Catch up with the cluster, telling of every change."""
        present = {key_of(obj): obj for obj in self._cluster.list(self.kind, labels=self._labels)}
        before, self._known = self._known, present
        for key in sorted(before.keys() | present.keys()):
            old, new = before.get(key), present.get(key)
            if old != new:
                for handler in self._handlers:
                    handler(Change(old, new))


class TinyQueue:
    def __init__(self, reconcile: Reconcile) -> None:
        self._reconcile = reconcile
        self._keys: dict[str, None] = {}
        self.waiting: dict[str, float] = {}

    def add(self, key: str) -> None:
        self._keys[key] = None

    def add_after(self, key: str, seconds: float) -> None:
        if seconds <= 0:
            self.add(key)
        else:
            self.waiting[key] = seconds

    def run(self) -> bool:
        """Reconcile every key once; whether there was any. A run asked for without delay comes at once."""
        keys, self._keys = list(self._keys), {}
        for key in keys:
            again = self._reconcile(key)
            if again == 0:
                self.add(key)
            elif again is not None:
                self.add_after(key, again)
        return bool(keys)


class TinyRecorder:
    def __init__(self) -> None:
        self.events: list[tuple[str, str, str, str]] = []
        self.related: dict[str, dict[str, str]] = {}
        """What else an event names, by its note."""

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
        self.events.append((type, reason, action, note))
        self.related[note] = dict(related or {})

    @property
    def notes(self) -> list[str]:
        return [note for _, _, _, note in self.events]


class TinyRuntime:
    """Drives one component over a cluster; another runtime over the same cluster is a restarted component."""

    def __init__(self, cluster: TinyCluster) -> None:
        self.recorded = TinyRecorder()
        self.cluster: Cluster = cluster
        self.clock: Clock = TinyClock(cluster)
        self.recorder: Recorder = self.recorded
        self._objects = cluster
        self.informers: list[TinyInformer[Any]] = []
        self.queues: dict[str, TinyQueue] = {}

    def informer(
        self, kind: Kind[T], *, indexes: Mapping[str, Index[T]] | None = None, labels: str = ""
    ) -> TinyInformer[T]:
        informer = TinyInformer(self._objects, kind, labels, indexes or {})
        self.informers.append(informer)
        return informer

    def queue(self, name: str, reconcile: Reconcile, *, workers: int = 1) -> TinyQueue:
        self.queues[name] = TinyQueue(reconcile)
        return self.queues[name]

    def settle(self) -> None:
        """Let the component see the cluster and act, until it rests."""
        for _ in range(_ROUNDS):
            for informer in self.informers:
                informer.refresh()
            if not sum(queue.run() for queue in self.queues.values()):
                return
        raise AssertionError("the component does not come to rest")

    def hear_of(self, kind: Kind[Any]) -> None:
        """Let the component see what became of one kind, before all others, and act once."""
        for informer in self.informers:
            if informer.kind.plural == kind.plural:
                informer.refresh()
        for queue in self.queues.values():
            queue.run()

    def submit(self, task: Callable[[], None]) -> None:
        raise NotImplementedError

    def gather(self, tasks: Sequence[Callable[[], None]]) -> list[BaseException | None]:
        raise NotImplementedError

    def call_later(self, seconds: float, task: Callable[[], None]) -> Timer:
        raise NotImplementedError

    def epoch(self) -> int:
        return 1


def only(found: Iterable[T]) -> T:
    """The one element."""
    (single,) = found
    return single
