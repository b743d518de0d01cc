"""The configuration of the two processes: a file, and flags that override it.

The controller reads the LeaderWorkerSet project's `Configuration`, so that a ConfigMap written for it works unchanged;
the extender reads an `ExtenderConfiguration` of the same sections. `config_file` reads them.
"""

from __future__ import annotations

import ipaddress
import re
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from lws_sched.kube.lease import Terms

ACCOUNT_NAMESPACE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")
DEFAULT_NAMESPACE = "lws-system"
VOLCANO = "volcano"
OFF = "0"
"""The bind address of an endpoint that is not served."""


class InvalidConfiguration(ValueError):
    """The configuration cannot be used. The message says where, why, and what would be right."""


class Duration(float):
    """Seconds; written as Go writes durations: `15s`, `1m30s`, `500ms`."""

    _UNITS: Mapping[str, float] = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "ns": 1e-9}
    _PART = re.compile(r"(\d+(?:\.\d*)?|\.\d+)(h|ms|us|µs|ns|m|s)")

    @classmethod
    def parse(cls, text: object) -> Duration:
        """Raises ValueError."""
        parts = cls._PART.findall(text) if isinstance(text, str) else []
        if not parts or "".join(number + unit for number, unit in parts) != text:
            raise ValueError(f"{text!r} is not a duration such as 15s or 1m30s")
        return cls(sum(float(number) * cls._UNITS[unit] for number, unit in parts))

    def __str__(self) -> str:
        return f"{float(self):g}s"


