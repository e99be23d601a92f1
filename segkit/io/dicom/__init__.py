"""Read and write DICOM, with the optional extra ``segkit[dicom]``.

pydicom and highdicom are imported only when a DICOM file is met. `files` finds DICOM files,
`series` sorts their images into series and volumes, `pixels` decodes them, and `results` has the
objects made from a label map. `source` is the series that the rest of segkit reads.
"""

from __future__ import annotations

import importlib
import sys
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from segkit.errors import InputError, UsageError
from segkit.io.dicom.files.detection import is_dicom

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from segkit.io.dicom.source import DicomSource

INSTALL = "pip install 'segkit[dicom]'"
NEEDED = "reading and writing DICOM needs"
WITHOUT_PYJPEGLS = (3, 14)
"""First Python version without a wheel of pyjpegls (1.5.1); without it, pip does not install
highdicom."""


def open_dicom(path: Path, choice: str | None = None) -> DicomSource:
    """Open the one series of a file, folder or zip.

    ``choice`` names the series if there are several (see `segkit.io.dicom.series.choice`).

    Raises:
        InputError: There are no images, or the series is not a volume.
        UsageError: There are several series and no choice, the choice fits none, or the extra is
            not installed.
    """
    source: DicomSource = dicom_module("series.choice").open_dicom(path, choice)
    return source


def slice_positions(path: Path) -> NDArray[np.float64] | None:
    """Return where the slices of a scan with two slice thicknesses lie along Z of its grid.

    The positions are in planes of the grid. The result is None for a scan of even spacing.

    Raises:
        InputError: As for `open_dicom`.
        UsageError: As for `open_dicom`.
    """
    stack = open_dicom(path).stack
    return None if stack.is_even else stack.slice_positions


@dataclass(frozen=True)
class DicomScan:
    """A scan that is a DICOM series: its path, and the choice of a series."""

    path: Path
    choice: str | None = None
    opened: DicomSource | None = None
    """The series, if it was opened before."""

    @cached_property
    def source(self) -> DicomSource:
        """The series, opened on first use; raises as `open_dicom` does."""
        return self.opened or open_dicom(self.path, self.choice)


def dicom_scan(path: Path, choice: str | None = None) -> DicomScan | None:
    """Return the scan of a DICOM path, or None for any other path.

    Raises:
        UsageError: A series was chosen from a path that is not DICOM.
    """
    if is_dicom(path):
        return DicomScan(path, choice)
    if choice is not None:
        raise UsageError(f"--series {choice}: {path} is no DICOM, and has no series to choose from")
    return None


def dicom_scans(path: Path, name: str = "") -> dict[str, DicomScan | InputError]:
    """Return all series of a path that are volumes, by names for output files.

    The names begin with ``name``, the name of the path. A scan that cannot be used, because it
    mixes images of several volumes or has lost slices, is returned as an error.

    Raises:
        InputError: No series is a volume.
        UsageError: The extra is not installed.
    """
    sources: dict[str, DicomSource | InputError] = dicom_module("series.choice").open_all_series(
        path, name
    )
    return {
        scan: source
        if isinstance(source, InputError)
        else DicomScan(path, source.series.uid, source)
        for scan, source in sources.items()
    }


def dicom_module(name: str) -> Any:
    """Import and return a module of this package, such as ``"series.choice"``.

    Raises:
        UsageError: The extra is not installed; the message has the command that installs it.
    """
    try:
        return importlib.import_module(f"segkit.io.dicom.{name}")
    except ModuleNotFoundError as error:
        package = str(error.name).partition(".")[0]
        raise UsageError(
            f"{NEEDED} {package}, which is not installed: {how_to_install(package)}"
        ) from error


def how_to_install(package: str, version: tuple[int, ...] = sys.version_info[:2]) -> str:
    """Return the command that installs a missing package.

    This is the extra, except for a package that the extra leaves out because wheels are missing.
    """
    if package == "highdicom" and version >= WITHOUT_PYJPEGLS:
        python = ".".join(map(str, version))
        return (
            "pip install --no-deps highdicom "
            f"(it asks for pyjpegls, which has no wheel for Python {python})"
        )
    return INSTALL
