"""Makes the two trace files of the quality benchmark from the public originals.

    python -m benchmarks.placement.convert_traces --philly philly.csv --lingjun topo.csv --out FOLDER

The originals (fetch them yourself; nothing is downloaded here):

- Philly (Jeon et al., USENIX ATC'19), CC BY 4.0: https://github.com/msr-fiddle/philly-traces, as flattened by the
  Pollux authors: https://github.com/petuum/adaptdl, branch osdi21-artifact, simulator/traces/philly.csv;
- Lingjun 2023 (Crux, SIGCOMM'24), Apache-2.0: https://github.com/alibaba/alibaba-lingjun-dataset-2023, data/topo.csv.

Philly: the jobs of September and October 2017; times become seconds since the first, virtual clusters are numbered by
how many of these jobs they have. Lingjun: DSW, PSW and ASW become zone, block and rack (an ASW's number counts within
its PSW); hosts are numbered rack by rack.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import datetime
from pathlib import Path

from benchmarks.placement.arrivals import JOBS
from benchmarks.placement.fleets import TOPOLOGY

UNTIL = datetime(2017, 11, 1)
PHILLY_COLUMNS = ("timestamp", "duration", "num_gpus", "cluster")
LINGJUN_COLUMNS = ("ip", "DSW", "PSW", "ASW")
JOB_COLUMNS = ("t_s", "dur_s", "gpus", "vc")
HOST_COLUMNS = ("host", "zone", "block", "rack")
Rows = Sequence[Sequence[object]]


class WrongOriginal(Exception):
    """The file is not the original that it should be; the message says what is wrong."""


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.placement.convert_traces", description=__doc__)
    parser.add_argument("--philly", type=Path, required=True)
    parser.add_argument("--lingjun", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    try:
        jobs, start = philly(read(given.philly, PHILLY_COLUMNS))
        hosts = lingjun(read(given.lingjun, LINGJUN_COLUMNS))
    except (OSError, WrongOriginal) as error:
        print(f"convert_traces: {error}", file=sys.stderr)
        return 2
    given.out.mkdir(parents=True, exist_ok=True)
    write(given.out / JOBS, f"Philly, CC BY 4.0; t_s = seconds after {start}", JOB_COLUMNS, jobs)
    write(given.out / TOPOLOGY, "Lingjun 2023, Apache-2.0; DSW, PSW, ASW", HOST_COLUMNS, hosts)
    print(f"{len(jobs)} jobs and {len(hosts)} hosts written to {given.out}", file=sys.stderr)
    return 0


def read(path: Path, columns: Sequence[str]) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        reader = csv.DictReader(file)
        missing = [name for name in columns if name not in (reader.fieldnames or ())]
        if missing:
            raise WrongOriginal(f"{path} has no column {missing[0]}; expected {', '.join(columns)}")
        return list(reader)


def philly(rows: Iterable[dict[str, str]]) -> tuple[Rows, datetime]:
    """(seconds, duration, GPUs, virtual cluster) by arrival, and the moment that the seconds count from."""
    kept = []
    for number, row in enumerate(rows, start=2):
        try:
            at = datetime.fromisoformat(row["timestamp"])
            duration, gpus = float(row["duration"]), int(row["num_gpus"])
        except ValueError as error:
            raise WrongOriginal(f"line {number} of the Philly file: {error}") from None
        if at < UNTIL:
            kept.append((at, duration, gpus, row["cluster"]))
    if not kept:
        raise WrongOriginal(f"the Philly file has no job before {UNTIL:%d %B %Y}")
    kept.sort()
    start = kept[0][0]
    jobs = Counter(cluster for *_, cluster in kept)
    by_size = sorted(jobs, key=lambda cluster: (-jobs[cluster], cluster))
    numbers = {cluster: number for number, cluster in enumerate(by_size)}
    return [(int((at - start).total_seconds()), int(took), gpus, numbers[vc]) for at, took, gpus, vc in kept], start


def lingjun(rows: Iterable[dict[str, str]]) -> Rows:
    """(host, zone, block, rack), rack by rack."""
    placed = sorted((row["DSW"], row["PSW"], f"{row['PSW']}-{row['ASW']}") for row in rows)
    if not placed:
        raise WrongOriginal("the Lingjun file has no hosts")
    return [(f"h{number:04}", *where) for number, where in enumerate(placed)]


def write(path: Path, comment: str, header: Sequence[str], rows: Rows) -> None:
    """Gzip without a time stamp, so that equal input gives equal bytes."""
    with path.open("wb") as raw, gzip.GzipFile(fileobj=raw, mode="wb", mtime=0) as file:
        lines = [f"# {comment}", ",".join(header), *(",".join(map(str, row)) for row in rows)]
        file.write(("\n".join(lines) + "\n").encode())


if __name__ == "__main__":
    sys.exit(main())
