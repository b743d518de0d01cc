"""Where the commands get their objects: files, standard input, or the API server. They only ever read.

A live cluster is read by several lists side by side. What admission makes of the pods of a set is asked by dry runs,
which write nothing; where those are refused the templates are taken as they are, and a note says so.
"""

from __future__ import annotations

import gc
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lws_sched import __version__
from lws_sched.api.core import NODE, POD, PRIORITY_CLASS
from lws_sched.api.lws import LEADER_WORKER_SET, LeaderWorkerSet
from lws_sched.api.meta import Kind, key_of
from lws_sched.api.placement import GROUP_PLACEMENT
from lws_sched.api.topology import TOPOLOGY, TopologyLevel
from lws_sched.cli.output import Exit, fail, progress, say
from lws_sched.intake import documents
from lws_sched.intake.cluster import KINDS, Cluster, cluster_of, level_list
from lws_sched.intake.documents import BadInput, Document
from lws_sched.placement import Level

if TYPE_CHECKING:
    from lws_sched.intake.wanted import MemberShapes
    from lws_sched.kube.client import Client

STDIN = "-"
FIELDS = {
    NODE: "nodes",
    POD: "pods",
    LEADER_WORKER_SET: "sets",
    GROUP_PLACEMENT: "records",
    PRIORITY_CLASS: "priority_classes",
    TOPOLOGY: "topologies",
}
GROUP_KINDS = (POD, LEADER_WORKER_SET, GROUP_PLACEMENT)
"""What tells of groups, without the hardware that they stand on."""
NAMESPACED = frozenset(GROUP_KINDS)
OPTIONAL = (GROUP_PLACEMENT, LEADER_WORKER_SET, TOPOLOGY)
"""Kinds that a cluster may not have: nothing of ours is installed there yet."""


@contextmanager
def speaking() -> Iterator[None]:
    """Say what went wrong in one sentence and end with the code that stands for it."""
    from lws_sched.cli.refusals import sentence
    from lws_sched.kube.errors import ApiError, ConfigError

    try:
        yield
    except BadInput as error:
        fail(str(error), Exit.BAD_INPUT)
    except ConfigError as error:
        fail(str(error), Exit.FAILED)
    except ApiError as error:
        fail(sentence(error), Exit.FAILED)


@dataclass(frozen=True)
class Source:
    """A cluster: in `clusters`, which are files, or the one that the kubeconfig tells of."""

    clusters: tuple[str, ...] = ()
    kubeconfig: str = ""
    context: str = ""
    levels: str = ""
    """By hand, widest first: labels, or name=label, with commas between."""

    def open(self) -> FileCluster | LiveCluster:
        """Raises ConfigError."""
        return FileCluster(self.clusters, _levels(self.levels)) if self.clusters else self.live()

    def live(self) -> LiveCluster:
        """Raises ConfigError."""
        from lws_sched.kube.client import Client

        user_agent = f"lws-sched-cli/{__version__}"
        client = Client.connect(user_agent, self.kubeconfig or None, self.context or None)
        return LiveCluster(client, _levels(self.levels))


@dataclass(frozen=True)
class FileCluster:
    paths: tuple[str, ...]
    levels: tuple[Level, ...] = ()

    def read(self, namespace: str = "", kinds: Sequence[Kind[Any]] = KINDS) -> Cluster:  # noqa: ARG002 - as LiveCluster
        """All that is there: it costs nothing. Raises BadInput."""
        with _collector_off():
            found = cluster_of(_documents(read_files(self.paths)), _called(self.paths))
        return _read_by(found, self.levels)

    def shapes(self, cluster: Cluster, sets: Sequence[LeaderWorkerSet]) -> dict[str, MemberShapes]:
        from lws_sched.intake.shapes import template_shapes

        return {key_of(lws): template_shapes(cluster, lws) for lws in sets}

    def now(self) -> None:
        """A file does not say when it was written."""
        return


