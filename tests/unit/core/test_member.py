"""The pod webhook's mutation: places, addresses, affinity and TPU environment."""

from __future__ import annotations

from typing import Any

import pytest

from lws_sched.api import names
from lws_sched.core.member import InvalidMember, mutated, subgroup_index

GROUP_KEY = "40bb642a1417b0c5aea271dac9e8065b7e86f411"
SUBGROUP_KEY = "3e98e62c76bd126e006af0c545a11ad79d8c5bf2"
TPU = {"limits": {"google.com/tpu": "4"}}


def _pod(name: str = "test-sample-0", **given: Any) -> dict[str, Any]:
    """A leader by default; a worker when the name has two ordinals."""
    is_worker = name.count("-") == 3
    labels = {names.SET_NAME: "test-sample", names.REVISION: "r"}
    labels |= {names.GROUP_INDEX: "0", names.GROUP_KEY: GROUP_KEY} if is_worker else {names.WORKER_INDEX: "0"}
    annotations = {names.SIZE: "4"} | ({names.LEADER_NAME: "test-sample-0"} if is_worker else {})
    spec = {"subdomain": "test-sample", "containers": [{"name": "main"}], **given.get("spec", {})}
    return {
        "metadata": {"name": name, "labels": labels, "annotations": annotations | given.get("annotations", {})},
        "spec": spec,
    }


def _env(pod: dict[str, Any], field: str = "containers", index: int = 0) -> dict[str, str]:
    return {each["name"]: each["value"] for each in pod["spec"][field][index]["env"]}


def test_a_pod_of_no_set_is_not_touched() -> None:
    pod: dict[str, Any] = {"metadata": {"name": "x"}, "spec": {"containers": [{"name": "main"}]}}
    assert mutated(pod, "default") is pod


def test_a_leader_gets_its_group() -> None:
    labels = mutated(_pod(), "default")["metadata"]["labels"]
    assert labels[names.GROUP_INDEX] == "0"
    assert labels[names.GROUP_KEY] == GROUP_KEY


def test_a_worker_gets_its_index_whatever_its_template_says() -> None:
    pod = _pod("test-sample-0-3")
    pod["metadata"]["labels"][names.WORKER_INDEX] = "7"
    assert mutated(pod, "default")["metadata"]["labels"][names.WORKER_INDEX] == "3"


def test_variables_come_first_and_once_in_all_containers() -> None:
    mine = [{"name": "A", "value": "1"}, {"name": names.ENV_GROUP_SIZE, "value": "99"}, {"name": "A", "value": "2"}]
    pod = mutated(
        _pod(spec={"containers": [{"name": "main", "env": mine}], "initContainers": [{"name": "i"}]}), "default"
    )
    assert pod["spec"]["containers"][0]["env"] == [
        {"name": "LWS_LEADER_ADDRESS", "value": "test-sample-0.test-sample.default"},
        {"name": "LWS_GROUP_SIZE", "value": "4"},
        {"name": "LWS_WORKER_INDEX", "value": "0"},
        {"name": "A", "value": "1"},
    ]
    assert _env(pod, "initContainers")["LWS_WORKER_INDEX"] == "0"


def test_a_leader_with_its_own_subdomain_is_addressed_by_it() -> None:
    pod = mutated(_pod("test-sample-1", annotations={names.SUBDOMAIN_POLICY: "UniquePerReplica"}), "default")
    assert pod["spec"]["subdomain"] == "test-sample-1"
    assert _env(pod)["LWS_LEADER_ADDRESS"] == "test-sample-1.test-sample-1.default"


@pytest.mark.parametrize(
    ("pod", "message"),
    [
        (_pod("nameless"), "parsing pod ordinal for pod nameless"),
        (_pod(annotations={names.SIZE: "many"}), "size annotation of pod test-sample-0 is not a number: 'many'"),
        (
            {"metadata": {"name": "x-0", "labels": {names.SET_NAME: "x"}}, "spec": {}},
            "size annotation is unexpectedly missing for pod x-0",
        ),
        (
            {
                "metadata": {
                    "name": "x-0",
                    "labels": {names.SET_NAME: "x", names.WORKER_INDEX: "0", names.GROUP_INDEX: "\u00b2"},
                    "annotations": {names.SIZE: "4"},
                },
                "spec": {"containers": [{"name": "c"}]},
            },
            f"the label {names.GROUP_INDEX} is '\u00b2', which is no group's index",
        ),
        (
            {**_pod(), "spec": {"containers": [{"name": "c", "env": [{"value": "x"}]}]}},
            "an environment variable of container c has no name",
        ),
    ],
    ids=["no ordinal", "no number", "no size", "no group's index", "a variable without a name"],
)
def test_a_pod_that_cannot_be_a_member_is_refused(pod: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidMember, match=message):
        mutated(pod, "default")


