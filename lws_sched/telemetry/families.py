"""Every metric: its name, what it means, its labels. docs/metrics.md is written from this file.

Work queues, requests to the API server, leader election, reconciliations and webhooks carry the names that Kubernetes
controllers commonly use, so that existing dashboards and alerts fit. The rest begins with `lws_sched_`.
"""

from __future__ import annotations

from dataclasses import dataclass

COUNTER, GAUGE, HISTOGRAM = "counter", "gauge", "histogram"
QUICK = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 15.0)
"""Upper bounds for what takes microseconds to seconds."""
SLOW = (0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0)
"""Upper bounds for what takes a moment to an hour."""


@dataclass(frozen=True)
class Family:
    """One metric. A counter's name ends in `_total`; times are seconds."""

    name: str
    kind: str
    help: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()
    """Upper bounds of a histogram, rising."""


# --- work queues -----------------------------------------------------------------------------------------------------
QUEUE_DEPTH = Family("workqueue_depth", GAUGE, "Keys that could be worked on now", ("name",))
QUEUE_ADDS = Family("workqueue_adds_total", COUNTER, "Keys put on the queue", ("name",))
QUEUE_RETRIES = Family("workqueue_retries_total", COUNTER, "Keys put back after a failure", ("name",))
QUEUE_WAIT = Family(
    "workqueue_queue_duration_seconds", HISTOGRAM, "How long a key waited for a worker", ("name",), QUICK
)
QUEUE_WORK = Family("workqueue_work_duration_seconds", HISTOGRAM, "How long one key was worked on", ("name",), QUICK)
QUEUE_LONGEST = Family(
    "workqueue_longest_running_processor_seconds", GAUGE, "For how long the oldest key is being worked on", ("name",)
)
RECONCILES = Family(
    "controller_runtime_reconcile_total",
    COUNTER,
    "Reconciliations by result: success, requeue_after, requeue (a lost race), error",
    ("controller", "result"),
)
RECONCILE_ERRORS = Family(
    "controller_runtime_reconcile_errors_total", COUNTER, "Reconciliations that failed", ("controller",)
)
RECONCILE_SECONDS = Family(
    "controller_runtime_reconcile_time_seconds", HISTOGRAM, "How long a reconciliation took", ("controller",), QUICK
)
WORKERS = Family("controller_runtime_max_concurrent_reconciles", GAUGE, "Workers of a queue", ("controller",))
ACTIVE_WORKERS = Family("controller_runtime_active_workers", GAUGE, "Workers that work now", ("controller",))

# --- API server ------------------------------------------------------------------------------------------------------
REQUESTS = Family(
    "rest_client_requests_total",
    COUNTER,
    "Requests to the API server by answer; code <error> where none came",
    ("code", "host", "method"),
)
REQUEST_SECONDS = Family(
    "rest_client_request_duration_seconds",
    HISTOGRAM,
    "From sending a request to having its answer; of a watch, to its beginning",
    ("host", "verb"),
    QUICK,
)
LEADS = Family("leader_election_master_status", GAUGE, "1 where this process holds the Lease", ("name",))
EVENTS = Family(
    "lws_sched_events_total", COUNTER, "Events that were recorded, repetitions included", ("reason", "type")
)

# --- webhooks --------------------------------------------------------------------------------------------------------
WEBHOOK_REQUESTS = Family(
    "controller_runtime_webhook_requests_total", COUNTER, "Admission reviews by HTTP status", ("code", "webhook")
)
WEBHOOK_SECONDS = Family(
    "controller_runtime_webhook_latency_seconds",
    HISTOGRAM,
    "How long a review took, what a hook waited for included",
    ("webhook",),
    QUICK,
)
CERTIFICATE_ENDS = Family(
    "lws_sched_webhook_certificate_expiry_seconds",
    GAUGE,
    "When the serving certificate ends, seconds since the epoch",
)
VERBS_CERTIFICATE_ENDS = Family(
    "lws_sched_verbs_certificate_expiry_seconds",
    GAUGE,
    "When the certificate ends that kube-scheduler sees, seconds since the epoch; absent where it calls over loopback",
)
READY = Family("lws_sched_ready", GAUGE, "1 where /readyz says so")

