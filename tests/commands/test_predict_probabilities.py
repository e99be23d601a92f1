"""The flag --probabilities of segkit predict."""

from __future__ import annotations

import dataclasses
import json
import logging
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
import SimpleITK
from PIL import Image

from segkit.bundle.bundle import read_bundle, write_bundle
from segkit.cli import main
from segkit.inference.files.outputs import Job
from segkit.inference.files.probability_file import log_size
from segkit.inference.files.scan import Scan
from segkit.io import read_volume
from segkit.plans.plan import Plan
from segkit.volume import Grid

FROZEN = Path(__file__).parents[1] / "data" / "bundle_v1"
MODEL = ["-m", str(FROZEN)]
VALUES = np.array([0, 5, 300])


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def save(path: str) -> None:
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    array = np.random.default_rng(0).integers(-30, 30, (20, 18, 3)).astype(np.int16)
    array[2:9, 2:12] += 80
    array[11:18, 2:12] -= 80
    nibabel.save(nibabel.Nifti1Image(array, np.diag([-1.0, 2, 3, 1])), path)


@pytest.mark.parametrize("kind", ["uint8", "float32"])
def test_a_map_of_all_labels_beside_the_label_map(here: Path, kind: str) -> None:
    save("a.nii")
    words = [
        "predict",
        "a.nii",
        "-o",
        "o.nii.gz",
        "--probabilities",
        "--probability-type",
        kind,
        *MODEL,
    ]
    assert main(words) == 0
    image, labels = (
        nibabel.load("o_probabilities.nii.gz"),
        np.asarray(nibabel.load("o.nii.gz").dataobj),
    )
    shares = image.get_fdata()
    assert (image.shape, image.get_data_dtype()) == ((20, 18, 3, 3), kind)
    assert np.array_equal(image.affine, nibabel.load("a.nii").affine)
    np.testing.assert_allclose(
        shares.sum(axis=-1), 1, atol=1e-6 if kind == "float32" else 2.5 / 255
    )
    assert np.array_equal(VALUES[shares.argmax(axis=-1)], labels)
    assert len(np.unique(labels)) == 3
    assert json.loads(Path("o_probabilities.json").read_text())["channels"] == [
        {"label": "background", "value": 0},
        {"label": "bright", "value": 5},
        {"label": "dark", "value": 300},
    ]
    assert read_volume("o_probabilities.nii.gz").channels == 3
    assert sorted(path.name for path in here.iterdir()) == [
        *("a.nii", "o.nii.gz", "o_probabilities.json", "o_probabilities.nii.gz")
    ]


@pytest.mark.parametrize("suffix", [".nrrd", ".mha"])
def test_formats_of_itk_hold_real_numbers(here: Path, suffix: str) -> None:
    save("a.nii")
    assert main(["predict", "a.nii", "-o", f"o{suffix}", "--probabilities", *MODEL]) == 0
    image = SimpleITK.ReadImage(f"o_probabilities{suffix}")
    assert (image.GetNumberOfComponentsPerPixel(), image.GetSize()) == (3, (20, 18, 3))
    shares = SimpleITK.GetArrayFromImage(image)
    labels = SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(f"o{suffix}"))
    assert np.array_equal(VALUES[shares.argmax(axis=-1)], labels)
    assert shares.max() <= 1
    assert image.GetOrigin() == SimpleITK.ReadImage(f"o{suffix}").GetOrigin()
    if suffix == ".nrrd":
        assert [image.GetMetaData(f"Channel{n}_Name") for n in range(3)] == [
            "background",
            "bright",
            "dark",
        ]


def test_their_type_alone_writes_none(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    save("scan.nii.gz")
    assert (
        main(
            ["predict", "scan.nii.gz", "-o", "out.nii.gz", "--probability-type", "float32", *MODEL]
        )
        == 2
    )
    assert (
        "--probability-type float32 changes nothing without --probabilities"
        in capsys.readouterr().err
    )
    assert not Path("out.nii.gz").exists()


def test_dicom_and_pictures_have_theirs_as_nifti(here: Path) -> None:
    plan = read_bundle(FROZEN).plan
    flat = Plan(**{**plan.__dict__, "unit": "px", "labels": {"bright": 255, "dark": 7}})
    write_bundle("flat", flat, {"name": "flat"}, {"0": read_bundle(FROZEN).state("0")})
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (18, 20), np.uint8)).save("p.png")
    assert main(["predict", "p.png", "--probabilities", "-m", "flat"]) == 0
    image = nibabel.load("p_seg_probabilities.nii.gz")
    assert (image.shape, image.header.get_xyzt_units()[0]) == ((20, 18, 1, 3), "unknown")


