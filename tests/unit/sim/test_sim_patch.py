from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jsonpatch
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lws_sched.sim.patch import PatchFailed, applied, json_patch, merge_patch

KEYS = st.sampled_from(["a", "b", "~", "/", "m~/n", "0"])
SCALARS: st.SearchStrategy[Any] = st.none() | st.booleans() | st.integers(0, 2) | st.sampled_from(["", "x"])
VALUES: st.SearchStrategy[Any] = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=8,
)
DOCUMENTS: st.SearchStrategy[dict[str, Any]] = st.dictionaries(KEYS, VALUES, max_size=4)
TOKENS = st.sampled_from(["a", "b", "~0", "~1", "m~0~1n", "0", "1", "2", "-", "01", "x"])
PATHS = st.lists(TOKENS, min_size=1, max_size=3).map(lambda tokens: "/" + "/".join(tokens))
OPERATIONS = st.lists(
    st.fixed_dictionaries(
        {"op": st.sampled_from(["add", "replace", "remove", "test"]), "path": PATHS, "value": VALUES}
    ),
    max_size=3,
)


def strictly(value: Any) -> Any:
    """JSON with its types kept: for Python true is 1."""
    if isinstance(value, dict):
        return {key: strictly(item) for key, item in value.items()}
    if isinstance(value, list):
        return [strictly(item) for item in value]
    return type(value), value


@settings(max_examples=100, deadline=None)
@given(DOCUMENTS, DOCUMENTS)
def test_a_patch_that_jsonpatch_made_leads_from_the_one_document_to_the_other(
    before: dict[str, Any], after: dict[str, Any]
) -> None:
    made = jsonpatch.make_patch(before, after).patch
    if all(each["op"] != "move" for each in made):
        assert strictly(json_patch(before, made)) == strictly(jsonpatch.apply_patch(before, made))


@settings(max_examples=150, deadline=None)
@given(DOCUMENTS, OPERATIONS)
def test_operations_do_what_jsonpatch_makes_of_them_or_are_refused_by_both(
    document: dict[str, Any], operations: list[dict[str, Any]]
) -> None:
    assert outcome(lambda: json_patch(document, operations)) in (
        outcome(lambda: jsonpatch.apply_patch(document, operations)),
        # jsonpatch takes true for 1 in a test, and "01" for a position: refusing both is right.
        "refused" if any(is_lax(each) for each in operations) else None,
    )


def is_lax(operation: dict[str, Any]) -> bool:
    return operation["op"] == "test" or "01" in operation["path"]


def outcome(patch: Callable[[], Any]) -> Any:
    try:
        return strictly(patch())
    except (PatchFailed, jsonpatch.JsonPatchException, jsonpatch.JsonPointerException):
        return "refused"


def test_a_failed_patch_changes_nothing() -> None:
    document = {"spec": {"gates": ["a"]}}
    with pytest.raises(PatchFailed, match="the test of /spec/gates/0 failed"):
        json_patch(
            document,
            [
                {"op": "remove", "path": "/spec/gates/0"},
                {"op": "add", "path": "/spec/gates/0", "value": "b"},
                {"op": "test", "path": "/spec/gates/0", "value": "a"},
            ],
        )
    assert document == {"spec": {"gates": ["a"]}}


@pytest.mark.parametrize(
    ("target", "change", "result"),
    [
        pytest.param({"a": 1, "b": 2}, {"b": None, "c": 3}, {"a": 1, "c": 3}, id="null removes"),
        pytest.param({"a": {"b": 1, "c": 2}}, {"a": {"c": 3}}, {"a": {"b": 1, "c": 3}}, id="mappings merge"),
        pytest.param({"a": [1, 2]}, {"a": [3]}, {"a": [3]}, id="lists are replaced"),
        pytest.param({}, {"a": {"b": None}}, {"a": {}}, id="nulls of a new mapping are dropped"),
    ],
)
def test_a_merge_patch_is_that_of_rfc_7386(target: Any, change: Any, result: Any) -> None:
    assert merge_patch(target, change) == result


def test_apply_removes_what_the_manager_gave_before_and_gives_no_longer() -> None:
    stored = {"metadata": {"labels": {"mine": "1", "theirs": "2"}}, "spec": {"replicas": 2, "paused": True}}
    before = {"metadata": {"labels": {"mine": "1"}}, "spec": {"replicas": 2}}
    now = {"spec": {"replicas": 3}}
    assert applied(stored, before, now) == {
        "metadata": {"labels": {"theirs": "2"}},
        "spec": {"replicas": 3, "paused": True},
    }