# --- subgroups -------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("size", "subgroup", "worker", "wanted"),
    [(4, 2, 1, 0), (4, 2, 2, 1), (4, 2, 3, 1), (5, 2, 1, 0), (5, 2, 2, 0), (5, 2, 3, 1), (5, 2, 4, 1), (3, 1, 2, 2)],
)
def test_the_subgroup_of_a_worker(size: int, subgroup: int, worker: int, wanted: int) -> None:
    assert subgroup_index(size, subgroup, worker) == wanted


def test_a_leader_belongs_to_the_first_subgroup_unless_excluded() -> None:
    labels = mutated(_pod(annotations={names.SUBGROUP_SIZE: "2"}), "default")["metadata"]["labels"]
    assert (labels[names.SUBGROUP_INDEX], labels[names.SUBGROUP_KEY]) == ("0", SUBGROUP_KEY)
    excluded = {names.SUBGROUP_SIZE: "2", names.SUBGROUP_POLICY_TYPE: "LeaderExcluded"}
    assert names.SUBGROUP_INDEX not in mutated(_pod(annotations=excluded), "default")["metadata"]["labels"]


# --- exclusive placement ---------------------------------------------------------------------------------------------
EXCLUSIVE = {names.EXCLUSIVE_TOPOLOGY: "rack"}
BOTH = EXCLUSIVE | {names.SUBGROUP_SIZE: "2", names.SUBGROUP_EXCLUSIVE_TOPOLOGY: "host"}
REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"


def _terms(pod: dict[str, Any], field: str) -> list[tuple[str, str]]:
    terms = pod["spec"].get("affinity", {}).get(field, {}).get(REQUIRED, [])
    return [(term["topologyKey"], term["labelSelector"]["matchExpressions"][0]["key"]) for term in terms]


@pytest.mark.parametrize(
    ("name", "annotations", "wanted"),
    [
        pytest.param("test-sample-0", {}, [], id="nobody asked"),
        pytest.param("test-sample-0", EXCLUSIVE, [("rack", names.GROUP_KEY)], id="a leader"),
        pytest.param(
            "test-sample-0",
            BOTH,
            [("rack", names.GROUP_KEY), ("host", names.SUBGROUP_KEY)],
            id="a leader in a subgroup",
        ),
        pytest.param("test-sample-0-1", BOTH, [("host", names.SUBGROUP_KEY)], id="a worker keeps to its subgroup only"),
    ],
)
def test_exclusive_placement_is_a_pair_of_terms(
    name: str, annotations: dict[str, str], wanted: list[tuple[str, str]]
) -> None:
    pod = mutated(_pod(name, annotations=annotations), "default")
    assert _terms(pod, "podAffinity") == _terms(pod, "podAntiAffinity") == wanted


def test_a_member_placed_by_lws_sched_gets_no_affinity() -> None:
    pod = mutated(_pod(annotations=BOTH, spec={"schedulerName": names.SCHEDULER}), "default")
    assert "affinity" not in pod["spec"]
    assert pod["metadata"]["labels"][names.SUBGROUP_KEY] == SUBGROUP_KEY


def test_the_users_terms_come_first_and_a_pair_that_is_there_is_not_repeated() -> None:
    mine = {"topologyKey": "zone", "labelSelector": {"matchExpressions": [{"key": "app", "operator": "Exists"}]}}
    once = mutated(_pod(annotations=EXCLUSIVE, spec={"affinity": {"podAffinity": {REQUIRED: [mine]}}}), "default")
    assert _terms(once, "podAffinity") == [("zone", "app"), ("rack", names.GROUP_KEY)]
    assert mutated(once, "default")["spec"]["affinity"] == once["spec"]["affinity"]


def test_a_users_own_pair_on_the_same_key_does_not_switch_exclusive_placement_off() -> None:
    mine = {"topologyKey": "rack", "labelSelector": {"matchExpressions": [{"key": "app", "operator": "Exists"}]}}
    affinity = {field: {REQUIRED: [mine]} for field in ("podAffinity", "podAntiAffinity")}
    pod = mutated(_pod(annotations=EXCLUSIVE, spec={"affinity": affinity}), "default")
    assert _terms(pod, "podAffinity") == _terms(pod, "podAntiAffinity") == [("rack", "app"), ("rack", names.GROUP_KEY)]


