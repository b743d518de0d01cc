"""A fast reader for the YAML that kubectl prints: lists of thousands of nodes and pods.

A general YAML parser takes half a minute for 5,000 nodes and their pods. kubectl prints one style only: block mappings
and sequences, indented by two, one scalar a line. Lists in that style are split into items; of each item the parts that
planning never reads are passed over as text, and the rest is read field by field. Fields are much alike (the
containers of a Deployment's pods, what equal nodes offer), so what has been read is known by its text; the others are
read line by line. Whatever is not of that style (an anchor, a comment, a scalar over several lines) sends its item to
the general parser: both give the same values.

Values may be shared between items: they are for reading.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import yaml

UNREAD = frozenset(
    (
        "managedFields",
        "volumes",
        "images",
        "nodeInfo",
        "addresses",
        "hostIPs",
        "podIPs",
        "capacity",
        "volumesInUse",
        "volumesAttached",
        "runtimeHandlers",
    )
)
"""Fields of an item's metadata, spec or status that no type of ours reads and that make up much of the text. Labels and
annotations, whose keys may be called anything, are one deeper."""

_UNREAD = re.compile(rf"^    (?:{'|'.join(sorted(UNREAD))}):.*\n(?:(?:     .*|    - .*)?\n)*", re.MULTILINE)
_HEAD = re.compile(r"\A(?:apiVersion: v1\n)?items:\n- ")
_TAIL = re.compile(r"\n(?=[A-Za-z])")
_SECTION = re.compile(r"\n  (?![ \n]|-(?:[ \n]|$))")
"""Before a key of an item: `metadata`, `spec`."""
_FIELD = re.compile(r"\n    (?![ \n]|-(?:[ \n]|$))")
"""Before a key of a section."""
_LINE = re.compile(
    r"""^([ ]*)(-[ ])?(?:([\w/][^\s:"'#,\[\]{}]*|"[^"\\\n]*"):(?:[ ]+(\S.*))?|(.*))$""", re.MULTILINE | re.VERBOSE
)
_KEY = re.compile(r"""[\w/][^\s:"'#,\[\]{}]*|"[^"\\\n:]*\"""")
_BLOCK = re.compile(r"[|>][0-9+-]*")
_PLAIN = re.compile(r"[A-Za-z_/][\w./@+=-]*(?::[\w./@+=-]+)*")
_QUOTED = re.compile(r"""'[^']*'|"(?:[^"\\]|\\.)*\"""")
_WORDS = frozenset({"y", "n", "yes", "no", "on", "off", "true", "false", "null"})


class Loader(yaml.CSafeLoader):
    """As Kubernetes reads YAML: times stay text."""


Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in yaml.CSafeLoader.yaml_implicit_resolvers.items()
}


MOST_NESTED = 200
"""Depth of a document. The general parser recurses, in C, and would end the process rather than complain."""
_CERTAINLY_FLAT = 400
"""With no line longer than this and no more brackets, a text is some hundred levels deep at most: that is no danger."""


class TooDeep(yaml.YAMLError):
    """The text is nested more than `MOST_NESTED` levels deep."""


def load(text: str) -> Any:
    """What the general parser makes of a text. Raises yaml.YAMLError."""
    brackets = text.count("[") + text.count("{")
    if brackets > _CERTAINLY_FLAT or max(map(len, text.split("\n"))) > _CERTAINLY_FLAT:
        _check_depth(text)
    return yaml.load(text, Loader)


def _check_depth(text: str) -> None:
    depth = 0
    for event in yaml.parse(text, Loader):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > MOST_NESTED:
            raise TooDeep


class _Unusual(Exception):
    """Not of kubectl's style."""


def items_of(text: str) -> list[Any] | None:
    """The items of a list as kubectl prints it; None where the text is not of that style as a whole.

    Raises yaml.YAMLError where an item is not YAML.
    """
    head = _HEAD.match(text)
    if head is None:
        return None
    *items, last = text[head.end() :].split("\n- ")
    tail = _TAIL.search(last)
    return [_item(item) for item in (*items, last[: tail.start()] if tail else last)]


def _item(text: str) -> Any:
    text = text.rstrip()
    try:
        return _mapping(text, _SECTION, _section)
    except _Unusual:
        return load(_UNREAD.sub("", f"  {text}\n"))


def _section(text: str) -> Any:
    _, _, below = text.partition("\n")
    if below[:4] != "    ":
        raise _Unusual
    return _mapping(below[4:], _FIELD, _field)


def _mapping(text: str, before_key: re.Pattern[str], read: Callable[[str], Any]) -> dict[str, Any]:
    """`read` is given a key's lines where there are several."""
    found: dict[str, Any] = {}
    for part in before_key.split(text):
        line, _, below = part.partition("\n")
        key, colon, value = line.partition(":")
        if key in UNREAD:
            continue
        if not colon or value[:1] not in ("", " "):
            raise _Unusual
        value = value.strip()
        found[_key(key)] = read(part) if below else _scalar(value) if value else None
    return found


@lru_cache(maxsize=4096)
def _key(text: str) -> str:
    if not _KEY.fullmatch(text):
        raise _Unusual
    return _bare(text)


@lru_cache(maxsize=4096)
def _field(text: str) -> Any:
    (value,) = _Reader(f"    {text}", 4).read().values()
    return value


def _bare(key: str) -> str:
    return key[1:-1] if key[0] == '"' else key


class _Reader:
    """A mapping, whose keys stand at this column."""

    def __init__(self, text: str, column: int) -> None:
        self._text = text.rstrip("\n")
        self._column = column
        self._stack: list[tuple[int, Any]] = []
        """Open mappings and sequences with their columns, the innermost last."""

    def read(self) -> Any:
        root: dict[str, Any] = {}
        self._stack = [(self._column, root)]
        parent: Any = None
        open_key, open_column = "", 0
        rows = _LINE.findall(self._text)
        lines = iter(enumerate(rows))
        for number, (spaces, dash, key, value, rest) in lines:
            column = len(spaces)
            if parent is not None:
                parent[open_key] = self._opened(column, bool(dash), open_column)
                parent = None
            holder = self._holder(column, bool(dash))
            if dash:
                if not key:
                    holder.append(_scalar(rest))
                    continue
                entry: dict[str, Any] = {}
                holder.append(entry)
                column += 2
                self._stack.append((column, entry))
                holder = entry
            if not key:
                raise _Unusual
            key = _bare(key)
            if not value:
                parent, open_key, open_column = holder, key, column
            elif _BLOCK.fullmatch(value):
                holder[key], skipped = self._block(value, number, column)
                for _ in range(skipped):
                    next(lines)
            else:
                holder[key] = _scalar(value)
        if parent is not None:
            parent[open_key] = None
        return root

    def _opened(self, column: int, dash: bool, above: int) -> Any:
        """What the key of the line before holds, told by the line after it."""
        if dash and column >= above:
            opened: Any = []
        elif not dash and column > above:
            opened = {}
        else:
            return None
        self._stack.append((column, opened))
        return opened

    def _holder(self, column: int, dash: bool) -> Any:
        """The mapping or sequence that a line at this column belongs to."""
        stack = self._stack
        while stack and (stack[-1][0] > column or (stack[-1][0] == column and isinstance(stack[-1][1], list) != dash)):
            stack.pop()
        if not stack or stack[-1][0] != column:
            raise _Unusual
        return stack[-1][1]

    def _block(self, sign: str, number: int, column: int) -> tuple[Any, int]:
        """A block scalar below line `number`, and how many lines it takes."""
        below = self._text.split("\n")[number + 1 :]
        end = next((i for i, line in enumerate(below) if line.strip() and _indent(line) <= column), len(below))
        while end and not below[end - 1].strip():
            end -= 1
        text = "\n".join(below[:end])
        return yaml.load(f"a: {sign}\n{text}\n", Loader)["a"], end


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip(" "))


def _scalar(text: str) -> Any:
    if text == "{}":
        return {}
    if text == "[]":
        return []
    return _plain_or_quoted(text)


@lru_cache(maxsize=65536)
def _plain_or_quoted(text: str) -> Any:
    if _PLAIN.fullmatch(text) and text.lower() not in _WORDS:
        return text
    quoted = _QUOTED.fullmatch(text)
    if quoted is not None and (text[0] == "'" or "\\" not in text):
        return text[1:-1]
    if quoted is None and (not text or text[0] in "[{&*!|>%@`#" or ": " in text or " #" in text or text.endswith(":")):
        raise _Unusual
    try:
        value = load(text)
    except yaml.YAMLError as error:
        raise _Unusual from error
    if isinstance(value, (dict, list)):
        raise _Unusual
    return value
