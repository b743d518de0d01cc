"""What a user is told when something is wrong: without rights, without a server, without the extender.

Each answer names the object, the cause and what to do next. The commands run as their users run them.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from tests.controlplane.client import path_of
from tests.controlplane.nodes import create_nodes, rack_nodes
from tests.controlplane.plane import ControlPlane
from tests.controlplane.ports import LOCALHOST, free_port
from tests.controlplane.start import start_plane
from tests.controlplane.wait import wait_until
from tests.scenarios.manifests import lws
from tests.system.product import EXTENDER, LwsSched

pytestmark = pytest.mark.plane

TEAM = "team"
SETS = path_of("leaderworkerset.x-k8s.io/v1/leaderworkersets", TEAM)
RECORDS = path_of("lws-sched.io/v1alpha1/groupplacements", TEAM)
READER = "lws-sched-reader"


@dataclass(frozen=True)
class Said:
    code: int
    out: str
    err: str


@dataclass
class Asking:
    """A cluster of which a user of team `team` asks."""

    product: LwsSched

    @property
    def plane(self) -> ControlPlane:
        return self.product.plane

    def ask(self, *words: str, kubeconfig: Path | None = None) -> Said:
        argv = [
            sys.executable,
            "-m",
            "lws_sched.cli.main",
            *words,
            "--kubeconfig",
            str(kubeconfig or self.plane.kubeconfig),
        ]
        done = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False, env={**os.environ})
        return Said(done.returncode, done.stdout, done.stderr)

    def kubeconfig(self, name: str, *, server: str = "", **user: str) -> Path:
        config = yaml.safe_load(self.plane.kubeconfig.read_text())
        if server:
            config["clusters"][0]["cluster"]["server"] = server
        if user:
            config["users"][0]["user"] = user
        path = self.plane.workdir / f"{name}.kubeconfig"
        path.write_text(yaml.safe_dump(config))
        return path

    def account(self, name: str, role: str, *, everywhere: bool = False) -> Path:
        """Credentials of a new account of the team's namespace that has one of the cluster's roles."""
        kubectl = self.plane.kubectl
        kubectl("create", "serviceaccount", name, f"--namespace={TEAM}")
        kind = "clusterrolebinding" if everywhere else "rolebinding"
        where = () if everywhere else (f"--namespace={TEAM}",)
        kubectl("create", kind, name, f"--clusterrole={role}", f"--serviceaccount={TEAM}:{name}", *where)
        return self.kubeconfig(name, token=kubectl("create", "token", name, f"--namespace={TEAM}").strip())


@contextmanager
def asking_on(racks: int, hosts: int) -> Iterator[Asking]:
    """A cluster with lws-sched, and the team's namespace still empty."""
    with start_plane(0) as plane:
        create_nodes(plane, rack_nodes(racks, hosts))
        product = LwsSched(plane)
        product.install()
        plane.create_namespace(TEAM)
        yield Asking(product)


@pytest.fixture(scope="module")
def asking() -> Iterator[Asking]:
    with asking_on(racks=2, hosts=2) as asking:
        client = asking.plane.client
        client.create(SETS, lws("big", size=3).required().body)
        wait_until(lambda: client.list(RECORDS), "the waiting group has its record")
        yield asking


def test_the_cluster_s_role_view_in_a_namespace_is_enough_to_ask_about_its_groups(asking: Asking) -> None:
    viewer = asking.account("viewer", "view")
    status = asking.ask("status", "-n", TEAM, kubeconfig=viewer)
    assert (status.code, "big-0 waits: it needs 3 hosts" in status.out) == (0, True)
    told = asking.ask("explain", f"{TEAM}/big", kubeconfig=viewer)
    assert (told.code, "fix: ask for topology.lws-sched.io/block, where it fits" in told.out) == (0, True)
    assert (
        'note: no plan was made at this moment: nodes is forbidden: User "system:serviceaccount:team:viewer"'
        in told.err
    )


def test_whoever_lacks_a_right_is_told_which_and_who_can_give_it(asking: Asking) -> None:
    nobody = asking.account("nobody", "system:basic-user")
    everywhere = asking.ask("status", kubeconfig=nobody)
    assert everywhere.code == 1
    assert "name a namespace of yours with -n where the command has it" in everywhere.err
    top = asking.ask("top", kubeconfig=nobody)
    assert (top.code, f"have an administrator bind the ClusterRole {READER} to you" in top.err) == (1, True)


def test_the_role_that_is_named_is_enough_for_every_question(asking: Asking, tmp_path: Path) -> None:
    reader = asking.account("reader", READER, everywhere=True)
    manifest = tmp_path / "lws.yaml"
    manifest.write_text(yaml.safe_dump(lws("small", size=2).required().body))
    questions = (("status",), ("explain", "big"), ("top",), ("topology",), ("plan", "-f", str(manifest)))
    for words in (*questions, ("defrag", "--for", str(manifest)), ("drain", "rack-00")):
        said = asking.ask(*words, kubeconfig=reader)
        assert said.code == 0, f"{words}: {said.err}"


def test_a_server_that_is_away_and_credentials_that_are_not_known_are_told_apart(asking: Asking) -> None:
    away = asking.ask("status", kubeconfig=asking.kubeconfig("away", server=f"https://{LOCALHOST}:{free_port()}"))
    assert away.code == 1
    assert "Connection refused; is the cluster up, and is this the --context that you mean?" in away.err
    unknown = asking.ask("status", kubeconfig=asking.kubeconfig("unknown", token="nobody-s"))
    assert (unknown.code, "does not accept these credentials: log in again" in unknown.err) == (1, True)
    context = asking.ask("status", "--context", "other")
    assert (context.code, "has no context other: choose another with --context (it has local)" in context.err) == (
        1,
        True,
    )


def test_without_the_extender_a_new_group_is_told_who_is_missing_and_a_plan_is_made_all_the_same(
    asking: Asking, tmp_path: Path
) -> None:
    asking.plane.kill_component(EXTENDER)
    try:
        body = lws("late", size=2).required().body
        asking.plane.client.create(SETS, body)
        told = asking.ask("explain", f"{TEAM}/late")
        assert "there is no GroupPlacement of it, which the extender makes within a second" in told.out
        assert "see whether the extender runs: `lws-sched check`" in told.out
        assert "planned at this moment it would go to rack-00" in told.out
        assert "no pod of late could be created now" in told.err
        checked = asking.ask("check")
        assert (checked.code, "extender" in checked.out) == (1, True)
    finally:
        asking.plane.start_component(EXTENDER)
