"""The admission hooks of the LeaderWorkerSet API: defaults and rules of sets, and the mutation of their pods."""

from __future__ import annotations

import functools
from collections.abc import Callable

import msgspec

from lws_sched.admission.hook import ALLOWED, Hook, JsonObject, Request, Verdict, changed, denied
from lws_sched.api import names
from lws_sched.api.core import POD
from lws_sched.api.lws import LEADER_WORKER_SET, LeaderWorkerSet
from lws_sched.core import defaulting, member, validation

Finish = Callable[[JsonObject], JsonObject]
_MEMBERS = {"matchExpressions": [{"key": names.SET_NAME, "operator": "Exists"}]}


def hooks(finished: Finish = lambda pod: pod) -> tuple[Hook, ...]:
    """Under the names and paths that manifests for this API register. `finished` is what a gang provider adds to a
    member's pod."""
    return (
        Hook(
            name="mleaderworkerset.kb.io",
            path="/mutate-leaderworkerset-x-k8s-io-v1-leaderworkerset",
            kind=LEADER_WORKER_SET,
            operations=("CREATE", "UPDATE"),
            mutating=True,
            decide=default_set,
        ),
        Hook(
            name="mpod.kb.io",
            path="/mutate--v1-pod",
            kind=POD,
            operations=("CREATE",),
            mutating=True,
            decide=functools.partial(mutate_pod, finished=finished),
            selector=_MEMBERS,
        ),
        Hook(
            name="vleaderworkerset.kb.io",
            path="/validate-leaderworkerset-x-k8s-io-v1-leaderworkerset",
            kind=LEADER_WORKER_SET,
            operations=("CREATE", "UPDATE"),
            mutating=False,
            decide=validate_set,
        ),
        # No rule was ever behind it. It is answered, for manifests of another controller that are still registered,
        # and not asked for: it would cost a call for every change of every member.
        Hook(
            name="vpod.kb.io",
            path="/validate--v1-pod",
            kind=POD,
            operations=("CREATE", "UPDATE"),
            mutating=False,
            decide=lambda _: ALLOWED,
            selector=_MEMBERS,
            registered=False,
        ),
    )


def default_set(request: Request) -> Verdict:
    return Verdict(patch=changed(request.object, defaulting.defaulted(request.object)))


def validate_set(request: Request) -> Verdict:
    """Raises msgspec.ValidationError."""
    lws = _read(request.object)
    old = None if request.old_object is None else _read(request.old_object)
    errors = validation.created(lws) if old is None else validation.updated(old, lws)
    return denied(validation.message(errors)) if errors else Verdict(warnings=validation.warnings(lws, old))


def _read(lws: JsonObject) -> LeaderWorkerSet:
    """API servers may send metadata that is not set as null."""
    metadata = {field: value for field, value in (lws.get("metadata") or {}).items() if value is not None}
    return msgspec.convert({**lws, "metadata": metadata}, LeaderWorkerSet)


def mutate_pod(request: Request, finished: Finish) -> Verdict:
    try:
        mutated = finished(member.mutated(request.object, request.namespace))
        return Verdict(patch=changed(request.object, mutated))
    except member.InvalidMember as error:
        return denied(str(error))
