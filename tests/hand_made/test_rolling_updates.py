"""Rolling updates, step by step: the partition, the replicas, the counts and the conditions of each."""

from __future__ import annotations

from typing import Any

from tests.hand_made.stage import (
    AVAILABLE,
    NAME,
    PREFIX,
    PROGRESSING,
    REVISION,
    REVISIONS,
    STATEFUL_SETS,
    UPDATING,
    Stage,
    annotations_of,
    labels_of,
    rolling,
    workers_of,
)


def _available(stage: Stage, replicas: int, partition: int = 0, **spec: Any) -> None:
    stage.create(replicas=replicas, **spec)
    stage.ready(*range(replicas))
    stage.sees(replicas=replicas, partition=partition, counts=(replicas, replicas), true=AVAILABLE, revisions=1)


def test_an_update_goes_from_the_last_group_to_the_first(stage: Stage) -> None:
    _available(stage, 4)
    stage.rename_containers("leaderTemplate", "new-leader")
    stage.sees(replicas=4, partition=3, counts=(4, 0), true=UPDATING)
    displaced = stage.conditions()["Available"]
    assert (displaced["status"], displaced["message"]) == ("False", "All replicas are ready")
    stage.says("GroupsUpdating", "Updating replica 3")
    stage.says("GroupsUpdating", "Rolling Upgrade is in progress, with 4 groups ready of total 4 groups")
    stage.ready(3)
    stage.sees(partition=2, counts=(4, 1))
    stage.says("GroupsUpdating", "Updating replica 2")
    stage.ready(1)
    stage.sees(partition=2, counts=(4, 2))
    stage.workers_unready(3)
    stage.sees(partition=2, counts=(3, 2), true=UPDATING)
    stage.ready(0, 1, 2, 3)
    stage.sees(partition=0, counts=(4, 4), true=AVAILABLE, revisions=1)
    over = {type_: (each["status"], each["message"]) for type_, each in stage.conditions().items()}
    assert over["UpdateInProgress"] == ("False", "Rolling Upgrade is in progress")
    assert over["Progressing"] == ("False", "Replicas are progressing")


def test_max_unavailable_takes_more_at_once(stage: Stage) -> None:
    _available(stage, 4, **rolling(maxUnavailable=2))
    stage.rename_containers("workerTemplate", "new-worker")
    stage.sees(partition=2, counts=(4, 0), true=UPDATING)
    stage.says("GroupsUpdating", "Updating replicas 2 to 3 (inclusive)")
    stage.ready(3)
    stage.sees(partition=1, counts=(4, 1))
    stage.ready(2)
    stage.sees(partition=0, counts=(4, 2))
    stage.ready(1, 0)
    stage.sees(counts=(4, 4), true=AVAILABLE)


def test_all_groups_may_be_unavailable(stage: Stage) -> None:
    _available(stage, 4, **rolling(maxUnavailable=10))
    stage.rename_containers("workerTemplate", "new-worker")
    stage.sees(partition=0, counts=(4, 0), true=UPDATING)
    stage.ready(0, 1, 2, 3)
    stage.sees(partition=0, counts=(4, 4), true=AVAILABLE)


def test_a_set_that_grows_with_its_update_grows_first(stage: Stage) -> None:
    _available(stage, 4)
    stage.rename_containers("workerTemplate", "new-worker", replicas=6)
    stage.sees(replicas=6, partition=4, counts=(4, 0), true=UPDATING)
    stage.make_leaders(4, 6)
    stage.ready(*range(6))
    stage.sees(replicas=6, partition=0, counts=(6, 6), true=AVAILABLE)


def test_a_set_that_grows_in_the_middle_of_an_update_keeps_its_partition(stage: Stage) -> None:
    _available(stage, 4)
    stage.rename_containers("workerTemplate", "new-worker")
    stage.sees(partition=3, counts=(4, 0))
    stage.ready(3)
    stage.sees(partition=2, counts=(4, 1))
    stage.edit(replicas=6)
    stage.make_leaders(4, 6)
    stage.ready(4, 5)
    stage.sees(replicas=6, partition=2, counts=(6, 3), true=UPDATING)
    stage.ready(*range(6))
    stage.sees(replicas=6, partition=0, counts=(6, 6), true=AVAILABLE)


