"""Projections of the built-in kinds: the fields that placement, the group's life and the status are decided from."""

from __future__ import annotations

from typing import Any

import msgspec

from lws_sched.api.meta import Kind, Meta, Wire

Quantity = str | int | float


class SchedulingGate(Wire, frozen=True, kw_only=True):
    name: str


class ResourceRequirements(Wire, frozen=True, kw_only=True):
    requests: dict[str, Quantity] = msgspec.field(default_factory=dict)
    limits: dict[str, Quantity] = msgspec.field(default_factory=dict)


class Container(Wire, frozen=True, kw_only=True):
    name: str = ""
    resources: ResourceRequirements = ResourceRequirements()
    restart_policy: str = ""
    """`Always` on an init container makes it a sidecar, which counts for the pod's whole life."""


class Toleration(Wire, frozen=True, kw_only=True):
    key: str = ""
    operator: str = ""
    value: str = ""
    effect: str = ""


class NodeSelectorRequirement(Wire, frozen=True, kw_only=True):
    key: str
    operator: str
    values: tuple[str, ...] = ()


class NodeSelectorTerm(Wire, frozen=True, kw_only=True):
    match_expressions: tuple[NodeSelectorRequirement, ...] = ()
    match_fields: tuple[NodeSelectorRequirement, ...] = ()


class NodeSelector(Wire, frozen=True, kw_only=True):
    node_selector_terms: tuple[NodeSelectorTerm, ...] = ()


class NodeAffinity(Wire, frozen=True, kw_only=True):
    required: NodeSelector | None = msgspec.field(default=None, name="requiredDuringSchedulingIgnoredDuringExecution")


class LabelSelectorRequirement(Wire, frozen=True, kw_only=True):
    key: str
    operator: str
    values: tuple[str, ...] = ()


class LabelSelector(Wire, frozen=True, kw_only=True):
    match_labels: dict[str, str] = msgspec.field(default_factory=dict)
    match_expressions: tuple[LabelSelectorRequirement, ...] = ()


class PodAffinityTerm(Wire, frozen=True, kw_only=True):
    topology_key: str = ""
    label_selector: LabelSelector | None = None


class PodAffinity(Wire, frozen=True, kw_only=True):
    required: tuple[PodAffinityTerm, ...] = msgspec.field(
        default=(), name="requiredDuringSchedulingIgnoredDuringExecution"
    )


class Affinity(Wire, frozen=True, kw_only=True):
    node_affinity: NodeAffinity | None = None
    pod_affinity: PodAffinity | None = None
    pod_anti_affinity: PodAffinity | None = None


class PodSpec(Wire, frozen=True, kw_only=True):
    node_name: str = ""
    scheduler_name: str = "default-scheduler"
    scheduling_gates: tuple[SchedulingGate, ...] = ()
    containers: tuple[Container, ...] = ()
    init_containers: tuple[Container, ...] = ()
    overhead: dict[str, Quantity] = msgspec.field(default_factory=dict)
    priority: int = 0
    priority_class_name: str = ""
    preemption_policy: str = ""
    node_selector: dict[str, str] = msgspec.field(default_factory=dict)
    affinity: Affinity | None = None
    tolerations: tuple[Toleration, ...] = ()
    subdomain: str = ""
    resource_claims: tuple[dict[str, Any], ...] = ()


class Condition(Wire, frozen=True, kw_only=True):
    type: str
    status: str
    reason: str = ""
    message: str = ""
    last_transition_time: str = ""
    observed_generation: int = 0


class Terminated(Wire, frozen=True, kw_only=True):
    exit_code: int = 0
    reason: str = ""


class ContainerState(Wire, frozen=True, kw_only=True):
    terminated: Terminated | None = None


class ContainerStatus(Wire, frozen=True, kw_only=True):
    name: str = ""
    restart_count: int = 0
    state: ContainerState = ContainerState()
    last_state: ContainerState = ContainerState()


class PodStatus(Wire, frozen=True, kw_only=True):
    phase: str = ""
    reason: str = ""
    message: str = ""
    conditions: tuple[Condition, ...] = ()
    container_statuses: tuple[ContainerStatus, ...] = ()
    init_container_statuses: tuple[ContainerStatus, ...] = ()


class Pod(Wire, frozen=True, kw_only=True):
    metadata: Meta
    spec: PodSpec = PodSpec()
    status: PodStatus = PodStatus()


class PodTemplate(Wire, frozen=True, kw_only=True):
    """The readable part of a PodTemplateSpec; the template itself stays an opaque mapping."""

    metadata: Meta = Meta()
    spec: PodSpec = PodSpec()


class Taint(Wire, frozen=True, kw_only=True):
    key: str
    value: str = ""
    effect: str = ""


class NodeSpec(Wire, frozen=True, kw_only=True):
    unschedulable: bool = False
    taints: tuple[Taint, ...] = ()


class NodeCondition(Wire, frozen=True, kw_only=True):
    """Without its times: kubelets write them every few minutes, for all nodes."""

    type: str
    status: str


class NodeStatus(Wire, frozen=True, kw_only=True):
    allocatable: dict[str, Quantity] = msgspec.field(default_factory=dict)
    conditions: tuple[NodeCondition, ...] = ()


