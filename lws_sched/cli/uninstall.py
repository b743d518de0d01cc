"""`lws-sched uninstall`: take back what the extender put on pods and nodes, so that nothing is left that only it could.

Removing the programs alone would leave gated pods gated and held nodes tainted, for ever. So, before they are removed:
the extender is stopped (a running one would gate and taint anew), its pod webhook unregistered, every gate of ours
lifted, every mark on a node taken off, every record deleted. LeaderWorkerSets, their pods, and bindings stay as they
are. Each step can be repeated; without --yes it only tells. Helm runs it before it deletes a release.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, TypeVar

from lws_sched.admission.registration import EXTENDER
from lws_sched.api import names
from lws_sched.api.core import LEASE, MUTATING_WEBHOOKS, NODE, POD, Node, Pod
from lws_sched.api.lws import LEADER_WORKER_SET, LeaderWorkerSet
from lws_sched.api.meta import Kind, Meta, Object, Wire, key_of
from lws_sched.api.placement import GROUP_PLACEMENT, GroupPlacement
from lws_sched.api.timestamps import seconds_of
from lws_sched.cli.config import ExtenderConfiguration
from lws_sched.cli.output import Exit, fail, listed, plural, print_json, print_table, say
from lws_sched.cli.source import Source, speaking
from lws_sched.core.group import is_gated
from lws_sched.extender.node_marks import RAW_NODE, is_marked, unmarked
from lws_sched.kube.clock import SystemClock
from lws_sched.kube.errors import Conflict, Invalid, NotFound
from lws_sched.kube.port import Clock, Cluster

T = TypeVar("T", bound=Object)

DEPLOYMENT_NAME = "lws-sched-extender"
LOOK_SECONDS = 0.5
ATTEMPTS = 5


class Deployment(Wire, frozen=True, kw_only=True):
    metadata: Meta


DEPLOYMENT = Kind("apps", "v1", "Deployment", "deployments", Deployment)


@dataclass(frozen=True)
class Left:
    """What of ours is on the cluster."""

    gated: tuple[Pod, ...] = ()
    marked: tuple[Node, ...] = ()
    records: tuple[GroupPlacement, ...] = ()
    sets: tuple[LeaderWorkerSet, ...] = ()

    @property
    def naming_us(self) -> list[str]:
        """Sets whose pods only our profile schedules."""
        return [key_of(lws) for lws in self.sets if _names_us(lws)]


class StillRunning(RuntimeError):
    """The extender goes on. The message says what to do."""


def run(source: Mapping[str, Any], namespace: str, *, as_json: bool, act: bool, patience: float) -> Exit:
    with speaking():
        opened = Source(**source).live()
        left = found(opened.client)
        if as_json:
            print_json(_json(left))
        else:
            _tell(left)
        if not act:
            say("nothing was changed: --yes does it")
            return Exit.OK
        try:
            stop(opened.client, namespace, SystemClock(), patience)
        except StillRunning as problem:
            fail(str(problem), Exit.FAILED)
        take_back(opened.client, say)
        _advise(left)
    return Exit.OK


def found(cluster: Cluster) -> Left:
    """Raises ApiError."""
    pods, nodes = cluster.list(POD), cluster.list(NODE)
    return Left(
        gated=tuple(pod for pod in pods if is_gated(pod)),
        marked=tuple(node for node in nodes if is_marked(node)),
        records=tuple(_listed(cluster, GROUP_PLACEMENT)),
        sets=tuple(_listed(cluster, LEADER_WORKER_SET)),
    )


def stop(
    cluster: Cluster, namespace: str, clock: Clock, patience: float, pause: Callable[[float], None] = time.sleep
) -> None:
    """Have no extender lead, by its Deployment where there is one. Raises StillRunning after `patience` seconds."""
    with suppress(NotFound):  # it was removed already, or runs in another way
        cluster.merge(DEPLOYMENT, namespace, DEPLOYMENT_NAME, {"spec": {"replicas": 0}})
    lease = ExtenderConfiguration().leader_election.resource_name
    deadline = clock.monotonic() + patience
    while holder := _holder(cluster, namespace, lease, clock.now()):
        if clock.monotonic() >= deadline:
            raise StillRunning(
                f"{holder} still holds the Lease {namespace}/{lease}: stop the extender first, it would gate pods anew"
            )
        pause(LOOK_SECONDS)


def take_back(cluster: Cluster, tell: Callable[[str], None]) -> None:
    """Unregister, lift, unmark, delete. What is gone meanwhile is fine. Raises ApiError."""
    if _gone(lambda: cluster.delete(MUTATING_WEBHOOKS, "", EXTENDER.mutating)):
        tell(f"webhook {EXTENDER.mutating} unregistered")
    # Only now: no pod is gated any more once the webhook is gone.
    left = found(cluster)
    for count, noun, verb in (
        (sum(_lifted(cluster, pod) for pod in left.gated), "gate", "lifted"),
        (sum(_unmarked(cluster, node) for node in left.marked), "node", "freed of our taint"),
        (sum(_deleted(cluster, record) for record in left.records), "record", "deleted"),
    ):
        tell(f"{plural(count, noun)} {verb}")


def _lifted(cluster: Cluster, pod: Pod) -> bool:
    """Take our gate off a pod, and nobody else's: the place in the list is made sure of by a test."""
    for _ in range(ATTEMPTS):
        at = [gate.name for gate in pod.spec.scheduling_gates].index(names.GATE)
        path = f"/spec/schedulingGates/{at}"
        operations = [
            {"op": "test", "path": "/metadata/resourceVersion", "value": pod.metadata.resource_version},
            {"op": "remove", "path": path},
        ]
        try:
            cluster.patch(POD, pod.metadata.namespace, pod.metadata.name, operations)
        except NotFound:
            return False
        except (Conflict, Invalid):
            pod = cluster.get(POD, pod.metadata.namespace, pod.metadata.name)
            if not is_gated(pod):
                return False
            continue
        return True
    raise Conflict(f"pod {key_of(pod)} keeps changing: run this again")