def test_a_folder_of_scans_and_what_is_there_already(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    save("in/a.nii")
    save("in/b.nii")
    words = [
        "predict",
        "in",
        "-o",
        "out",
        "--probabilities",
        "--stats",
        "--preview",
        "--uncertainty",
        *MODEL,
    ]
    assert main(words) == 0
    ends = [
        ".json",
        ".nii.gz",
        "_preview.png",
        "_probabilities.json",
        "_probabilities.nii.gz",
        "_uncertainty.nii.gz",
    ]
    expected = [f"{case}{end}" for case in "ab" for end in ends]
    assert sorted(path.name for path in Path("out").iterdir()) == [
        *expected,
        "look_first.html",
        "predictions.json",
        "stats.csv",
    ]
    assert (
        main(["predict", "out", "-o", "again", *MODEL]) == 0
    )  # maps of probabilities are no scans
    assert sorted(path.name for path in Path("again").glob("*.gz")) == ["a.nii.gz", "b.nii.gz"]
    assert main(["predict", "in", "-o", "new", *MODEL]) == 0
    capsys.readouterr()
    assert main(["evaluate", "out", "new"]) == 0
    assert "without a reference" not in capsys.readouterr().err
    Path("out/a.nii.gz").unlink()
    assert main(words) == 2
    assert "out/a_preview.png exists already" in capsys.readouterr().err


def test_a_file_that_describes_the_scan_is_no_record(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    save("a.nii")
    Path("a.json").write_text('{"EchoTime": 0.08}')
    assert main(["predict", "a.nii", "-o", ".", "--stats", "--overwrite", *MODEL]) == 2
    assert "a.json is not a record of segkit and is not replaced" in capsys.readouterr().err
    assert main(["predict", "a.nii", "-o", ".", *MODEL]) == 0
    assert Path("a.json").read_text() == '{"EchoTime": 0.08}'


def test_records_of_earlier_versions_are_found(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    save("in/a.nii")
    save("in/predictions.nii")
    assert main(["predict", "in", "-o", "out", "--stats", *MODEL]) == 0
    assert Path("out/predictions.nii.gz.json").exists()
    Path("out/a.json").rename("out/a.nii.gz.json")
    first = Path("out/stats.csv").read_text()
    capsys.readouterr()
    assert main(["predict", "in", "-o", "out", "--stats", "--continue", *MODEL]) == 0
    assert "left as it is" not in capsys.readouterr().err
    assert Path("out/stats.csv").read_text() == first
    assert main(["predict", "in", "-o", "out", "--overwrite", *MODEL]) == 0
    assert not list(Path("out").glob("*.gz.json"))


def test_the_size_of_a_large_map_is_said_before_the_work(caplog: pytest.LogCaptureFixture) -> None:
    plan = dataclasses.replace(
        read_bundle(FROZEN).plan, labels={f"label{n}": n for n in range(1, 118)}
    )
    grid = Grid((512, 512, 300), np.eye(4))
    for output, size in (("o.nii.gz", "9.3 GB"), ("o.nrrd", "37.1 GB")):
        with caplog.at_level(logging.INFO):
            log_size(
                Job(Scan("a", (Path("a.nii"),)), Path(output), ("probabilities",)),
                plan,
                grid,
                "uint8",
            )
        assert (
            f"118 channels take 9.3 GB of temporary data in this folder, and {size} as an"
            " uncompressed" in caplog.text
        )


def test_dicom_in_and_dicom_seg_out(dicom: Any, here: Path) -> None:
    pytest.importorskip("highdicom", reason="the extra [dicom] is not installed")
    voxels = np.zeros((20, 20, 3), np.int16)
    voxels[2:10, 2:10], voxels[12:18, 2:10] = 100, -100
    dicom.series(here / "p1", voxels, axes=np.diag([1.0, 1.0, 5.0]))
    assert main(["predict", "p1", "-o", "o.dcm", "--probabilities", *MODEL]) == 0
    assert main(["predict", "p1", "-o", "o2.nii.gz", "--probabilities", *MODEL]) == 0
    shares, label_map = nibabel.load("o_probabilities.nii.gz"), nibabel.load("o2.nii.gz")
    assert np.allclose(shares.affine, label_map.affine)
    assert np.array_equal(VALUES[shares.get_fdata().argmax(axis=-1)], np.asarray(label_map.dataobj))
