"""The Dockerfile of an algorithm, and its command on the files of a job.

The layout is that of comic/grand-challenge.org: components/serializers.py writes inputs.json, and
components/backends/base.py reads one image from the output socket's folder.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from segkit.bundle.bundle import read_bundle, write_bundle
from segkit.cli import main
from segkit.platforms.tiff_resolution import copy_resolution
from tests.platforms.command_lines import start
from tests.platforms.conftest import AXES, FROZEN, voxels

Write = Callable[[Path], Path]


def entry(slug: str, kind: str = "Image", super_kind: str = "Image") -> dict[str, Any]:
    """Return an entry of inputs.json, with the fields that are read here."""
    socket = {
        "title": slug,
        "slug": slug,
        "kind": kind,
        "super_kind": super_kind,
        "relative_path": f"images/{slug}" if super_kind == "Image" else f"{slug}.json",
    }
    image = {"pk": "0", "name": f"{slug}.mha"} if super_kind == "Image" else None
    return {"socket": socket, "interface": socket, "value": None, "file": None, "image": image}


@pytest.fixture
def inputs(here: Path) -> Callable[..., Path]:
    """Write inputs.json with these entries, and return the folder."""

    def write(*entries: dict[str, Any]) -> Path:
        (here / "in").mkdir(exist_ok=True)
        (here / "in" / "inputs.json").write_text(json.dumps(entries))
        return here / "in"

    return write


def words(capsys: pytest.CaptureFixture[str], *flags: str) -> list[str]:
    """Return the arguments that the image starts with, as its Dockerfile says."""
    assert main(["descriptor", "grand-challenge", *flags]) == 0
    source, label, command = capsys.readouterr().out.splitlines()
    assert source.startswith("FROM segkit:")
    assert label == 'LABEL org.grand-challenge.api-method="exec"'
    return list(json.loads(command.removeprefix("CMD ")))


def test_model_of_the_tarball(
    here: Path,
    inputs: Callable[..., Path],
    write_scan: Write,
    check_labels: Callable[[Path, Path], None],
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The model's tarball is unpacked into a folder; a value and a mask are no scans."""
    folder = inputs(
        entry("ct-image"),
        entry("age", "Integer", "Value"),
        entry("lung-mask", "Segmentation"),
    )
    scan = write_scan(folder / "images" / "ct-image" / "6f.mha")
    (here / "ml").mkdir()
    (here / "ml" / "squares").symlink_to(FROZEN)
    command = words(capsys, "--output-path", "images/organs")
    assert start([*command, "--input", "in", "--output", "out", "--model-folder", "ml"]) == 0
    assert [path.name for path in (here / "out").rglob("*") if path.is_file()] == ["output.mha"]
    check_labels(here / "out" / "images" / "organs" / "output.mha", scan)


def test_dicom(
    dicom: Any, here: Path, models: Path, inputs: Callable[..., Path], check_labels: Any
) -> None:
    """An input of the kind DICOM is a folder; the label map is .mha."""
    folder = inputs(entry("ct-dicom", "DICOM Image Set"))
    dicom.series(folder / "images" / "ct-dicom", voxels(), axes=AXES)
    assert start("segkit run-as grand-challenge --input in --output out") == 0
    check_labels(here / "out/images/segmentation/output.mha", folder / "images" / "ct-dicom")


