"""Writes lws_sched/cli/rights.py from the roles, for `lws-sched check`: `python -m deploy.tools.generate_rights`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[2]
OUTPUT = ROOT / "lws_sched" / "cli" / "rights.py"
ACCOUNTS = {"lws-sched-controller": "controller.yaml", "lws-sched-extender": "extender.yaml"}
HEADER = '''"""What each service account has to be allowed. Written by deploy/tools/generate_rights.py. Do not edit.

Each right is: where (`all`, or `ours`, the namespace of the installation), verb, API group, resource, and the name of
the one object that it is for, or `*`.
"""

from __future__ import annotations

'''


def rights(path: Path) -> Iterator[str]:
    for document in yaml.safe_load_all(path.read_text()):
        where = "ours" if document["kind"] == "Role" else "all"
        for rule in document.get("rules") or ():
            for group in rule.get("apiGroups", ()):
                for resource in rule["resources"]:
                    for name in rule.get("resourceNames", ["*"]):
                        for verb in rule["verbs"]:
                            yield f"{where} {verb} {group or 'core'} {resource} {name}"


def rendered() -> str:
    parts = [HEADER, "NEEDED: dict[str, tuple[str, ...]] = {\n"]
    for account, name in ACCOUNTS.items():
        lines = "".join(f'        "{each}",\n' for each in rights(ROOT / "deploy" / "rbac" / name))
        parts.append(f'    "{account}": (\n{lines}    ),\n')
    return "".join([*parts, "}\n"])


if __name__ == "__main__":
    OUTPUT.write_text(rendered())
