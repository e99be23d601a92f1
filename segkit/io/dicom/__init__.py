"""DICOM in and out, as the optional extra ``segkit[dicom]``: pydicom and highdicom are imported when DICOM is met."""

from __future__ import annotations

import importlib
import sys
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from segkit.errors import InputError, UsageError
from segkit.io.dicom.places.files import is_dicom_place

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from segkit.io.dicom.source import DicomSource

INSTALL = "pip install 'segkit[dicom]'"
NEEDED = "reading and writing DICOM needs"
WITHOUT_PYJPEGLS = (3, 14)
"""From this Python on there is no wheel of pyjpegls (1.5.1), without which pip does not install highdicom."""


def open_place(place: Path, choice: str | None = None) -> DicomSource:
    """Open the one series of a file, folder or zip; ``choice`` says which where there are several.

    Raises:
        InputError: no images, or a series that is no volume.
        UsageError: several series and no choice, or a choice that fits none; the extra is not installed.
    """
    source: DicomSource = module_of("series.choice").open_place(place, choice)
    return source


def places_of_slices(place: Path) -> NDArray[np.float64] | None:
    """Where the slices of a scan of two slice thicknesses lie among the planes of its grid; None for an even one.

    Raises:
        InputError: as `open_place`.
        UsageError: as `open_place`.
    """
    stack = open_place(place).stack
    return None if stack.is_even else stack.places


@dataclass(frozen=True)
class DicomScan:
    """A series that is a scan: its place, and what says which series, looked up when it is first needed."""

    place: Path
    choice: str | None = None
    known: DicomSource | None = None
    """The series itself, where it was looked up before."""

    @cached_property
    def source(self) -> DicomSource:
        """As `open_place`."""
        return self.known or open_place(self.place, self.choice)


def dicom_scan(place: Path, choice: str | None = None) -> DicomScan | None:
    """The scan of a place of DICOM; None for what is something else.

    Raises:
        UsageError: a series was chosen from something else.
    """
    if is_dicom_place(place):
        return DicomScan(place, choice)
    if choice is not None:
        raise UsageError(
            f"--series {choice}: {place} is no DICOM, and has no series to choose from"
        )
    return None


def dicom_scans(place: Path, name: str = "") -> dict[str, DicomScan | InputError]:
    """All series of a place that are volumes, by names for files, which begin with the ``name`` of the place.

    A scan that cannot be used, because it is a mixture or has lost slices, is there as error.

    Raises:
        InputError: no series is a volume.
        UsageError: the extra is not installed.
    """
    found: dict[str, DicomSource | InputError] = module_of("series.choice").open_all(place, name)
    return {
        scan: source
        if isinstance(source, InputError)
        else DicomScan(place, source.series.uid, source)
        for scan, source in found.items()
    }


def module_of(name: str) -> Any:
    """The module of this package, once the extra is known to be installed.

    Raises:
        UsageError: it is not; the message has the command that installs it.
    """
    try:
        return importlib.import_module(f"segkit.io.dicom.{name}")
    except ModuleNotFoundError as error:
        package = str(error.name).partition(".")[0]
        raise UsageError(
            f"{NEEDED} {package}, which is not installed: {how_to_install(package)}"
        ) from error


def how_to_install(package: str, version: tuple[int, ...] = sys.version_info[:2]) -> str:
    """Return the command that installs what the extra has left out for want of wheels, or the extra."""
    if package == "highdicom" and version >= WITHOUT_PYJPEGLS:
        python = ".".join(map(str, version))
        return f"pip install --no-deps highdicom (it asks for pyjpegls, which has no wheel for Python {python})"
    return INSTALL
