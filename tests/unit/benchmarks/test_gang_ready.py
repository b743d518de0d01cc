"""What a bring-up would take if our extender cost nothing is worked out from processor time."""

from __future__ import annotations

from benchmarks.gang_ready import median_cpu, ratio_if_ours_were_free

DEFAULT = {"etcd": 3.0, "apiserver": 16.0, "scheduler": 7.0, "kwok": 4.0, "lws-extender": 1.0}


def test_an_extender_that_costs_nothing_leaves_what_the_others_take() -> None:
    ours = {"etcd": 4.0, "apiserver": 20.0, "scheduler": 4.0, "kwok": 4.0, "lws-extender": 5.0}
    assert ratio_if_ours_were_free(DEFAULT, ours) == 0.9  # 3 + 16 + 4 + 4 of 3 + 16 + 7 + 4


def test_what_the_api_server_saves_on_our_side_stays_saved() -> None:
    ours = {"etcd": 3.0, "apiserver": 13.0, "scheduler": 7.0, "kwok": 4.0, "lws-extender": 5.0}
    assert ratio_if_ours_were_free(DEFAULT, ours) == 0.9


def test_each_process_has_its_own_median() -> None:
    rounds = [{"etcd": 1.0, "kwok": 9.0}, {"etcd": 2.0, "kwok": 1.0}, {"etcd": 7.0, "kwok": 2.0}]
    assert median_cpu(rounds) == {"etcd": 2.0, "kwok": 2.0}
