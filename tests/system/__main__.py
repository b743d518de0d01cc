"""`make cluster`: a real control plane with fake nodes, our controller and extender, until Ctrl-C."""

from __future__ import annotations

import argparse
import signal
import sys
import time
from pathlib import Path

from tests.controlplane.build import BuildFailed, GoMissing
from tests.controlplane.nodes import create_nodes, rack_nodes
from tests.controlplane.start import start_plane
from tests.system.product import ROOT, LwsSched


def main() -> int:
    options = _parse()
    # A terminal's Ctrl-C and a supervisor's SIGTERM end it the same way.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    racks = -(-options.nodes // options.hosts_per_rack)
    started = time.monotonic()
    try:
        print(f"Starting Kubernetes with {options.nodes} nodes in {racks} racks ...", flush=True)
        with start_plane(0) as plane:
            create_nodes(plane, rack_nodes(racks, options.hosts_per_rack)[: options.nodes])
            LwsSched(plane).install()
            print(f"Up in {time.monotonic() - started:.1f} s. In another terminal:\n")
            _introduce(plane.kubeconfig, plane.bin("kubectl"))
            for name in ("scheduler", "controller-manager"):
                plane.supervise(name)
            signal.pause()
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
    except (GoMissing, BuildFailed) as problem:
        print(problem, file=sys.stderr)
        return 1
    return 0


def _introduce(kubeconfig: Path, kubectl: Path) -> None:
    sample = ROOT / "deploy" / "samples" / "first.yaml"
    print(f"  export KUBECONFIG={kubeconfig}")
    # kubectl, and beside this Python lws-sched and kubectl-lws.
    print(f"  export PATH={kubectl.parent}:{Path(sys.executable).parent}:$PATH\n")
    print(f"  kubectl apply -f {sample.relative_to(ROOT)} && kubectl get lws,gp,pods -o wide\n")
    print("Ctrl-C ends it and removes everything.", flush=True)


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make cluster", description=__doc__)
    parser.add_argument("--nodes", type=int, default=1000)
    parser.add_argument("--hosts-per-rack", type=int, default=16)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
