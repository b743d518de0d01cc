"""What came of one drill."""

from __future__ import annotations

from dataclasses import dataclass

from tests.invariants.check import Violation

RECOVERY_SECONDS = 30.0
"""How long after the last fault every group has to be whole or unbound."""


@dataclass(frozen=True)
class Result:
    seed: int
    violations: tuple[Violation, ...]
    partial: tuple[str, ...]
    idle: tuple[str, ...]
    recovery: float
    """Seconds from the last fault until every group was, and stayed, whole or unbound."""
    placements: int
    """How many groups were committed, each time that they were."""
    story: tuple[tuple[float, str], ...]
    replay: str
    """The command that runs the drill again."""
    restarted: tuple[str, ...] = ()
    """One sentence on each process that ended by itself and was started again."""
    unexplained: tuple[str, ...] = ()
    """Those of them that had no reason to end."""

    @property
    def is_good(self) -> bool:
        return not self.problems()

    def problems(self) -> list[str]:
        late = self.recovery > RECOVERY_SECONDS
        return [
            *map(str, self.violations),
            *(f"partial: {each}" for each in self.partial),
            *(f"idle: {each}" for each in self.idle),
            *(f"unexplained: {each}" for each in self.unexplained),
            *([f"late: whole or unbound only {self.recovery:.1f} s after the last fault"] if late else []),
        ]
