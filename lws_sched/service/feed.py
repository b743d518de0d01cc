"""What planning processes are told of the cluster: the changes that the extender's informers saw since last time.

What a process has not been told yet is kept by object, the latest of each, so it is never larger than the cluster.
Handlers only note; objects are encoded when a question is asked, a few at a time, so that no thread waits long for the
interpreter.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import msgspec

from lws_sched.api.meta import key_of
from lws_sched.kube.port import Change, Informer, Runtime
from lws_sched.service.frames import WATCHED, Changes

AT_ONCE = 200
"""Objects in one frame: encoding a pod takes some microseconds."""

Untold = dict[tuple[int, str], Any]
"""By kind and key: the object, or None where it is gone."""


class Feed:
    """Subscribe before the runtime starts."""

    def __init__(self, runtime: Runtime) -> None:
        self._informers: Sequence[Informer[Any]] = [runtime.informer(kind) for kind in WATCHED]
        self._lock = threading.Lock()
        self._readers: list[Reader] = []
        for number, informer in enumerate(self._informers):
            informer.subscribe(partial(self._changed, number))

    def reader(self) -> Reader:
        """For a process that knows nothing yet."""
        reader = Reader(self._lock, self._readers)
        with self._lock:
            self._readers.append(reader)
        for number, informer in enumerate(self._informers):
            objects = informer.objects()
            with self._lock:
                for obj in objects:
                    # What a handler noted meanwhile is newer.
                    reader.untold.setdefault((number, key_of(obj)), obj)
        return reader

    def _changed(self, number: int, change: Change[Any]) -> None:
        key = (number, key_of(change.latest))
        with self._lock:
            for reader in self._readers:
                reader.untold[key] = change.new


class Reader:
    """What one process has not been told yet."""

    def __init__(self, lock: threading.Lock, readers: list[Reader]) -> None:
        self.untold: Untold = {}
        self._lock = lock
        self._readers = readers

    def frames(self) -> Iterator[Changes]:
        """All of it, as frames to send; from now on it counts as told."""
        with self._lock:
            untold, self.untold = self.untold, {}
        encoder = msgspec.msgpack.Encoder()
        by_kind: dict[int, list[tuple[str, Any]]] = {}
        for (kind, key), obj in untold.items():
            by_kind.setdefault(kind, []).append((key, obj))
        for kind, objects in sorted(by_kind.items()):
            for at in range(0, len(objects), AT_ONCE):
                some = objects[at : at + AT_ONCE]
                yield Changes(kind, tuple((key, b"" if obj is None else encoder.encode(obj)) for key, obj in some))

    def close(self) -> None:
        with self._lock:
            self._readers[:] = [each for each in self._readers if each is not self]
