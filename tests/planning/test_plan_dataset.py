"""From overrides to a plan."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

import segkit
from segkit.config.compose import load
from segkit.config.schema import ComputeConfig
from segkit.dataset.phantom import write_phantom
from segkit.errors import InputError, UsageError
from segkit.files.atomic import write_text
from segkit.labels.codes import SegmentCodes
from segkit.planning.plan_dataset import (
    batch_size,
    given_plan,
    has_gpu,
    memory_budget,
    open_dataset,
)
from segkit.plans.plan_file import plan_text


def test_plan_in_python_takes_overrides(phantom: Path) -> None:
    plan = segkit.plan(
        phantom, "network.features=[4,8]", "trainer.batch_size=1", "augment.mirror=[2]"
    )
    assert (plan.batch_size, plan.mirror_axes) == (1, (2,))


def test_no_dataset() -> None:
    with pytest.raises(UsageError, match="no dataset is given"):
        open_dataset(load())


def test_a_plan_of_other_channels_is_refused(phantom: Path, tmp_path: Path) -> None:
    write_text(tmp_path / "plan.json", plan_text(segkit.plan(phantom, "network.features=[4,8]")))
    other = open_dataset(load([f"dataset={phantom}", "dataset.channels=[T2]"]))
    with pytest.raises(
        InputError,
        match=r"plan.json: expected the dataset's channels T2, found \w+. Plan this dataset",
    ):
        given_plan(tmp_path / "plan.json", other)


def test_an_edited_patch_changes_what_layers_see_and_not_their_groups(
    phantom: Path, tmp_path: Path
) -> None:
    plan = segkit.plan(phantom, "network.features=[4,8]", "plan.patch=[16,16,16]")
    write_text(tmp_path / "plan.json", plan_text(dataclasses.replace(plan, patch=(32, 16, 16))))
    edited = given_plan(tmp_path / "plan.json", open_dataset(load([f"dataset={phantom}"])))
    pairs = list(zip(plan.network.layers, edited.network.layers, strict=True))
    assert all(new.voxels == 2 * old.voxels and new.groups == old.groups for old, new in pairs)


def test_codes_of_labels_go_from_the_dataset_into_a_plan(tmp_path: Path) -> None:
    phantom = write_phantom(tmp_path / "d", cases=2)
    words = [f"dataset={phantom}", "network.features=[4,8]"]
    bare = segkit.plan(phantom, words[1])
    write_text(tmp_path / "bare.json", plan_text(bare))
    content = json.loads((phantom / "dataset.json").read_text())
    content["segmentAttributes"] = {"liver": {"recommendedDisplayRGBValue": [1, 2, 3]}}
    (phantom / "dataset.json").write_text(json.dumps(content))
    coded = segkit.plan(phantom, words[1])
    liver = {"liver": SegmentCodes(colour=(1, 2, 3))}
    assert (bare.segments, coded.segments, coded.hash()) == ({}, liver, bare.hash())
    assert "segments" not in bare.to_dict()
    dataset = open_dataset(load(words))
    assert given_plan(tmp_path / "bare.json", dataset).segments == liver
    other = dataclasses.replace(coded, segments={"liver": SegmentCodes(colour=(9, 9, 9))})
    write_text(tmp_path / "other.json", plan_text(other))
    assert given_plan(tmp_path / "other.json", dataset) == other
    assert open_dataset(load([*words, "dataset.labels={vessel:4}"])).segments == {}


@pytest.mark.parametrize(
    ("words", "gpu", "memory"),
    [([], False, "auto"), ([], True, "8GB"), (["plan.memory=3GB"], True, "3GB")],
)
def test_memory_budget(words: list[str], gpu: bool, memory: str) -> None:
    assert memory_budget(load(words), gpu) == memory


@pytest.mark.parametrize(
    ("words", "gpu", "size"),
    [([], False, None), ([], True, 2), (["trainer.batch_size=3"], False, 3)],
)
def test_batch_size(words: list[str], gpu: bool, size: int | None) -> None:
    assert batch_size(load(words), gpu) == size


def test_a_gpu_is_looked_for_only_where_none_is_named() -> None:
    assert has_gpu(ComputeConfig("gpu"))
    assert not has_gpu(ComputeConfig("cpu"))
    assert has_gpu(ComputeConfig("slurm"))
    assert not has_gpu(ComputeConfig("slurm", gpus=0))
    assert has_gpu(ComputeConfig("auto")) in (True, False)


def test_a_plan_of_other_regions_or_another_ignore_value_is_refused(
    phantom: Path, tmp_path: Path
) -> None:
    write_text(
        tmp_path / "plan.json",
        plan_text(segkit.plan(phantom, "network.features=[4,8]", "dataset.ignore=9")),
    )
    with pytest.raises(InputError, match=r"expected the dataset's ignore None, found 9\."):
        given_plan(tmp_path / "plan.json", open_dataset(load([f"dataset={phantom}"])))
    words = ["dataset.regions={kidneys:[2,3],right:3}", "dataset.regions={kidneys:[2,3,4],right:3}"]
    write_text(
        tmp_path / "plan.json", plan_text(segkit.plan(phantom, "network.features=[4,8]", words[0]))
    )
    with pytest.raises(
        InputError,
        match=r"expected the dataset's regions kidneys=\(2, 3, 4\), right=\(3,\), found kid",
    ):
        given_plan(tmp_path / "plan.json", open_dataset(load([f"dataset={phantom}", words[1]])))


def test_a_dataset_of_one_channel_has_none_to_leave_out(phantom: Path) -> None:
    with pytest.raises(
        UsageError, match="leaves out one of several channels, and this dataset has only"
    ):
        segkit.plan(phantom, "augment.channel_dropout=0.1")
