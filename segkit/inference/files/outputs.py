"""Choose where results are written, and refuse to overwrite what must stay."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from segkit.errors import UsageError
from segkit.files.atomic import remove_leftovers_of_ended, unwritable
from segkit.files.names import (
    DICOM,
    ENDING,
    ITK,
    NIFTI,
    PICTURE,
    PREVIEW,
    PROBABILITIES,
    RTSTRUCT,
    UNCERTAINTY,
    WRITABLE,
    listed,
    records_of,
    suffix_of,
)
from segkit.inference.files.provenance import is_record
from segkit.inference.files.scan import Scan
from segkit.io import is_slide
from segkit.volume import Unit

Existing = Literal["refuse", "overwrite", "continue"]
"""Handling of an output that exists already."""
SUFFIXES: dict[Unit, str] = {"mm": ".nii.gz", "px": ".png"}
"""Default suffix of a label map, of scans (mm) and pictures (px)."""
SLIDE = ".tif"
"""Default suffix of the label map of a slide, which is too large for a PNG."""

Extra = Literal["preview", "uncertainty", "probabilities", "record", "structures"]
"""File beside a label map: a picture, the uncertainty of each voxel, the probabilities of all
labels, figures with the run record, an RT Structure Set."""
SUMMARY_STEM = re.compile(r"predictions(-\d+-of-\d+)?")
"""Stems of the files that list many scans.

