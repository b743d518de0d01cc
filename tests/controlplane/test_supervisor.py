"""What ends by itself is started again, what was killed stays down, and nobody is started twice."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.controlplane.process import Process
from tests.controlplane.supervisor import Supervisor
from tests.controlplane.wait import wait_until

ENDS_ONCE = "[ -e ended ] || { touch ended; echo its last words; exit 3; }; exec sleep 1000"
ENDS_ON_WORD = "while ! [ -e word ]; do sleep 0.01; done; rm word; exit 1"


@pytest.fixture
def supervisor() -> Iterator[Supervisor]:
    supervisor = Supervisor(back_off=0.0)
    yield supervisor
    supervisor.close()


def process(folder: Path, script: str) -> Process:
    return Process("child", ["sh", "-c", f"cd {folder}; {script}"], folder / "child.log")


def test_what_ends_by_itself_is_started_again_and_its_last_words_are_kept(
    supervisor: Supervisor, tmp_path: Path
) -> None:
    child = process(tmp_path, ENDS_ONCE)
    supervisor.watch(child)
    child.launch()
    wait_until(lambda: supervisor.restarts, "it is started again")
    [restart] = supervisor.restarts
    assert str(restart) == "child had ended by itself (status 3) and was started again: its last words"
    assert child.alive
    child.kill()


def test_one_that_ends_once_before_it_is_ready_is_waited_for(supervisor: Supervisor, tmp_path: Path) -> None:
    child = process(tmp_path, ENDS_ONCE)
    child.ready = lambda: bool(supervisor.restarts)
    supervisor.watch(child)
    child.start()
    assert child.alive
    child.kill()


@pytest.mark.parametrize("end", [Process.kill, Process.stop])
def test_what_was_told_to_end_stays_down_until_it_is_started(
    supervisor: Supervisor, tmp_path: Path, end: object
) -> None:
    assert callable(end)
    child, other = process(tmp_path, "exec sleep 1000"), process(tmp_path, ENDS_ONCE)
    for each in (child, other):
        supervisor.watch(each)
        each.launch()
    end(child)
    wait_until(lambda: supervisor.restarts, "the supervisor has looked since")
    assert (child.alive, child.crashed) == (False, False)
    child.start()
    assert child.alive
    child.kill()
    other.kill()


def test_whoever_kills_it_while_it_ends_by_itself_finds_it_down_afterwards(
    supervisor: Supervisor, tmp_path: Path
) -> None:
    child = process(tmp_path, ENDS_ON_WORD)
    supervisor.watch(child)
    for turn in range(8):
        child.start()
        (tmp_path / "word").touch()
        killers = [threading.Timer(0.005 * turn, child.kill) for _ in range(2)]
        for each in killers:
            each.start()
        for each in killers:
            each.join()
        assert not child.alive
        (tmp_path / "word").unlink(missing_ok=True)


def test_who_wants_it_up_and_finds_it_just_started_again_does_not_start_it_once_more(
    supervisor: Supervisor, tmp_path: Path
) -> None:
    child = process(tmp_path, ENDS_ON_WORD)
    supervisor.watch(child)
    child.start()
    for turn in range(8):
        (tmp_path / "word").touch()
        wait_until(lambda: not (tmp_path / "word").exists(), "it ends")
        child.ensure()
        wait_until(lambda: child.alive, f"it runs in turn {turn}")
    child.kill()


def test_one_that_keeps_ending_is_not_started_all_the_time(tmp_path: Path) -> None:
    supervisor = Supervisor(back_off=1000.0)
    child, other = process(tmp_path, "exit 1"), process(tmp_path, "exit 2")
    for each in (child, other):
        supervisor.watch(each)
        each.launch()
    wait_until(lambda: child.crashed and other.crashed, "both ended")
    supervisor.close()
    assert not supervisor.restarts
