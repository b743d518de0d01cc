from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.placement import torus
from benchmarks.placement.__main__ import Parts

REPORT = torus.Report(
    0, 0, 7, [torus.Row("4 x 4", 16, 1, {"ours": 100.0}, proved=1, seconds={"ours": 0.5}, milliseconds_one_box=0.4)]
)


def test_a_part_that_is_there_is_not_run_again(tmp_path: Path) -> None:
    asked = []

    def make() -> torus.Report:
        asked.append(1)
        return REPORT

    for _ in range(2):
        assert Parts(tmp_path / "parts", "abc").of("torus", torus.Report, make) == REPORT
    assert len(asked) == 1


def test_a_part_of_another_commit_is_refused(tmp_path: Path) -> None:
    Parts(tmp_path, "abc").of("torus", torus.Report, lambda: REPORT)
    with pytest.raises(SystemExit, match="of commit abc, and this is def"):
        Parts(tmp_path, "def").of("torus", torus.Report, lambda: REPORT)