def _unmarked(cluster: Cluster, node: Node) -> bool:
    for _ in range(ATTEMPTS):
        try:
            cluster.merge(RAW_NODE, "", node.metadata.name, unmarked(cluster.get(RAW_NODE, "", node.metadata.name)))
        except NotFound:
            return False
        except Conflict:
            continue
        return True
    raise Conflict(f"node {node.metadata.name} keeps changing: run this again")


def _deleted(cluster: Cluster, record: GroupPlacement) -> bool:
    return _gone(lambda: cluster.delete(GROUP_PLACEMENT, record.metadata.namespace, record.metadata.name))


def _gone(delete: Callable[[], None]) -> bool:
    """Whether it was us who deleted it."""
    try:
        delete()
    except NotFound:
        return False
    return True


def _holder(cluster: Cluster, namespace: str, lease: str, now: float) -> str:
    """Who leads, "" where nobody does any more."""
    try:
        spec = cluster.get(LEASE, namespace, lease).spec
    except NotFound:
        return ""
    is_over = now > seconds_of(spec.renew_time) + spec.lease_duration_seconds
    return "" if is_over else spec.holder_identity


def _listed(cluster: Cluster, kind: Kind[T]) -> list[T]:
    """None where the kind is gone already."""
    try:
        return cluster.list(kind)
    except NotFound:
        return []


def _names_us(lws: LeaderWorkerSet) -> bool:
    template = lws.spec.leader_worker_template
    specs = (template.actual_leader_template.get("spec", {}), template.worker_template.get("spec", {}))
    return any(spec.get("schedulerName") == names.SCHEDULER for spec in specs)


def _json(left: Left) -> dict[str, Any]:
    return {
        "gatedPods": [key_of(pod) for pod in left.gated],
        "taintedNodes": [node.metadata.name for node in left.marked],
        "records": [key_of(record) for record in left.records],
        "leaderWorkerSets": [key_of(lws) for lws in left.sets],
        "namingOurScheduler": left.naming_us,
    }


def _rows(left: Left) -> Iterator[tuple[str, str, str]]:
    yield "pods with our gate", str(len(left.gated)), "the gate is lifted"
    yield "nodes with our taint", str(len(left.marked)), "the taint is taken off"
    yield "GroupPlacements", str(len(left.records)), "deleted"
    yield "LeaderWorkerSets", str(len(left.sets)), "left alone, and their pods with them"


def _tell(left: Left) -> None:
    print_table(("WHAT", "COUNT", "WITH --yes"), _rows(left))
    if left.sets:
        say("the sets and all their pods go when the kind is deleted, as kubectl delete -k does: see docs/uninstall.md")


def _advise(left: Left) -> None:
    if left.naming_us:
        say(
            f"new pods of {listed(left.naming_us)} wait for a scheduler called {names.SCHEDULER}: change schedulerName "
            "in their templates"
        )
    say("now remove the programs: helm uninstall, or kubectl delete as docs/uninstall.md has it")
