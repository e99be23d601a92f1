"""Refusals of a scan that does not fit into memory, or has voxels that are not finite."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segkit.errors import InputError
from segkit.files.names import suffix_of
from segkit.io.memory import available_memory, blocks
from segkit.units import size_text

_REPLACE = (
    "Replace them (in a scan by the value of air: -1000 in CT, usually 0 in MR; in a label map by "
    "0) and save the file again."
)


def check_memory(where: str | Path, needed: int) -> None:
    """Check that a scan fits into the free memory.

    Args:
        where: the file, for the error message.
        needed: bytes that reading the scan takes.

    Raises:
        InputError: less memory is free.
    """
    free = available_memory()
    if free is not None and needed > free:
        raise InputError(
            where,
            expected=f"a scan that fits into the {size_text(free)} of free memory",
            found=f"a header that promises {size_text(needed)} of voxels",
            remedy=f"If the scan really is that large, {_decompressed(where)}close other programs, "
            "use a machine with more memory, or crop it; otherwise the file is damaged.",
        )


def _decompressed(where: str | Path) -> str:
    """Return the advice to decompress a `.nii.gz`: a plain file is mapped instead of held."""
    return "decompress it (gzip -dk), " if suffix_of(where) == ".nii.gz" else ""


def check_finite(where: str | Path, array: NDArray[Any]) -> None:
    """Check that no voxel is NaN or infinite; ``array`` may have any shape.

    Raises:
        InputError: there are such voxels.
    """
    if array.dtype.kind != "f":
        return
    finite = sum(int(np.count_nonzero(np.isfinite(array[box]))) for box in blocks(array))
    if finite < array.size:
        raise InputError(
            where,
            expected="a number in every voxel",
            found=f"{array.size - finite} of {array.size} that are NaN or infinite",
            remedy=_REPLACE if finite else "No voxel has a number: export or copy it again.",
            kind="not_finite",
        )