@dataclass(frozen=True)
class LiveCluster:
    client: Client
    levels: tuple[Level, ...] = ()

    def read(self, namespace: str = "", kinds: Sequence[Kind[Any]] = KINDS) -> Cluster:
        """The objects of these kinds, in one namespace or in all: nobody needs rights for more than is asked for.

        Raises ApiError.
        """
        with progress("reading the cluster"), _collector_off(), ThreadPoolExecutor(len(kinds)) as pool:
            listed = pool.map(lambda kind: tuple(self._list(kind, namespace)), kinds)
            found = dict(zip(kinds, listed, strict=True))
        fields: dict[str, Any] = {FIELDS[kind]: objects for kind, objects in found.items()}
        cluster = Cluster(**fields)
        return _read_by(cluster, self.levels) if NODE in kinds else cluster

    def shapes(self, cluster: Cluster, sets: Sequence[LeaderWorkerSet]) -> dict[str, MemberShapes]:
        """As admission makes the members. Raises ApiError."""
        with ThreadPoolExecutor(8) as pool:
            return dict(zip(map(key_of, sets), pool.map(lambda lws: self._shapes(cluster, lws), sets), strict=True))

    def now(self) -> float:
        return time.time()

    def _shapes(self, cluster: Cluster, lws: LeaderWorkerSet) -> MemberShapes:
        from lws_sched.kube.admitted import admitted_shapes

        found, note = admitted_shapes(self.client, cluster, lws)
        if note:
            say(f"note: {note}")
        return found

    def _list(self, kind: Kind[Any], namespace: str) -> list[Any]:
        from lws_sched.kube.errors import NotFound

        try:
            return self.client.list(kind, namespace if kind in NAMESPACED else "")
        except NotFound:
            if kind in OPTIONAL:
                return []
            raise


def once(*paths: str) -> None:
    """Raises BadInput where standard input is asked for twice."""
    if paths.count(STDIN) > 1:
        raise BadInput("standard input can be read only once: give - for one file")


@dataclass(frozen=True)
class Written:
    """What a file holds."""

    name: str
    """What messages call it."""
    content: bytes

    @property
    def text(self) -> str:
        """Raises BadInput."""
        return documents.text_of(self.name, self.content)


def read_files(paths: Sequence[str]) -> tuple[Written, ...]:
    """Raises BadInput."""
    return tuple(Written(_called([path]), _bytes(path)) for path in paths)


def sets_in(files: Sequence[Written], namespace: str) -> tuple[LeaderWorkerSet, ...]:
    """The LeaderWorkerSets of some files. Raises BadInput."""
    from lws_sched.intake.sets import sets_of

    return sets_of(_documents(files), ", ".join(file.name for file in files), namespace)


def _levels(text: str) -> tuple[Level, ...]:
    """Raises BadInput."""
    levels = []
    for each in filter(None, map(str.strip, text.split(","))):
        name, _, label = each.rpartition("=")
        levels.append(TopologyLevel(node_label=label, name=name))
    if len({level.node_label for level in levels}) < len(levels):
        raise BadInput(f"--levels {text} names a label twice")
    return level_list(levels)


def _read_by(cluster: Cluster, levels: tuple[Level, ...]) -> Cluster:
    """Raises BadInput where no node carries a level that was given by hand."""
    carried = {key for node in cluster.nodes for key in node.metadata.labels}
    for level in levels:
        if level.labels[0] not in carried and level.name != "host":
            raise BadInput(
                f"--levels: no node carries the label {level.labels[0]}; `lws-sched topology` lists the levels"
            )
    return replace(cluster, levels=levels)


@contextmanager
def _collector_off() -> Iterator[None]:
    """Thousands of objects that all stay: the garbage collector would look through them over and over."""
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


def _documents(files: Sequence[Written]) -> list[Document]:
    return [document for file in files for document in documents.read(file.name, file.content)]


def _bytes(path: str) -> bytes:
    try:
        return sys.stdin.buffer.read() if path == STDIN else Path(path).read_bytes()
    except FileNotFoundError as error:
        raise BadInput(f"there is no file {path}") from error
    except OSError as error:
        raise BadInput(f"{path} cannot be read: {error.strerror or error}") from error


def _called(paths: Sequence[str]) -> str:
    return ", ".join("standard input" if path == STDIN else path for path in paths)
