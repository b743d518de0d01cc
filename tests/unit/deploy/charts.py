"""Renders the chart with real Helm."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from typing import Any

import yaml

from tests.controlplane import build
from tests.controlplane.build import KUBERNETES_VERSION
from tests.unit.deploy.manifests import DEPLOY, Json

CHART = DEPLOY / "helm" / "lws-sched"
NAMESPACE = "lws-system"
_SECONDS = 120


class HelmFailed(RuntimeError):
    """Helm exited with an error; the message is what it wrote to stderr."""


def helm(*arguments: str, stdin: str | None = None) -> str:
    """What Helm wrote to stdout."""
    run = subprocess.run(
        [str(build.helm()), *arguments],
        input=stdin,
        capture_output=True,
        text=True,
        timeout=_SECONDS,
        check=False,
    )
    if run.returncode != 0:
        raise HelmFailed(run.stderr.strip())
    return run.stdout


def rendered(values: Mapping[str, Any] | None = None, *more: str, namespace: str = NAMESPACE) -> list[Json]:
    """The objects that the chart gives for these values, hooks included. Raises HelmFailed."""
    options = ["--namespace", namespace, "--kube-version", KUBERNETES_VERSION, "--values", "-", *more]
    text = helm("template", "lws-sched", str(CHART), *options, stdin=yaml.safe_dump(dict(values or {})))
    return [each for each in yaml.load_all(text, Loader=yaml.CSafeLoader) if each]


def without_hooks(objects: list[Json]) -> list[Json]:
    return [each for each in objects if "helm.sh/hook" not in (each["metadata"].get("annotations") or {})]
