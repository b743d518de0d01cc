"""What a process of the control plane has used, as the kernel counts it."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.controlplane.plane import ControlPlane


def cpu_seconds(pid: int) -> float:
    """User and system time so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def cpu_of_each(plane: ControlPlane, names: Sequence[str]) -> dict[str, float]:
    """User and system time of these components so far."""
    return {name: cpu_seconds(plane.component(name).pid) for name in names}


def spent(before: Mapping[str, float], after: Mapping[str, float]) -> dict[str, float]:
    """Seconds between the two, by component."""
    return {name: round(after[name] - before[name], 2) for name in after}


def resident_mb(pid: int) -> float:
    """Memory that is in use now, MB (10^6 bytes)."""
    return _status(pid, "VmRSS")


def peak_mb(pid: int) -> float:
    """The most memory that was ever in use, MB."""
    return _status(pid, "VmHWM")


def _status(pid: int, field: str) -> float:
    match = re.search(rf"{field}:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    assert match is not None
    return round(int(match[1]) * 1.024 / 1000, 1)
