"""Where the API server is and how to speak to it: address, TLS, credentials, connection pool.

The client library does what is hard to get right here: in-cluster service accounts, exec plugins, token refresh,
proxies. Its pool then opens the connections, and none of its models is used. It is imported only where it is needed,
because importing it takes half a second: a kubeconfig with a token or a certificate is read by `plain`.

Connections have Nagle's algorithm off and TCP keep-alive on, so that a watch whose peer vanished is noticed.
"""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lws_sched.kube.errors import ConfigError, Unavailable
from lws_sched.kube.http1 import Wires
from lws_sched.kube.plain import plain

DEFAULT_KUBECONFIG = "~/.kube/config"
KEEP_ALIVE = (("TCP_KEEPIDLE", 30), ("TCP_KEEPINTVL", 30), ("TCP_KEEPCNT", 3))
"""Seconds of silence before a peer is asked whether it is there, between two questions, and how many are asked."""
TOKEN_SECONDS = 1.0
"""How long a token is used before the library is asked for it again, which costs as much as sending a request."""


@dataclass(frozen=True)
class Connection:
    """`authorization` gives the Authorization header for a request made now, refreshing an expired token first; it
    raises Unavailable where that fails."""

    wires: Wires
    authorization: Callable[[], str | None]


def connect(kubeconfig: str | None = None, context: str | None = None) -> Connection:
    """Connect as the given kubeconfig says; without one as the pod's service account, or else as kubectl would.

    Raises ConfigError.
    """
    named = kubeconfig or os.environ.get("KUBECONFIG")
    in_cluster = is_in_cluster(kubeconfig, context)
    path = named or DEFAULT_KUBECONFIG
    if not in_cluster:
        _check_there(path, named)
        if found := plain(path, context, _socket_options()):
            return Connection(Wires(found.manager, found.server), _bearer(found.token))
    return _by_library(None if in_cluster else path, context)


def is_in_cluster(kubeconfig: str | None, context: str | None) -> bool:
    """Whether that means the cluster in which this process runs, with its pod's service account."""
    return not (kubeconfig or context or os.environ.get("KUBECONFIG")) and "KUBERNETES_SERVICE_HOST" in os.environ


def _check_there(path: str, named: str | None) -> None:
    files = [each for each in path.split(os.pathsep) if each]
    if any(Path(each).expanduser().is_file() for each in files):
        return
    if named is None:
        raise ConfigError(
            f"nothing says which cluster to ask: there is no {path}, and KUBECONFIG is not set; give --kubeconfig"
        )
    raise ConfigError(f"there is no kubeconfig file {path}; give the path of one that exists")


def _by_library(path: str | None, context: str | None) -> Connection:
    """`path` is None in a cluster."""
    from kubernetes import client, config

    configuration = client.Configuration()
    configuration.keep_alive = True
    try:
        if path is None:
            config.load_incluster_config(client_configuration=configuration)
        else:
            config.load_kube_config(config_file=path, context=context, client_configuration=configuration)
    except config.ConfigException as error:
        source = "the pod's service account" if path is None else f"the kubeconfig {path}"
        reason = str(error).rstrip(".")
        raise ConfigError(f"{source} cannot be used: {reason}; mend it, or choose another with --kubeconfig") from error
    if configuration.proxy and not configuration.host.startswith("https:"):
        raise ConfigError(f"{configuration.host} cannot be reached through a proxy, as it is not an https address")
    manager = client.rest.RESTClientObject(configuration).pool_manager
    return Connection(Wires(manager, configuration.host), _authorization(configuration))


def _socket_options() -> list[tuple[int, int, int]]:
    """Nagle's algorithm off, TCP keep-alive on."""
    options = [(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1), (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)]
    for name, value in KEEP_ALIVE:
        if (number := getattr(socket, name, None)) is not None:
            options.append((socket.IPPROTO_TCP, number, value))
    return options


def _bearer(token: Callable[[], str | None]) -> Callable[[], str | None]:
    def header() -> str | None:
        found = token()
        return f"Bearer {found}" if found else None

    return header


def _authorization(configuration: Any) -> Callable[[], str | None]:
    from kubernetes.config import ConfigException

    # The refresh hook writes the token into the configuration, and is not made for several threads.
    lock = threading.Lock()
    asked_at = float("-inf")
    token: str | None = None

    def header() -> str | None:
        nonlocal asked_at, token
        try:
            with lock:
                if time.monotonic() > asked_at + TOKEN_SECONDS:
                    token = configuration.get_api_key_with_prefix("BearerToken", alias="authorization")
                    asked_at = time.monotonic()
        except (ConfigException, OSError) as error:
            raise Unavailable(f"the credentials for the API server could not be renewed: {error}", status=0) from error
        return token

    return header
