"""Datasets whose scans are DICOM and whose label maps are DICOM-SEG, in each layout."""

from __future__ import annotations

import json
import shutil
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from segkit.cli import main
from segkit.dataset.case_files import case_labels
from segkit.dataset.dataset import Dataset
from segkit.dataset.layouts import read_dataset
from segkit.dataset.names_from_files import with_names
from segkit.errors import InputError
from segkit.io import open_source, read_case
from segkit.io.dicom import dicom_module, open_dicom
from segkit.preprocessing.content_hash import content_hash
from segkit.volume import Volume

ONE, OTHER = {"organ": (1,), "core": (2,)}, {"core": (2,), "organ": (1,)}
"""The same values; a DICOM-SEG numbers its segments in the order of these names."""
UNEVEN = [0.0, 1, 2, 3, 7, 11, 15]


def series(dicom: Any, folder: Path, uid: str, heights: list[float]) -> Path:
    """Slices of 9 x 7 pixels: 100 in the middle of each, -100 around it."""
    for number, height in enumerate(heights):
        pixels = np.full((7, 9), -100, np.int16)
        pixels[2:5, 3:7] = 100
        own = {
            "series": uid,
            "StudyInstanceUID": f"{uid}.0",
            "ImagePositionPatient": [0, 0, height],
        }
        own["SliceThickness"] = 4 if height > 3 else 1
        dicom.file(folder / f"{number:02d}", pixels, number=number + 1, **own)
    return folder


def labels_of(source: Any) -> np.ndarray:
    """Organ in the middle of all planes, with a core in planes from 2 mm on."""
    labels = np.zeros((1, *source.grid.shape), np.uint8)
    labels[0, 3:7, 2:5] = 1
    labels[0, 4:6, 3, round(2 / source.grid.spacing[2]) :] = 2
    return labels


def segmentation(source: Any, path: Path, names: Any) -> None:
    algorithm = dicom_module("results.references").Algorithm("model", "abc", "1")
    path.parent.mkdir(parents=True, exist_ok=True)
    labels = Volume(labels_of(source), source.grid.affine)
    dicom_module("results.segmentation_writer").write_segmentation(
        path, labels, source, names, algorithm=algorithm
    )
    _as_of_another_vendor(path)


def _as_of_another_vendor(path: Path) -> None:
    """Remove the label values that segkit writes, so that the names of the segments count."""
    pydicom = pytest.importorskip("pydicom")
    made = pydicom.dcmread(path)
    made.Manufacturer = "another"
    made.save_as(path)


@pytest.fixture
def root(dicom: Any, tmp_path: Path) -> Path:
    """Write images/ and labels/ with three scans.

    One is in a subfolder with dots in its name, one has two slice thicknesses, one is a zip.
    """
    pytest.importorskip("highdicom", reason="the extra [dicom] is not installed")
    for number, (case, heights) in enumerate(
        {"p.1": UNEVEN[:4], "p2": UNEVEN, "p3": UNEVEN[:4]}.items(), start=1
    ):
        folder = series(dicom, tmp_path / f"d/images/{case}", f"1.2.{number}", heights)
        segmentation(
            open_dicom(folder), tmp_path / f"d/labels/{case}.dcm", OTHER if case == "p2" else ONE
        )
    _zipped(tmp_path / "d/images/p3")
    return tmp_path / "d"


def _zipped(folder: Path) -> None:
    with zipfile.ZipFile(folder.with_suffix(".zip"), "w") as archive:
        for path in folder.iterdir():
            archive.write(path, f"inner/{path.name}")
    shutil.rmtree(folder)


def check(dataset: Dataset) -> None:
    """Check that each label map lies where its scan is bright, with any segment numbers."""
    for case in dataset.cases:
        assert case.label is not None
        volume = read_case(case.images)
        labels = case_labels(
            case.label, case.images[0], volume.grid, dataset.value_names, subset=dataset.subset
        )
        expected = labels_of(open_source(case.images[0]))
        for value, name in ((1, "organ"), (2, "core")):
            assert np.array_equal(labels.array == dataset.labels[name], expected == value)
        assert np.array_equal(labels.array > 0, volume.array[:1] > 0)


def test_two_folders(root: Path) -> None:
    dataset = with_names(read_dataset(root))
    assert [case.id for case in dataset.cases] == ["p2", "p3", "p.1"]
    assert (dataset.labels, dataset.channels, dataset.notices) == (
        {"core": 1, "organ": 2},
        ("image",),
        (),
    )
    assert read_case(dataset.cases[0].images).grid.shape == (9, 7, 16)
    check(dataset)


def test_a_picture_among_the_slices_is_no_reason_for_a_notice(root: Path) -> None:
    (root / "images/p.1/screenshot.png").write_bytes(b"")
    dataset = read_dataset(root)
    assert (len(dataset.cases), dataset.notices) == (3, ())


def test_csv_names_folders_zips_and_files(root: Path) -> None:
    lines = ["case,image,label", "a,images/p.1,labels/p.1.dcm", "b,images/p3.zip,labels/p3.dcm"]
    (root / "t.csv").write_text("\n".join(lines))
    dataset = with_names(read_dataset(root / "t.csv"))
    assert [case.id for case in dataset.cases] == ["a", "b"]
    check(dataset)


