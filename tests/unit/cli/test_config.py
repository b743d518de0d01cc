from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from lws_sched.cli.config import (
    FLAGS,
    Common,
    Configuration,
    Duration,
    ExtenderConfiguration,
    InvalidConfiguration,
    address,
    described,
    namespace_of,
)
from lws_sched.cli.config_file import load, read

HEAD = "apiVersion: config.lws.x-k8s.io/v1alpha1\nkind: Configuration\n"
UPSTREAM = (
    HEAD
    + """\
leaderElection:
  leaderElect: true
  resourceName: b8b2488c.x-k8s.io
internalCertManagement:
  enable: true
  webhookServiceName: lws-webhook-service
clientConnection:
  qps: 500
  burst: 500
"""
)


def parsed(text: str, **overrides: Any) -> Configuration:
    return read(Configuration, text, "lws.yaml", {path.replace("__", "."): value for path, value in overrides.items()})


def test_without_a_file_everything_has_the_projects_defaults() -> None:
    found = parsed("")

    election, certs = found.leader_election, found.internal_cert_management
    assert (election.lease_duration, election.renew_deadline, election.retry_period) == (15.0, 10.0, 2.0)
    assert (election.leader_elect, election.resource_name) == (True, "b8b2488c.x-k8s.io")
    assert (certs.enable, certs.webhook_secret_name) == (True, "lws-webhook-server-cert")
    assert (found.webhook.port, found.metrics.bind_address) == (9443, ":8443")
    assert found.health.health_probe_bind_address == ":8081"
    assert found.gang_scheduling_management is None


def test_a_file_of_the_leaderworkerset_project_is_read_as_it_is() -> None:
    found = parsed(UPSTREAM)

    assert found.client_connection.qps == 500
    assert found.internal_cert_management.webhook_secret_name == "lws-webhook-server-cert"


def test_a_section_given_in_part_keeps_its_other_defaults() -> None:
    found = parsed(HEAD + "leaderElection:\n  leaseDuration: 1m30s\n  renewDeadline: null\n")

    election = found.leader_election
    assert (election.lease_duration, election.renew_deadline, election.resource_name) == (
        90.0,
        10.0,
        "b8b2488c.x-k8s.io",
    )


def test_what_is_given_empty_is_as_if_it_were_not_given() -> None:
    found = parsed(HEAD + 'metrics:\n  bindAddress: ""\ntls:\n  minVersion: ""\n')

    assert (found.metrics.bind_address, found.tls.min_version) == (":8443", "VersionTLS12")


@pytest.mark.parametrize(("renew", "elect"), [("8s", True), ("1s", False)])
def test_terms_that_other_programs_accept_are_accepted_and_without_election_any_are(renew: str, elect: bool) -> None:
    given = f"leaderElection:\n  leaderElect: {str(elect).lower()}\n  renewDeadline: {renew}\n  retryPeriod: 6s\n"

    assert parsed(HEAD + given).leader_election.renew_deadline == float(renew[:-1])


