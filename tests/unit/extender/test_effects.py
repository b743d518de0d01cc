"""What a step does to the group's pods."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import msgspec

from lws_sched.api.core import NODE, POD, Pod
from lws_sched.api.meta import Kind
from lws_sched.extender import pinning
from lws_sched.extender.effects import Effects, RawPod
from lws_sched.extender.life import Step, View
from lws_sched.kube.errors import NotFound
from tests.unit.extender.builders import pod

BARE = {"metadata": {"name": "a-0", "namespace": "ns", "uid": "u", "resourceVersion": "7"}, "spec": {"containers": []}}


@dataclass
class OnePod:
    """A runtime and its cluster, with one pod as the API server has it now."""

    body: Mapping[str, Any]
    patches: list[Sequence[Mapping[str, Any]]] = field(default_factory=list)

    @property
    def cluster(self) -> OnePod:
        return self

    def gather(self, tasks: Sequence[Any]) -> list[BaseException | None]:
        for task in tasks:
            task()
        return [None for _ in tasks]

    def get(self, kind: Kind[RawPod], namespace: str, name: str) -> RawPod:
        return msgspec.convert(self.body, RawPod)

    def patch(self, kind: Kind[RawPod], namespace: str, name: str, operations: Sequence[Mapping[str, Any]]) -> None:
        self.patches.append(operations)


def patches_for(body: Mapping[str, Any]) -> list[Sequence[Mapping[str, Any]]]:
    """What is sent where our copy of the pod is gated, and it is due on node n1."""
    world = OnePod(body)
    seen = msgspec.convert(pinning.gated(dict(BARE)), Pod)
    effects = Effects(*(cast(Any, each) for each in (world, None, None, None, None)))
    effects.carry_out("ns/a-0", cast(View, None), Step(place=((seen, "n1"),)))
    return world.patches


def test_a_gated_member_is_pinned_and_its_gate_lifted_in_one_patch_guarded_by_what_was_read() -> None:
    [operations] = patches_for(pinning.gated(dict(BARE)))
    assert [each["path"] for each in operations if each["op"] == "test"] == [
        "/metadata/uid",
        "/metadata/resourceVersion",
    ]
    assert any("schedulingGates" in each["path"] for each in operations)
    assert any("affinity" in each["path"] for each in operations)


def test_one_that_an_earlier_look_has_placed_is_left_as_it_is() -> None:
    assert patches_for(pinning.pinned(dict(BARE), "n1")) == []


@dataclass
class Nodes:
    """A runtime and its cluster, with some nodes, that notes what is deleted."""

    there: Sequence[str]
    deleted: list[tuple[str, str, int | None]] = field(default_factory=list)

    cluster = property(lambda self: self)
    gather = OnePod.gather

    def get(self, kind: Kind[Any], namespace: str, name: str) -> None:
        if (kind, namespace) != (NODE, "") or name not in self.there:
            raise NotFound(name)

    def delete(self, kind: Kind[Any], namespace: str, name: str, *, uid: str, grace_seconds: int | None = None) -> None:
        assert kind is POD
        self.deleted.append((f"{namespace}/{name}", uid, grace_seconds))


def deleted_where_there_are(*nodes: str) -> list[tuple[str, str, int | None]]:
    """What is deleted where our copy shows a member leaving node n1, and n1 no more."""
    world = Nodes(nodes)
    effects = Effects(*(cast(Any, each) for each in (world, None, None, None, None)))
    effects.carry_out("ns/a-0", cast(View, None), Step(let_go=(pod(1, node="n1", leaving=True),)))
    return world.deleted


def test_a_member_that_is_leaving_a_node_which_is_no_more_is_removed_by_its_uid_without_grace() -> None:
    assert deleted_where_there_are("n0") == [("ns/a-0-1", "uid-1", 0)]


def test_it_is_not_where_only_our_copy_lacks_the_node() -> None:
    assert deleted_where_there_are("n1") == []
