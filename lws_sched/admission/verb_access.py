"""Who may call the extender's verbs where they leave the pod: kube-scheduler alone, by its client certificate.

One Secret holds the verbs' serving certificate, kept as the webhooks' is (`rotation`), and beside it `client.crt` and
`client.key` for the scheduler, which mounts these two and `ca.crt`. All are signed by an authority whose key is dropped
at once, so nobody else can ever show a certificate that it signed.

kube-scheduler reads its client certificate anew for every connection, but the authorities it trusts only when it
starts. So the certificates last ten years, and the next authority is trusted for a year before anything that it signed
is served: any restart in between, such as that of an upgrade, is enough. To change them at once, delete the Secret and
restart the scheduler.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from lws_sched.admission import certificates, rotation
from lws_sched.admission.certificates import Certificate, InvalidCertificate, is_signed_by_any
from lws_sched.admission.rotation import Held
from lws_sched.admission.sources import Data, SharedSecret
from lws_sched.kube.port import Clock, Cluster

CLIENT_CERTIFICATE, CLIENT_KEY = "client.crt", "client.key"
CLIENT = "lws-sched-scheduler"
"""What the client's certificate calls it."""
YEAR_SECONDS = 365 * 86400.0
LIFETIME_SECONDS = 10 * YEAR_SECONDS
TRUSTED_SECONDS = YEAR_SECONDS


@dataclass(frozen=True)
class Access:
    """What the Secret holds: the server's side and the client's."""

    held: Held
    client: Certificate | None


def read(data: Mapping[str, bytes]) -> Access:
    """What cannot be read is as good as absent: it is made anew."""
    held = rotation.held(data)
    try:
        client = certificates.read(data.get(CLIENT_CERTIFICATE, b""), data.get(CLIENT_KEY, b""), held.authorities)
    except InvalidCertificate:
        client = None
    return Access(held, client)


def written(access: Access) -> Data:
    client = access.client
    return {
        **rotation.data(access.held),
        CLIENT_CERTIFICATE: client.certificate if client else None,
        CLIENT_KEY: client.key if client else None,
    }


def turned(access: Access, names: Sequence[str], now: float) -> Access:
    """What the Secret should hold: the argument itself where that is what it does."""
    issued: list[Certificate] = []

    def issue() -> Certificate:
        serving, client = certificates.issue_with_client(names, CLIENT, now, LIFETIME_SECONDS)
        issued.append(client)
        return serving

    # A client that is lost cannot be made alone: its authority's key is gone.
    held = access.held if _is_good(access.client, now) else replace(access.held, serving=None, following=None)
    held = rotation.turned(held, names, now, issue, TRUSTED_SECONDS)
    if held is access.held:
        return access
    client = issued[-1] if issued else access.client
    assert client is not None
    # The server trusts an authority as soon as it is made: the client may show its next certificate at once.
    return Access(held, Certificate(client.certificate, client.key, held.authorities))


def _is_good(client: Certificate | None, now: float) -> bool:
    return client is not None and now < client.not_after and is_signed_by_any(client, client.authority)


@dataclass(frozen=True)
class SharedAccess:
    """The certificates in a Secret that all replicas share. What `look` gives is the server's side."""

    cluster: Cluster
    clock: Clock
    namespace: str
    secret: str
    names: Sequence[str]
    """The DNS names under which kube-scheduler calls."""

    def look(self) -> Certificate:
        access = Access(rotation.EMPTY, None)

        def turn(data: Mapping[str, bytes]) -> Data | None:
            nonlocal access
            found = read(data)
            access = turned(found, self.names, self.clock.now())
            return None if access is found else written(access)

        SharedSecret(self.cluster, self.namespace, self.secret).settled(turn)
        assert access.held.serving is not None
        return access.held.serving
