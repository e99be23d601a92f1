"""DICOM in and out, as the optional extra ``segkit[dicom]``: pydicom and highdicom are imported when DICOM is met."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from segkit.errors import UsageError

if TYPE_CHECKING:
    from segkit.io.dicom.source import DicomSource

INSTALL = "pip install 'segkit[dicom]'"


def open_place(place: Path, choice: str | None = None) -> DicomSource:
    """Open the one series of a file, folder or zip; ``choice`` says which where there are several.

    Raises:
        InputError: no images, or a series that is no volume.
        UsageError: several series and no choice, or a choice that fits none; the extra is not installed.
    """
    source: DicomSource = module_of("choice").open_place(place, choice)
    return source


def module_of(name: str) -> Any:
    """The module of this package, once the extra is known to be installed.

    Raises:
        UsageError: it is not; the message has the command that installs it.
    """
    try:
        return importlib.import_module(f"segkit.io.dicom.{name}")
    except ModuleNotFoundError as error:
        raise UsageError(f"reading and writing DICOM needs {error.name}, which is not installed: {INSTALL}") from error
