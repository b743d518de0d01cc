"""What service accounts asked the API server for, from its audit log; and what their roles allow them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import yaml

ACCOUNT = "system:serviceaccount:lws-system:"
POLICY = {
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    "omitStages": ["RequestReceived", "Panic"],
    "omitManagedFields": True,
    "rules": [{"level": "Metadata", "userGroups": ["system:serviceaccounts:lws-system"]}, {"level": "None"}],
}


class Right(NamedTuple):
    """One verb on one resource (`pods/binding`), of one name where a rule says which."""

    group: str
    resource: str
    verb: str
    name: str = ""

    def __str__(self) -> str:
        resource = f"{self.resource}.{self.group}" if self.group else self.resource
        return f"{self.verb} {resource}" + (f" {self.name}" if self.name else "")


class Audit:
    """The audit log of an API server that is started with `arguments`."""

    def __init__(self, folder: Path) -> None:
        self._policy, self._log = folder / "audit-policy.yaml", folder / "audit.log"
        self._policy.write_text(yaml.safe_dump(POLICY))

    @property
    def arguments(self) -> list[str]:
        return [f"--audit-policy-file={self._policy}", f"--audit-log-path={self._log}", "--audit-log-mode=blocking"]

    def asked(self, account: str) -> Iterator[tuple[Right, bool]]:
        """Each request of an account, and whether it was allowed."""
        for line in self._log.read_text().splitlines():
            event = json.loads(line)
            if event["user"]["username"] == ACCOUNT + account and "objectRef" in event:
                allowed = event.get("annotations", {}).get("authorization.k8s.io/decision") != "forbid"
                yield _right(event), allowed

    def used(self, account: str) -> set[Right]:
        return {right for right, allowed in self.asked(account) if allowed}

    def refused(self, account: str) -> set[Right]:
        return {right for right, allowed in self.asked(account) if not allowed}


def _right(event: Mapping[str, Any]) -> Right:
    found = event["objectRef"]
    resource = "/".join(each for each in (found["resource"], found.get("subresource")) if each)
    return Right(found.get("apiGroup", ""), resource, event["verb"], found.get("name", ""))


def granted(documents: Sequence[Mapping[str, Any]], account: str) -> set[Right]:
    """What the Roles and ClusterRoles of our own that are bound to an account allow."""
    roles = {(each["kind"], each["metadata"]["name"]): each for each in documents if each["kind"] in ROLES}
    bindings = [each for each in documents if each["kind"] in BINDINGS]
    return {
        right
        for binding in bindings
        if any(subject["name"] == account for subject in binding["subjects"])
        for role in [roles.get((binding["roleRef"]["kind"], binding["roleRef"]["name"]), {})]
        for rule in role.get("rules", ())
        for right in rights(rule)
    }


ROLES, BINDINGS = ("Role", "ClusterRole"), ("RoleBinding", "ClusterRoleBinding")


def rights(rule: Mapping[str, Any]) -> Iterator[Right]:
    for group in rule["apiGroups"]:
        for resource in rule["resources"]:
            for verb in rule["verbs"]:
                for name in rule.get("resourceNames", [""]):
                    yield Right(group, resource, verb, name)


def unused(allowed: Iterable[Right], used: Iterable[Right]) -> set[Right]:
    """A right without a name is used by a request for any."""
    known = {*used, *(right._replace(name="") for right in used)}
    return {right for right in allowed if right not in known}