def test_a_set_that_shrinks_in_the_middle_of_an_update_goes_on_with_what_is_left(stage: Stage) -> None:
    _available(stage, 6)
    stage.rename_containers("workerTemplate", "new-worker")
    stage.sees(replicas=6, partition=5, counts=(6, 0))
    stage.edit(replicas=3)
    stage.take_down(3, 6)
    stage.sees(replicas=3, partition=2, counts=(3, 0), true=UPDATING)
    stage.ready(0, 1, 2)
    stage.sees(replicas=3, partition=0, counts=(3, 3), true=AVAILABLE)


def test_surge_alone_goes_one_by_one_and_is_given_back_at_the_end(stage: Stage) -> None:
    _available(stage, 4, **rolling(maxUnavailable=0, maxSurge=1))
    stage.rename_containers("workerTemplate", "new-worker")
    stage.sees(replicas=5, partition=4, counts=(4, 0), true=UPDATING)
    stage.make_leaders(4, 5)
    stage.ready(4)
    for group in (3, 2, 1, 0):
        stage.sees(replicas=5, partition=group, counts=(5, 4 - group), true=UPDATING)
        stage.ready(group)
    stage.sees(replicas=4, partition=0)
    stage.says("GroupsProgressing", f"deleting surge replica {NAME}-4")
    stage.take_down(4, 5)
    stage.sees(replicas=4, counts=(4, 4), true=AVAILABLE)


def test_with_surge_and_unavailable_groups_surge_goes_when_one_group_is_left(stage: Stage) -> None:
    _available(stage, 4, **rolling(maxUnavailable=1, maxSurge=1))
    stage.rename_containers("workerTemplate", "new-worker")
    stage.sees(replicas=5, partition=3, counts=(4, 0), true=UPDATING)
    stage.make_leaders(4, 5)
    stage.ready(4)
    stage.sees(replicas=5, partition=2, counts=(5, 1))
    stage.ready(3)
    stage.sees(replicas=5, partition=1, counts=(5, 2))
    stage.ready(2)
    stage.sees(replicas=5, partition=0, counts=(5, 3))
    stage.ready(1)
    stage.sees(replicas=4, partition=0)
    stage.take_down(4, 5)
    stage.sees(counts=(4, 3))
    stage.ready(0)
    stage.sees(replicas=4, counts=(4, 4), true=AVAILABLE)


def test_surge_that_is_not_needed_any_more_goes_before_it_came(stage: Stage) -> None:
    _available(stage, 4, **rolling(maxUnavailable=2, maxSurge=2))
    stage.rename_containers("workerTemplate", "new-worker")
    stage.sees(replicas=6, partition=2, counts=(4, 0), true=UPDATING)
    stage.ready(3, 2)
    stage.sees(replicas=4, partition=0, counts=(4, 2), true=UPDATING)
    stage.ready(1, 0)
    stage.sees(counts=(4, 4), true=AVAILABLE)


def test_a_set_that_grows_with_a_surging_update_surges_later(stage: Stage) -> None:
    _available(stage, 2, **rolling(maxSurge=2))
    stage.rename_containers("workerTemplate", "new-worker", replicas=4)
    stage.sees(replicas=6, partition=2, true=UPDATING)
    stage.make_leaders(2, 6)
    stage.ready(*range(6))
    stage.sees(replicas=4, partition=0, true=AVAILABLE)
    stage.take_down(4, 6)
    stage.sees(counts=(4, 4), true=AVAILABLE)


