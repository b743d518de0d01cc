"""kube-scheduler's extender protocol. The wire names are the Go names (`NodeNames`, `FailedNodes`), as it has no tags.

Only what `nodeCacheCapable: true` sends: node names, never whole nodes.
"""

from __future__ import annotations

import msgspec

from lws_sched.api.core import Pod


class ExtenderArgs(msgspec.Struct, frozen=True, kw_only=True, rename="pascal"):
    """A `filter` call."""

    pod: Pod
    node_names: tuple[str, ...] | None = None


class FilterResult(msgspec.Struct, frozen=True, kw_only=True, rename="pascal", omit_defaults=True):
    """The answer to `filter`. A node in none of the fields is unschedulable, and no candidate for preemption."""

    node_names: tuple[str, ...] | None = ()
    failed_nodes: dict[str, str] = msgspec.field(default_factory=dict)
    failed_and_unresolvable_nodes: dict[str, str] = msgspec.field(default_factory=dict)
    error: str = ""


class BindingArgs(msgspec.Struct, frozen=True, kw_only=True):
    """A `bind` call."""

    pod_name: str = msgspec.field(name="PodName")
    pod_namespace: str = msgspec.field(name="PodNamespace")
    pod_uid: str = msgspec.field(name="PodUID")
    node: str = msgspec.field(name="Node")


class BindingResult(msgspec.Struct, frozen=True, kw_only=True, rename="pascal", omit_defaults=True):
    """The answer to `bind`; an empty error means bound."""

    error: str = ""


class MetaPod(msgspec.Struct, frozen=True, kw_only=True):
    """A victim, by its UID alone."""

    uid: str = msgspec.field(name="UID")


class MetaVictims(msgspec.Struct, frozen=True, kw_only=True):
    """The pods of one node that kube-scheduler would evict."""

    pods: tuple[MetaPod, ...] | None = msgspec.field(default=(), name="Pods")
    pdb_violations: int = msgspec.field(default=0, name="NumPDBViolations")


class PreemptionArgs(msgspec.Struct, frozen=True, kw_only=True):
    """A `preempt` call."""

    pod: Pod = msgspec.field(name="Pod")
    victims: dict[str, MetaVictims] | None = msgspec.field(default=None, name="NodeNameToMetaVictims")


class PreemptionResult(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to `preempt`: the nodes on which the victims may go. A node that is kept must have one."""

    victims: dict[str, MetaVictims] = msgspec.field(default_factory=dict, name="NodeNameToMetaVictims")
