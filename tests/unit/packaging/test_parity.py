"""docs/parity.md names tests that exist, and every difference once."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).parents[3]
TEXT = (ROOT / "docs/parity.md").read_text()
SHORT = ("core/", "controller/")
"""Folders of tests/unit that the page names without it."""


def test_every_test_that_the_page_names_is_there() -> None:
    named = {name for name in re.findall(r"`([\w./-]+)`", TEXT) if name.startswith((*SHORT, "tests/", "benchmarks/"))}
    paths = {name: ROOT / ("tests/unit" if name.startswith(SHORT) else "") / name for name in named}

    assert len(named) > 20
    assert {name for name, path in paths.items() if not path.exists()} == set()


def test_every_difference_is_explained_once() -> None:
    explained = Counter(re.findall(r"^- \*\*(D\d+)\*\*", TEXT, flags=re.MULTILINE))
    used = set(re.findall(r"\bD\d+\b", TEXT))

    assert [number for number, times in explained.items() if times > 1] == []
    assert used <= explained.keys()
