"""The CRDs and the Python types must tell the same story."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from lws_sched.api import placement
from lws_sched.api.lws import LEADER_WORKER_SET
from lws_sched.api.meta import Kind
from lws_sched.api.placement import GROUP_PLACEMENT
from lws_sched.api.topology import TOPOLOGY
from tests.unit.deploy.manifests import Json, document, files, root_schema

LWS_FILE, GP_FILE = "crds/leaderworkersets.yaml", "crds/groupplacements.yaml"
TOPOLOGY_FILE = "crds/topologies.yaml"
CRDS = [(LWS_FILE, LEADER_WORKER_SET), (GP_FILE, GROUP_PLACEMENT), (TOPOLOGY_FILE, TOPOLOGY)]
TEMPLATES = ("leaderTemplate", "workerTemplate", "volumeClaimTemplates")


def struct_schema(kind: Kind[Any]) -> Json:
    """The JSON schema of a kind's Struct, references inlined; what may be null is what it is when it is not."""
    (root,), named = msgspec.json.schema_components([kind.type])

    def inlined(schema: Json) -> Json:
        if "$ref" in schema:
            target = inlined(named[schema["$ref"].rsplit("/", 1)[-1]])
            return {**target, **{key: value for key, value in schema.items() if key == "default"}}
        if "anyOf" in schema:
            some = [option for option in schema["anyOf"] if option.get("type") != "null"]
            if len(some) == 1:
                return inlined(some[0])
            return {**schema, "anyOf": sorted(some, key=lambda option: str(option["type"]))}
        result = dict(schema)
        if "properties" in schema:
            result["properties"] = {name: inlined(field) for name, field in schema["properties"].items()}
        for part in ("items", "additionalProperties"):
            if isinstance(schema.get(part), dict):
                result[part] = inlined(schema[part])
        return result

    return inlined(root)


def kinds_of_value(schema: Json) -> Any:
    """A schema reduced to which fields it has and of what type; opaque where it names no fields."""
    if "anyOf" in schema:
        return sorted(option["type"] for option in schema["anyOf"])
    if "properties" in schema:
        return {name: kinds_of_value(field) for name, field in schema["properties"].items()}
    if isinstance(schema.get("additionalProperties"), dict):
        return {"*": kinds_of_value(schema["additionalProperties"])}
    if "items" in schema:
        return [kinds_of_value(schema["items"])]
    return schema["type"]


def defaults(schema: Json, path: str = "") -> Iterator[tuple[str, Any]]:
    for name, field in schema.get("properties", {}).items():
        if name in TEMPLATES:
            continue
        if "default" in field:
            yield f"{path}.{name}", field["default"]
        yield from defaults(field, f"{path}.{name}")


def objects(schema: Json, path: str = "") -> Iterator[tuple[str, Json]]:
    """Every schema inside a schema, itself included."""
    yield path, schema
    for name, field in schema.get("properties", {}).items():
        yield from objects(field, f"{path}.{name}")
    for part in ("items", "additionalProperties"):
        if isinstance(schema.get(part), dict):
            yield from objects(schema[part], path + "[]")


def template_schema(name: str) -> Json:
    spec = root_schema(document(LWS_FILE))["properties"]["spec"]
    schema: Json = spec["properties"]["leaderWorkerTemplate"]["properties"][name]
    return schema


@pytest.mark.parametrize(("path", "kind"), CRDS)
def test_a_crd_is_named_like_its_kind(path: str, kind: Kind[Any]) -> None:
    crd = document(path)
    spec, (version,) = crd["spec"], crd["spec"]["versions"]

    assert crd["metadata"]["name"] == f"{kind.plural}.{kind.group}"
    assert (spec["group"], version["name"], spec["names"]["kind"]) == (kind.group, kind.version, kind.kind)
    assert spec["names"]["plural"] == kind.plural
    assert (spec["scope"] == "Namespaced") == kind.namespaced


def test_a_topology_has_the_fields_of_its_struct() -> None:
    in_crd = root_schema(document(TOPOLOGY_FILE))["properties"]["spec"]
    in_struct = struct_schema(TOPOLOGY)["properties"]["spec"]

    assert kinds_of_value(in_crd) == kinds_of_value(in_struct)
    assert in_crd["properties"]["levels"]["items"]["required"] == ["nodeLabel"]


@pytest.mark.parametrize("part", ["spec", "status"])
def test_a_groupplacement_has_the_fields_of_its_struct(part: str) -> None:
    in_crd = root_schema(document(GP_FILE))["properties"][part]
    in_struct = struct_schema(GROUP_PLACEMENT)["properties"][part]

    assert kinds_of_value(in_crd) == kinds_of_value(in_struct)
    assert in_crd.get("required", []) == in_struct["required"]


