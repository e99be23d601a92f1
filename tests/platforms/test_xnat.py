"""The command against the checks of XNAT's container service, and its line on real resources.

The rules are those of ``Command.validate`` in NrgXnat/container-service,
src/main/java/org/nrg/containers/model/command/auto/Command.java, and of docs/command.md.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from segkit.cli import main
from tests.platforms.command_lines import start
from tests.platforms.conftest import AXES, FROZEN, voxels

TYPES = {"Scan", "Session", "Resource"}
"""Types of the inputs of a wrapper that are used here."""


def command(capsys: pytest.CaptureFixture[str], *flags: str) -> dict[str, Any]:
    assert main(["descriptor", "xnat", *flags]) == 0
    (content,) = json.loads(capsys.readouterr().out)
    return dict(content)


def line(content: dict[str, Any], model: str = "") -> str:
    """Return the command line as XNAT starts it, with a value of the input "model"."""
    (known,) = content["inputs"]
    value = f"{known['command-line-flag']} {model}" if model else ""
    return str(content["command-line"]).replace(known["replacement-key"], value)


def check(content: dict[str, Any]) -> None:
    """Check what the container service checks before it takes a command."""
    assert content["name"]
    assert content["type"] == "docker"
    assert re.fullmatch(r".+:[a-zA-Z0-9_.-]+", content["image"])
    assert len(content["command-line"]) <= 2048
    mounts = {mount["name"]: mount["path"] for mount in content["mounts"]}
    outputs = {output["name"]: output["mount"] for output in content["outputs"]}
    assert set(outputs.values()) <= set(mounts)
    names = [wrapper["name"] for wrapper in content["xnat"]]
    assert len(set(names)) == len(names)
    for wrapper in content["xnat"]:
        check_wrapper(wrapper, mounts, outputs)


def check_wrapper(wrapper: dict[str, Any], mounts: dict[str, str], outputs: dict[str, str]) -> None:
    known: set[str] = set()
    for entry in wrapper["external-inputs"] + wrapper["derived-inputs"]:
        assert re.fullmatch("[A-Za-z0-9_-]+", entry["name"])
        assert entry["name"] not in known
        assert entry["type"] in TYPES
        assert entry.get("derived-from-wrapper-input") in {None, *known}
        assert entry.get("provides-files-for-command-mount") in {None, *mounts}
        known.add(entry["name"])
    handled = {handler["accepts-command-output"] for handler in wrapper["output-handlers"]}
    assert handled == set(outputs)
    assert {handler["as-a-child-of"] for handler in wrapper["output-handlers"]} <= known


def test_command(capsys: pytest.CaptureFixture[str]) -> None:
    content = command(capsys, "-m", str(FROZEN), "--memory", "4GiB")
    check(content)
    assert content["override-entrypoint"] is True
    assert (content["reserve-memory"], content["limit-memory"]) == (4096, 4096)
    assert content["inputs"][0]["default-value"] == "bundle_v1"
    assert "runtime" not in content
    assert command(capsys, "--gpu")["runtime"] == "nvidia"


def test_label_is_one_line_and_the_command_is_its_entry(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["descriptor", "xnat", "--part", "label"]) == 0
    label = capsys.readouterr().out
    assert label.count("\n") == 1
    assert main(["descriptor", "xnat", "--part", "command"]) == 0
    assert json.loads(label) == [json.loads(capsys.readouterr().out)]


def test_scan_with_dicom(
    dicom: Any, here: Path, models: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The resource DICOM of a scan: its files, and the catalog that XNAT keeps beside them."""
    dicom.series(here / "in", voxels(), axes=AXES)
    (here / "in" / "scan_1_catalog.xml").write_text("<cat:DCMCatalog/>")
    words = f"{line(command(capsys), 'squares')} --input in --output out"
    assert start(words) == 0
    assert capsys.readouterr().out == "out/segmentation_series1.dcm\n"
    assert (here / "out" / "segmentation_series1.dcm").is_file()


def test_scan_with_nifti(
    here: Path,
    models: Path,
    write_scan: Callable[[Path], Path],
    check_labels: Callable[[Path, Path], None],
    capsys: pytest.CaptureFixture[str],
) -> None:
    scan = write_scan(here / "in" / "t1.nii.gz")
    (here / "in" / "t1.json").write_text("{}")
    assert start(f"{line(command(capsys))} --input in --output out") == 0
    check_labels(here / "out" / "t1.nii.gz", scan)


def test_session(dicom: Any, here: Path, models: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A session in the layout of XNAT's archive: every series that is a volume is segmented."""
    for number in 1, 2:
        folder = here / "in" / "SCANS" / str(number)
        dicom.series(
            folder / "DICOM", voxels(), axes=AXES, series=f"1.2.3.{number}", SeriesNumber=number
        )
        (folder / "SNAPSHOTS").mkdir()
        (folder / "SNAPSHOTS" / "qc_t.gif").write_bytes(b"GIF89a")
        (folder / "DICOM" / f"scan_{number}_catalog.xml").write_text("<cat:DCMCatalog/>")
    assert start(f"{line(command(capsys))} --input in --output out") == 0
    assert len(capsys.readouterr().out.split()) == 2
    assert len(list((here / "out").glob("*.dcm"))) == 2
