"""Canonical JSON: the bytes that other implementations of the API hash."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lws_sched.api.quantity import InvalidQuantity, parse
from lws_sched.core.canonical import canonical, compact_json, quantity


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ("0", "0"),
        (8, "8"),
        ("1000m", "1"),
        ("0.5", "500m"),
        ("1500m", "1500m"),
        ("1.500", "1.500"),
        ("1024Mi", "1Gi"),
        ("1.5Gi", "1536Mi"),
        ("0.5Gi", "512Mi"),
        ("0.1Ki", "102400m"),
        ("1000Ki", "1000Ki"),
        ("-2Ki", "-2Ki"),
        ("1000", "1k"),
        ("1e1", "10"),
        ("12e4", "120e3"),
        ("1E3", "1E3"),
        ("0.0000000001", "1n"),
        ("841Ei", "9223372036854775807"),
        ("100000000000000000000", "100E"),
        ("3000E", "3"),
    ],
)
def test_a_quantity_has_one_text(given: str | int, wanted: str) -> None:
    assert quantity(given) == wanted


def test_a_text_that_is_no_quantity_is_refused() -> None:
    with pytest.raises(InvalidQuantity):
        quantity("lots")


@given(st.integers(0, 10**15), st.sampled_from(["", "m", "k", "M", "Ki", "Mi", "Gi"]))
def test_canonical_quantities_keep_their_value_and_stay_as_they_are(number: int, suffix: str) -> None:
    text = quantity(f"{number}{suffix}")
    if abs(parse(f"{number}{suffix}")) < 2**63:
        assert parse(text) == parse(f"{number}{suffix}")
    assert quantity(text) == text


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        pytest.param({}, {"metadata": {}, "spec": {"containers": None}}, id="metadata and spec are always written"),
        pytest.param(
            {"spec": {"containers": [], "hostNetwork": False, "nodeSelector": {}, "volumes": []}},
            {"metadata": {}, "spec": {"containers": []}},
            id="empty optional fields vanish, an explicit empty required list stays",
        ),
        pytest.param(
            {"spec": {"containers": [], "terminationGracePeriodSeconds": 0, "securityContext": {"runAsUser": 0}}},
            {
                "metadata": {},
                "spec": {"containers": [], "securityContext": {"runAsUser": 0}, "terminationGracePeriodSeconds": 0},
            },
            id="fields behind pointers keep zero, structs behind pointers keep {}",
        ),
        pytest.param(
            {"metadata": {"labels": {"a": ""}, "creationTimestamp": None, "uid": "x"}, "spec": {"later": 1}},
            {"metadata": {"labels": {"a": ""}}, "spec": {"containers": None}},
            id="unknown fields vanish, empty values in maps stay",
        ),
    ],
)
def test_a_pod_template_has_one_form(given: dict[str, Any], wanted: dict[str, Any]) -> None:
    assert canonical("PodTemplateSpec", given) == wanted


def test_required_fields_of_a_container_are_written_even_when_absent() -> None:
    container = {"ports": [{}], "env": [{"valueFrom": {"resourceFieldRef": {}}}], "livenessProbe": {"grpc": {}}}
    assert canonical("Container", container) == {
        "name": "",
        "ports": [{"containerPort": 0}],
        "env": [{"name": "", "valueFrom": {"resourceFieldRef": {"resource": "", "divisor": "0"}}}],
        "livenessProbe": {"grpc": {"port": 0, "service": None}},
        "resources": {},
    }


def test_json_is_written_with_sorted_keys_and_escaped_html() -> None:
    value = {"b": "<&>\u2028é\n\x01", "a": [2**53 + 1, 1.5, True, None]}
    wanted = '{"a":[9007199254740992,1.5,true,null],"b":"\\u003c\\u0026\\u003e\\u2028é\\n\\u0001"}'
    assert compact_json(value) == wanted.encode()
