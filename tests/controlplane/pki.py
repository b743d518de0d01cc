"""The control plane's keys: one CA, one serving certificate, one service account key.

Real certificates, so that a client under test verifies them as it would in a cluster.
Elliptic-curve keys, because generating RSA keys would cost more than starting etcd.
"""

from __future__ import annotations

import datetime
import ipaddress
from pathlib import Path
from typing import NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.controlplane.ports import LOCALHOST

LIFETIME = datetime.timedelta(days=7)
SERVER_NAMES = ("localhost", "kubernetes", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local")
# Key usage and key identifiers are what Python 3.13's strict verification asks for.
CA_USAGE = x509.KeyUsage(
    digital_signature=True,
    key_cert_sign=True,
    crl_sign=True,
    content_commitment=False,
    key_encipherment=False,
    data_encipherment=False,
    key_agreement=False,
    encipher_only=False,
    decipher_only=False,
)


class Files(NamedTuple):
    """Paths of the PEM files."""

    ca: Path
    cert: Path
    key: Path
    service_account_key: Path


def write_files(folder: Path) -> Files:
    """Generate everything into `folder`."""
    files = Files(folder / "ca.crt", folder / "server.crt", folder / "server.key", folder / "service-account.key")
    ca_key, server_key = _new_key(), _new_key()
    ca_name = _name("control-plane-ca")
    ca = _template(ca_name, ca_name, ca_key.public_key())
    ca = ca.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    ca = ca.add_extension(CA_USAGE, critical=True)
    server = _template(_name("control-plane"), ca_name, server_key.public_key())
    alternatives = [x509.DNSName(n) for n in SERVER_NAMES]
    address = x509.IPAddress(ipaddress.ip_address(LOCALHOST))
    server = server.add_extension(x509.SubjectAlternativeName([*alternatives, address]), critical=False)
    issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key())
    server = server.add_extension(issuer, critical=False)
    _write_certificate(files.ca, ca.sign(ca_key, hashes.SHA256()))
    _write_certificate(files.cert, server.sign(ca_key, hashes.SHA256()))
    _write_key(files.key, server_key)
    _write_key(files.service_account_key, _new_key())
    return files


def _new_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _template(subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    builder = x509.CertificateBuilder(subject_name=subject, issuer_name=issuer, public_key=key)
    builder = builder.serial_number(x509.random_serial_number())
    builder = builder.not_valid_before(now - datetime.timedelta(hours=1)).not_valid_after(now + LIFETIME)
    return builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)


def _write_certificate(path: Path, certificate: x509.Certificate) -> None:
    path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))


def _write_key(path: Path, key: ec.EllipticCurvePrivateKey) -> None:
    path.touch(mode=0o600)
    # SEC1 ("EC PRIVATE KEY"): the form the service account token code is sure to read.
    encoding, form = serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL
    path.write_bytes(key.private_bytes(encoding, form, serialization.NoEncryption()))
