from __future__ import annotations

import json
from typing import Any

import pytest

from tests.unit.cli.commands import Files, Outcome, lws, racks, record, run, taken

LWS = "apiVersion: leaderworkerset.x-k8s.io/v1\nkind: LeaderWorkerSet\n"
POD_SPEC = "spec: {containers: [{name: c, resources: {limits: {cpu: 1}}}]}"


def refused(outcome: Outcome) -> str:
    """The one sentence that bad input gets."""
    assert (outcome.code, outcome.out) == (2, "")
    [line] = outcome.err.splitlines()
    return line.removeprefix("lws-sched: ")


def with_sets(files: Files, text: str) -> str:
    return refused(run("plan", "-f", files.text("lws.yaml", text), "--cluster", files.cluster(racks(1, 2))))


def with_cluster(files: Files, text: str) -> str:
    return refused(run("plan", "-f", files.sets(lws("a")), "--cluster", files.text("c.yaml", text)))


def template(inner: str, meta: str = "metadata: {name: a}") -> str:
    return f"{LWS}{meta}\nspec:\n  leaderWorkerTemplate:\n    {inner}\n"


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        pytest.param("", "lws.yaml is empty: give YAML or JSON, as `kubectl get -o yaml` prints it", id="empty"),
        pytest.param("just words\n", "lws.yaml holds text where a Kubernetes object is expected", id="words"),
        pytest.param("[1, 2]", "lws.yaml holds a list where a Kubernetes object is expected", id="a list"),
        pytest.param(
            "a: 1\n", "lws.yaml has no kind: a Kubernetes object starts with apiVersion and kind", id="no kind"
        ),
        pytest.param(
            "a: 1\nb: [1,\nc: 2\n",
            "lws.yaml, line 2: this is not YAML: while parsing a flow sequence, did not find expected ',' or ']'",
            id="not YAML",
        ),
        pytest.param('{"kind": "X",\n "b": }', "lws.yaml, line 2: this is not JSON: Expecting value", id="not JSON"),
        pytest.param(
            "apiVersion: v1\nkind: Service\nmetadata: {name: s}\n",
            "lws.yaml has no LeaderWorkerSet of leaderworkerset.x-k8s.io/v1; it has Service",
            id="another kind",
        ),
        pytest.param(
            f"{LWS}metadata: {{name: a}}\n",
            "lws.yaml (LeaderWorkerSet a) has no spec.leaderWorkerTemplate: it says what the groups are made of",
            id="no spec",
        ),
        pytest.param(
            template("size: 2"),
            "lws.yaml (LeaderWorkerSet a) has no spec.leaderWorkerTemplate.workerTemplate.spec.containers: a pod has "
            "at least one container",
            id="no containers",
        ),
        pytest.param(
            template(f"workerTemplate: {{{POD_SPEC}}}", meta="metadata: {}"),
            "lws.yaml (LeaderWorkerSet default) has no metadata.name: give it one",
            id="no name",
        ),
        pytest.param(
            template(f"size: two\n    workerTemplate: {{{POD_SPEC}}}"),
            "lws.yaml (LeaderWorkerSet default/a): spec.leaderWorkerTemplate.size: expected int, got str",
            id="a word for a number",
        ),
        pytest.param(
            template(f"size: 0\n    workerTemplate: {{{POD_SPEC}}}"),
            "lws.yaml (LeaderWorkerSet a): spec.leaderWorkerTemplate.size: Invalid value: 0: size must be equal or "
            "greater than 1",
            id="against a rule",
        ),
        pytest.param(
            template("workerTemplate: {spec: {containers: [{name: c, resources: {requests: {cpu: lots}}}]}}"),
            "lws.yaml (LeaderWorkerSet a): "
            "spec.leaderWorkerTemplate.workerTemplate.spec.containers[0].resources.requests.cpu: 'lots' is not a "
            "Kubernetes quantity such as 500m, 8 or 16Gi",
            id="no quantity",
        ),
        pytest.param(
            "---\n".join([template(f"workerTemplate: {{{POD_SPEC}}}")] * 2),
            "lws.yaml, document 2 (LeaderWorkerSet a) was there before, as lws.yaml, document 1: leave one of them out",
            id="twice",
        ),
        pytest.param(
            template(f"workerTemplate: {{{POD_SPEC}}}") + "---\nmetadata: [\n",
            "lws.yaml, line 8: this is not YAML: while parsing a flow node, did not find expected node content",
            id="the second document",
        ),
    ],
)
def test_a_bad_set_gets_one_sentence_that_says_where(files: Files, text: str, sentence: str) -> None:
    assert with_sets(files, text) == sentence


