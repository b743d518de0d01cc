"""The mutating webhook's defaults."""

from __future__ import annotations

from typing import Any

import pytest

from lws_sched.core.defaulting import defaulted
from tests.unit.core.samples import sample_json

FULL = {"partition": 0, "maxUnavailable": 1, "maxSurge": 0}


@pytest.mark.parametrize(
    ("template", "wanted"),
    [
        ({}, "RecreateGroupOnPodRestart"),
        ({"restartPolicy": ""}, "RecreateGroupOnPodRestart"),
        ({"restartPolicy": "Default"}, "None"),
        ({"restartPolicy": "None"}, "None"),
        ({"restartPolicy": "RecreateGroupAfterStart"}, "RecreateGroupAfterStart"),
    ],
)
def test_restart_policy(template: dict[str, Any], wanted: str) -> None:
    spec = defaulted({"spec": {"leaderWorkerTemplate": template}})["spec"]
    assert spec["leaderWorkerTemplate"]["restartPolicy"] == wanted


@pytest.mark.parametrize(
    ("spec", "wanted"),
    [
        ({}, {"type": "RollingUpdate", "rollingUpdateConfiguration": FULL}),
        ({"rolloutStrategy": {}}, {"type": "RollingUpdate", "rollingUpdateConfiguration": FULL}),
        (
            {"rolloutStrategy": {"rollingUpdateConfiguration": {"maxSurge": 1}}},
            {"type": "RollingUpdate", "rollingUpdateConfiguration": {"maxSurge": 1}},
        ),
        ({"rolloutStrategy": {"type": "Other"}}, {"type": "Other"}),
    ],
)
def test_rollout_strategy(spec: dict[str, Any], wanted: dict[str, Any]) -> None:
    assert defaulted({"spec": spec})["spec"]["rolloutStrategy"] == wanted


@pytest.mark.parametrize("network", [{}, {"networkConfig": None}, {"networkConfig": {"subdomainPolicy": None}}])
def test_members_share_a_subdomain_by_default(network: dict[str, Any]) -> None:
    assert defaulted({"spec": network})["spec"]["networkConfig"] == {"subdomainPolicy": "Shared"}


def test_a_complete_set_and_what_is_unknown_stay_as_they_are() -> None:
    body = sample_json()
    body["spec"]["later"] = {"x": 1}
    assert defaulted(body) == body


def test_what_is_no_set_is_left_to_the_schema() -> None:
    assert defaulted({"spec": 3}) == {"spec": 3}