def test_a_set_that_shrinks_with_a_surging_update_surges_from_its_new_size(stage: Stage) -> None:
    _available(stage, 6, **rolling(maxSurge=2))
    stage.rename_containers("workerTemplate", "new-worker", replicas=3)
    stage.sees(replicas=5, partition=2, true=UPDATING)
    stage.take_down(5, 6)
    stage.ready(*range(5))
    stage.sees(replicas=3, partition=0, true=AVAILABLE)
    stage.take_down(3, 5)
    stage.sees(counts=(3, 3), true=AVAILABLE)


def test_surge_is_never_more_than_the_set(stage: Stage) -> None:
    _available(stage, 2, **rolling(maxSurge=4))
    stage.rename_containers("workerTemplate", "new-worker")
    stage.sees(replicas=3, partition=1, counts=(2, 0), true=UPDATING)
    stage.make_leaders(2, 3)
    stage.ready(0, 1, 2)
    stage.sees(replicas=2, partition=0, true=AVAILABLE)


def test_a_set_grows_and_shrinks_in_the_middle_of_a_surging_update(stage: Stage) -> None:
    _available(stage, 4, **rolling(maxSurge=2))
    stage.rename_containers("workerTemplate", "new-worker")
    stage.sees(replicas=6, partition=3, counts=(4, 0), true=UPDATING)
    stage.edit(replicas=6)
    stage.sees(replicas=8, partition=3)
    stage.make_leaders(4, 8)
    stage.ready(7, 6)
    stage.sees(replicas=8, partition=3, counts=(6, 4))
    stage.edit(replicas=2)
    stage.take_down(3, 8)
    stage.sees(replicas=3, partition=1, counts=(3, 0))
    stage.ready(2)
    stage.sees(replicas=3, partition=0, counts=(3, 1))
    stage.ready(1)
    stage.sees(replicas=2, partition=0)
    stage.take_down(2, 3)
    stage.sees(counts=(2, 1))
    stage.ready(0)
    stage.sees(replicas=2, partition=0, counts=(2, 2), true=AVAILABLE)


def test_an_update_in_the_middle_of_an_update_starts_over(stage: Stage) -> None:
    _available(stage, 4, **rolling(maxSurge=2))
    stage.rename_containers("leaderTemplate", "second")
    stage.sees(replicas=6, partition=3, counts=(4, 0), true=UPDATING, revisions=2)
    stage.make_leaders(4, 6)
    stage.ready(5, 4)
    stage.sees(replicas=6, partition=1, counts=(6, 2), revisions=2)
    stage.rename_containers("leaderTemplate", "third")
    stage.sees(replicas=6, partition=3, counts=(6, 0), true=UPDATING, revisions=3)
    stage.ready(*range(6))
    stage.sees(replicas=4, partition=0, true=AVAILABLE, revisions=1)
    stage.take_down(4, 6)
    stage.sees(counts=(4, 4), true=AVAILABLE)


def test_a_group_below_the_partition_is_rebuilt_from_its_own_revision(stage: Stage) -> None:
    _available(stage, 4, template={"size": 4})
    stage.rename_containers("workerTemplate", "new-worker")
    stage.edit(leaderWorkerTemplate={"size": 2})
    stage.sees(partition=3, true=UPDATING)
    stage.ready(3)
    stage.sees(partition=2)
    stage.take_down(0, 1)
    stage.make_leaders_of(1, 0, 1)
    stage.sees(worker_sets=workers_of(0, 1, 2, 3))
    made = {name: stage.get(STATEFUL_SETS, name)["spec"] for name in workers_of(0, 3)}
    assert [each["replicas"] for each in made.values()] == [3, 1]
    assert [annotations_of(each["template"])["size"] for each in made.values()] == ["4", "2"]
    containers = [each["template"]["spec"]["containers"][0]["name"] for each in made.values()]
    assert containers == ["worker", "new-worker"]


