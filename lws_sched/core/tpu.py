"""The environment that TPU libraries need in every member of a group: who the hosts are, and which one this is.

Applied by the pod webhook to pods that request `google.com/tpu`, in both of the API's forms: for a whole group every
requesting container takes part; with subgroups only the first one does. Hosts are named in the order of worker indices,
the leader first where it requests TPUs itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lws_sched.api import names
from lws_sched.api.core import Container, PodSpec
from lws_sched.api.quantity import InvalidQuantity, parse

RESOURCE = "google.com/tpu"
_HOSTNAMES = "TPU_WORKER_HOSTNAMES"
_WORKER_ID = "TPU_WORKER_ID"
_NAME = "TPU_NAME"
_ADDRESSES = "TPU_PROCESS_ADDRESSES"
_PORT = "TPU_PROCESS_PORT"
_FIRST_PORT = 8476


@dataclass(frozen=True)
class Member:
    """What the webhook knows of the pod: `index` is its worker index, 0 for the leader."""

    name: str
    subdomain: str
    index: int
    size: int
    labels: Mapping[str, str]
    annotations: Mapping[str, str]

    @property
    def leader_takes_part(self) -> bool:
        return self.index == 0 or self.annotations.get(names.LEADER_REQUESTS_TPUS) == "true"


def requests_tpus(spec: PodSpec) -> bool:
    """Whether any container or init container requests TPUs."""
    return any(_requests(container) for container in (*spec.containers, *spec.init_containers))


def requesting(containers: Iterable[dict[str, Any]], spec: PodSpec) -> list[dict[str, Any]]:
    """Those of the raw containers (main ones, then init ones) that request TPUs."""
    typed = (*spec.containers, *spec.init_containers)
    return [raw for raw, container in zip(containers, typed, strict=True) if _requests(container)]


def environment(containers: Sequence[dict[str, Any]], member: Member) -> list[list[dict[str, str]]] | str:
    """The variables to append per requesting container (in the order given), or the reason why there can be none."""
    if not containers or {_HOSTNAMES, _WORKER_ID} & _variables(containers[0]).keys():
        return [[] for _ in containers]
    leader = member.name
    if member.index:
        parts = names.parent_and_ordinal(member.name)
        if parts is None:
            return f"parsing parent name from pod {member.name}"
        leader = parts[0]
    if names.SUBGROUP_SIZE in member.annotations:
        return _for_subgroup(containers, member, leader)
    return _for_group(containers, member, leader)


def _for_group(containers: Sequence[dict[str, Any]], member: Member, leader: str) -> list[list[dict[str, str]]]:
    count = len(containers)
    ports = [_variables(container).get(_PORT) or str(_FIRST_PORT + i) for i, container in enumerate(containers)]
    first = 0 if member.leader_takes_part else 1
    hosts = [_host(leader, index, member) for index in range(first, member.size)]
    return [
        _variables_of(
            container,
            _Identity(
                hosts=[host for host in hosts for _ in range(count)],
                ports=ports * len(hosts),
                worker_id=(member.index - first) * count + i,
                leader=leader,
                port=ports[i],
            ),
        )
        for i, container in enumerate(containers)
    ]


def _for_subgroup(
    containers: Sequence[dict[str, Any]], member: Member, leader: str
) -> list[list[dict[str, str]]] | str:
    place = _subgroup_place(member)
    if isinstance(place, str):
        return place
    port = _variables(containers[0]).get(_PORT) or str(_FIRST_PORT)
    hosts = [_host(leader, index, member) for index in place.indices]
    identity = _Identity(hosts=hosts, ports=[port] * len(hosts), worker_id=place.worker_id, leader=leader, port=port)
    return [_variables_of(containers[0], identity), *([] for _ in containers[1:])]


@dataclass(frozen=True)
class _Place:
    worker_id: int
    indices: Sequence[int]
    """Worker indices of the pod's subgroup; 0 is the leader."""


def _subgroup_place(member: Member) -> _Place | str:
    """The pod's number within its subgroup, and the subgroup's members.

    Subgroup g of size s is s*g+1 .. s*(g+1) by worker index, and one index lower where the leader takes a seat.
    """
    numbers = [
        member.labels.get(names.SUBGROUP_INDEX, ""),
        member.annotations[names.SUBGROUP_SIZE],
    ]
    if not all(number.isdecimal() for number in numbers) or numbers[1] == "0":
        return f"pod {member.name} has no usable subgroup index and size: {numbers[0]!r}, {numbers[1]!r}"
    subgroup, size = int(numbers[0]), int(numbers[1])
    worker_id = member.index % size
    if not member.leader_takes_part:
        worker_id, subgroup = (member.index - 1) % size, (member.index - 1) // size
    start, end = size * subgroup + 1, size * (subgroup + 1)
    if member.leader_takes_part:
        start, end = start - 1, end - 1
    return _Place(worker_id=worker_id, indices=range(start, end + 1))


@dataclass(frozen=True)
class _Identity:
    """The values of one container's variables."""

    hosts: Sequence[str]
    ports: Sequence[str]
    worker_id: int
    leader: str
    port: str


def _variables_of(container: dict[str, Any], identity: _Identity) -> list[dict[str, str]]:
    addresses = ",".join(f"{host}:{port}" for host, port in zip(identity.hosts, identity.ports, strict=True))
    values = {
        _HOSTNAMES: ",".join(identity.hosts),
        _WORKER_ID: str(identity.worker_id),
        _NAME: identity.leader,
        _ADDRESSES: addresses,
    }
    if _PORT not in _variables(container):
        values[_PORT] = identity.port
    return [{"name": name, "value": value} for name, value in values.items()]


def _host(leader: str, index: int, member: Member) -> str:
    return f"{names.member_name(leader, index)}.{member.subdomain}"


def _variables(container: dict[str, Any]) -> dict[str, str]:
    return {variable["name"]: variable.get("value", "") for variable in container.get("env") or ()}


def _requests(container: Container) -> bool:
    """The limit decides where there is one that is not zero, else the request."""
    resources = container.resources
    try:
        return any(parse(amounts.get(RESOURCE, 0)) != 0 for amounts in (resources.limits, resources.requests))
    except InvalidQuantity:
        return False
