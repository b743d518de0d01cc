"""Whether what `plan` foretells is what the live scheduler then does: `python -m benchmarks.plan_agreement`.

On a real control plane with fake nodes. Each trial changes the cluster at random (a set of an earlier trial goes, a
pod of no group comes or goes, a node is cordoned), waits until it is quiet, asks `plan` about a random
LeaderWorkerSet, then applies that set and watches what becomes of its groups. A trial agrees if every group that `plan`
places is bound in the domain that it named, and every other one waits. How many members stand on the very node that
was named is told too.

Sets that wait are taken away after their trial, so each is asked about a cluster on which nobody waits: `plan` says
what would become of a set if it were next, not how long others keep it waiting.

The last line is one JSON object.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from dataclasses import dataclass, field
from random import Random
from typing import Any

from lws_sched.cli.source import Source
from lws_sched.intake.answers import Answer
from lws_sched.intake.documents import Document
from lws_sched.intake.sets import sets_of
from lws_sched.intake.what_if import what_if
from tests.controlplane.client import Client, path_of
from tests.controlplane.nodes import BLOCK_LABEL, NODES, RACK_LABEL, create_nodes, rack_nodes
from tests.controlplane.plane import ControlPlane
from tests.controlplane.start import start_plane
from tests.controlplane.wait import wait_until
from tests.scenarios.manifests import LeaderWorkerSet, lws, pod
from tests.system import LwsSched

NAMESPACE = "default"
SETS = path_of("leaderworkerset.x-k8s.io/v1/leaderworkersets", NAMESPACE)
RECORDS = path_of("lws-sched.io/v1alpha1/groupplacements", NAMESPACE)
PODS = path_of("pods", NAMESPACE)
CLASSES = path_of("scheduling.k8s.io/v1/priorityclasses")
PRIORITIES = {"low": 100, "high": 1000}
SET_NAME = "leaderworkerset.sigs.k8s.io/name"
SETTLED_SECONDS = 2.0
"""How long a group must have waited for its waiting to count: the extender looks for evictions every second."""
TRIAL_SECONDS = 120.0
PLACED = ("Committed", "Bound")
"""States of a group all of whose members are being bound, or are."""
STANDING_AT_MOST = 8
"""Sets that are left in place."""
Json = dict[str, Any]


@dataclass
class Tally:
    trials: int = 0
    agreed: int = 0
    groups: int = 0
    groups_agreed: int = 0
    placed: int = 0
    members: int = 0
    members_exact: int = 0
    plan_ms: list[float] = field(default_factory=list)
    disagreements: list[Json] = field(default_factory=list)

    def summary(self, options: argparse.Namespace) -> Json:
        deciles = statistics.quantiles(self.plan_ms, n=20)
        return {
            "benchmark": "plan_agreement",
            "seed": options.seed,
            "nodes": options.racks * options.hosts_per_rack,
            "trials": self.trials,
            "agreed": self.agreed,
            "agreed_pct": round(100 * self.agreed / self.trials, 2),
            "groups": self.groups,
            "groups_agreed": self.groups_agreed,
            "groups_placed": self.placed,
            "members_on_the_node_named_pct": round(100 * self.members_exact / max(self.members, 1), 2),
            "plan_ms": {"p50": round(deciles[9], 1), "p95": round(deciles[18], 1)},
            "disagreements": self.disagreements,
        }


def main() -> int:
    options = _parse()
    with start_plane(0) as plane:
        create_nodes(plane, rack_nodes(options.racks, options.hosts_per_rack))
        LwsSched(plane).install()
        for name, value in PRIORITIES.items():
            plane.client.create(CLASSES, {"metadata": {"name": name}, "value": value})
        trials = Trials(plane, Random(options.seed))
        deadline = time.monotonic() + options.seconds
        for number in range(options.trials):
            trials.run(number)
            if (number + 1) % 20 == 0:
                print(f"{trials.tally.agreed} of {number + 1} trials agree", file=sys.stderr, flush=True)
            if time.monotonic() > deadline:
                print(f"stopped after {options.seconds:g} s", file=sys.stderr)
                break
    print(json.dumps(trials.tally.summary(options)))
    return 0


class Trials:
    def __init__(self, plane: ControlPlane, random: Random) -> None:
        self._plane, self._random = plane, random
        self._client: Client = plane.client
        self._cluster = Source(kubeconfig=str(plane.kubeconfig)).live()
        self._cordoned: list[str] = []
        self.tally = Tally()

    def run(self, number: int) -> None:
        self._change(number)
        self._wait_quiet()
        manifest = draw(self._random, f"trial-{number}")
        answers = self._ask(manifest)
        self._client.create(SETS, manifest.body)
        outcome = self._settle(answers)
        self._count(number, manifest, answers, outcome)
        self._tidy()

    def _change(self, number: int) -> None:
        """Something happens on the cluster."""
        random = self._random
        standing = sorted(each["metadata"]["name"] for each in self._client.list(SETS))
        if standing and (len(standing) > STANDING_AT_MOST or random.random() < 0.3):
            self._delete_set(random.choice(standing))
        fillers = sorted(each["metadata"]["name"] for each in self._client.list(PODS) if _is_filler(each))
        if fillers and random.random() < 0.4:
            self._client.delete(f"{PODS}/{random.choice(fillers)}", {"gracePeriodSeconds": 0})
        if random.random() < 0.4:
            self._fill(number)
        if random.random() < 0.2:
            self._cordon_another()

    def _fill(self, number: int) -> None:
        """A pod of no group on a node that has room for it."""
        used = {each["spec"].get("nodeName") for each in self._client.list(PODS)}
        idle = sorted(
            name for name in (each["metadata"]["name"] for each in self._client.list(NODES)) if name not in used
        )
        if idle:
            gpus = self._random.choice((2, 4, 8))
            self._client.create(PODS, pod(f"filler-{number}", accelerators=gpus, node=self._random.choice(idle)))

    def _cordon_another(self) -> None:
        for node in self._cordoned:
            self._client.patch(f"{NODES}/{node}", {"spec": {"unschedulable": None}})
        node = self._random.choice(sorted(each["metadata"]["name"] for each in self._client.list(NODES)))
        self._client.patch(f"{NODES}/{node}", {"spec": {"unschedulable": True}})
        self._cordoned = [node]

    def _delete_set(self, name: str) -> None:
        self._client.delete(f"{SETS}/{name}", {"propagationPolicy": "Background"})

    def _wait_quiet(self) -> None:
        """Nobody is coming, going or waiting, and the nodes are as they were told to be."""

        def quiet() -> bool:
            sets = {each["metadata"]["name"] for each in self._client.list(SETS)}
            records = self._client.list(RECORDS)
            pods = self._client.list(PODS)
            return (
                all(each["status"]["state"] in PLACED for each in records)
                and all(each["spec"]["leaderWorkerSet"] in sets for each in records)
                and all(each["spec"].get("nodeName") and not each["metadata"].get("deletionTimestamp") for each in pods)
                # Those of a set that was deleted stay until the garbage collector comes to them.
                and all(each["metadata"].get("labels", {}).get(SET_NAME) in (*sets, None) for each in pods)
            )

        wait_until(quiet, "the cluster is quiet", TRIAL_SECONDS, interval=0.1)

    def _ask(self, manifest: LeaderWorkerSet) -> tuple[Answer, ...]:
        began = time.perf_counter()
        sets = sets_of([Document(manifest.body, "trial")], "trial", NAMESPACE)
        cluster = self._cluster.read()
        answers = what_if(cluster, sets, self._cluster.shapes(cluster, sets), now=self._cluster.now())
        self.tally.plan_ms.append(1000 * (time.perf_counter() - began))
        return answers

    def _settle(self, answers: tuple[Answer, ...]) -> dict[str, Json]:
        """The groups' records once nothing changes any more: each is Bound, or has waited for a while for nobody."""
        names = {answer.name for answer in answers}
        since: dict[str, float] = {}

        def settled() -> dict[str, Json]:
            found = {each["metadata"]["name"]: each for each in self._client.list(RECORDS)}
            now = time.monotonic()
            for name in names:
                status = found[name]["status"] if name in found else {}
                waits = status.get("state") == "Waiting" and not status.get("predecessors")
                if not waits:
                    since.pop(name, None)
                if status.get("state") not in PLACED and now - since.setdefault(name, now) < (
                    SETTLED_SECONDS if waits else TRIAL_SECONDS
                ):
                    return {}
            return {name: found[name] for name in names}

        return wait_until(settled, f"{', '.join(sorted(names))} are bound or wait", TRIAL_SECONDS, interval=0.1)

    def _count(
        self, number: int, manifest: LeaderWorkerSet, answers: tuple[Answer, ...], outcome: dict[str, Json]
    ) -> None:
        tally = self.tally
        tally.trials += 1
        wrong = []
        for answer in answers:
            status = outcome[answer.name]["status"]
            is_placed = status["state"] in PLACED
            domain = (status.get("domain") or {}).get("value", "")
            tally.groups += 1
            if is_placed == answer.feasible and (not is_placed or domain == answer.domain):
                tally.groups_agreed += 1
            else:
                wrong.append(
                    {
                        "group": answer.name,
                        "foretold": answer.domain if answer.feasible else answer.reason,
                        "came": domain if is_placed else status.get("reason", ""),
                    }
                )
            if is_placed:
                tally.placed += 1
            if is_placed and answer.feasible:
                tally.members += len(answer.slots)
                tally.members_exact += sum(a == b for a, (_, b) in zip(status["slots"], answer.slots, strict=True))
        tally.agreed += not wrong
        if wrong:
            tally.disagreements.append(
                {
                    "trial": number,
                    "groups": wrong,
                    "spec": manifest.body["spec"],
                    "annotations": manifest.body["metadata"].get("annotations"),
                }
            )

    def _tidy(self) -> None:
        """Take away whatever waits, also those who were evicted; it may take a moment until they are known to."""
        waiting = {
            each["spec"]["leaderWorkerSet"]
            for each in self._client.list(RECORDS)
            if each["status"]["state"] not in PLACED
        }
        for name in waiting & {each["metadata"]["name"] for each in self._client.list(SETS)}:
            self._delete_set(name)


