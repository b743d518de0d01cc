"""Placements told to watchers as they change: first all that there are, then every change, in order.

Each watcher has a queue of its own. One that does not take its changes is ended once `MOST_UNTOLD` of them wait, so
that a client which stands still costs the process nothing more; it then lists anew.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator

from lws_sched.api.meta import key_of
from lws_sched.api.placement import GroupPlacement
from lws_sched.kube.port import Change, Informer
from lws_sched.service import placement_pb2 as pb
from lws_sched.service.refusal import Refusal
from lws_sched.service.translation import placement_message

WATCHERS = 24
MOST_UNTOLD = 1_000

Selected = Callable[[GroupPlacement], bool]


class Hub:
    """All watchers of one informer. Subscribe before the runtime starts."""

    def __init__(self, placements: Informer[GroupPlacement]) -> None:
        self._placements = placements
        self._lock = threading.Lock()
        self._watches: list[Watch] = []
        self._is_open = True
        placements.subscribe(self._changed)

    def watch(self, selected: Selected, overrun: Callable[[], object]) -> Watch:
        """`overrun` is called once the watcher turns out to be too slow. Raises Refusal."""
        watch = Watch(selected, overrun)
        with self._lock:
            if not self._is_open:
                raise _STOPPING
            if len(self._watches) >= WATCHERS:
                raise Refusal(
                    "RESOURCE_EXHAUSTED", f"{WATCHERS} watches are open here, and there are no more: try again"
                )
            self._watches.append(watch)
        watch.begin(self._placements.objects())
        return watch

    def leave(self, watch: Watch) -> None:
        watch.end(None)
        with self._lock:
            self._watches = [each for each in self._watches if each is not watch]

    def stop(self) -> None:
        """End all watches."""
        with self._lock:
            self._is_open = False
            watches = [*self._watches]
        for watch in watches:
            watch.end(_STOPPING)

    def _changed(self, change: Change[GroupPlacement]) -> None:
        with self._lock:
            watches = [*self._watches]
        for watch in watches:
            watch.tell(change)


class Watch:
    """One watcher: `events` is read by its thread, the rest is called by others."""

    def __init__(self, selected: Selected, overrun: Callable[[], object]) -> None:
        self._selected = selected
        self._overrun = overrun
        self._told = threading.Condition()
        self._changes: deque[Change[GroupPlacement]] = deque()
        self._listed: list[GroupPlacement] = []
        self._has_ended = False
        self._reason: Refusal | None = None

    def begin(self, placements: list[GroupPlacement]) -> None:
        self._listed = sorted(filter(self._selected, placements), key=key_of)

    def tell(self, change: Change[GroupPlacement]) -> None:
        if not self._selected(change.latest):
            return
        with self._told:
            if len(self._changes) < MOST_UNTOLD and not self._has_ended:
                self._changes.append(change)
                self._told.notify()
                return
        if self.end(Refusal("RESOURCE_EXHAUSTED", f"{MOST_UNTOLD} changes were not taken in time: watch again")):
            self._overrun()

    def end(self, reason: Refusal | None) -> bool:
        """No more events come; `events` raises the reason, if there is one. The first end counts: was this it?"""
        with self._told:
            is_first = not self._has_ended
            if is_first:
                self._has_ended, self._reason = True, reason
                self._changes.clear()
            self._told.notify()
            return is_first

    def events(self, remaining: Callable[[], float]) -> Iterator[pb.PlacementEvent]:
        """As long as seconds remain. Raises Refusal."""
        versions: dict[str, int] = {}
        for each in self._listed:
            versions[key_of(each)] = _version(each)
            yield pb.PlacementEvent(type=pb.PlacementEvent.LISTED, placement=placement_message(each))
        self._listed = []
        yield pb.PlacementEvent(type=pb.PlacementEvent.COMPLETE)
        while (change := self._next(remaining())) is not None:
            key, latest = key_of(change.latest), change.latest
            if change.new is None:
                # What was gone before the list was made was never told.
                if versions.pop(key, None) is not None:
                    yield pb.PlacementEvent(type=pb.PlacementEvent.GONE, placement=placement_message(latest))
            elif _version(latest) > versions.get(key, -1):
                versions[key] = _version(latest)
                yield pb.PlacementEvent(type=pb.PlacementEvent.CHANGED, placement=placement_message(latest))

    def _next(self, seconds: float) -> Change[GroupPlacement] | None:
        """None where there are no more, or none came in time."""
        with self._told:
            self._told.wait_for(lambda: self._changes or self._has_ended, max(seconds, 0.0))
            if self._reason is not None:
                raise self._reason
            return self._changes.popleft() if self._changes and seconds > 0 else None


_STOPPING = Refusal("UNAVAILABLE", "this replica stops: watch again, another one answers")


def _version(record: GroupPlacement) -> int:
    return int(record.metadata.resource_version or 0)