class Node(Wire, frozen=True, kw_only=True):
    metadata: Meta
    spec: NodeSpec = NodeSpec()
    status: NodeStatus = NodeStatus()


class StatefulSetSpec(Wire, frozen=True, kw_only=True):
    replicas: int = 1
    service_name: str = ""


class StatefulSetStatus(Wire, frozen=True, kw_only=True):
    observed_generation: int = 0
    replicas: int = 0
    ready_replicas: int = 0
    available_replicas: int = 0
    current_revision: str = ""
    update_revision: str = ""


class StatefulSet(Wire, frozen=True, kw_only=True):
    metadata: Meta
    spec: StatefulSetSpec = StatefulSetSpec()
    status: StatefulSetStatus = StatefulSetStatus()

    @property
    def is_attended(self) -> bool:
        """Whether its controller has looked at it as it is now, and made, or tried to make, the pods it lacks."""
        return self.status.observed_generation >= self.metadata.generation


class DaemonSetSpec(Wire, frozen=True, kw_only=True):
    template: PodTemplate = PodTemplate()


class DaemonSet(Wire, frozen=True, kw_only=True):
    metadata: Meta
    spec: DaemonSetSpec = DaemonSetSpec()


class Service(Wire, frozen=True, kw_only=True):
    metadata: Meta


class ControllerRevision(Wire, frozen=True, kw_only=True):
    metadata: Meta
    revision: int = 0
    data: dict[str, Any] = msgspec.field(default_factory=dict)


class LeaseSpec(Wire, frozen=True, kw_only=True):
    holder_identity: str = ""
    lease_duration_seconds: int = 0
    acquire_time: str = ""
    renew_time: str = ""
    lease_transitions: int = 0


class Lease(Wire, frozen=True, kw_only=True):
    metadata: Meta
    spec: LeaseSpec = LeaseSpec()


class EventRegarding(Wire, frozen=True, kw_only=True):
    api_version: str = ""
    kind: str = ""
    namespace: str = ""
    name: str = ""
    uid: str = ""


class PodDisruptionBudgetSpec(Wire, frozen=True, kw_only=True):
    selector: LabelSelector | None = None


class PodDisruptionBudgetStatus(Wire, frozen=True, kw_only=True):
    disruptions_allowed: int = 0


class PodDisruptionBudget(Wire, frozen=True, kw_only=True):
    metadata: Meta
    spec: PodDisruptionBudgetSpec = PodDisruptionBudgetSpec()
    status: PodDisruptionBudgetStatus = PodDisruptionBudgetStatus()


class Event(Wire, frozen=True, kw_only=True):
    """events.k8s.io/v1."""

    metadata: Meta
    type: str = ""
    reason: str = ""
    action: str = ""
    note: str = ""
    regarding: EventRegarding = EventRegarding()


class PriorityClass(Wire, frozen=True, kw_only=True):
    metadata: Meta
    value: int = 0
    global_default: bool = False


class WebhookConfiguration(Wire, frozen=True, kw_only=True):
    """Its webhooks stay raw JSON: whoever writes them back must keep what others put there."""

    metadata: Meta
    webhooks: tuple[dict[str, Any], ...] = ()


class Secret(Wire, frozen=True, kw_only=True):
    """`data` decodes from base64."""

    metadata: Meta
    data: dict[str, bytes] = msgspec.field(default_factory=dict)


class ConfigMap(Wire, frozen=True, kw_only=True):
    metadata: Meta
    data: dict[str, str] = msgspec.field(default_factory=dict)


POD = Kind("", "v1", "Pod", "pods", Pod)
NODE = Kind("", "v1", "Node", "nodes", Node, namespaced=False)
SERVICE = Kind("", "v1", "Service", "services", Service)
STATEFUL_SET = Kind("apps", "v1", "StatefulSet", "statefulsets", StatefulSet)
DAEMON_SET = Kind("apps", "v1", "DaemonSet", "daemonsets", DaemonSet)
CONTROLLER_REVISION = Kind("apps", "v1", "ControllerRevision", "controllerrevisions", ControllerRevision)
POD_DISRUPTION_BUDGET = Kind("policy", "v1", "PodDisruptionBudget", "poddisruptionbudgets", PodDisruptionBudget)
LEASE = Kind("coordination.k8s.io", "v1", "Lease", "leases", Lease)
EVENT = Kind("events.k8s.io", "v1", "Event", "events", Event)
SECRET = Kind("", "v1", "Secret", "secrets", Secret)
CONFIG_MAP = Kind("", "v1", "ConfigMap", "configmaps", ConfigMap)
PRIORITY_CLASS = Kind("scheduling.k8s.io", "v1", "PriorityClass", "priorityclasses", PriorityClass, namespaced=False)
MUTATING_WEBHOOKS = Kind(
    "admissionregistration.k8s.io",
    "v1",
    "MutatingWebhookConfiguration",
    "mutatingwebhookconfigurations",
    WebhookConfiguration,
    namespaced=False,
)
VALIDATING_WEBHOOKS = Kind(
    "admissionregistration.k8s.io",
    "v1",
    "ValidatingWebhookConfiguration",
    "validatingwebhookconfigurations",
    WebhookConfiguration,
    namespaced=False,
)
