"""What is wrong with a cluster that should have come to rest: groups that stand in part, pods that wait beside room.

Worked out from the API's objects alone, with none of the product's code. `partial` is the promise: of each group all
members are bound, or none is. `idle` is that the promise is not kept by placing nobody: the group that has waited
longest waits only where no domain has room for it, and a pod of the default profile only where no node has.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from tests.controlplane.nodes import RACK_LABEL
from tests.invariants.objects import EXCLUSIVE, HOLDING, REQUIRED, Amounts, pod_requests
from tests.scenarios.cluster import GROUP_INDEX, NODES, PODS, RECORDS, SET_NAME, SETS, STATEFUL_SETS, Body, Cluster
from tests.scenarios.conditions import is_leaving

LEVELS = {"rack": RACK_LABEL}
RESERVED = "lws-sched.io/reserved"
"""The taint of nodes that groups hold, beside a scheduler that does not ask: members tolerate it."""


@dataclass(frozen=True)
class Picture:
    """Everything there is, fetched once."""

    sets: list[Body]
    pods: list[Body]
    nodes: list[Body]
    records: dict[str, Body]
    stateful_sets: dict[str, Body]

    @classmethod
    def of(cls, cluster: Cluster) -> Picture:
        records = {each["metadata"]["name"]: each for each in cluster.all(RECORDS)}
        stateful_sets = {each["metadata"]["name"]: each for each in cluster.all(STATEFUL_SETS)}
        return cls(cluster.all(SETS), cluster.all(PODS), cluster.all(NODES), records, stateful_sets)

    def is_backing_off(self, leader: str, found: Body, pods: list[Body]) -> bool:
        """Whether pods are missing that a StatefulSet is to make: Kubernetes' own controller waits up to a quarter of
        an hour after refusals before it tries again."""
        names = {pod["metadata"]["name"] for pod in pods}
        maker = self.stateful_sets.get(leader if leader in names else found["metadata"]["name"])
        return maker is not None and len(pods) < _size(found)

    def groups(self) -> dict[str, list[Body]]:
        """Members by their leader's name: pods that a StatefulSet of the group made, and no forged ones."""
        groups: dict[str, list[Body]] = defaultdict(list)
        for pod in self.pods:
            labels = pod["metadata"].get("labels") or {}
            if SET_NAME in labels and GROUP_INDEX in labels and pod["metadata"].get("ownerReferences"):
                groups[f"{labels[SET_NAME]}-{labels[GROUP_INDEX]}"].append(pod)
        return groups


def partial(picture: Picture) -> list[str]:
    """One sentence for each group that is neither complete nor wholly unbound."""
    groups = picture.groups()
    said = []
    for found in picture.sets:
        size = _size(found)
        for index in range(found["spec"].get("replicas", 1)):
            leader = f"{found['metadata']['name']}-{index}"
            pods = groups.pop(leader, [])
            bound = [pod for pod in pods if pod["spec"].get("nodeName")]
            leaving = [pod for pod in bound if is_leaving(pod)]
            if leaving or (len(bound) not in (0, size) and not _is_degraded(picture, found, leader, pods)):
                said.append(_sentence(picture, leader, pods, size))
    for leader, pods in groups.items():
        if any(pod["spec"].get("nodeName") for pod in pods):
            said.append(f"{leader} is wanted by no set and has {len(pods)} pods")
    return said


def _is_degraded(picture: Picture, found: Body, leader: str, pods: list[Body]) -> bool:
    """Whether a group under restartPolicy None has lost members after it was whole, and its domain has no host for
    them: what becomes of the others is the policy's."""
    record = picture.records.get(leader)
    policy = found["spec"]["leaderWorkerTemplate"].get("restartPolicy")
    if policy != "None" or record is None or record["status"].get("state") != "Bound":
        return False
    room = _Room(picture, without=leader, tolerates=(RESERVED,))
    lost = [pod for pod in pods if not pod["spec"].get("nodeName")]
    domain = record["status"].get("domain") or {}
    exclusive = (found["metadata"].get("annotations") or {}).get(EXCLUSIVE, "")
    nodes = [room.node_for(pod, domain.get("key", ""), domain.get("value", "")) for pod in lost]
    return all(node is None or room.is_taken(leader, node, exclusive=exclusive) for node in nodes)