LIST = "apiVersion: v1\nkind: List\nitems:\n"
NODE = "- {apiVersion: v1, kind: Node, metadata: {name: n}, status: {allocatable: %s}}\n"


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        pytest.param(
            "apiVersion: v1\nitems: []\nkind: List\n",
            "c.yaml has no nodes: give what `kubectl get nodes,pods --all-namespaces -o yaml` prints",
            id="an empty list",
        ),
        pytest.param(
            f"{LIST}- {{apiVersion: v1, kind: Pod, metadata: {{name: p, namespace: d}}}}\n",
            "c.yaml has no nodes (it has Pod): give what `kubectl get nodes,pods --all-namespaces -o yaml` prints",
            id="pods alone",
        ),
        pytest.param(
            LIST + NODE % "{cpu: 1}" + NODE % "{cpu: 2}",
            "c.yaml, item 2 (Node n) was there before, as c.yaml, item 1: leave one of them out",
            id="a node twice",
        ),
        pytest.param(
            LIST + NODE % "{cpu: 1, memory: 4 Gigs}",
            "c.yaml, item 1 (Node n): status.allocatable.memory: '4 Gigs' is not a Kubernetes quantity such as 500m, 8 "
            "or 16Gi",
            id="no quantity",
        ),
        pytest.param(
            LIST + NODE % "[1]",
            "c.yaml, item 1 (Node n): status.allocatable: expected object, got array",
            id="a list for a mapping",
        ),
        pytest.param(
            f"{LIST}- 7\n", "c.yaml, item 1 is the value 7 where a Kubernetes object is expected", id="a number"
        ),
        pytest.param("kind: List\nitems: 5\n", "c.yaml: items is the value 5, not a list", id="no list"),
        pytest.param(
            f"{LIST}- {{apiVersion: v1, kind: Node, metadata: {{}}}}\n",
            "c.yaml, item 1 (Node) has no metadata.name: give it one",
            id="a node without a name",
        ),
        pytest.param(
            "apiVersion: v1\nitems:\n- apiVersion: v1\n  kind: Node\n  metadata:\n    name: 'n\n",
            "c.yaml, line 6: this is not YAML: while scanning a quoted scalar, found unexpected end of stream",
            id="cut off",
        ),
    ],
)
def test_a_bad_cluster_gets_one_sentence_that_says_where(files: Files, text: str, sentence: str) -> None:
    assert with_cluster(files, text).startswith(sentence)


def test_a_missing_file_is_named(files: Files) -> None:
    cluster = files.cluster(racks(1, 1))
    assert refused(run("plan", "-f", "nowhere.yaml", "--cluster", cluster)) == "there is no file nowhere.yaml"
    assert refused(run("plan", "-f", files.sets(lws("a")), "--cluster", "gone.yaml")) == "there is no file gone.yaml"
    files.folder.joinpath("dir").mkdir()
    assert refused(run("plan", "-f", "dir", "--cluster", cluster)) == "dir cannot be read: Is a directory"


def test_a_file_of_bytes_is_no_text(files: Files) -> None:
    files.folder.joinpath("x.yaml").write_bytes(b"\xff\xfe\x00")
    said = refused(run("plan", "-f", "x.yaml", "--cluster", files.cluster(racks(1, 1))))
    assert said == "x.yaml is not text (byte 0 is not UTF-8): give YAML or JSON"


def test_standard_input_is_read_once(files: Files) -> None:
    assert "only once" in refused(run("plan", "-f", "-", "--cluster", "-", stdin="{}"))
    assert "only once" in refused(
        run("plan", "-f", "-", "-f", "-", "--cluster", files.cluster(racks(1, 1)), stdin="{}")
    )


def test_an_unknown_level_is_a_refusal_that_lists_what_there_is(files: Files) -> None:
    outcome = run(
        "plan", "-f", files.sets(lws("a").required("rak")), "--cluster", files.cluster(racks(1, 1)), "-o", "json"
    )
    assert outcome.code == 3
    assert outcome.groups["a-0"]["fix"] == "ask for rack"


def test_a_set_without_a_namespace_is_in_the_one_given(files: Files) -> None:
    named = lws("a").body
    named["metadata"]["namespace"] = "other"
    sets = files.text("lws.yaml", json.dumps({"kind": "List", "items": [lws("a").body, named, lws("b").body]}))
    outcome = run("plan", "-f", sets, "--cluster", files.cluster(racks(1, 12)), "-o", "json", "-n", "team")
    assert [group["name"] for group in outcome.json["groups"]] == ["team/a-0", "other/a-0", "b-0"]


def test_objects_that_planning_does_not_read_are_passed_over(files: Files) -> None:
    others: list[dict[str, Any]] = [
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"}, "data": {"a": "1"}},
        {"apiVersion": "example.com/v1", "kind": "Node", "metadata": {"name": "not-a-node"}},
    ]
    cluster = files.cluster(others, racks(1, 1), taken(), record("x-0", []))
    assert run("plan", "-f", files.sets(lws("a")), "--cluster", cluster).code == 0