def test_a_flag_overrides_the_file() -> None:
    found = parsed(UPSTREAM, leaderElection__leaderElect=False, leaderElection__retryPeriod="1s")

    assert (found.leader_election.leader_elect, found.leader_election.retry_period) == (False, 1.0)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param("a: [", "line 1: this is not YAML", id="no yaml"),
        pytest.param("- a", "line 1: the configuration must be a mapping", id="no mapping"),
        pytest.param("kind: Configuration\n", "apiVersion: must be config.lws.x-k8s.io/v1alpha1", id="no version"),
        pytest.param(
            HEAD.replace("Configuration", "Deployment"),
            "line 2: kind: must be Configuration, and is Deployment",
            id="another kind",
        ),
        pytest.param(HEAD + "webhook:\n  prot: 3\n", "line 4: webhook.prot: there is no such field", id="unknown"),
        pytest.param(HEAD + "kind: X\n", "line 3: kind: is given twice, first in line 2", id="twice"),
        pytest.param(HEAD + "webhook:\n  port: '1'\n", "line 4: webhook.port: expected `int`, got `str`", id="type"),
        pytest.param(HEAD + "webhook:\n  port: 70000\n", "line 4: webhook.port: expected `int` <= 65535", id="range"),
        pytest.param(
            HEAD + "webhook: {url: 'http://x'}\n", "line 3: webhook.url: must be https://host:port", id="no https"
        ),
        pytest.param(
            HEAD + "leaderElection:\n  leaseDuration: 15\n",
            "line 4: leaderElection.leaseDuration: 15 is not a duration such as 15s",
            id="no unit",
        ),
        pytest.param(
            HEAD + "leaderElection:\n  leaseDuration: 5s\n",
            "line 3: leaderElection: needs leaseDuration > renewDeadline",
            id="durations that contradict each other",
        ),
        pytest.param(
            HEAD + "leaderElection:\n  resourceLock: endpoints\n",
            "line 4: leaderElection.resourceLock: must be leases",
            id="another lock",
        ),
        pytest.param(
            HEAD + "metrics:\n  bindAddress: x\n", "line 4: metrics.bindAddress: 'x' is not an address", id="address"
        ),
        pytest.param(
            HEAD + "health:\n  livenessEndpointName: healthz\n",
            "line 4: health.livenessEndpointName: must be a path",
            id="path",
        ),
        pytest.param(HEAD + "tls:\n  minVersion: '1.2'\n", "line 4: tls.minVersion: must be one of", id="tls"),
        pytest.param(
            HEAD + "tls:\n  minVersion: VersionTLS13\n  cipherSuites: [TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256]\n",
            "line 5: tls.cipherSuites: cannot be chosen for VersionTLS13",
            id="suites of TLS 1.3",
        ),
        pytest.param(
            HEAD + "tls:\n  cipherSuites: [RC4]\n", "line 4: tls.cipherSuites: 'RC4' is not one of", id="weak suite"
        ),
        pytest.param(
            HEAD + "gangSchedulingManagement: {}\n",
            "line 3: gangSchedulingManagement.schedulerProvider: must be volcano, and is not given",
            id="no provider",
        ),
        pytest.param(
            HEAD + "internalCertManagement:\n  webhookServiceName: A_b\n",
            "line 4: internalCertManagement.webhookServiceName: 'A_b' is not the name of a Service",
            id="service name",
        ),
        pytest.param(
            HEAD + "internalCertManagement:\n  webhookSecretName: A_b\n",
            "line 4: internalCertManagement.webhookSecretName: 'A_b' is not the name of a Secret",
            id="secret name",
        ),
    ],
)
def test_a_bad_file_is_one_sentence_with_the_line_and_the_field(text: str, message: str) -> None:
    with pytest.raises(InvalidConfiguration) as refused:
        parsed(text)

    assert str(refused.value).startswith(f"lws.yaml: {message}")
    assert "\n" not in str(refused.value)


def test_names_that_nobody_uses_are_not_judged() -> None:
    found = parsed(HEAD + "internalCertManagement:\n  enable: false\n  webhookServiceName: ''\n")

    assert not found.internal_cert_management.enable


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidConfiguration, match=r"missing\.yaml cannot be read"):
        load(Configuration, tmp_path / "missing.yaml", {})


def test_the_extender_has_a_kind_of_its_own() -> None:
    head = "apiVersion: config.lws-sched.io/v1alpha1\nkind: ExtenderConfiguration\n"

    found = read(ExtenderConfiguration, head + "verbs: {bindAddress: ':8900'}\n", "e.yaml", {})

    assert found.verbs.bind_address == ":8900"
    with pytest.raises(InvalidConfiguration, match=r"line 3: gangSchedulingManagement: there is no such field"):
        read(ExtenderConfiguration, head + "gangSchedulingManagement: {}\n", "e.yaml", {})


@pytest.mark.parametrize(
    ("text", "seconds"), [("15s", 15), ("1m30s", 90), ("500ms", 0.5), ("1h", 3600), ("1.5h", 5400), ("2us", 2e-6)]
)
def test_durations(text: str, seconds: float) -> None:
    assert Duration.parse(text) == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["", "15", "s", "15 s", "1d", "-1s", 15])
def test_what_is_no_duration_is_refused(text: object) -> None:
    with pytest.raises(ValueError, match="is not a duration"):
        Duration.parse(text)


@pytest.mark.parametrize(
    ("text", "where"),
    [(":8443", ("0.0.0.0", 8443)), ("127.0.0.1:1", ("127.0.0.1", 1)), ("[::1]:80", ("::1", 80)), ("0", None)],
)
def test_addresses(text: str, where: tuple[str, int] | None) -> None:
    assert address(text) == where


def test_the_namespace_is_the_pods_own_then_the_files_then_the_projects(tmp_path: Path) -> None:
    account = tmp_path / "namespace"
    named = parsed(HEAD + "leaderElection: {resourceNamespace: elsewhere}\n")

    assert namespace_of(parsed(""), account) == "lws-system"
    assert namespace_of(named, account) == "elsewhere"
    account.write_text("mine\n")
    assert namespace_of(named, account) == "mine"


@pytest.mark.parametrize("kind", [Configuration, ExtenderConfiguration])
def test_every_flag_stands_for_a_field(kind: type[Common]) -> None:
    assert all(described(flag.path, kind)[0] for flag in FLAGS)