def idle(picture: Picture) -> list[str]:
    """One sentence on each pod that waits though there is room: of groups, on the one that has waited longest."""
    said = []
    waiting = _waiting_groups(picture)
    if waiting:
        leader, found = _head(picture, waiting)
        pods = picture.groups().get(leader, [])
        domain = _Room(picture, without=leader, tolerates=(RESERVED,)).domain_for(leader, found)
        if domain is not None and not picture.is_backing_off(leader, found, pods):
            said.append(f"{domain} has room; {_sentence(picture, leader, pods, _size(found))}")
    room = _Room(picture)
    for pod in picture.pods:
        name, spec = pod["metadata"]["name"], pod["spec"]
        if name.startswith("rival-") and not spec.get("nodeName") and (node := room.node_for(pod)) is not None:
            said.append(f"{name} waits though {node} has room")
    return said


def _head(picture: Picture, waiting: list[tuple[str, Body]]) -> tuple[str, Body]:
    """The group whose turn it is: the one that room is kept for, else the oldest of the highest priority."""
    for leader, found in waiting:
        reason = picture.records.get(leader, {}).get("status", {}).get("reason", "")
        if "kept free for it" in reason:
            return leader, found
    return waiting[0]


def _waiting_groups(picture: Picture) -> list[tuple[str, Body]]:
    groups = picture.groups()
    waiting = [
        (_rank(found), found["metadata"]["creationTimestamp"], leader, found)
        for found in picture.sets
        for leader in (f"{found['metadata']['name']}-{index}" for index in range(found["spec"].get("replicas", 1)))
        if not any(pod["spec"].get("nodeName") for pod in groups.get(leader, []))
    ]
    return [(leader, found) for _, _, leader, found in sorted(waiting, key=lambda each: each[:3])]


def _rank(found: Body) -> int:
    """Sets that have a priority class, and there is but one, go before those that have none."""
    return 0 if found["spec"]["leaderWorkerTemplate"]["workerTemplate"]["spec"].get("priorityClassName") else 1


class _Room:
    """What each node has left beside bound pods and held slots."""

    def __init__(self, picture: Picture, without: str = "", tolerates: Collection[str] = ()) -> None:
        """`without` is a group whose slots count as free; `tolerates` are the keys of taints that do not matter."""
        self._nodes = {node["metadata"]["name"]: node for node in picture.nodes if _takes_pods(node, tolerates)}
        self._free = {name: Counter(_whole(node["status"]["allocatable"])) for name, node in self._nodes.items()}
        self._records = picture.records
        self._bound = {
            pod["metadata"]["name"]: pod["spec"]["nodeName"] for pod in picture.pods if pod["spec"].get("nodeName")
        }
        for pod in picture.pods:
            if pod["spec"].get("nodeName") and pod.get("status", {}).get("phase") not in ("Succeeded", "Failed"):
                self._take(pod["spec"]["nodeName"], pod_requests(pod["spec"]))
        for leader, record in picture.records.items():
            for name, node, requests in _slots(leader, record) if leader != without else ():
                if self._bound.get(name) != node:
                    self._take(node, requests)
        self._owners = self._domain_owners(picture)

    def node_for(self, pod: Body, key: str = "", value: str = "") -> str | None:
        """A node where the pod would fit, of the domain where label `key` is `value`."""
        requests = pod_requests(pod["spec"])
        names = [name for name, node in self._nodes.items() if not key or node["metadata"]["labels"].get(key) == value]
        return next((name for name in sorted(names) if _fits(requests, self._free[name])), None)

    def domain_for(self, leader: str, found: Body) -> str | None:
        """A domain in which the whole group would fit, beside all others."""
        record = self._records.get(leader)
        template = found["spec"]["leaderWorkerTemplate"]
        worker = pod_requests(template["workerTemplate"]["spec"])
        head = pod_requests((template.get("leaderTemplate") or template["workerTemplate"])["spec"])
        refused = {each["node"] for each in ((record or {}).get("status", {}).get("refused") or ())}
        for domain, names in self._domains(leader, found):
            free = {name: Counter(self._free[name]) for name in names if name not in refused}
            if _holds(free, head, worker, _size(found) - 1):
                return domain
        return None

    def _domains(self, leader: str, found: Body) -> Iterable[tuple[str, list[str]]]:
        annotations = found["metadata"].get("annotations") or {}
        exclusive = annotations.get(EXCLUSIVE, "")
        asked = exclusive or annotations.get(REQUIRED, "")
        label = LEVELS.get(asked, asked)
        if not label:
            # Others may hold racks for themselves.
            yield "the cluster", [name for name in self._nodes if not self.is_taken(leader, name, exclusive="")]
            return
        domains = defaultdict(list)
        for name, node in self._nodes.items():
            if label in node["metadata"]["labels"]:
                domains[node["metadata"]["labels"][label]].append(name)
        for value, names in sorted(domains.items()):
            if not any(self.is_taken(leader, name, exclusive=exclusive) for name in names):
                yield value, names

    def is_taken(self, leader: str, node: str, *, exclusive: str) -> bool:
        """Whether another group is in the node's rack, and one of the two wants it for itself."""
        rack = self._nodes[node]["metadata"]["labels"].get(RACK_LABEL)
        others = [wants for other, wants in self._owners.get(rack, {}).items() if other != leader]
        return rack is not None and any(wants or exclusive for wants in others)

    def _domain_owners(self, picture: Picture) -> Mapping[str | None, Mapping[str, bool]]:
        """By rack: the groups that have a member or a slot there, and whether each wants it for itself."""
        rack_of = {node["metadata"]["name"]: node["metadata"]["labels"].get(RACK_LABEL) for node in picture.nodes}
        wants = {
            found["metadata"]["name"]: EXCLUSIVE in (found["metadata"].get("annotations") or {})
            for found in picture.sets
        }
        owners: dict[str | None, dict[str, bool]] = defaultdict(dict)
        for pod in picture.pods:
            labels = pod["metadata"].get("labels") or {}
            if SET_NAME in labels and GROUP_INDEX in labels and pod["spec"].get("nodeName"):
                group = f"{labels[SET_NAME]}-{labels[GROUP_INDEX]}"
                own = EXCLUSIVE in (pod["metadata"].get("annotations") or {})
                owners[rack_of.get(pod["spec"]["nodeName"])][group] = own or wants.get(labels[SET_NAME], False)
        for leader, record in picture.records.items():
            for _, node, _ in _slots(leader, record):
                wanted = bool(record["spec"].get("exclusiveKey"))
                owners[rack_of.get(node)][leader] = owners[rack_of.get(node)].get(leader, False) or wanted
        return owners

    def _take(self, node: str, requests: Amounts) -> None:
        if node in self._free:
            self._free[node].subtract(requests)


