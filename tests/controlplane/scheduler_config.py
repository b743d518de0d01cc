"""KubeSchedulerConfiguration: what a test wants, completed with how to reach this control plane.

A configuration may come as a mapping or as a path to a YAML file, so a test can run the
very file that a user is given under `deploy/`. Only the connection and leader election are
the harness's; profiles, plugins and extenders stay as they came.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

QPS, BURST = 2000, 4000  # the default of 50 would throttle a test to about 50 bindings a second


def load_scheduler_config(path: Path, extender_url: str) -> dict[str, Any]:
    """The configuration in `path` with every extender's address replaced by `extender_url`."""
    config = _read(path)
    config["extenders"] = [{**extender, "urlPrefix": extender_url} for extender in config.get("extenders", [])]
    return config


def complete(config: Mapping[str, Any] | Path | None, kubeconfig: Path) -> dict[str, Any]:
    """The configuration a scheduler of this control plane can be started with."""
    wanted = _read(config) if isinstance(config, Path) else dict(config or {})
    connection = {"kubeconfig": str(kubeconfig), "qps": QPS, "burst": BURST}
    return {
        "apiVersion": "kubescheduler.config.k8s.io/v1",
        "kind": "KubeSchedulerConfiguration",
        **wanted,
        "clientConnection": {**wanted.get("clientConnection", {}), **connection},
        "leaderElection": {"leaderElect": False},
    }


def _read(path: Path) -> dict[str, Any]:
    config: dict[str, Any] = yaml.safe_load(path.read_text())
    return config
