"""Topology levels: the names users may write, and the node label that each stands for on a given fleet.

Levels run from wide to narrow. A level is known under several labels, ours first, then those that clouds and the
common topology discoverers write; a name means the first of them that some node carries. Any label that nodes carry may
be named in full, and any label's last part stands for it where it is not a level of its own. What cannot be resolved
is answered with one sentence that lists what there is.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from functools import lru_cache

HOSTNAME = "kubernetes.io/hostname"
_OURS = "topology.lws-sched.io/"


@dataclass(frozen=True)
class Axis:
    """One coordinate of hosts: the node label that holds it, how many there are, counted from 0, and whether the last
    is next to the first."""

    label: str
    length: int
    wraps: bool = False


@dataclass(frozen=True)
class Level:
    """A kind of domain: its name, and the node labels that tell of it, the first that some node carries counting."""

    name: str
    labels: tuple[str, ...]
    axes: tuple[Axis, ...] = ()
    """Where the hosts of a domain stand in a grid or a torus: its two or three axes."""


LEVELS = (
    Level("region", ("topology.kubernetes.io/region",)),
    Level("zone", ("topology.kubernetes.io/zone",)),
    Level(
        "spine",
        (
            _OURS + "spine",
            "network.topology.nvidia.com/core",
            "fabric.topograph.run/tier-2",
            "topology.k8s.aws/network-node-layer-1",
        ),
    ),
    Level(
        "block",
        (
            _OURS + "block",
            "cloud.provider.com/topology-block",
            "cloud.google.com/gce-topology-block",
            "network.topology.nvidia.com/spine",
            "fabric.topograph.run/tier-1",
            "topology.k8s.aws/network-node-layer-2",
        ),
    ),
    Level(
        "rack",
        (
            _OURS + "rack",
            "cloud.provider.com/topology-rack",
            "cloud.google.com/gce-topology-subblock",
            "network.topology.nvidia.com/leaf",
            "fabric.topograph.run/tier-0",
            "topology.k8s.aws/network-node-layer-3",
        ),
    ),
    Level("slice", (_OURS + "slice", "cloud.google.com/gke-nodepool")),
    Level(
        "nvlink",
        (
            _OURS + "nvlink",
            "nvidia.com/gpu.clique",
            "network.topology.nvidia.com/accelerator",
            "accelerator.topograph.run/domain",
        ),
    ),
    Level("host", ("cloud.google.com/gce-topology-host", HOSTNAME)),
)


class LabelKeys(frozenset[str]):
    """The label keys that a fleet's nodes carry, and the levels by which they are read, widest first."""

    levels: tuple[Level, ...]

    def __new__(cls, keys: Iterable[str], levels: tuple[Level, ...] = LEVELS) -> LabelKeys:
        made = super().__new__(cls, keys)
        made.levels = levels
        return made


@dataclass(frozen=True)
class UnknownLevel:
    """The name means nothing on this fleet."""

    sentence: str
    fix: str


def resolve(name: str, keys: Collection[str]) -> str | UnknownLevel:
    """The node label that a level name or label stands for. `keys` are the label keys that nodes carry."""
    return _resolve(name, keys if isinstance(keys, frozenset) else frozenset(keys), _levels(keys))


def key_or_name(name: str, keys: Collection[str]) -> str:
    """As `resolve`, but a name that means nothing stands for itself: a label that no node carries."""
    found = resolve(name, keys) if name else name
    return found if isinstance(found, str) else name


def levels_on(keys: Collection[str]) -> tuple[str, ...]:
    """The labels of levels that nodes carry, widest level first."""
    ranks = _ranks(_levels(keys))
    return tuple(sorted((key for key in keys if key in ranks), key=lambda key: (ranks[key], key)))


def with_axes(keys: Collection[str]) -> tuple[Level, ...]:
    """The levels whose domains are grids or tori, widest first."""
    return tuple(level for level in _levels(keys) if level.axes)


def coordinates(labels: Mapping[str, str], axes: Iterable[Axis]) -> tuple[int, ...] | None:
    """Where a node stands, by its labels; None for one that is not on the axes."""
    texts = [(labels.get(axis.label, ""), axis.length) for axis in axes]
    if not all(text.isascii() and text.isdigit() and int(text) < length for text, length in texts):
        return None
    return tuple(int(text) for text, _ in texts)


def rank(key: str, keys: Collection[str] = ()) -> int:
    """Position of a label's level from wide to narrow; labels of no known level come after all."""
    levels = _levels(keys)
    return _ranks(levels).get(key, len(levels))


def level_of(label: str, keys: Collection[str] = ()) -> str:
    """The name of a label's level; the label's last part where it is of none."""
    known = (level.name for level in _levels(keys) if label in level.labels)
    return next(known, label.rpartition("/")[2])


def _levels(keys: Collection[str]) -> tuple[Level, ...]:
    return keys.levels if isinstance(keys, LabelKeys) else LEVELS


@lru_cache(maxsize=64)
def _ranks(levels: tuple[Level, ...]) -> dict[str, int]:
    return {label: rank for rank, level in enumerate(levels) for label in level.labels}


@lru_cache(maxsize=1024)
def _resolve(name: str, keys: frozenset[str], levels: tuple[Level, ...]) -> str | UnknownLevel:
    if name in keys:
        return name
    candidates = [label for level in levels if level.name == name for label in level.labels]
    if "/" not in name:
        candidates += sorted(key for key in keys if key.rpartition("/")[2] == name)
    found = next((label for label in candidates if label in keys), None)
    return found if found is not None else _unknown(name, LabelKeys(keys, levels))


def _unknown(name: str, keys: LabelKeys) -> UnknownLevel:
    known = levels_on(keys)
    named = [f"{level_of(key, keys)} ({key})" for key in known]
    there = f"the nodes carry {', '.join(named)}" if named else "the nodes carry no topology label"
    words = {level_of(key, keys): key for key in reversed(known)} | {key: key for key in sorted(keys)}
    near = get_close_matches(name, list(words), n=1, cutoff=0.6)
    what = "label" if "/" in name else "topology level or label"
    if near:
        fix = f"ask for {near[0]}"
    else:
        label = f"label the nodes with {name if '/' in name else _OURS + name}"
        fix = f"ask for one of these, or {label}" if known else label
    return UnknownLevel(f"no node carries the {what} {name}; {there}", fix)
