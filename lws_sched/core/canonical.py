"""Canonical JSON of LeaderWorkerSet templates: the bytes that the revision key is a hash of.

A template given with `cpu: 1000m`, with `cpu: "1"` or with an empty `labels: {}` beside it is the same template, and
must have the same key, in this controller and in any other that implements the API. `canonical` reduces a JSON value
to the one form that the declared types allow (`lws_sched.core.podtypes`), `quantity` reduces quantities, and
`compact_json` writes the result the way Go's encoder does: keys sorted, no blanks, HTML characters escaped.

Called by `lws_sched.core.revision` for keys, and by `lws_sched.core.applied` to compare objects without false alarms.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from fractions import Fraction
from functools import cache, lru_cache
from typing import Any

import msgspec

from lws_sched.api.quantity import InvalidQuantity, parse
from lws_sched.core.podtypes import TYPES

Json = Any
_ABSENT = object()
_EMPTY: tuple[Json, ...] = (None, "", 0, False, [], {})
"""Values that a field which is left out has as well."""
_FIELD = re.compile(r"(\w+)(=Q|\*Q|\{\}|\{Q\}|\[\]!?|[*!#^]|=\w+|:\w+!?|\[\w+\]!?)?")
_ESCAPES = {"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "\u2028": "\\u2028", "\u2029": "\\u2029"}
_ESCAPED = re.compile("[" + "".join(_ESCAPES) + "]")


def compact_json(value: Json) -> bytes:
    """`value` as Go's `json.Marshal` writes a map: sorted keys, UTF-8, `<>&` and the line separators escaped."""
    text = json.dumps(_numbers(value), ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    return _ESCAPED.sub(lambda match: _ESCAPES[match[0]], text).encode()


def canonical(type_name: str, value: Mapping[str, Json]) -> dict[str, Json]:
    """The one form of a JSON object of a type; fields that the type lacks are dropped. Raises InvalidQuantity."""
    written: dict[str, Json] = {}
    for field, form in _types()[type_name]:
        try:
            content = form(value.get(field))
        except InvalidQuantity as error:
            raise error.below(field) from None
        if content is not _ABSENT:
            written[field] = content
    return written


def known_canonical(type_name: str, value: Mapping[str, Json]) -> Mapping[str, Json]:
    """`canonical`, worked out once for a value that is looked at again and again. Nobody may change the answer."""
    return _known_canonical(type_name, msgspec.json.encode(value))


@lru_cache(maxsize=1024)
def _known_canonical(type_name: str, text: bytes) -> Mapping[str, Json]:
    return canonical(type_name, msgspec.json.decode(text))


def unknown(type_name: str, value: Mapping[str, Json], path: str = "") -> Iterator[str]:
    """The paths below `path` at which a JSON object says something for which its type has no field. Raises
    InvalidQuantity."""
    yield from _dropped(value, canonical(type_name, value), path)


def _dropped(given: Json, kept: Json, path: str) -> Iterator[str]:
    if isinstance(given, Mapping) and isinstance(kept, Mapping):
        for field, content in given.items():
            where = f"{path}.{field}" if path else field
            if field in kept:
                yield from _dropped(content, kept[field], where)
            elif content not in _EMPTY:
                yield where
    elif isinstance(given, list) and isinstance(kept, list):
        for index, (item, kept_item) in enumerate(zip(given, kept, strict=True)):
            yield from _dropped(item, kept_item, f"{path}[{index}]")


def quantity(text: str | int | float) -> str:
    """The canonical text of a Kubernetes quantity: `1000m` is `1`, `1024Mi` is `1Gi`. Raises InvalidQuantity.

    The rules are those of apimachinery's `resource.Quantity`: the largest suffix of the given family (binary, decimal
    or exponent) that leaves an integer; binary falls back to decimal below 1024 and for fractions; amounts are rounded
    away from zero to 1e-9. A decimal text that could not be read in two ways is kept as it is (`1.500`).
    """
    given = str(text).strip()
    value = parse(given)
    match = _QUANTITY.fullmatch(given)
    if match is None:
        raise InvalidQuantity(given)
    if given == "0" or _is_kept(match):
        return given
    value = _nano(value)
    suffix = match["suffix"]
    if not suffix.endswith("i"):
        return _decimal(value, exponents=len(suffix) > 1)
    value = max(Fraction(-_LARGEST), min(value, Fraction(_LARGEST)))
    if value.denominator == 1 and abs(value) >= 1024:
        return _binary(int(value))
    return _decimal(value, exponents=False)


# --- quantities ------------------------------------------------------------------------------------------------------
_QUANTITY = re.compile(r"[+-]?(?P<whole>[0-9]*)(?:\.(?P<part>[0-9]*))?(?P<suffix>[eE][+-]?[0-9]+|[numkKMGTPE]?i?)")
_BINARY = ("", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei")
_DECIMAL = {-9: "n", -6: "u", -3: "m", 0: "", 3: "k", 6: "M", 9: "G", 12: "T", 15: "P", 18: "E"}
_DIGITS = 18
_LARGEST = 2**63 - 1
_EXPONENT = {suffix: exponent for exponent, suffix in _DECIMAL.items()}


def _is_kept(match: re.Match[str]) -> bool:
    """Whether apimachinery reuses the text instead of formatting the value again."""
    whole, part, suffix = match["whole"].lstrip("0"), match["part"] or "", match["suffix"]
    whole = whole or ("0" if match["whole"] else "")
    if suffix.endswith("i"):
        tens = _BINARY.index(suffix)
        return not part and 14 - len(whole) - tens * 3 >= 0 and int(whole or "0") % 8 != 0
    exponent = int(suffix[1:]) if len(suffix) > 1 else _EXPONENT[suffix]
    scale, digits = exponent - len(part), whole + part
    fits = len(digits) <= _DIGITS and scale >= -9
    return fits and scale % 3 == 0 and not digits.endswith("000") and not digits.startswith("0")


def _nano(value: Fraction) -> Fraction:
    billionths = value * 10**9
    away = -((-abs(billionths).numerator) // billionths.denominator)
    return Fraction(away if value >= 0 else -away, 10**9)


def _binary(value: int) -> str:
    power = 0
    while value % 1024 == 0:
        value, power = value // 1024, power + 1
    return f"{value}{_BINARY[power]}"


def _decimal(value: Fraction, *, exponents: bool) -> str:
    if value == 0:
        return "0"
    mantissa, exponent = int(value * 10**9), -9
    while mantissa % 1000 == 0:
        mantissa, exponent = mantissa // 1000, exponent + 3
    if exponents:
        return f"{mantissa}e{exponent}" if exponent else str(mantissa)
    return f"{mantissa}{_DECIMAL.get(exponent, '')}"


# --- typed forms -----------------------------------------------------------------------------------------------------
Form = Callable[[Json], Json]
"""From a field's JSON value (None when absent) to what is written, or `_ABSENT`."""


@cache
def _types() -> Mapping[str, tuple[tuple[str, Form], ...]]:
    lines = TYPES.replace("\n  ", " ").split("\n")
    declared = dict(line.split(": ", 1) for line in lines if line)
    return {name: tuple(_fields(declared, fields)) for name, fields in declared.items()}


def _fields(declared: Mapping[str, str], fields: str) -> list[tuple[str, Form]]:
    found: list[tuple[str, Form]] = []
    for token in fields.split():
        if token.startswith("+"):
            found += _fields(declared, declared[token[1:]])
            continue
        match = _FIELD.fullmatch(token)
        assert match is not None, token
        found.append((match[1], _form(match[2] or "")))
    return found


_SCALAR_FORMS: Mapping[str, Form] = {
    "": lambda value: value if value else _ABSENT,
    "*": lambda value: _ABSENT if value is None else value,
    "!": lambda value: "" if value is None else value,
    "#": lambda value: 0 if value is None else value,
    "^": lambda value: value,
    "[]": lambda value: value if value else _ABSENT,
    "[]!": lambda value: value,
    "{}": lambda value: value if value else _ABSENT,
    "{Q}": lambda value: {key: quantity(text) for key, text in value.items()} if value else _ABSENT,
    "=Q": lambda value: quantity(value or "0"),
    "*Q": lambda value: _ABSENT if value is None else quantity(value),
}


def _form(notation: str) -> Form:
    if notation in _SCALAR_FORMS:
        return _SCALAR_FORMS[notation]
    name = notation.strip("=:[]!")
    missing = None if notation.endswith("!") else _ABSENT
    if notation.startswith("="):
        return lambda value: canonical(name, value or {})
    if notation.startswith(":"):
        return lambda value: missing if value is None else canonical(name, value)
    empty_kept = notation.endswith("!")
    return lambda value: (
        [canonical(name, item or {}) for item in value] if value or (empty_kept and value is not None) else missing
    )


def _numbers(value: Json) -> Json:
    """Integers as they are after a float64: exact up to 2**53."""
    if isinstance(value, dict):
        return {key: _numbers(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_numbers(item) for item in value]
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return int(float(value)) if float(value).is_integer() else value
    return value