# --- placement service -----------------------------------------------------------------------------------------------
GRPC_STARTED = Family(
    "grpc_server_started_total", COUNTER, "Calls that began", ("grpc_type", "grpc_service", "grpc_method")
)
GRPC_HANDLED = Family(
    "grpc_server_handled_total",
    COUNTER,
    "Calls that ended, by gRPC status",
    ("grpc_type", "grpc_service", "grpc_method", "grpc_code"),
)
GRPC_SECONDS = Family(
    "grpc_server_handling_seconds",
    HISTOGRAM,
    "How long a call took, what it waited for included",
    ("grpc_type", "grpc_service", "grpc_method"),
    QUICK,
)

# --- controller ------------------------------------------------------------------------------------------------------
SETS = Family(
    "lws_sched_sets",
    GAUGE,
    "LeaderWorkerSets by the condition that says most: Failed, UpdateInProgress, Progressing, Available",
    ("condition",),
)
GROUPS = Family(
    "lws_sched_groups", GAUGE, "Groups: desired, existing, ready, updated", ("namespace", "leaderworkerset", "state")
)
RESTARTS = Family("lws_sched_group_restarts_total", COUNTER, "Groups recreated whole", ("namespace", "leaderworkerset"))
ROLLOUTS = Family("lws_sched_rollouts_total", COUNTER, "Updates begun", ("namespace", "leaderworkerset"))

# --- extender --------------------------------------------------------------------------------------------------------
DECISIONS = Family(
    "lws_sched_decisions_total",
    COUNTER,
    "Places asked for, by what came of it: placed, refused (none for now), given_up, returned (to the slots kept)",
    ("result",),
)
STAGE_SECONDS = Family(
    "lws_sched_stage_seconds",
    HISTOGRAM,
    "How long groups were in each stage: wait (for room), gather (the members), bind (and note it)",
    ("stage",),
    SLOW,
)
WAITING = Family(
    "lws_sched_waiting_groups",
    GAUGE,
    "Groups without a place: infeasible or undecided by proof, or pending for another reason",
    ("reason",),
)
PLACEMENTS = Family("lws_sched_placements", GAUGE, "GroupPlacements by state", ("state",))
OLDEST = Family(
    "lws_sched_oldest_placement_seconds",
    GAUGE,
    "For how long the oldest GroupPlacement of each state has been in it; absent for states that none is in",
    ("state",),
)
COMMIT_SECONDS = Family("lws_sched_time_to_commit_seconds", HISTOGRAM, "From a group's record to its commit", (), SLOW)
PLAN_SECONDS = Family(
    "lws_sched_plan_seconds",
    HISTOGRAM,
    "How long the search took, for all groups that were planned together",
    (),
    QUICK,
)
PLAN_VALUE = Family("lws_sched_plan_value", GAUGE, "Members that the last plan has a place for")
PLAN_BOUND = Family("lws_sched_plan_bound", GAUGE, "Members that no plan could have had more places for")
PLAN_GAP = Family(
    "lws_sched_plan_gap_ratio", GAUGE, "How far the last plan may be from the best one: 1 - value/bound, 0 where proven"
)
FRAGMENTATION = Family(
    "lws_sched_fragmentation_ratio",
    GAUGE,
    "Of what is free of the main accelerator, the share that the level's best domain does not have",
    ("level", "resource"),
)
LARGEST_FIT = Family(
    "lws_sched_largest_fit_members",
    GAUGE,
    "Members of a group, each a whole host, that still fit into one domain of the level",
    ("level", "resource"),
)
VERB_SECONDS = Family(
    "lws_sched_verb_seconds",
    HISTOGRAM,
    "How long kube-scheduler waited for filter, preempt and bind; a bind call is held until its group is complete",
    ("verb",),
    QUICK,
)
VERB_REFUSALS = Family("lws_sched_verb_refusals_total", COUNTER, "Calls that were answered with an error", ("verb",))
