"""Read and write DICOM, with the optional extra ``segkit[dicom]``.

pydicom and highdicom are imported only when a DICOM file is opened. `files` finds DICOM files,
`series` sorts their images into series and volumes, `pixels` decodes them, and `results` reads and
writes the objects made from label maps. `source` presents a series to the rest of segkit.
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
"""First Python version for which pyjpegls (1.5.1) has no wheel, so that pip cannot install
highdicom, which requires it."""


def open_dicom(path: Path, choice: str | None = None) -> DicomSource:
    """Open the series of a file, folder or zip.

    Args:
        path: the file, folder or zip.
        choice: the series to open if there are several (see `segkit.io.dicom.series.choice`).

    Raises:
        InputError: there are no images, or the series is not a volume.
        UsageError: there are several series and no choice, no series fits the choice, or the extra
            is not installed.
    """
    source: DicomSource = dicom_module("series.choice").open_dicom(path, choice)
    return source


def slice_positions(path: Path) -> NDArray[np.float64] | None:
    """Return the positions of unevenly spaced slices along the Z axis of the scan's grid.

    The positions are in units of the grid's plane spacing. The result is None for a scan with even
    spacing.

    Raises:
        InputError: as for `open_dicom`.
        UsageError: as for `open_dicom`.
    """
    stack = open_dicom(path).stack
    return None if stack.is_even else stack.slice_positions


@dataclass(frozen=True)
class DicomScan:
    """Scan that is a DICOM series: its path, and the choice of a series if there are several."""

    path: Path
    choice: str | None = None
    opened: DicomSource | None = None
    """The series, if it is already open."""

    @cached_property
    def source(self) -> DicomSource:
        """The series, opened on first use; raises as `open_dicom` does."""
        return self.opened or open_dicom(self.path, self.choice)


def dicom_scan(path: Path, choice: str | None = None) -> DicomScan | None:
    """Return the scan of a DICOM path, or None for any other path.

    Raises:
        UsageError: a series was chosen from a path that is not DICOM.
    """
    if is_dicom(path):
        return DicomScan(path, choice)
    if choice is not None:
        raise UsageError(f"--series {choice}: {path} is not DICOM, so it has no series")
    return None


def dicom_scans(path: Path, name: str = "") -> dict[str, DicomScan | InputError]:
    """Return every series of a path that is a volume, keyed by a name for its output files.

    The keys begin with ``name``, the name of the path. In place of a series that cannot be used,
    because it mixes images of several volumes or has lost slices, its error is returned.

    Raises:
        InputError: no series is a volume.
        UsageError: the extra is not installed.
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
        UsageError: the extra is not installed; the message has the command that installs it.
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

    This is the extra, except for highdicom where a wheel that it needs is missing.
    """
    if package == "highdicom" and version >= WITHOUT_PYJPEGLS:
        python = ".".join(map(str, version))
        return (
            "pip install --no-deps highdicom "
            f"(it requires pyjpegls, which has no wheel for Python {python})"
        )
    return INSTALL
