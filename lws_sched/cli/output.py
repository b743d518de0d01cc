"""How the commands speak: results to standard output, as tables or as one JSON object; all else to standard error.

Colours, bold and tables' lines are for terminals. `NO_COLOR` takes the colours away, a pipe all of it, and a table in
a pipe is as wide as what it holds.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from enum import IntEnum
from typing import TYPE_CHECKING, Any, NoReturn

import click
import msgspec

if TYPE_CHECKING:
    from rich.console import Console

PIPE_WIDTH = 10_000
MOMENT_SECONDS = 0.5
CLEAR_LINE = "\r\x1b[K"


class Exit(IntEnum):
    OK = 0
    FAILED = 1
    """The cluster did not answer, or not as hoped."""
    BAD_INPUT = 2
    REFUSED = 3
    """Some group cannot have a place."""


def print_json(value: Any) -> None:
    text = msgspec.json.format(msgspec.json.encode(value), indent=2 if sys.stdout.isatty() else -1)
    click.echo(text)


Cell = str | tuple[str, str]
"""Text, or text and its style."""


def print_table(headers: Sequence[str], rows: Iterable[Sequence[Cell]]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    is_terminal = sys.stdout.isatty()
    table = Table(box=None, pad_edge=False, header_style="bold" if is_terminal else "", padding=(0, 2, 0, 0))
    for header in headers:
        table.add_column(header, no_wrap=not is_terminal, overflow="fold")
    for row in rows:
        table.add_row(*(Text(cell) if isinstance(cell, str) else Text(*cell) for cell in row))
    console = Console(width=None if is_terminal else PIPE_WIDTH, highlight=False)
    with console.capture() as captured:
        console.print(table)
    for line in captured.get().splitlines():
        click.echo(line.rstrip(), color=is_terminal or None)


def say(text: str) -> None:
    """A word beside the result."""
    click.echo(text, err=True)


@contextmanager
def progress(text: str) -> Iterator[None]:
    """A word on the terminal while something takes longer than a moment; gone when it is over. A pipe gets none."""
    if not sys.stderr.isatty() or os.environ.get("TERM") == "dumb":
        yield
        return
    timer = threading.Timer(MOMENT_SECONDS, lambda: click.echo(f"{text} ...\r", nl=False, err=True))
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        timer.join()
        click.echo(CLEAR_LINE, nl=False, err=True)


def fail(text: str, code: Exit) -> NoReturn:
    say(f"lws-sched: {text}")
    raise SystemExit(code)


def print_lines(*lines: str) -> None:
    for line in lines:
        click.echo(line)


def listed(names: Sequence[str], most: int = 3) -> str:
    """The first few, and how many more."""
    more = len(names) - most
    return ", ".join(names[:most]) + (f" and {more} more" if more > 0 else "")


def plural(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"


def console() -> Console:
    """For what is no table; a pipe gets no colours."""
    from rich.console import Console

    return Console(highlight=False)
