"""The demo, as the README shows it."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from lws_sched.cli.main import demo

README = Path(__file__).resolve().parents[3] / "README.md"


def test_the_readme_shows_what_the_demo_prints(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    [shown] = [block for block in README.read_text().split("```text\n") if block.startswith("By pod affinity")]
    printed = [line.rstrip() for line in CliRunner().invoke(demo).output.splitlines()]
    lines = [line for line in shown.partition("\n```")[0].splitlines() if line != "..."]
    assert len(lines) > 2
    assert [line for line in lines if line not in printed] == []
