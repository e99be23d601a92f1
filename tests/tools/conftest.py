"""What segkit writes, for the tools that users hold beside it; `make test-tools` installs those of
pip and npm.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from numpy.typing import NDArray

from segkit.io import write_labels
from segkit.io.dicom import dicom_module, open_dicom
from segkit.volume import Volume

TOOLS = Path(os.environ.get("SEGKIT_TOOLS", Path(__file__).parents[2] / ".tools"))
"""Where `make test-tools` installs: dcmqi and platforms (virtual environments), and niivue (with
node_modules).
"""
ORIGIN = (-20.0, 31.5, 4.0)
SHAPE = (37, 29, 20)
"""1073 pixels a frame, so that frames of one bit a pixel begin in the middle of a byte."""
NAMES = {"liver": (1,), "tumour": (2,)}


def axes_of(kind: str) -> NDArray[np.float64]:
    """Return the steps in mm along columns, rows and slices, as columns, in LPS."""
    straight = np.diag([0.7, 0.9, 2.5])
    if kind == "oblique":
        return np.asarray(nib.eulerangles.euler2mat(0.3, -0.2, 0.9) @ straight)
    if kind == "tilted":
        straight[1, 2] = 2.5 * np.tan(np.radians(20))
    return straight


@dataclass(frozen=True, eq=False)
class Written:
    """Label maps of one series in all formats, and where their voxels lie."""

    kind: str
    folder: Path
    labels: NDArray[np.uint8]
    """(X, Y, Z)"""

    def file(self, name: str) -> Path:
        """Return binary.dcm, labelmap.dcm, one.dcm (of liver alone), rtstruct.dcm, labels.nii.gz,
        .nrrd or .mha.
        """
        return self.folder / name

    def lies_at(self, points: NDArray[np.float64], value: int) -> bool:
        """Return whether the voxels of ``value`` lie at these points (N, 3) in mm, LPS, to 0.02 mm,
        in any order.
        """
        expected = _in_order(np.argwhere(self.labels == value) @ axes_of(self.kind).T + ORIGIN)
        found = _in_order(points)
        return found.shape == expected.shape and bool(np.abs(found - expected).max() <= 0.02)


def _in_order(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return points (N, 3) rounded to a hundredth of a mm and sorted, so that two sets can be
    compared.
    """
    rounded = np.round(points, 2) + 0.0
    return rounded[np.lexsort(rounded.T)]


@pytest.fixture(scope="session", params=["straight", "oblique", "tilted"])
def written(
    request: pytest.FixtureRequest, dicom: Any, tmp_path_factory: pytest.TempPathFactory
) -> Written:
    """A series, and what segkit writes of two labels on it."""
    folder = tmp_path_factory.mktemp(request.param)
    scan = np.zeros(SHAPE, np.int16)
    place = dicom.series(
        folder / "scan", scan, axes=axes_of(request.param), origin=ORIGIN, SliceThickness=2.5
    )
    labels = np.zeros(SHAPE, np.uint8)
    labels[4:15, 5:12, 3:9], labels[20:31, 15:25, 8:15] = 1, 2
    _write(place, folder, labels)
    return Written(request.param, folder, labels)


def _write(place: Path, folder: Path, labels: NDArray[np.uint8]) -> None:
    source = open_dicom(place)
    volume = Volume(labels[None], source.grid.affine)
    algorithm = dicom_module("results.references").Algorithm("model", "abc123", "1.0")
    segmentation = dicom_module("results.segmentation_writer").write_segmentation
    segmentation(folder / "binary.dcm", volume, source, NAMES, algorithm=algorithm)
    segmentation(folder / "labelmap.dcm", volume, source, NAMES, algorithm=algorithm, labelmap=True)
    segmentation(folder / "one.dcm", volume, source, {"liver": (1,)}, algorithm=algorithm)
    dicom_module("results.structure_set_writer").write_structure_set(
        folder / "rtstruct.dcm", volume, source, NAMES, algorithm=algorithm
    )
    for suffix in (".nii.gz", ".nrrd", ".mha"):
        write_labels(folder / f"labels{suffix}", volume, names={"liver": 1, "tumour": 2})


class Tools:
    """Programs from the path, or from the folder of `make test-tools`."""

    folder = TOOLS
    how = {  # noqa: RUF012 (read only)
        "segimage2itkimage": "make test-tools installs dcmqi",
        "bosh": "make test-tools installs boutiques",
        "bids-validator-deno": "make test-tools installs it",
        "dciodvfy": "apt-get install dicom3tools",
        "node": "install Node.js 20 or later",
        "plastimatch": "apt-get install plastimatch",
    }

    def find(self, name: str) -> str:
        """Return a program's path, or skip with what installs it."""
        places = os.pathsep.join(str(TOOLS / part / "bin") for part in ("dcmqi", "platforms"))
        found = shutil.which(name) or shutil.which(name, path=places)
        if found is None:
            pytest.skip(f"{name} is not installed: {self.how.get(name, 'apt-get install dcmtk')}")
        return found

    def run(self, name: str, *words: str | Path) -> subprocess.CompletedProcess[str]:
        """Run a program to its end, or skip where there is none."""
        return subprocess.run(
            [self.find(name), *map(str, words)], capture_output=True, text=True, check=False
        )

    def errors(self, path: Path) -> list[str]:
        """Return the errors that dciodvfy finds in a file."""
        done = self.run("dciodvfy", path)
        return [
            line for line in (done.stdout + done.stderr).splitlines() if line.startswith("Error")
        ]


@pytest.fixture(scope="session")
def tools() -> Tools:
    """tools.run(name, word, ...) runs a program, or skips with a reason where there is none."""
    return Tools()
