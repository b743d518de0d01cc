"""`python -m tests.drills --simulated 500` runs many drills and prints what came of them; the last line is JSON.

    {"runs": 500, "invariants_broken": 0, "partial": 0, "longest_recovery_s": 12.5}

`--real 1000` runs drills on the real control plane first, until so many groups were placed under random faults.
`--replay SEED` runs a simulated one again and tells it in words, `--replay-real SEED` one on the real control plane,
which is drawn as before but meets real time. Exits with 1 where a drill failed.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor

from tests.drills import random_real, simulated
from tests.drills.result import Result

JOBS = 2
CHUNK = 5
FIRST_SEED = 1


def main() -> int:
    options = _parse()
    logging.disable(logging.CRITICAL)  # what a component says of the faults it meets
    if options.replay is not None:
        return _replay(options.replay)
    if options.replay_real is not None:
        return _tell([told(each) for each in random_real.replay(options.replay_real)])
    real = [told(each) for each in _run_real(options.real, options.real_seed)]
    simulated = [told(each) for each in _run_simulated(options.simulated, options.seed, options.seconds)]
    return summarise(real, simulated)


def summarise(real: Sequence[Result], simulated: Sequence[Result]) -> int:
    for results, where in ((real, "on the real control plane"), (simulated, "simulated")):
        if results:
            print(
                f"{len(results)} drills {where}: {sum(each.placements for each in results)} groups placed under random "
                f"faults, {_broken(results)} invariants broken, {_partial(results)} groups left partial, longest "
                f"recovery {_longest(results)} s, {sum(len(each.restarted) for each in results)} processes ended by "
                f"themselves and were started again"
            )
    results = [*real, *simulated]
    summary = {
        "runs": len(results),
        "invariants_broken": _broken(results),
        "partial": _partial(results),
        "longest_recovery_s": _longest(results),
    }
    print(json.dumps(summary))
    return 0 if results and all(each.is_good for each in results) else 1


def told(result: Result) -> Result:
    """The result; what is wrong with it is printed at once."""
    if not result.is_good:
        print(f"seed {result.seed} failed; again: {result.replay}")
        for problem in result.problems():
            print(f"  {problem}", flush=True)
    return result


def _broken(results: Sequence[Result]) -> int:
    return sum(len(each.violations) for each in results)


def _partial(results: Sequence[Result]) -> int:
    return sum(len(each.partial) for each in results)


def _longest(results: Sequence[Result]) -> float:
    return round(max((each.recovery for each in results), default=0.0), 1)


def _run_real(placements: int, first: int) -> Iterator[Result]:
    if placements:
        print(f"drills on the real control plane from seed {first} on", flush=True)
        for each in random_real.run(first, placements):
            print(f"  seed {each.seed}: {each.placements} placed, settled in {each.recovery:.1f} s", flush=True)
            for restarted in each.restarted:
                print(f"    {restarted}", flush=True)
            yield each


def _run_simulated(runs: int, first: int, seconds: float) -> Iterator[Result]:
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
    if not result.is_good:
        print(drill.world.picture())
    return _tell([result])


def _tell(results: Sequence[Result]) -> int:
    for result in results:
        for when, said in result.story:
            print(f"{when:9.3f} s  {said}")
        for problem in result.problems():
            print(problem)
        verdict = "good" if result.is_good else "failed"
        print(f"seed {result.seed}: {verdict}, settled after {result.recovery:.1f} s")
    return 0 if all(each.is_good for each in results) else 1


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.drills", description="Run drills.")
    parser.add_argument("--simulated", type=int, default=0, metavar="N", help="how many drills")
    parser.add_argument("--seed", type=int, default=FIRST_SEED, help="of the first drill; the next has the next")
    parser.add_argument("--real", type=int, default=0, metavar="N", help="how many groups to place on the real one")
    parser.add_argument("--real-seed", type=int, default=FIRST_SEED, help="of the first drill there")
    parser.add_argument("--seconds", type=float, default=float("inf"), help="begin no drill after this time")
    parser.add_argument("--replay", type=int, metavar="SEED", help="run one drill again, in words")
    parser.add_argument("--replay-real", type=int, metavar="SEED", help="draw one again on the real control plane")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
