"""`lws-sched page` as a user runs it: an address is printed, the page is there, Ctrl-C ends it."""

from __future__ import annotations

import http.client
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from tests.unit.cli.commands import Files, racks, run


@contextmanager
def served(cluster: Path, *more: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The running command, and the address that it printed."""
    argv = [sys.executable, "-m", "lws_sched.cli.main", "page", "--cluster", str(cluster), *more]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield process, process.stdout.readline().strip()
        finally:
            process.terminate()


def get(address: str, cookie: str = "") -> tuple[int, str, str]:
    """Status, body, and the cookie that was given."""
    parts = urlsplit(address)
    connection = http.client.HTTPConnection(parts.netloc, timeout=10)
    connection.request("GET", f"{parts.path}?{parts.query}", headers={"Cookie": cookie} if cookie else {})
    answer = connection.getresponse()
    return answer.status, answer.read().decode(), (answer.getheader("Set-Cookie") or "").partition(";")[0]


def test_the_address_that_is_printed_opens_the_page_and_no_other_does(files: Files) -> None:
    with served(files.cluster(racks(2, 2))) as (process, address):
        origin = address.partition("?")[0]
        status, _, cookie = get(address)
        assert status == 303

        assert get(origin, cookie)[0] == 200
        assert '"use":"ffff"' in get(f"{origin}api/state", cookie)[1]
        assert get(f"{origin}api/state")[0] == 401

        process.send_signal(signal.SIGINT)
        assert process.wait(10) == 0


def test_a_port_in_use_and_a_bad_cluster_are_said_in_one_sentence(files: Files) -> None:
    cluster = files.cluster(racks(1, 1))
    with served(cluster) as (_, address):
        port = str(urlsplit(address).port)
        refused = run("page", "--cluster", cluster, "--port", port, "--no-open")

    assert refused.code == 1
    assert f"port {port} cannot be used, perhaps another program has it: choose another with --port" in refused.err
    assert run("page", "--cluster", files.folder / "none.yaml").err == "lws-sched: there is no file none.yaml\n"
