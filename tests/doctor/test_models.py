"""Models that segkit doctor looks at: found by name, complete, and as they were written."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from segkit.bundle.lookup import named_models, resolve_model
from segkit.bundle.pack import pack_bundle
from segkit.doctor.models import FoundModel, found_models, model_problems
from segkit.errors import InputError

FROZEN = Path(__file__).parents[1] / "data" / "bundle_v1"


def text_of(model: FoundModel) -> str:
    return model.problem.text if model.problem else ""


def copied(folder: Path) -> tuple[Path, Path]:
    """Return a copy of the frozen model, and its file of weights."""
    shutil.copytree(FROZEN, folder)
    (weights,) = (folder / "weights").iterdir()
    return folder, weights


def changed(weights: Path) -> None:
    """Change one bit in the middle of a file."""
    content = bytearray(weights.read_bytes())
    content[len(content) // 2] ^= 1
    weights.write_bytes(content)


def test_models_by_name_and_the_default(tmp_path: Path) -> None:
    copied(tmp_path / "liver")
    pack_bundle(tmp_path / "liver", tmp_path / "spleen.segkit")
    environment = {"SEGKIT_MODELS": str(tmp_path), "SEGKIT_MODEL": "spleen"}
    found = found_models((), environment, hashed=True)
    assert [(model.name, model.is_default, model.is_named) for model in found] == [
        ("spleen", True, True),
        ("liver", False, True),
    ]
    assert [model.are_hashed for model in found] == [True, True]
    assert {model.cards[0].hash for model in found} == {"f49d7a00f79e"}
    assert list(model_problems(found)) == []


@pytest.mark.parametrize("packed", [False, True])
def test_a_changed_bit_is_found_when_weights_are_read(tmp_path: Path, *, packed: bool) -> None:
    model, weights = copied(tmp_path / "liver")
    if packed:
        model = pack_bundle(model, tmp_path / "liver.segkit")
        changed(model)
    else:
        changed(weights)
    (read,) = found_models([str(model)], {}, hashed=True)
    assert text_of(read).startswith(f"model {model.name}")
    assert "found" in text_of(read)
    assert "copy or export it again" in text_of(read)
    assert str(tmp_path) not in text_of(read)
    assert read.problem is not None
    assert read.problem.severity == "error"


def test_weights_that_are_cut_short_or_missing_are_found_without_reading(tmp_path: Path) -> None:
    model, weights = copied(tmp_path / "liver")
    weights.write_bytes(weights.read_bytes()[:1000])
    (short,) = found_models([str(model)], {}, hashed=False)
    assert f"model liver, {weights.name}: expected 4236 bytes of weights, found 1000 bytes" in (
        text_of(short)
    )
    weights.unlink()
    (missing,) = found_models([str(model)], {}, hashed=False)
    assert "found no such file. The model is damaged" in text_of(missing)


def test_a_model_that_is_not_there(tmp_path: Path) -> None:
    (found,) = found_models([f"{tmp_path}/gone"], {}, hashed=True)
    assert text_of(found) == (
        "model gone: expected a model: a bundle or run folder, a .segkit file, or a name that"
        " 'segkit models' lists, found neither such a path nor such a name. Train one with 'segkit"
        " train dataset=...'."
    )
    assert (found.is_named, found.path) == (False, None)


def test_none_and_a_run_that_was_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (note,) = model_problems(found_models((), {}, hashed=True))
    assert (note.severity, note.found) == ("note", "none")
    assert "Give predict -m PATH" in note.remedy
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "latest").write_text("gone\n")
    (warning,) = model_problems(found_models((), {}, hashed=True))
    assert (warning.severity, warning.where) == ("warning", "model runs/latest, gone")


@pytest.mark.parametrize("content", [b"r1\n", b"", b"\xff\xfe", b"\0\0\0"])
def test_the_newest_run_has_no_model_until_it_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes
) -> None:
    """Otherwise the health check of a container that trains would fail."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs" / "r1").mkdir(parents=True)
    (tmp_path / "runs" / "latest").write_bytes(content)
    (warning,) = model_problems(found_models((), {}, hashed=False))
    assert warning.severity == "warning"


@pytest.mark.parametrize("name", ["-x", "a\nb"])
def test_a_name_that_cannot_be_typed_is_not_suggested(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    copied(tmp_path / name)
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")  # away from runs/latest of other tests
    (found,) = found_models((), {"SEGKIT_MODELS": str(tmp_path)}, hashed=False)
    assert (found.problem, found.is_named) == (None, False)


def test_models_and_folders_that_may_not_be_opened(stranger: Path) -> None:
    for name in ("open", "closed"):
        copied(stranger / name)
    copied(stranger / "out of reach" / "models" / "liver")
    for name in ("closed", "out of reach"):
        (stranger / name).chmod(0)
    if os.geteuid() == 0:
        os.seteuid(54321)
    folders = f"{stranger}/out of reach/models{os.pathsep}{stranger}"
    environment = {"SEGKIT_MODELS": folders}
    assert list(named_models(environment)) == ["open"]
    found = found_models((), environment, hashed=False)
    assert [(model.name, bool(model.problem)) for model in found] == [
        ("open", False),
        ("closed", True),
        ("out of reach", True),
    ]
    warning, _ = model_problems(found)
    assert (warning.severity, warning.found) == ("warning", "permission denied")
    with pytest.raises(InputError, match="a model that this user may open, found permission"):
        resolve_model("closed", environment)
    (given,) = found_models([f"{stranger}/closed"], environment, hashed=False)
    assert text_of(given).startswith("model closed: expected files that can be read, found perm")
