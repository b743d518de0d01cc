"""Questions answered, inside a planning process: what is known of the cluster, and the intake's functions over it.

Nothing here talks to anybody: what admission makes of templates is asked through `Admit`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from lws_sched.api.core import NODE, POD, PodSpec
from lws_sched.api.lws import LeaderWorkerSet
from lws_sched.api.meta import Kind, key_of
from lws_sched.api.placement import GROUP_PLACEMENT
from lws_sched.api.topology import TOPOLOGY
from lws_sched.intake import documents
from lws_sched.intake.cluster import Cluster, cluster_of, levels_of
from lws_sched.intake.defrag import plan_moves
from lws_sched.intake.documents import BadInput
from lws_sched.intake.explaining import explain
from lws_sched.intake.sets import planned_as_ours, sets_of
from lws_sched.intake.shapes import dry_runs, member_shapes, template_shapes
from lws_sched.intake.taken import Taken
from lws_sched.intake.wanted import MemberShapes
from lws_sched.intake.what_if import what_if
from lws_sched.service import placement_pb2 as pb
from lws_sched.service.frames import WATCHED, Admitted, Changes, Explain, Plan, Question, Template
from lws_sched.service.translation import answer_message, explain_message, moves_message

MOST_SETS = 100
MOST_GROUPS = 1_000
MOST_MEMBERS = 20_000
"""Of all groups together. Larger questions would only keep others waiting."""
MANIFESTS, CLUSTER = "the manifests", "the cluster"
"""What messages call the two texts of a request."""

_SPEC = msgspec.msgpack.Decoder(PodSpec)
Admit = Callable[[tuple[Template, ...]], Admitted]
"""What admission makes of pods that do not exist."""


@dataclass
class Known:
    """The cluster's objects as the extender told of them, and what they take: no question looks at all of them."""

    objects: tuple[dict[str, Any], ...] = field(default_factory=lambda: tuple({} for _ in WATCHED))
    taken: Taken = field(default_factory=Taken)
    _decoders: tuple[msgspec.msgpack.Decoder[Any], ...] = field(
        default_factory=lambda: tuple(msgspec.msgpack.Decoder(kind.type) for kind in WATCHED)
    )

    def learn(self, changes: Changes) -> None:
        objects, decoder = self.objects[changes.kind], self._decoders[changes.kind]
        for key, body in changes.objects:
            old, new = objects.get(key), decoder.decode(body) if body else None
            if new is not None:
                objects[key] = new
            else:
                objects.pop(key, None)
            self._take(WATCHED[changes.kind], old, new)

    def _take(self, kind: Kind[Any], old: Any, new: Any) -> None:
        if kind is NODE:
            self.taken.node_changed(old, new)
        elif kind is POD:
            self.taken.pod_changed(old, new)
        elif kind is GROUP_PLACEMENT:
            self.taken.record_changed(old, new)
        elif kind is TOPOLOGY:
            self.taken.set_levels(levels_of(self.objects[WATCHED.index(TOPOLOGY)].values()))

    def cluster(self) -> Cluster:
        """Good until something is learnt."""
        nodes, pods, sets, records, topologies = (each.values() for each in self.objects)
        return Cluster(nodes=nodes, pods=pods, sets=sets, records=records, topologies=topologies, kept=self.taken)


def answered(question: Question, known: Known, admit: Admit) -> bytes:
    """The serialised response. Raises BadInput, and what `admit` raises."""
    if isinstance(question, Plan):
        return _planned(question, known, admit)
    return _explained(question, known, admit)


def _planned(question: Plan, known: Known, admit: Admit) -> bytes:
    namespace = question.namespace or "default"
    told = [planned_as_ours(lws) for lws in sets_of(_documents(MANIFESTS, question.manifests), MANIFESTS, namespace)]
    sets, notes = [lws for lws, _ in told], [note for _, each in told for note in each]
    _check_size(sets)
    is_live = not question.cluster
    admitted = admit(_templates(sets, pods=is_live))
    cluster = known.cluster() if is_live else cluster_of(_documents(CLUSTER, question.cluster), CLUSTER)
    shapes = _shapes(cluster, sets, admitted)
    notes += admitted.notes
    if question.moves:
        plans = plan_moves(cluster, sets, shapes)
        return _bytes(pb.DefragmentResponse(groups=map(moves_message, plans), notes=notes))
    answers = what_if(cluster, sets, shapes, now=question.now if is_live else None)
    return _bytes(pb.PlanResponse(groups=map(answer_message, answers), notes=notes))


def _explained(question: Explain, known: Known, admit: Admit) -> bytes:
    def shapes(cluster: Cluster, sets: Sequence[LeaderWorkerSet]) -> Mapping[str, MemberShapes]:
        return _shapes(cluster, sets, admit(_templates(sets, pods=True)))

    lws, groups = explain(known.cluster(), question.namespace, question.name, shapes, question.now)
    return _bytes(explain_message(lws, groups))


def _documents(source: str, text: str) -> list[documents.Document]:
    return documents.read(source, text.encode())


def _check_size(sets: Sequence[LeaderWorkerSet]) -> None:
    groups = sum(lws.spec.replicas for lws in sets)
    members = sum(lws.spec.replicas * lws.spec.leader_worker_template.size for lws in sets)
    for what, count, most in (
        ("sets", len(sets), MOST_SETS),
        ("groups", groups, MOST_GROUPS),
        ("pods", members, MOST_MEMBERS),
    ):
        if count > most:
            raise BadInput(f"{MANIFESTS} ask for {count} {what}, and {most} are planned at once: ask for fewer")


def _templates(sets: Sequence[LeaderWorkerSet], *, pods: bool) -> tuple[Template, ...]:
    return tuple(
        Template(
            lws.metadata.namespace,
            lws.metadata.name,
            tuple(msgspec.json.encode(body) for body in dry_runs(lws)) if pods else (),
        )
        for lws in sets
    )


def _shapes(cluster: Cluster, sets: Sequence[LeaderWorkerSet], admitted: Admitted) -> dict[str, MemberShapes]:
    return {
        key_of(lws): member_shapes([_SPEC.decode(spec) for spec in specs]) if specs else template_shapes(cluster, lws)
        for lws, specs in zip(sets, admitted.specs, strict=True)
    }


def _bytes(message: Any) -> bytes:
    return bytes(message.SerializeToString())
