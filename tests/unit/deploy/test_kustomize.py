"""The installation must agree with itself and with the code."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
import yaml

from deploy.tools import generate_dashboard, generate_webhooks
from lws_sched.admission import verb_access
from lws_sched.admission.published import NAME as PUBLISHED
from lws_sched.api import placement as api
from lws_sched.cli.config import Common, Configuration, ExtenderConfiguration, address
from lws_sched.cli.config_file import read
from lws_sched.extender.leader_label import LEADER
from lws_sched.telemetry import families
from lws_sched.telemetry.families import Family
from tests.unit.deploy.manifests import DEPLOY, Json, document, documents
from tests.unit.deploy.promql import asked, faults, metrics_of

DEFAULT = "kustomize/default"
CONTROLLER, EXTENDER, SCHEDULER = (f"{DEFAULT}/{name}.yaml" for name in ("controller", "extender", "scheduler"))
PROGRAMS = [
    pytest.param(CONTROLLER, Configuration, id="controller"),
    pytest.param(EXTENDER, ExtenderConfiguration, id="extender"),
]


def of_kind(path: str, kind: str) -> list[Json]:
    return [each for each in documents(path) if each["kind"] == kind]


def deployment(path: str) -> tuple[Json, Json]:
    """A Deployment's pod spec and its one container."""
    (found,) = of_kind(path, "Deployment")
    spec = found["spec"]["template"]["spec"]
    (container,) = spec["containers"]
    return spec, container


def configuration(path: str, kind: type[Common]) -> Common:
    (found,) = of_kind(path, "ConfigMap")
    ((name, text),) = found["data"].items()
    return read(kind, text, name, {})


def test_the_webhooks_are_those_of_the_code() -> None:
    """`python -m deploy.tools.generate_webhooks` writes them anew."""
    assert generate_webhooks.OUTPUT.read_text() == generate_webhooks.rendered()


@pytest.mark.parametrize(("path", "kind"), PROGRAMS)
def test_ports_and_probes_are_those_of_the_configuration(path: str, kind: type[Common]) -> None:
    config, (_, container) = configuration(path, kind), deployment(path)
    ports = {each["name"]: each["containerPort"] for each in container["ports"]}

    assert ports["webhooks"] == config.webhook.port
    assert address(config.metrics.bind_address) == ("0.0.0.0", ports["metrics"])
    assert address(config.health.health_probe_bind_address) == ("0.0.0.0", ports["probes"])
    assert container["livenessProbe"]["httpGet"] == {"path": config.health.liveness_endpoint_name, "port": "probes"}
    assert container["readinessProbe"]["httpGet"] == {"path": config.health.readiness_endpoint_name, "port": "probes"}
    if isinstance(config, ExtenderConfiguration):
        assert address(config.verbs.bind_address) == ("0.0.0.0", ports["verbs"])


@pytest.mark.parametrize(("path", "kind"), PROGRAMS)
def test_the_service_of_the_webhooks_is_the_one_that_they_register(path: str, kind: type[Common]) -> None:
    name = configuration(path, kind).internal_cert_management.webhook_service_name
    (service,) = (each for each in of_kind(path, "Service") if each["metadata"]["name"] == name)

    assert service["spec"]["ports"][0] == {"name": "webhooks", "port": 443, "targetPort": "webhooks"}


@pytest.mark.parametrize(("path", "kind"), PROGRAMS)
def test_the_roles_name_the_lease_and_the_secret_of_the_configuration(path: str, kind: type[Common]) -> None:
    config = configuration(path, kind)
    (role,) = of_kind(path.replace(DEFAULT, "rbac"), "Role")
    named = {rule["resources"][0]: rule["resourceNames"] for rule in role["rules"] if "resourceNames" in rule}
    more = [config.verbs.secret_name] if isinstance(config, ExtenderConfiguration) else []

    assert named == {
        "leases": [config.leader_election.resource_name],
        "secrets": [config.internal_cert_management.webhook_secret_name, *more],
        **({"configmaps": [PUBLISHED]} if kind is ExtenderConfiguration else {}),
    }


