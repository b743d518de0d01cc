"""Kubeconfig files of the plain kind: one file, an https server, a token or a client certificate, no proxy.

Read here because importing the client library takes longer than a command may take as a whole. Whatever else a file may
hold (exec plugins, auth providers, impersonation, proxies, several files to merge) is the library's: `plain` answers
None, and says nothing of the file. Keys never touch the disk longer than it takes to load them.
"""

from __future__ import annotations

import base64
import binascii
import os
import ssl
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import urllib3
import yaml

from lws_sched.kube.errors import ConfigError, Unavailable

CLUSTER_FIELDS = frozenset(
    (
        "server",
        "certificate-authority",
        "certificate-authority-data",
        "insecure-skip-tls-verify",
        "tls-server-name",
        "extensions",
    )
)
USER_FIELDS = frozenset(
    (
        "token",
        "tokenFile",
        "client-certificate",
        "client-certificate-data",
        "client-key",
        "client-key-data",
        "extensions",
    )
)
PROXIES = ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy")
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
Section = Mapping[str, Any]


@dataclass(frozen=True)
class Plain:
    """A server and how to speak to it. `token` is asked before each request; None where a certificate says it all."""

    server: str
    manager: urllib3.PoolManager
    token: Callable[[], str | None]


def plain(path: str, context: str | None, socket_options: list[tuple[int, int, int]]) -> Plain | None:
    """What the context of a kubeconfig says; None where it takes the client library to use it. Raises ConfigError."""
    if os.pathsep in path or any(os.environ.get(name) for name in PROXIES):
        return None
    file = Path(path).expanduser()
    found = _chosen(file, context)
    if found is None:
        return None
    cluster, user = found
    server = cluster.get("server")
    if not isinstance(server, str) or not server.startswith("https://"):
        return None
    if not (CLUSTER_FIELDS.issuperset(cluster) and USER_FIELDS.issuperset(user)):
        return None
    try:
        tls = _tls(file.parent, cluster, user)
    except (OSError, binascii.Error, ssl.SSLError) as error:
        raise ConfigError(f"the kubeconfig {path} cannot be used: its certificates cannot be read: {error}") from error
    name = cluster.get("tls-server-name") or None
    manager = urllib3.PoolManager(ssl_context=tls, server_hostname=name, socket_options=socket_options)
    return Plain(server.rstrip("/"), manager, _token(file.parent, user))


def _chosen(file: Path, context: str | None) -> tuple[Section, Section] | None:
    """The cluster and the user of a context; None where the file is not of the shape that is known here."""
    try:
        content = yaml.load(file.read_bytes(), Loader=_LOADER)
    except (OSError, yaml.YAMLError):
        return None
    if not isinstance(content, dict):
        return None
    contexts = _named(content, "contexts", "context")
    name = context or content.get("current-context")
    if contexts and name not in contexts:
        raise ConfigError(_no_context(file, name, contexts))
    chosen = contexts.get(str(name), {})
    clusters, users = _named(content, "clusters", "cluster"), _named(content, "users", "user")
    cluster, user = clusters.get(str(chosen.get("cluster"))), users.get(str(chosen.get("user")))
    return (cluster, user) if cluster is not None and user is not None else None


def _no_context(file: Path, name: Any, contexts: Mapping[str, Section]) -> str:
    there = ", ".join(sorted(contexts))
    if not name:
        return f"the kubeconfig {file} names no current context: choose one with --context (it has {there})"
    return f"the kubeconfig {file} has no context {name}: choose another with --context (it has {there})"


def _named(content: Section, plural: str, singular: str) -> dict[str, Section]:
    entries = content.get(plural)
    return {
        str(entry.get("name")): entry.get(singular) or {}
        for entry in (entries if isinstance(entries, list) else ())
        if isinstance(entry, dict) and isinstance(entry.get(singular) or {}, dict)
    }


def _tls(folder: Path, cluster: Section, user: Section) -> ssl.SSLContext:
    """Raises OSError, binascii.Error."""
    is_blind = bool(cluster.get("insecure-skip-tls-verify"))
    authority = b"" if is_blind else _bytes(folder, cluster, "certificate-authority")
    # With an authority of its own those of the machine, which take a while to read, are left out.
    tls = ssl.create_default_context(cadata=authority.decode("ascii", "replace") or None)
    if is_blind:
        tls.check_hostname, tls.verify_mode = False, ssl.CERT_NONE
    # As the client library has it: authorities that clusters made years ago lack what strict checking asks for.
    tls.verify_flags &= ~ssl.VERIFY_X509_STRICT
    certificate, key = _bytes(folder, user, "client-certificate"), _bytes(folder, user, "client-key")
    if certificate:
        _load(tls, certificate, key)
    return tls


def _load(tls: ssl.SSLContext, certificate: bytes, key: bytes) -> None:
    """OpenSSL reads these from files alone: from one that nobody else may read, and that is gone afterwards."""
    with tempfile.NamedTemporaryFile() as file:
        file.write(certificate + b"\n" + key)
        file.flush()
        tls.load_cert_chain(file.name)


def _bytes(folder: Path, section: Section, field: str) -> bytes:
    if text := section.get(f"{field}-data"):
        return base64.b64decode(str(text))
    return (folder / str(section[field])).read_bytes() if section.get(field) else b""


def _token(folder: Path, user: Section) -> Callable[[], str | None]:
    """As kubectl has it, a file goes before a token that is written out; it is read anew, as its content changes."""
    if not user.get("tokenFile"):
        return lambda: str(user["token"]) if user.get("token") else None
    file = folder / str(user["tokenFile"])

    def read() -> str:
        try:
            return file.read_text().strip()
        except OSError as error:
            raise Unavailable(f"the token file {file} cannot be read: {error.strerror}", status=0) from error

    return read
