"""Thirty kinds of request that cannot be placed: each is told a fix, and with the fix applied its group is placed."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from tests.unit.cli.commands import BLOCK, RACK, Body, Files, LeaderWorkerSet, lws, member, plan, racks, record, taken

GPU = "nvidia.com/gpu"
ZONE = "topology.kubernetes.io/zone"


@dataclass
class Case:
    """A cluster and a set; tests change either as the fix says."""

    objects: list[Body]
    manifest: LeaderWorkerSet

    @property
    def group(self) -> Body:
        found: Body = self.manifest.body["spec"]["leaderWorkerTemplate"]
        return found

    @property
    def pod(self) -> Body:
        found: Body = self.group["workerTemplate"]["spec"]
        return found

    @property
    def annotations(self) -> dict[str, str]:
        found: dict[str, str] = self.manifest.body["metadata"].setdefault("annotations", {})
        return found

    def nodes(self, prefix: str = "") -> list[Body]:
        return [each for each in self.objects if each["kind"] == "Node" and each["metadata"]["name"].startswith(prefix)]

    def remove_pods(self, *nodes: str) -> None:
        self.objects = [each for each in self.objects if each.get("spec", {}).get("nodeName") not in nodes]

    def remove_group(self, group: str) -> None:
        self.objects = [each for each in self.objects if not each["metadata"]["name"].startswith(group)]


Change = Callable[[Case], None]


def host(rack: int, *numbers: int) -> list[str]:
    return [f"rack-{rack:02}-host-{number:02}" for number in numbers]


def ask(key: str, value: str) -> Change:
    return lambda case: case.annotations.update({key: value})


REQUIRED, EXCLUSIVE = "lws-sched.io/required-topology", "leaderworkerset.sigs.k8s.io/exclusive-topology"


def limits(amount: str, resource: str = GPU) -> Change:
    def change(case: Case) -> None:
        case.pod["containers"][0]["resources"] = {"limits": {resource: amount}}

    return change


def pod_fields(**fields: Any) -> Change:
    return lambda case: case.pod.update(fields)


def size(count: int) -> Change:
    return lambda case: case.group.update(size=count)


def drop(key: str) -> Change:
    def change(case: Case) -> None:
        case.annotations.pop(key)

    return change


def drop_pod_field(name: str) -> Change:
    def change(case: Case) -> None:
        case.pod.pop(name)

    return change


def on_nodes(prefix: str, change: Callable[[Body], Any]) -> Change:
    def apply(case: Case) -> None:
        for node in case.nodes(prefix):
            change(node)

    return apply


def label(key: str, value: str) -> Callable[[Body], None]:
    return lambda node: node["metadata"]["labels"].update({key: value})


def unlabel(key: str) -> Callable[[Body], None]:
    return lambda node: node["metadata"]["labels"].pop(key, None)


def spec(**fields: Any) -> Callable[[Body], None]:
    return lambda node: node.update(spec=fields)


def readiness(value: str) -> Callable[[Body], None]:
    return lambda node: node["status"]["conditions"][0].update(status=value)


def offer(resource: str, amount: str) -> Callable[[Body], None]:
    return lambda node: node["status"]["allocatable"].update({resource: amount})


def add(*objects: Body) -> Change:
    return lambda case: case.objects.extend(copy.deepcopy([*objects]))


def both(*changes: Change) -> Change:
    def apply(case: Case) -> None:
        for change in changes:
            change(case)

    return apply


TAINT = {"key": "gpu", "value": "only", "effect": "NoSchedule"}
TOLERATION = {"key": "gpu", "operator": "Equal", "value": "only", "effect": "NoSchedule"}
AFFINITY = {
    "nodeAffinity": {
        "requiredDuringSchedulingIgnoredDuringExecution": {
            "nodeSelectorTerms": [{"matchExpressions": [{"key": "tier", "operator": "In", "values": ["fast"]}]}]
        }
    }
}
FULL = taken(*host(0, 0, 1), *host(1, 0, 1))
OWNER = [member("o-0", 0, host(0, 0)[0], exclusive=RACK), member("o-1", 0, host(1, 0)[0], exclusive=RACK)]
GUESTS = [member("o-0", 0, host(0, 0)[0]), member("o-1", 0, host(1, 0)[0])]

KINDS: tuple[tuple[str, Change, str, Change], ...] = (
    # what is asked, how it is made infeasible, words of the fix, the fix applied
    ("a level misspelt", ask(REQUIRED, "rak"), "ask for rack", ask(REQUIRED, "rack")),
    ("a label misspelt", ask(REQUIRED, f"{RACK}s"), f"ask for {RACK}", ask(REQUIRED, RACK)),
    (
        "a level nobody labelled",
        ask(REQUIRED, "nvlink"),
        "label the nodes",
        on_nodes("", label("topology.lws-sched.io/nvlink", "n")),
    ),
    (
        "a label nobody carries",
        ask(REQUIRED, "example.com/pod"),
        "label the nodes with example.com/pod",
        on_nodes("", label("example.com/pod", "p")),
    ),
    ("no rack is that large", both(ask(REQUIRED, "rack"), size(5)), f"ask for {BLOCK}", ask(REQUIRED, BLOCK)),
    ("an exclusive rack that large", both(ask(EXCLUSIVE, RACK), size(5)), f"ask for {BLOCK}", ask(EXCLUSIVE, BLOCK)),
    (
        "no block is that large",
        both(ask(REQUIRED, "block"), size(9), on_nodes("", unlabel(ZONE))),
        "size to at most 8",
        size(8),
    ),
    ("the cluster is too small", size(9), "set its size to at most 8", size(8)),
    (
        "racks are in part taken",
        both(ask(REQUIRED, "rack"), add(*FULL)),
        "free 2 hosts in rack-00",
        lambda case: case.remove_pods(*host(0, 0, 1)),
    ),
    (
        "racks taken, a block is not",
        both(ask(REQUIRED, "rack"), add(*FULL)),
        f"ask for {BLOCK}, where it fits",
        ask(REQUIRED, BLOCK),
    ),
    (
        "racks held for others",
        both(ask(REQUIRED, "rack"), add(record("o-0", host(0, 0)), record("o-1", host(1, 0)))),
        "free 1 host in rack-00",
        lambda case: case.remove_group("o-0"),
    ),
    (
        "the cluster is full",
        both(size(8), add(*taken(*host(0, 3)))),
        "free 1 host in the cluster",
        lambda case: case.remove_pods(*host(0, 3)),
    ),
    (
        "racks closed by exclusive groups",
        both(size(2), add(*OWNER)),
        "move default/o-0",
        lambda case: case.remove_group("o-0"),
    ),
    (
        "an exclusive rack with neighbours",
        both(size(2), ask(EXCLUSIVE, RACK), add(*GUESTS)),
        "do without the exclusive topology",
        drop(EXCLUSIVE),
    ),
    ("more than a node has", limits("16"), f"ask for at most 8 {GPU} per pod", limits("8")),
    ("more CPU than a node has", limits("200", "cpu"), "ask for at most 96 cpu per pod", limits("96", "cpu")),
    (
        "more memory than a node has",
        limits("2Ti", "memory"),
        "ask for at most 1024Gi memory",
        limits("1024Gi", "memory"),
    ),
    (
        "a device nobody has",
        limits("4", "google.com/tpu"),
        "add nodes that offer google.com/tpu",
        on_nodes("", offer("google.com/tpu", "4")),
    ),
    (
        "a device that was not announced",
        on_nodes("", lambda node: node["status"]["allocatable"].pop(GPU)),
        "start the device plugin",
        on_nodes("", offer(GPU, "8")),
    ),
    (
        "a taint",
        on_nodes("", spec(taints=[TAINT])),
        "let the members tolerate gpu=only:NoSchedule",
        pod_fields(tolerations=[TOLERATION]),
    ),
    ("a taint to remove", on_nodes("", spec(taints=[TAINT])), "or remove the taint", on_nodes("", spec())),
    (
        "a taint that evicts",
        on_nodes("", spec(taints=[{**TAINT, "effect": "NoExecute"}])),
        "tolerate gpu=only:NoExecute",
        pod_fields(tolerations=[{**TOLERATION, "effect": "NoExecute"}]),
    ),
    (
        "a selector nobody matches",
        pod_fields(nodeSelector={"tier": "fast"}),
        "label nodes with tier=fast",
        on_nodes("rack-00", label("tier", "fast")),
    ),
    (
        "a selector to change",
        pod_fields(nodeSelector={"tier": "fast"}),
        "or change the nodeSelector",
        drop_pod_field("nodeSelector"),
    ),
    (
        "an affinity nobody matches",
        pod_fields(affinity=AFFINITY),
        "label nodes as the node affinity asks",
        on_nodes("rack-01", label("tier", "fast")),
    ),
    ("an affinity to change", pod_fields(affinity=AFFINITY), "or change it", drop_pod_field("affinity")),
    ("all nodes cordoned", on_nodes("", spec(unschedulable=True)), "uncordon", on_nodes("", spec())),
    ("no node is ready", on_nodes("", readiness("False")), "repair nodes", on_nodes("", readiness("True"))),
    (
        "one node of each rack cordoned",
        both(
            ask(REQUIRED, "rack"),
            on_nodes("rack-00-host-01", spec(unschedulable=True)),
            on_nodes("rack-01-host-02", spec(unschedulable=True)),
        ),
        "uncordon or repair rack-0",
        on_nodes("", spec()),
    ),
    (
        "the label only where nobody fits",
        both(
            ask(REQUIRED, "cage"),
            on_nodes("rack-00-host-00", label("example.com/cage", "c")),
            on_nodes("rack-00-host-00", spec(taints=[TAINT])),
        ),
        "label these nodes with example.com/cage",
        on_nodes("rack-01", label("example.com/cage", "d")),
    ),
    (
        "a leader that is too large",
        lambda case: case.group.update(leaderTemplate=_leader("16")),
        f"ask for at most 8 {GPU} per pod",
        lambda case: case.group.update(leaderTemplate=_leader("8")),
    ),
    (
        "a leader that nobody takes",
        lambda case: case.group.update(leaderTemplate=_leader("8", nodeSelector={"role": "head"})),
        "label nodes with role=head",
        on_nodes("rack-00-host-00", label("role", "head")),
    ),
    (
        "a group that began to stand",
        both(ask(REQUIRED, "rack"), add(member("it-0", 0, host(0, 0)[0])), add(*taken(*host(0, 1)))),
        "delete its leader pod",
        lambda case: case.remove_group("it-0"),
    ),
)


def _leader(gpus: str, **fields: Any) -> Body:
    container = {"name": "main", "image": "busybox", "resources": {"limits": {GPU: gpus}}}
    return {"spec": {"schedulerName": "lws-sched", "containers": [container], **fields}}


@pytest.mark.parametrize(("spoil", "words", "mend"), [pytest.param(*kind[1:], id=kind[0]) for kind in KINDS])
def test_with_its_fix_applied_the_group_is_placed(files: Files, spoil: Change, words: str, mend: Change) -> None:
    case = Case(json.loads(json.dumps(racks(2, 4))), lws("it", size=4))
    assert plan(files, files.cluster(case.objects), case.manifest).code == 0
    spoil(case)
    refused = plan(files, files.cluster(case.objects), case.manifest)
    assert (refused.code, refused.groups["it-0"]["proof"]) == (3, "infeasible")
    assert refused.groups["it-0"]["reason"]
    assert words in refused.groups["it-0"]["fix"]
    mend(case)
    assert plan(files, files.cluster(case.objects), case.manifest).code == 0
