"""Objects as the API server keeps them: raw JSON, and how selectors look at it.

A stored object is never changed in place: every write makes a new dictionary that shares the parts that stayed. Whoever
holds a version may therefore keep it, and a part that is the same object was not changed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

Json = dict[str, Any]
Labels = Mapping[str, str]
Key = tuple[str, str]
"""Namespace ("" for cluster-scoped objects) and name."""

FOREGROUND = "foregroundDeletion"
"""The finalizer of an object that waits for its dependents to be gone."""


def clone(value: Any) -> Any:
    """A deep copy of JSON; mappings become dictionaries and sequences lists."""
    kind = type(value)
    if kind is str or kind is int:  # most of any object: told apart first
        return value
    if kind is dict or isinstance(value, Mapping):
        return {key: clone(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [clone(item) for item in value]
    return value


def key_of(body: Mapping[str, Any]) -> Key:
    meta = body["metadata"]
    return meta.get("namespace") or "", meta["name"]


def named(body: Mapping[str, Any]) -> str:
    """How a message calls the object: `Pod ns/name`."""
    return f"{body.get('kind', 'object')} {'/'.join(part for part in key_of(body) if part)}"


def owners(body: Json) -> list[Json]:
    return body["metadata"].get("ownerReferences") or []


def controller_uid(body: Json) -> str:
    """The UID of the one owner that manages the object, or ""."""
    return next((ref["uid"] for ref in owners(body) if ref.get("controller")), "")


def is_terminating(body: Json) -> bool:
    return bool(body["metadata"].get("deletionTimestamp"))


def condition(body: Json, type_: str) -> Json | None:
    for each in (body.get("status") or {}).get("conditions") or []:
        if each["type"] == type_:
            return each  # type: ignore[no-any-return]
    return None


def is_ready(body: Json) -> bool:
    found = condition(body, "Ready")
    return found is not None and found["status"] == "True"


def with_condition(body: Json, new: Json) -> list[Json]:
    """The object's conditions with `new` in the place of the one of its type."""
    conditions = (body.get("status") or {}).get("conditions") or []
    others = [each for each in conditions if each["type"] != new["type"]]
    return [*others, new]


def requirement_holds(requirement: Mapping[str, Any], labels: Labels) -> bool:
    """One requirement of a label or node selector: In, NotIn, Exists, DoesNotExist, Gt, Lt."""
    key, operator = requirement["key"], requirement["operator"]
    values = requirement.get("values") or ()
    if operator == "In":
        return labels.get(key) in values if key in labels else False
    if operator == "NotIn":
        return labels.get(key) not in values
    if operator == "Exists":
        return key in labels
    if operator == "DoesNotExist":
        return key not in labels
    return _compared(operator, labels.get(key, ""), values)


def _compared(operator: str, have: str, values: Any) -> bool:
    try:
        number, limit = int(have), int(values[0])
    except (ValueError, IndexError):
        return False
    return number > limit if operator == "Gt" else number < limit


def selects(selector: Mapping[str, Any] | None, labels: Labels) -> bool:
    """Whether a LabelSelector matches: a missing one matches nothing, an empty one everything."""
    if selector is None:
        return False
    if any(labels.get(key) != value for key, value in (selector.get("matchLabels") or {}).items()):
        return False
    return all(requirement_holds(each, labels) for each in selector.get("matchExpressions") or ())


_REQUIREMENT = re.compile(r"\s*(!?)\s*([^\s!=,()]+)\s*(?:(==|=|!=)\s*([^\s,()]*)|(in|notin)\s*\(([^)]*)\))?\s*(?:,|$)")


@lru_cache(maxsize=256)
def selector_of(text: str) -> Callable[[Labels], bool]:
    """A selector in wire syntax, such as `a=b,c!=d,e,!f,g in (x,y)`. Raises ValueError."""
    requirements: list[Json] = []
    at = 0
    while at < len(text):
        match = _REQUIREMENT.match(text, at)
        if match is None:
            raise ValueError(f"{text!r} is not a label selector such as a=b,!c")
        requirements.append(_requirement(match))
        at = match.end()
    return lambda labels: all(requirement_holds(each, labels) for each in requirements)


def _requirement(match: re.Match[str]) -> Json:
    absent, key, equals, value, member, values = match.groups()
    if equals:
        return {"key": key, "operator": "NotIn" if equals == "!=" else "In", "values": [value]}
    if member:
        operator = "In" if member == "in" else "NotIn"
        return {"key": key, "operator": operator, "values": [each.strip() for each in values.split(",")]}
    return {"key": key, "operator": "DoesNotExist" if absent else "Exists"}
