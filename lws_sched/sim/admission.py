"""Admission webhooks, as the API server calls them: mutating ones first, in the order of their registration, each
seeing what those before it made of the object; then validating ones. A webhook whose process is down refuses the
request, as `failurePolicy: Fail` does.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from lws_sched.admission.hook import Hook, Request
from lws_sched.api.meta import Kind
from lws_sched.kube.errors import Invalid, Unavailable
from lws_sched.sim.objects import Json, clone, requirement_holds
from lws_sched.sim.patch import json_patch


@dataclass(frozen=True)
class Registered:
    hook: Hook
    is_up: Callable[[], bool]


class Admission:
    def __init__(self) -> None:
        self._hooks: dict[str, Registered] = {}

    def admit(self, hook: Hook, is_up: Callable[[], bool] = lambda: True) -> None:
        """Call the hook from now on; one of the same name is replaced, in its place."""
        if hook.registered:
            self._hooks[hook.name] = Registered(hook, is_up)

    def review(self, kind: Kind[Any], new: Json, old: Json | None, *, dry_run: bool) -> Json:
        """The object as the webhooks leave it. Raises Invalid where one denies it, Unavailable where one is down."""
        operation = "CREATE" if old is None else "UPDATE"
        hooks = [each for each in self._hooks.values() if _concerns(each.hook, kind, operation, new, old)]
        for registered in sorted(hooks, key=lambda each: not each.hook.mutating):
            new = _called(registered, _request(operation, new, old, dry_run=dry_run), new)
        return new


def _request(operation: str, new: Json, old: Json | None, *, dry_run: bool) -> Request:
    return Request(
        operation=operation,
        namespace=new["metadata"].get("namespace", ""),
        object=clone(new),
        old_object=clone(old) if old is not None else None,
        dry_run=dry_run,
    )


def _called(registered: Registered, request: Request, sent: Json) -> Json:
    """What was sent, as the webhook leaves it: a copy of it is what the webhook was given."""
    hook = registered.hook
    if not registered.is_up():
        raise Unavailable(f'failed calling webhook "{hook.name}": connection refused', status=500)
    verdict = hook.decide(request)
    if not verdict.allowed:
        raise Invalid(f'admission webhook "{hook.name}" denied the request: {verdict.message}')
    return json_patch(sent, verdict.patch) if verdict.patch and hook.mutating else sent


def _concerns(hook: Hook, kind: Kind[Any], operation: str, new: Json, old: Json | None) -> bool:
    if (hook.kind.group, hook.kind.kind) != (kind.group, kind.kind) or operation not in hook.operations:
        return False
    if hook.scheduler and (new.get("spec") or {}).get("schedulerName") != hook.scheduler:
        return False
    # An object is sent where its old or its new labels match.
    return any(_is_selected(hook, each) for each in (new, old) if each is not None)


def _is_selected(hook: Hook, body: Json) -> bool:
    labels = body["metadata"].get("labels") or {}
    requirements = (hook.selector or {}).get("matchExpressions") or ()
    return all(requirement_holds(each, labels) for each in requirements)
