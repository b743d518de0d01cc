"""The watch log of a real API server: nothing is missed, also over the server's death, and it knows where it ends."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import urllib3

from tests.controlplane.client import path_of
from tests.controlplane.plane import ControlPlane
from tests.controlplane.wait import wait_until
from tests.invariants.check import check
from tests.invariants.log import read

pytestmark = pytest.mark.plane
CRDS = path_of("apiextensions.k8s.io/v1/customresourcedefinitions")
RECORDS = path_of("lws-sched.io/v1alpha1/groupplacements", "default")
PODS = path_of("pods", "default")


def definition(group: str, version: str, kind: str) -> dict[str, Any]:
    plural = f"{kind.lower()}s"
    schema = {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}}
    versions = [{"name": version, "served": True, "storage": True, "schema": schema}]
    named = {"kind": kind, "plural": plural, "singular": kind.lower()}
    spec = {"group": group, "names": named, "scope": "Namespaced", "versions": versions}
    return {"metadata": {"name": f"{plural}.{group}"}, "spec": spec}


@pytest.fixture(scope="module")
def plane() -> Iterator[ControlPlane]:
    """An API server alone: the test itself binds."""
    with ControlPlane(scheduler=False, kwok=False) as plane:
        plane.client.create(CRDS, definition("lws-sched.io", "v1alpha1", "GroupPlacement"))
        plane.client.create(CRDS, definition("leaderworkerset.x-k8s.io", "v1", "LeaderWorkerSet"))
        yield plane


def create_pod(plane: ControlPlane, name: str, scheduler: str = "lws-sched") -> str:
    labels = {"leaderworkerset.sigs.k8s.io/name": "llama", "leaderworkerset.sigs.k8s.io/group-index": "0"}
    spec = {"schedulerName": scheduler, "containers": [{"name": "c", "image": "i"}]}
    return str(
        plane.client.create(PODS, {"metadata": {"name": name, "labels": labels}, "spec": spec})["metadata"]["uid"]
    )


def bind(plane: ControlPlane, name: str, node: str) -> None:
    target = {"apiVersion": "v1", "kind": "Node", "name": node}
    plane.client.create(f"{PODS}/{name}/binding", {"metadata": {"name": name}, "target": target})


def start_watching(plane: ControlPlane, name: str, out: Path) -> None:
    argv = [sys.executable, "-m", "tests.invariants.watchlog", "--kubeconfig", str(plane.kubeconfig)]
    log = plane.logs / f"{name}.log"
    plane.spawn(name, [*argv, "--out", str(out)], ready=lambda: log.exists() and log.read_text().endswith("watching\n"))


def test_nothing_is_missed_over_the_death_of_the_api_server(plane: ControlPlane, tmp_path: Path) -> None:
    out = tmp_path / "watch.log"
    create_pod(plane, "before")
    start_watching(plane, "watchlog", out)
    uid = create_pod(plane, "llama-0")
    status = {"state": "Committed", "committed": {"llama-0": uid}}
    plane.client.create(
        RECORDS,
        {
            "apiVersion": "lws-sched.io/v1alpha1",
            "kind": "GroupPlacement",
            "metadata": {"name": "llama-0"},
            "spec": {},
            "status": status,
        },
    )
    plane.kill_component("apiserver")
    plane.start_component("apiserver")
    bind(plane, "llama-0", "n1")
    create_pod(plane, "llama-0-1")
    bind(plane, "llama-0-1", "n1")
    plane.client.delete(f"{PODS}/before", {"gracePeriodSeconds": 0})
    plane.stop_component("watchlog")

    lines = list(read(out))
    assert {line["complete"] for line in lines if "complete" in line} == {
        "Pod",
        "Node",
        "GroupPlacement",
        "LeaderWorkerSet",
    }
    events = [(line["type"], line["object"]["metadata"]["name"]) for line in lines if "object" in line]
    assert events.count(("ADDED", "before")) == 1
    assert ("DELETED", "before") in events
    assert all("managedFields" not in line["object"]["metadata"] for line in lines if "object" in line)
    report = check(lines)
    assert report.conclusive
    assert [each.invariant for each in report.violations] == ["I1"]
    assert "default/llama-0-1" in report.violations[0].sentence


def test_events_that_the_server_has_forgotten_are_a_gap(plane: ControlPlane, tmp_path: Path) -> None:
    out = tmp_path / "watch.log"
    start_watching(plane, "forgetful", out)
    plane.component("forgetful").pause()
    plane.kill_component("apiserver")
    plane.start_component("apiserver")
    create_pod(plane, "unseen")
    compact(plane)
    plane.component("forgetful").resume()
    wait_until(lambda: any("gap" in line for line in read(out)), "the gap is noted")
    plane.stop_component("forgetful")
    report = check(read(out))
    assert not report.conclusive


def compact(plane: ControlPlane) -> None:
    """Make etcd forget its history; an API server that was just started has none of its own."""
    flag = next(each for each in plane.component("etcd").argv if each.startswith("--listen-client-urls="))
    revision = plane.client.get(PODS)["metadata"]["resourceVersion"]
    url = flag.partition("=")[2] + "/v3/kv/compaction"
    assert urllib3.request("POST", url, json={"revision": revision, "physical": True}).status == 200
