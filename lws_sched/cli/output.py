"""How the commands speak: results to standard output, as tables or as one JSON object; all else to standard error.

Colours, bold and tables' lines are for terminals. `NO_COLOR` takes the colours away, a pipe all of it, and a table in
a pipe is as wide as what it holds.
"""

from __future__ import annotations

import os
import shutil
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

GAP = "  "
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


HEADER = "header"

Cell = str | tuple[str, str]
"""Text, or text and its style."""


def print_table(headers: Sequence[str], rows: Iterable[Sequence[Cell]], expendable: Sequence[str] = ()) -> None:
    """A row is a line, however long: the terminal folds it, and what is copied is whole. Columns that are `expendable`,
    the first of them first, are left out of a terminal that is too narrow for all."""
    table = [[*map(_cell, row)] for row in (headers, *rows)]
    widths = [max(len(text) for text, _ in column) for column in zip(*table, strict=True)]
    shown = _fitting(headers, widths, expendable)
    for number, row in enumerate(table):
        click.echo(_line([row[at] for at in shown], [widths[at] for at in shown], is_header=number == 0))


def _cell(cell: Cell) -> tuple[str, str]:
    return (cell, "") if isinstance(cell, str) else cell


def _fitting(headers: Sequence[str], widths: Sequence[int], expendable: Sequence[str]) -> list[int]:
    """Which columns to show."""
    shown = [*range(len(headers))]
    if not sys.stdout.isatty():
        return shown
    room = shutil.get_terminal_size().columns
    for name in expendable:
        if sum(widths[at] + len(GAP) for at in shown) - len(GAP) > room:
            shown.remove(headers.index(name))
    return shown


def _line(cells: Sequence[tuple[str, str]], widths: Sequence[int], *, is_header: bool) -> str:
    """Padded by bare blanks, so that no colour runs into the gaps, and none at the end."""
    parts = []
    for (text, style), width in zip(cells, widths, strict=True):
        parts.append(_styled(text, HEADER if is_header else style) + " " * (width - len(text)))
    return GAP.join(parts).rstrip()


def _styled(text: str, style: str) -> str:
    if not style or not sys.stdout.isatty():
        return text
    if style == HEADER:
        return click.style(text, bold=True)
    return click.style(text, fg=style) if has_colour() else text


def has_colour() -> bool:
    """https://no-color.org: any value but the empty one takes the colours away."""
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


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
