"""The manifests against the MAP specification 1.0.0, and their command on real files.

The rules are those of "Application Manifest" and "Package Manifest" in Project-MONAI/monai-deploy,
guidelines/monai-application-package.md, and what `holoscan run` 3.11 reads of them.
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

SEMANTIC = re.compile(r"\d+\.\d+\.\d+")
SIZE = re.compile(r"\d+(\.\d)?[MG]i")


def manifest(part: str, capsys: pytest.CaptureFixture[str], *flags: str) -> dict[str, Any]:
    assert main(["descriptor", "map", "--part", part, *flags]) == 0
    return dict(json.loads(capsys.readouterr().out))


def test_app_json(capsys: pytest.CaptureFixture[str]) -> None:
    app = manifest("app", capsys, "-m", str(FROZEN), "--memory", "4GB")
    assert app["type"] in ("service", "application")
    assert app["command"] == "segkit run-as map --max-memory 3600MB -m bundle_v1"
    assert app["input"]["formats"] == ["file"]
    assert app["output"]["format"] == "file"
    assert all(SEMANTIC.fullmatch(app[key]) for key in ("apiVersion", "sdkVersion", "version"))
    # The runner mounts the folders at these paths, and hands over the variables.
    assert app["input"]["path"] == app["environment"]["HOLOSCAN_INPUT_PATH"]
    assert app["output"]["path"] == app["environment"]["HOLOSCAN_OUTPUT_PATH"]
    assert app["workingDirectory"].startswith("/")
    assert app["timeout"] == 0


def test_pkg_json(capsys: pytest.CaptureFixture[str]) -> None:
    pkg = manifest("pkg", capsys, "-m", str(FROZEN), "--memory", "4GiB", "--gpu")
    assert pkg["applicationRoot"].startswith("/")
    assert pkg["modelRoot"] == "/opt/holoscan/models/"
    assert pkg["models"] == [{"name": "bundle_v1", "path": "bundle_v1"}]
    assert all(SEMANTIC.fullmatch(pkg[key]) for key in ("apiVersion", "version"))
    resources = pkg["resources"]
    assert resources == {"cpu": 1, "gpu": 1, "memory": "4096Mi", "sharedMemory": "64Mi"}
    assert all(SIZE.fullmatch(resources[key]) for key in ("memory", "sharedMemory"))
    assert manifest("pkg", capsys)["models"] == []


def test_environment_of_the_specification(capsys: pytest.CaptureFixture[str]) -> None:
    """All variables of its table, "SHALL contain ..."."""
    names = "INPUT_PATH OUTPUT_PATH WORKDIR MODEL_PATH CONFIG_PATH APP_MANIFEST_PATH"
    names += " PKG_MANIFEST_PATH DOCS LOGS"
    expected = {f"HOLOSCAN_{name}" for name in names.split()}
    assert manifest("app", capsys)["environment"].keys() == expected


def test_dockerfile(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It writes the manifests anew: platforms start their command, not that of the image."""
    (here / "größe").symlink_to(FROZEN)
    flags = ["-m", "größe", "--memory", "4GiB", "--gpu"]
    assert main(["descriptor", "map", "--part", "dockerfile", "--image", "s:2", *flags]) == 0
    source, label, root, run, user, words = capsys.readouterr().out.splitlines()
    assert source == "FROM s:2"
    assert 'image.title="segkit-größe"' in label
    assert (root, user) == ("USER root", "USER 10001:10001")
    assert json.loads(words.removeprefix("CMD ")) == [
        "run-as", "map", "--max-memory", "3865MB", "-m", "größe"
    ]  # fmt: skip
    folder, *commands = run.removeprefix("RUN ").split(" && ")
    assert folder == "mkdir -p /etc/holoscan"
    for part, line in zip(("app", "pkg"), commands, strict=True):
        command, _, target = line.partition(" > ")
        assert target == f"/etc/holoscan/{part}.json"
        assert start(command) == 0
        assert json.loads(capsys.readouterr().out) == manifest(part, capsys, *flags)


def test_studies(
    dicom: Any,
    here: Path,
    models: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A study of two series, in the folders that the environment names, to two DICOM-SEG."""
    highdicom = pytest.importorskip("highdicom")
    dicom.series(here / "in" / "a", voxels(), axes=AXES)
    dicom.series(here / "in" / "b", voxels(), axes=AXES, series="1.2.3.2", SeriesNumber=2)
    command = manifest("app", capsys)["command"]
    monkeypatch.setenv("HOLOSCAN_INPUT_PATH", str(here / "in"))
    monkeypatch.setenv("HOLOSCAN_OUTPUT_PATH", str(here / "out"))
    assert start(command) == 0
    written = sorted((here / "out").iterdir())
    assert len(written) == 2
    for path in written:
        segments = highdicom.seg.segread(path)
        assert [segment.SegmentLabel for segment in segments.SegmentSequence] == ["bright", "dark"]
        assert segments.pixel_array.sum() == 2 * (8 * 8 + 6 * 8)


def test_model_of_the_package(
    here: Path,
    write_scan: Callable[[Path], Path],
    check_labels: Callable[[Path, Path], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    scan = write_scan(here / "in" / "p1.nii.gz")
    (here / "given").mkdir()
    (here / "given" / "squares").symlink_to(FROZEN)
    folders = {"INPUT": "in", "OUTPUT": "out", "MODEL": "given"}
    for name, folder in folders.items():
        monkeypatch.setenv(f"HOLOSCAN_{name}_PATH", str(here / folder))
    assert start("segkit run-as map") == 0
    check_labels(here / "out" / "p1.nii.gz", scan)
