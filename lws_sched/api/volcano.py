"""Volcano's PodGroup (`scheduling.volcano.sh/v1beta1`): only what is looked at of it."""

from __future__ import annotations

from lws_sched.api.meta import Kind, Meta, Wire


class PodGroup(Wire, frozen=True, kw_only=True):
    metadata: Meta


POD_GROUP = Kind("scheduling.volcano.sh", "v1beta1", "PodGroup", "podgroups", PodGroup)
