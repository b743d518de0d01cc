"""`python -m tests.invariants LOG`: one line per violation, then a summary.

Exits with 1 where an invariant was broken, with 2 where none was but the log has gaps and so proves nothing.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from tests.invariants.check import check
from tests.invariants.log import read
from tests.invariants.stages import LIMIT_SECONDS


def main() -> int:
    options = _parse()
    levels = dict(each.split("=", 1) for each in options.level)
    faults = [float(each) for each in options.faults.split(",") if each]
    report = check(read(options.log), faults=faults, levels=levels, limit=options.limit)
    for violation in report.violations:
        print(violation)
    print(report.summary())
    if report.violations:
        return 1
    return 0 if report.conclusive else 2


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.invariants", description="Check a watch log.")
    parser.add_argument("log", type=Path)
    parser.add_argument("--faults", default="", help="times of faults on the log's clock, separated by commas")
    parser.add_argument("--limit", type=float, default=LIMIT_SECONDS, help="seconds a stage may take to settle")
    parser.add_argument("--level", action="append", default=[], help="a topology level: name=node-label")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
