"""Write a copy of a dataset in which label maps have the headers of their scans.

A label map is changed only where it is certain which voxel of the scan each of its voxels belongs
to: it has the same shape and only its header is wrong, or it is on the lattice of the scan and
stored in another order. No voxel is interpolated. All other files are copied as they are.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from segkit.dataset.case_files import case_labels
from segkit.dataset.dataset import Case, Dataset
from segkit.dataset_check.header_faults import grid_difference
from segkit.dataset_check.header_suspects import ScanHeaders, Suspect, judge, scan_headers
from segkit.dataset_check.problem import Problem
from segkit.errors import InputError, UsageError
from segkit.files.atomic import atomic_path
from segkit.io import open_source, read_labels, write_labels
from segkit.io.dicom.files.detection import is_dicom
from segkit.io.segment_names import names_in
from segkit.progress import CaseProgress
from segkit.volume import Volume

DESCRIPTIONS = ("dataset.json", "dataset.yaml", "dataset.yml", "*.csv")
"""Files beside the scans that describe a dataset."""
CORRECTS = (
    "It gives a label map the header of its scan where it is certain which voxels belong together:"
    " the shape is the same, and the header of the label map says nothing, has the signs of X and Y"
    " exchanged, has no position, or is off by less than a voxel; or the voxels are those of the"
    " scan, stored in another order or cropped."
)
NEVER_CORRECTS = (
    "It never gives a label map the header of a scan that is suspect itself: one that says nothing,"
    " or that differs from those of the other scans while that of the label map agrees with them;"
    " nor where it cannot be told which of the two is wrong."
    " It never changes a label map of another shape, spacing or direction, one that is a voxel or"
    " more away, one with the header of another case, headers without voxel sizes (0 mm), files"
    " whose segments have names (.seg.nrrd), DICOM, and scans. No voxel is interpolated, and the"
    " original is never written to: what cannot be corrected is copied as it is, with the reason."
)

REMEDIES: dict[Suspect, str] = {
    "label map": "Find the pair that belongs together, or resample the label map yourself.",
    "pair": "Find the pair that belongs together, or resample the label map yourself.",
    "scan": "Export the scan again, or correct its header, and leave the label map as it is.",
    "unknown": "Which of the two headers is wrong cannot be told: compare both with the original"
    " scan, and correct the wrong one yourself; resample a label map that was drawn on another scan"
    " of the patient.",
}
"""Advice for each verdict by which a label map is left as it is."""

State = Literal["corrected", "refused", "unchanged", "left out"]


@dataclass(frozen=True)
class Correction:
    """Result for the label map of one case."""

    case: str
    state: State
    text: str
    """Description of the change, or of why there is none; "" for "unchanged"."""


def write_fixed_copy(
    dataset: Dataset, out: Path, progress: CaseProgress | None = None
) -> list[Correction]:
    """Copy a dataset into a new folder, with corrected label maps, and return what was done.

    Args:
        dataset: the dataset; its files are never changed.
        out: the folder of the copy, which must not exist or be empty.
        progress: called after each case.

    Raises:
        UsageError: ``out`` is not empty, or is inside the dataset.
        InputError: a file is outside of the folder of the dataset, so that the copy would refer to
            the original; or a file cannot be written.
    """
    check_place(dataset, out)
    _check_files(dataset)
    corrections = []
    headers = scan_headers(dataset)
    for number, case in enumerate(dataset.cases):
        corrections.append(_write_case(case, dataset, out, headers))
        if progress:
            progress(number + 1, len(dataset.cases), case.id)
    corrections += [
        Correction(case.id, "left out", f"an incomplete case is not copied: {case.message}")
        for case in dataset.incomplete
    ]
    # Last, so that an interrupted copy does not look like a complete dataset.
    for path in _descriptions(dataset.root):
        _copy(path, out / path.name)
    return corrections


def check_place(dataset: Dataset, out: Path) -> None:
    """Raise a UsageError if a copy cannot go into ``out``: it is not empty, or in the dataset."""
    root, target = dataset.root.resolve(), out.resolve()
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UsageError(f"--fix-geometry: {out} exists and is not empty. Give a new folder.")
    if target == root or root in target.parents or target in root.parents:
        raise UsageError(
            f"--fix-geometry: {out} is inside the dataset or contains it. Give a folder elsewhere."
        )


def _check_files(dataset: Dataset) -> None:
    """Check that a copy of the folder would not refer to files of the original."""
    outside = [
        path
        for case in dataset.cases
        for path in (*case.images, case.label)
        if path is not None and not _is_inside(path, dataset.root)
    ]
    # The folder may be reached by a link, whose name the paths may have.
    names = {str(dataset.root.resolve()), str(dataset.root.absolute())}
    absolute = [
        path
        for path in _descriptions(dataset.root)
        for text in [path.read_text(encoding="utf-8", errors="replace")]
        if any(name in text for name in names)
    ]
    if outside or absolute:
        raise InputError(
            dataset.root,
            expected="all files inside the folder of the dataset, with relative paths",
            found=f"{outside[0]} outside it"
            if outside
            else f"absolute paths in {absolute[0].name}",
            remedy="A copy would refer to the original files. Move the files into the folder and"
            " give relative paths.",
        )


def _is_inside(path: Path, folder: Path) -> bool:
    """Return whether a path is below a folder by its name, without "..".

    >>> _is_inside(Path("data/a.nii"), Path("data")), _is_inside(Path("data/../a"), Path("data"))
    (True, False)
    """
    return path.is_relative_to(folder) and ".." not in path.relative_to(folder).parts


def _descriptions(root: Path) -> Iterator[Path]:
    return (path for pattern in DESCRIPTIONS for path in sorted(root.glob(pattern)))


def _write_case(case: Case, dataset: Dataset, out: Path, headers: ScanHeaders) -> Correction:
    """Copy the files of a case, and correct its label map where that is certain."""
    for path in {*case.files, *case.images} - {case.label}:
        _copy(path, out / path.relative_to(dataset.root))
    if case.label is None:
        return Correction(case.id, "unchanged", "")
    target = out / case.label.relative_to(dataset.root)
    try:
        text = _correct(case, target, headers)
    except (InputError, UsageError) as error:
        _copy(case.label, target)
        return Correction(case.id, "refused", f"copied as it is: {error}")
    if text:
        return Correction(case.id, "corrected", text)
    _copy(case.label, target)
    return Correction(case.id, "unchanged", "")


def _correct(case: Case, target: Path, headers: ScanHeaders) -> str:
    """Write the corrected label map of a case and return what was changed; "" if it is right.

    Raises:
        InputError: a file cannot be used, or it is not certain how the label map lies on its scan.
        UsageError: its format cannot be written.
    """
    label, image = case.label, case.images[0]
    if label is None:
        return ""
    scan = open_source(image).grid
    if is_dicom(label) or is_dicom(image):  # only looked at: neither gets or gives a header
        case_labels(label, image, scan)
        return ""
    stored = open_source(label).grid
    if scan.matches(stored):
        return ""
    if names_in(label):
        raise _refused(label, "segments with names, which a new header could lose")
    try:
        labels = case_labels(label, image, scan)
        text = "its voxels are stored in the order and with the header of the scan"
    except InputError as error:
        if error.kind != "grid":
            raise
        verdict = judge(case, scan, stored, headers)
        if not verdict.certain:
            why = verdict.why
            if verdict.suspect == "unknown":
                why = f"{grid_difference(scan, stored)}; {why}"
            raise _refused(label, why, REMEDIES[verdict.suspect]) from error
        labels = Volume(read_labels(label).array, scan.affine, scan.unit)
        text = f"it has the header of the scan: {verdict.certain}"
    write_labels(target, labels, like=image)
    written = read_labels(target)
    if not written.grid.matches(scan) or not np.array_equal(written.array, labels.array):
        target.unlink()
        raise _refused(label, f"a format in which {image.name} cannot be matched")
    return text


def _refused(label: Path, found: str, remedy: str = REMEDIES["label map"]) -> InputError:
    return InputError(
        label,
        expected="a label map of the shape of its scan, of which only the header is wrong",
        found=found,
        remedy=remedy,
    )


def _copy(source: Path, target: Path) -> None:
    if source.is_dir():
        shutil.copytree(source, target, dirs_exist_ok=True)
        return
    with atomic_path(target) as temporary:
        shutil.copyfile(source, temporary)


def remaining_errors(corrections: Sequence[Correction], errors: Sequence[Problem]) -> list[Problem]:
    """Return the errors of a dataset that its copy still has.

    >>> done = [Correction("a", "corrected", ""), Correction("b", "refused", "")]
    >>> errors = [Problem("a", "error", "moved", "label_grid"), Problem("b", "error", "NaN")]
    >>> [problem.case for problem in remaining_errors(done, errors)]
    ['b']
    """
    corrected = {each.case for each in corrections if each.state == "corrected"}
    return [
        problem
        for problem in errors
        if not (problem.case in corrected and problem.check == "label_grid")
    ]
