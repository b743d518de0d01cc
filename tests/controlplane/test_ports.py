"""Ports are drawn before their servers listen."""

from __future__ import annotations

import pytest

from tests.controlplane import ports


def test_a_port_is_given_once_although_nobody_listens_on_it_yet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ports, "_given", set[int]())
    monkeypatch.setattr(ports, "_ephemeral_start", lambda: ports.LOWEST + 200)
    given = [port for _ in range(10) for port in ports.free_ports(15)]
    assert len(set(given)) == len(given)


def test_where_too_few_are_left_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ports, "_given", set(range(ports.LOWEST, ports.LOWEST + 8)))
    monkeypatch.setattr(ports, "_ephemeral_start", lambda: ports.LOWEST + 10)
    with pytest.raises(OSError, match="of 2 ports tried are free"):
        ports.free_ports(3)
