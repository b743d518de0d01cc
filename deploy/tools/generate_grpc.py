"""Writes the Python side of lws_sched/service/placement.proto: messages, their types, and the stubs.

python -m deploy.tools.generate_grpc
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[2]
PROTO = Path("lws_sched/service/placement.proto")


def generated() -> dict[str, str]:
    """The text of every file, by its name. The compiler has a process of its own: beside it the solver, whose protobuf
    is another, aborts the process that imports it."""
    with tempfile.TemporaryDirectory() as folder:
        outputs = [f"--{kind}_out={folder}" for kind in ("python", "pyi", "grpc_python")]
        argv = [sys.executable, "-m", "grpc_tools.protoc", f"--proto_path={ROOT}", *outputs, str(ROOT / PROTO)]
        if subprocess.run(argv, check=False).returncode:
            raise SystemExit(f"{PROTO} cannot be compiled: see above")
        return {path.name: path.read_text() for path in sorted((Path(folder) / PROTO.parent).iterdir())}


def main() -> None:
    for name, text in generated().items():
        (ROOT / PROTO.parent / name).write_text(text)


if __name__ == "__main__":
    main()