def test_nnunet_with_two_channels(root: Path, dicom: Any) -> None:
    (root / "labels").rename(root / "labelsTr")
    (root / "images").rename(root / "imagesTr")
    for path in sorted((root / "imagesTr").iterdir()):
        suffix = ".zip" if path.suffix == ".zip" else ""
        name = path.name.removesuffix(".zip")
        path.rename(path.with_name(f"{name}_0000{suffix}"))
        heights = UNEVEN if name == "p2" else UNEVEN[:4]
        series(dicom, root / f"imagesTr/{name}_0001", f"1.3.{name[-1]}", heights)
    content = {
        "channel_names": {"0": "CT", "1": "late"},
        "labels": {"background": 0, "core": 2, "organ": 1},
    }
    (root / "dataset.json").write_text(
        json.dumps({**content, "file_ending": ".dcm", "numTraining": 3})
    )
    dataset = with_names(read_dataset(root))
    assert [(case.id, len(case.images)) for case in dataset.cases] == [
        ("p2", 2),
        ("p3", 2),
        ("p.1", 2),
    ]
    assert dataset.notices == ()
    check(dataset)


def test_decathlon(root: Path) -> None:
    names = {"p.1": "p.1", "p2": "p2", "p3.zip": "p3"}
    pairs = [
        {"image": f"images/{image}", "label": f"labels/{label}.dcm"}
        for image, label in names.items()
    ]
    content = {"training": pairs, "labels": {"1": "organ", "2": "core"}, "modality": {"0": "CT"}}
    (root / "dataset.json").write_text(json.dumps(content))
    dataset = with_names(read_dataset(root))
    assert [case.id for case in dataset.cases] == ["p.1", "p2", "p3"]
    check(dataset)


def test_a_segmentation_in_a_folder_of_its_own(root: Path) -> None:
    (root / "labels/p2").mkdir()
    (root / "labels/p2.dcm").rename(root / "labels/p2/IM1")
    check(with_names(read_dataset(root)))
    shutil.copy(root / "labels/p2/IM1", root / "labels/p2/IM2")
    with pytest.raises(InputError, match="labels/p2: expected one DICOM-SEG, found 2: IM1, IM2"):
        with_names(read_dataset(root))


def test_other_files_are_no_cases(root: Path) -> None:
    (root / "images/notes").mkdir()
    (root / "images/notes/read.txt").write_text("words")
    with zipfile.ZipFile(root / "images/papers.zip", "w") as archive:
        archive.writestr("read.txt", "words")
    assert len(read_dataset(root).cases) == 3
    shutil.rmtree(root / "images/p2")
    with pytest.raises(
        InputError, match="expected a scan of the same name for each label map, found none for p2"
    ):
        read_dataset(root)


def test_two_series_in_the_folder_of_a_case(
    root: Path, dicom: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    series(dicom, root / "images/p.1/more", "1.2.9", [20.0, 21, 22])
    assert main(["check", str(root)]) == 3
    said = capsys.readouterr()
    assert (
        "p.1: expected a DICOM folder or zip with one series that forms a volume, found"
        in said.out + said.err
    )


def test_content_hash_depends_on_every_slice(root: Path) -> None:
    case = read_dataset(root).cases[2]
    before = content_hash(case)
    content = (root / "images/p.1/03").read_bytes()
    (root / "images/p.1/03").write_bytes(content[:-1] + b"\x07")
    assert content_hash(case) != before


def test_a_segmentation_beside_the_scan(root: Path, dicom: Any) -> None:
    series(dicom, root / "images/p.1", "1.2.1", [9.0, 10, 11, 12])
    with pytest.raises(
        InputError, match=r"p\.1\.dcm: expected frames that lie on the voxels of .*images/p\.1"
    ):
        check(with_names(read_dataset(root)))


def test_check_train_and_evaluate(
    root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Prediction and reference may both be DICOM-SEG if the scans of the dataset are DICOM."""
    monkeypatch.chdir(root.parent)
    assert main(["check", "d"]) == 0
    assert "organ" in capsys.readouterr().out
    words = [
        "network.features=[4,8]",
        "plan.patch=[8,8,8]",
        "trainer.max_steps=2",
        "trainer.precision=float32",
        "fold=all",
    ]
    assert main(["train", "d", "run_dir=run", "trainer.layout=contiguous", *words]) == 0
    assert main(["predict", "d/images", "-o", "nifti", "-m", "run"]) == 0
    assert main(["evaluate", "nifti", "d"]) == 0
    shutil.copytree("d/labels", "predicted")
    capsys.readouterr()
    assert main(["evaluate", "predicted", "d", "-o", "report"]) == 0
    rows = [line.split(",") for line in Path("report/metrics.csv").read_text().splitlines()[1:]]
    assert {(case, label) for case, label, *_ in rows} == {
        (c, n) for c in ("p.1", "p2", "p3") for n in ("organ", "core")
    }
    assert {float(value) for _, _, metric, value in rows if metric == "dice"} == {1.0}


def test_two_slice_thicknesses_on_another_grid(root: Path) -> None:
    """Without the DICOM images, planes between thick slices would count as background."""
    grid = open_dicom(root / "images/p2").grid
    with pytest.raises(
        InputError, match="for each plane of r, found slices of 1 to 4 mm, between which planes are"
    ):
        dicom_module("results.segmentation_reader").read_segments(
            root / "labels/p2.dcm", grid, {}, grid_name="r"
        )