def test_exclusive_terms_that_somebody_else_put_there_are_enough() -> None:
    theirs = {"topologyKey": "rack", "labelSelector": {"matchLabels": {names.GROUP_KEY: "x"}}}
    affinity = {field: {REQUIRED: [theirs]} for field in ("podAffinity", "podAntiAffinity")}
    assert mutated(_pod(annotations=EXCLUSIVE, spec={"affinity": affinity}), "default")["spec"]["affinity"] == affinity


# --- TPU -------------------------------------------------------------------------------------------------------------
def _hosts(*indices: int) -> str:
    return ",".join(f"test-sample-0{f'-{i}' if i else ''}.test-sample" for i in indices)


def _tpu(name: str, size: int, *, subgroup: int = 0, leader_takes_part: bool = True, group: str = "") -> dict[str, str]:
    annotations = {names.SIZE: str(size)}
    if subgroup:
        annotations[names.SUBGROUP_SIZE] = str(subgroup)
    if leader_takes_part and name != "test-sample-0":
        annotations[names.LEADER_REQUESTS_TPUS] = "true"
    return _env(
        mutated(_pod(name, annotations=annotations, spec={"containers": [{"name": "main", "resources": TPU}]}), "d")
    )


@pytest.mark.parametrize(
    ("name", "size", "given", "hosts", "worker_id"),
    [
        pytest.param("test-sample-0", 5, {}, (0, 1, 2, 3, 4), "0", id="a leader"),
        pytest.param("test-sample-0", 1, {}, (0,), "0", id="a leader alone"),
        pytest.param("test-sample-0-3", 5, {}, (0, 1, 2, 3, 4), "3", id="a worker"),
        pytest.param("test-sample-0-3", 5, {"leader_takes_part": False}, (1, 2, 3, 4), "2", id="a leader without TPU"),
        pytest.param("test-sample-0", 10, {"subgroup": 5}, (0, 1, 2, 3, 4), "0", id="a leader's subgroup"),
        pytest.param("test-sample-0-3", 10, {"subgroup": 5}, (0, 1, 2, 3, 4), "3", id="a worker in it"),
        pytest.param("test-sample-0-7", 10, {"subgroup": 5}, (5, 6, 7, 8, 9), "2", id="a worker in the second"),
        pytest.param(
            "test-sample-0-7", 11, {"subgroup": 5, "leader_takes_part": False}, (6, 7, 8, 9, 10), "1",
            id="a subgroup without the leader",
        ),
    ],
)  # fmt: skip
def test_tpu_hosts_and_ids(name: str, size: int, given: dict[str, Any], hosts: tuple[int, ...], worker_id: str) -> None:
    env = _tpu(name, size, **given)
    assert env["TPU_WORKER_HOSTNAMES"] == _hosts(*hosts)
    assert env["TPU_WORKER_ID"] == worker_id
    assert env["TPU_NAME"] == "test-sample-0"
    assert env["TPU_PROCESS_ADDRESSES"] == ",".join(f"{host}:8476" for host in _hosts(*hosts).split(","))
    assert env["TPU_PROCESS_PORT"] == "8476"


def _subgroups(size: int) -> list[int]:
    """Subgroup sizes that the API allows for a group; 0 for none."""
    return [0, *(each for each in range(1, size + 1) if size % each == 0 or (size - 1) % each == 0)]


TPU_MEMBERS = [
    (size, subgroup, worker, takes_part)
    for size in range(1, 10)
    for subgroup in _subgroups(size)
    for worker in range(size)
    for takes_part in ((True, False) if worker else (True,))
]