def test_the_placement_service_is_at_its_port_of_the_extenders_service_and_everybody_may_learn_whom_to_trust() -> None:
    config, (_, container) = configuration(EXTENDER, ExtenderConfiguration), deployment(EXTENDER)
    assert isinstance(config, ExtenderConfiguration)
    (port,) = (each["containerPort"] for each in container["ports"] if each["name"] == "placement")
    services = {each["metadata"]["name"]: each["spec"]["ports"] for each in of_kind(EXTENDER, "Service")}
    (role,) = of_kind("rbac/users.yaml", "Role")
    (binding,) = of_kind("rbac/users.yaml", "RoleBinding")

    assert address(config.placement_service.bind_address) == ("0.0.0.0", port)
    at_service = services[config.internal_cert_management.webhook_service_name]
    assert {"name": "placement", "port": port, "targetPort": "placement"} in at_service
    assert [(rule["resourceNames"], rule["verbs"]) for rule in role["rules"]] == [([PUBLISHED], ["get"])]
    assert [each["name"] for each in binding["subjects"]] == ["system:authenticated"]


@pytest.mark.parametrize("path", [CONTROLLER, EXTENDER, SCHEDULER])
def test_a_pod_may_do_nothing_that_it_need_not(path: str) -> None:
    spec, container = deployment(path)

    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert container["resources"]["requests"].keys() == {"cpu", "memory"}
    assert [each["spec"]["minAvailable"] for each in of_kind(path, "PodDisruptionBudget")] == [1]


def test_the_second_scheduler_has_our_profile_and_asks_the_leading_extender() -> None:
    (config_map,) = of_kind(SCHEDULER, "ConfigMap")
    second, first = (
        yaml.safe_load(config_map["data"]["scheduler.yaml"]),
        document("scheduler/kube-scheduler-config.yaml"),
    )
    (service,) = (each for each in of_kind(EXTENDER, "Service") if "verbs" in each["metadata"]["name"])

    assert second["profiles"] == [each for each in first["profiles"] if each["schedulerName"] == "lws-sched"]
    (asked,), (known,) = second["extenders"], first["extenders"]
    tls = {"caFile": "/verbs/ca.crt", "certFile": "/verbs/client.crt", "keyFile": "/verbs/client.key"}
    url = "https://lws-sched-extender-verbs.lws-system.svc:8900"
    # Nobody preempts there: DefaultPreemption is off in our profile, and it is the only one.
    assert {**asked, "preemptVerb": "preempt"} == known | {"urlPrefix": url, "enableHTTPS": True, "tlsConfig": tls}
    assert service["spec"]["selector"][LEADER] == "true"
    assert f"{service['metadata']['name']}.{service['metadata']['namespace']}.svc" in asked["urlPrefix"]


def test_the_second_scheduler_mounts_what_the_extender_makes_for_it_and_no_more() -> None:
    config, (spec, container) = configuration(EXTENDER, ExtenderConfiguration), deployment(SCHEDULER)
    assert isinstance(config, ExtenderConfiguration)
    (volume,) = (each for each in spec["volumes"] if each["name"] == "verbs")
    made = verb_access.written(verb_access.turned(verb_access.read({}), ["x"], 1_800_000_000.0))

    assert volume["secret"]["secretName"] == config.verbs.secret_name
    assert [each["key"] for each in volume["secret"]["items"]] == ["ca.crt", "client.crt", "client.key"]
    assert {each["key"] for each in volume["secret"]["items"]} <= made.keys()
    assert {"name": "verbs", "mountPath": "/verbs", "readOnly": True} in container["volumeMounts"]
    (service,) = (
        each for each in of_kind(EXTENDER, "Service") if each["metadata"]["name"] == config.verbs.service_name
    )
    assert service["spec"]["ports"] == [{"name": "verbs", "port": 8900, "targetPort": "verbs"}]


@pytest.mark.parametrize("overlay", ["volcano", "cert-manager"])
def test_the_configurations_of_an_overlay_are_good(overlay: str) -> None:
    patches = [yaml.safe_load(each["patch"]) for each in document(f"kustomize/{overlay}/kustomization.yaml")["patches"]]
    found = [each for each in patches if isinstance(each, dict) and each["kind"] == "ConfigMap"]
    kinds: dict[str, type[Common]] = {
        "lws-manager-config": Configuration,
        "lws-sched-extender-config": ExtenderConfiguration,
    }

    assert found
    for each in found:
        ((name, text),) = each["data"].items()
        read(kinds[each["metadata"]["name"]], text, name, {})


def rules() -> list[dict[str, Any]]:
    (group,) = document("kustomize/prometheus/alerts.yaml")["spec"]["groups"]
    return list(group["rules"])


def panels() -> list[dict[str, Any]]:
    found = json.loads((DEPLOY / "grafana" / "lws-sched.json").read_text())["panels"]
    return [each for each in found if each["type"] != "row"]


