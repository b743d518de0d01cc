"""What the benchmarks' commands have in common: options, progress on stderr, one JSON line on stdout."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

REPOSITORY = Path(__file__).resolve().parents[2]
TRACES = REPOSITORY.parent / "shared" / "data"
"""Where the traces are looked for: beside the checkout."""


@dataclass(frozen=True)
class Options:
    """`quick` asks for a sample that takes seconds, not minutes."""

    quick: bool = False
    seed: int = 0
    traces: Path = TRACES
    _started: float = field(default_factory=time.monotonic)

    def say(self, line: str) -> None:
        """Progress, with the seconds since the start."""
        print(f"{time.monotonic() - self._started:6.1f} s  {line}", file=sys.stderr, flush=True)


def parse(name: str, description: str | None) -> Options:
    parser = argparse.ArgumentParser(prog=f"python -m benchmarks.{name}", description=description)
    parser.add_argument("--quick", action="store_true", help="a sample that takes seconds")
    parser.add_argument("--seed", type=int, default=0, help="all fleets and queues follow from it (default 0)")
    parser.add_argument("--traces", type=Path, default=TRACES, help="folder of the trace files")
    given = parser.parse_args()
    return Options(given.quick, given.seed, given.traces)


def main(name: str, description: str | None, run: Callable[[Options], object]) -> int:
    """Run one benchmark as a command: its report, a dataclass, goes to stdout as one line."""
    print(json_line(run(parse(name, description))))
    return 0


def json_line(report: object) -> str:
    """A report (a dataclass) as one line."""
    return msgspec.json.encode(report).decode()
