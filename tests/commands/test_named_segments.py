"""Segmentations of 3D Slicer from check to evaluate: names of segments count, not their numbers."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from segkit.cli import main
from segkit.config.compose import load
from segkit.evaluation import evaluate
from segkit.io import write_image, write_labels
from segkit.planning.plan_dataset import measured_plan, open_dataset
from segkit.preprocessing.case_store import prepare_cases
from segkit.volume import Volume

SMALL = [
    "network.features=[4,8]",
    "plan.patch=[12,12,12]",
    "trainer.max_steps=2",
    "trainer.validations=1",
    "trainer.precision=float32",
]
NAMES = ({"organ": 1, "core": 2}, {"core": 1, "organ": 2})


@pytest.fixture(scope="module")
def segmentations(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write four cases with a large organ and a small core, whose numbers alternate."""
    root = tmp_path_factory.mktemp("segmentations")
    (root / "labels").mkdir()
    for number in range(4):
        names = NAMES[number % 2]
        labels = np.zeros((1, 14, 14, 14), np.uint8)
        labels[0, 2:12, 2:12, 2:12] = names["organ"]
        labels[0, 5:9, 5:9, 5:9] = names["core"]
        noise = np.random.default_rng(number).normal(size=labels.shape).astype(np.float32)
        write_image(root / f"images/p{number}.nrrd", Volume(noise + 4 * (labels > 0), np.eye(4)))
        write_labels(root / f"labels/p{number}.seg.nrrd", Volume(labels, np.eye(4)), names=names)
    return root


@pytest.fixture
def contradicting(segmentations: Path, tmp_path: Path) -> Path:
    """Write the same cases, with another name of a segment in the last one."""
    root = shutil.copytree(segmentations, tmp_path / "d")
    path = root / "labels/p3.seg.nrrd"
    path.write_bytes(path.read_bytes().replace(b"_Name:=core", b"_Name:=kern"))
    return root


def test_check_and_prepared_cases(
    segmentations: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["check", str(segmentations)]) == 0
    assert "labels:   organ=1, core=2\nNo problems found." in capsys.readouterr().out
    config = load([f"dataset={segmentations}", *SMALL])
    dataset = open_dataset(config)
    decided = measured_plan(config, dataset)[0]
    assert decided.labels == {"organ": 1, "core": 2}
    for case in prepare_cases(dataset.cases, dataset, decided, tmp_path):
        assert np.bincount(case.labels.ravel()).tolist()[1:] == [936, 64]


def test_evaluate(segmentations: Path, tmp_path: Path) -> None:
    for number in range(4):
        shutil.copy(segmentations / f"labels/p{number % 2}.seg.nrrd", tmp_path / f"p{number}.nrrd")
    rows = evaluate(tmp_path, segmentations).rows
    assert {(row.label, row.value) for row in rows if row.metric == "dice"} == {
        ("organ", 1.0),
        ("core", 1.0),
    }


@pytest.mark.parametrize("verb", ["check", "train", "evaluate"])
def test_a_contradiction_is_an_error(
    contradicting: Path, verb: str, capsys: pytest.CaptureFixture[str]
) -> None:
    words = {
        "check": [str(contradicting)],
        "train": [f"dataset={contradicting}", f"run_dir={contradicting / 'run'}", *SMALL],
        "evaluate": [str(contradicting / "labels"), str(contradicting)],
    }
    assert main([verb, *words[verb]]) == 3
    message = capsys.readouterr().err
    assert "p3.seg.nrrd: expected the names of the other label maps" in message
    assert "found 'kern', which none of them has" in message


def test_a_contradiction_with_a_dataset_json(segmentations: Path, tmp_path: Path) -> None:
    root = shutil.copytree(segmentations, tmp_path / "d")
    (root / "images").rename(root / "imagesTr")
    (root / "labels").rename(root / "labelsTr")
    for name, code in (("core", 0), ("kern", 3)):
        (root / "dataset.json").write_text(
            f'{{"channel_names": {{"0": "MR"}}, "labels": {{"organ": 1, "{name}": 2}}}}'
        )
        assert main(["check", str(root)]) == code
        assert main(["evaluate", str(root / "labelsTr"), str(root)]) == code


@pytest.mark.parametrize("verb", ["check", "plan"])
def test_what_is_left_out_is_said(
    segmentations: Path, tmp_path: Path, verb: str, capsys: pytest.CaptureFixture[str]
) -> None:
    root = shutil.copytree(segmentations, tmp_path / "d")
    (root / "images/p9.nrrd").symlink_to("../.git/annex/p9.nrrd")
    (root / "labels/p9.nrrd").symlink_to("../.git/annex/p9l.nrrd")
    rest = {"check": [], "plan": [SMALL[0], "-o", str(tmp_path / "p.json")]}
    assert main([verb, str(root), *rest[verb]]) == 0
    printed = capsys.readouterr()
    assert (
        "1 case is left out, because its files have no content: p9. The first is a link to "
        "../.git/annex" in printed.out + printed.err
    )
