"""Writes down everything an API server tells its watchers about pods, nodes, placements and sets, until SIGTERM.

`python -m tests.invariants.watchlog --kubeconfig FILE --out LOG` (or --url, --token, --ca). One thread per kind lists
once and then watches from the last resourceVersion it has seen, again and again. An API server that was restarted
refuses that (410), as it only remembers events since its start; but etcd still has every revision, so what happened
meanwhile is read back from it one revision at a time: nothing is missed. Only where etcd has compacted its history are
events lost: a `gap` line says so.

It prints `watching` once all kinds are listed. On SIGTERM it lists each kind once more, waits until its watch has come
that far, and notes it as `complete`: what follows the lowest of these cannot be judged, as other kinds may lag.
Times are of CLOCK_MONOTONIC, which all processes of a machine share.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import urllib3
import yaml

from tests.controlplane.client import ApiError, Client, Object, path_of

RESOURCES = (
    "pods",
    "nodes",
    "lws-sched.io/v1alpha1/groupplacements",
    "leaderworkerset.x-k8s.io/v1/leaderworkersets",
)
WATCH_SECONDS = 300.0
RETRY_SECONDS = 0.1
SYNC_SECONDS = 15.0
GONE = 410


class Sink:
    """The log file. Each line is one write, so lines of several threads never mix."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)

    def write(self, **line: Any) -> None:
        os.write(self._file, msgspec.json.encode({"t": time.monotonic(), **line}) + b"\n")


class Watcher:
    """Follows one kind on a thread of its own."""

    def __init__(self, client: Client, resource: str, sink: Sink) -> None:
        self._client, self._sink = client, sink
        self._path = path_of(resource)
        self._seen: dict[tuple[str, str], Object] = {}
        self._rv = ""
        self._kind = ""
        self.listed = threading.Event()

    def start(self) -> None:
        threading.Thread(target=self._run, name=self._path, daemon=True).start()

    def sync(self, seconds: float) -> None:
        """Wait until everything that a list shows now has been seen, and note it."""
        now = self._client.get(self._path)
        wanted = {_key(each): _rv(each) for each in now["items"]}
        deadline = time.monotonic() + seconds
        while not self._has(wanted, int(now["metadata"]["resourceVersion"])):
            if time.monotonic() > deadline:
                self._sink.write(gap=self._kind)
                return
            time.sleep(RETRY_SECONDS / 5)
        self._sink.write(complete=self._kind, rv=int(now["metadata"]["resourceVersion"]))

    def _has(self, wanted: dict[tuple[str, str], int], rv: int) -> bool:
        seen = {key: _rv(each) for key, each in list(self._seen.items())}
        late = any(seen.get(key, 0) < at for key, at in wanted.items() if at > int(self._rv))
        # What was created after the list is no sign of a late watch; what is older and not listed is gone already.
        return not late and all(key in wanted or at > rv for key, at in seen.items())

    def _run(self) -> None:
        while True:
            try:
                if not self._rv:
                    self._start()
                self._watch()
            except ApiError as refusal:
                if refusal.status == GONE:
                    self._catch_up()
                time.sleep(RETRY_SECONDS)
            except (urllib3.exceptions.HTTPError, OSError, msgspec.DecodeError):
                time.sleep(RETRY_SECONDS)

    def _start(self) -> None:
        answer = self._client.get(self._path)
        self._kind = answer["kind"].removesuffix("List")
        self._take(answer, listed=True)
        self.listed.set()

    def _watch(self) -> None:
        for event in self._client.watch(self._path, self._rv, WATCH_SECONDS):
            if event.type != "BOOKMARK":
                self._note(event.type, event.object)
            self._rv = event.object["metadata"]["resourceVersion"]

    def _catch_up(self) -> None:
        """Read back what happened since the last event, one revision at a time; note a gap where that is no more."""
        try:
            now = int(self._client.get(self._path, limit="1")["metadata"]["resourceVersion"])
            for rv in range(int(self._rv) + 1, now + 1):
                self._take(self._client.get(self._path, resourceVersion=str(rv), resourceVersionMatch="Exact"))
        except ApiError as refusal:
            if refusal.status == GONE:
                self._sink.write(gap=self._kind)
                self._take(self._client.get(self._path))
        except (urllib3.exceptions.HTTPError, OSError, msgspec.DecodeError):
            return

    def _take(self, answer: Object, **more: Any) -> None:
        """Note what a list shows that was not seen yet."""
        rv = answer["metadata"]["resourceVersion"]
        found = {_key(each): each for each in answer["items"]}
        for key in sorted(self._seen.keys() - found.keys()):
            gone = self._seen[key]
            self._note("DELETED", {**gone, "metadata": {**gone["metadata"], "resourceVersion": rv}}, **more)
        for key, each in found.items():
            if key not in self._seen or _rv(self._seen[key]) != _rv(each):
                self._note("MODIFIED" if key in self._seen else "ADDED", {**each, "kind": self._kind}, **more)
        self._rv = rv

    def _note(self, type: str, obj: Object, **more: Any) -> None:
        obj["metadata"].pop("managedFields", None)
        self._sink.write(type=type, object=obj, **more)
        if type == "DELETED":
            self._seen.pop(_key(obj), None)
        else:
            self._seen[_key(obj)] = obj


def _key(obj: Object) -> tuple[str, str]:
    return obj["metadata"].get("namespace", ""), obj["metadata"]["name"]


def _rv(obj: Object) -> int:
    return int(obj["metadata"]["resourceVersion"])


def run(client: Client, out: Path) -> None:
    """Watch until SIGTERM or SIGINT."""
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    sink = Sink(out)
    watchers = [Watcher(client, resource, sink) for resource in RESOURCES]
    for watcher in watchers:
        watcher.start()
    while not stop.is_set() and not all(watcher.listed.is_set() for watcher in watchers):
        stop.wait(RETRY_SECONDS)
    print("watching", flush=True)
    stop.wait()
    for watcher in watchers:
        watcher.sync(SYNC_SECONDS)


def main(argv: Sequence[str] | None = None) -> int:
    options = _parse(argv)
    url, token, ca = options.url, options.token, options.ca
    if options.kubeconfig:
        config = yaml.safe_load(options.kubeconfig.read_text())
        cluster = config["clusters"][0]["cluster"]
        url, ca = cluster["server"], Path(cluster["certificate-authority"])
        token = config["users"][0]["user"]["token"]
    run(Client(url, token, ca), options.out)
    return 0


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.invariants.watchlog", description="Write a watch log.")
    parser.add_argument("--kubeconfig", type=Path, help="a file with one cluster and one user, by token")
    parser.add_argument("--url", help="the API server, instead of a kubeconfig")
    parser.add_argument("--token")
    parser.add_argument("--ca", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    return parser.parse_args(argv)


if __name__ == "__main__":
    sys.exit(main())