def test_several_series_in_one_input(
    dicom: Any, models: Path, inputs: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    """The usual advice, --series, is of predict."""
    place = inputs(entry("ct-dicom", "DICOM Image Set")) / "images" / "ct-dicom"
    for uid in ("1.2.3.1", "1.2.3.2"):
        dicom.series(place / uid, voxels(), axes=AXES, SeriesInstanceUID=uid)
    assert start("segkit run-as grand-challenge --input in --output out") == 3
    message = capsys.readouterr().err
    assert "in: expected one series that forms one volume in each DICOM input of the job" in message
    assert "ct-dicom: 2 series, 2 of them volumes. Start the job again" in message
    assert "--series" not in message


def test_several_images(
    here: Path, models: Path, inputs: Callable[..., Path], write_scan: Write, check_labels: Any
) -> None:
    folder = inputs(entry("ct-image"), entry("pet-image"))
    scan = write_scan(folder / "images" / "ct-image" / "a.mha")
    command = "segkit run-as grand-challenge --input in --output out --socket CT=ct-image"
    assert start(command) == 0
    check_labels(here / "out/images/segmentation/output.mha", scan)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ("", "Write CHANNEL=SLUG for CT; the images of this job are ct-image, pet-image"),
        ("--socket CT", "--socket CT: write CHANNEL=SLUG, such as CT=ct-image"),
        ("--socket MR=ct-image", "--socket: MR is no channel of the model"),
        ("--socket CT=other", "the images of this job are ct-image, pet-image"),
    ],
)
def test_unclear_images(
    flags: str,
    message: str,
    models: Path,
    inputs: Callable[..., Path],
    capsys: pytest.CaptureFixture[str],
) -> None:
    inputs(entry("ct-image"), entry("pet-image"))
    assert start(f"segkit run-as grand-challenge --input in --output out {flags}") == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("content", "found"), [(None, "no such file"), ("{", "other content"), ("[1]", "other content")]
)
def test_no_inputs(
    content: str | None,
    found: str,
    here: Path,
    models: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (here / "in").mkdir()
    if content:
        (here / "in" / "inputs.json").write_text(content)
    assert start("segkit run-as grand-challenge --input in --output out") == 3
    message = f"expected the list of inputs that grand-challenge.org writes, found {found}"
    assert message in capsys.readouterr().err


@pytest.mark.parametrize("names", [[], ["a.mha", "b.mha"]])
def test_not_one_image(
    names: list[str],
    models: Path,
    inputs: Callable[..., Path],
    write_scan: Write,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder = inputs(entry("ct-image"))
    for name in names:
        write_scan(folder / "images" / "ct-image" / name)
    assert start("segkit run-as grand-challenge --input in --output out") == 3
    message = f"expected one image, .mha, .tif, .tiff or DICOM, found {', '.join(names) or 'none'}"
    assert message in capsys.readouterr().err


def test_named_model_of_the_tarball(
    here: Path, inputs: Callable[..., Path], write_scan: Write, capsys: pytest.CaptureFixture[str]
) -> None:
    """A model that the descriptor names may come with the tarball instead of the image."""
    folder = inputs(entry("ct-image"))
    write_scan(folder / "images" / "ct-image" / "6f.mha")
    (here / "ml").mkdir()
    (here / "ml" / "bundle_v1").symlink_to(FROZEN)
    command = words(capsys, "-m", str(FROZEN))
    assert start([*command, "--input", "in", "--output", "out", "--model-folder", "ml"]) == 0
    assert (here / "out" / "images" / "segmentation" / "output.mha").is_file()


@pytest.mark.parametrize("path", ["/images/organs", "../organs", "."])
def test_output_that_the_platform_would_not_find(
    path: str, models: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for verb in "descriptor", "run-as":
        assert main([verb, "grand-challenge", f"--output-path={path}"]) == 2
        message = f"--output-path {path}: write it relative to /output, such as images/segmentation"
        assert message in capsys.readouterr().err


def test_label_map_has_the_resolution_of_its_tiff(here: Path, inputs: Callable[..., Path]) -> None:
    """The platform refuses TIFF without resolution in inches or centimeters."""
    bundle = read_bundle(FROZEN)
    plan = dataclasses.replace(bundle.plan, unit="px")
    write_bundle(here / "ml" / "pictures", plan, {"name": "pictures"}, {"0": bundle.state("0")})
    scan = inputs(entry("ct-image")) / "images" / "ct-image" / "6f.tif"
    scan.parent.mkdir(parents=True)
    pixels = np.clip(voxels()[..., 0], 0, 100).T.astype(np.uint8)
    resolution = {"x_resolution": 40_000.0, "y_resolution": 20_000.0, "resolution_unit": 3}
    Image.fromarray(pixels).save(scan, **resolution)
    command = "segkit run-as grand-challenge --input in --output out --model-folder ml"
    assert start(command) == 0
    with Image.open(here / "out" / "images" / "segmentation" / "output.tif") as labels:
        assert [labels.tag_v2[tag] for tag in (282, 283, 296)] == [40_000, 20_000, 3]
        np.testing.assert_array_equal(np.asarray(labels) == 5, pixels == 100)


def test_resolution_of_slides(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Slides are too large for Pillow."""
    tifffile = pytest.importorskip("tifffile")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    pixels = np.arange(1024, dtype=np.uint16).reshape(32, 32)
    files = {"scan": (40_000, 20_000), "labels": None}
    for name, resolution in files.items():
        unit = "CENTIMETER" if resolution else None
        tifffile.imwrite(
            f"{name}.tif", pixels, tile=(16, 16), resolution=resolution, resolutionunit=unit
        )
    copy_resolution(Path("scan.tif"), Path("labels.tif"))
    with tifffile.TiffFile("labels.tif") as file:
        values = [file.pages[0].tags[tag].value for tag in (282, 283, 296)]
    assert values == [(40_000, 1), (20_000, 1), 3]
    np.testing.assert_array_equal(tifffile.imread("labels.tif"), pixels)
