"""Where the API server is and how to speak to it: address, TLS, credentials, connection pool.

The client library does what is hard to get right here: kubeconfig files, in-cluster service accounts, exec plugins,
token refresh, proxies. Its pool then opens the connections, and none of its models is used. It is imported when a
connection is first asked for, because importing it takes half a second.

Connections have Nagle's algorithm off and TCP keep-alive on, so that a watch whose peer vanished is noticed.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lws_sched.kube.errors import Unavailable
from lws_sched.kube.http1 import Wires

TOKEN_SECONDS = 1.0
"""How long a token is used before the library is asked for it again, which costs as much as sending a request."""


class ConfigError(Exception):
    """There is no usable configuration. The message says what was looked for and where."""


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
    from kubernetes import client

    configuration = client.Configuration()
    configuration.keep_alive = True
    _load(configuration, kubeconfig, context)
    if configuration.proxy and not configuration.host.startswith("https:"):
        raise ConfigError(f"{configuration.host} cannot be reached through a proxy, as it is not an https address")
    manager = client.rest.RESTClientObject(configuration).pool_manager
    return Connection(Wires(manager, configuration.host), _authorization(configuration))


def _load(configuration: Any, kubeconfig: str | None, context: str | None) -> None:
    from kubernetes import config

    asked_for = kubeconfig or context or os.environ.get("KUBECONFIG")
    in_cluster = not asked_for and "KUBERNETES_SERVICE_HOST" in os.environ
    path = kubeconfig or os.environ.get("KUBECONFIG") or "~/.kube/config"
    try:
        if in_cluster:
            config.load_incluster_config(client_configuration=configuration)
        else:
            if kubeconfig and not Path(kubeconfig).expanduser().is_file():
                raise ConfigError(f"there is no kubeconfig file {kubeconfig}; give the path of one that exists")
            config.load_kube_config(config_file=kubeconfig, context=context, client_configuration=configuration)
    except config.ConfigException as error:
        source = "the pod's service account" if in_cluster else f"the kubeconfig {path}"
        raise ConfigError(f"{source} cannot be used: {error}; mend it, or choose another with --kubeconfig") from error


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
