from __future__ import annotations

from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from lws_sched.intake.documents import BadInput, read
from lws_sched.intake.kubectl_yaml import UNREAD, Loader, items_of


def printed(items: list[Any]) -> str:
    """A list in the style of kubectl: block mappings, keys in order, sequences as deep as their keys."""
    value = {"apiVersion": "v1", "items": items, "kind": "List", "metadata": {"resourceVersion": ""}}
    return yaml.dump(value, default_flow_style=False, sort_keys=True, allow_unicode=True)


def generally(text: str) -> Any:
    """What the general parser makes of it, without what nobody reads."""
    return told(yaml.load(text, Loader)["items"])


def told(items: Any) -> Any:
    """Items without what nobody reads; a section of which nothing is left is none."""
    return [{key: _read_part(part) for key, part in item.items()} for item in items]


def _read_part(part: Any) -> Any:
    if not isinstance(part, dict):
        return part
    return {field: value for field, value in part.items() if field not in UNREAD} or None


WORDS = st.sampled_from(
    ["8", "1024Gi", "true", "null", "~", "no", "1e3", "0x1f", "1:30", "2026-01-01", "", "-", "a: b", "#x", "|", "[a]"]
)
scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(10**12), 10**12),
    WORDS,
    st.text("ab-._/:# '\"{}[]&*!|>%@,\\\n\té", max_size=12),
)
keys = st.one_of(
    st.sampled_from(["name", "images", "kubernetes.io/hostname", "env", "8", "true"]), st.text("ab:# '-", max_size=5)
)
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=3), max_leaves=12
)
sections = st.dictionaries(st.one_of(st.sampled_from([*UNREAD, "labels", "taints"]), keys), values, max_size=4)
objects = st.fixed_dictionaries(
    {"apiVersion": st.just("v1"), "kind": st.just("Node"), "metadata": sections, "spec": sections}
)


@settings(max_examples=50, deadline=None)
@given(st.lists(objects, min_size=1, max_size=3))
def test_it_reads_what_the_general_parser_reads(items: list[Any]) -> None:
    text = printed(items)
    assert told(items_of(text)) == generally(text)


def test_a_node_as_kubectl_prints_it_is_read_but_for_what_nobody_reads() -> None:
    text = """apiVersion: v1
items:
- apiVersion: v1
  kind: Node
  metadata:
    annotations:
      csi.volume.kubernetes.io/nodeid: '{"ebs.csi.aws.com":"i-07"}'
      note: "it says \\"hello\\""
    labels:
      env: prod
      images: many
    managedFields:
    - apiVersion: v1
      fieldsV1:
        f:status: {}
    name: n-0
  spec:
    taints:
    - effect: NoSchedule
      key: nvidia.com/gpu
      value: "true"
    - effect: NoExecute
      key: maintenance
  status:
    allocatable:
      cpu: 95700m
      nvidia.com/gpu: "8"
      pods: 110
    conditions: []
    images:
    - names:
      - registry.example/a@sha256:0
      sizeBytes: 5
kind: List
metadata:
  resourceVersion: ""
"""
    whole = generally(text)
    assert items_of(text) == whole
    assert whole[0]["metadata"]["labels"] == {"env": "prod", "images": "many"}
    assert whole[0]["status"]["allocatable"] == {"cpu": "95700m", "nvidia.com/gpu": "8", "pods": 110}
    assert "images" not in whole[0]["status"]


def test_a_text_over_several_lines_is_kept() -> None:
    text = """apiVersion: v1
items:
- apiVersion: v1
  kind: Pod
  metadata:
    annotations:
      applied: |
        {"kind": "Pod",

         "images": 1}
      other: x
    name: p
  spec:
    containers:
    - command:
      - sh
      - |
        for each in a b; do
          echo: "$each"
        done
      name: c
"""
    assert items_of(text) == generally(text)


@pytest.mark.parametrize("text", ["kind: List\nitems:\n- {a: 1}\n", "items: []\n", "- a\n", "a: 1\n"])
def test_another_style_is_left_to_the_general_parser(text: str) -> None:
    assert items_of(text) is None


@pytest.mark.parametrize(
    "text",
    [
        "[" * 10_000_000,
        '{"a":' * 1_000_000,
        "- " * 1_000_000,
        "? " * 1_000_000,
        "kind: a\n" + "".join(f"{' ' * depth}a:\n" for depth in range(1500)),
        "items:\n- a: " + "[" * 1_000_000,
        "kind: List\nitems:\n- &a {kind: List, items: [*a]}\n",
    ],
    ids=["brackets", "json", "dashes", "keys", "indented", "in an item of kubectl's list", "an alias of itself"],
)
def test_what_is_nested_too_deeply_is_one_sentence_and_ends_no_process(text: str) -> None:
    with pytest.raises(BadInput, match=r"^text is nested more than 200 levels deep: no Kubernetes object is$"):
        read("text", text.encode())
