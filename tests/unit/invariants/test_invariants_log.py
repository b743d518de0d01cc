"""A log is judged as far as it is complete, and no further; amounts are counted as kube-scheduler counts them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.invariants import objects
from tests.invariants.check import check
from tests.invariants.log import read
from tests.invariants.story import Story

ROOT = Path(__file__).parents[3]


def bound_without_commit() -> Story:
    story = Story()
    story.node("n1", "r1")
    story.member("llama-0", "llama-0")
    story.bind("llama-0", "n1")
    return story


def rv_of(line: dict[str, Any]) -> int:
    return int(line["object"]["metadata"]["resourceVersion"])


def test_a_gap_makes_a_log_inconclusive_from_there_on() -> None:
    story = bound_without_commit()
    story.lines.insert(2, {"t": 100.0, "gap": "Pod"})
    report = check(story.lines)
    assert (report.violations, report.conclusive) == ((), False)
    assert "INCONCLUSIVE, events were lost of: Pod" in report.summary()


def test_what_was_broken_before_a_gap_is_still_found() -> None:
    story = bound_without_commit()
    story.lines.append({"t": 100.0, "gap": "Pod"})
    assert [each.invariant for each in check(story.lines).violations] == ["I1"]


def test_what_a_kind_may_still_lack_is_not_judged() -> None:
    story = bound_without_commit()
    before_binding = rv_of(story.lines[-1]) - 1
    ends = [{"t": 100.0, "complete": "Pod", "rv": 9999}]
    assert check([*story.lines, *ends]).violations != ()
    ends.append({"t": 100.0, "complete": "GroupPlacement", "rv": before_binding})
    report = check([*story.lines, *ends])
    assert (report.violations, report.conclusive) == ((), True)


def test_listed_objects_are_where_the_log_starts_and_not_what_it_judges() -> None:
    story = bound_without_commit()
    listed = [{**line, "listed": True} for line in story.lines if rv_of(line) != rv_of(story.lines[1])]
    assert check(listed).violations == ()
    story.record("llama-0", "Reserved", ["n1"])
    story.stranger("one", devices="1")
    story.bind("one", "n1")
    assert [each.invariant for each in check([*listed, *story.lines[3:]]).violations] == ["I4"]


def test_the_program_prints_violations_and_says_by_its_status_what_it_found(tmp_path: Path) -> None:
    story = bound_without_commit()
    path = tmp_path / "watch.log"

    def run(lines: list[dict[str, Any]]) -> tuple[int, list[str]]:
        path.write_bytes(b"".join(msgspec.json.encode(line) + b"\n" for line in lines) + b'{"t": 1, "cut sho')
        argv = [sys.executable, "-m", "tests.invariants", str(path), "--faults", "1,2.5"]
        done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, check=False)
        return done.returncode, done.stdout.splitlines()

    status, lines = run(story.lines)
    assert status == 1
    assert lines[0].startswith("I1 rv=1003 t=100.003 pod default/llama-0 (uid-1) was bound to n1")
    assert lines[1].startswith("1 violations in 3 versions: 1 members bound")
    assert run(story.lines[:2])[0] == 0
    assert run([*story.lines[:2], {"gap": "Node"}])[0] == 2


def test_a_line_cut_short_by_a_kill_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "watch.log"
    path.write_bytes(b'{"gap": "Pod"}\n{"gap": "No')
    assert list(read(path)) == [{"gap": "Pod"}]


@pytest.mark.parametrize(
    ("resource", "text", "expected"),
    [
        ("cpu", "1", 1000),
        ("cpu", "500m", 500),
        ("cpu", "100u", 1),
        ("memory", "1Gi", 2**30),
        ("memory", "1.5Ki", 1536),
        ("memory", "128M", 128 * 10**6),
        ("memory", "1e3", 1000),
        ("memory", "100m", 1),
        ("example.com/gpu", "8", 8),
        ("example.com/gpu", "2k", 2000),
    ],
)
def test_quantities_are_counted_in_the_schedulers_units(resource: str, text: str, expected: int) -> None:
    assert objects.amount(resource, text) == expected


def test_a_pod_takes_the_larger_of_its_containers_and_its_init_containers() -> None:
    def container(cpu: str, **more: str) -> dict[str, Any]:
        return {"resources": {"requests": {"cpu": cpu}}, **more}

    spec = {
        "initContainers": [container("1"), container("2", restartPolicy="Always"), container("4")],
        "containers": [container("1"), {"resources": {"limits": {"cpu": "2", "example.com/gpu": 8}}}],
        "overhead": {"cpu": "250m"},
    }
    assert objects.pod_requests(spec) == {"cpu": 6250, "example.com/gpu": 8, "pods": 1}
    spec["initContainers"] = []
    assert objects.pod_requests(spec)["cpu"] == 3250
    assert objects.pod_requests({**spec, "resources": {"requests": {"cpu": "9"}}})["cpu"] == 9250


def test_the_sets_own_annotation_wins_over_its_templates() -> None:
    def annotated(key: str) -> dict[str, Any]:
        return {"annotations": {objects.REQUIRED: key}}

    template = {"leaderTemplate": {"metadata": annotated("b")}, "workerTemplate": {"metadata": annotated("c")}}
    body = {"metadata": {"namespace": "d", "name": "s", **annotated("a")}, "spec": {"leaderWorkerTemplate": template}}
    assert objects.set_of(body).topology == {objects.REQUIRED: "a"}
    del body["metadata"]["annotations"]
    assert objects.set_of(body).topology == {objects.REQUIRED: "b"}


def test_the_checker_imports_nothing_of_the_product() -> None:
    program = "import sys, tests.invariants.__main__, tests.invariants.watchlog; print([*sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert "lws_sched" not in done.stdout
