"""The levels of a cluster's topology where its labels do not tell (`Topology`, `lws-sched.io/v1alpha1`)."""

from __future__ import annotations

from lws_sched.api.meta import Kind, Meta, Wire


class TopologyLevel(Wire, frozen=True, kw_only=True):
    """`nodeLabel` is the label whose values are the level's domains; `name` is what users may call it."""

    node_label: str
    name: str = ""


class TopologySpec(Wire, frozen=True, kw_only=True):
    levels: tuple[TopologyLevel, ...] = ()
    """Widest first."""


class Topology(Wire, frozen=True, kw_only=True):
    metadata: Meta
    spec: TopologySpec = TopologySpec()


TOPOLOGY = Kind("lws-sched.io", "v1alpha1", "Topology", "topologies", Topology, namespaced=False)
