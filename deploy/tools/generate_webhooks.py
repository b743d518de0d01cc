"""Writes deploy/kustomize/default/webhooks.yaml from the hooks in the code: `python -m deploy.tools.generate_webhooks`.

The configurations are part of the installation, without a caBundle, so that removing the installation removes them: a
configuration that stays behind would refuse every pod of a group.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from lws_sched.admission.registration import CONTROLLER, EXTENDER, ServiceConnection, configurations
from lws_sched.cli.config import Configuration, ExtenderConfiguration
from lws_sched.controller.hooks import hooks
from lws_sched.extender.app import build
from lws_sched.sim.world import World

NAMESPACE = "lws-system"
OUTPUT = Path(__file__).parents[1] / "kustomize" / "default" / "webhooks.yaml"
HEADER = """\
# Written by deploy/tools/generate_webhooks.py. Do not edit.
# Without a caBundle: the controller and the extender put it in.
"""


def bodies() -> list[dict[str, Any]]:
    """All configurations, as the programs would write them but for the caBundle."""
    found = []
    for hooked, names, configuration in (
        (hooks(), CONTROLLER, Configuration()),
        (World().start("extender", build).hooks, EXTENDER, ExtenderConfiguration()),
    ):
        service = configuration.internal_cert_management.webhook_service_name
        found += [body for _, body in configurations(hooked, names, ServiceConnection(NAMESPACE, service, b""))]
    for body in found:
        for webhook in body["webhooks"]:
            del webhook["clientConfig"]["caBundle"]
    return found


def rendered() -> str:
    return HEADER + yaml.safe_dump_all(bodies(), sort_keys=False, width=120)


if __name__ == "__main__":
    OUTPUT.write_text(rendered())
