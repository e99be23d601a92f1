"""File names: format by suffix, case id, natural order, and readable files of a folder."""

from __future__ import annotations

import os
import re
import unicodedata
from collections.abc import Iterable, Sequence
from pathlib import Path

from segkit.errors import InputError
from segkit.files.unfetched import unfetched_error, why_unfetched

NIFTI = (".nii.gz", ".nii")
ITK = (".nrrd", ".nhdr", ".mha", ".mhd")
DETACHED = (".nhdr", ".mhd")
"""Suffixes of ITK's text headers whose voxels may be in another file."""
PICTURE = (".png", ".tif", ".tiff", ".bmp")
SLIDES = (".tif", ".tiff")
"""Suffixes of pictures that may be whole-slide images."""
DICOM = ".dcm"
"""Suffix of DICOM objects that are written; DICOM input is recognized by its content."""
READABLE = (*NIFTI, *ITK, *PICTURE)
WRITABLE = (*NIFTI, ".nrrd", ".mha", *PICTURE)
ENDING = "_seg"
"""End of the name of a label map that predict writes if no output is given."""
SEGMENTATION = ".seg.nrrd"
"""Suffix of a segmentation of 3D Slicer."""
STUDY = "study.json"
"""File that makes a folder that of a study (not of a cross-validation): kind and settings."""
CARD = "bundle.json"
"""Name of the file that makes a folder or a zip a bundle."""
PREVIEW = "_preview"
"""End of the name of the PNG preview of a label map."""
UNCERTAINTY = "_uncertainty"
"""End of the name of the map of uncertainty (entropy) of a label map."""
RTSTRUCT = "_rtstruct"
"""End of the name of the RT Structure Set with the outlines of a label map."""
PROBABILITIES = "_probabilities"
"""End of the name of the map of the probabilities of all labels."""
BESIDE = (PREVIEW, UNCERTAINTY, PROBABILITIES)
"""Ends of the names of images that predict writes next to a label map."""

_HEADER_BYTES = 1 << 20
"""Number of bytes of a text header in which the names of its voxel files are looked for.

Only a header that lists tens of thousands of slices is longer.
"""


def suffix_of(path: str | Path) -> str:
    """Return the suffix of a file name in lower case; ``.nii.gz`` counts as one suffix.

    >>> suffix_of("a.b.NII.gz"), suffix_of("x.png")
    ('.nii.gz', '.png')
    """
    name = Path(path).name.lower()
    return ".nii.gz" if name.endswith(".nii.gz") else Path(name).suffix


def case_id(path: str | Path) -> str:
    """Return the name of a file without its suffix (or 3D Slicer's ``.seg.nrrd``) as a case id.

    Accented letters are composed (Unicode NFC), because macOS decomposes them in file names. The
    name of an existing folder is returned in full.

    >>> case_id("scans/patient.7.nii.gz"), case_id("p1.seg.nrrd")
    ('patient.7', 'p1')
    """
    name = Path(path).name
    suffix = SEGMENTATION if is_segmentation_file(path) else suffix_of(path)
    if os.path.isdir(path):
        stem = Path(path).resolve().name
    else:
        stem = name[: -len(suffix)] if suffix in (*READABLE, SEGMENTATION) else Path(name).stem
    return unicodedata.normalize("NFC", stem)


def is_segmentation_file(path: str | Path) -> bool:
    """Return whether a file is named like a segmentation of 3D Slicer, ``CASE.seg.nrrd``.

    Such a file is never a scan.
    """
    return Path(path).name.lower().endswith(SEGMENTATION)


def records_of(label_map: str | Path) -> tuple[Path, Path]:
    """Return the two possible paths of the run record of a label map.

    The record is ``CASE.json`` or ``CASE.nii.gz.json``, next to the label map.

    >>> [path.name for path in records_of("out/a.nii.gz")]
    ['a.json', 'a.nii.gz.json']
    """
    path = Path(label_map)
    suffix = suffix_of(path)
    stem = path.name[: -len(suffix)] if suffix else path.name
    return path.with_name(f"{stem}.json"), path.with_name(f"{path.name}.json")


def natural_key(name: str | Path) -> tuple[tuple[int, int, str], ...]:
    """Return the key that sorts names by the value of the numbers in them.

    >>> sorted(["a10", "a2", "b1"], key=natural_key)
    ['a2', 'a10', 'b1']
    """
    # [0-9], not \d: int() refuses digits such as a superscript two.
    parts = re.split(r"([0-9]+)", str(name))
    return tuple((0, int(part), "") if part.isdecimal() else (1, 0, part) for part in parts if part)


def readable_files(folder: Path) -> list[Path]:
    """Return the files in a readable format directly inside ``folder``, in natural order.

    Hidden files are left out. Files whose content is missing (see `segkit.files.unfetched`) are
    returned: reading them raises the error.

    Raises:
        InputError: the folder cannot be read.
    """
    try:
        files = [
            path for path in folder.iterdir() if not path.is_dir() and not path.name.startswith(".")
        ]
    except OSError as error:
        raise InputError(
            folder,
            expected="a folder that can be read",
            found=str(error.strerror),
            remedy="Check its permissions.",
        ) from error
    return sorted(
        (path for path in files if suffix_of(path) in READABLE),
        key=lambda path: natural_key(path.name),
    )


