"""The processing-container.json against Kaapana's models, and its command on real items.

The rules are those of kaapana/kaapana, lib/task_api/task_api/processing_container/pc_models.py.
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

TEMPLATE = {"identifier", "description", "command", "resources", "inputs", "outputs", "env"}
"""Fields of a TaskTemplate."""


def container(capsys: pytest.CaptureFixture[str], *flags: str) -> dict[str, Any]:
    assert main(["descriptor", "kaapana", *flags]) == 0
    return dict(json.loads(capsys.readouterr().out))


def test_container(capsys: pytest.CaptureFixture[str]) -> None:
    content = container(capsys, "-m", str(FROZEN), "--gpu")
    assert content.keys() == {"name", "description", "api_version", "templates"}
    assert content["api_version"] == 1
    (template,) = content["templates"]
    assert template.keys() == TEMPLATE
    assert all(isinstance(word, str) for word in template["command"])
    for channel in (*template["inputs"], *template["outputs"]):
        assert channel.keys() == {"name", "mounted_path", "description"}
        assert channel["name"].isalpha()  # a volume of Kubernetes is named after it
    (variable,) = template["env"]
    assert (variable["name"], variable["value"]) == ("SEGKIT_MODEL", "bundle_v1")
    amounts = {"memory": "7629Mi", "nvidia.com/gpu": 1}
    assert template["resources"] == {"limits": amounts, "requests": amounts}


def test_items(
    dicom: Any,
    here: Path,
    models: Path,
    write_scan: Callable[[Path], Path],
    check_labels: Callable[[Path, Path], None],
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Each item has a folder of its name among the results, whatever its format is."""
    dicom.series(here / "in" / "item-1", voxels(), axes=AXES)
    scan = write_scan(here / "in" / "item-2" / "t1.nrrd")
    command = container(capsys)["templates"][0]["command"]
    assert start(command, "--input", "in", "--output", "out") == 0
    assert capsys.readouterr().out.split() == [
        "out/item-1/segmentation_series1.dcm",
        "out/item-2/t1.nii.gz",
    ]
    assert sorted(path.name for path in (here / "out").iterdir()) == ["item-1", "item-2"]
    check_labels(here / "out" / "item-2" / "t1.nii.gz", scan)


def test_items_that_fail(
    here: Path, models: Path, write_scan: Callable[[Path], Path], capsys: pytest.CaptureFixture[str]
) -> None:
    write_scan(here / "in" / "good" / "t1.nii.gz")
    (here / "in" / "bad").mkdir()
    (here / "in" / "bad" / "t1.nii.gz").write_bytes(b"no image")
    (here / "in" / "empty").mkdir()
    (here / "in" / "notes.txt").touch()
    assert start("segkit run-as kaapana --input in --output out") == 5
    err = capsys.readouterr().err
    assert "2 of 3 scans failed; the messages above say why" in err
    assert "in/empty: expected scans" in err
    assert "in: files beside the items are left out: notes.txt" in err
    assert (here / "out" / "good" / "t1.nii.gz").is_file()


@pytest.mark.parametrize(("folder", "found"), [("in", "no folder in it"), ("no", "no such folder")])
def test_no_item(
    folder: str, found: str, here: Path, models: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (here / "in").mkdir()
    assert start(f"segkit run-as kaapana --input {folder} --output out") == 3
    assert f"{folder}: expected a folder for each item" in (text := capsys.readouterr().err)
    assert found in text


def test_files_keep_their_names(
    here: Path, models: Path, write_scan: Callable[[Path], Path]
) -> None:
    """Also those that are named after their item."""
    for name in "p1", "p1_b", "segmentation_b":
        write_scan(here / "in" / "p1" / f"{name}.nii.gz")
    assert start("segkit run-as kaapana --input in --output out") == 0
    written = sorted(path.name for path in (here / "out" / "p1").iterdir())
    assert written == ["p1.nii.gz", "p1_b.nii.gz", "segmentation_b.nii.gz"]
