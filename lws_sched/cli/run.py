"""The commands that run the two processes: their flags, and what these override in the configuration."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from lws_sched import __version__
from lws_sched.cli.config import FLAGS, Common, Configuration, ExtenderConfiguration, described
from lws_sched.cli.processes import Invocation, run_controller, run_extender

F = TypeVar("F", bound=Callable[..., object])
CONTEXT = {"help_option_names": ["-h", "--help"], "show_default": True}
_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


def _say_version(context: click.Context, _: click.Parameter, asked: bool) -> None:
    """What an image is made from is known where it is made (deploy/Dockerfile)."""
    if not asked:
        return
    date, commit = (os.environ.get(name) or "unknown" for name in ("LWS_SCHED_BUILD_DATE", "LWS_SCHED_GIT_COMMIT"))
    click.echo(f"Version: {__version__}\nBuild Date: {date}\nGit Commit: {commit}")
    context.exit()


def _options(kind: type[Common]) -> Callable[[F], F]:
    """What the two processes have in common. A flag overrides the file only where it is given."""

    def decorate(command: F) -> F:
        for flag in reversed(FLAGS):
            text, default = described(flag.path, kind)
            more: dict[str, Any] = {"is_flag": False, "flag_value": "true"} if flag.type is bool else {}
            if default != "":
                more["show_default"] = str(default).lower() if isinstance(default, bool) else str(default)
            command = click.option(flag.name, type=flag.type, default=None, help=text, **more)(command)
        for option in (
            click.option(
                "--version", is_flag=True, is_eager=True, expose_value=False, callback=_say_version, help="And exit."
            ),
            click.option("--log-level", default="info", type=click.Choice(["debug", "info", "warning", "error"])),
            click.option("--namespace", help="Where the Lease and the certificate's Secret are; the pod's own if not."),
            click.option("--webhook-bind-address", show_default="0.0.0.0:9443", help="Where the webhooks are served."),
            click.option("--kubeconfig", type=_FILE, help="Credentials; those of the pod's service account if not."),
            click.option("--config", type=_FILE, help="The configuration file; see docs/configuration.md."),
        ):
            command = option(command)
        return command

    return decorate


@click.command(context_settings=CONTEXT)
@_options(Configuration)
def controller(**flags: Any) -> None:
    """Run the LeaderWorkerSet controller and its webhooks."""
    sys.exit(run_controller(_invocation(flags)))


@click.command(context_settings=CONTEXT)
@_options(ExtenderConfiguration)
@click.option("--bind-address", show_default="127.0.0.1:8900", help="Where kube-scheduler calls filter and bind.")
@click.option(
    "--placement-bind-address", show_default=":9444", help="Where the placement service (gRPC) is; 0 for none."
)
@click.option("--placement-published-address", metavar="HOST:PORT", help="Where users outside the cluster reach it.")
@click.option("--page-bind-address", show_default=":8444", help="Where the page is served; 0 for none.")
def extender(**flags: Any) -> None:
    """Run the planner, the pod webhook, and the scheduler extender."""
    sys.exit(run_extender(_invocation(flags)))


def _invocation(flags: dict[str, Any]) -> Invocation:
    """Part what overrides the configuration from the rest."""
    paths = {flag.name.lstrip("-").replace("-", "_"): flag.path for flag in FLAGS}
    paths |= {
        "bind_address": "verbs.bindAddress",
        "placement_bind_address": "placementService.bindAddress",
        "placement_published_address": "placementService.publishedAddress",
        "page_bind_address": "page.bindAddress",
    }
    overrides = {paths[name]: value for name, value in flags.items() if name in paths and value is not None}
    if (webhooks := flags["webhook_bind_address"]) is not None:
        host, _, port = webhooks.rpartition(":")
        if not port.isdigit():
            raise click.BadParameter(f"{webhooks!r} is not an address such as 0.0.0.0:9443")
        overrides |= {"webhook.host": host.strip("[]"), "webhook.port": int(port)}
    return Invocation(
        kubeconfig=flags["kubeconfig"],
        config=flags["config"],
        overrides=overrides,
        namespace=flags["namespace"] or "",
        log_level=flags["log_level"],
    )
