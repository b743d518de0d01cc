"""Fenced blocks of Markdown pages, and the commands in them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PROMPT = "$ "
_FENCE = re.compile(r"^( *)(`{3,})(\w*)[^`]*$")
_FILE = re.compile(r"^# ([\w./-]+\.(?:yaml|json))$")


@dataclass(frozen=True)
class Block:
    language: str
    text: str
    line: int
    """Of its first line in the page, from 1."""

    @property
    def file(self) -> str:
        """The file that it is, if its first line says so."""
        found = _FILE.match(self.text.partition("\n")[0])
        return found[1] if found else ""


@dataclass(frozen=True)
class Command:
    text: str
    expected: tuple[str, ...]
    """What it prints; nothing where the page does not show it."""
    line: int


def pages() -> list[Path]:
    return [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def blocks(text: str) -> Iterator[Block]:
    lines = iter(enumerate(text.splitlines(), start=1))
    for _, line in lines:
        fence = _FENCE.match(line)
        if fence is None:
            continue
        indent, marks, language = fence.groups()
        inside = []
        first = 0
        for number, inner in lines:
            if inner.strip() == marks:
                break
            first = first or number
            inside.append(inner.removeprefix(indent))
        yield Block(language, "\n".join(inside) + "\n", first)


def commands(block: Block) -> list[Command]:
    """Those of a `console` block. A command goes on after a line that ends with a backslash."""
    found: list[Command] = []
    goes_on = False
    for number, line in enumerate(block.text.splitlines(), start=block.line):
        if goes_on:
            last = found.pop()
            found.append(Command(f"{last.text}\n{line}", (), last.line))
        elif line.startswith(PROMPT):
            found.append(Command(line.removeprefix(PROMPT), (), number))
        elif found:
            last = found.pop()
            found.append(Command(last.text, (*last.expected, line), last.line))
        else:
            raise ValueError(f"line {number}: a console block begins with a command, after `{PROMPT}`")
        goes_on = line.endswith("\\") and not found[-1].expected
    return found
