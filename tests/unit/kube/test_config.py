from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from lws_sched.kube.config import ConfigError, connect


def kubeconfig(folder: Path, user: dict[str, str], **cluster: str) -> str:
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
    with pytest.raises(ConfigError, match=r"the kubeconfig .* cannot be used: .* choose another with --kubeconfig"):
        connect(kubeconfig(tmp_path, {}), context="missing")