class Section(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """Part of the file. Descriptions go into docs/configuration.md."""


class Webhook(Section, frozen=True, kw_only=True):
    port: Annotated[int, Meta(ge=0, le=65535, description="Port that the webhooks are served on; 0 for any.")] = 9443
    host: Annotated[str, Meta(description="Address that they are served on; every one where empty.")] = ""
    cert_dir: Annotated[
        str,
        Meta(
            description="Folder with tls.crt, tls.key and perhaps ca.crt, read again whenever they change. Used where "
            "internalCertManagement is off."
        ),
    ] = "/tmp/k8s-webhook-server/serving-certs"
    url: Annotated[
        str,
        Meta(
            description="Register the webhooks under this URL instead of the Service: for an API server outside the "
            "pod network."
        ),
    ] = ""


class LeaderElection(Section, frozen=True, kw_only=True):
    leader_elect: Annotated[bool, Meta(description="Write only while holding the Lease.")] = True
    lease_duration: Annotated[
        Duration, Meta(description="How long the others leave a Lease alone that is not renewed.")
    ] = Duration(15)
    renew_deadline: Annotated[Duration, Meta(description="How long the leader trusts its last renewal.")] = Duration(10)
    retry_period: Annotated[Duration, Meta(description="Between two attempts to get or to renew it.")] = Duration(2)
    resource_lock: Annotated[str, Meta(description="Only `leases`.")] = "leases"
    resource_name: Annotated[str, Meta(description="The Lease's name.")] = ""
    resource_namespace: Annotated[
        str,
        Meta(description="Its namespace; that of the pod's service account wins, and `lws-system` where neither is."),
    ] = ""


class Metrics(Section, frozen=True, kw_only=True):
    bind_address: Annotated[
        str,
        Meta(
            description="Where /metrics is served, over TLS, to callers whose token may GET the nonResourceURL "
            "/metrics; `0` serves none."
        ),
    ] = ":8443"


class Health(Section, frozen=True, kw_only=True):
    health_probe_bind_address: Annotated[
        str, Meta(description="Where the probes are served, over plain HTTP; `0` serves none.")
    ] = ":8081"
    readiness_endpoint_name: Annotated[str, Meta(description="Path of the readiness probe.")] = "/readyz"
    liveness_endpoint_name: Annotated[str, Meta(description="Path of the liveness probe.")] = "/healthz"


class Tls(Section, frozen=True, kw_only=True):
    min_version: Annotated[
        str, Meta(description="`VersionTLS12` or `VersionTLS13`, for the webhooks and for /metrics.")
    ] = "VersionTLS12"
    cipher_suites: Annotated[
        tuple[str, ...],
        Meta(description="TLS 1.2 suites by their IANA names; all good ones where empty. Not with VersionTLS13."),
    ] = ()


class InternalCertManagement(Section, frozen=True, kw_only=True):
    enable: Annotated[
        bool,
        Meta(
            description="Make and rotate the webhooks' certificate ourselves, shared by all replicas in a Secret, and "
            "keep the webhook configurations right. Off: the certificate is read from webhook.certDir, and the webhook "
            "configurations are left alone."
        ),
    ] = True
    webhook_service_name: Annotated[str, Meta(description="The Service in front of the webhooks.")] = ""
    webhook_secret_name: Annotated[str, Meta(description="The Secret that holds the certificate.")] = ""


class GangSchedulingManagement(Section, frozen=True, kw_only=True):
    scheduler_provider: Annotated[
        str, Meta(description="`volcano`: make a PodGroup for every group whose pods that scheduler is to place.")
    ] = ""


class ClientConnection(Section, frozen=True, kw_only=True):
    qps: Annotated[
        float, Meta(description="Requests per second to the API server at most; 0 or less for no limit of ours.")
    ] = 0.0
    burst: Annotated[int, Meta(description="How many of them at once, after a pause.")] = 500


class Verbs(Section, frozen=True, kw_only=True):
    bind_address: Annotated[
        str,
        Meta(
            description="Where kube-scheduler calls filter and bind: over plain HTTP on a loopback address, else over "
            "TLS and with a client certificate."
        ),
    ] = "127.0.0.1:8900"
    service_name: Annotated[
        str, Meta(description="The Service in front of them, which the certificate is made for.")
    ] = "lws-sched-extender-verbs"
    secret_name: Annotated[
        str,
        Meta(
            description="The Secret that holds their certificate, and that of kube-scheduler (client.crt, client.key), "
            "where internalCertManagement is on."
        ),
    ] = "lws-sched-extender-verbs"
    cert_dir: Annotated[
        str,
        Meta(
            description="Folder with tls.crt, tls.key, and in ca.crt who signs kube-scheduler's client certificate, "
            "read again whenever they change. Used where internalCertManagement is off."
        ),
    ] = "/tmp/lws-sched-verbs/serving-certs"


class PlacementService(Section, frozen=True, kw_only=True):
    """docs/placement-service.md."""

    bind_address: Annotated[
        str,
        Meta(
            description="Where every replica serves the placement service (gRPC), over TLS with the webhooks' "
            "certificate; `0` serves none."
        ),
    ] = ":9444"
    published_address: Annotated[
        str,
        Meta(
            description="Where users outside the cluster reach it, such as a load balancer's host:port: commands that "
            "are given no --server find it by themselves, and ask there."
        ),
    ] = ""


class Page(Section, frozen=True, kw_only=True):
    """docs/page.md."""

    bind_address: Annotated[
        str,
        Meta(
            description="Where every replica serves the page, over TLS with the webhooks' certificate, to callers "
            "whose token may GET the nonResourceURL /page; `0` serves none."
        ),
    ] = ":8444"


class Reservations(Section, frozen=True, kw_only=True):
    """How other pods are kept off what groups hold."""

    taint_nodes: Annotated[
        bool,
        Meta(
            description="Taint nodes that groups hold, and keep cluster-autoscaler from taking them away: for a second "
            "kube-scheduler, beside one that does not ask the extender."
        ),
    ] = False


class Tracing(Section, frozen=True, kw_only=True):
    """docs/metrics.md."""

    endpoint: Annotated[
        str,
        Meta(
            description="Where traces are sent, by OTLP over gRPC: `http://collector:4317`, or https. Where empty, as "
            "the environment variables of OpenTelemetry say, and nowhere where those say nothing."
        ),
    ] = ""


class Common(Section, frozen=True, kw_only=True):
    """What both processes have. `names` of the Lease, Service and Secret default to each process's own."""

    api_version: str = ""
    kind: str = ""
    webhook: Webhook = Webhook()
    leader_election: LeaderElection = LeaderElection()
    metrics: Metrics = Metrics()
    health: Health = Health()
    tls: Tls = Tls()
    internal_cert_management: InternalCertManagement = InternalCertManagement()
    client_connection: ClientConnection = ClientConnection()
    tracing: Tracing = Tracing()


class Configuration(Common, frozen=True, kw_only=True):
    """The controller's."""

    leader_election: LeaderElection = LeaderElection(resource_name="b8b2488c.x-k8s.io")
    internal_cert_management: InternalCertManagement = InternalCertManagement(
        webhook_service_name="lws-webhook-service", webhook_secret_name="lws-webhook-server-cert"
    )
    gang_scheduling_management: GangSchedulingManagement | None = None


class ExtenderConfiguration(Common, frozen=True, kw_only=True):
    """The extender's."""

    leader_election: LeaderElection = LeaderElection(resource_name="lws-extender.lws-sched.io")
    internal_cert_management: InternalCertManagement = InternalCertManagement(
        webhook_service_name="lws-sched-extender", webhook_secret_name="lws-sched-extender-cert"
    )
    verbs: Verbs = Verbs()
    placement_service: PlacementService = PlacementService()
    page: Page = Page()
    reservations: Reservations = Reservations()


API_VERSIONS: Mapping[type[Common], str] = {
    Configuration: "config.lws.x-k8s.io/v1alpha1",
    ExtenderConfiguration: "config.lws-sched.io/v1alpha1",
}
TLS_VERSIONS = {"VersionTLS12": ssl.TLSVersion.TLSv1_2, "VersionTLS13": ssl.TLSVersion.TLSv1_3}
CIPHER_SUITES = {
    "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256": "ECDHE-ECDSA-AES128-GCM-SHA256",
    "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384": "ECDHE-ECDSA-AES256-GCM-SHA384",
    "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256": "ECDHE-ECDSA-CHACHA20-POLY1305",
    "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256": "ECDHE-RSA-AES128-GCM-SHA256",
    "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384": "ECDHE-RSA-AES256-GCM-SHA384",
    "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256": "ECDHE-RSA-CHACHA20-POLY1305",
}
"""IANA's name to OpenSSL's."""


def terms(election: LeaderElection) -> Terms:
    """Raises ValueError where a Lease is wanted and these cannot keep it."""
    if not election.leader_elect:
        return Terms()
    return Terms(election.lease_duration, election.renew_deadline, election.retry_period)


def address(text: str) -> tuple[str, int] | None:
    """`host:port`, `:port` for every address, None for `0`. Raises ValueError."""
    if text == OFF:
        return None
    host, _, port = text.rpartition(":")
    if not port.isdigit() or int(port) > 65535 or ":" not in text:
        raise ValueError(f"{text!r} is not an address such as :8443 or 127.0.0.1:8443")
    return host.strip("[]") or "0.0.0.0", int(port)


def is_loopback(host: str) -> bool:
    """Whether only this host can call there."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def namespace_of(configuration: Common, account: Path = ACCOUNT_NAMESPACE) -> str:
    """The namespace that the process runs in."""
    try:
        found = account.read_text().strip()
    except OSError:
        found = ""
    return found or configuration.leader_election.resource_namespace or DEFAULT_NAMESPACE


# --- flags -----------------------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class Flag:
    """A command line flag that stands for one field."""

    name: str
    path: str
    type: type[bool] | type[int] | type[float] | type[str]


FLAGS = (
    Flag("--metrics-bind-address", "metrics.bindAddress", str),
    Flag("--health-probe-bind-address", "health.healthProbeBindAddress", str),
    Flag("--kube-api-qps", "clientConnection.qps", float),
    Flag("--kube-api-burst", "clientConnection.burst", int),
    Flag("--leader-elect", "leaderElection.leaderElect", bool),
    Flag("--leader-elect-lease-duration", "leaderElection.leaseDuration", str),
    Flag("--leader-elect-renew-deadline", "leaderElection.renewDeadline", str),
    Flag("--leader-elect-retry-period", "leaderElection.retryPeriod", str),
    Flag("--leader-elect-resource-lock", "leaderElection.resourceLock", str),
    Flag("--leader-elect-resource-name", "leaderElection.resourceName", str),
    Flag("--webhook-url", "webhook.url", str),
)
"""Flags of both processes."""


def described(path: str, kind: type[Common] = Configuration) -> tuple[str, Any]:
    """What a field's description says, and its default."""
    section_name, _, name = path.partition(".")
    for field in msgspec.structs.fields(kind):
        if field.encode_name != section_name:
            continue
        default = field.default if isinstance(field.default, Section) else GangSchedulingManagement()
        for inner in msgspec.structs.fields(type(default)):
            if inner.encode_name == name:
                (meta,) = inner.type.__metadata__
                return str(meta.description), getattr(default, inner.name)
    raise KeyError(path)
