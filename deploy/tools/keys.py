"""What each label, annotation, taint, gate and resource of `lws_sched.api.names` means, for docs/annotations.md."""

from __future__ import annotations

from dataclasses import dataclass

from lws_sched.api import names


@dataclass(frozen=True)
class Key:
    name: str
    value: str
    """What its value is like; "" where it has none that matters."""
    meaning: str


ASKED = (
    Key(
        names.REQUIRED_TOPOLOGY,
        "`rack`, or a node label",
        "All members of a group share one domain of this level. A group that fits in none waits.",
    ),
    Key(
        names.PREFERRED_TOPOLOGY,
        "`rack,block`",
        "Levels to try, closest first; then wider ones. A group that fits in none of them is placed anyway.",
    ),
    Key(
        names.SPREAD_TOPOLOGY,
        "`block`",
        "Each group goes where the fewest other groups of its set are, as far as there is room.",
    ),
    Key(
        names.TORUS,
        "`2x2x4`",
        "Each group stands on a box of so many hosts, in any rotation, in one torus. Needs a `Topology` with axes.",
    ),
    Key(
        names.SUBGROUP_REQUIRED_TOPOLOGY,
        "`rack`",
        "All members of a subgroup share one domain of this level. Needs `subGroupPolicy`.",
    ),
    Key(
        names.EXCLUSIVE_TOPOLOGY,
        "a node label",
        "One domain for each group, which no other group of the namespace shares. Of the LeaderWorkerSet API.",
    ),
    Key(
        names.SUBGROUP_EXCLUSIVE_TOPOLOGY,
        "a node label",
        "One domain for each subgroup, which no other subgroup of the namespace shares. Of the LeaderWorkerSet API.",
    ),
    Key(
        names.MAX_GROUP_RESTARTS,
        "`3`",
        "How often a group may be made anew after a failure; then the set is `Failed`. No limit if absent.",
    ),
    Key(
        names.RESTART_BACKOFF,
        "`10s`",
        "The pause before a group is made anew, doubled with each restart up to five minutes. None if absent.",
    ),
    Key(
        names.RECREATE_AFTER_START,
        "any",
        "Of the LeaderWorkerSet API, where it is experimental: as `restartPolicy: RecreateGroupAfterStart`.",
    ),
)
"""Annotations that users put on a LeaderWorkerSet."""

DONE_BY_HAND = (
    Key(
        names.LEAVE_NODES,
        "`node-a,node-b`",
        "On a leader pod: nodes that its group is to leave. Nobody moves at once; when the group is next taken down it "
        "gets no slot there for five minutes. `lws-sched defrag --yes` uses it.",
    ),
)
"""What operators may put on pods."""

LABELS = (
    Key(names.SET_NAME, "`llama`", "The LeaderWorkerSet."),
    Key(names.GROUP_INDEX, "`0`", "The group's index in its set."),
    Key(names.WORKER_INDEX, "`0`", "The member's index in its group; 0 is the leader."),
    Key(names.GROUP_KEY, "40 hex digits", "sha1 of `namespace/leader pod`: the same for all members of a group."),
    Key(names.REVISION, "a hash", "The revision of the templates that the pod was made from."),
    Key(names.SUBGROUP_INDEX, "`0`", "The member's subgroup."),
    Key(names.SUBGROUP_KEY, "40 hex digits", "The same for all members of a subgroup."),
)
"""Labels of members."""

ANNOTATIONS = (
    Key(names.SIZE, "`4`", "Members of the group."),
    Key(names.LEADER_NAME, "`llama-0`", "Of a worker: its leader pod."),
    Key(names.SUBGROUP_SIZE, "`2`", "Members of a subgroup."),
    Key(names.SUBGROUP_POLICY_TYPE, "`LeaderExcluded`", "Whether the leader is in the first subgroup."),
    Key(names.SUBDOMAIN_POLICY, "`UniquePerReplica`", "Whether each group has a headless Service of its own."),
    Key(names.LEADER_REQUESTS_TPUS, "`true`", "Whether the leader asks for TPUs: workers count their ids from it."),
    Key(names.REPLICAS, "`2`", "On the leader StatefulSet: the set's replicas when it was last written."),
    Key(
        names.TEMPLATES,
        "JSON",
        "On a ControllerRevision: the templates as they were written, where they have pod fields that are newer than "
        "the API's hash of them. Groups that are rebuilt from the revision get them.",
    ),
    Key(names.ROOM_MADE, "a time", "On a pod of no group that held slots kept out: when there was room for it again."),
)
"""Annotations that the controller and the extender write."""

ELSE = (
    Key(names.GATE, "scheduling gate", "On members of a group without a place: the API server binds no such pod."),
    Key(
        names.MEMBER_RESOURCE,
        "resource, `0`",
        "In one container of each member: kube-scheduler sends it to the extender.",
    ),
    Key(
        names.RESERVED_TAINT,
        "taint, `NoSchedule`",
        "On nodes on which groups hold slots, beside a second scheduler. Members tolerate it.",
    ),
    Key(
        f"{names.RESTARTS_PREFIX}<index>",
        "annotation",
        "On the leader StatefulSet: what a group's restart budget has come to.",
    ),
)
"""Gates, resources and taints."""

SECTIONS = (
    ("On a LeaderWorkerSet, by its user", ASKED),
    ("On a pod, by an operator", DONE_BY_HAND),
    ("Labels of members", LABELS),
    ("Annotations that the programs write", ANNOTATIONS),
    ("Gate, resource, taint", ELSE),
)
