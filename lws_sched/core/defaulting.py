"""What the mutating webhook fills into a LeaderWorkerSet, beyond the defaults of the CRD's schema.

It works on raw JSON: fields that it does not know survive, and values of a wrong type are left to the schema, which the
API server checks afterwards.
"""

from __future__ import annotations

from typing import Any

from lws_sched.api.lws import RECREATE_ON_POD_RESTART, RESTART_NONE, SHARED

JsonObject = dict[str, Any]

_ROLLING_UPDATE = "RollingUpdate"


def defaulted(lws: JsonObject) -> JsonObject:
    """The LeaderWorkerSet with every default filled in; the argument is not changed."""
    spec = lws.get("spec")
    if not isinstance(spec, dict):
        return lws
    template = _object(spec, "leaderWorkerTemplate")
    fields = {
        "rolloutStrategy": _rollout_strategy(_object(spec, "rolloutStrategy")),
        "networkConfig": _network_config(_object(spec, "networkConfig")),
    }
    if "leaderWorkerTemplate" in spec:
        fields["leaderWorkerTemplate"] = {**template, "restartPolicy": _restart_policy(template.get("restartPolicy"))}
    return {**lws, "spec": {**spec, **fields}}


def _restart_policy(policy: Any) -> Any:
    """`Default` is the deprecated spelling of `None`. What is no text is left to the schema."""
    if policy is not None and not isinstance(policy, str):
        return policy
    return {"": RECREATE_ON_POD_RESTART, "Default": RESTART_NONE}.get(policy or "", policy)


def _rollout_strategy(strategy: JsonObject) -> JsonObject:
    type_ = strategy.get("type") or _ROLLING_UPDATE
    filled = {**strategy, "type": type_}
    if type_ == _ROLLING_UPDATE and filled.get("rollingUpdateConfiguration") is None:
        filled["rollingUpdateConfiguration"] = {"partition": 0, "maxUnavailable": 1, "maxSurge": 0}
    return filled


def _network_config(network: JsonObject) -> JsonObject:
    return network if network.get("subdomainPolicy") is not None else {**network, "subdomainPolicy": SHARED}


def _object(parent: JsonObject, field: str) -> JsonObject:
    value = parent.get(field)
    return value if isinstance(value, dict) else {}
