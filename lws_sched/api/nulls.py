"""A null means the same as a field left out, to Kubernetes; the wire types know only the latter."""

from __future__ import annotations

from typing import Any


def without_nulls(value: Any) -> Any:
    """The same JSON without the mapping entries that are null, at any depth."""
    if isinstance(value, dict):
        return {key: without_nulls(each) for key, each in value.items() if each is not None}
    if isinstance(value, list):
        return [without_nulls(each) for each in value]
    return value
