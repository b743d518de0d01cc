from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from lws_sched.kube.config import connect
from lws_sched.kube.errors import ConfigError, Unavailable


def kubeconfig(folder: Path, user: dict[str, Any], **cluster: str) -> str:
    path = folder / "config"
    content = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "c", "cluster": {"server": "https://cluster.example:6443/", **cluster}}],
        "users": [{"name": "u", "user": user}],
        "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
        "current-context": "x",
    }
    path.write_text(yaml.safe_dump(content))
    return str(path)


def written(folder: Path, content: object) -> str:
    path = folder / "config"
    path.write_text(yaml.safe_dump(content))
    return str(path)


def test_a_kubeconfig_gives_address_and_credentials(tmp_path: Path) -> None:
    connection = connect(kubeconfig(tmp_path, {"token": "secret"}))
    assert (connection.wires.host, connection.wires.root) == ("cluster.example:6443", "")
    assert connection.authorization() == "Bearer secret"


def test_a_user_with_a_certificate_alone_needs_no_header(tmp_path: Path) -> None:
    assert connect(kubeconfig(tmp_path, {})).authorization() is None


def test_a_gateway_s_path_comes_before_every_other(tmp_path: Path) -> None:
    connection = connect(kubeconfig(tmp_path, {}, server="https://gateway.example/clusters/c1/"))
    assert (connection.wires.host, connection.wires.root) == ("gateway.example", "/clusters/c1")


def test_a_proxy_carries_https_alone(tmp_path: Path) -> None:
    proxied = {"server": "http://cluster.example:8080", "proxy-url": "http://proxy.example:3128"}
    with pytest.raises(ConfigError, match=r"http://cluster.example:8080 cannot be reached through a proxy"):
        connect(kubeconfig(tmp_path, {}, **proxied))


def test_what_cannot_be_used_is_said_in_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="there is no kubeconfig file"):
        connect(str(tmp_path / "none"))
    no_server = {"clusters": [], "users": [], "contexts": [], "current-context": "x"}
    with pytest.raises(ConfigError, match=r"the kubeconfig .* cannot be used: .* choose another with --kubeconfig"):
        connect(written(tmp_path, no_server))


def test_a_plain_kubeconfig_is_read_without_the_client_library(tmp_path: Path) -> None:
    """Importing that takes longer than a command may take."""
    path = kubeconfig(tmp_path, {"token": "secret"})
    code = (
        "import sys; from lws_sched.kube.config import connect; "
        f"print(connect({path!r}).authorization(), 'kubernetes' in sys.modules)"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert said == "Bearer secret False\n"


def test_an_exec_plugin_is_left_to_the_client_library(tmp_path: Path) -> None:
    answer = {"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential", "status": {"token": "fresh"}}
    plugin = {"apiVersion": answer["apiVersion"], "command": "echo", "args": [json.dumps(answer)]}
    plugin |= {"interactiveMode": "Never"}
    assert connect(kubeconfig(tmp_path, {"exec": plugin})).authorization() == "Bearer fresh"


def test_a_token_file_is_read_at_every_request_and_goes_before_a_token(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("first\n")
    header = connect(kubeconfig(tmp_path, {"token": "old", "tokenFile": "token"})).authorization
    assert header() == "Bearer first"
    (tmp_path / "token").write_text("second")
    assert header() == "Bearer second"
    (tmp_path / "token").unlink()
    with pytest.raises(Unavailable, match=r"the token file .*token cannot be read: No such file"):
        header()


def test_a_context_that_is_not_there_is_told_with_those_that_are(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"config has no context missing: choose another with --context \(it has x\)"):
        connect(kubeconfig(tmp_path, {}), context="missing")
    path = kubeconfig(tmp_path, {})
    Path(path).write_text(Path(path).read_text().replace("current-context: x", "current-context: ''"))
    with pytest.raises(ConfigError, match=r"config names no current context: choose one with --context \(it has x\)"):
        connect(path)


def test_where_nothing_says_which_cluster_that_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("KUBECONFIG", raising=False)
    with pytest.raises(ConfigError, match=r"there is no ~/.kube/config, and KUBECONFIG is not set; give --kubeconfig"):
        connect()


def test_certificates_that_cannot_be_read_are_told(tmp_path: Path) -> None:
    broken = kubeconfig(tmp_path, {"client-certificate-data": "bm90IGEgY2VydGlmaWNhdGU="})
    with pytest.raises(ConfigError, match=r"the kubeconfig .* cannot be used: its certificates cannot be read"):
        connect(broken)
    with pytest.raises(ConfigError, match=r"its certificates cannot be read: .*No such file"):
        connect(kubeconfig(tmp_path, {"token": "t"}, **{"certificate-authority": "ca.crt"}))
