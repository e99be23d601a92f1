from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from segkit.bundle.lookup import ensemble_paths, named_models, resolve_model
from segkit.bundle.pack import pack_bundle
from segkit.errors import InputError, UsageError

FROZEN = Path(__file__).parents[1] / "data" / "bundle_v1"


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_path_is_itself(here: Path) -> None:
    assert resolve_model(FROZEN, {}) == FROZEN


def test_a_study_is_no_ensemble_of_its_trainings(here: Path) -> None:
    for name in ("group-batch1-seed0", "batch-batch1-seed0"):
        shutil.copytree(FROZEN, here / "study" / name)
    assert len(ensemble_paths(Path("study"))) == 2
    (here / "study" / "study.json").write_text("{}")
    with pytest.raises(
        InputError, match=r"study: .*found a study, whose trainings are no ensemble"
    ):
        ensemble_paths(Path("study"))
    assert ensemble_paths(Path("study/batch-batch1-seed0")) == [Path("study/batch-batch1-seed0")]


def test_names_from_the_search_path(here: Path) -> None:
    shutil.copytree(FROZEN, here / "a" / "spleen")
    pack_bundle(FROZEN, here / "b" / "liver.segkit")
    shutil.copytree(FROZEN, here / "b" / "spleen")
    environment = {"SEGKIT_MODELS": os.pathsep.join(["a", "", "missing", "b"])}
    assert named_models(environment) == {
        "spleen": Path("a/spleen"),
        "liver": Path("b/liver.segkit"),
    }
    assert resolve_model("liver", environment) == Path("b/liver.segkit")
    assert resolve_model("liver.segkit", environment) == Path("b/liver.segkit")


def test_the_default_folder(here: Path) -> None:
    shutil.copytree(FROZEN, here / "models" / "spleen")
    assert resolve_model("spleen", {}) == Path("models/spleen")


def test_near_misses(here: Path) -> None:
    shutil.copytree(FROZEN, here / "models" / "spleen")
    with pytest.raises(InputError, match=r"spleeen: expected a model.*Did you mean spleen\?"):
        resolve_model("spleeen", {})


def test_no_model_at_all(here: Path) -> None:
    with pytest.raises(InputError, match="Train one with 'segkit train"):
        resolve_model("spleen", {})
    for empty in (None, ""):
        with pytest.raises(UsageError, match=r"no model was named\. Give one with -m MODEL"):
            resolve_model(empty, {})


def test_the_environment_names_one(here: Path) -> None:
    assert resolve_model(None, {"SEGKIT_MODEL": str(FROZEN)}) == FROZEN


def test_the_newest_run(here: Path) -> None:
    shutil.copytree(FROZEN, here / "runs" / "data" / "unet-1" / "bundle")
    (here / "runs" / "latest").write_text("data/unet-1\n")
    for name in (None, "runs/latest", here / "runs" / "latest"):
        assert (resolve_model(name, {}) / "bundle" / "bundle.json").is_file()


def test_the_newest_run_was_moved_away(here: Path) -> None:
    (here / "runs").mkdir()
    (here / "runs" / "latest").write_text("data/unet-1\n")
    with pytest.raises(
        InputError, match=r"unet-1: expected a model.* found neither such a path nor such a name"
    ):
        resolve_model(None, {})
    with pytest.raises(InputError, match=r"unet-1: expected a model"):
        resolve_model("runs/latest", {})
