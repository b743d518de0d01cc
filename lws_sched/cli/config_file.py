"""Reads a configuration file strictly: an unknown or repeated field, or a value that makes no sense, is one sentence
that names the file, the line and the field."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import yaml

from lws_sched.cli.config import (
    API_VERSIONS,
    CIPHER_SUITES,
    OFF,
    TLS_VERSIONS,
    VOLCANO,
    Common,
    Configuration,
    ExtenderConfiguration,
    InternalCertManagement,
    InvalidConfiguration,
    LeaderElection,
    Section,
    Tls,
    address,
    terms,
)

C = TypeVar("C", bound=Common)


def load(kind: type[C], path: Path | None, overrides: Mapping[str, Any]) -> C:
    """The configuration of a file (of none: the defaults), overridden by dotted path. Raises InvalidConfiguration."""
    text = ""
    if path is not None:
        try:
            text = path.read_text()
        except (OSError, UnicodeDecodeError) as problem:
            raise InvalidConfiguration(f"the configuration {path} cannot be read: {problem}") from problem
    return read(kind, text, str(path or "the flags"), overrides)


def read(kind: type[C], text: str, name: str, overrides: Mapping[str, Any]) -> C:
    """The configuration that a text says. `name` is what messages call it. Raises InvalidConfiguration."""
    lines: dict[str, int] = {}
    document = _document(kind, text, name, lines)
    for path, value in overrides.items():
        lines.pop(path, None)
        _put(document, path.split("."), value)
    try:
        configuration = msgspec.convert(_completed(kind, document), kind, dec_hook=_decode)
    except msgspec.ValidationError as problem:
        raise _located(name, lines, *_place_and_cause(str(problem))) from None
    for path, cause in _problems(configuration):
        raise _located(name, lines, path, cause)
    return configuration


# --- reading ---------------------------------------------------------------------------------------------------------
def _document(kind: type[Common], text: str, name: str, lines: dict[str, int]) -> dict[str, Any]:
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        if node is None:
            return {"apiVersion": API_VERSIONS[kind], "kind": kind.__name__}
        _check_keys(node, "", name, lines)
        document = yaml.safe_load(text)
    except yaml.MarkedYAMLError as problem:
        mark = problem.problem_mark
        where = f"{name}: line {mark.line + 1}" if mark else name
        raise InvalidConfiguration(f"{where}: this is not YAML: {problem.problem}") from None
    if not isinstance(document, dict):
        raise InvalidConfiguration(f"{name}: line 1: the configuration must be a mapping of fields")
    return document


def _check_keys(node: yaml.Node, path: str, name: str, lines: dict[str, int]) -> None:
    """Note the line of every field; refuse a field that is given twice, of which YAML would keep the last."""
    if not isinstance(node, yaml.MappingNode):
        return
    for key, value in node.value:
        field, line = f"{path}{key.value}", key.start_mark.line + 1
        if field in lines:
            raise InvalidConfiguration(
                f"{name}: line {line}: {field}: is given twice, first in line {lines[field]}; remove one of them"
            )
        lines[field] = line
        _check_keys(value, f"{field}.", name, lines)


def _completed(kind: type[Common], document: dict[str, Any]) -> dict[str, Any]:
    """With each process's own defaults in sections that the file gives in part; a null is an absent field, and so is an
    empty text."""
    defaults = {field.encode_name: field.default for field in msgspec.structs.fields(kind)}
    whole = dict(document)
    for field, value in document.items():
        if value is None:
            del whole[field]
        elif isinstance(value, dict) and isinstance(defaults.get(field), Section):
            own = msgspec.to_builtins(defaults[field], enc_hook=str)
            whole[field] = own | {key: each for key, each in value.items() if each not in (None, "")}
    return whole


def _decode(type_: type[Any], value: Any) -> Any:
    return type_.parse(value)


def _put(document: dict[str, Any], path: list[str], value: Any) -> None:
    for part in path[:-1]:
        if not isinstance(document.get(part), dict):
            document[part] = {}
        document = document[part]
    document[path[-1]] = value


_AT = re.compile(r"(?P<cause>.*?)(?: - at `\$\.?(?P<path>[^`]*)`)?", re.DOTALL)
_UNKNOWN = re.compile(r"Object contains unknown field `(?P<field>[^`]*)`")


def _place_and_cause(text: str) -> tuple[str, str]:
    """The field that the decoder complains of, and its complaint."""
    match = _AT.fullmatch(text)
    assert match is not None
    path, cause = match["path"] or "", match["cause"]
    unknown = _UNKNOWN.fullmatch(cause)
    if unknown is None:
        return path, cause[0].lower() + cause[1:]
    field = ".".join(part for part in (path, unknown["field"]) if part)
    return field, "there is no such field; see docs/configuration.md"


def _located(name: str, lines: Mapping[str, int], path: str, cause: str) -> InvalidConfiguration:
    """The error of a field; a field that the file does not give is looked for where it is missing."""
    parts = path.split(".")
    places = (".".join(parts[:count]) for count in range(len(parts), 0, -1))
    line = next((f" line {lines[place]}:" for place in places if place in lines), "")
    return InvalidConfiguration(f"{name}:{line} {path}: {cause}" if path else f"{name}: {cause}")


# --- rules -----------------------------------------------------------------------------------------------------------
_DNS_1035 = re.compile(r"[a-z]([-a-z0-9]{0,61}[a-z0-9])?")
_DNS_1123_SUBDOMAIN = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")


def _problems(configuration: Common) -> Iterator[tuple[str, str]]:
    kind = type(configuration)
    if configuration.api_version != API_VERSIONS[kind]:
        yield "apiVersion", f"must be {API_VERSIONS[kind]}, and is {configuration.api_version or 'not given'}"
    if configuration.kind != kind.__name__:
        yield "kind", f"must be {kind.__name__}, and is {configuration.kind or 'not given'}"
    yield from _election_problems(configuration.leader_election)
    yield from _address_problems(configuration)
    yield from _tls_problems(configuration.tls)
    endpoint = configuration.tracing.endpoint
    if endpoint and not re.fullmatch(r"https?://[^/\s]+/?", endpoint):
        yield "tracing.endpoint", f"must be http://host:port or https://host:port, and is {endpoint!r}"
    yield from _certificate_problems(configuration.internal_cert_management)
    if isinstance(configuration, ExtenderConfiguration) and configuration.internal_cert_management.enable:
        verbs = configuration.verbs
        yield from _name_problems("verbs.serviceName", verbs.service_name, "verbs.secretName", verbs.secret_name)
    if isinstance(configuration, Configuration) and configuration.gang_scheduling_management is not None:
        provider = configuration.gang_scheduling_management.scheduler_provider
        if provider != VOLCANO:
            yield "gangSchedulingManagement.schedulerProvider", f"must be {VOLCANO}, and is {provider or 'not given'}"


def _election_problems(election: LeaderElection) -> Iterator[tuple[str, str]]:
    if election.resource_lock != "leases":
        yield "leaderElection.resourceLock", f"must be leases, and is {election.resource_lock}"
    try:
        terms(election)
    except ValueError as problem:
        yield "leaderElection", str(problem)


def _address_problems(configuration: Common) -> Iterator[tuple[str, str]]:
    addresses = {
        "metrics.bindAddress": configuration.metrics.bind_address,
        "health.healthProbeBindAddress": configuration.health.health_probe_bind_address,
    }
    if isinstance(configuration, ExtenderConfiguration):
        addresses["verbs.bindAddress"] = configuration.verbs.bind_address
        addresses["placementService.bindAddress"] = configuration.placement_service.bind_address
        addresses["page.bindAddress"] = configuration.page.bind_address
        published = configuration.placement_service.published_address
        if published and not re.fullmatch(r"([^\s:/]+|\[[0-9a-fA-F:.]+\]):[0-9]{1,5}", published):
            yield "placementService.publishedAddress", f"must be host:port, and is {published!r}"
        if configuration.verbs.bind_address == OFF:
            yield "verbs.bindAddress", "must be an address: kube-scheduler calls the extender there"
    for path, text in addresses.items():
        try:
            address(text)
        except ValueError as problem:
            yield path, str(problem)
    health = configuration.health
    for path, text in (
        ("health.readinessEndpointName", health.readiness_endpoint_name),
        ("health.livenessEndpointName", health.liveness_endpoint_name),
    ):
        if not text.startswith("/"):
            yield path, f"must be a path such as /healthz, and is {text!r}"
    url = configuration.webhook.url
    if url and not re.fullmatch(r"https://[^/\s]+/?", url):
        yield "webhook.url", f"must be https://host:port, and is {url!r}"


def _tls_problems(tls: Tls) -> Iterator[tuple[str, str]]:
    if tls.min_version not in TLS_VERSIONS:
        yield "tls.minVersion", f"must be one of {', '.join(TLS_VERSIONS)}, and is {tls.min_version!r}"
    if tls.cipher_suites and tls.min_version == "VersionTLS13":
        yield "tls.cipherSuites", "cannot be chosen for VersionTLS13; remove them, or ask for VersionTLS12"
    for suite in tls.cipher_suites:
        if suite not in CIPHER_SUITES:
            yield "tls.cipherSuites", f"{suite!r} is not one of {', '.join(CIPHER_SUITES)}"


def _certificate_problems(management: InternalCertManagement) -> Iterator[tuple[str, str]]:
    if management.enable:
        section, service, secret = (
            "internalCertManagement",
            management.webhook_service_name,
            management.webhook_secret_name,
        )
        yield from _name_problems(f"{section}.webhookServiceName", service, f"{section}.webhookSecretName", secret)


def _name_problems(service_path: str, service: str, secret_path: str, secret: str) -> Iterator[tuple[str, str]]:
    if not _DNS_1035.fullmatch(service):
        yield service_path, f"{service!r} is not the name of a Service"
    if not _DNS_1123_SUBDOMAIN.fullmatch(secret) or len(secret) > 253:
        yield secret_path, f"{secret!r} is not the name of a Secret"