def scan_paths(inputs: str | Path | Iterable[str | Path]) -> list[Path]:
    """Return the scans that ``inputs`` name.

    Args:
        inputs: one path or several. A file is a scan; a folder stands for its readable files, in
            natural order.

    Raises:
        InputError: a path does not exist, or a folder has no readable file.
    """
    paths = [inputs] if isinstance(inputs, str | Path) else inputs
    return [scan for path in paths for scan in _scans_of(Path(path))]


def _scans_of(path: Path) -> list[Path]:
    if not os.path.isdir(path):
        must_exist(path)
        return [path]
    scans = readable_files(path)
    if not scans:
        below = _files_in_subfolders(path)
        raise InputError(
            path,
            expected=f"scans ({listed(READABLE)}, or DICOM, also in a .zip)",
            found=f"none directly in this folder{_other_formats(path)}{_count_text(below)}",
            remedy=_scan_folder_remedy(path, below),
        )
    return scans


def _files_in_subfolders(folder: Path) -> list[Path]:
    """Return the readable files at any depth below ``folder``, without hidden ones."""
    files = []
    for parent, subfolders, names in os.walk(folder):
        shown = (name for name in subfolders if not name.startswith("."))
        subfolders[:] = sorted(shown, key=natural_key)
        readable = (name for name in names if suffix_of(name) in READABLE)
        files += [Path(parent, name) for name in readable if not name.startswith(".")]
    return files


def _count_text(files: Sequence[Path]) -> str:
    """Return how many files are in subfolders, as the end of a sentence; "" if there are none."""
    if not files:
        return ""
    count = "1 image file is" if len(files) == 1 else f"{len(files)} image files are"
    return f"; {count} in its subfolders"


def _scan_folder_remedy(path: Path, below: Sequence[Path]) -> str:
    """Return a remedy that names the folder of the scans of a dataset, or of files ``below``."""
    folders = [path / name for name in ("images", "imagesTs", "imagesTr") if (path / name).is_dir()]
    folders += [file.parent for file in below]
    if not folders:
        return "Check that this is the right folder."
    return f"Give the folder of the scans, such as {folders[0]}."


def _other_formats(folder: Path) -> str:
    suffixes = sorted(
        {suffix_of(path) or "no suffix" for path in folder.iterdir() if path.is_file()}
    )
    return f", only files with {listed(suffixes[:5])}" if suffixes else ""


def files_behind(path: Path) -> list[Path]:
    """Return the files that hold a scan.

    For a detached header (.mhd, .nhdr) these are the header and the voxel files that it names; for
    a folder (of DICOM) all files below it; otherwise ``path`` alone.
    """
    if os.path.isdir(path):
        below = (Path(folder, name) for folder, _, names in os.walk(path) for name in names)
        return sorted(file for file in below if os.path.isfile(file))
    if suffix_of(path) not in DETACHED or not os.path.isfile(path):
        return [path]
    with path.open("rb") as file:
        lines = file.read(_HEADER_BYTES).decode("utf-8", errors="replace").splitlines()
    values = (re.split(r"\s*[=:]\s*", line.strip(), maxsplit=1)[-1] for line in lines)
    candidates = [
        file
        for value in values
        if value and "\0" not in value
        for file in _files_named(path.parent, value)
    ]
    data_files = [file for file in dict.fromkeys(candidates) if os.path.isfile(file)]
    return [path, *(file for file in data_files if file != path)]


def _files_named(folder: Path, value: str) -> list[Path]:
    """Return the file that a value in a header may name.

    For a pattern with a number, such as ``slice%03d.raw 1 20 1``, return all files that match it.
    """
    pattern = folder / value.split(" ", maxsplit=1)[0]
    number = re.search(r"%\d*d", pattern.name)
    if not number or not os.path.isdir(pattern.parent):
        return [folder / value]
    before, after = pattern.name[: number.start()], pattern.name[number.end() :]
    name = re.compile(rf"{re.escape(before)}\d+{re.escape(after)}")
    return sorted(file for file in pattern.parent.iterdir() if name.fullmatch(file.name))


def must_exist(path: Path) -> None:
    """Check that ``path`` is a file with content.

    Raises:
        InputError: there is no such file, it is a folder, pipe or device, or its content is
            missing.
    """
    if why_unfetched(path):
        raise unfetched_error(path)
    # os.path, because pathlib raises OSError for names that are too long.
    if not os.path.isfile(path):
        kind = "a folder" if os.path.isdir(path) else "a pipe or a device"
        found = kind if os.path.exists(path) else "no such file"
        raise InputError(path, expected="a file", found=found, remedy="Check the path.")


def listed(suffixes: Iterable[str]) -> str:
    """Return suffixes as text for a message, separated by spaces."""
    return " ".join(suffixes)
