"""What a command imports before it answers: numpy, the solver or gRPC are for those that plan or ask with them."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.unit.cli.commands import Files, lws, racks
from tests.unit.cli.test_questions import in_default, standing

HEAVY = ("numpy", "ortools", "grpc", "kubernetes", "flask")
PROGRAM = f"""
import json, sys
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
from lws_sched.cli.main import main
found = {{}}
for words in json.loads(sys.argv[1]):
    with redirect_stdout(StringIO()), redirect_stderr(StringIO()):
        try:
            main(words)
        except SystemExit as end:
            found[" ".join(words)] = [end.code, [each for each in {HEAVY} if each in sys.modules]]
print(json.dumps(found))
"""


def loaded(*commands: Sequence[str | Path]) -> dict[str, tuple[int, list[str]]]:
    """Of commands that run one after the other in one process: the exit code, and what is loaded since the start."""
    words = json.dumps([[str(each) for each in command] for command in commands])
    done = subprocess.run([sys.executable, "-c", PROGRAM, words], capture_output=True, text=True, check=True)
    return {command: (code, names) for command, (code, names) in json.loads(done.stdout).items()}


def test_commands_that_plan_nothing_load_nothing_that_plans(files: Files) -> None:
    cluster = files.cluster(racks(2, 4), in_default(lws("a", size=4).body), standing())
    found = loaded(
        ("--help",),
        ("plan", "--help"),
        ("status", "--cluster", cluster),
        ("explain", "a", "--cluster", cluster),
        ("explain", "nobody", "--cluster", cluster),
        ("plan", "-f", "not-there.yaml"),
        ("check", "--kubeconfig", "not-there"),
    )
    assert [*found.values()] == [(code, []) for code in (0, 0, 0, 0, 2, 2, 1)], found


def test_a_plan_that_no_solver_is_needed_for_loads_none(files: Files) -> None:
    cluster, manifest = files.cluster(racks(2, 4)), files.sets(lws("a", size=4))
    [(code, names)] = loaded(("plan", "-f", manifest, "--cluster", cluster)).values()
    assert (code, names) == (0, ["numpy"])


def test_asking_the_placement_service_loads_nothing_that_plans() -> None:
    imports = "sys, lws_sched.cli.asking, lws_sched.service.client"
    program = f"import {imports}; print([each for each in {HEAVY} if each in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "['grpc']"
