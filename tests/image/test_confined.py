"""The image does its work as a stranger, read-only, without network and capabilities."""

from __future__ import annotations

import json
import re
from pathlib import Path

import nibabel
import numpy as np
import pydicom
import pytest

from segkit.dataset.phantom import write_phantom
from tests.small_training import QUICK, SMALL

from .conftest import STRANGER, Image

pytestmark = pytest.mark.slow
SHELL = "/bin/sh"
MODEL = "image-test"
"""Name of the model that docker/image_test.sh builds into the image."""


def changed(*words: str) -> list[str]:
    """The overrides of a small training, some of them with other values."""
    given = {word.partition("=")[0]: word for word in (*SMALL, *QUICK, *words)}
    return list(given.values())


def test_the_confinement_is_real(image: Image) -> None:
    """What the other tests rely on, seen from inside."""
    script = (
        "id -u; grep -E '^(Cap(Prm|Eff|Bnd)|NoNewPrivs)' /proc/self/status; ls /sys/class/net;"
        " touch /opt/segkit/x /work/x; df -k /dev/shm | tail -n 1;"
        " getent passwd $(id -u) || echo none"
    )
    done = image.run("-c", script, entrypoint=SHELL)
    lines = done.stdout.split("\n")
    assert lines[0] == str(STRANGER)
    assert re.findall(r"Cap\w+:\s+(\w+)", done.stdout) == ["0" * 16] * 3
    assert re.findall(r"NoNewPrivs:\s+(\d)", done.stdout) == ["1"]
    assert lines[5] == "lo"
    assert "none" in lines
    assert done.stderr.count("Read-only file system") == 2
    (shared,) = re.findall(r"^\S+\s+(\d+) .*/dev/shm$", done.stdout, re.MULTILINE)
    assert int(shared) <= 65536


def test_a_scan_is_segmented(image: Image, tmp_path: Path, results: Path) -> None:
    scan = write_phantom(tmp_path / "phantom", cases=1) / "imagesTr"
    scan.chmod(0o755)
    mounts = [f"{scan}:/input:ro", f"{results}:/output"]
    image.succeed("predict", "/input", "-m", MODEL, "-o", "/output", mounts=mounts)
    (labels,) = results.glob("*.nii.gz")
    assert labels.stat().st_uid == STRANGER
    found = nibabel.load(labels)
    (source,) = scan.glob("*.nii.gz")
    assert found.shape == nibabel.load(source).shape
    assert np.allclose(found.affine, nibabel.load(source).affine)


def test_a_dicom_series_becomes_dicom_seg(image: Image, data_root: Path, results: Path) -> None:
    series = data_root / "dicom" / "Study1" / "13_HCropVolume"
    mounts = [f"{series}:/input:ro", f"{results}:/output"]
    words = ("-m", MODEL, "-o", "/output", "--dicom-seg")
    image.succeed("predict", "/input", *words, mounts=mounts)
    (written,) = results.rglob("*.dcm")
    assert pydicom.dcmread(written).Modality == "SEG"


def test_a_training_of_20_steps_is_kept(image: Image, tmp_path: Path, results: Path) -> None:
    """Two worker processes have the 64 MB of shared memory that containers have by default."""
    data = write_phantom(tmp_path / "phantom", cases=3)
    mounts = [f"{data}:/data:ro", f"{results}:/work"]
    words = ("dataset=/data", *changed("trainer.max_steps=20"), "trainer.workers=2")
    image.succeed("train", *words, mounts=mounts)
    (bundle,) = results.glob("runs/*/*/bundle/bundle.json")
    assert bundle.stat().st_uid == STRANGER


def test_a_training_with_too_little_shared_memory_says_so(
    image: Image, tmp_path: Path, results: Path
) -> None:
    """Four patches of 96 voxels and their labels take 28 MB; two processes keep five batches."""
    data = write_phantom(tmp_path / "phantom", cases=2)
    mounts = [f"{data}:/data:ro", f"{results}:/work"]
    large = changed("plan.patch=[96,96,96]", "plan.spacing=[1,1,1]")
    more = ("trainer.batch_size=4", "trainer.workers=2")
    done = image.run("train", "dataset=/data", *large, *more, mounts=mounts)
    assert done.returncode == 0, done.stderr
    assert "they are sent through pipes instead" in done.stderr


def test_a_training_without_a_folder_is_refused(image: Image, tmp_path: Path) -> None:
    data = write_phantom(tmp_path / "phantom", cases=2)
    words = ("dataset=/data", *SMALL, *QUICK)
    for user in (f"{STRANGER}:{STRANGER}", "0:0"):  # root may write to the image's folder
        done = image.run("train", *words, mounts=[f"{data}:/data:ro"], user=user)
        assert done.returncode == 3
        assert "/work: expected a mounted folder for the run" in done.stderr
        assert "Traceback" not in done.stderr


def test_the_doctor_finds_nothing_wrong(image: Image, results: Path) -> None:
    found = json.loads(image.succeed("doctor", "--json", mounts=[f"{results}:/work"]))
    assert found["can_predict"] is True


@pytest.mark.parametrize("platform", ["map", "xnat", "kaapana", "bids", "grand-challenge"])
def test_each_platform_has_a_descriptor(image: Image, platform: str) -> None:
    assert "run-as" in image.succeed("descriptor", platform)
