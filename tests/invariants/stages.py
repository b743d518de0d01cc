"""I2: a committed stage is fully bound, or has no live member, within seconds of its commit or of the last fault.

A stage is what one write of a record commits: the pods whose UIDs it adds to `status.committed`. It is settled once
each of them has been bound at some time (what is lost later is the restart policy's), or none of them is left. The
deadline is LIMIT_SECONDS after the commit; a fault before the stage settles moves it to as long after the fault.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from tests.invariants.state import PodStep, RecordStep, State, Step

LIMIT_SECONDS = 10.0


@dataclass
class Stage:
    group: str
    rv: int
    committed_at: float
    waiting_for: set[str]
    """UIDs of members that have not been bound."""
    has_leader: bool = False
    """Whether it begins a placement: workers of LeaderReady, and members that come back alone, have a stage later."""
    living: set[str] = field(default_factory=set)
    settled_at: float | None = None

    def unsettled(self, end: float) -> float:
        """Seconds from the commit until the stage was settled, or until `end`."""
        return max(0.0, (end if self.settled_at is None else self.settled_at) - self.committed_at)

    def deadline(self, faults: Sequence[float], limit: float, end: float) -> float:
        until = end if self.settled_at is None else self.settled_at
        return max([self.committed_at, *(fault for fault in faults if fault <= until)]) + limit


class Stages:
    """Follows every stage through the replay."""

    def __init__(self) -> None:
        self.all: list[Stage] = []
        self._open: defaultdict[str, list[Stage]] = defaultdict(list)

    def follow(self, state: State, step: Step, rv: int, t: float) -> None:
        match step:
            case RecordStep(old, new) if new is not None and new.state in ("Committed", "Bound"):
                before = set(old.committed.values()) if old else set()
                fresh = set(new.committed.values()) - before
                if fresh:
                    self._commit(state, Stage(new.key, rv, t, fresh, new.committed.get(new.key) in fresh), t)
            case PodStep(_, new) if new is not None and new.node:
                for stage in self._open.get(new.uid, ()):
                    stage.waiting_for.discard(new.uid)
                    self._settle(stage, t)
            case PodStep(old, None) if old is not None:
                for stage in self._open.pop(old.uid, ()):
                    stage.living.discard(old.uid)
                    self._settle(stage, t)

    def late(self, faults: Sequence[float], limit: float, end: float) -> Iterator[tuple[Stage, str]]:
        """Each stage that was not settled by its deadline, and a sentence on it."""
        for stage in self.all:
            deadline = stage.deadline(faults, limit, end)
            until = end if stage.settled_at is None else stage.settled_at
            if until > deadline:
                how = "never settled" if stage.settled_at is None else f"settled {until - deadline:.1f} s too late"
                left = sorted(stage.waiting_for)
                which = f"; never bound: {', '.join(left[:3])}{' ...' if len(left) > 3 else ''}" if left else ""
                yield stage, f"the stage of group {stage.group} committed at {stage.committed_at:.3f} {how}{which}"

    def _commit(self, state: State, stage: Stage, t: float) -> None:
        stage.living = {uid for uid in stage.waiting_for if uid in state.living}
        for uid in stage.living:
            self._open[uid].append(stage)
        stage.waiting_for -= {uid for uid in stage.living if state.living[uid].node}
        self.all.append(stage)
        self._settle(stage, t)

    def _settle(self, stage: Stage, t: float) -> None:
        if stage.settled_at is None and not (stage.waiting_for and stage.living):
            stage.settled_at = t
