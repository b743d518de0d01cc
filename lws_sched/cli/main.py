"""The entry point: `lws-sched controller | extender | demo`."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import click

from lws_sched import __version__

F = TypeVar("F", bound=Callable[..., object])


@click.group(context_settings={"help_option_names": ["-h", "--help"], "show_default": True})
@click.version_option(__version__, message="%(prog)s %(version)s")
def main() -> None:
    """Groups of pods for multi-host AI serving and training, placed whole."""


def _process_options(command: F) -> F:
    """What the two processes have in common."""
    for option in (
        click.option("--log-level", default="info", type=click.Choice(["debug", "info", "warning", "error"])),
        click.option("--leader-elect/--no-leader-elect", default=True, help="Write only while holding the Lease."),
        click.option("--namespace", default="lws-system", help="Where the Lease lives."),
        click.option(
            "--webhook-url",
            default="",
            help="Register the webhooks under this URL instead of a Service; for an API server that reaches us so.",
        ),
        click.option("--webhook-bind-address", default="0.0.0.0:9443", help="Where the webhooks are served."),
        click.option(
            "--kubeconfig",
            type=click.Path(exists=True, dir_okay=False, path_type=Path),
            help="Credentials; those of the pod's service account where not given.",
        ),
    ):
        command = option(command)
    return command


@main.command()
@_process_options
def controller(**flags: object) -> None:
    """Run the LeaderWorkerSet controller and its webhooks."""
    from lws_sched.cli.processes import Settings, run_controller

    sys.exit(run_controller(Settings(**flags)))  # type: ignore[arg-type]


@main.command()
@_process_options
@click.option("--bind-address", default="127.0.0.1:8900", help="Where kube-scheduler calls filter and bind.")
def extender(bind_address: str, **flags: object) -> None:
    """Run the planner, the pod webhook, and the scheduler extender."""
    from lws_sched.cli.processes import Settings, run_extender

    sys.exit(run_extender(Settings(**flags), bind_address))  # type: ignore[arg-type]


@main.command()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object and nothing else.")
@click.option("--seed", default=1, help="Which of many equal worlds to simulate.")
def demo(as_json: bool, seed: int) -> None:
    """Place 24 groups of 12 hosts twice on a simulated cluster: by pod affinity, and whole."""
    from lws_sched.cli.demo import run

    run(as_json=as_json, seed=seed)


if __name__ == "__main__":
    main()
