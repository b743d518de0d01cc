"""A map of racks for the terminal: one cell per host, racks side by side.

Shapes say what colours say too, so the map reads without colour: `█` a host of a complete group, `▒` a host held by a
group that is not complete, `○` one that is reserved, `░` a host taken by something else, `·` a free one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.table import Table
from rich.text import Text

from lws_sched.intake.uses import Use

HUES = ("green", "cyan", "blue", "magenta", "bright_green", "bright_cyan", "bright_blue", "bright_magenta")


CELLS = {Use.FREE: "·", Use.HELD: "○", Use.TAKEN: "░", Use.STRANDED: "▒", Use.COMPLETE: "█"}


@dataclass(frozen=True)
class Host:
    use: Use
    group: int = 0
    """Which group, for its colour."""


def rack_map(racks: Sequence[tuple[str, Sequence[Host]]], width: int) -> Table:
    """The racks in reading order, as many beside each other as `width` columns hold."""
    cells = max((len(hosts) for _, hosts in racks), default=1)
    label = max((len(name) for name, _ in racks), default=0)
    per_row = max(1, (width + 2) // (label + cells + 3))
    grid = Table.grid(padding=(0, 2))
    for start in range(0, len(racks), per_row):
        grid.add_row(*(_rack(name.ljust(label), hosts) for name, hosts in racks[start : start + per_row]))
    return grid


def legend() -> Text:
    return Text.assemble(
        _cell(Host(Use.COMPLETE)),
        " complete group   ",
        _cell(Host(Use.STRANDED)),
        " held by a half-bound group   ",
        _cell(Host(Use.HELD)),
        " reserved   ",
        _cell(Host(Use.TAKEN)),
        " other pods   ",
        _cell(Host(Use.FREE)),
        " free",
    )


def _rack(name: str, hosts: Sequence[Host]) -> Text:
    return Text.assemble((f"{name} ", "dim"), *(_cell(host) for host in hosts))


def _cell(host: Host) -> tuple[str, str]:
    style = {
        Use.FREE: "dim",
        Use.HELD: HUES[host.group % len(HUES)],
        Use.TAKEN: "bright_black",
        Use.STRANDED: "bold red",
        Use.COMPLETE: HUES[host.group % len(HUES)],
    }[host.use]
    return CELLS[host.use], style