FAMILIES = [each for each in vars(families).values() if isinstance(each, Family)]
METRICS = metrics_of(FAMILIES)


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: rule["alert"])
def test_an_alert_asks_for_metrics_and_labels_that_exist(rule: dict[str, Any]) -> None:
    assert faults(rule["expr"], METRICS, str(rule["annotations"])) == []
    assert asked(rule["expr"], METRICS)
    assert {"summary", "description", "runbook_url"} == rule["annotations"].keys()
    assert rule["annotations"]["runbook_url"] == f"docs/troubleshooting.md#{rule['alert'].lower()}"


def test_the_troubleshooting_page_has_a_section_for_every_alert() -> None:
    page = (DEPLOY.parent / "docs" / "troubleshooting.md").read_text()
    headings = {line.lstrip("# ").lower() for line in page.splitlines() if line.startswith("#")}

    assert {rule["alert"].lower() for rule in rules()} <= headings


@pytest.mark.parametrize("panel", panels(), ids=lambda panel: panel["title"])
def test_a_panel_asks_for_metrics_and_labels_that_exist(panel: dict[str, Any]) -> None:
    for target in panel["targets"]:
        assert faults(target["expr"], METRICS, target["legendFormat"]) == []


@pytest.mark.parametrize(
    ("expression", "legend", "fault"),
    [
        ("rate(lws_sched_group_restart_total[5m])", "", "there is no metric lws_sched_group_restart_total"),
        ("sum by (nome) (workqueue_depth)", "", "it groups by nome, which is not there"),
        ('workqueue_depth{nome="a"}', "", "workqueue_depth has no label nome"),
        ("workqueue_depth", "{{nome}}", "its legend names nome, which it does not keep"),
        ("sum(workqueue_depth)", "{{ $labels.name }}", "its legend names name, which it does not keep"),
        ("sum(lws_sched_rollouts_total)", "", "lws_sched_rollouts_total is a counter, and its rate is not taken"),
        ("rate(workqueue_depth[5m])", "", "workqueue_depth is a gauge, and its rate is taken"),
        ("histogram_quantile(0.9, sum(rate(lws_sched_plan_seconds_bucket[5m])))", "", "it takes a quantile without le"),
        ("rate(lws_sched_plan_seconds[5m])", "", "there is no metric lws_sched_plan_seconds"),
        ("sum(workqueue_depth", "", "it does not parse: unclosed left parenthesis"),
    ],
)
def test_a_query_for_what_is_not_there_is_found_out(expression: str, legend: str, fault: str) -> None:
    assert faults(expression, METRICS, legend) == [fault]


def test_the_values_of_labels_that_queries_name_are_those_of_the_code() -> None:
    known = {
        "state": {api.WAITING, *api.HOLDING, "desired", "ready", "updated"},
        "verb": {"filter", "bind"},
        "condition": {"Failed"},
        "name": {kind().leader_election.resource_name for kind in (Configuration, ExtenderConfiguration)},
    }
    text = " ".join([*(rule["expr"] for rule in rules()), generate_dashboard.SOURCE.read_text()])

    for label, value in re.findall(r'(\w+)="([^"]*)"', text):
        if label != "code":
            assert value in known[label], f"{label}={value}"


def test_a_metrics_own_namespace_is_kept_when_it_is_scraped() -> None:
    (endpoint,) = document("kustomize/prometheus/monitor.yaml")["spec"]["endpoints"]

    assert endpoint["honorLabels"] is True


def test_every_metric_of_ours_is_on_the_dashboard() -> None:
    shown = {name for panel in panels() for each in panel["targets"] for name in asked(each["expr"], METRICS)}

    assert {each.name for each in FAMILIES if not any(name.startswith(each.name) for name in shown)} == set()


def test_the_dashboard_is_generated() -> None:
    """`python -m deploy.tools.generate_dashboard` writes it anew."""
    assert generate_dashboard.OUTPUT.read_text() == generate_dashboard.rendered()


def test_no_two_panels_lie_over_each_other() -> None:
    cells: list[tuple[int, int]] = []
    for each in panels():
        place = each["gridPos"]
        assert place["x"] + place["w"] <= generate_dashboard.GRID
        columns, lines = range(place["x"], place["x"] + place["w"]), range(place["y"], place["y"] + place["h"])
        cells += [(x, y) for x in columns for y in lines]
    assert len(cells) == len(set(cells))
