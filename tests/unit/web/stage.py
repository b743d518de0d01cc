"""A cluster for the page, told in words, one change at a time, as watches would tell it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from lws_sched.api.core import NODE, POD
from lws_sched.api.lws import LEADER_WORKER_SET
from lws_sched.api.meta import Kind
from lws_sched.api.placement import GROUP_PLACEMENT
from lws_sched.api.timestamps import micro_time
from lws_sched.intake.shapes import template_shapes
from lws_sched.kube.informer import Informer
from lws_sched.kube.port import Clock
from lws_sched.kube.store import WatchEvent
from lws_sched.placement import LEVELS
from lws_sched.sim.loop import SimClock
from lws_sched.web.leadership import Leader
from lws_sched.web.page import REFRESH_SECONDS, Page, Surroundings
from lws_sched.web.question import Questions
from lws_sched.web.sources import BY_GROUP, BY_NODE, Sources, cluster_of, groups_of, node_of
from tests.controlplane.nodes import rack_nodes
from tests.scenarios.manifests import LeaderWorkerSet, lws, pod
from tests.unit.cli.commands import member, record

Body = dict[str, Any]
RACK = "topology.lws-sched.io/rack"


@dataclass
class Stage:
    clock: Clock = field(default_factory=SimClock)
    leader: Leader = Leader("leads", "extender-0")
    missing: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        self._version = 0
        self._informers: dict[str, Informer[Any]] = {
            kind.kind: Informer(kind) for kind in (NODE, POD, LEADER_WORKER_SET, GROUP_PLACEMENT)
        }
        self._informers[POD.kind].add_indexes({BY_NODE: node_of, BY_GROUP: groups_of})
        questions = Questions(
            lambda: cluster_of(self.sources, LEVELS),
            lambda known, asked: (template_shapes(known, asked), ""),
            self.clock.now,
        )
        self.page = Page(self.sources, self.clock, Surroundings(questions, lambda: self.leader, lambda: self.missing))

    @property
    def sources(self) -> Sources:
        kinds = (NODE, POD, LEADER_WORKER_SET, GROUP_PLACEMENT)
        return Sources(*(self._informers[kind.kind] for kind in kinds))

    # --- what happens ------------------------------------------------------------------------------------------------

    def racks(self, count: int, hosts: int) -> Stage:
        """Nodes `rack-00-host-00` with 8 GPUs each."""
        for node in rack_nodes(count, hosts):
            self.put(NODE, node)
        return self

    def asked(self, manifest: LeaderWorkerSet) -> Stage:
        body = {**manifest.body, "metadata": {"namespace": "default", **manifest.body["metadata"]}}
        return self.put(LEADER_WORKER_SET, body)

    def recorded(self, leader: str, nodes: Sequence[str] = (), state: str = "Reserved", **status: Any) -> Stage:
        """The record of a group, with its slots."""
        body = record(leader, nodes, state)
        body["spec"] |= {"groupIndex": int(leader.rpartition("-")[2]), "size": len(nodes) or 2}
        domain = {"key": RACK, "value": nodes[0].rpartition("-host")[0]} if nodes else None
        since = micro_time(self.clock.now())
        body["status"] |= {"since": since, **({"domain": domain} if domain else {}), **status}
        return self.put(GROUP_PLACEMENT, body)

    def bound(self, leader: str, index: int, node: str, size: int = 2) -> Stage:
        body = member(leader, index, node)
        body["metadata"]["annotations"] = {"leaderworkerset.sigs.k8s.io/size": str(size)}
        return self.put(
            POD, body | {"status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}}
        )

    def taken(self, node: str, gpus: int = 8) -> Stage:
        body = pod(f"other-{node}", accelerators=gpus, node=node)
        body["metadata"]["namespace"] = "default"
        return self.put(POD, body | {"status": {"phase": "Running"}})

    def cordoned(self, node: str) -> Stage:
        [body] = [each for each in rack_nodes(9, 9) if each["metadata"]["name"] == node]
        return self.put(NODE, body | {"spec": {"unschedulable": True}})

    def gone(self, kind: Kind[Any], name: str) -> Stage:
        namespace = "default" if kind.namespaced else ""
        found = self._informers[kind.kind].get(namespace, name)
        self._version += 1
        self._informers[kind.kind].store.apply(WatchEvent("DELETED", self._version, found))
        return self

    def put(self, kind: Kind[Any], body: Body) -> Stage:
        self._version += 1
        body = {
            **body,
            "metadata": {"uid": body["metadata"]["name"], **body["metadata"], "resourceVersion": str(self._version)},
        }
        obj = msgspec.convert(body, kind.type)
        self._informers[kind.kind].store.apply(WatchEvent("ADDED", self._version, obj))
        return self

    def after(self, seconds: float) -> Stage:
        assert isinstance(self.clock, SimClock)
        self.clock.elapsed += seconds
        return self

    # --- what the page says ------------------------------------------------------------------------------------------

    def state(self) -> Any:
        self.after(REFRESH_SECONDS)
        return msgspec.json.decode(self.page.state().plain)

    def layout(self) -> Any:
        return msgspec.json.decode(self.page.layout().plain)

    def uses(self) -> dict[str, str]:
        """The letter of each host."""
        told = self.state()
        return dict(zip(self.layout()["hosts"], told["use"], strict=True))

    def groups(self) -> dict[str, dict[str, Any]]:
        """By name, each with its columns' values and the names of its hosts."""
        told, hosts = self.state(), self.layout()["hosts"]
        columns = told["groups"]
        rows = [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]
        for row in rows:
            row["hosts"] = [hosts[at] if at >= 0 else "" for at in row["hosts"]]
            row["why"] = tuple(told["causes"][row["cause"]]) if row["cause"] >= 0 else ()
        return {f"{row['set']}-{row['index']}": row for row in rows}

    def decisions(self) -> list[tuple[Any, ...]]:
        """Kind, set and groups of each entry of the timeline, the latest first."""
        entries = self.state()["timeline"]["entries"]
        return [(each["kind"], each["set"], [index for index, _ in each["groups"]]) for each in entries]


def a_set(name: str = "llama", replicas: int = 1, size: int = 2) -> LeaderWorkerSet:
    return lws(name, replicas=replicas, size=size).required()
