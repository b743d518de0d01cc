from __future__ import annotations

import pytest

from lws_sched.sim.objects import requirement_holds, selector_of, selects

LABELS = {"app": "a", "size": "8", "empty": ""}


@pytest.mark.parametrize(
    ("text", "matches"),
    [
        pytest.param("", True, id="the empty selector matches everything"),
        pytest.param("app=a", True, id="equal"),
        pytest.param("app==a,size=8", True, id="both hold"),
        pytest.param("app=a,size=9", False, id="one does not hold"),
        pytest.param("app!=a", False, id="not equal"),
        pytest.param("other!=a", True, id="a missing label is not equal"),
        pytest.param("app", True, id="exists"),
        pytest.param("other", False, id="does not exist"),
        pytest.param("!other", True, id="is absent"),
        pytest.param("app in (a, b),!other", True, id="in a set"),
        pytest.param("size notin (8)", False, id="not in a set"),
        pytest.param("empty=", True, id="an empty value"),
    ],
)
def test_a_selector_in_wire_syntax_matches_as_kubernetes_says(text: str, matches: bool) -> None:
    assert selector_of(text)(LABELS) is matches


def test_a_malformed_selector_says_so() -> None:
    with pytest.raises(ValueError, match="is not a label selector"):
        selector_of("a=b,=")


@pytest.mark.parametrize(
    ("operator", "values", "matches"),
    [
        ("In", ["8"], True),
        ("NotIn", ["8"], False),
        ("Exists", [], True),
        ("DoesNotExist", [], False),
        ("Gt", ["7"], True),
        ("Gt", ["8"], False),
        ("Lt", ["9"], True),
        ("Lt", ["x"], False),
    ],
)
def test_requirements_compare_labels(operator: str, values: list[str], matches: bool) -> None:
    assert requirement_holds({"key": "size", "operator": operator, "values": values}, LABELS) is matches


def test_a_missing_label_selector_matches_nothing_and_an_empty_one_everything() -> None:
    assert not selects(None, LABELS)
    assert selects({}, LABELS)
    assert selects(
        {"matchLabels": {"app": "a"}, "matchExpressions": [{"key": "x", "operator": "DoesNotExist"}]}, LABELS
    )
