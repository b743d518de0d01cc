"""States that a scenario waits for. Each is a function of the cluster that says what is missing; "" where it holds."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from tests.scenarios.cluster import PODS, SETS, Body, Cluster, Condition


def is_ready(pod: Body) -> bool:
    conditions = pod.get("status", {}).get("conditions") or ()
    return any(each["type"] == "Ready" and each["status"] == "True" for each in conditions)


def is_leaving(pod: Body) -> bool:
    return bool(pod["metadata"].get("deletionTimestamp"))


def is_gated(pod: Body) -> bool:
    return bool(pod["spec"].get("schedulingGates"))


def all_groups_complete(*set_names: str, other_than: Mapping[str, str] | None = None) -> Condition:
    """All pods of all groups are bound and ready. With `other_than`, none of them has a UID that is in there."""

    def missing(cluster: Cluster) -> str:
        for name in set_names:
            found = cluster.find(SETS, name)
            if found is None:
                return f"there is no LeaderWorkerSet {name}"
            size = found["spec"]["leaderWorkerTemplate"].get("size", 1)
            replicas = found["spec"].get("replicas", 1)
            groups = cluster.groups(name)
            for index in range(replicas):
                leader = f"{name}-{index}"
                said = _incomplete(groups.get(leader, []), size, set((other_than or {}).values()))
                if said:
                    return f"{leader}: {said}; {_of_record(cluster, leader)}"
            if len(groups) > replicas:
                return f"{name} has {len(groups)} groups, not {replicas}"
        return ""

    return missing


def _incomplete(pods: list[Body], size: int, old: set[str]) -> str:
    good = [each for each in pods if is_ready(each) and each["spec"].get("nodeName") and not is_leaving(each)]
    fresh = [each for each in good if each["metadata"]["uid"] not in old]
    if len(fresh) == size == len(pods):
        return ""
    bound = sum(bool(each["spec"].get("nodeName")) for each in pods)
    gated = sum(map(is_gated, pods))
    return f"{len(pods)} of {size} pods, {gated} gated, {bound} bound, {len(good)} ready, {len(fresh)} of them new"


def _of_record(cluster: Cluster, leader: str) -> str:
    record = cluster.record(leader)
    if record is None:
        return "no record"
    status = record.get("status", {})
    return f"record {status.get('state', 'Waiting')} {status.get('reason', '')}".strip()


def records_are(state: str, leaders: Iterable[str]) -> Condition:
    def missing(cluster: Cluster) -> str:
        wrong = [leader for leader in leaders if _state(cluster, leader) != state]
        return f"not {state}: " + ", ".join(f"{each} ({_of_record(cluster, each)})" for each in wrong) if wrong else ""

    return missing


def some_record_is(state: str, set_name: str) -> Condition:
    def missing(cluster: Cluster) -> str:
        states = [each.get("status", {}).get("state", "Waiting") for each in cluster.records(set_name).values()]
        return "" if state in states else f"no record of {set_name} is {state}: {states}"

    return missing


def _state(cluster: Cluster, leader: str) -> str:
    record = cluster.record(leader)
    return record.get("status", {}).get("state", "Waiting") if record else "none"


def nothing_is_left_of(set_name: str) -> Condition:
    """No pod and no record of the set."""

    def missing(cluster: Cluster) -> str:
        left = [*cluster.pods(set_name), *(f"record {each}" for each in cluster.records(set_name))]
        return f"still there: {', '.join(left[:5])}" if left else ""

    return missing


def only_groups_are(set_name: str, leaders: Iterable[str]) -> Condition:
    """The pods and the records of the set are of these groups and no others."""
    wanted = set(leaders)

    def missing(cluster: Cluster) -> str:
        groups, records = set(cluster.groups(set_name)), set(cluster.records(set_name))
        return "" if groups == records == wanted else f"groups {sorted(groups)}, records {sorted(records)}"

    return missing


def no_pod_is_bound(set_name: str) -> Condition:
    def missing(cluster: Cluster) -> str:
        bound = [f"{pod} on {node}" for pod, node in sorted(cluster.nodes_of(set_name).items()) if node]
        return f"bound: {', '.join(bound)}" if bound else ""

    return missing


def pods_are_running(names: Iterable[str]) -> Condition:
    def missing(cluster: Cluster) -> str:
        pods = {each["metadata"]["name"]: each for each in cluster.all(PODS)}
        waiting = [name for name in names if name not in pods or not is_ready(pods[name])]
        return f"not running: {', '.join(waiting)}" if waiting else ""

    return missing


def pods_are_unbound(names: Iterable[str]) -> Condition:
    def missing(cluster: Cluster) -> str:
        pods = {each["metadata"]["name"]: each for each in cluster.all(PODS)}
        bound = [name for name in names if name in pods and pods[name]["spec"].get("nodeName")]
        return f"bound: {', '.join(bound)}" if bound else ""

    return missing


def says(name: str, pattern: str) -> Condition:
    """An event on the object of that name says so."""

    def missing(cluster: Cluster) -> str:
        notes = cluster.notes_on(name)
        return (
            "" if any(re.search(pattern, note) for note in notes) else f"no event on {name} says {pattern!r}: {notes}"
        )

    return missing


def either(*conditions: Condition) -> Condition:
    """At least one of them holds."""

    def missing(cluster: Cluster) -> str:
        said = [condition(cluster) for condition in conditions]
        return "" if "" in said else "; ".join(said)

    return missing
