"""Runs commands as a user would, on clusters in files, and builds those files in few words."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from click.testing import CliRunner

from lws_sched.cli.main import main
from tests.controlplane.nodes import rack_nodes
from tests.scenarios.manifests import LeaderWorkerSet, lws, pod

Body = dict[str, Any]
RACK = "topology.lws-sched.io/rack"
BLOCK = "topology.lws-sched.io/block"


@dataclass(frozen=True)
class Outcome:
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    @property
    def groups(self) -> dict[str, Any]:
        return {group["name"]: group for group in self.json["groups"]}


def run(*arguments: str | Path, stdin: str = "") -> Outcome:
    result = CliRunner().invoke(main, [str(each) for each in arguments], input=stdin)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return Outcome(result.exit_code, result.stdout, result.stderr)


def racks(count: int = 3, size: int = 4, **other: Any) -> list[Body]:
    """Nodes `rack-00-host-00` with 8 GPUs, 8 racks a block."""
    return rack_nodes(count, size, **other)


def taken(*nodes: str, gpus: int = 8, phase: str = "Running") -> list[Body]:
    """A pod of no group on each of the nodes."""
    return [
        {**_in("default", pod(f"taken-{node}", accelerators=gpus, node=node)), "status": {"phase": phase}}
        for node in nodes
    ]


def member(leader: str, index: int, node: str, exclusive: str = "") -> Body:
    """A bound member of a group in the namespace `default`."""
    body = _in("default", pod(leader if index == 0 else f"{leader}-{index}", accelerators=8, node=node))
    body["metadata"]["labels"] = {
        "leaderworkerset.sigs.k8s.io/name": leader.rpartition("-")[0],
        "leaderworkerset.sigs.k8s.io/group-index": leader.rpartition("-")[2],
        "leaderworkerset.sigs.k8s.io/worker-index": str(index),
    }
    if exclusive:
        body["metadata"]["annotations"]["leaderworkerset.sigs.k8s.io/exclusive-topology"] = exclusive
    return body


def record(leader: str, nodes: Sequence[str], state: str = "Reserved", gpus: int = 8) -> Body:
    shape = {"requests": {"nvidia.com/gpu": gpus}}
    return {
        "apiVersion": "lws-sched.io/v1alpha1",
        "kind": "GroupPlacement",
        "metadata": {"name": leader, "namespace": "default"},
        "spec": {"leaderWorkerSet": leader.rpartition("-")[0], "size": len(nodes), "leader": shape, "worker": shape},
        "status": {"state": state, "slots": [*nodes]},
    }


def priority_class(name: str, value: int) -> Body:
    return {
        "apiVersion": "scheduling.k8s.io/v1",
        "kind": "PriorityClass",
        "metadata": {"name": name},
        "value": value,
    }


@dataclass(frozen=True)
class Files:
    """A folder for the files of one test."""

    folder: Path

    def cluster(self, *objects: Iterable[Body] | Body, name: str = "cluster.yaml") -> Path:
        items: list[Body] = []
        for each in objects:
            items += [each] if isinstance(each, dict) else each
        return self.write(
            name, {"apiVersion": "v1", "kind": "List", "items": items, "metadata": {"resourceVersion": ""}}
        )

    def sets(self, *sets: LeaderWorkerSet, name: str = "lws.yaml") -> Path:
        return self.text(name, yaml.dump_all([each.body for each in sets], Dumper=yaml.CSafeDumper))

    def write(self, name: str, value: Any) -> Path:
        return self.text(name, json.dumps(value) if name.endswith("json") else _dumped(value))

    def text(self, name: str, text: str) -> Path:
        path = self.folder / name
        path.write_text(text)
        return path


def plan(files: Files, cluster: Path, *sets: LeaderWorkerSet) -> Outcome:
    return run("plan", "-f", files.sets(*sets), "--cluster", cluster, "-o", "json")


def _dumped(value: Any) -> str:
    return yaml.dump(value, Dumper=yaml.CSafeDumper)


def _in(namespace: str, body: Body) -> Body:
    return {**body, "metadata": {**body["metadata"], "namespace": namespace}}


__all__ = [
    "BLOCK",
    "Body",
    "Files",
    "LeaderWorkerSet",
    "Outcome",
    "RACK",
    "lws",
    "member",
    "plan",
    "pod",
    "priority_class",
    "racks",
    "record",
    "run",
    "taken",
]
