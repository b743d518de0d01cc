"""Starts a control plane with racks, for a fixture or for somebody's terminal (`make cluster`).

`start_plane` is what a test fixture calls:

    @pytest.fixture(scope="session")
    def plane() -> Iterator[ControlPlane]:
        with start_plane(racks=2) as plane:
            yield plane

`python -m tests.controlplane.start --racks 8` does the same for a person: it prints the
kubeconfig and runs until Ctrl-C.
"""

from __future__ import annotations

import argparse
import signal
import sys
import time
from pathlib import Path

from tests.controlplane.build import BuildFailed, GoMissing
from tests.controlplane.nodes import create_nodes, rack_nodes
from tests.controlplane.plane import ControlPlane, SchedulerConfig

HOSTS_PER_RACK = 16


def start_plane(
    racks: int = 0, hosts_per_rack: int = HOSTS_PER_RACK, scheduler_config: SchedulerConfig | None = None
) -> ControlPlane:
    """A started control plane with its racks Ready; use it as a context manager to have it stopped."""
    plane = ControlPlane(scheduler_config=scheduler_config)
    plane.start()
    try:
        create_nodes(plane, rack_nodes(racks, hosts_per_rack))
    except BaseException:
        plane.keep_logs()
        plane.stop()
        raise
    return plane


def main() -> int:
    """Run until interrupted; a missing compiler is one sentence and exit code 1."""
    options = _parse()
    # A terminal's Ctrl-C and a supervisor's SIGTERM end it the same way.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    started = time.monotonic()
    try:
        with start_plane(options.racks, options.hosts_per_rack, options.scheduler_config) as plane:
            count = options.racks * options.hosts_per_rack
            print(f"Kubernetes at {plane.url} with {count} nodes, up in {time.monotonic() - started:.1f} s.")
            print(f"\nexport KUBECONFIG={plane.kubeconfig}\nkubectl is {plane.bin('kubectl')}\n", flush=True)
            signal.pause()
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
    except (GoMissing, BuildFailed) as problem:
        print(problem, file=sys.stderr)
        return 1
    return 0


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="A real Kubernetes control plane with fake nodes, until Ctrl-C.")
    parser.add_argument("--racks", type=int, default=4)
    parser.add_argument("--hosts-per-rack", type=int, default=HOSTS_PER_RACK)
    parser.add_argument("--scheduler-config", type=Path, help="a KubeSchedulerConfiguration file")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
