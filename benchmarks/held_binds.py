"""Bind calls that the extender holds: as kube-scheduler makes them, for groups whose last member never comes."""

from __future__ import annotations

import json
import select
import socket
import time
from collections.abc import Sequence
from typing import Self
from urllib.parse import urlsplit

from benchmarks.filter_calls import body_of, request_bytes, slot_of
from benchmarks.gang_plane import NAMESPACE, Json

HELD = "nothing of group"
"""What the answer says to a call that was held until its time was over."""


class HeldBinds:
    """One connection per call, as kube-scheduler opens them; leaving closes them all."""

    def __init__(self, verbs_url: str, pods: Sequence[Json]) -> None:
        self._address = urlsplit(verbs_url)
        self._pods = pods
        self._sockets: list[socket.socket] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for connection in self._sockets:
            connection.close()

    @property
    def made(self) -> int:
        return len(self._sockets)

    def make_one(self) -> None:
        """Call for the next pod, if there is one left."""
        if self.made == len(self._pods):
            return
        connection = socket.create_connection((self._address.hostname or "", self._address.port or 80), timeout=30)
        connection.sendall(request_bytes(self._address.netloc, "/bind", _arguments(self._pods[self.made])))
        self._sockets.append(connection)

    def answered(self) -> int:
        """How many are held no more."""
        watched = select.poll()
        for connection in self._sockets:
            watched.register(connection, select.POLLIN)
        return len(watched.poll(0))

    def refusals(self, seconds: float) -> list[str]:
        """What all calls were answered with, once they are. Raises RuntimeError where one gets no answer in time."""
        deadline = time.monotonic() + seconds
        while self.answered() < self.made:
            if time.monotonic() > deadline:
                raise RuntimeError(f"only {self.answered()} of {self.made} held bind calls were answered")
            time.sleep(0.1)
        return [str(json.loads(body_of(each.recv(1 << 16)) or b"{}").get("Error", "")) for each in self._sockets]


def _arguments(pod: Json) -> bytes:
    meta = pod["metadata"]
    arguments = {"PodName": meta["name"], "PodNamespace": NAMESPACE, "PodUID": meta["uid"], "Node": slot_of(pod)}
    return json.dumps(arguments).encode()
