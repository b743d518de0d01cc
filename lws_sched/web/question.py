"""What-if: which groups of a pasted manifest would find a place. Bounded: one question at a time, so much text, so many
groups; and the search itself has a budget. Nothing is written.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from http import HTTPStatus
from typing import Any, Protocol

import yaml

from lws_sched.api.lws import LeaderWorkerSet
from lws_sched.api.meta import key_of
from lws_sched.intake import documents
from lws_sched.intake.answers import answers_json
from lws_sched.intake.cluster import Cluster
from lws_sched.intake.documents import BadInput
from lws_sched.intake.sets import planned_as_ours, sets_of
from lws_sched.intake.wanted import MemberShapes
from lws_sched.intake.what_if import what_if

CALLED = "the manifest"
NAMESPACE = "default"
LONGEST = 128 * 1024
"""Bytes of a manifest."""
MOST_GROUPS = 200
MOST_MEMBERS = 20_000
MOST_ALIASES = 20
"""Of YAML: each may stand for all that the ones before it stand for."""
DEEPEST = 60
PATIENCE_SECONDS = 5.0
"""How long a question waits for the one before it."""

Shapes = Callable[[Cluster, LeaderWorkerSet], tuple[MemberShapes, str]]
"""The shapes of a set's members, and a note where they are not what admission makes of them. May raise ApiError."""


class Refused(Exception):
    """There is no answer now, or not for this caller. The message is for the user."""

    def __init__(self, status: HTTPStatus, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status


class Asker(Protocol):
    """Who answers questions: `Questions` in this process, or the placement service."""

    def answer(self, text: bytes, authorization: str) -> dict[str, Any]:
        """`authorization` is the caller's; "" where callers are not told apart. Raises BadInput, Refused, ApiError."""


class Questions:
    """Answers one question at a time, in this process: for a page that one person looks at."""

    def __init__(
        self,
        objects: Callable[[], Cluster],
        shapes: Shapes,
        now: Callable[[], float],
        patience: float = PATIENCE_SECONDS,
    ) -> None:
        self._objects, self._shapes, self._now, self._patience = objects, shapes, now, patience
        self._turn = threading.Lock()

    def answer(self, text: bytes, authorization: str = "") -> dict[str, Any]:  # noqa: ARG002 - all are one person
        """Raises BadInput, Refused, ApiError."""
        sets, notes = read(text)
        if not self._turn.acquire(timeout=self._patience):
            sentence = "another what-if is being worked out; try again in a few seconds"
            raise Refused(HTTPStatus.TOO_MANY_REQUESTS, sentence)
        try:
            return self._answer(sets, notes)
        finally:
            self._turn.release()

    def _answer(self, sets: Sequence[LeaderWorkerSet], notes: list[str]) -> dict[str, Any]:
        cluster = self._objects()
        if not cluster.nodes:
            raise BadInput("the cluster has no nodes to place anything on")
        shapes: dict[str, MemberShapes] = {}
        for lws in sets:
            shapes[key_of(lws)], note = self._shapes(cluster, lws)
            notes += [note] if note else []
        answers = what_if(cluster, sets, shapes, now=self._now())
        return {"groups": answers_json(answers), "notes": notes}


def read(text: bytes) -> tuple[tuple[LeaderWorkerSet, ...], list[str]]:
    """The sets of a manifest as if they were ours, and remarks. Raises BadInput."""
    if len(text) > LONGEST:
        raise BadInput(f"{CALLED} is longer than {LONGEST // 1024} KiB: give fewer sets at once")
    _check_structure(text)
    found = sets_of(documents.read(CALLED, text), CALLED, NAMESPACE)
    groups = sum(lws.spec.replicas for lws in found)
    if groups > MOST_GROUPS:
        raise BadInput(
            f"{CALLED} asks for {groups} groups, and the page plans {MOST_GROUPS} at once: lower replicas here, or use "
            "`lws-sched plan -f`, which has no such limit"
        )
    members = sum(lws.spec.replicas * lws.spec.leader_worker_template.size for lws in found)
    if members > MOST_MEMBERS:
        raise BadInput(f"{CALLED} asks for {members} pods, and the page plans {MOST_MEMBERS} at once: lower replicas")
    pairs = [planned_as_ours(lws) for lws in found]
    return tuple(lws for lws, _ in pairs), [note for _, notes in pairs for note in notes]


def _check_structure(text: bytes) -> None:
    """Refuse what is small as text and huge, or endlessly deep, as a value."""
    aliases, depth = 0, 0
    try:
        for event in yaml.parse(text, Loader=yaml.CSafeLoader):
            aliases += isinstance(event, yaml.AliasEvent)
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            if aliases > MOST_ALIASES:
                raise BadInput(f"{CALLED} uses more than {MOST_ALIASES} YAML aliases: write the values out")
            if depth > DEEPEST:
                raise BadInput(f"{CALLED} is nested more than {DEEPEST} deep: no LeaderWorkerSet is")
    except (yaml.YAMLError, UnicodeDecodeError):
        return  # reading it says what is wrong, and where
