"""Telling the API server about hooks: webhook configurations as values, and keeping the registered ones right.

The names are part of the contract. The controller's are those of the LeaderWorkerSet project, so that installing one
over the other leaves one set of webhooks, not two. Mutating configurations are called in the order of their names, and
the extender must see what the LeaderWorkerSet webhooks made of a pod: its name sorts after theirs.

Every hook fails closed (`failurePolicy: Fail`): a member that no hook saw would be scheduled without its group. What
keeps that from hurting others is how narrowly a hook is registered, by object selector and by scheduler name: the API
server calls nobody for any other pod, whether we run or not.

One replica, the leader, keeps the configurations: of several versions of this program, one decides. It corrects what
differs from what it wants and leaves alone what it has no opinion on, such as a namespaceSelector that somebody added.
A webhook under its own address that it does not serve, left behind by another controller, would fail every request it
is called for: it is removed.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lws_sched.admission.certificates import Certificate, is_signed_by_any
from lws_sched.admission.hook import Hook
from lws_sched.api.core import MUTATING_WEBHOOKS, VALIDATING_WEBHOOKS, WebhookConfiguration
from lws_sched.api.meta import Kind
from lws_sched.kube.errors import AlreadyExists, Conflict, NotFound
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

    def leads_here(self, config: Mapping[str, Any]) -> bool:
        """Whether a webhook's clientConfig names this address."""
        return str(config.get("url", "")).startswith(self.url.rstrip("/") + "/")


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

    def leads_here(self, config: Mapping[str, Any]) -> bool:
        service = config.get("service") or {}
        return (service.get("namespace"), service.get("name")) == (self.namespace, self.name)


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
        webhooks = [_webhook(hook, connection) for hook in hooks if hook.mutating == mutating and hook.registered]
        if webhooks:
            found.append((kind, kind.body({"name": name}, webhooks=webhooks)))
    return found


@dataclass(frozen=True)
class Registrar:
    """Keeps the configurations of one component's hooks."""

    cluster: Cluster
    hooks: Sequence[Hook]
    names: ConfigurationNames
    connect: Callable[[bytes], Connection]
    """The connection for authorities to trust (PEM)."""

    def keep(self, certificate: Certificate) -> bool:
        """Correct what differs. Whether everything is right; if not, look again. Raises ApiError."""
        connection = self.connect(certificate.authority)
        kept = [self._keep(kind, body, connection) for kind, body in configurations(self.hooks, self.names, connection)]
        return all(kept)

    def is_trusted(self, certificate: Certificate) -> bool:
        """Whether the API server calls our hooks and trusts this certificate, whoever registered them."""
        connection = self.connect(certificate.authority)
        for kind, wanted in configurations(self.hooks, self.names, connection):
            live = self._find(kind, wanted["metadata"]["name"])
            configs = [] if live is None else [webhook.get("clientConfig") or {} for webhook in live.webhooks]
            ours = [config for config in configs if connection.leads_here(config)]
            if not ours or not all(is_signed_by_any(certificate, _bundle_of(config)) for config in ours):
                return False
        return True

    def _keep(self, kind: Kind[WebhookConfiguration], wanted: Body, connection: Connection) -> bool:
        name = wanted["metadata"]["name"]
        live = self._find(kind, name)
        try:
            if live is None:
                self.cluster.create(kind, wanted)
                return True
            right = corrected(live.webhooks, wanted["webhooks"], connection)
            if right is not None:
                precondition = {"resourceVersion": live.metadata.resource_version}
                self.cluster.merge(kind, "", name, {"metadata": precondition, "webhooks": right})
        except (AlreadyExists, Conflict, NotFound):
            return False
        return True

    def _find(self, kind: Kind[WebhookConfiguration], name: str) -> WebhookConfiguration | None:
        try:
            return self.cluster.get(kind, "", name)
        except NotFound:
            return None


def corrected(live: Sequence[Body], wanted: Sequence[Body], connection: Connection) -> list[Body] | None:
    """The webhooks that a configuration should hold; None where those it has are right."""
    by_name = {webhook["name"]: webhook for webhook in live}
    ours = {webhook["name"] for webhook in wanted}
    strangers = [
        webhook
        for webhook in live
        if webhook["name"] not in ours and not connection.leads_here(webhook.get("clientConfig") or {})
    ]
    if all(each["name"] in by_name and _covers(by_name[each["name"]], each) for each in wanted) and len(live) == len(
        wanted
    ) + len(strangers):
        return None
    return [*strangers, *({**by_name.get(webhook["name"], {}), **webhook} for webhook in wanted)]


def _covers(live: Any, wanted: Any) -> bool:
    """Whether `live` says all that `wanted` does; defaults and others' additions in objects do not matter."""
    if isinstance(wanted, dict):
        return isinstance(live, dict) and all(key in live and _covers(live[key], wanted[key]) for key in wanted)
    if isinstance(wanted, list):
        return isinstance(live, list) and len(live) == len(wanted) and all(map(_covers, live, wanted))
    return bool(live == wanted)


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


def _bundle_of(config: Mapping[str, Any]) -> bytes:
    return base64.b64decode(config.get("caBundle") or "")
