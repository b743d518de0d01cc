"""`python -m tests.drills --simulated 500` runs many drills and prints what came of them; the last line is JSON.

    {"runs": 500, "invariants_broken": 0, "partial": 0, "longest_recovery_s": 12.5}

`--replay SEED` runs one of them again and tells it in words. Exits with 1 where a drill failed.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor

from tests.drills import simulated
from tests.drills.simulated import Result

JOBS = 2
CHUNK = 5
FIRST_SEED = 1


def main() -> int:
    options = _parse()
    logging.disable(logging.CRITICAL)  # what a component says of the faults it meets
    if options.replay is not None:
        return _replay(options.replay)
    return summarise([told(each) for each in _run(options.simulated, options.seed, options.seconds)])


def summarise(results: Sequence[Result]) -> int:
    print(
        f"{len(results)} simulated drills, {sum(each.stages for each in results)} stages committed under random faults"
    )
    summary = {
        "runs": len(results),
        "invariants_broken": sum(len(each.violations) for each in results),
        "partial": sum(len(each.partial) for each in results),
        "longest_recovery_s": round(max((each.recovery for each in results), default=0.0), 1),
    }
    print(json.dumps(summary))
    return 0 if results and all(each.is_good for each in results) else 1


def told(result: Result) -> Result:
    """The result; what is wrong with it is printed at once."""
    if not result.is_good:
        print(f"seed {result.seed} failed; again: .venv/bin/python -m tests.drills --replay {result.seed}")
        for problem in result.problems():
            print(f"  {problem}", flush=True)
    return result


def _run(runs: int, first: int, seconds: float) -> Iterator[Result]:
    """`runs` drills with consecutive seeds, or as many as can be begun within `seconds`."""
    end = time.monotonic() + seconds
    print(f"simulated drills from seed {first} on", flush=True)
    with ProcessPoolExecutor(JOBS) as pool:
        for at in range(first, first + runs, JOBS * CHUNK):
            if time.monotonic() > end:
                return
            yield from pool.map(simulated.run, range(at, min(at + JOBS * CHUNK, first + runs)), chunksize=CHUNK)


def _replay(seed: int) -> int:
    drill = simulated.Drill(seed)
    result = drill.perform()
    for when, said in result.story:
        print(f"{when:9.3f} s  {said}")
    for problem in result.problems():
        print(problem)
    if not result.is_good:
        print(drill.world.picture())
    print(f"seed {seed}: {'good' if result.is_good else 'failed'}, settled after {result.recovery:.1f} s")
    return 0 if result.is_good else 1


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.drills", description="Run drills.")
    parser.add_argument("--simulated", type=int, default=500, metavar="N", help="how many drills")
    parser.add_argument("--seed", type=int, default=FIRST_SEED, help="of the first drill; the next has the next")
    parser.add_argument("--seconds", type=float, default=float("inf"), help="begin no drill after this time")
    parser.add_argument("--replay", type=int, metavar="SEED", help="run one drill again, in words")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
