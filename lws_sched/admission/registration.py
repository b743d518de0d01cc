"""Telling the API server about hooks: webhook configurations as values, and their registration.

The names are part of the contract. The controller's are those of the LeaderWorkerSet project, so that installing one
over the other leaves one set of webhooks, not two. Mutating configurations are called in the order of their names, and
the extender must see what the LeaderWorkerSet webhooks made of a pod: its name sorts after theirs.

Every hook fails closed (`failurePolicy: Fail`): a member that no hook saw would be scheduled without its group. What
keeps that from hurting others is how narrowly a hook is registered, by object selector and by scheduler name: the API
server calls nobody for any other pod, whether we run or not.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lws_sched.admission.hook import Hook
from lws_sched.api.core import MUTATING_WEBHOOKS, VALIDATING_WEBHOOKS, WebhookConfiguration
from lws_sched.api.meta import Kind
from lws_sched.kube.port import Cluster

Body = dict[str, Any]


@dataclass(frozen=True)
class ConfigurationNames:
    """Which configuration a component's mutating and validating hooks go into."""

    mutating: str
    validating: str


CONTROLLER = ConfigurationNames(
    mutating="lws-mutating-webhook-configuration", validating="lws-validating-webhook-configuration"
)
EXTENDER = ConfigurationNames(mutating="lws-sched-pod-placement", validating="lws-sched-pod-placement")


@dataclass(frozen=True)
class UrlConnection:
    """Reach the hooks at a URL (`https://host:port`): for an API server outside the pod network."""

    url: str
    authority: bytes
    """PEM of the authority (or authorities) that signed the serving certificate."""

    def client_config(self, path: str) -> Body:
        return {"url": self.url.rstrip("/") + path, "caBundle": _base64(self.authority)}


@dataclass(frozen=True)
class ServiceConnection:
    """Reach the hooks through a Service. The certificate must name `<name>.<namespace>.svc`."""

    namespace: str
    name: str
    authority: bytes
    port: int = 443

    def client_config(self, path: str) -> Body:
        service = {"namespace": self.namespace, "name": self.name, "port": self.port, "path": path}
        return {"service": service, "caBundle": _base64(self.authority)}


Connection = UrlConnection | ServiceConnection


def configurations(
    hooks: Sequence[Hook], names: ConfigurationNames, connection: Connection
) -> list[tuple[Kind[WebhookConfiguration], Body]]:
    """The configurations that register these hooks, mutating first; none for a sort of which there is no hook."""
    found = []
    for kind, name, mutating in (
        (MUTATING_WEBHOOKS, names.mutating, True),
        (VALIDATING_WEBHOOKS, names.validating, False),
    ):
        webhooks = [_webhook(hook, connection) for hook in hooks if hook.mutating == mutating]
        if webhooks:
            found.append((kind, kind.body({"name": name}, webhooks=webhooks)))
    return found


def register(
    cluster: Cluster, hooks: Sequence[Hook], names: ConfigurationNames, connection: Connection, *, manager: str
) -> None:
    """Write the configurations by server-side apply, as often as the certificate changes. Raises ApiError."""
    for kind, body in configurations(hooks, names, connection):
        cluster.apply(kind, body, manager=manager)


def _webhook(hook: Hook, connection: Connection) -> Body:
    webhook: Body = {
        "name": hook.name,
        "admissionReviewVersions": ["v1"],
        "clientConfig": connection.client_config(hook.path),
        "rules": [_rule(hook)],
        "failurePolicy": "Fail",
        "matchPolicy": "Equivalent",
        "sideEffects": "None",
        "timeoutSeconds": hook.timeout_seconds,
    }
    if hook.mutating:
        webhook["reinvocationPolicy"] = "Never"
    if hook.selector is not None:
        webhook["objectSelector"] = dict(hook.selector)
    if hook.scheduler:
        webhook["matchConditions"] = [_scheduler_condition(hook.scheduler)]
    return webhook


def _rule(hook: Hook) -> Body:
    return {
        "apiGroups": [hook.kind.group],
        "apiVersions": [hook.kind.version],
        "operations": list(hook.operations),
        "resources": [hook.kind.plural],
        "scope": "Namespaced" if hook.kind.namespaced else "Cluster",
    }


def _scheduler_condition(scheduler: str) -> Mapping[str, str]:
    return {"name": "scheduler", "expression": f"object.spec.schedulerName == '{scheduler}'"}


def _base64(pem: bytes) -> str:
    return base64.b64encode(pem).decode()
