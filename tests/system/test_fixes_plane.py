"""The kinds of request that cannot be placed, live: what the record says to do is done, and the group is placed.

The kinds and their fixes are those that `lws-sched plan` is tried with on files (tests/unit/cli/test_fixes.py). Here
neighbours are sets of their own, as pods and records without a set would not stay.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.controlplane.client import path_of
from tests.controlplane.nodes import NODES, create_nodes, set_readiness
from tests.controlplane.plane import ControlPlane
from tests.controlplane.start import start_plane
from tests.controlplane.wait import wait_until
from tests.system.product import LwsSched
from tests.unit.cli.commands import RACK, Body, LeaderWorkerSet, lws, racks
from tests.unit.cli.test_fixes import EXCLUSIVE, KINDS, Case, Change

pytestmark = pytest.mark.plane

SETS = path_of("leaderworkerset.x-k8s.io/v1/leaderworkersets", "default")
RECORDS = path_of("lws-sched.io/v1alpha1/groupplacements", "default")
PODS = path_of("pods", "default")
WITH_NEIGHBOURS = {
    "racks held for others",
    "racks closed by exclusive groups",
    "an exclusive rack with neighbours",
    "a group that began to stand",
}
ALONE = [pytest.param(*kind[1:], id=kind[0]) for kind in KINDS if kind[0] not in WITH_NEIGHBOURS]


def hosts() -> list[Body]:
    """Two racks of four, no two of which share a value."""
    return [json.loads(json.dumps(each)) for each in racks(2, 4)]


class Live:
    """A control plane that is made to be what a case says."""

    def __init__(self, plane: ControlPlane) -> None:
        self.client, self._plane = plane.client, plane
        self._nodes = {each["metadata"]["name"]: copy.deepcopy(each) for each in hosts()}
        create_nodes(plane, [*self._nodes.values()])

    def bring_about(self, objects: list[Body]) -> None:
        """Nodes and pods of no group as these are."""
        for each in objects:
            name = each["metadata"]["name"]
            if each["kind"] == "Node" and each != self._nodes[name]:
                self._change(name, self._nodes[name], each)
                self._nodes[name] = copy.deepcopy(each)
        wanted = {each["metadata"]["name"]: each for each in objects if each["kind"] == "Pod"}
        standing = {name for name in map(_name, self.client.list(PODS)) if name.startswith("taken-")}
        for name in standing - wanted.keys():
            self.client.delete(f"{PODS}/{name}", {"gracePeriodSeconds": 0})
        for name in wanted.keys() - standing:
            self.client.create(PODS, {key: value for key, value in wanted[name].items() if key != "status"})

    def _change(self, name: str, old: Body, new: Body) -> None:
        path, spec = f"{NODES}/{name}", new.get("spec", {})
        labels = dict.fromkeys(old["metadata"]["labels"]) | new["metadata"]["labels"]
        wanted = {"taints": spec.get("taints", []), "unschedulable": spec.get("unschedulable")}
        self.client.patch(path, {"metadata": {"labels": labels}, "spec": wanted})
        if new["status"]["allocatable"] != old["status"]["allocatable"]:
            amounts = dict.fromkeys(old["status"]["allocatable"]) | new["status"]["allocatable"]
            self.client.patch(f"{path}/status", {"status": {"allocatable": amounts, "capacity": amounts}})
        ready = new["status"]["conditions"][0]["status"]
        if ready != old["status"]["conditions"][0]["status"]:
            set_readiness(self._plane, name, ready)

    def apply(self, manifest: LeaderWorkerSet) -> None:
        self.client.create(SETS, manifest.body)

    def fix(self, group: str) -> str:
        record = self.client.find(f"{RECORDS}/{group}")
        return str(record["status"].get("fix", "")) if record and record["status"]["state"] == "Waiting" else ""

    def is_bound(self, name: str) -> bool:
        pods = [each for each in self.client.list(PODS) if _name(each).startswith(f"{name}-")]
        size = self.client.get(f"{SETS}/{name}")["spec"]["leaderWorkerTemplate"]["size"]
        return len(pods) == size and all(each["spec"].get("nodeName") for each in pods)

    def remove(self, *names: str) -> None:
        """Delete sets, and wait until nothing is left of them."""
        for name in names:
            if self.client.find(f"{SETS}/{name}"):
                self.client.delete(f"{SETS}/{name}", {"propagationPolicy": "Background"})

        def is_gone() -> bool:
            left = [*map(_name, self.client.list(PODS)), *map(_name, self.client.list(RECORDS))]
            return not any(each.startswith(f"{name}-") for each in left for name in names)

        wait_until(is_gone, f"nothing is left of {', '.join(names)}", 60, interval=0.1)


def _name(found: Body) -> str:
    return str(found["metadata"]["name"])


@pytest.fixture(scope="module")
def live() -> Iterator[Live]:
    with start_plane(0) as plane:
        found = Live(plane)
        LwsSched(plane).install()
        yield found


def tried(live: Live, case: Case, words: str, mend: Callable[[], Any]) -> None:
    """The set waits with these words; `mend` changes the cluster or the case; then it is placed."""
    before = copy.deepcopy(case.manifest.body)
    live.apply(case.manifest)
    wait_until(lambda: words in live.fix("it-0"), f"the record says: {words}", 30, interval=0.1)
    mend()
    if case.manifest.body != before:
        live.remove("it")
        live.apply(case.manifest)
    wait_until(lambda: live.is_bound("it"), "the group is placed", 60, interval=0.1)


@pytest.mark.parametrize(("spoil", "words", "mend"), ALONE)
def test_with_its_fix_applied_the_group_is_placed(live: Live, spoil: Change, words: str, mend: Change) -> None:
    case = Case(hosts(), lws("it", size=4))
    spoil(case)
    live.bring_about(case.objects)

    def mended() -> None:
        mend(case)
        live.bring_about(case.objects)

    try:
        tried(live, case, words, mended)
    finally:
        live.bring_about(hosts())
        live.remove("it")


def neighbours(live: Live, manifest: LeaderWorkerSet, groups: int) -> None:
    live.apply(manifest)
    wait_until(lambda: len(_bound(live, manifest.name)) == groups, "the neighbours stand", 60, interval=0.1)


def _bound(live: Live, name: str) -> list[Body]:
    pods = live.client.list(PODS)
    return [each for each in pods if _name(each).startswith(f"{name}-") and each["spec"].get("nodeName")]


def test_a_group_that_others_close_the_racks_to_is_placed_once_one_of_them_has_gone(live: Live) -> None:
    neighbours(live, lws("o", replicas=2, size=1).exclusive(RACK), 2)
    try:
        tried(live, Case([], lws("it", size=2)), "move default/o-0", lambda: live.remove("o"))
    finally:
        live.remove("it", "o")


def test_a_group_that_wants_a_rack_for_itself_is_placed_once_it_does_without(live: Live) -> None:
    neighbours(live, lws("o", replicas=2, size=2).required(), 4)
    neighbours(live, lws("p", replicas=1, size=4).required(), 4)
    live.remove("o")
    neighbours(live, lws("o", replicas=1, size=1).required(), 1)
    case = Case([], lws("it", size=2).exclusive(RACK))
    try:
        tried(
            live,
            case,
            "do without the exclusive topology",
            lambda: case.manifest.body["metadata"]["annotations"].pop(EXCLUSIVE),
        )
    finally:
        live.remove("it", "o", "p")
