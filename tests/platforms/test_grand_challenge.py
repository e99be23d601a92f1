"""The Dockerfile of an algorithm, and its command on the files of a job.

The layout is that of comic/grand-challenge.org: components/serializers.py writes inputs.json, and
components/backends/base.py reads one image from the output socket's folder.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from segkit.cli import main
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
