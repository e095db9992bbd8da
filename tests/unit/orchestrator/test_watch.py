"""Silence and overtime, judged by times that are passed in."""

from __future__ import annotations

import pytest

from daemons.orchestrator.duties import TAKE_OVER_S, LeaseWatch
from daemons.orchestrator.watch import AttemptWatch, Silence, SilenceWatch
from daemons.store.duties import Lease
from daemons.store.queue import Attempt


class TestSilence:
    def test_lost_after_the_whole_time_out_and_not_before(self):
        watch = SilenceWatch(30.0)
        assert watch.observe({"w": 1}, 100.0) == []
        assert watch.observe({"w": 1}, 129.9) == []
        assert watch.observe({"w": 1}, 130.0) == [Silence("w", 1, 30.0)]

    def test_a_silence_is_told_once_and_the_next_one_again(self):
        watch = SilenceWatch(30.0)
        watch.observe({"w": 1}, 100.0)
        assert watch.observe({"w": 1}, 130.0) == [Silence("w", 1, 30.0)]
        assert watch.observe({"w": 1}, 131.0) == []
        assert watch.observe({"w": 2}, 140.0) == []
        assert watch.observe({"w": 2}, 170.0) == [Silence("w", 2, 30.0)]

    def test_each_beat_begins_a_new_window(self):
        watch = SilenceWatch(30.0)
        for beat in range(10):
            assert watch.observe({"w": beat}, beat * 29.0) == []

    def test_a_count_that_falls_back_is_a_change_too(self):
        watch = SilenceWatch(30.0)
        watch.observe({"w": 9}, 0.0)
        assert watch.observe({"w": 1}, 31.0) == []

    def test_the_first_look_expires_nobody(self):
        assert SilenceWatch(30.0).observe({"w": 1}, 1e9) == []

    def test_after_a_restart_everybody_has_a_full_new_window(self):
        watch = SilenceWatch(30.0)
        watch.observe({"w": 1}, 0.0)
        watch.restart()
        assert watch.observe({"w": 1}, 60.0) == []
        assert watch.observe({"w": 1}, 90.0) == [Silence("w", 1, 30.0)]

    def test_who_is_gone_is_forgotten_and_back_has_a_new_window(self):
        watch = SilenceWatch(30.0)
        watch.observe({"w": 1}, 0.0)
        assert watch.observe({}, 10.0) == []
        assert watch.observe({"w": 1}, 40.0) == []

    def test_each_worker_is_judged_alone(self):
        watch = SilenceWatch(30.0)
        watch.observe({"a": 1, "b": 1}, 0.0)
        assert watch.observe({"a": 2, "b": 1}, 30.0) == [Silence("b", 1, 30.0)]


class TestOvertime:
    @pytest.mark.parametrize(("timeout_s", "limit_s"), [(None, 3660.0), (10.0, 70.0)])
    def test_its_own_time_or_the_default_and_the_grace(self, timeout_s, limit_s):
        watch = AttemptWatch(grace_s=60.0, default_timeout_s=3600.0)
        attempt = Attempt(job_id="j", worker_id="w", attempt=1, timeout_s=timeout_s)
        assert watch.observe([attempt], 5.0) == []
        assert watch.observe([attempt], 5.0 + limit_s - 0.1) == []
        assert watch.observe([attempt], 5.0 + limit_s) == [attempt]

    def test_a_new_attempt_of_the_same_job_has_its_own_time(self):
        watch = AttemptWatch(grace_s=0.0, default_timeout_s=10.0)
        first = Attempt(job_id="j", worker_id="w", attempt=1)
        watch.observe([first], 0.0)
        assert watch.observe([Attempt(job_id="j", worker_id="w", attempt=2)], 10.0) == []

    def test_one_that_waits_for_its_device_is_excused_from_then_on(self):
        watch = AttemptWatch(grace_s=0.0, default_timeout_s=10.0)
        attempt = Attempt(job_id="j", worker_id="w", attempt=1)
        watch.observe([attempt], 0.0)
        watch.excuse(attempt, 10.0)
        assert watch.observe([attempt], 19.9) == []
        assert watch.observe([attempt], 20.0) == [attempt]

    def test_after_a_restart_every_attempt_has_a_full_new_window(self):
        watch = AttemptWatch(grace_s=0.0, default_timeout_s=10.0)
        attempt = Attempt(job_id="j", worker_id="w", attempt=1)
        watch.observe([attempt], 0.0)
        watch.restart()
        assert watch.observe([attempt], 10.0) == []


class TestLease:
    def test_it_may_be_taken_over_once_its_counter_has_stood_still(self):
        watch = LeaseWatch()
        assert watch.observe(Lease("other", 7), 100.0) == -1
        assert watch.observe(Lease("other", 7), 100.0 + TAKE_OVER_S - 0.01) == -1
        assert watch.observe(Lease("other", 7), 100.0 + TAKE_OVER_S) == 7

    def test_a_holder_that_lives_keeps_it(self):
        watch = LeaseWatch()
        assert {watch.observe(Lease("other", turn), turn * (TAKE_OVER_S - 0.1)) for turn in range(20)} == {-1}
