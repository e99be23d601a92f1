"""Masks are found in files, run folders and models."""

from __future__ import annotations

from pathlib import Path

import pytest

from segkit.bundle.bundle import write_bundle
from segkit.bundle.mask_lookup import find_mask
from segkit.bundle.pack import pack_bundle
from segkit.errors import InputError
from segkit.networks import build_network
from segkit.networks.mask_file import MaskFile, write_mask
from segkit.networks.masks import dense_masks, prune_at_random
from segkit.plans.plan_file import read_plan

PLAN = read_plan(Path(__file__).parents[1] / "data" / "plan_v1.json")


def mask() -> MaskFile:
    return MaskFile(prune_at_random(dense_masks(build_network(PLAN)), seed=0), ("CT",))


def write_model(folder: Path, kept: MaskFile | None) -> Path:
    write_bundle(folder, PLAN, {"name": "m"}, {"0": build_network(PLAN).state_dict()}, mask=kept)
    return folder


def test_a_model_carries_its_mask(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = mask()
    folder = write_model(tmp_path / "run" / "bundle", kept)
    packed = pack_bundle(folder, tmp_path / "ticket.segkit")
    monkeypatch.setenv("SEGKIT_MODELS", str(tmp_path))
    for where in (folder, folder.parent, packed, "ticket"):
        found = find_mask(where)
        assert (found.hash, found.channels) == (kept.hash, ("CT",))


def test_a_run_without_a_model_has_a_mask_already(tmp_path: Path) -> None:
    written = write_mask(tmp_path / "mask.safetensors", mask().masks)
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs/latest").write_text("..\n")
    for where in (tmp_path, tmp_path / "mask.safetensors", tmp_path / "runs/latest"):
        assert find_mask(where).hash == written.hash


def test_a_damaged_mask_of_a_model_is_refused(tmp_path: Path) -> None:
    folder = write_model(tmp_path, mask())
    write_mask(folder / "mask.safetensors", dense_masks(build_network(PLAN)), ("CT",))
    with pytest.raises(InputError, match="expected sha256"):
        find_mask(folder)


def test_where_there_is_no_mask(tmp_path: Path) -> None:
    folder = write_model(tmp_path / "model", None)
    with pytest.raises(InputError, match=r"trained with a mask, found m, whose training had none"):
        find_mask(folder)
    with pytest.raises(InputError, match=r"a mask file, a run folder, or a model .*found neither"):
        find_mask(tmp_path / "nowhere")
    with pytest.raises(InputError, match=r"a folder without a model and without mask.safetensors"):
        find_mask(tmp_path)
