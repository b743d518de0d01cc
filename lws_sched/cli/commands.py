"""The commands that ask about a cluster, as click sees them: flags and help. What they do is imported when they run.

They are the same under `lws-sched` and under `kubectl lws`.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., object])


def _output_option(command: F) -> F:
    return click.option(
        "-o", "--output", type=click.Choice(["table", "json"]), default="table", help="How to print the answer."
    )(command)


def _cluster_options(command: F) -> F:
    """Which cluster: one in a file, or the live one."""
    for option in (
        click.option("--context", default="", help="The context of the kubeconfig."),
        click.option("--kubeconfig", default="", metavar="FILE", help="Credentials; as kubectl has them if not given."),
        click.option(
            "--cluster",
            "clusters",
            multiple=True,
            metavar="FILE",
            help="A cluster in a file instead of the live one: what `kubectl get nodes,pods -A -o yaml` prints (JSON "
            "too; LeaderWorkerSets, GroupPlacements and PriorityClasses in it are used). May be repeated.",
        ),
    ):
        command = option(command)
    return command


@click.command()
@click.option(
    "-f",
    "--filename",
    "files",
    multiple=True,
    required=True,
    metavar="FILE",
    help="LeaderWorkerSets in YAML or JSON, one or several; - for standard input. May be repeated.",
)
@click.option("-n", "--namespace", default="default", help="The namespace of sets that name none.")
@_cluster_options
@_output_option
def plan(files: tuple[str, ...], namespace: str, output: str, **cluster: Any) -> None:
    """What would become of LeaderWorkerSets: where each group goes, or why it has no place and what would help.

    All groups of all sets are planned together, beside what is on the cluster; groups that stand already are told
    where they are. Nothing is written.

    \b
    lws-sched plan -f lws.yaml                               # on the live cluster
    kubectl get nodes,pods -A -o yaml > cluster.yaml
    lws-sched plan -f lws.yaml --cluster cluster.yaml        # on a cluster in a file

    Exit code: 0 all groups have a place, 3 some have none, 2 bad input, 1 the cluster does not answer.
    """
    from lws_sched.cli import plan as command

    sys.exit(command.run(files, namespace, cluster, as_json=output == "json"))


@click.command()
@click.argument("target")
@click.option("-n", "--namespace", default="", help="Where to look; everywhere if not given.")
@_cluster_options
@_output_option
def explain(target: str, namespace: str, output: str, **cluster: Any) -> None:
    """Why a group waits, or why it is where it is, and what would help.

    TARGET is a LeaderWorkerSet, a group (named like its leader pod) or a pod; with its namespace in front
    (team/llama-0), or with -n, where the name alone means several things.
    """
    from lws_sched.cli import explain as command

    sys.exit(command.run(cluster, target, namespace, as_json=output == "json"))


@click.command()
@click.option("-n", "--namespace", default="", help="Of one namespace only.")
@click.option("-w", "--watch", is_flag=True, help="Again every two seconds, until Ctrl-C.")
@_cluster_options
@_output_option
def status(namespace: str, watch: bool, output: str, **cluster: Any) -> None:
    """All groups at a glance: how much of each runs, its revision, its domain, its restarts; and why any wait."""
    from lws_sched.cli import status as command

    sys.exit(command.run(cluster, namespace, as_json=output == "json", watch=watch))


@click.command()
@click.option(
    "-l", "--level", default="", help="A level's name or a node label; the narrowest above hosts if not given."
)
@click.option(
    "-r", "--resource", default="", help="The resource to count; the accelerator that most nodes have if not given."
)
@_cluster_options
@_output_option
def top(level: str, resource: str, output: str, **cluster: Any) -> None:
    """What each domain has: free, held for groups that are on their way, used; how broken up its free room is (the
    share on hosts in part taken) and how many members, each a whole host, still fit.

    Fragmentation of the cluster is the share of all free room that the best single domain does not have.
    """
    from lws_sched.cli import top as command

    sys.exit(command.run(cluster, level, resource, as_json=output == "json"))


@click.command()
@_cluster_options
@_output_option
def topology(output: str, **cluster: Any) -> None:
    """The levels that the nodes' labels tell of, and a map of the racks."""
    from lws_sched.cli import top as command

    sys.exit(command.run_topology(cluster, as_json=output == "json"))


COMMANDS = (plan, explain, status, top, topology)
