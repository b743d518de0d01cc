"""A hook: a function from an admission request to a verdict, and the patch that a mutation amounts to."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from lws_sched.api.meta import Kind

JsonObject = dict[str, Any]


@dataclass(frozen=True)
class Request:
    """One admission request. Objects are raw JSON: a hook must keep what it does not know."""

    operation: str
    """CREATE or UPDATE."""
    namespace: str
    object: JsonObject
    old_object: JsonObject | None = None
    dry_run: bool = False


@dataclass(frozen=True)
class Verdict:
    """Allowed or not; a denial's message goes to the user as it is. `patch` is RFC 6902."""

    allowed: bool = True
    message: str = ""
    patch: tuple[Mapping[str, Any], ...] = ()
    warnings: tuple[str, ...] = ()
    """Shown to the user by kubectl; what was asked for is done all the same."""


ALLOWED = Verdict()


def denied(message: str) -> Verdict:
    return Verdict(allowed=False, message=message)


@dataclass(frozen=True)
class Hook:
    """Where a decision is registered: enough to serve it, to write its webhook configuration, and to call it in the
    simulated cluster."""

    name: str
    """The webhook's qualified name, such as `mpod.kb.io`."""
    path: str
    kind: Kind[Any]
    operations: tuple[str, ...]
    mutating: bool
    decide: Callable[[Request], Verdict]
    selector: Mapping[str, Any] | None = None
    """objectSelector on the wire; only matchExpressions with Exists are used."""
    scheduler: str = ""
    """Called only for pods whose schedulerName this is; "" for all (a CEL matchCondition on the wire)."""
    timeout_seconds: int = 10
    registered: bool = True
    """False for one that is served, for manifests that name it, but not asked for."""


def changed(before: JsonObject, after: JsonObject) -> tuple[Mapping[str, Any], ...]:
    """The JSON patch from `before` to `after`, replacing whole values at depth two (`/metadata/labels`, `/spec/x`).

    Whole values, not single list items: the hook saw the object that the patch applies to, so nothing is lost, and the
    patch stays readable.
    """
    operations: list[Mapping[str, Any]] = []
    for top in sorted(before.keys() | after.keys()):
        old, new = before.get(top), after.get(top)
        if old == new:
            continue
        if not (isinstance(old, dict) and isinstance(new, dict)):
            operations.append(_operation(before, after, top, f"/{_escape(top)}"))
            continue
        operations.extend(
            _operation(old, new, field, f"/{_escape(top)}/{_escape(field)}")
            for field in sorted(old.keys() | new.keys())
            if old.get(field) != new.get(field) or (field in old) != (field in new)
        )
    return tuple(operations)


def _operation(before: JsonObject, after: JsonObject, field: str, path: str) -> Mapping[str, Any]:
    if field not in after:
        return {"op": "remove", "path": path}
    return {"op": "replace" if field in before else "add", "path": path, "value": after[field]}


def _escape(token: str) -> str:
    return token.replace("~", "~0").replace("/", "~1")
