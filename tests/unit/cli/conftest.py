from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.cli.commands import Files


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Files:
    """Messages then name files as a user would: without their folder."""
    monkeypatch.chdir(tmp_path)
    return Files(Path())
