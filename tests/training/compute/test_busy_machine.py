"""Cores that other processes take."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from segkit.training.compute.busy_machine import CpuTimes, cpu_times, warn_if_busy

START = CpuTimes(0.0, 0.0, 0.0, 2)


def test_fewer_threads_are_advised_if_a_core_is_taken(caplog: pytest.LogCaptureFixture) -> None:
    # In 20 s on 2 cores this training had 20 s, and all processes together 38.
    assert warn_if_busy(START, CpuTimes(20.0, 20.0, 38.0, 2), threads=2)
    assert (
        "other processes take 0.9 of the 2 cores, so the 2 threads of a step wait for each "
        "other: trainer.threads=1 "
        "would be faster (measured over 20 s" in caplog.text
    )


@pytest.mark.parametrize(("own", "threads"), [(39.0, 2), (33.0, 2), (5.0, 1)])
def test_a_machine_without_other_processes_is_not_busy(
    own: float, threads: int, caplog: pytest.LogCaptureFixture
) -> None:
    assert not warn_if_busy(START, CpuTimes(20.0, own, 39.0, 2), threads=threads)
    assert not caplog.text


def test_only_cores_that_this_process_may_use_count(tmp_path: Path) -> None:
    number = min(os.sched_getaffinity(0))
    stat = tmp_path / "stat"
    stat.write_text(
        "cpu 9 9 9 9 9 9 9 9 9 9\n"
        f"cpu{number} 100 20 3 999 999 4 5 68 50 50\n"
        "cpu99999 1 1 1 1 1 1 1 1\n"
    )
    times = cpu_times(stat)
    assert times is not None
    assert times.all * os.sysconf("SC_CLK_TCK") == pytest.approx(200)


def test_a_system_that_reports_no_times(tmp_path: Path) -> None:
    assert cpu_times(tmp_path / "nowhere") is None
    (tmp_path / "stat").write_text(f"cpu{min(os.sched_getaffinity(0))} 1 2\n")
    assert cpu_times(tmp_path / "stat") is None
