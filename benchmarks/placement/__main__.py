"""All benchmarks of placement, one after the other: `python -m benchmarks.placement` (or `make bench`).

The full run writes `benchmarks/results/<date>-<commit>/`: `result.json`, `report.md` and its charts. `--quick` runs a
sample of each and writes nothing (`make -s bench-quick`). Both print one JSON line as their last.
"""

from __future__ import annotations

import argparse
import os
import platform
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

import msgspec

from benchmarks.placement import command, defragmentation, plan_command, quality, snapshot, speed, torus
from benchmarks.placement.result import Everything, Run
from tests.oracle import run as run_oracle

QUICK_ORACLE, FULL_ORACLE = 1_000, 10_000
"""Random instances that brute force decides as well."""
RESULTS = command.REPOSITORY / "benchmarks" / "results"


@dataclass(frozen=True)
class Headline:
    """The last line."""

    oracle: dict[str, int]
    snapshot: dict[str, float]
    latency_ms: dict[str, float]
    defrag: dict[str, int]


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.placement", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a sample of each, within a minute; writes nothing")
    parser.add_argument("--seed", type=int, default=0, help="all fleets and queues follow from it (default 0)")
    parser.add_argument("--traces", type=Path, default=command.TRACES, help="folder of the trace files")
    parser.add_argument("--parts", type=Path, help="folder to keep each part's result in, and to take it from")
    given = parser.parse_args()
    options = command.Options(given.quick, given.seed, given.traces)
    options.say(f"seed {options.seed}")
    everything = run_all(options, given.parts)
    if not options.quick:
        # Imported here: only a full run needs the plotting library.
        from benchmarks.placement import report

        folder = RESULTS / f"{everything.run.date}-{everything.run.commit}"
        report.write(folder, everything)
        options.say(f"wrote {folder.relative_to(command.REPOSITORY)}/report.md")
    print(command.json_line(headline(everything)))
    return 0


R = TypeVar("R")


@dataclass(frozen=True)
class Parts:
    """Where each benchmark's report is kept as soon as it is there, so that a run can be made in parts, each in a quiet
    hour; None for nowhere. What is there already is not run again."""

    folder: Path | None
    commit: str

    def of(self, name: str, kind: type[R], make: Callable[[], R]) -> R:
        """Raises SystemExit where what is there was measured on another commit."""
        if self.folder is None:
            return make()
        path = self.folder / f"{name}.json"
        if path.is_file():
            kept = msgspec.json.decode(path.read_bytes())
            if kept["commit"] != self.commit:
                raise SystemExit(
                    f"{path} is of commit {kept['commit']}, and this is {self.commit}: remove it, or --parts"
                )
            return msgspec.convert(kept["report"], kind, strict=False)
        report = make()
        self.folder.mkdir(parents=True, exist_ok=True)
        path.write_bytes(msgspec.json.encode({"commit": self.commit, "report": report}))
        return report


def run_all(options: command.Options, folder: Path | None) -> Everything:
    """Times are taken first, before the other benchmarks have filled memory."""
    run = this_run()
    parts, quick = Parts(folder, run.commit), options.quick
    timed = parts.of("speed", speed.Report, lambda: speed.run(options))
    commanded = None if quick else parts.of("plan_command", plan_command.Report, lambda: plan_command.run(options))
    instances = QUICK_ORACLE if quick else FULL_ORACLE
    oracle = parts.of("oracle", dict[str, int], lambda: run_oracle(instances, options.seed))
    options.say(f"oracle: {oracle}")
    return Everything(
        run=run,
        oracle=oracle,
        speed=timed,
        plan_command=commanded,
        snapshot=parts.of("snapshot", snapshot.Report, lambda: snapshot.run(options)),
        defragmentation=parts.of("defragmentation", defragmentation.Report, lambda: defragmentation.run(options)),
        torus=parts.of("torus", torus.Report, lambda: torus.run(options)),
        quality=None if quick else parts.of("quality", quality.Report, lambda: quality.run(options)),
    )


def headline(everything: Everything) -> Headline:
    one = everything.speed.at(5_000)
    return Headline(
        oracle=everything.oracle,
        snapshot={
            "ours_pct_of_bound": everything.snapshot.ours_pct_of_bound,
            "best_baseline_pct_of_bound": everything.snapshot.best_baseline_pct_of_bound,
        },
        defrag={"solvable": everything.defragmentation.solvable, "solved": everything.defragmentation.solved},
        latency_ms={"nodes_5000_p50_cold": one.cold, "nodes_5000_p50_incremental": one.incremental},
    )


def this_run() -> Run:
    return Run(
        date=datetime.now(UTC).date().isoformat(),
        commit=_git("rev-parse", "--short", "HEAD") + ("-changed" if _git("status", "--porcelain") else ""),
        python=platform.python_version(),
        cores=os.cpu_count() or 1,
        load=round(os.getloadavg()[0], 1),
    )


def _git(*words: str) -> str:
    """What git says of this checkout; `unknown` where there is none."""
    try:
        done = subprocess.run(["git", *words], cwd=command.REPOSITORY, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return done.stdout.strip()


if __name__ == "__main__":
    sys.exit(main())
