"""The serving certificate of a server, and the certificate authority that its clients are told to trust.

Both are made together, once per certificate: a fresh P-256 key signs a fresh authority, the authority signs the
serving certificate, and the authority's key is dropped. So there is nothing to steal that could sign another one, and
to rotate is to issue both anew and to have the new authority trusted (`registration`). Where the server admits one
client only, that client's certificate is signed by the same authority. A certificate is three PEM texts; they are what
a Secret stores and what several replicas share. Time comes in as seconds since the epoch.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

LIFETIME_SECONDS = 365 * 86400.0
CLOCK_SKEW_SECONDS = 3600.0
"""Valid from this long before now, for an API server whose clock is behind."""
RENEW_AT = 2 / 3
"""A certificate expires soon once this part of its life is over."""


class InvalidCertificate(ValueError):
    """PEM texts that are no certificate, or not those of one key pair. The message is for the user."""


@dataclass(frozen=True)
class Certificate:
    """PEM texts: the serving certificate (a chain may follow it), its private key, and the authorities that a client is
    to trust (a `caBundle`): the one that signed it and, while certificates change, others. Empty where not known."""

    certificate: bytes
    key: bytes
    authority: bytes

    @property
    def names(self) -> tuple[str, ...]:
        """The DNS names and IP addresses that it is good for."""
        extension = _parsed(self.certificate).extensions.get_extension_for_class(x509.SubjectAlternativeName)
        return tuple(str(name.value) for name in extension.value)

    @property
    def not_before(self) -> float:
        """When it begins, seconds since the epoch."""
        return _parsed(self.certificate).not_valid_before_utc.timestamp()

    @property
    def not_after(self) -> float:
        """When it ends, seconds since the epoch."""
        return _parsed(self.certificate).not_valid_after_utc.timestamp()

    def expires_soon(self, now: float) -> bool:
        """Whether to issue the next one: two thirds of its life are over."""
        begin, end = self.not_before, self.not_after
        return now >= begin + RENEW_AT * (end - begin)

    def __repr__(self) -> str:
        """Without the private key: a certificate may end up in a log."""
        return f"Certificate(names={self.names})"


def issue(names: Sequence[str], now: float, lifetime: float = LIFETIME_SECONDS) -> Certificate:
    """A new certificate for DNS names and IP addresses, signed by an authority of its own. `lifetime` in seconds."""
    return _Authority("lws-sched-webhook", now, lifetime).signed(ExtendedKeyUsageOID.SERVER_AUTH, names)


def issue_with_client(
    names: Sequence[str], client: str, now: float, lifetime: float
) -> tuple[Certificate, Certificate]:
    """A serving certificate, and that of the one client called `client`, signed by an authority for these two alone."""
    authority = _Authority("lws-sched-verbs", now, lifetime)
    serving = authority.signed(ExtendedKeyUsageOID.SERVER_AUTH, names)
    return serving, authority.signed(ExtendedKeyUsageOID.CLIENT_AUTH, [client])


class _Authority:
    """A certificate authority that lasts as long as this object."""

    def __init__(self, name: str, now: float, lifetime: float) -> None:
        self._name, self._now, self._lifetime = name, now, lifetime
        self._issuer, self._key = _name(f"{name}-ca"), ec.generate_private_key(ec.SECP256R1())
        self._certificate = (
            _unsigned(self._issuer, self._issuer, self._key.public_key(), now, lifetime)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_usage(signs_certificates=True), critical=True)
            .sign(self._key, hashes.SHA256())
        )

    def signed(self, use: x509.ObjectIdentifier, names: Sequence[str]) -> Certificate:
        key, authority_key = ec.generate_private_key(ec.SECP256R1()), self._key.public_key()
        signed = (
            _unsigned(_name(self._name), self._issuer, key.public_key(), self._now, self._lifetime)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(signs_certificates=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage([use]), critical=False)
            .add_extension(x509.SubjectAlternativeName([_alternative(name) for name in names]), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(authority_key), critical=False)
            .sign(self._key, hashes.SHA256())
        )
        pem = serialization.Encoding.PEM
        return Certificate(
            certificate=signed.public_bytes(pem),
            key=key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()),
            authority=self._certificate.public_bytes(pem),
        )


def read(certificate: bytes, key: bytes, authorities: bytes = b"") -> Certificate:
    """PEM texts from elsewhere, checked to belong together. Raises InvalidCertificate.

    One of the authorities must have signed the certificate; where none are given, that is for the clients to judge.
    """
    parsed = _parsed(certificate)
    issuers = _all_parsed(authorities)
    try:
        private = serialization.load_pem_private_key(key, password=None)
    except (ValueError, TypeError) as error:
        raise InvalidCertificate(f"the private key of the webhook certificate cannot be read: {error}") from error
    if private.public_key() != parsed.public_key():
        raise InvalidCertificate("the webhook certificate and its private key are not a pair: replace both together")
    if issuers and not any(_has_signed(issuer, parsed) for issuer in issuers):
        raise InvalidCertificate("the webhook certificate was not signed by the authority given with it")
    return Certificate(certificate=certificate, key=key, authority=authorities)


def bundle(*authorities: bytes, now: float) -> bytes:
    """All certificates in these PEM texts, each once, without those that have ended. Unreadable texts hold none."""
    found: dict[bytes, None] = {}
    for pem in authorities:
        try:
            parsed = _all_parsed(pem)
        except InvalidCertificate:
            continue
        for each in parsed:
            if each.not_valid_after_utc.timestamp() > now:
                found[each.public_bytes(serialization.Encoding.PEM)] = None
    return b"".join(found)


def is_signed_by_any(certificate: Certificate, authorities: bytes) -> bool:
    """Whether a client that trusts these authorities trusts the certificate. A chain's last certificate counts."""
    try:
        last = _all_parsed(certificate.certificate)[-1]
        return any(_has_signed(issuer, last) or issuer == last for issuer in _all_parsed(authorities))
    except InvalidCertificate:
        return False


def _has_signed(issuer: x509.Certificate, certificate: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def _all_parsed(pem: bytes) -> list[x509.Certificate]:
    if not pem.strip():
        return []
    try:
        return x509.load_pem_x509_certificates(pem)
    except ValueError as error:
        raise InvalidCertificate(f"a certificate cannot be read: {error}") from error


def _parsed(pem: bytes) -> x509.Certificate:
    try:
        return x509.load_pem_x509_certificate(pem)
    except ValueError as error:
        raise InvalidCertificate(f"a certificate cannot be read: {error}") from error


def _unsigned(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, now: float, lifetime: float
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder(subject_name=subject, issuer_name=issuer, public_key=key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(datetime.fromtimestamp(now - CLOCK_SKEW_SECONDS, UTC))
        .not_valid_after(datetime.fromtimestamp(now + lifetime, UTC))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _alternative(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)
