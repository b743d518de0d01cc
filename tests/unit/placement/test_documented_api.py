from __future__ import annotations

import doctest
import subprocess
import sys
from pathlib import Path

import lws_sched.placement

PAGE = Path(__file__).parents[3] / "docs" / "placement.md"


def test_what_the_page_shows_is_what_comes_out() -> None:
    failed, tried = doctest.testfile(str(PAGE), module_relative=False)
    assert failed == 0
    assert tried > 10


def test_the_engine_is_imported_without_a_kubernetes_client_or_a_solver() -> None:
    program = (
        "import sys, lws_sched.placement; print([n for n in ('kubernetes', 'ortools', 'flask') if n in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_everything_public_is_there_and_says_what_it_is() -> None:
    for name in lws_sched.placement.__all__:
        each = getattr(lws_sched.placement, name)
        if callable(each):
            said = each.__doc__ or ""
            assert said.removeprefix(f"{name}(") == said != "", name
