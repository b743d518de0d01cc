from __future__ import annotations

import argparse
import json
import sys

from tests.oracle.run import run, run_wishes


def main() -> int:
    parser = argparse.ArgumentParser(description="Compare the placement engine with brute force on random instances.")
    parser.add_argument("--instances", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    outcome = run(asked.instances, asked.seed)
    wishes = run_wishes(asked.instances, asked.seed)
    judged = {wish: {"judged": count, "unmet": missed} for wish, (count, missed) in wishes.items()}
    print(json.dumps({"seed": asked.seed, **outcome, "wishes": judged}))
    is_right = not outcome["refused_but_fit"] and not outcome["misfits"]
    return 0 if is_right and not any(missed for _, missed in wishes.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