@pytest.mark.parametrize(("path", "kind"), CRDS)
def test_the_defaults_of_a_crd_are_those_of_its_struct(path: str, kind: Kind[Any]) -> None:
    in_struct = dict(defaults(struct_schema(kind)))
    in_crd = dict(defaults(root_schema(document(path))))

    assert in_crd == {field: in_struct[field] for field in in_crd}


def test_what_is_printed_of_a_groupplacement_has_a_default_where_it_can_be_left_out() -> None:
    """The Struct leaves defaults out on the wire: without these the columns would be blank."""
    found = dict(defaults(root_schema(document(GP_FILE))))

    assert {".status", ".status.state", ".status.bound", ".status.epoch", ".spec.size", ".spec.priority"} <= set(found)


def test_the_states_of_a_groupplacement_are_those_of_the_code() -> None:
    state = root_schema(document(GP_FILE))["properties"]["status"]["properties"]["state"]

    assert set(state["enum"]) == placement.HOLDING | {placement.WAITING}


def test_a_groupplacement_is_written_in_one_piece() -> None:
    (version,) = document(GP_FILE)["spec"]["versions"]

    assert "subresources" not in version


def test_the_columns_of_a_groupplacement() -> None:
    (version,) = document(GP_FILE)["spec"]["versions"]
    columns = version["additionalPrinterColumns"]

    assert [c["name"] for c in columns if not c.get("priority")] == [
        "State",
        "Domain",
        "Size",
        "Bound",
        "Reason",
        "Age",
    ]
    assert [c["name"] for c in columns if c.get("priority")] == ["Revision", "Priority", "Epoch", "Domain-Key"]


def test_the_fields_of_the_leaderworkerset_struct_are_in_its_crd() -> None:
    in_crd = kinds_of_value(root_schema(document(LWS_FILE))["properties"]["spec"])
    in_struct = kinds_of_value(struct_schema(LEADER_WORKER_SET)["properties"]["spec"])
    for fields in (in_crd, in_struct):
        for name in TEMPLATES:
            fields["leaderWorkerTemplate"].pop(name)
    retention = in_crd["leaderWorkerTemplate"].pop("persistentVolumeClaimRetentionPolicy")
    assert retention == {"whenDeleted": "string", "whenScaled": "string"}
    in_struct["leaderWorkerTemplate"].pop("persistentVolumeClaimRetentionPolicy")

    assert in_crd == in_struct


def test_the_generated_crd_is_its_skeleton_with_the_references_filled_in() -> None:
    def agree(skeleton: Any, generated: Any) -> bool:
        if isinstance(skeleton, dict) and "$ref" in skeleton:
            return bool(generated["type"] == "object")
        if isinstance(skeleton, dict):
            return skeleton.keys() == generated.keys() and all(agree(skeleton[k], generated[k]) for k in skeleton)
        if isinstance(skeleton, list):
            return len(skeleton) == len(generated) and all(map(agree, skeleton, generated))
        return bool(skeleton == generated)

    assert agree(document("tools/leaderworkersets.yaml"), document(LWS_FILE))


def test_leader_and_worker_templates_have_one_schema() -> None:
    leader, worker = template_schema("leaderTemplate"), template_schema("workerTemplate")

    assert {**leader, "description": ""} == {**worker, "description": ""}


@pytest.mark.parametrize("name", TEMPLATES)
def test_a_template_keeps_fields_that_its_schema_does_not_know(name: str) -> None:
    """Except in metadata, where only what means something in a template is kept."""
    schema = template_schema(name)
    strict = [
        path
        for path, part in objects(schema)
        if part.get("type") == "object"
        and not part.get("additionalProperties")
        and not part.get("x-kubernetes-preserve-unknown-fields")
    ]

    assert {path.rsplit(".", 1)[-1] for path in strict} == {"metadata"}


@pytest.mark.parametrize("name", TEMPLATES)
def test_every_list_map_key_is_required_or_has_a_default(name: str) -> None:
    for path, part in objects(template_schema(name)):
        for key in part.get("x-kubernetes-list-map-keys", ()):
            item = part["items"]
            assert key in item.get("required", ()) or "default" in item["properties"][key], f"{path}: {key}"


def test_containers_are_merged_by_name_and_ports_by_number_and_protocol() -> None:
    spec = template_schema("workerTemplate")["properties"]["spec"]["properties"]
    ports = spec["containers"]["items"]["properties"]["ports"]

    assert spec["containers"]["x-kubernetes-list-map-keys"] == ["name"]
    assert ports["x-kubernetes-list-map-keys"] == ["containerPort", "protocol"]
    assert ports["items"]["properties"]["protocol"]["default"] == "TCP"


def test_template_metadata_is_restricted() -> None:
    metadata = template_schema("workerTemplate")["properties"]["metadata"]

    assert set(metadata["properties"]) == {"annotations", "finalizers", "labels", "name", "namespace"}


def test_the_folder_holds_these_crds_and_nothing_else() -> None:
    assert files("crds") == [GP_FILE, LWS_FILE, TOPOLOGY_FILE]
