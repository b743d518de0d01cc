"""The page's answers, each made once for all who look, at most once a second, and only while somebody does."""

from __future__ import annotations

import gzip
import hashlib
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from lws_sched.intake.explaining import facts
from lws_sched.intake.groups import Group
from lws_sched.kube.port import Clock
from lws_sched.placement import LEVELS, Level
from lws_sched.web import telling
from lws_sched.web.leadership import UNKNOWN, Leader
from lws_sched.web.question import Asker
from lws_sched.web.scene import Scene
from lws_sched.web.sources import Sources
from lws_sched.web.timeline import Timeline

REFRESH_SECONDS = 1.0
COMPRESSION = 5
"""Of zlib's 1 to 9: more costs time and saves next to nothing here."""


@dataclass(frozen=True)
class Body:
    """JSON, plain and compressed, and the tag by which a caller says that it has it."""

    tag: str
    plain: bytes
    compressed: bytes


@dataclass(frozen=True)
class Surroundings:
    """What the page needs to know of where it runs."""

    asker: Asker
    leader: Callable[[], Leader] = lambda: Leader(UNKNOWN)
    """Asked under the page's lock, so it must not wait."""
    missing: Callable[[], Sequence[str]] = tuple
    """The kinds of which there is no complete list yet."""
    levels: tuple[Level, ...] = LEVELS


class Page:
    """Thread-safe. Build it before the runtime starts."""

    def __init__(self, sources: Sources, clock: Clock, around: Surroundings) -> None:
        self.questions = around.asker
        # Before the scene: what the scene is told of must be in the timeline when somebody then looks.
        self._timeline = Timeline(sources.records, clock)
        self._scene = Scene(sources, around.levels)
        self._clock, self._around = clock, around
        self._lock = threading.Lock()
        self._due = float("-inf")
        self._made_of: tuple[object, ...] = ()
        self._layout_of: object = None
        self._layout = self._state = _body({})

    def layout(self) -> Body:
        with self._lock:
            self._refresh()
            return self._layout

    def state(self) -> Body:
        with self._lock:
            self._refresh()
            return self._state

    def group(self, namespace: str, name: str) -> dict[str, Any] | None:
        """One group in full; None where there is none of that name."""
        with self._lock:
            self._refresh()
            group = self._scene.groups.get(f"{namespace}/{name}")
            lws = self._scene.set_of(group) if group is not None else None
        if group is None:
            return None
        return _in_full(group) | {"facts": facts(lws, group) if lws is not None else _known_facts(group)}

    def _refresh(self) -> None:
        now = self._clock.monotonic()
        if now < self._due:
            return
        self._due = now + REFRESH_SECONDS
        self._scene.update()
        leader, missing = self._around.leader(), [*self._around.missing()]
        made_of = (self._scene.version, leader, tuple(missing))
        if made_of == self._made_of:
            return
        if self._layout_of is not self._scene.snapshot.table:
            self._layout_of = self._scene.snapshot.table
            self._layout = _body(telling.layout(self._scene.snapshot))
        told = {
            "layout": self._layout.tag,
            "leader": leader,
            "missing": missing,
            "timeline": telling.timeline(self._timeline),
            **telling.state(self._scene),
        }
        self._state, self._made_of = _body(told), made_of


def _body(value: Any) -> Body:
    plain = msgspec.json.encode(value)
    return Body(hashlib.sha256(plain).hexdigest()[:20], plain, gzip.compress(plain, COMPRESSION, mtime=0))


def _in_full(group: Group) -> dict[str, Any]:
    return {
        "name": group.name,
        "namespace": group.namespace,
        "state": group.state,
        "since": group.since,
        "members": [
            {
                "pod": member.pod,
                "state": "Ready" if member.ready else member.state,
                "node": member.node,
                "slot": member.slot,
                "restarts": member.restarts,
                "message": member.message,
            }
            for member in group.members
        ],
    }


def _known_facts(group: Group) -> list[tuple[str, str]]:
    """Of a group whose set is gone, or that is made of plain pods."""
    found = [("is in", f"{group.domain} ({group.level})" if group.domain else ""), ("why", group.reason)]
    return [(heading, sentence) for heading, sentence in (*found, ("fix", group.fix)) if sentence]
