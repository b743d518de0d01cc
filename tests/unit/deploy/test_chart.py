"""The chart: made from the kustomize bases, and of the same content, as real Helm renders it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from deploy.tools import generate_chart
from deploy.tools.generate_chart import Change, Unfit
from lws_sched import __version__
from lws_sched.cli.config import Configuration, ExtenderConfiguration
from lws_sched.cli.config_file import read
from tests.controlplane import build
from tests.unit.deploy.charts import CHART, HelmFailed, helm, rendered, without_hooks
from tests.unit.deploy.manifests import DEPLOY, Json, document

CERT_MANAGER = {"certificates": {"source": "cert-manager"}}
VOLCANO = {"controller": {"volcano": True}}
MONITORING = {"monitoring": {"serviceMonitor": True, "alerts": True, "dashboard": True}}
OWN_SCHEDULER = {"scheduler": {"mode": "cluster"}}


@pytest.mark.parametrize(("path", "text"), [*generate_chart.rendered()], ids=lambda value: getattr(value, "name", ""))
def test_the_templates_are_those_of_the_bases(path: Path, text: str) -> None:
    """`python -m deploy.tools.generate_chart` writes them anew."""
    assert path.read_text() == text


def test_no_copy_is_left_of_a_file_that_is_gone() -> None:
    copied = {path for path, _ in generate_chart.rendered() if generate_chart.FILES in path.parents}
    assert {path for path in generate_chart.FILES.rglob("*") if path.is_file()} == copied


def test_a_base_that_a_value_would_no_longer_reach_is_found_out() -> None:
    with pytest.raises(Unfit, match=r"'replicas: 2' 0 times, not 1: change it together with deploy/tools"):
        generate_chart.changed("replicas: 3\n", (Change("replicas: 2\n", "x"),), "kustomize/default/controller.yaml")


def test_the_chart_has_the_version_of_the_code() -> None:
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    (image,) = document("kustomize/default/kustomization.yaml")["images"]
    assert (chart["version"], chart["appVersion"], image["newTag"]) == (__version__,) * 3


def test_every_value_is_in_the_schema_with_a_word_about_it() -> None:
    schema = json.loads((CHART / "values.schema.json").read_text())
    values = yaml.safe_load((CHART / "values.yaml").read_text())

    def check(value: Any, part: Json, path: str) -> None:
        if "properties" in part:
            assert part["additionalProperties"] is False, path
            assert value.keys() <= part["properties"].keys(), path
            for name, each in value.items():
                check(each, part["properties"][name], f"{path}.{name}")

    check(values, schema, "values")


# --- by real Helm ----------------------------------------------------------------------------------------------------
@pytest.fixture(scope="module")
def kustomized() -> dict[str, list[Json]]:
    return {overlay: built(overlay) for overlay in ("default", "cert-manager", "volcano")}


def built(overlay: str) -> list[Json]:
    import subprocess

    kubectl = build.binaries() / "kubectl"
    argv = [str(kubectl), "kustomize", str(DEPLOY / "kustomize" / overlay)]
    text = subprocess.run(argv, capture_output=True, text=True, check=True).stdout
    return [each for each in yaml.load_all(text, Loader=yaml.CSafeLoader) if each]


def comparable(objects: list[Json]) -> dict[tuple[str, str, str], Json]:
    """By kind, namespace and name; configurations in ConfigMaps as what they say, not how. Left out is what only Helm
    has: the annotation that keeps the kinds, and the one that restarts pods for a new configuration."""
    found = {}
    for each in objects:
        if each["kind"] == "Namespace":
            continue
        each = yaml.load(json.dumps(each), Loader=yaml.CSafeLoader)
        if each["kind"] == "ConfigMap":
            each["data"] = {name: yaml.safe_load(text) for name, text in each["data"].items()}
        meta = each["metadata"]
        annotations = meta.get("annotations") or {}
        annotations.pop("helm.sh/resource-policy", None)
        if not annotations:
            meta.pop("annotations", None)
        if each["kind"] == "Deployment":
            (each["spec"]["template"]["metadata"].pop("annotations", None))
        found[(each["kind"], meta.get("namespace", ""), meta["name"])] = each
    return found


@pytest.mark.plane
@pytest.mark.parametrize(
    ("overlay", "values"), [("default", {}), ("cert-manager", CERT_MANAGER), ("volcano", VOLCANO)], ids=lambda v: str(v)
)
def test_helm_installs_what_kustomize_installs(
    kustomized: dict[str, list[Json]], overlay: str, values: dict[str, Any]
) -> None:
    ours, theirs = comparable(without_hooks(rendered(values))), comparable(kustomized[overlay])

    assert ours.keys() == theirs.keys()
    for key, each in theirs.items():
        assert ours[key] == each, key


@pytest.mark.plane
def test_monitoring_is_that_of_the_component() -> None:
    found = {each["kind"]: each for each in rendered(MONITORING | {"crds": {"install": False}})}

    for kind, path in (("ServiceMonitor", "monitor"), ("PrometheusRule", "alerts")):
        assert found[kind] == document(f"kustomize/prometheus/{path}.yaml")
    dashboards = [each for each in rendered(MONITORING) if each["metadata"]["name"] == "lws-sched-dashboard"]
    assert json.loads(dashboards[0]["data"]["lws-sched.json"]) == json.loads(
        (DEPLOY / "grafana" / "lws-sched.json").read_text()
    )


@pytest.mark.plane
def test_the_alerts_lead_to_where_the_documentation_is_read() -> None:
    base = "https://git.example.com/lws-sched/blob/main"
    values = {"monitoring": {"alerts": True, "docsUrl": f"{base}/"}}
    (found,) = [each for each in rendered(values) if each["kind"] == "PrometheusRule"]

    urls = [rule["annotations"]["runbook_url"] for group in found["spec"]["groups"] for rule in group["rules"]]
    assert len(urls) > 5
    assert all(url.startswith(f"{base}/docs/troubleshooting.md#lwssched") for url in urls)


@pytest.mark.plane
def test_another_namespace_reaches_everything() -> None:
    text = json.dumps(rendered(MONITORING | CERT_MANAGER, namespace="elsewhere"))

    assert "lws-sched-extender-verbs.elsewhere.svc:8900" in text
    assert "lws-system" not in text.replace("see the pods in lws-system", "")


@pytest.mark.plane
def test_a_new_configuration_restarts_its_pods_and_nobody_elses() -> None:
    def checksums(values: Json) -> dict[str, str]:
        return {
            each["metadata"]["name"]: each["spec"]["template"]["metadata"]["annotations"]["checksum/config"]
            for each in rendered(values)
            if each["kind"] == "Deployment"
        }

    before = checksums({})
    after = checksums({"extender": {"config": {"clientConnection": {"qps": 100}}}})

    assert {name for name in before if before[name] != after[name]} == {"lws-sched-extender"}


@pytest.mark.plane
@pytest.mark.parametrize("values", [{}, CERT_MANAGER, VOLCANO, OWN_SCHEDULER], ids=str)
def test_the_programs_accept_their_configurations(values: Json) -> None:
    maps = {each["metadata"]["name"]: each["data"] for each in rendered(values) if each["kind"] == "ConfigMap"}

    ((name, text),) = maps["lws-manager-config"].items()
    read(Configuration, text, name, {})
    ((name, text),) = maps["lws-sched-extender-config"].items()
    extender = read(ExtenderConfiguration, text, name, {})
    assert extender.reservations.taint_nodes is ("scheduler" not in values)


@pytest.mark.plane
def test_the_clusters_own_scheduler_needs_none_of_ours() -> None:
    found = rendered(OWN_SCHEDULER)

    assert not [each for each in found if each["metadata"]["name"] == "lws-sched-scheduler"]
    (policy,) = (each for each in found if each["kind"] == "NetworkPolicy")
    assert {"ports": [{"port": "verbs"}]} in policy["spec"]["ingress"]


@pytest.mark.plane
def test_webhooks_that_are_called_by_a_url_are_left_to_their_program() -> None:
    found = rendered({"extender": {"config": {"webhook": {"url": "https://lws.example:9443"}}}})

    hooks = [each["metadata"]["name"] for each in found if each["kind"].endswith("WebhookConfiguration")]
    assert hooks == ["lws-mutating-webhook-configuration", "lws-validating-webhook-configuration"]


@pytest.mark.plane
def test_values_reach_the_pods() -> None:
    pods = {"nodeSelector": {"pool": "infra"}, "tolerations": [{"key": "infra", "operator": "Exists"}], "replicas": 1}
    values = {
        "image": {"repository": "registry.example/lws-sched", "tag": "1.2.3", "pullPolicy": "Always"},
        "imagePullSecrets": [{"name": "pull"}],
        "priorityClassName": "",
        "controller": {**pods, "logLevel": "debug"},
        "scheduler": {"image": {"tag": "v1.33.1"}},
    }
    found = {(each["kind"], each["metadata"]["name"]): each for each in rendered(values)}

    spec = found["Deployment", "lws-sched-controller"]["spec"]["template"]["spec"]
    container = spec["containers"][0]
    assert (container["image"], container["imagePullPolicy"]) == ("registry.example/lws-sched:1.2.3", "Always")
    assert container["args"] == [
        "controller",
        "--log-level=debug",
        "--config=/config/controller_manager_config.yaml",
    ]
    assert (spec["nodeSelector"], spec["tolerations"]) == (pods["nodeSelector"], pods["tolerations"])
    assert spec["imagePullSecrets"] == [{"name": "pull"}]
    assert "priorityClassName" not in spec
    scheduler = found["Deployment", "lws-sched-scheduler"]["spec"]["template"]["spec"]["containers"][0]
    assert scheduler["image"] == "registry.k8s.io/kube-scheduler:v1.33.1"
    # One replica that must never be missing could never be drained.
    assert ("PodDisruptionBudget", "lws-sched-controller") not in found
    assert ("PodDisruptionBudget", "lws-sched-extender") in found


@pytest.mark.plane
def test_the_scheduler_is_of_the_clusters_version_also_where_a_vendor_adds_to_it() -> None:
    found = rendered({}, "--kube-version=v1.33.2-gke.100")

    (scheduler,) = (
        each for each in found if each["kind"] == "Deployment" and each["metadata"]["name"] == "lws-sched-scheduler"
    )
    image = scheduler["spec"]["template"]["spec"]["containers"][0]["image"]
    assert image == "registry.k8s.io/kube-scheduler:v1.33.2"


@pytest.mark.plane
def test_the_kinds_stay_when_the_release_goes_unless_asked_otherwise() -> None:
    def kept(values: Json) -> list[str]:
        crds = [each for each in rendered(values) if each["kind"] == "CustomResourceDefinition"]
        return [each["metadata"].get("annotations", {}).get("helm.sh/resource-policy", "") for each in crds]

    kinds = len([*(DEPLOY / "crds").glob("*.yaml")])
    assert kept({}) == ["keep"] * kinds
    assert kept({"crds": {"keep": False}}) == [""] * kinds
    assert kept({"crds": {"install": False}}) == []


@pytest.mark.plane
@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"scheduler": {"mode": "third"}}, r"at '/scheduler/mode': value must be one of 'second', 'cluster'"),
        ({"controller": {"replicas": 0}}, r"at '/controller/replicas': minimum: got 0, want 1"),
        ({"controller": {"replica": 3}}, r"at '/controller': additional properties 'replica' not allowed"),
        ({"certificates": {"source": "vault"}}, r"at '/certificates/source': value must be one of"),
        ({"image": {"repository": ""}}, r"at '/image/repository': minLength: got 0, want 1"),
        ({"monitoring": {"alerts": "yes"}}, r"at '/monitoring/alerts': got string, want boolean"),
        (
            {"extender": {"config": {"verbs": {"bindAdress": ":1"}}}},
            r"at '/extender/config/verbs': additional properties 'bindAdress' not allowed",
        ),
    ],
    ids=lambda value: "" if isinstance(value, str) else str(value),
)
def test_a_bad_value_is_told_in_one_sentence(values: Json, sentence: str) -> None:
    with pytest.raises(HelmFailed, match=sentence) as refused:
        rendered(values)

    assert len([line for line in str(refused.value).splitlines() if line.startswith("- ")]) <= 1


@pytest.mark.plane
def test_helm_finds_no_fault_with_it() -> None:
    assert "0 chart(s) failed" in helm("lint", "--strict", str(CHART))
