"""The folder of a run: its name, its state, and the newest run."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import pytest

from segkit.config.compose import load
from segkit.dataset.dataset import Case, Dataset
from segkit.errors import InputError, UsageError
from segkit.plans.plan_file import read_plan
from segkit.training.outputs.run_folder import (
    CROSS_VALIDATION,
    TRAINING,
    check_kind,
    check_place,
    default_run_dir,
    folder_kind,
    point_latest,
    prepared_folder,
    read_study,
    run_state,
    safe_name,
    write_start,
    write_study,
)

PLAN_V1 = Path(__file__).parents[2] / "data" / "bundle_v1" / "plan.json"


def test_a_missing_or_empty_folder_is_new(tmp_path: Path) -> None:
    assert run_state(tmp_path) == run_state(tmp_path / "none") == "new"


def test_config_makes_it_unfinished_and_finished_json_finished(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").touch()
    assert run_state(tmp_path) == "unfinished"
    (tmp_path / "finished.json").touch()
    assert run_state(tmp_path) == "finished"


def test_a_folder_with_other_things_is_refused(tmp_path: Path) -> None:
    (tmp_path / "plan.json").touch()
    with pytest.raises(
        UsageError, match=r"holds something other than a training. Give a new or an empty folder."
    ):
        run_state(tmp_path)
    with pytest.raises(UsageError, match="holds something other than"):
        run_state(tmp_path / "plan.json")


def test_a_start_that_was_killed_leaves_a_new_folder(tmp_path: Path) -> None:
    config = tmp_path / f".{'0' * 32}.yaml"
    config.write_text("seed: ")
    assert run_state(tmp_path) == "new"
    (tmp_path / "plan.json").touch()
    assert run_state(tmp_path) == "new"
    write_start(tmp_path, read_plan(PLAN_V1), load([]))
    assert run_state(tmp_path) == "unfinished"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["config.yaml", "plan.json"]


def test_trainings_and_studies_do_not_share_a_folder(tmp_path: Path) -> None:
    check_kind(tmp_path, CROSS_VALIDATION)
    (tmp_path / "config.yaml").touch()
    check_kind(tmp_path, TRAINING)
    with pytest.raises(
        UsageError, match=r"holds a training. Give another folder, or continue with 'segkit train'"
    ):
        check_kind(tmp_path, CROSS_VALIDATION)
    (tmp_path / "folds.json").touch()
    check_kind(tmp_path, CROSS_VALIDATION)
    with pytest.raises(
        UsageError, match=r"holds a cross-validation. .* 'segkit study cross_validation'"
    ):
        check_kind(tmp_path, TRAINING)


def test_another_study_is_known_by_its_file(tmp_path: Path) -> None:
    write_study(tmp_path, "tickets", ["study.seeds=[0]"])
    assert folder_kind(tmp_path) is None  # killed before config.yaml was written
    assert run_state(tmp_path) == "new"
    (tmp_path / "config.yaml").touch()
    check_kind(tmp_path, "tickets")
    assert read_study(tmp_path)["settings"] == ["study.seeds=[0]"]
    with pytest.raises(UsageError, match=r"holds a tickets study. .* 'segkit study tickets'"):
        check_kind(tmp_path, TRAINING)
    (tmp_path / "study.json").write_text("{}")
    with pytest.raises(InputError, match="expected the kind and the settings of a study"):
        check_kind(tmp_path, "tickets")


def test_settings_of_a_study_enter_the_name_of_its_folder(tmp_path: Path) -> None:
    plan, config = read_plan(PLAN_V1), load([])
    dataset = Dataset("a", tmp_path, ("CT",), {"x": 1}, ())
    without = default_run_dir(config, plan, dataset, kind="tickets")
    assert default_run_dir(config, plan, dataset, kind="tickets", settings={}) == without
    one, two = (
        default_run_dir(config, plan, dataset, kind="tickets", settings={"levels": levels})
        for levels in (3, 4)
    )
    assert len({without, one, two}) == 3


@pytest.mark.parametrize(
    ("name", "safe"),
    [("Task04", "Task04"), ("a/b c", "a_b_c"), ("..", "dataset"), ("Höhe:1", "Höhe_1")],
)
def test_safe_name(name: str, safe: str) -> None:
    assert safe_name(name) == safe


def test_the_default_folder_depends_on_configuration_and_data_not_on_paths(tmp_path: Path) -> None:
    plan = read_plan(PLAN_V1)
    (tmp_path / "image.nii").write_bytes(b"1")
    dataset = Dataset("a b", tmp_path, ("CT",), {"x": 1}, (Case("1", (tmp_path / "image.nii",)),))
    first = default_run_dir(load(["dataset=one", "seed=1"]), plan, dataset)
    assert first.parent == Path("runs/a_b")
    assert default_run_dir(load(["dataset=two", "seed=1"]), plan, dataset) == first
    assert default_run_dir(load(["dataset=one", "seed=2"]), plan, dataset) != first
    assert (
        default_run_dir(load(["dataset=one", "seed=1", "dataset.store=x"]), plan, dataset) == first
    )
    assert default_run_dir(
        load(["seed=1"]), plan, dataset, kind="study"
    ).name == first.name.replace("unet", "study")
    # Paths of weights, mask and rewind file do not count, their contents do.
    words = ["dataset=one", "seed=1", "mask=m", "rewind=r"]
    assert default_run_dir(load(words), plan, dataset) == first
    starts = [{"mask": "1"}, {"mask": "2"}, {"rewind": "1"}, {"weights": "1"}]
    folders = {default_run_dir(load(words), plan, dataset, start) for start in starts}
    assert len(folders - {first}) == 4
    steps = default_run_dir(load(["seed=1", "trainer.rewind_step=0"]), plan, dataset)
    assert steps != first
    other = dataclasses.replace(dataset, labels={"y": 1})
    assert default_run_dir(load(["dataset=one", "seed=1"]), plan, other) != first


@pytest.mark.parametrize(
    ("run_dir", "text"), [("runs/a/unet-1", "a/unet-1"), ("elsewhere", "../elsewhere")]
)
def test_latest_is_a_text_file_relative_to_runs(
    run_dir: str, text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    point_latest(Path(run_dir))
    assert (tmp_path / "runs" / "latest").read_text() == f"{text}\n"


def test_latest_that_cannot_be_written_is_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs").touch()
    point_latest(Path("elsewhere"))
    assert "runs/latest does not name this run: " in caplog.text


def test_prepared_cases_lie_beside_the_run_or_in_the_given_store(tmp_path: Path) -> None:
    assert prepared_folder(load(), Path("runs/d/unet-1")) == Path("runs/d/prepared")
    assert prepared_folder(load(), Path("run")) == Path("prepared")
    assert prepared_folder(load(["dataset.store=big disk, 2"]), Path("run")) == Path("big disk, 2")


def test_prepared_cases_lie_in_the_run_if_only_that_is_writable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As with a container's mounted folder; permissions do not bind the root user that may run this.
    monkeypatch.setattr("os.access", lambda _path, _mode: False)
    assert prepared_folder(load(), tmp_path / "run") == tmp_path / "run" / "prepared"
    (tmp_path / "run" / "prepared").mkdir(parents=True)
    assert run_state(tmp_path / "run") == "new"


def test_a_place_without_write_access_is_refused_before_anything_is_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    config = load(["dataset=scans"])
    check_place(config, "liver")
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "runs").write_text("a file")
    with pytest.raises(
        InputError,
        match=r"runs/liver: expected a folder for the run that can be written to, found not a"
        r" directory\. Give run_dir=PATH in a folder that can be written to",
    ):
        check_place(config, "liver")
    check_place(dataclasses.replace(config, run_dir="elsewhere/run"), "liver")


def test_a_run_that_would_be_lost_with_the_container_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SEGKIT_MOUNT", str(tmp_path))
    config = load(["dataset=scans"])
    message = (
        f"{tmp_path}: expected a mounted folder for the run, which can be written to and outlives"
        f" the container, found nothing mounted there. Mount one: docker run -v FOLDER:{tmp_path}"
    )
    with pytest.raises(InputError, match=re.escape(message)):
        check_place(config, "liver")
    with pytest.raises(InputError, match="nothing mounted there"):
        check_place(dataclasses.replace(config, run_dir="inside/run"), "liver")
    check_place(dataclasses.replace(config, run_dir=str(tmp_path.parent / "run")), "liver")


def test_a_run_in_a_mounted_folder_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    config = load(["dataset=scans", "run_dir=/proc/sys/run"])  # /proc is mounted, /proc/sys is not
    monkeypatch.setenv("SEGKIT_MOUNT", "/")
    check_place(config, "liver")
    monkeypatch.setenv("SEGKIT_MOUNT", "/proc")
    check_place(config, "liver")
