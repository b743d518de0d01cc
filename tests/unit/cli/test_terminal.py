"""The same answer on a terminal, on a narrow one, without colour, and in a pipe."""

from __future__ import annotations

import fcntl
import os
import pty
import struct
import subprocess
import sys
import termios

from tests.unit.cli.commands import Files, lws, member, racks, run
from tests.unit.cli.test_moving import in_default


def on_terminal(columns: int, *arguments: str, **environment: str) -> str:
    """What a terminal of so many columns shows, escape sequences included."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    clean = {name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "COLUMNS", "LINES")}
    argv = [sys.executable, "-m", "lws_sched.cli.main", *arguments]
    process = subprocess.Popen(
        argv, stdin=theirs, stdout=theirs, stderr=subprocess.DEVNULL, env={**clean, "TERM": "xterm", **environment}
    )
    os.close(theirs)
    said = b""
    try:
        while piece := os.read(ours, 65536):
            said += piece
    except OSError:
        pass  # the other end is closed: that is how a terminal ends
    finally:
        os.close(ours)
        process.wait(30)
    return said.decode().replace("\r\n", "\n")


def test_a_terminal_gets_colours_a_narrow_one_fewer_columns_and_no_color_none(files: Files) -> None:
    objects = [*racks(1, 2), in_default(lws("a", size=2)), member("a-0", 0, "rack-00-host-00")]
    arguments = ("status", "--cluster", str(files.cluster(objects)))
    wide, narrow, plain = (
        on_terminal(120, *arguments),
        on_terminal(50, *arguments),
        on_terminal(120, *arguments, NO_COLOR="1"),
    )
    assert "\x1b[31mPartial\x1b[0m" in wide
    assert "REVISION" in wide
    assert "REVISION" not in narrow
    assert "\x1b[3" not in plain
    assert "NAMESPACE  GROUP  STATE    READY" in run(*arguments).out


def test_a_pipe_gets_every_column_without_colours_or_blanks_at_the_ends(files: Files) -> None:
    objects = [*racks(1, 2), in_default(lws("a", size=2))]
    out = run("status", "--cluster", files.cluster(objects)).out
    assert "REVISION" in out
    assert "\x1b" not in out
    assert all(line == line.rstrip() for line in out.splitlines())


def test_a_group_without_a_record_is_told_who_should_make_one(files: Files) -> None:
    objects = [*racks(1, 2), in_default(lws("a", size=2))]
    for command in ("status", "explain"):
        out = run(command, *(["a"] if command == "explain" else []), "--cluster", files.cluster(objects)).out
        assert "there is no GroupPlacement of it, which the extender makes within a second" in out
        assert "see whether the extender runs: `lws-sched check`" in out
