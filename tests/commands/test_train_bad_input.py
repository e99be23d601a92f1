"""segkit train with unusable files, and with unusual files that it can use."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path

import nibabel
import numpy as np
import pytest

from segkit.cli import main

SHAPE = (14, 12, 10)
SMALL = [
    "network.features=[4,8]",
    "plan.patch=[8,8,8]",
    "trainer.max_steps=2",
    "trainer.validations=1",
]
FIXED = ["trainer.precision=float32", "trainer.layout=contiguous", "compute=cpu"]


def save(path: Path, array: np.ndarray, affine: np.ndarray | None = None) -> None:
    path.parent.mkdir(exist_ok=True)
    nibabel.save(nibabel.Nifti1Image(array, np.eye(4) if affine is None else affine), path)


def write_case(folder: Path, name: str, image: np.ndarray, labels: np.ndarray) -> None:
    """Write a case with two channels, the second one reversed."""
    save(folder / f"imagesTr/{name}_0000.nii.gz", image.astype(np.float32))
    save(folder / f"imagesTr/{name}_0001.nii.gz", image[::-1].astype(np.float32))
    save(folder / f"labelsTr/{name}.nii.gz", labels.astype(np.uint8))


@pytest.fixture
def scans(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Write three cases with two channels and the labels 1 and 2 into ``scans``."""
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "scans"
    folder.mkdir()
    for number in range(3):
        labels = np.zeros(SHAPE, np.uint8)
        labels[4:8, 4:8, 2:5], labels[4:8, 4:8, 6:9] = 1, 2
        noise = np.random.Generator(np.random.Philox(number)).standard_normal(SHAPE)
        write_case(folder, f"case{number}", noise + 3 * labels, labels)
    names = {"channel_names": {"0": "T1", "1": "T2"}, "labels": {"background": 0, "a": 1, "b": 2}}
    (folder / "dataset.json").write_text(
        json.dumps({**names, "name": "scans", "file_ending": ".nii.gz"})
    )
    return folder


def image(scans: Path, channel: int = 0) -> Path:
    return scans / f"imagesTr/case1_000{channel}.nii.gz"


def label(scans: Path) -> Path:
    return scans / "labelsTr/case1.nii.gz"


def cut_short(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def with_value(path: Path, value: float) -> None:
    array = np.asanyarray(nibabel.load(path).dataobj).copy()
    array[3, 4, 5] = value
    save(path, array)


def with_header(path: Path, **fields: object) -> None:
    """Change fields of the header and nothing after it."""
    content = bytearray(gzip.decompress(path.read_bytes()))
    header = nibabel.Nifti1Header(bytes(content[:348]))
    for name, value in fields.items():
        header[name] = value
    content[:348] = header.binaryblock
    path.write_bytes(gzip.compress(bytes(content)))


Damage = Callable[[Path], None]
BAD: dict[str, tuple[Damage, str, str]] = {
    "missing": (
        lambda s: label(s).unlink(),
        "labelsTr",
        "expected a label map of the same name for each scan",
    ),
    "missing channel": (
        lambda s: image(s, 0).unlink(),
        "imagesTr",
        "numbered from _0000 without a gap, found _0001",
    ),
    "truncated scan": (lambda s: cut_short(image(s)), "case1_0000.nii.gz", "expected"),
    "truncated labels": (lambda s: cut_short(label(s)), "case1.nii.gz", "expected"),
    "not a scan": (lambda s: image(s).write_text("hello"), "case1_0000.nii.gz", "expected"),
    "empty file": (lambda s: image(s).write_bytes(b""), "case1_0000.nii.gz", "expected"),
    "labels of another shape": (
        lambda s: save(label(s), np.ones((14, 12, 9), np.uint8)),
        "case1.nii.gz",
        "on the grid of the scan",
    ),
    "labels elsewhere": (
        lambda s: save(label(s), np.ones(SHAPE, np.uint8), np.diag([2.0, 1, 1, 1])),
        "case1.nii.gz",
        "on the grid of the scan",
    ),
    "channel elsewhere": (
        lambda s: save(image(s, 1), np.ones(SHAPE, np.float32), np.diag([1.0, 1, 3, 1])),
        "case1_0001.nii.gz",
        "on the grid of the scan",
    ),
    "nan": (lambda s: with_value(image(s), np.nan), "case1_0000.nii.gz", "NaN"),
    "infinite": (lambda s: with_value(image(s), np.inf), "case1_0000.nii.gz", "infinite"),
    "unknown label": (lambda s: with_value(label(s), 9), "case1.nii.gz", "found also 9 (1 voxels)"),
    "zero affine": (
        lambda s: with_header(image(s), srow_x=0, srow_y=0, srow_z=0),
        "case1_0000.nii.gz",
        "affine",
    ),
    "flat affine": (
        lambda s: with_header(image(s), srow_x=[1, 0, 0, 0], srow_y=[1, 0, 0, 0]),
        "case1_0000.nii.gz",
        "affine",
    ),
    "more promised than the file holds": (
        lambda s: with_header(image(s), dim=[3, 14, 12, 400, 1, 1, 1, 1]),
        "case1_0000.nii.gz",
        "expected",
    ),
    "more promised than there is memory": (
        lambda s: with_header(image(s), dim=[3, 30000, 30000, 30000, 1, 1, 1, 1]),
        "case1_0000.nii.gz",
        "expected",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_refused_in_words(name: str, scans: Path, capsys: pytest.CaptureFixture[str]) -> None:
    damage, where, message = BAD[name]
    damage(scans)
    code = main(["train", "dataset=scans", "fold=all", *SMALL, *FIXED])
    err = capsys.readouterr().err
    assert code == 3, err
    assert err.startswith("segkit: error: ")
    assert where in err
    assert message in err
    assert ", found " in err
    assert "Traceback" not in err
    assert not Path("runs").exists()


def test_a_value_that_is_no_integer_is_refused(
    scans: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    array = np.zeros(SHAPE, np.float32)
    array[2, 2, 2] = 1.5
    save(label(scans), array)
    assert main(["train", "dataset=scans", "fold=all", *SMALL, *FIXED]) == 3
    assert "1.5" in capsys.readouterr().err


def test_no_voxel_of_any_label(scans: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "dataset=scans", "dataset.labels={c:7}", *SMALL, *FIXED]) == 3
    assert "expected voxels of the labels c 7, found none in any case" in capsys.readouterr().err


def test_one_case_needs_fold_all(scans: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for number in (1, 2):
        for path in scans.rglob(f"case{number}*"):
            path.unlink()
    assert main(["train", "dataset=scans", *SMALL, *FIXED]) == 3
    assert "train on all of them with fold=all" in capsys.readouterr().err


def test_odd_cases_are_trained_on_with_a_warning(
    scans: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    labels = np.zeros((5, 12, 1), np.uint8)
    labels[2, 2:4] = 1
    write_case(
        scans,
        "slice",
        np.random.Generator(np.random.Philox(9)).standard_normal(labels.shape),
        labels,
    )
    write_case(
        scans,
        "empty",
        np.random.Generator(np.random.Philox(8)).standard_normal(SHAPE),
        np.zeros(SHAPE),
    )
    write_case(scans, "flat", np.full(SHAPE, 7.0), np.ones(SHAPE))
    assert main(["train", "dataset=scans", "fold=all", "run_dir=run", *SMALL, *FIXED]) == 0
    err = capsys.readouterr().err
    assert "warning: empty: no voxel of any label (foreground) in the label map" in err
    assert "warning: flat: channels T1, T2 have one constant value" in err
    assert Path("run/finished.json").is_file()
