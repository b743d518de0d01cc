"""The three ways to change a part of an object: JSON patch (RFC 6902), merge patch (RFC 7386), server-side apply.

All are functions of values and leave their input as it is. Of RFC 6902 the operations add, remove, replace and test; of
server-side apply what a single owner of its fields needs: mappings are merged, lists are replaced whole, and what the
manager gave last time and gives no longer is removed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from lws_sched.sim.objects import Json, clone


class PatchFailed(Exception):
    """An operation does not fit the object, or a test does not hold. Nothing was changed."""


def json_patch(document: Json, operations: Iterable[Mapping[str, Any]]) -> Json:
    """The document after all operations, in order. Raises PatchFailed."""
    root: Json = {"": clone(document)}
    for operation in operations:
        tokens = _tokens(operation["path"])
        parent = _walk(root, ["", *tokens[:-1]]) if tokens else root
        _perform(operation, parent, tokens[-1] if tokens else "")
    result: Json = root[""]
    return result


def _tokens(path: str) -> list[str]:
    if path and not path.startswith("/"):
        raise PatchFailed(f"{path!r} is not a JSON pointer: it must be empty or start with /")
    return [token.replace("~1", "/").replace("~0", "~") for token in path.split("/")[1:]]


def _walk(node: Any, tokens: list[str]) -> Any:
    for token in tokens:
        node = _child(node, token)
    return node


def _child(node: Any, token: str) -> Any:
    if isinstance(node, dict):
        if token in node:
            return node[token]
    elif isinstance(node, list):
        return node[_position(node, token, len(node) - 1)]
    raise PatchFailed(f"there is nothing at {token!r}")


def _position(items: list[Any], token: str, last: int) -> int:
    """An index in a list as RFC 6901 writes it: digits without leading zeros."""
    if not (token.isascii() and token.isdigit()) or (token[0] == "0" and len(token) > 1) or int(token) > last:
        raise PatchFailed(f"{token!r} is not a position in a list of {len(items)}")
    return int(token)


def _perform(operation: Mapping[str, Any], parent: Any, token: str) -> None:
    match operation["op"]:
        case "test":
            if not _same(_child(parent, token), operation["value"]):
                raise PatchFailed(f"the test of {operation['path']} failed")
        case "add":
            _add(parent, token, clone(operation["value"]))
        case "replace":
            _child(parent, token)
            parent[token if isinstance(parent, dict) else int(token)] = clone(operation["value"])
        case "remove":
            _child(parent, token)
            del parent[token if isinstance(parent, dict) else int(token)]
        case other:
            raise PatchFailed(f"{other!r} is none of add, remove, replace and test")


def _add(parent: Any, token: str, value: Any) -> None:
    if isinstance(parent, dict):
        parent[token] = value
    elif isinstance(parent, list):
        parent.insert(len(parent) if token == "-" else _position(parent, token, len(parent)), value)
    else:
        raise PatchFailed(f"nothing can be added at {token!r}")


def _same(left: Any, right: Any) -> bool:
    """JSON equality: unlike Python's, true is not 1."""
    if isinstance(left, bool) or isinstance(right, bool):
        return left is right
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(_same(left[key], right[key]) for key in left)
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(_same, left, right))
    return bool(left == right)


def merge_patch(target: Any, change: Any) -> Any:
    """RFC 7386: null removes, mappings merge, all else replaces."""
    if not isinstance(change, Mapping):
        return clone(change)
    result = dict(target) if isinstance(target, dict) else {}
    for key, value in change.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = merge_patch(result.get(key), value)
    return result


def applied(target: Json, before: Mapping[str, Any], now: Mapping[str, Any]) -> Json:
    """Server-side apply by a manager that gave `before` the last time and gives `now`."""
    result = dict(target)
    for key, value in before.items():
        if key in now or key not in result:
            continue
        rest = applied(result[key], value, {}) if isinstance(value, Mapping) and isinstance(result[key], dict) else None
        if rest:
            result[key] = rest
        else:
            del result[key]
    for key, value in now.items():
        have, last = result.get(key), before.get(key)
        if isinstance(value, Mapping) and isinstance(have, dict):
            result[key] = applied(have, last if isinstance(last, Mapping) else {}, value)
        else:
            result[key] = clone(value)
    return result
