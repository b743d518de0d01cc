"""The two processes' own commands."""

from __future__ import annotations

import pytest
from click.testing import CliRunner

from lws_sched import __version__
from lws_sched.cli import run


@pytest.mark.parametrize("command", [run.controller, run.extender])
def test_the_version_is_told_with_what_the_image_was_made_from(
    command: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LWS_SCHED_GIT_COMMIT", "0123abc")
    monkeypatch.delenv("LWS_SCHED_BUILD_DATE", raising=False)
    said = CliRunner().invoke(command, ["--version"])  # type: ignore[arg-type]
    assert said.exit_code == 0
    assert said.output == f"Version: {__version__}\nBuild Date: unknown\nGit Commit: 0123abc\n"
