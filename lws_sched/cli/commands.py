"""The commands that ask about a cluster, as click sees them: flags and help. What they do is imported when they run.

They are the same under `lws-sched` and under `kubectl lws`.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

from lws_sched import __version__

if TYPE_CHECKING:
    from lws_sched.cli.asking import Server

F = TypeVar("F", bound=Callable[..., object])


def output_option(command: F) -> F:
    return click.option(
        "-o", "--output", type=click.Choice(["table", "json"]), default="table", help="How to print the answer."
    )(command)


def _connection_options(command: F) -> F:
    """How to reach the live cluster."""
    for option in (
        click.option("--context", default="", show_default=False, help="The context of the kubeconfig."),
        click.option(
            "--kubeconfig",
            default="",
            show_default=False,
            metavar="FILE",
            help="Credentials; as kubectl has them if not given.",
        ),
    ):
        command = option(command)
    return command


def _cluster_options(command: F) -> F:
    """Which cluster: one in a file, or the live one."""
    return click.option(
        "--cluster",
        "clusters",
        multiple=True,
        metavar="FILE",
        help="A cluster in a file instead of the live one: what `kubectl get nodes,pods -A -o yaml` prints (JSON too; "
        "LeaderWorkerSets, GroupPlacements, PriorityClasses and Topologies in it are used). May be repeated.",
    )(
        click.option(
            "--levels",
            default="",
            show_default=False,
            metavar="LABEL,...",
            help="The topology's levels by hand, widest first: node labels, or name=label. Else they are those of "
            "Topology objects, or of well-known labels.",
        )(_connection_options(command))
    )


def _server_options(command: F) -> F:
    """Whom to ask in place of reading the cluster."""
    for option in (
        click.option("--server-namespace", default="lws-system", help="Where lws-sched is installed."),
        click.option(
            "--server",
            default="",
            envvar="LWS_SCHED_SERVER",
            show_default=False,
            metavar="HOST:PORT",
            help="Ask the placement service there in place of reading the cluster: less is read, and fewer rights are "
            "needed. Where the cluster tells its address, it is asked without this. See docs/placement-service.md.",
        ),
    ):
        command = option(command)
    return command


def _server(address: str, namespace: str) -> Server:
    from lws_sched.cli.asking import Server

    return Server(address, namespace)


@click.command(short_help="What would become of LeaderWorkerSets: where each group goes.")
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
@_server_options
@output_option
def plan(
    files: tuple[str, ...], namespace: str, output: str, server: str, server_namespace: str, **cluster: Any
) -> None:
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

    asked = _server(server, server_namespace)
    sys.exit(command.run(files, namespace, cluster, as_json=output == "json", server=asked))


@click.command(short_help="Why a group waits, or is where it is.")
@click.argument("target")
@click.option("-n", "--namespace", default="", show_default=False, help="Where to look; everywhere if not given.")
@_cluster_options
@_server_options
@output_option
def explain(target: str, namespace: str, output: str, server: str, server_namespace: str, **cluster: Any) -> None:
    """Why a group waits, or why it is where it is, and what would help.

    TARGET is a LeaderWorkerSet, a group (named like its leader pod) or a pod; with its namespace in front
    (team/llama-0), or with -n, where the name alone means several things.

    \b
    lws-sched explain llama                # every group of the set
    lws-sched explain team/llama-0         # one group
    lws-sched explain llama-0-3            # the group of a pod

    Exit code: 0 it was told, 2 there is nothing of that name, 1 the cluster does not answer.
    """
    from lws_sched.cli import explain as command

    asked = _server(server, server_namespace)
    sys.exit(command.run(cluster, target, namespace, as_json=output == "json", server=asked))


@click.command(short_help="All groups at a glance.")
@click.option("-n", "--namespace", default="", show_default=False, help="Of one namespace only.")
@click.option("-w", "--watch", is_flag=True, help="Again every two seconds, until Ctrl-C.")
@_cluster_options
@output_option
def status(namespace: str, watch: bool, output: str, **cluster: Any) -> None:
    """All groups at a glance: how much of each runs, its revision, its domain, its restarts; and why any wait.

    FOR is how long a group has been in its state. With the rights of one namespace only, name it with -n.

    \b
    lws-sched status
    lws-sched status -n team --watch
    lws-sched status -o json | jq '.sets[].groups[] | select(.state == "Waiting")'
    """
    from lws_sched.cli import status as command

    sys.exit(command.run(cluster, namespace, as_json=output == "json", watch=watch))


@click.command(short_help="What each domain has left.")
@click.option(
    "-l", "--level", default="", help="A level's name or a node label; the narrowest above hosts if not given."
)
@click.option(
    "-r", "--resource", default="", help="The resource to count; the accelerator that most nodes have if not given."
)
@_cluster_options
@output_option
def top(level: str, resource: str, output: str, **cluster: Any) -> None:
    """What each domain has: free, held for groups that are on their way, used; how broken up its free room is (the
    share on hosts in part taken) and how many members, each a whole host, still fit.

    Fragmentation of the cluster is the share of all free room that the best single domain does not have.

    \b
    lws-sched top                          # racks, or what is narrowest above hosts
    lws-sched top -l block -r cpu
    """
    from lws_sched.cli import top as command

    sys.exit(command.run(cluster, level, resource, as_json=output == "json"))


@click.command(short_help="The levels found, and a map of racks.")
@_cluster_options
@output_option
def topology(output: str, **cluster: Any) -> None:
    """The levels that the nodes' labels tell of, and a map of the racks.

    The names in the first column are what annotations may ask for. WITHOUT counts nodes that lack the label.

    \b
    lws-sched topology
    lws-sched topology --levels topology.kubernetes.io/zone,cage=example.com/row
    """
    from lws_sched.cli import top as command

    sys.exit(command.run_topology(cluster, as_json=output == "json"))


@click.command(short_help="The fewest pods to move so that sets fit.")
@click.option(
    "--for",
    "files",
    multiple=True,
    required=True,
    metavar="FILE",
    help="The LeaderWorkerSets that are to fit, in YAML or JSON; - for standard input. May be repeated.",
)
@click.option("-n", "--namespace", default="default", help="The namespace of sets that name none.")
@click.option("--yes", "act", is_flag=True, help="Do it: move the groups of the plan, one after the other.")
@click.option("--timeout", "patience", default=300.0, help="With --yes: give up on a group after so many seconds.")
@_cluster_options
@_server_options
@output_option
def defrag(
    files: tuple[str, ...],
    namespace: str,
    act: bool,
    patience: float,
    output: str,
    server: str,
    server_namespace: str,
    **cluster: Any,
) -> None:
    """The fewest pods to move so that LeaderWorkerSets fit, in an order in which each goes to room that is free.

    Groups move whole where their members must stay together. Without --yes it only tells. With --yes groups are moved,
    and no other pods: each is taken down when its set's maxUnavailable allows it, and has to run elsewhere before the
    next one goes. What is left to do is planned anew after each, so it may be stopped and run again.

    \b
    lws-sched defrag --for lws.yaml                          # what would move, and where to
    lws-sched defrag --for lws.yaml --yes                    # move it

    Exit code: 0 all groups have a place then, 3 some have none, 2 bad input, 1 the cluster does not answer, or it could
    not be carried out.
    """
    from lws_sched.cli import defrag as command

    asked = _server(server, server_namespace)
    as_json = output == "json"
    sys.exit(command.run(files, namespace, cluster, as_json=as_json, act=act, patience=patience, server=asked))


@click.command(short_help="Empty a node or a domain of groups.")
@click.argument("target")
@click.option("--yes", "act", is_flag=True, help="Do it: cordon the nodes and take down group after group.")
@click.option("--timeout", "patience", default=300.0, help="Give up after so many seconds without progress.")
@_cluster_options
@output_option
def drain(target: str, act: bool, patience: float, output: str, **cluster: Any) -> None:
    """Empty a node or a domain of groups, whole group by whole group, as each set's maxUnavailable allows.

    TARGET is a node, or a domain: rack-07, or rack=rack-07 where several levels have one of that name. Without --yes
    it only tells which groups would go where. Pods of no group are not touched: that is kubectl drain's work.

    \b
    lws-sched drain rack-07                # what would become of its groups
    lws-sched drain rack-07 --yes          # do it; kubectl uncordon undoes the cordon
    lws-sched drain rack-07-host-03 --yes

    Exit code: 0 all groups have another place, 3 some have none, 2 bad input, 1 it could not be carried out.
    """
    from lws_sched.cli import drain as command

    sys.exit(command.run(cluster, target, as_json=output == "json", act=act, patience=patience))


@click.command(short_help="Is the installation whole?")
@click.option("-n", "--namespace", default="lws-system", help="Where lws-sched is installed.")
@click.option(
    "--scheduler-config",
    default="",
    show_default=False,
    metavar="FILE",
    help="The configuration of the cluster's own kube-scheduler, from its host: no API shows it.",
)
@_connection_options
@output_option
def check(namespace: str, scheduler_config: str, output: str, **cluster: Any) -> None:
    """Is the installation whole? Kinds, leaders, webhooks and their certificates, scheduler, rights, node labels.

    It writes nothing. Exit code: 0 nothing failed, 1 something did, 2 bad input.
    """
    from lws_sched.cli import check as command

    sys.exit(command.run(cluster, namespace, as_json=output == "json", scheduler_config=scheduler_config))


@click.command(short_help="Take back what would keep pods and nodes waiting.")
@click.option("-n", "--namespace", default="lws-system", help="Where lws-sched is installed.")
@click.option("--yes", "act", is_flag=True, help="Do it.")
@click.option(
    "--timeout", "patience", default=120.0, help="With --yes: for how many seconds the extender may take to end."
)
@_connection_options
@output_option
def uninstall(namespace: str, act: bool, patience: float, output: str, **cluster: Any) -> None:
    """Before lws-sched is removed: lift the gates of pods that wait, take the taints off held nodes.

    With --yes the extender is stopped (scaled to nothing), its webhook unregistered, every gate of ours lifted, every
    taint of ours taken off, every GroupPlacement deleted. LeaderWorkerSets and their pods stay as they are. It may be
    repeated, and also works when the programs are gone already.

    Exit code: 0 done, 1 the extender still runs, or the cluster does not answer.
    """
    from lws_sched.cli import uninstall as command

    sys.exit(command.run(cluster, namespace, as_json=output == "json", act=act, patience=patience))


@click.command(short_help="The page: a live map, what waits and why, what was decided.")
@click.option("--port", default=0, help="The port on this machine; any free one if not given.")
@click.option("--open/--no-open", "should_open", default=None, help="Open a browser; done on a terminal if not given.")
@click.option("-n", "--namespace", default="lws-system", help="Where lws-sched is installed.")
@_cluster_options
def page(port: int, should_open: bool | None, namespace: str, **cluster: Any) -> None:
    """The page, on this machine: a live map of the cluster, what waits and why, what was decided lately, what-if.

    It reads the cluster with your rights and prints an address with a key, good until Ctrl-C. Nothing is written.
    """
    from lws_sched.cli import page as command

    is_wanted = sys.stdout.isatty() if should_open is None else should_open
    sys.exit(command.run(cluster, namespace, port, should_open=is_wanted))


COMMANDS = (plan, explain, status, top, topology, defrag, drain, check, page, uninstall)


@click.group(context_settings={"help_option_names": ["-h", "--help"], "show_default": True})
@click.version_option(__version__, message="kubectl lws %(version)s")
def kubectl_lws() -> None:
    """Ask about groups of pods that are placed whole (LeaderWorkerSets)."""


for _command in COMMANDS:
    kubectl_lws.add_command(_command)
