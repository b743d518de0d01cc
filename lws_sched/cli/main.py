"""The entry point: `lws-sched controller | extender | demo`, and the commands that ask about a cluster."""

from __future__ import annotations

import click

from lws_sched import __version__
from lws_sched.cli.commands import COMMANDS, output_option


@click.group(context_settings={"help_option_names": ["-h", "--help"], "show_default": True})
@click.version_option(__version__, message="%(prog)s %(version)s")
def main() -> None:
    """Groups of pods for multi-host AI serving and training, placed whole."""


_PASS_ON = {"ignore_unknown_options": True, "allow_extra_args": True}
"""The two processes read their flags themselves: what that needs is imported for them alone."""


@main.command(context_settings=_PASS_ON, add_help_option=False)
@click.argument("flags", nargs=-1, type=click.UNPROCESSED)
def controller(flags: tuple[str, ...]) -> None:
    """Run the LeaderWorkerSet controller and its webhooks."""
    from lws_sched.cli import run

    run.controller.main(flags, prog_name="lws-sched controller")


@main.command(context_settings=_PASS_ON, add_help_option=False)
@click.argument("flags", nargs=-1, type=click.UNPROCESSED)
def extender(flags: tuple[str, ...]) -> None:
    """Run the planner, the pod webhook, and the scheduler extender."""
    from lws_sched.cli import run

    run.extender.main(flags, prog_name="lws-sched extender")


@main.command(short_help="The trap, twice: by pod affinity, and whole.")
@click.option("--json", "as_json", is_flag=True, help="The same as -o json.")
@click.option("--seed", default=1, help="Which of many equal worlds to simulate.")
@output_option
def demo(as_json: bool, seed: int, output: str) -> None:
    """Place 24 groups of 12 hosts twice on a simulated cluster: by pod affinity, and whole.

    It needs no cluster and takes a few seconds.

    \b
    lws-sched demo
    lws-sched demo -o json | jq .ours
    """
    from lws_sched.cli.demo import run

    run(as_json=as_json or output == "json", seed=seed)


for command in COMMANDS:
    main.add_command(command)


if __name__ == "__main__":
    main()
