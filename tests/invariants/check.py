"""Replays a watch log and collects what is wrong with it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from tests.invariants.calls import overheard
from tests.invariants.log import Json, Log, ordered
from tests.invariants.rules import Judge
from tests.invariants.stages import LIMIT_SECONDS, Stage, Stages
from tests.invariants.state import PodStep, State


@dataclass(frozen=True)
class Violation:
    invariant: str
    rv: int
    t: float
    sentence: str

    def __str__(self) -> str:
        return f"{self.invariant} rv={self.rv} t={self.t:.3f} {self.sentence}"


@dataclass(frozen=True)
class Report:
    """What the log came to. `conclusive` is False where events were lost: then no violation means nothing."""

    violations: tuple[Violation, ...]
    gaps: tuple[str, ...]
    versions: int
    bindings: int
    calls: int
    """Of `filter`, asked again."""
    stages: int
    placements: int
    """Groups that were committed, each time that they were."""
    slowest: Stage | None
    """The stage that took longest from its commit until it was settled."""
    end: float

    @property
    def conclusive(self) -> bool:
        return not self.gaps

    @property
    def longest_unsettled(self) -> float:
        """Seconds: the longest that a group was not wholly bound after its Committed record."""
        return self.slowest.unsettled(self.end) if self.slowest else 0.0

    def summary(self) -> str:
        slowest = f" ({self.slowest.group})" if self.slowest else ""
        lost = f"; INCONCLUSIVE, events were lost of: {', '.join(self.gaps)}" if self.gaps else ""
        return (
            f"{len(self.violations)} violations in {self.versions} versions: {self.bindings} members bound in "
            f"{self.stages} stages, longest half-bound {self.longest_unsettled:.3f} s{slowest}, {self.calls} filter "
            f"calls asked again{lost}"
        )


def check(
    lines: Iterable[Json],
    *,
    faults: Sequence[float] = (),
    levels: Mapping[str, str] | None = None,
    limit: float = LIMIT_SECONDS,
    all_ask: bool = True,
) -> Report:
    """Judge a log. `faults` are the times, on the log's clock, at which the test broke something; `levels` gives the
    node labels that level names stand for; `limit` is I2's, in seconds; `all_ask` says whether every scheduler of the
    cluster asks the extender."""
    lines = [*lines]
    log, asked = ordered(lines), overheard(lines)
    state, judge, stages = State(), Judge(levels or {}, all_ask), Stages()
    found: list[Violation] = []
    bindings = 0
    for version in log.versions:
        step = state.apply(version)
        if version.listed:
            continue
        stages.follow(state, step, version.rv, version.t)
        found += [Violation(rule, version.rv, version.t, sentence) for rule, sentence in judge.faults(state, step)]
        bindings += isinstance(step, PodStep) and step.bound is not None and step.bound.ours
    found += [
        Violation("I2", stage.rv, stage.committed_at, said) for stage, said in stages.late(faults, limit, log.end)
    ]
    found += [Violation(rule, _rv_at(log, t), t, sentence) for t, rule, sentence in asked.faults()]
    found.sort(key=lambda each: (each.rv, each.invariant))
    return _report(log, found, bindings, stages, len(asked.calls))


def _rv_at(log: Log, t: float) -> int:
    """The last resourceVersion that was seen at that time."""
    return max((each.rv for each in log.versions if each.t <= t), default=0)


def _report(log: Log, found: Sequence[Violation], bindings: int, stages: Stages, calls: int) -> Report:
    return Report(
        violations=tuple(found),
        gaps=log.gaps,
        versions=len(log.versions),
        bindings=bindings,
        calls=calls,
        stages=len(stages.all),
        placements=sum(stage.has_leader for stage in stages.all),
        slowest=max(stages.all, key=lambda stage: stage.unsettled(log.end), default=None),
        end=log.end,
    )
