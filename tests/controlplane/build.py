"""Builds the control plane's programs from their Go modules, once per machine.

The modules under `gomod/` pin every version with its checksum, so the build is
reproducible with `-mod=readonly`. Binaries go to the user's cache folder, in a folder
named after everything that decides what they are: the pinned modules, the build flags,
the Go release and the platform. Each binary is built under a temporary name and renamed,
so a killed build leaves no half-written program and the next one continues where it
stopped; a file lock keeps two builds apart.

A cold build takes minutes on two cores, so it says on stderr what it is doing, at least
every 15 seconds. `GoMissing` (one sentence, meant for the reader of a test report) is
raised when the Go compiler is not there or too old; `BuildFailed` carries its last words.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, NamedTuple

from tests.controlplane import janitor

GOMOD = Path(__file__).parent / "gomod"
TOOLS = Path(__file__).parent / "gomod_tools"
"""Apart, so that another version of a tool does not build the control plane anew."""
KUBERNETES_VERSION = "v1.37.2"
TICK_SECONDS = 15.0


class GoMissing(RuntimeError):
    """No usable Go compiler: the message is one sentence that says what to install."""


class BuildFailed(RuntimeError):
    """The Go compiler refused, or a module could not be fetched."""


class Component(NamedTuple):
    """One program: the folder under `gomod/` that pins it, and its main package."""

    name: str
    module: str
    package: str


COMPONENTS = (
    Component("etcd", "etcd", "go.etcd.io/etcd/server/v3"),
    Component("kube-apiserver", "kubernetes", "k8s.io/kubernetes/cmd/kube-apiserver"),
    Component("kube-controller-manager", "kubernetes", "k8s.io/kubernetes/cmd/kube-controller-manager"),
    Component("kube-scheduler", "kubernetes", "k8s.io/kubernetes/cmd/kube-scheduler"),
    Component("kubectl", "kubernetes", "k8s.io/kubernetes/cmd/kubectl"),
    Component("kwok", "kwok", "sigs.k8s.io/kwok/cmd/kwok"),
)


HELM = Component("helm", "helm", "helm.sh/helm/v3/cmd/helm")
"""No part of a control plane, but a tool of users. It is pinned to the control plane's versions of what both have in
common, so that most of it is compiled already."""


def binaries() -> Path:
    """The folder holding all programs of the control plane, built now if they are not there yet."""
    return _built(COMPONENTS, GOMOD)


def helm() -> Path:
    """Helm, built now if it is not there yet."""
    return _built((HELM,), TOOLS) / HELM.name


def _built(programs: Sequence[Component], modules: Path) -> Path:
    folder = _cache_root() / _key(modules)
    if all((folder / each.name).exists() for each in programs):
        return folder
    folder.mkdir(parents=True, exist_ok=True)
    with _exclusive(_cache_root() / "lock"):
        for each in programs:
            if not (folder / each.name).exists():
                _build(each, folder, modules)
    return folder


def _cache_root() -> Path:
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache) / "lws-sched" / "controlplane"


def _key(modules: Path) -> str:
    digest = hashlib.sha256()
    for path in sorted(modules.glob("*/go.*")):
        digest.update(f"{path.parent.name}/{path.name}\n".encode() + path.read_bytes())
    digest.update(" ".join([*_go_environment(), *_flags()]).encode())
    return digest.hexdigest()[:16]


def _go() -> str:
    go = shutil.which("go")
    if go is None:
        raise GoMissing(
            "Go is not installed: the test control plane is built from source, "
            f"so install Go {_go_release_needed()} or newer from https://go.dev/dl and put `go` on the PATH."
        )
    return go


def _go_release_needed() -> str:
    lines = (GOMOD / "kubernetes" / "go.mod").read_text().splitlines()
    return next(line.split()[1] for line in lines if line.startswith("go "))


def _go_environment() -> list[str]:
    """Go release and target platform, as Go itself sees them for these modules."""
    argv = [_go(), "env", "GOVERSION", "GOOS", "GOARCH"]
    # Asked inside a module, Go switches to (or refuses for want of) the release that module needs.
    run = subprocess.run(
        argv, cwd=GOMOD / "kubernetes", env=_environment(), capture_output=True, text=True, check=False
    )
    if run.returncode != 0:
        raise GoMissing(
            f"Go {_go_release_needed()} or newer is needed to build the test control plane "
            f"(install it from https://go.dev/dl), but `go` said: {run.stderr.strip()}"
        )
    return run.stdout.split()


def _environment() -> dict[str, str]:
    # A user's own GOFLAGS (say -mod=vendor) or go.work would change what is built.
    return {**os.environ, "CGO_ENABLED": "0", "GOFLAGS": "", "GOWORK": "off", **janitor.mark()}


def _flags() -> list[str]:
    # Without a version the API server calls itself v0.0.0-master and refuses its own feature gates.
    major, minor, _ = KUBERNETES_VERSION.removeprefix("v").split(".")
    stamp: Mapping[str, str] = {"gitVersion": KUBERNETES_VERSION, "gitMajor": major, "gitMinor": minor}
    packages = ("k8s.io/component-base/version", "k8s.io/client-go/pkg/version")
    stamps = [f"-X {package}.{name}={value}" for package in packages for name, value in stamp.items()]
    return ["-mod=readonly", "-trimpath", "-buildvcs=false", "-ldflags", " ".join(["-s", "-w", *stamps])]


def _build(component: Component, folder: Path, modules: Path) -> None:
    partial = folder / f"{component.name}.partial"
    argv = [_go(), "build", *_flags(), "-o", str(partial), component.package]
    started = time.monotonic()
    _say(f"building {component.name} ...")
    with tempfile.TemporaryFile() as output:
        child = subprocess.Popen(
            argv, cwd=modules / component.module, env=_environment(), stdout=output, stderr=subprocess.STDOUT
        )
        code = _wait_with_ticks(child, component.name, started)
        if code != 0:
            raise BuildFailed(f"building {component.name} failed (exit {code}):\n{_tail(output)}")
    partial.rename(folder / component.name)
    _say(f"built {component.name} in {time.monotonic() - started:.0f} s")


def _wait_with_ticks(child: subprocess.Popen[bytes], name: str, started: float) -> int:
    while True:
        try:
            return child.wait(timeout=TICK_SECONDS)
        except subprocess.TimeoutExpired:
            _say(f"still building {name}: {time.monotonic() - started:.0f} s")
        except BaseException:
            child.kill()
            child.wait()
            raise


def _tail(output: IO[bytes]) -> str:
    output.seek(0)
    return "\n".join(output.read().decode(errors="replace").splitlines()[-30:])


@contextmanager
def _exclusive(path: Path) -> Iterator[None]:
    """Hold the lock file; a second build waits here, and says so."""
    with path.open("w") as lock:
        told = -TICK_SECONDS
        while not _try_lock(lock):
            if time.monotonic() - told >= TICK_SECONDS:
                _say("another run is building the control plane: waiting for it")
                told = time.monotonic()
            time.sleep(0.5)
        yield


def _try_lock(lock: IO[str]) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _say(line: str) -> None:
    print(f"controlplane: {line}", file=sys.stderr, flush=True)


def main() -> int:
    """Build and print the folder; a missing compiler is one sentence and exit code 1."""
    try:
        print(binaries())
        helm()
    except (GoMissing, BuildFailed) as problem:
        print(problem, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
