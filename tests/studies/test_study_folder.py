"""The folder of a study: its start, its arms, and what it refuses."""

from __future__ import annotations

import json
import os
import signal
from dataclasses import replace
from pathlib import Path

import pytest

from segkit.config.compose import load
from segkit.errors import InputError, Interrupted, UsageError
from segkit.files.locks import sole_use
from segkit.studies.comparable import Measured
from segkit.studies.study_folder import (
    arm,
    continued_config,
    finish_study,
    measured_for_all,
    open_study,
    started_study,
    train_arm,
)
from segkit.studies.study_overrides import check_here, leave_out, without_validations
from segkit.training.outputs.run_folder import run_state
from segkit.training.setup import Setup

SMALL = (
    "network.features=[4,8]",
    "plan.patch=[16,16,16]",
    "plan.spacing=[4,4,4]",
    "trainer.validations=0",
    "trainer.max_steps=1",
    "trainer.threads=1",
)
FIXED = ("trainer.precision=float32", "trainer.layout=contiguous")


@pytest.fixture
def study(phantom: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Setup:
    monkeypatch.chdir(tmp_path)
    words = (f"dataset={phantom}", *SMALL, *FIXED)
    return open_study("tickets", continued_config("tickets", words), words)


def test_a_study_has_its_own_folder_and_its_trainings_are_below(study: Setup) -> None:
    assert study.run_dir.parent == Path("runs/phantom")
    assert study.run_dir.name.startswith("tickets-")
    with started_study(study, "tickets", ["study.seeds=[0]"]):
        run = arm(study, "one", study.config)
        train_arm(run)
        assert run_state(run.run_dir) == "finished"
        finish_study(study, {"cells": 1})
    assert (study.run_dir / "one" / "bundle" / "bundle.json").is_file()
    assert (study.run_dir.parent / "prepared").is_dir()
    stored = json.loads((study.run_dir / "study.json").read_text())
    assert stored == {"kind": "tickets", "settings": ["study.seeds=[0]"]}
    assert run_state(study.run_dir) == "finished"
    before = (run.run_dir / "bundle" / "bundle.json").stat().st_mtime_ns
    train_arm(run)
    assert (run.run_dir / "bundle" / "bundle.json").stat().st_mtime_ns == before
    # A cell whose process was killed after the training, continued with other settings.
    other = replace(run, config=replace(run.config, seed=7))
    with pytest.raises(InputError, match="found one with other settings or with another plan"):
        train_arm(other)
    train_arm(replace(run, config=replace(run.config, logger="tensorboard")))
    (run.run_dir / "split.json").write_text('{"training": [], "validation": []}')
    with pytest.raises(InputError, match="found other cases"):
        train_arm(run)


def test_a_study_that_fails_before_its_first_cell_leaves_nothing(study: Setup) -> None:
    with pytest.raises(ZeroDivisionError), started_study(study, "tickets", []):
        raise ZeroDivisionError
    assert not study.run_dir.exists()


def test_a_study_that_fails_later_stays(study: Setup) -> None:
    def fail() -> None:
        with started_study(study, "tickets", []):
            (study.run_dir / "cells").mkdir()
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert run_state(study.run_dir) == "unfinished"


def test_a_stopped_study_says_how_to_continue(study: Setup) -> None:
    def stop() -> None:
        with started_study(study, "tickets", []):
            (study.run_dir / "cells").mkdir()
            os.kill(os.getpid(), signal.SIGTERM)

    with pytest.raises(Interrupted, match=r"^stopped; the same command continues$") as error:
        stop()
    assert error.value.exit_code == 128 + signal.SIGTERM
    assert run_state(study.run_dir) == "unfinished"


def test_a_locked_study_is_refused(study: Setup) -> None:
    with (
        sole_use(study.run_dir),
        pytest.raises(UsageError, match="is in use by"),
        started_study(study, "tickets", []),
    ):
        pass


def test_a_study_continues_with_its_settings_but_not_as_another_one(study: Setup) -> None:
    with started_study(study, "tickets", []):
        (study.run_dir / "cells").mkdir()
    word = f"run_dir={study.run_dir}"
    assert continued_config("tickets", [word]).network.features == [4, 8]
    with pytest.raises(UsageError, match="was started with seed=0, not 1"):
        continued_config("tickets", [word, "seed=1"])
    with pytest.raises(UsageError, match="holds a tickets study"):
        continued_config("normalization", [word])


def test_all_arms_have_the_precision_that_was_measured_once(
    study: Setup, phantom: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert measured_for_all(study.run_dir, study, "cells") is None
    words = [f"dataset={phantom}", *SMALL]
    open_words = open_study("tickets", load(words), words)
    with caplog.at_level("INFO", "segkit"), started_study(open_words, "tickets", []):
        first = measured_for_all(open_words.run_dir, open_words, "cells")
        (open_words.run_dir / "measured.json").write_text(
            json.dumps({"precision": "bfloat16", "layout": "channels_last", "seconds": 1})
        )
        again = measured_for_all(open_words.run_dir, open_words, "cells")
    assert first is not None
    assert first.precision in ("float32", "bfloat16")
    assert again == Measured("bfloat16", "channels_last", 1)
    assert "all cells: bfloat16, channels_last memory format" in caplog.text


def test_what_a_study_cannot_follow_is_refused() -> None:
    with pytest.raises(UsageError, match="compute=ddp: a tickets study trains in this process"):
        check_here(load(["compute=ddp"]), "tickets")
    check_here(load([]), "tickets")
    with pytest.raises(UsageError, match="seed: the study trains every seed; leave it out"):
        leave_out(["seed", "fold"], ["seed=1"], "the study trains every seed")
    leave_out(["seed"], ["fold=1"], "")


def test_a_continued_study_keeps_the_validations_that_it_began_with(tmp_path: Path) -> None:
    assert without_validations(load(["dataset=scans"]), ["dataset=scans"]).trainer.validations == 0
    words = ["dataset=scans", "trainer.validations=3", f"run_dir={tmp_path}"]
    began = load(words)
    assert without_validations(began, words).trainer.validations == 3
    (tmp_path / "config.yaml").write_text("")
    assert without_validations(began, [f"run_dir={tmp_path}"]).trainer.validations == 3
