"""What a file's name says: its format by suffix, the id of its case, and its place in natural order."""

from __future__ import annotations

import os
import re
import unicodedata
from collections.abc import Iterable
from pathlib import Path

from segkit.errors import InputError
from segkit.files.unfetched import unfetched_error, why_unfetched

NIFTI = (".nii.gz", ".nii")
ITK = (".nrrd", ".nhdr", ".mha", ".mhd")
DETACHED = (".nhdr", ".mhd")
"""Headers of ITK whose voxels may stand in another file."""
PICTURE = (".png", ".tif", ".tiff", ".bmp")
SLIDES = (".tif", ".tiff")
"""Pictures that may be slides."""
DICOM = ".dcm"
"""Of DICOM objects that are written; what is read is told by its content."""
READABLE = (*NIFTI, *ITK, *PICTURE)
WRITABLE = (*NIFTI, ".nrrd", ".mha", *PICTURE)
ENDING = "_seg"
"""Behind the name of a scan: its label map, where predict was given no output."""
SEGMENTATION = ".seg.nrrd"
"""As 3D Slicer ends the names of its segmentations."""
CARD = "bundle.json"
"""The file that makes a folder, or a zip, a bundle."""
PREVIEW = "_preview"
"""Behind the name of a label map: the picture of it."""
UNCERTAINTY = "_uncertainty"
"""Behind the name of a label map: how uncertain each of its voxels is."""
RTSTRUCT = "_rtstruct"
"""Behind the name of a label map: its outlines as RT Structure Set."""
PROBABILITIES = "_probabilities"
"""Behind the name of a label map: how probable each label is at each of its voxels."""
BESIDE = (PREVIEW, UNCERTAINTY, PROBABILITIES)
"""What predict writes beside a label map, by the end of its name."""


_HEADER_BYTES = 1 << 20
"""No text header is longer, unless it lists tens of thousands of slices."""


def suffix_of(path: str | Path) -> str:
    """The suffix in lower case, ``.nii.gz`` taken as one.

    >>> suffix_of("a.b.NII.gz"), suffix_of("x.png")
    ('.nii.gz', '.png')
    """
    name = Path(path).name.lower()
    return ".nii.gz" if name.endswith(".nii.gz") else Path(name).suffix


def case_id(path: str | Path) -> str:
    """Return the file's name without its suffix, and without the ``.seg`` of a segmentation of 3D Slicer.

    Letters are composed (NFC): macOS writes the accents of a name apart from their letters, others do not. The name of
    a folder that is there has no suffix.

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
    """Whether the name is that of a segmentation of 3D Slicer, ``CASE.seg.nrrd``, which is never a scan."""
    return Path(path).name.lower().endswith(SEGMENTATION)


def records_of(label_map: str | Path) -> tuple[Path, Path]:
    """Return where the record of a label map may be: ``CASE.json``, or ``CASE.nii.gz.json``.

    >>> [path.name for path in records_of("out/a.nii.gz")]
    ['a.json', 'a.nii.gz.json']
    """
    path = Path(label_map)
    return path.with_name(f"{path.name[: -len(suffix_of(path)) or None]}.json"), path.with_name(
        f"{path.name}.json"
    )


def natural_key(name: str | Path) -> tuple[tuple[int, int, str], ...]:
    """Key that sorts numbers inside names by value.

    >>> sorted(["a10", "a2", "b1"], key=natural_key)
    ['a2', 'a10', 'b1']
    """
    # [0-9], not \d: int() refuses digits such as a superscript two.
    parts = re.split(r"([0-9]+)", str(name))
    return tuple((0, int(part), "") if part.isdecimal() else (1, 0, part) for part in parts if part)


def readable_files(folder: Path) -> list[Path]:
    """Return the files of a readable format directly inside ``folder``, in natural order, without hidden ones.

    Files whose content is not there (`unfetched`) are among them: whoever reads them says so.

    Raises:
        InputError: the folder cannot be read.
    """
    try:
        found = [
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
        (path for path in found if suffix_of(path) in READABLE),
        key=lambda path: natural_key(path.name),
    )


def scan_paths(inputs: str | Path | Iterable[str | Path]) -> list[Path]:
    """The scans among ``inputs``: a file stands for itself, a folder for its readable files in natural order.

    Raises:
        InputError: a path that does not exist, or a folder without any readable file.
    """
    given = [inputs] if isinstance(inputs, str | Path) else inputs
    return [scan for path in given for scan in _scans(Path(path))]


def _folder_below(path: Path) -> str:
    """Return where the scans of a dataset's folder lie, or "" where it is none."""
    places = [path / name for name in ("images", "imagesTs", "imagesTr") if (path / name).is_dir()]
    return f"Give the folder of the scans, such as {places[0]}." if places else ""


def _scans(path: Path) -> list[Path]:
    if os.path.isdir(path):
        scans = readable_files(path)
        if not scans:
            raise InputError(
                path,
                expected=f"scans ({listed(READABLE)})",
                found=f"none directly in this folder{_other_formats(path)}",
                remedy=_folder_below(path) or "Is it the right folder?",
            )
        return scans
    must_exist(path)
    return [path]


def _other_formats(folder: Path) -> str:
    suffixes = sorted(
        {suffix_of(path) or "no suffix" for path in folder.iterdir() if path.is_file()}
    )
    return f", only files with {listed(suffixes[:5])}" if suffixes else ""


def files_behind(path: Path) -> list[Path]:
    """``path``, and where it is a header whose voxels stand apart (.mhd, .nhdr), the files that its lines name.

    Of a folder (of DICOM) all files below it.
    """
    if os.path.isdir(path):
        below = (Path(place, name) for place, _, names in os.walk(path) for name in names)
        return sorted(file for file in below if os.path.isfile(file))
    if suffix_of(path) not in DETACHED or not os.path.isfile(path):
        return [path]
    with path.open("rb") as file:
        lines = file.read(_HEADER_BYTES).decode("utf-8", errors="replace").splitlines()
    words = (re.split(r"\s*[=:]\s*", line.strip(), maxsplit=1)[-1] for line in lines)
    named = [
        file for word in words if word and "\0" not in word for file in _named(path.parent, word)
    ]
    return [path, *(data for data in dict.fromkeys(named) if os.path.isfile(data) and data != path)]


def _named(folder: Path, word: str) -> list[Path]:
    """The file of this name; for a pattern of numbers, such as ``slice%03d.raw 1 20 1``, all that fit it."""
    pattern = folder / word.split(" ", maxsplit=1)[0]
    number = re.search(r"%\d*d", pattern.name)
    if not number or not os.path.isdir(pattern.parent):
        return [folder / word]
    before, after = pattern.name[: number.start()], pattern.name[number.end() :]
    name = re.compile(rf"{re.escape(before)}\d+{re.escape(after)}")
    return sorted(file for file in pattern.parent.iterdir() if name.fullmatch(file.name))


def must_exist(path: Path) -> None:
    """Raise an InputError unless ``path`` is a file, and its content is there."""
    if why_unfetched(path):
        raise unfetched_error(path)
    # os.path and not pathlib, which raises OSError for names that are too long.
    if not os.path.isfile(path):
        kind = "a folder" if os.path.isdir(path) else "a pipe or a device"
        found = kind if os.path.exists(path) else "no such file"
        raise InputError(path, expected="a file", found=found, remedy="Check the path.")


def listed(suffixes: Iterable[str]) -> str:
    """The suffixes as they stand in a sentence."""
    return " ".join(suffixes)
