"""Write results to a full disk: no incomplete file gets its final name, and older files stay."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from segkit.errors import InputError
from segkit.files.atomic import write_text
from segkit.inference.files.outcomes import Outcome, OutcomesFile
from segkit.inference.files.statistics_table import write_stats
from segkit.io.dicom import dicom_module, open_dicom
from segkit.report.preview import write_preview
from segkit.volume import Volume

FullDisk = Callable[[int], AbstractContextManager[None]]
NOISE = np.random.default_rng(0).integers(0, 2, (1, 60, 60, 4)).astype(np.uint8)
NAMES = {"organ": (1,)}


def preview(path: Path) -> None:
    write_preview(path, Volume(NOISE * 100, np.eye(4)), Volume(NOISE, np.eye(4)), {"organ": 1})


def record(path: Path) -> None:
    write_text(path, json.dumps(NOISE.tolist()))


def outcomes(path: Path) -> None:
    OutcomesFile(path).write([Outcome(f"case{number}", "done") for number in range(100)])


def stats(path: Path) -> None:
    figures = {f"label{number}": {"value": number, "voxels": 1} for number in range(500)}
    (path.parent / "a.nii.gz.json").write_text(json.dumps({"labels": figures}))
    write_stats(path, {"a": {"status": "done", "output": "a.nii.gz"}})


def left(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def check(
    write: Callable[[Path], None], path: Path, full_disk: Any, size: int, beside: list[str]
) -> None:
    with (
        full_disk(size),
        pytest.raises(
            InputError, match=rf"{path.name}: expected a place that can be written to, found"
        ),
    ):
        write(path)
    assert left(path.parent) == beside
    write(path)
    complete = path.read_bytes()
    assert len(complete) > size
    with (
        full_disk(size),
        pytest.raises(InputError, match="expected a place that can be written to"),
    ):
        write(path)
    assert left(path.parent) == sorted([*beside, path.name])
    assert path.read_bytes() == complete


@pytest.mark.parametrize(
    ("name", "write"),
    [("a_preview.png", preview), ("a.nii.gz.json", record), ("predictions.json", outcomes)],
)
def test_what_goes_beside_a_label_map(
    tmp_path: Path, full_disk: FullDisk, name: str, write: Callable[[Path], None]
) -> None:
    check(write, tmp_path / name, full_disk, 3000, [])


def test_the_table_of_figures(tmp_path: Path, full_disk: FullDisk) -> None:
    stats(tmp_path / "stats.csv")
    (tmp_path / "stats.csv").unlink()
    table = {"a": {"status": "done", "output": "a.nii.gz"}}
    check(
        lambda path: write_stats(path, table),
        tmp_path / "stats.csv",
        full_disk,
        3000,
        ["a.nii.gz.json"],
    )


@pytest.mark.parametrize("kind", ["segmentation", "structure_set"])
def test_dicom(tmp_path: Path, dicom: Any, full_disk: FullDisk, kind: str) -> None:
    pytest.importorskip("highdicom", reason="the extra [dicom] is not installed")
    source = open_dicom(dicom.series(tmp_path / "s", np.zeros(NOISE.shape[1:], np.int16)))
    labels, algorithm = (
        Volume(NOISE, source.grid.affine),
        dicom_module("results.references").Algorithm("model", "abc123", "0.1.0"),
    )
    write = getattr(dicom_module(f"results.{kind}_writer"), f"write_{kind}")
    out = tmp_path / "out"
    out.mkdir()
    with (
        full_disk(3000),
        pytest.raises(InputError, match=r"a\.dcm: expected a place that can be written to, found"),
    ):
        write(out / "a.dcm", labels, source, NAMES, algorithm=algorithm)
    assert left(out) == []
    write(out / "a.dcm", labels, source, NAMES, algorithm=algorithm)
    assert (out / "a.dcm").stat().st_size > 3000
