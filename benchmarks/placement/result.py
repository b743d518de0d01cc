"""What a run of all benchmarks comes to."""

from __future__ import annotations

from dataclasses import dataclass

from benchmarks.placement import defragmentation, plan_command, quality, snapshot, speed, torus


@dataclass(frozen=True)
class Run:
    """When and on what a run was made."""

    date: str
    commit: str
    python: str
    cores: int
    load: float
    """Load average of the last minute when it began: other work on the machine spoils times."""


@dataclass(frozen=True)
class Everything:
    run: Run
    oracle: dict[str, int]
    """The engine against brute force: groups refused though they fit, wrong placements."""
    snapshot: snapshot.Report
    defragmentation: defragmentation.Report
    torus: torus.Report
    speed: speed.Report
    plan_command: plan_command.Report | None
    """Not part of the quick run, nor is the next."""
    quality: quality.Report | None
