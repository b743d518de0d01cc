"""How long `plan` takes on a large cluster, and every command on a small one: `python -m benchmarks.plan_latency`.

On a real control plane with 5,000 fake nodes, half of them in part taken, each question asked by the command as a user
runs it, a process of its own from its start to its end:

- `live`: `lws-sched plan` reading the cluster itself, with the two dry runs that ask admission;
- `served`: `lws-sched plan --server`, which asks the placement service: the cluster is read by nobody;
- `offline`: `lws-sched plan --cluster` on what `kubectl get nodes,pods -A` printed, as YAML and as JSON;
- `search_ms`: the planning alone, inside `live`'s question, without reading and start-up;
- `start`: each command on a file with 64 nodes, and `--help`: what it costs beyond what it asks of the API server.

Commands run as installed ones do, with their bytecode beside them: from a bare source tree each would be compiled anew
wherever the environment forbids to keep it.

The last line is one JSON object; times are milliseconds.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from random import Random
from typing import Any

import yaml

from benchmarks.plan_agreement import CLASSES, PODS, PRIORITIES, draw
from lws_sched.cli.source import Source, read_files, sets_in
from lws_sched.intake.what_if import what_if
from tests.controlplane.nodes import create_nodes, rack_nodes
from tests.controlplane.plane import ControlPlane
from tests.controlplane.ports import LOCALHOST
from tests.controlplane.start import start_plane
from tests.scenarios.manifests import pod
from tests.system import LwsSched

HOSTS_PER_RACK = 16
COMMAND = (sys.executable, "-m", "lws_sched.cli.main")
START = {
    "--help": ("--help",),
    "status": ("status",),
    "explain": ("explain", "tried-0"),
    "top": ("top",),
    "topology": ("topology",),
    "plan": ("plan", "-f", "{manifest}"),
    "defrag": ("defrag", "--for", "{manifest}"),
    "drain": ("drain", "rack-00"),
}
Json = dict[str, Any]


def main() -> int:
    options = _parse()
    random = Random(options.seed)
    with start_plane(0) as plane:
        racks = rack_nodes(-(-options.nodes // HOSTS_PER_RACK), HOSTS_PER_RACK)[: options.nodes]
        create_nodes(plane, racks, timeout=300)
        _fill(plane, racks, random)
        for name, value in PRIORITIES.items():
            plane.client.create(CLASSES, {"metadata": {"name": name}, "value": value})
        product = LwsSched(plane)
        product.install()
        result = _measured(product, random, options.rounds)
    print(json.dumps({"benchmark": "plan_latency", "nodes": options.nodes, "rounds": options.rounds, **result}))
    return 0


def _fill(plane: ControlPlane, nodes: Sequence[Json], random: Random) -> None:
    """A pod of no group on every second node."""
    names = [node["metadata"]["name"] for node in nodes]
    bodies = [
        pod(f"filler-{number}", accelerators=random.choice((2, 4, 8)), node=name)
        for number, name in enumerate(random.sample(names, len(names) // 2))
    ]
    with ThreadPoolExecutor(16) as pool:
        list(pool.map(lambda body: plane.client.create(PODS, body), bodies))


def _measured(product: LwsSched, random: Random, rounds: int) -> Json:
    plane = product.plane
    folder = plane.workdir
    manifests = []
    for number in range(rounds):
        manifest = folder / f"tried-{number}.yaml"
        manifest.write_text(yaml.safe_dump(draw(random, f"tried-{number}").body))
        manifests.append(manifest)
    files = {kind: folder / f"cluster.{kind}" for kind in ("yaml", "json")}
    for kind, path in files.items():
        path.write_text(plane.kubectl("get", "nodes,pods", "-A", "-o", kind))
    environment = {"KUBECONFIG": str(plane.kubeconfig)}
    _plan(manifests[0], **environment)  # not counted: it leaves the bytecode behind
    live = [_plan(each, **environment) for each in manifests]
    offline = {
        kind: _percentiles([_plan(each, "--cluster", str(path)) for each in manifests[:10]])
        for kind, path in files.items()
    }
    return {
        "live_ms": _percentiles(live),
        "served_ms": _percentiles(_served(product, manifests)),
        "search_ms": _percentiles(_searches(plane, manifests)),
        "offline_ms": offline,
        "start_ms": _start(folder),
    }


def _served(product: LwsSched, manifests: Sequence[Path]) -> list[float]:
    """The first question is not counted: with it the service starts a planning process and tells it of the cluster."""
    environment = {"KUBECONFIG": str(product.plane.kubeconfig), "LWS_SCHED_TOKEN": product.plane.token}
    server = ("--server", f"{LOCALHOST}:{product.placement_port}")
    took = [_plan(each, *server, **environment) for each in (manifests[0], *manifests)]
    return took[1:]


def _searches(plane: ControlPlane, manifests: Sequence[Path]) -> list[float]:
    opened = Source(kubeconfig=str(plane.kubeconfig)).live()
    took = []
    for manifest in manifests:
        sets = sets_in(read_files([str(manifest)]), "default")
        cluster = opened.read()
        shapes = opened.shapes(cluster, sets)
        began = time.perf_counter()
        what_if(cluster, sets, shapes, now=opened.now())
        took.append(1000 * (time.perf_counter() - began))
    return took


def _start(folder: Path) -> Json:
    """Each command on a small cluster in a file, the best of five: what else the machine does is no part of it."""
    manifest, cluster = folder / "tried.yaml", folder / "small.yaml"
    body = draw(Random(1), "tried").body
    manifest.write_text(yaml.safe_dump(body))
    items = [*rack_nodes(4, HOSTS_PER_RACK), {**body, "metadata": {**body["metadata"], "namespace": "default"}}]
    cluster.write_text(yaml.safe_dump({"apiVersion": "v1", "kind": "List", "items": items}))
    found = {}
    for name, words in START.items():
        arguments = [word.format(manifest=manifest) for word in words]
        where = () if name == "--help" else ("--cluster", str(cluster), "-o", "json")
        found[name] = round(min(_timed(*arguments, *where) for _ in range(5)), 1)
    return found


def _plan(manifest: Path, *arguments: str, **environment: str) -> float:
    return _timed("plan", "-f", str(manifest), *arguments, "-o", "json", **environment)


def _timed(*arguments: str, **environment: str) -> float:
    """Milliseconds of a command from its start to its end. Its answer may be that something does not fit."""
    inherited = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    began = time.perf_counter()
    done = subprocess.run([*COMMAND, *arguments], env={**inherited, **environment}, capture_output=True, check=False)
    took = 1000 * (time.perf_counter() - began)
    if done.returncode not in (0, 3):
        raise RuntimeError(f"{' '.join(arguments)}: {done.stderr.decode()}")
    return took


def _percentiles(took: Sequence[float]) -> Json:
    deciles = statistics.quantiles(took, n=20)
    return {"p50": round(deciles[9], 1), "p95": round(deciles[18], 1)}


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nodes", type=int, default=5000)
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--seed", type=int, default=1)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