def test_a_revision_that_is_missing_is_made_again_under_the_leader_sets_key(stage: Stage) -> None:
    _available(stage, 2)
    key = {PREFIX + REVISION: "template-hash"}
    stage.change(STATEFUL_SETS, NAME, lambda leaders: leaders["metadata"]["labels"].update(key))
    stage.says("CreatingRevision", "Creating missing revision with key template-hash for existing LeaderWorkerSet")
    stage.ready(0, 1)
    stage.sees(counts=(2, 2), true=AVAILABLE, revisions=1)
    assert [labels_of(each)[REVISION] for each in stage.all(REVISIONS)] == ["template-hash"]


def test_a_group_that_is_down_already_is_charged_to_the_update(stage: Stage) -> None:
    _available(stage, 4, **rolling(maxUnavailable=2))
    stage.workers_unready(1)
    stage.sees(counts=(3, 4), true=PROGRESSING)
    stage.rename_containers("workerTemplate", "new-worker")
    stage.sees(partition=3, counts=(3, 0), true=UPDATING)
    stage.ready(0, 1, 2, 3)
    stage.sees(partition=0, counts=(4, 4), true=AVAILABLE)


def test_a_set_whose_groups_are_all_down_is_updated(stage: Stage) -> None:
    _available(stage, 2)
    stage.workers_unready(0)
    stage.workers_unready(1)
    stage.sees(counts=(0, 2), true=PROGRESSING)
    stage.rename_containers("workerTemplate", "new-worker")
    stage.sees(partition=1, counts=(0, 0), true=UPDATING)
    stage.ready(1)
    stage.sees(partition=0, counts=(1, 1))
    stage.ready(0)
    stage.sees(partition=0, counts=(2, 2), true=AVAILABLE)


def test_a_new_size_is_an_update(stage: Stage) -> None:
    _available(stage, 2, template={"size": 3})
    stage.edit(leaderWorkerTemplate={"size": 4})
    stage.says("GroupsUpdating", "Rolling Upgrade is in progress, with 2 groups ready of total 2 groups")
    stage.sees(partition=1, true=UPDATING)
    stage.take_down(1, 2)
    stage.make_leaders(1, 2)
    stage.ready(1)
    assert stage.get(STATEFUL_SETS, f"{NAME}-1")["spec"]["replicas"] == 3
    stage.sees(partition=0)
    stage.ready(0)
    stage.sees(counts=(2, 2), true=AVAILABLE)


def test_the_partition_holds_an_update_where_the_user_wants_it(stage: Stage) -> None:
    _available(stage, 6, partition=4, **rolling(partition=4))
    stage.rename_containers("workerTemplate", "new-worker")
    stage.sees(partition=5, counts=(6, 0), true=UPDATING)
    stage.ready(5)
    stage.sees(partition=4, counts=(6, 1), true=UPDATING)
    stage.ready(4)
    stage.sees(partition=4, counts=(6, 2), true=AVAILABLE, revisions=2)
    stage.edit(**rolling(partition=2))
    stage.sees(partition=3, counts=(6, 2), true=UPDATING)
    stage.ready(3)
    stage.sees(partition=2, counts=(6, 3))
    stage.ready(2)
    stage.sees(partition=2, counts=(6, 4), true=AVAILABLE)


def test_surge_stays_while_the_partition_holds_groups_back(stage: Stage) -> None:
    _available(stage, 3, partition=2, **rolling(maxSurge=1, partition=2))
    stage.rename_containers("workerTemplate", "new-worker")
    stage.sees(replicas=4, partition=2, counts=(3, 0), true=UPDATING)
    stage.make_leaders(3, 4)
    stage.ready(3, 2)
    stage.sees(replicas=4, partition=2, counts=(4, 2), true=AVAILABLE)
    stage.edit(**rolling(maxSurge=1))
    stage.sees(replicas=4, partition=0, counts=(4, 2), true=UPDATING)
    stage.ready(1, 0)
    stage.sees(replicas=3, partition=0, counts=(4, 4), true=AVAILABLE)
    stage.take_down(3, 4)
    stage.sees(counts=(3, 3), true=AVAILABLE)
