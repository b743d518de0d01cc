"""Watch logs: lines of JSON, read into versions of objects and put into the order of their resourceVersions.

    {"t": 12.3, "type": "ADDED", "object": {...}}   an event; "listed": true where it was found there by a list
    {"gap": "Pod"}                                  events of that kind were lost from here on
    {"complete": "Pod", "rv": 812}                  every event of that kind up to this resourceVersion is in the log

Lines about calls, which `calls` reads, are passed over here.

What cannot be judged is not judged: a log counts up to the last resourceVersion before its first gap, and up to the
lowest of its `complete` lines. A listed object says what was, not when it came to be: it is the state to start from.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

Json = Mapping[str, Any]
DELETED = "DELETED"
KINDS = ("Pod", "Node", "GroupPlacement", "LeaderWorkerSet")


@dataclass(frozen=True)
class Version:
    """One object as one event showed it."""

    rv: int
    t: float
    kind: str
    body: Json
    deleted: bool = False
    listed: bool = False

    @property
    def key(self) -> str:
        meta = self.body["metadata"]
        return f"{meta['namespace']}/{meta['name']}" if meta.get("namespace") else str(meta["name"])


@dataclass(frozen=True)
class Log:
    """`versions` in the order of their resourceVersions, listed ones first; `end` is the time of the last of them."""

    versions: tuple[Version, ...]
    end: float
    gaps: tuple[str, ...] = ()


def read(path: Path) -> Iterator[Json]:
    """The lines of a log file. A last line that was cut short by a kill is left out."""
    with path.open("rb") as file:
        for line in file:
            if line.endswith(b"\n"):
                yield msgspec.json.decode(line)


def ordered(lines: Iterable[Json]) -> Log:
    """Everything in the log that can be judged, in the order in which it happened."""
    versions: list[Version] = []
    gaps: list[str] = []
    complete: list[int] = []
    horizon: int | None = None
    last_of: dict[str, int] = {}
    end = 0.0
    for line in lines:
        if "gap" in line:
            gaps.append(line["gap"])
            known = last_of.get(line["gap"], 0)
            horizon = known if horizon is None else min(horizon, known)
        elif "complete" in line:
            complete.append(int(line["rv"]))
            end = max(end, float(line.get("t", 0.0)))
        elif "object" in line:
            version = _version(line)
            if version.kind in gaps:
                continue
            last_of[version.kind] = max(last_of.get(version.kind, 0), version.rv)
            versions.append(version)
    limits = [*complete, *([] if horizon is None else [horizon])]
    if limits:
        versions = [each for each in versions if each.rv <= min(limits)]
    versions.sort(key=lambda each: (not each.listed, each.rv))
    seen = max((each.t for each in versions), default=0.0)
    return Log(tuple(versions), end=seen if gaps else max(end, seen), gaps=tuple(gaps))


def _version(line: Json) -> Version:
    body = line["object"]
    return Version(
        rv=int(body["metadata"]["resourceVersion"]),
        t=float(line["t"]),
        kind=body["kind"],
        body=body,
        deleted=line["type"] == DELETED,
        listed=bool(line.get("listed")),
    )
