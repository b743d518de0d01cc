"""Ports for servers that must be able to come back on the same port.

A port is drawn from below the kernel's ephemeral range. Inside that range an outgoing
connection of anybody may take the port while its server is down, and a client polling
for the server may even connect to itself and see it "listening".
"""

from __future__ import annotations

import random
import socket
from pathlib import Path

from tests.controlplane.wait import wait_until

LOCALHOST = "127.0.0.1"
LOWEST = 10_000
FALLBACK_EPHEMERAL_START = 32_768
_given: set[int] = set()
"""By this process: a server that is down, or not started yet, keeps its port."""


def free_ports(count: int) -> list[int]:
    """Different ports that nobody listens on now, that no outgoing connection will take, and that this process never
    gave before."""
    # Not a shared, seeded generator: two test runs at once must draw different ports.
    left = [port for port in range(LOWEST, _ephemeral_start()) if port not in _given]
    drawn = random.SystemRandom().sample(left, min(100 + count, len(left)))
    ports = [port for port in drawn if is_free(port)][:count]
    if len(ports) < count:
        raise OSError(f"only {len(ports)} of {len(drawn)} ports tried are free")
    _given.update(ports)
    return ports


def free_port() -> int:
    """One port as `free_ports` gives them."""
    return free_ports(1)[0]


def is_free(port: int) -> bool:
    with socket.socket() as probe:
        # What Go's listeners set too: a port in TIME_WAIT is free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOCALHOST, port))
        except OSError:
            return False
    return True


def wait_free(port: int, timeout: float = 30.0) -> None:
    """Wait until the server that had the port has let go of it."""
    wait_until(lambda: is_free(port), f"port {port} is let go of", timeout)


def _ephemeral_start() -> int:
    try:
        start = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    except (OSError, ValueError):
        start = FALLBACK_EPHEMERAL_START
    # A machine whose range starts low leaves nothing below it: then any port is a risk.
    return start if start > LOWEST + 1_000 else FALLBACK_EPHEMERAL_START
