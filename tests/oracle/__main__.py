from __future__ import annotations

import argparse
import json
import sys

from tests.oracle.run import run


def main() -> int:
    parser = argparse.ArgumentParser(description="Compare the placement engine with brute force on random instances.")
    parser.add_argument("--instances", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    outcome = run(asked.instances, asked.seed)
    print(json.dumps({"seed": asked.seed, **outcome}))
    return 0 if not outcome["refused_but_fit"] and not outcome["misfits"] else 1


if __name__ == "__main__":
    sys.exit(main())