def _holds(free: dict[str, Counter[str]], leader: Amounts, worker: Amounts, workers: int) -> bool:
    for name in free:
        if not _fits(leader, free[name]):
            continue
        left = {other: Counter(amounts) for other, amounts in free.items()}
        left[name].subtract(leader)
        if sum(_times(worker, amounts) for amounts in left.values()) >= workers:
            return True
    return False


def _times(requests: Amounts, free: Amounts) -> int:
    return max(0, min(free.get(resource, 0) // amount for resource, amount in requests.items() if amount))


def _fits(requests: Amounts, free: Amounts) -> bool:
    return all(amount <= free.get(resource, 0) for resource, amount in requests.items() if amount)


def _slots(leader: str, record: Body) -> Iterable[tuple[str, str, Amounts]]:
    status, spec = record["status"], record["spec"]
    if status.get("state") not in HOLDING:
        return
    for index, node in enumerate(status.get("slots") or ()):
        shape = (spec.get("worker" if index else "leader") or {}).get("requests") or {}
        yield f"{leader}-{index}" if index else leader, node, {**shape, "pods": 1}


def _takes_pods(node: Body, tolerates: Collection[str]) -> bool:
    ready = any(each["type"] == "Ready" and each["status"] == "True" for each in node["status"].get("conditions") or ())
    spec = node.get("spec") or {}
    repels = any(taint["key"] not in tolerates for taint in spec.get("taints") or ())
    return ready and not spec.get("unschedulable") and not repels


def _whole(allocatable: Mapping[str, str]) -> Amounts:
    whole = pod_requests({"containers": [{"resources": {"requests": dict(allocatable)}}]})
    return {**whole, "pods": int(allocatable["pods"])}


def _size(found: Body) -> int:
    return int(found["spec"]["leaderWorkerTemplate"].get("size", 1))


def _sentence(picture: Picture, leader: str, pods: list[Body], size: int) -> str:
    record = picture.records.get(leader)
    status = record["status"] if record else {}
    shown = ", ".join(_shown(pod) for pod in sorted(pods, key=lambda each: str(each["metadata"]["name"])))
    return (
        f"{leader} (size {size}) has {shown or 'no pods'}; record {status.get('state', 'none')}: "
        f"{status.get('reason', '')} slots {status.get('slots', [])}"
    )


def _shown(pod: Body) -> str:
    gates = ",".join(gate["name"] for gate in pod["spec"].get("schedulingGates") or ())
    where = pod["spec"].get("nodeName") or (f"gated by {gates}" if gates else "unbound")
    return f"{pod['metadata']['name']} {where}{' leaving' if is_leaving(pod) else ''}"
