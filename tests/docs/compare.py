"""Whether a command printed what the page shows.

Compared by words: how columns are aligned does not matter, ages and durations match one another. A line `...` stands
for any lines, also for none; `...` at the end of a line for the rest of it, and at the end of a word for that of it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

REST = "..."
_AGE = re.compile(r"^(?:\d+(?:\.\d+)?(?:ms|s|m|h|d)(?:\d+[smh])?|<(?:unknown|invalid)>)(?P<mark>[;,.:]?)$")


def matches(expected: Sequence[str], actual: Sequence[str]) -> bool:
    return _match([_words(line) for line in expected], [_words(line) for line in actual])


def _match(expected: list[list[str]], actual: list[list[str]]) -> bool:
    if not expected:
        return not any(actual)
    if expected[0] == [REST]:
        return any(_match(expected[1:], actual[at:]) for at in range(len(actual) + 1))
    return bool(actual) and _is_line(expected[0], actual[0]) and _match(expected[1:], actual[1:])


def _is_line(expected: list[str], actual: list[str]) -> bool:
    if expected[-1:] == [REST]:
        expected = expected[:-1]
        actual = actual[: len(expected)]
    return len(expected) == len(actual) and all(map(_is_word, expected, actual))


def _is_word(expected: str, actual: str) -> bool:
    if expected.endswith(REST) and actual.startswith(expected.removesuffix(REST)):
        return True
    ages = _AGE.match(expected), _AGE.match(actual)
    return expected == actual or (ages[0] is not None and ages[1] is not None and ages[0]["mark"] == ages[1]["mark"])


def _words(line: str) -> list[str]:
    return line.split()
