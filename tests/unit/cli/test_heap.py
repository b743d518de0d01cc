"""What the two processes tell the C library of their memory."""

from __future__ import annotations

import ctypes
import re
import subprocess
import sys

import pytest

from lws_sched.cli.heap import ARENAS

PROGRAM = """
import ctypes, threading
from pathlib import Path
from lws_sched.cli.processes import Invocation, {run}

assert {run}(Invocation(Path("not-there"), None, {{}}, "lws-system", "critical")) == 1
begun, ended = threading.Barrier(33), threading.Event()

def work():
    block = bytearray(100_000)
    begun.wait()
    ended.wait()

for _ in range(32):
    threading.Thread(target=work, daemon=True).start()
begun.wait()
ctypes.CDLL(None).malloc_stats()
"""


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "malloc_stats"), reason="not glibc")
@pytest.mark.parametrize("run", ["run_controller", "run_extender"])
def test_threads_share_a_few_arenas(run: str) -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM.format(run=run)], capture_output=True, text=True, check=True)
    assert len(re.findall(r"^Arena \d+:", done.stderr, re.MULTILINE)) <= ARENAS
