"""File formats and the modules that read and write them, imported on first use."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from segkit.errors import InputError, UsageError
from segkit.files.names import ITK, NIFTI, PICTURE, READABLE, WRITABLE, listed, suffix_of
from segkit.io.scaled import is_scaled
from segkit.volume import file_type

_MODULES = {
    **dict.fromkeys(NIFTI, "segkit.io.nifti.reader"),
    **dict.fromkeys(ITK, "segkit.io.itk.reader"),
    **dict.fromkeys(PICTURE, "segkit.io.picture"),
}


def module_of(suffix: str) -> Any:
    """Return the module for a readable suffix; it has the functions ``open_scan`` and ``save``.

    >>> module_of(".png").__name__
    'segkit.io.picture'
    """
    return importlib.import_module(_MODULES[suffix])


def check_readable(path: Path) -> None:
    """Check that a file's suffix belongs to a format that segkit can read.

    Raises:
        InputError: it does not.
    """
    suffix = suffix_of(path)
    if suffix not in READABLE:
        raise InputError(
            path,
            expected=f"one of the formats {listed(READABLE)}",
            found=f"the suffix {suffix!r}" if suffix else "no suffix",
            remedy="Convert the file, for example to .nii.gz."
            if path.exists()
            else "Check the path.",
        )


def check_writable(path: str | Path) -> None:
    """Check that a file's suffix belongs to a format that segkit can write.

    Raises:
        UsageError: it does not.
    """
    if suffix_of(path) not in WRITABLE:
        raise UsageError(
            f"{path}: cannot write this format; the suffix must be one of {listed(WRITABLE)}"
        )


def storable(array: NDArray[Any]) -> NDArray[Any]:
    """Return the array in native byte order and in a type that files can hold.

    Booleans become uint8 and float16 becomes float32. A `ScaledArray` is returned unchanged.
    """
    if is_scaled(array):
        return array
    return array.astype(file_type(array.dtype), copy=False)
