"""Objects with any value in place of any of their parts, for tests that feed decoders what nobody would write."""

from __future__ import annotations

import copy
import os
from typing import Any

from hypothesis import strategies as st

EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "15"))
"""Tried by each test; `make fuzz` tries more."""
Path = tuple[str | int, ...]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.sampled_from(["1", "8Gi", "-1"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=6,
)


def spoilt(body: Any) -> st.SearchStrategy[Any]:
    def put(path: Path, value: Any) -> Any:
        if not path:
            return value
        changed = copy.deepcopy(body)
        holder = changed
        for key in path[:-1]:
            holder = holder[key]
        holder[path[-1]] = value
        return changed

    return st.builds(put, st.sampled_from(_paths(body)), JSON)


def _paths(value: Any, at: Path = ()) -> list[Path]:
    entries = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [at, *(path for key, each in entries for path in _paths(each, (*at, key)))]