@pytest.mark.parametrize("ports", [(None,), ("9000",), (None, "9000")], ids=["one", "its own port", "two, and a port"])
@pytest.mark.parametrize("where", ["containers", "initContainers"])
def test_tpu_variables_of_every_member_are_what_the_api_says(where: str, ports: tuple[str | None, ...]) -> None:
    """Over all groups of up to nine, with all their subgroups, and with leaders that take part and that do not."""
    own = [[{"name": "TPU_PROCESS_PORT", "value": port}] if port else [] for port in ports]
    asking = [{"name": f"c{index}", "resources": TPU, "env": env} for index, env in enumerate(own)]
    spec = {"containers": [{"name": "main"}], where: asking}
    for size, subgroup, worker, takes_part in TPU_MEMBERS:
        annotations = {names.SIZE: str(size)}
        annotations |= {names.SUBGROUP_SIZE: str(subgroup)} if subgroup else {}
        annotations |= {names.LEADER_REQUESTS_TPUS: "true"} if worker and takes_part else {}
        name = f"test-sample-0-{worker}" if worker else "test-sample-0"
        pod = mutated(_pod(name, annotations=annotations, spec=spec), "d")
        found = [{key: value for key, value in _env(pod, where, i).items() if "TPU" in key} for i in range(len(ports))]
        group = int(pod["metadata"]["labels"].get(names.SUBGROUP_INDEX, 0))
        assert found == _as_the_api_says(size, subgroup, worker, group, takes_part, ports), (size, subgroup, name)


def _as_the_api_says(
    size: int, subgroup: int, worker: int, group: int, takes_part: bool, ports: tuple[str | None, ...]
) -> list[dict[str, str]]:
    """The rule, step by step: without subgroups each container of each host has a process; with them the first
    container's alone, among the hosts of the member's subgroup."""
    chosen = [port or str(8476 + index) for index, port in enumerate(ports)]
    if not subgroup:
        index = worker if takes_part else worker - 1
        hosts = ([0] if takes_part else []) + list(range(1, size))
        numbers = [index * len(ports) + each for each in range(len(ports))]
        return [
            _tpu_variables(hosts, chosen, number, port, own)
            for number, port, own in zip(numbers, chosen, ports, strict=True)
        ]
    number = worker % subgroup
    if worker and not takes_part:
        number, group = (worker - 1) % subgroup, (worker - 1) // subgroup
    start, end = subgroup * group + 1, subgroup * (group + 1)
    leads = not worker or (takes_part and group == 0)
    if leads:
        end -= 1
    elif takes_part:
        start, end = start - 1, end - 1
    hosts = ([0] if leads else []) + list(range(start, end + 1))
    first = _tpu_variables(hosts, chosen[:1], number, chosen[0], ports[0])
    return [first, *[{"TPU_PROCESS_PORT": port} if port else {} for port in ports[1:]]]


def _tpu_variables(hosts: list[int], ports: list[str], number: int, port: str, own: str | None) -> dict[str, str]:
    names_of_hosts = [f"test-sample-0{f'-{host}' if host else ''}.test-sample" for host in hosts]
    return {
        **({"TPU_PROCESS_PORT": own} if own else {}),
        "TPU_WORKER_HOSTNAMES": ",".join(host for host in names_of_hosts for _ in ports),
        "TPU_WORKER_ID": str(number),
        "TPU_NAME": "test-sample-0",
        "TPU_PROCESS_ADDRESSES": ",".join(f"{host}:{each}" for host in names_of_hosts for each in ports),
        "TPU_PROCESS_PORT": port,
    }


def test_every_tpu_container_has_its_process() -> None:
    own = [{"name": "TPU_PROCESS_PORT", "value": "9000"}]
    containers = [
        {"name": "a", "resources": TPU, "env": own},
        {"name": "none"},
        {"name": "b", "resources": {"requests": {"google.com/tpu": 4}}},
    ]
    pod = mutated(_pod(annotations={names.SIZE: "2"}, spec={"containers": containers}), "d")
    first, without, second = (_env(pod, index=i) for i in range(3))
    assert first["TPU_PROCESS_ADDRESSES"] == (
        "test-sample-0.test-sample:9000,test-sample-0.test-sample:8477,"
        "test-sample-0-1.test-sample:9000,test-sample-0-1.test-sample:8477"
    )
    assert (first["TPU_WORKER_ID"], second["TPU_WORKER_ID"]) == ("0", "1")
    assert (first["TPU_PROCESS_PORT"], second["TPU_PROCESS_PORT"]) == ("9000", "8477")
    assert not any(name.startswith("TPU") for name in without)
    assert list(first)[:3] == ["LWS_LEADER_ADDRESS", "LWS_GROUP_SIZE", "LWS_WORKER_INDEX"]


def test_a_container_that_names_its_tpu_hosts_keeps_them() -> None:
    own = [{"name": "TPU_WORKER_ID", "value": "5"}]
    pod = mutated(_pod(spec={"containers": [{"name": "a", "resources": TPU, "env": own}]}), "d")
    assert [name for name in _env(pod) if name.startswith("TPU")] == ["TPU_WORKER_ID"]
