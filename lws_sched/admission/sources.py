"""Where a webhook server's certificate comes from: a Secret that we keep ourselves, or files that somebody gives us.

Both are looked at again every few seconds, so a certificate that was changed is served soon, by every replica.
"""

from __future__ import annotations

import base64
import logging
from collections.abc import Callable, Mapping, Sequence
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


Data = Mapping[str, bytes | None]
"""What a Secret should hold; None for what must not be there."""


@dataclass(frozen=True)
class SharedSecret:
    """A Secret that all replicas keep side by side: whichever comes first writes it, all read it."""

    cluster: Cluster
    namespace: str
    name: str

    def settled(self, turn: Callable[[Mapping[str, bytes]], Data | None]) -> None:
        """Write what `turn` makes of the data until it makes nothing of it: then it is as it should be. Raises
        ApiError, InvalidCertificate."""
        for _ in range(ATTEMPTS):
            found = self._find()
            wanted = turn(found.data if found else {})
            if wanted is None or self._wrote(found, wanted):
                return
        raise InvalidCertificate(
            f"the Secret {self.namespace}/{self.name} keeps changing under us: see who else writes to it"
        )

    def _find(self) -> Secret | None:
        try:
            return self.cluster.get(SECRET, self.namespace, self.name)
        except NotFound:
            return None

    def _wrote(self, found: Secret | None, wanted: Data) -> bool:
        """Whether it was we who wrote; if not, another replica did, and what it wrote counts."""
        data = {key: _base64(value) for key, value in wanted.items()}
        metadata = {"namespace": self.namespace, "name": self.name}
        try:
            if found is None:
                present = {key: value for key, value in data.items() if value is not None}
                self.cluster.create(SECRET, SECRET.body(metadata, type="Opaque", data=present))
            else:
                precondition = {"resourceVersion": found.metadata.resource_version}
                self.cluster.merge(SECRET, self.namespace, self.name, {"metadata": precondition, "data": data})
        except (AlreadyExists, Conflict):
            return False
        log.info("certificate written secret=%s/%s", self.namespace, self.name)
        return True


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
        state = rotation.EMPTY

        def turn(data: Mapping[str, bytes]) -> Data | None:
            nonlocal state
            found = rotation.held(data)
            state = rotation.turned(found, self.names, self.clock.now(), self._issue)
            return None if state is found else rotation.data(state)

        SharedSecret(self.cluster, self.namespace, self.secret).settled(turn)
        assert state.serving is not None
        return state.serving

    def _issue(self) -> Certificate:
        return certificates.issue(self.names, self.clock.now(), self.lifetime)


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