The record of a scan with such a name keeps the suffix of its label map, to be told apart.
"""


@dataclass(frozen=True)
class Job:
    """One scan to predict, the file of its label map, and the files beside it."""

    scan: Scan
    output: Path
    extras: tuple[Extra, ...] = ()
    tidy: bool = False
    """True where the output is one of many in a folder, whose files are named after the cases."""

    def beside(self, ending: str, suffix: str) -> Path:
        """Return the path of a file that is named after the label map."""
        return self.output.with_name(f"{_stem(self.output)}{ending}{suffix}")

    @property
    def preview(self) -> Path:
        """Path of the picture with outlines."""
        return self.beside(PREVIEW, ".png")

    @property
    def uncertainty(self) -> Path:
        """Path of the map of uncertainty."""
        suffix = suffix_of(self.output)
        if suffix in PICTURE:
            suffix = ".tif"
        elif suffix == DICOM:
            suffix = ".nii.gz"
        return self.beside(UNCERTAINTY, suffix)

    @property
    def probabilities(self) -> Path:
        """Path of the map of probabilities."""
        suffix = suffix_of(self.output)
        return self.beside(PROBABILITIES, suffix if suffix in (*NIFTI, *ITK) else ".nii.gz")

    @property
    def probability_names(self) -> Path:
        """Path of the JSON file with the label of each channel of ``probabilities``."""
        return self.beside(PROBABILITIES, ".json")

    @property
    def record(self) -> Path:
        """Path of the run record: ``CASE.json`` in a folder, else ``<output>.json``."""
        short, long = self.records
        return short if self.tidy and not SUMMARY_STEM.fullmatch(_stem(self.output)) else long

    @property
    def records(self) -> tuple[Path, Path]:
        """Short and long path of a record; earlier versions wrote the long one in folders, too."""
        return records_of(self.output)

    @property
    def has_foreign_record(self) -> bool:
        """True where another file has the path of the record, such as a description of the scan."""
        return self.tidy and os.path.exists(self.record) and not is_record(self.record)

    @property
    def structures(self) -> Path:
        """Path of the RT Structure Set."""
        return self.beside(RTSTRUCT, DICOM)

    @property
    def files(self) -> list[Path]:
        """Paths of all files that are written."""
        paths: dict[Extra, list[Path]] = {
            "preview": [self.preview],
            "uncertainty": [self.uncertainty],
            "probabilities": [self.probabilities, self.probability_names],
            "record": [self.record],
            "structures": [self.structures],
        }
        return [self.output, *(path for extra in self.extras for path in paths[extra])]

    @property
    def done(self) -> bool:
        """True where the label map exists; it is kept by default, because it may be corrected."""
        return os.path.exists(self.output)

    @property
    def missing(self) -> list[Path]:
        """Files that would be written and do not exist; a record may have either of its paths."""
        has_record = any(is_record(path) for path in self.records)
        missing = [path for path in self.files if not os.path.exists(path)]
        return [path for path in missing if not (has_record and path == self.record)]


def plan_jobs(
    scans: Sequence[Scan],
    output: str | None,
    *,
    many: bool,
    unit: Unit,
    extras: Sequence[Extra] = (),
    dicom: bool = False,
) -> list[Job]:
    """Return a job for each scan.

    The default suffix of a label map is .nii.gz, of a picture .png, of a slide .tif.

    Args:
        scans: the scans.
        output: file for one scan, or folder for label maps that are named <id>; None writes
            <id>_seg into the current folder.
        many: True where several scans are expected, so that ``output`` is a folder.
        unit: "mm" for scans, "px" for pictures.
        extras: files beside each label map.
        dicom: True writes DICOM-SEG, with the suffix .dcm.

    Raises:
        UsageError: a file name for several scans, or a suffix that cannot be written, or that is
            not .dcm with ``dicom``.
    """

    def suffix(scan: Scan) -> str:
        if dicom:
            return DICOM
        return SLIDE if unit == "px" and is_slide(scan.where) else SUFFIXES[unit]

    tidy = many
    if output is None:
        paths = [Path(f"{scan.id}{ENDING}{suffix(scan)}") for scan in scans]
    elif _is_folder(output, many=many):
        paths, tidy = [Path(output) / f"{scan.id}{suffix(scan)}" for scan in scans], True
    elif dicom and suffix_of(output) != DICOM:
        raise UsageError(f"-o {output}: with --dicom-seg its suffix is {DICOM}")
    else:
        paths = [Path(output)]
    return [Job(scan, path, tuple(extras), tidy) for scan, path in zip(scans, paths, strict=True)]


def check_jobs(jobs: Sequence[Job], existing: Existing) -> None:
    """Refuse, before any work, outputs that must not or cannot be written.

    Temporary files that killed processes left in the folders of the outputs are removed.

    Args:
        jobs: the jobs with their outputs.
        existing: handling of an output that exists.

    Raises:
        UsageError: a file that would overwrite a scan or another output, or that exists and is not
            to be replaced.
        InputError: a folder that cannot be written.
    """
    inputs = {os.path.realpath(image) for job in jobs for image in job.scan.images}
    written: set[Path] = set()
    for job in jobs:
        for path in job.files:
            if suffix_of(path) == DICOM:
                _check_source(job.scan, path)
            if os.path.realpath(path) in inputs or _is_image_of(job.scan, path):
                raise UsageError(
                    f"{path} is an input and is never overwritten; choose another output with -o"
                )
            if path in written:
                raise UsageError(
                    f"{path} would be written for two scans; predict them into different folders"
                )
            _check_existing(job, path, existing)
            written.add(path)
    folders = {path.parent for path in written}
    for folder in folders:
        _check_folder(folder)
    remove_leftovers_of_ended(*folders)


def _check_existing(job: Job, path: Path, existing: Existing) -> None:
    is_kept = existing == "continue" and job.done
    if path == job.record and not is_kept and job.has_foreign_record:
        raise UsageError(
            f"{path} is not a record of segkit and is not replaced; choose another output with -o"
        )
    if existing == "refuse" and os.path.exists(path):
        raise UsageError(
            f"{path} exists already; --overwrite replaces it, --continue leaves it as it is"
        )


def _check_source(scan: Scan, path: Path) -> None:
    if scan.dicom is None and scan.problem is None:
        raise UsageError(
            f"{path}: DICOM is written for scans that are DICOM, and {scan.where} is not; "
            "write .nii.gz"
        )


def _is_image_of(scan: Scan, path: Path) -> bool:
    """Return whether an output that exists is one of the images of a DICOM scan."""
    if scan.dicom is None or not os.path.exists(path):
        return False
    real, source = Path(os.path.realpath(path)), Path(os.path.realpath(scan.dicom.path))
    if len(scan.images) == 1 and source not in (real, *real.parents):
        return False  # the study need not be read to know this
    return str(real) in {os.path.realpath(file) for file in scan.files}


def _check_folder(folder: Path) -> None:
    """Raise an InputError where a folder cannot be written, before hours of work are lost."""
    nearest = next(path for path in (folder, *folder.parents, Path()) if os.path.exists(path))
    if not nearest.is_dir():
        raise unwritable(folder, f"that {nearest} is a file")
    if not os.access(nearest, os.W_OK):
        raise unwritable(folder, f"that {nearest} may not be written to")


def _is_folder(output: str, *, many: bool) -> bool:
    if not output:
        raise UsageError("-o: the name is empty")
    path, suffix = Path(output), suffix_of(output)
    if os.path.isdir(path) or not suffix or output.endswith(("/", os.sep)):
        return True
    if many:
        if suffix in (*WRITABLE, DICOM) or os.path.isfile(path):
            raise UsageError(
                f"-o {output}: give a folder, because the label maps of several scans go there"
            )
        return True
    formats = (*WRITABLE, DICOM)
    if suffix not in formats:
        raise UsageError(
            f"-o {output}: this format cannot be written; use one of {listed(formats)}, "
            "or a folder with / at its end"
        )
    return False


def _stem(path: Path) -> str:
    return path.name[: -len(suffix_of(path))]
