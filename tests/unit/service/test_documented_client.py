"""The example of docs/placement-service.md, run as it stands there, and the client that the commands use."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from lws_sched.api.lws import LEADER_WORKER_SET
from lws_sched.service.client import PlacementClient
from lws_sched.service.refusal import Refusal
from lws_sched.sim.manifests import rack_nodes
from tests.scenarios.manifests import lws
from tests.unit.service.served import ADMIN, NAME, VIEWER, Served, serving

PAGE = Path(__file__).parents[3] / "docs" / "placement-service.md"


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    """Two racks of two hosts; in `team`, wide waits, as no rack has three."""
    with serving(processes=1) as served:
        served.world.create_nodes(rack_nodes(2, 2))
        body = lws("wide", replicas=1, size=3).required().body
        body["metadata"]["namespace"] = "team"
        served.world.cluster.create(LEADER_WORKER_SET, body)
        served.world.settle()
        yield served


def test_the_example_is_short_and_prints_what_becomes_of_the_groups(served: Served, tmp_path: Path) -> None:
    (example,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert len(example.splitlines()) <= 22
    files = {"client.py": example, "ca.crt": served.authority.decode(), "token": f"{VIEWER}\n"}
    files["lws.yaml"] = yaml.safe_dump(lws("new", replicas=3, size=2).required().body)
    for name, text in files.items():
        (tmp_path / name).write_text(text)

    argv = [sys.executable, "client.py", f"127.0.0.1:{served.server.port}", "ca.crt", "token", "lws.yaml"]
    done = subprocess.run(argv, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)

    lines = done.stdout.splitlines()
    assert (done.returncode, done.stderr) == (0, "")
    assert {line for line in lines if "rack-" in line and "nowhere" not in line} == {
        "new-0 -> rack-00",
        "new-1 -> rack-01",
    }
    assert lines[2].startswith("new-2 -> nowhere: ")
    assert lines[3:] == ["wide-0 is Waiting"]


def client(served: Served, token: str = ADMIN) -> PlacementClient:
    return PlacementClient(f"127.0.0.1:{served.server.port}", served.authority, NAME, token)


def test_the_commands_client_gives_answers_in_their_terms(served: Served) -> None:
    manifests = yaml.safe_dump(lws("new", replicas=1, size=2).required().body)

    (answer,), notes = client(served).plan(manifests, "team")
    assert (answer.key, answer.feasible, answer.level, notes) == (
        "team/new-0",
        True,
        "topology.lws-sched.io/rack",
        (),
    )

    (moves,), _ = client(served).defragment(manifests, "team")
    assert (moves.answer.key, moves.steps, moves.moved) == ("team/new-0", (), 0)

    key, (group,) = client(served).explain("team", "wide")
    assert (key, group.group.key, group.group.state, group.group.size) == ("team/wide", "team/wide-0", "Waiting", 3)
    assert group.asked.required == "rack"


def test_the_commands_client_tells_refusals_apart(served: Served) -> None:
    with pytest.raises(Refusal) as raised:
        client(served).explain("team", "nothing")
    assert raised.value.code == "NOT_FOUND"
    with pytest.raises(Refusal) as raised:
        client(served, "stranger").plan("", "")
    assert raised.value.code == "UNAUTHENTICATED"
    nowhere = PlacementClient("127.0.0.1:1", served.authority, NAME, ADMIN)
    with pytest.raises(Refusal) as raised:
        nowhere.plan("", "")
    assert raised.value.code == "UNAVAILABLE"
