"""DICOM attributes that say with which scanner, at which site and how a series was acquired."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from segkit.io.dicom.headers import guarded
from segkit.io.dicom.series.attributes import plain
from segkit.io.dicom.series.choice import open_dicom

GAUSS_PER_TESLA = 10_000
"""Some scanners store the field strength in gauss."""
LARGEST_TESLA = 100


def scanner_values(path: Path, tags: tuple[str, ...]) -> tuple[str, ...]:
    """Return the value of each attribute, or "" if it is missing.

    Spelling in upper or lower case and repeated spaces do not count, because software versions
    differ in them. A field strength is rounded to 0.1 T.

    Args:
        path: file, folder or zip of one series.
        tags: DICOM keywords, such as Manufacturer.

    Raises:
        InputError: as `segkit.io.dicom.open_dicom`.
        UsageError: there are several series.
    """
    return header_values(open_dicom(path).series.header, path, tags)


def header_values(header: Any, path: Path, tags: tuple[str, ...]) -> tuple[str, ...]:
    """Return the attributes as `scanner_values` does, for a series that was chosen before."""
    with guarded(path):
        return tuple(_text(tag, plain(header.get(tag))) for tag in tags)


def _text(tag: str, value: object) -> str:
    if value is None:
        return ""
    if tag == "MagneticFieldStrength":
        return _tesla(value)
    if isinstance(value, float):
        return f"{value:g}"
    parts = value if isinstance(value, tuple) else (value,)
    return " ".join(" ".join(str(part) for part in parts).casefold().split())


def _tesla(value: object) -> str:
    """Return a field strength as text.

    >>> _tesla(1.494), _tesla(30000.0), _tesla("unknown")
    ('1.5T', '3T', 'unknown')
    """
    try:
        strength = float(str(value))
    except ValueError:
        return str(value)
    if strength > LARGEST_TESLA:
        strength /= GAUSS_PER_TESLA
    return f"{round(strength, 1):g}T"