def draw(random: Random, name: str) -> LeaderWorkerSet:
    """A random set: its size, what its members ask for, and where they are to stand."""
    size = random.randint(1, 9)
    drawn = lws(name, replicas=random.randint(1, 3), size=size).accelerators(random.choice((8, 8, 8, 4, 2)))
    if random.random() < 0.3:
        drawn = drawn.leader(random.choice((0, 8)))
    kind = random.choice(("required", "required", "block", "exclusive", "preferred", "anywhere", "subgroups"))
    annotations: dict[str, str] = {}
    if kind == "required":
        drawn = drawn.required(random.choice(("rack", RACK_LABEL)))
    elif kind == "block":
        drawn = drawn.required("block")
    elif kind == "exclusive":
        drawn = drawn.exclusive(random.choice((RACK_LABEL, RACK_LABEL, BLOCK_LABEL)))
    elif kind == "preferred":
        annotations["lws-sched.io/preferred-topology"] = "rack,block"
    elif kind == "subgroups" and size > 1 and size % 2 == 0:
        drawn = drawn.subgroups(size // 2)
    if random.random() < 0.15:
        annotations["lws-sched.io/spread-topology"] = "block"
    body = drawn.body
    body["metadata"].setdefault("annotations", {}).update(annotations)
    if random.random() < 0.3:
        for template in ("leaderTemplate", "workerTemplate"):
            if template in body["spec"]["leaderWorkerTemplate"]:
                body["spec"]["leaderWorkerTemplate"][template]["spec"]["priorityClassName"] = random.choice(
                    [*PRIORITIES]
                )
    return drawn


def _is_filler(each: Json) -> bool:
    return str(each["metadata"]["name"]).startswith("filler-")


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=1200.0, help="start no trial after so long")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--racks", type=int, default=12)
    parser.add_argument("--hosts-per-rack", type=int, default=6)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
