"""What `filter` was asked and answered, as a drill that overhears the calls notes it beside the watch's events.

I7  `filter` is pure. Asked twice in a row it says the same, unless the cluster changed about then; and asked anew while
    the cluster is at rest it writes nothing: of several such rounds at least one is followed by no write at all.
I8  A pod that wants no extended resource never reaches the extender.

An answer that is an error says nothing: who has lost the Lease answers nobody, and no watch tells when that was.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from tests.invariants.log import Json

SLACK_SECONDS = 1.0
"""How far the extender and the log may be apart in hearing of a change."""


@dataclass(frozen=True)
class Call:
    """One call of `filter` that was overheard, and what two more like it, one right after the other, came to."""

    pod: str
    resources: tuple[str, ...]
    begun: float
    ended: float
    answers: tuple[Any, ...]


@dataclass(frozen=True)
class Round:
    """Calls that were overheard before, asked again while nothing seemed to happen."""

    calls: int
    begun: float
    ended: float


@dataclass(frozen=True)
class Overheard:
    """All of a log's calls, and when anything was written."""

    calls: tuple[Call, ...]
    rounds: tuple[Round, ...]
    writes: Sequence[float]
    """The times of all events, in order."""

    def faults(self) -> Iterator[tuple[float, str, str]]:
        """The time, the invariant and a sentence for each that was broken."""
        for call in self.calls:
            if not any("/" in each for each in call.resources):
                yield call.begun, "I8", f"filter was asked about {call.pod}, which wants no extended resource"
            if _differ(call.answers) and not self._written(call.begun - SLACK_SECONDS, call.ended + SLACK_SECONDS):
                first, second = call.answers
                yield call.begun, "I7", f"filter of {call.pod} answered {first}, and then {second}"
        asked = [each for each in self.rounds if each.calls]
        if asked and all(self._written(each.begun, each.ended) for each in asked):
            said = f"each of {len(asked)} rounds of filter calls on a cluster at rest was followed by a write"
            yield asked[-1].begun, "I7", said

    def _written(self, begun: float, ended: float) -> bool:
        at = bisect_left(self.writes, begun)
        return at < len(self.writes) and self.writes[at] <= ended


def overheard(lines: Iterable[Json]) -> Overheard:
    calls: list[Call] = []
    rounds: list[Round] = []
    writes: list[float] = []
    for line in lines:
        if "filter" in line:
            call = line["filter"]
            calls.append(Call(**{**call, "resources": tuple(call["resources"]), "answers": tuple(call["answers"])}))
        elif "round" in line:
            rounds.append(Round(**line["round"]))
        elif "object" in line and not line.get("listed"):
            writes.append(float(line["t"]))
    return Overheard(tuple(calls), tuple(rounds), sorted(writes))


def _differ(answers: Sequence[Any]) -> bool:
    return not any(each.get("Error") for each in answers) and any(each != answers[0] for each in answers)
