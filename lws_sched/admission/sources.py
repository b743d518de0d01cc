"""Where a webhook server's certificate comes from: a Secret that we keep ourselves, or files that somebody gives us.

Both are looked at again every few seconds, so a certificate that was changed is served soon, by every replica.
"""

from __future__ import annotations

import base64
import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from lws_sched.admission import certificates, rotation
from lws_sched.admission.certificates import Certificate, InvalidCertificate
from lws_sched.api.core import SECRET, Secret
from lws_sched.kube.errors import AlreadyExists, Conflict, NotFound
from lws_sched.kube.port import Clock, Cluster

log = logging.getLogger(__name__)

ATTEMPTS = 5


class CertificateSource(Protocol):
    def look(self) -> Certificate:
        """The certificate to serve now, with the authorities to trust. Raises ApiError, InvalidCertificate."""


@dataclass(frozen=True)
class SharedCertificate:
    """A certificate of our own making in a Secret: whichever replica comes first makes it, all serve it."""

    cluster: Cluster
    clock: Clock
    namespace: str
    secret: str
    names: Sequence[str]
    """The DNS names and addresses under which the API server calls."""
    lifetime: float = certificates.LIFETIME_SECONDS
    """Seconds."""

    def look(self) -> Certificate:
        for _ in range(ATTEMPTS):
            found = self._find()
            state = rotation.held(found.data if found else {})
            wanted = rotation.turned(state, self.names, self.clock.now(), self._issue)
            if wanted is state or self._wrote(found, wanted):
                assert wanted.serving is not None
                return wanted.serving
        raise InvalidCertificate(
            f"the Secret {self.namespace}/{self.secret} keeps changing under us: see who else writes to it"
        )

    def _issue(self) -> Certificate:
        return certificates.issue(self.names, self.clock.now(), self.lifetime)

    def _find(self) -> Secret | None:
        try:
            return self.cluster.get(SECRET, self.namespace, self.secret)
        except NotFound:
            return None

    def _wrote(self, found: Secret | None, wanted: rotation.Held) -> bool:
        """Whether it was we who wrote; if not, another replica did, and what it wrote counts."""
        data = {key: _base64(value) for key, value in rotation.data(wanted).items()}
        metadata = {"namespace": self.namespace, "name": self.secret}
        try:
            if found is None:
                present = {key: value for key, value in data.items() if value is not None}
                self.cluster.create(SECRET, SECRET.body(metadata, type="Opaque", data=present))
            else:
                precondition = {"resourceVersion": found.metadata.resource_version}
                self.cluster.merge(SECRET, self.namespace, self.secret, {"metadata": precondition, "data": data})
        except (AlreadyExists, Conflict):
            return False
        log.info("webhook certificate written secret=%s/%s %s", self.namespace, self.secret, _told(wanted))
        return True


@dataclass
class CertificateFiles:
    """`tls.crt`, `tls.key` and, where it is there, `ca.crt` in a folder: as cert-manager's Secrets are mounted."""

    folder: Path
    clock: Clock
    _texts: tuple[bytes, ...] = ()
    _read: Certificate | None = field(default=None)

    def look(self) -> Certificate:
        texts = tuple(self._text(name) for name in (rotation.CERTIFICATE, rotation.KEY, rotation.AUTHORITIES))
        if self._read is None or texts != self._texts:
            try:
                self._read = certificates.read(*texts)
            except InvalidCertificate as problem:
                raise InvalidCertificate(f"{problem} (folder {self.folder})") from problem
            self._texts = texts
            log.info("webhook certificate read folder=%s names=%s", self.folder, ",".join(self._read.names))
        if self.clock.now() >= self._read.not_after:
            raise InvalidCertificate(f"the certificate in {self.folder} has expired: replace it and its key there")
        return self._read

    def _text(self, name: str) -> bytes:
        try:
            return (self.folder / name).read_bytes()
        except OSError as problem:
            if name == rotation.AUTHORITIES:
                return b""
            raise InvalidCertificate(f"the webhook certificate is not there yet: {problem}") from problem


def _base64(value: bytes | None) -> str | None:
    return None if value is None else base64.b64encode(value).decode()


def _told(state: rotation.Held) -> str:
    assert state.serving is not None
    change = "" if state.following is None else " next=staged"
    return f"names={','.join(state.serving.names)}{change}"
