"""The levels of a cluster's topology where its labels do not tell (`Topology`, `lws-sched.io/v1alpha1`)."""

from __future__ import annotations

from lws_sched.api.meta import Kind, Meta, Wire


class TopologyAxis(Wire, frozen=True, kw_only=True):
    """`nodeLabel` is the label that holds a host's coordinate, from 0 up to `length - 1`; with `wraps` the last host is
    next to the first."""

    node_label: str
    length: int
    wraps: bool = False


class TopologyLevel(Wire, frozen=True, kw_only=True):
    """`nodeLabel` is the label whose values are the level's domains; `name` is what users may call it; `axes` say where
    the hosts of a domain stand in a grid or a torus: two or three, or none."""

    node_label: str
    name: str = ""
    axes: tuple[TopologyAxis, ...] = ()


class TopologySpec(Wire, frozen=True, kw_only=True):
    levels: tuple[TopologyLevel, ...] = ()
    """Widest first."""


class Topology(Wire, frozen=True, kw_only=True):
    metadata: Meta
    spec: TopologySpec = TopologySpec()


TOPOLOGY = Kind("lws-sched.io", "v1alpha1", "Topology", "topologies", Topology, namespaced=False)
