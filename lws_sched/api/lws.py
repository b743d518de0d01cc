"""The LeaderWorkerSet kind (`leaderworkerset.x-k8s.io/v1`), as the reference release v0.10 defines it.

Defaults here are those of the CRD schema and the defaulting webhook, so a decoded object reads the same whether or not
it passed through either. Templates are opaque: unknown and future pod fields survive.
"""

from __future__ import annotations

from typing import Any

import msgspec

from lws_sched.api.core import Condition
from lws_sched.api.meta import Kind, Meta, Wire

RECREATE_ON_POD_RESTART = "RecreateGroupOnPodRestart"
RECREATE_AFTER_START = "RecreateGroupAfterStart"
RESTART_NONE = "None"
LEADER_CREATED = "LeaderCreated"
LEADER_READY = "LeaderReady"
SHARED = "Shared"
UNIQUE_PER_REPLICA = "UniquePerReplica"

Template = dict[str, Any]
IntOrPercent = int | str


class SubGroupPolicy(Wire, frozen=True, kw_only=True):
    sub_group_policy_type: str = msgspec.field(default="LeaderWorker", name="subGroupPolicyType")
    sub_group_size: int | None = msgspec.field(default=None, name="subGroupSize")


class LeaderWorkerTemplate(Wire, frozen=True, kw_only=True):
    worker_template: Template = msgspec.field(default_factory=dict)
    leader_template: Template | None = None
    size: int = 1
    restart_policy: str = RECREATE_ON_POD_RESTART
    sub_group_policy: SubGroupPolicy | None = msgspec.field(default=None, name="subGroupPolicy")
    volume_claim_templates: tuple[dict[str, Any], ...] = ()
    persistent_volume_claim_retention_policy: dict[str, str] | None = None

    @property
    def actual_leader_template(self) -> Template:
        """The template leaders are made from: their own, or the workers' where none is given."""
        return self.worker_template if self.leader_template is None else self.leader_template


class RollingUpdateConfiguration(Wire, frozen=True, kw_only=True):
    partition: int = 0
    max_unavailable: IntOrPercent = 1
    max_surge: IntOrPercent = 0


class RolloutStrategy(Wire, frozen=True, kw_only=True):
    type: str = "RollingUpdate"
    rolling_update_configuration: RollingUpdateConfiguration | None = None


class NetworkConfig(Wire, frozen=True, kw_only=True):
    subdomain_policy: str | None = None


class LeaderWorkerSetSpec(Wire, frozen=True, kw_only=True):
    leader_worker_template: LeaderWorkerTemplate = LeaderWorkerTemplate()
    replicas: int = 1
    rollout_strategy: RolloutStrategy = RolloutStrategy()
    startup_policy: str = LEADER_CREATED
    network_config: NetworkConfig | None = None


class LeaderWorkerSetStatus(Wire, frozen=True, kw_only=True):
    conditions: tuple[Condition, ...] = ()
    replicas: int = 0
    ready_replicas: int = 0
    updated_replicas: int = 0
    hpa_pod_selector: str = ""
    observed_generation: int = 0


class LeaderWorkerSet(Wire, frozen=True, kw_only=True):
    metadata: Meta
    spec: LeaderWorkerSetSpec = LeaderWorkerSetSpec()
    status: LeaderWorkerSetStatus = LeaderWorkerSetStatus()


LEADER_WORKER_SET = Kind("leaderworkerset.x-k8s.io", "v1", "LeaderWorkerSet", "leaderworkersets", LeaderWorkerSet)
