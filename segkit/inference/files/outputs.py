"""Where results go, and what must not be overwritten."""

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
SUFFIXES: dict[Unit, str] = {"mm": ".nii.gz", "px": ".png"}
SLIDE = ".tif"
"""The suffix of a slide's label map, which is too large for a PNG."""


Extra = Literal["preview", "uncertainty", "probabilities", "record", "structures"]
"""What goes beside a label map: a picture, how uncertain each voxel is, the probabilities of all labels, figures and
the run record, an RTSTRUCT."""
OWN_JSON = re.compile(r"predictions(-\d+-of-\d+)?")
"""Stems of files that list many scans: the record of a scan of this name keeps the suffix of its label map."""


@dataclass(frozen=True)
class Job:
    """A scan, the file that its label map goes to, and what goes beside it."""

    scan: Scan
    output: Path
    extras: tuple[Extra, ...] = ()
    tidy: bool = False
    """The output is one of a folder, where all that belongs to a case is named after the case."""

    def beside(self, ending: str, suffix: str) -> Path:
        """Return the place of a file that is named after the label map."""
        return self.output.with_name(f"{_stem(self.output)}{ending}{suffix}")

    @property
    def preview(self) -> Path:
        return self.beside(PREVIEW, ".png")

    @property
    def uncertainty(self) -> Path:
        suffix = suffix_of(self.output)
        return self.beside(
            UNCERTAINTY, ".tif" if suffix in PICTURE else ".nii.gz" if suffix == DICOM else suffix
        )

    @property
    def probabilities(self) -> Path:
        suffix = suffix_of(self.output)
        return self.beside(PROBABILITIES, suffix if suffix in (*NIFTI, *ITK) else ".nii.gz")

    @property
    def probability_names(self) -> Path:
        return self.beside(PROBABILITIES, ".json")

    @property
    def record(self) -> Path:
        """``CASE.json`` in a folder of results, beside a single output ``<output>.json``."""
        return self.records[0 if self.tidy and not OWN_JSON.fullmatch(_stem(self.output)) else 1]

    @property
    def records(self) -> tuple[Path, Path]:
        """Both names that a record may have: earlier versions wrote the second one in folders, too."""
        return records_of(self.output)

    @property
    def has_foreign_record(self) -> bool:
        """Whether something else has the short name of the record, such as a file that describes the scan."""
        return self.tidy and os.path.exists(self.record) and not is_record(self.record)

    @property
    def structures(self) -> Path:
        return self.beside(RTSTRUCT, DICOM)

    @property
    def files(self) -> list[Path]:
        """All that will be written."""
        places: dict[Extra, list[Path]] = {
            "preview": [self.preview],
            "uncertainty": [self.uncertainty],
            "probabilities": [self.probabilities, self.probability_names],
            "record": [self.record],
            "structures": [self.structures],
        }
        return [self.output, *(path for extra in self.extras for path in places[extra])]

    @property
    def done(self) -> bool:
        """Whether the label map is there, which is never replaced unasked: someone may have corrected it."""
        return os.path.exists(self.output)

    @property
    def missing(self) -> list[Path]:
        """Files that would be written and are not there; a record may have either name."""
        recorded = any(is_record(path) for path in self.records)
        absent = [path for path in self.files if not os.path.exists(path)]
        return [path for path in absent if not (recorded and path == self.record)]


def plan_jobs(
    scans: Sequence[Scan],
    output: str | None,
    *,
    many: bool,
    unit: Unit,
    extras: Sequence[Extra] = (),
    dicom: bool = False,
) -> list[Job]:
    """Give every scan an output.

    Without ``output`` it is <id>_seg in the current folder; a file name is taken for a single scan; else ``output`` is
    a folder for <id>. The suffix of a label map is .nii.gz, for pictures .png, for slides .tif, with ``dicom`` .dcm.

    Raises:
        UsageError: a file name for several scans, or a suffix that cannot be written, or is not .dcm with ``dicom``.
    """

    def suffix(scan: Scan) -> str:
        if dicom:
            return DICOM
        return SLIDE if unit == "px" and is_slide(scan.where) else SUFFIXES[unit]

    tidy = many
    if output is None:
        paths = [Path(f"{scan.id}{ENDING}{suffix(scan)}") for scan in scans]
    elif _is_folder(output, many):
        paths, tidy = [Path(output) / f"{scan.id}{suffix(scan)}" for scan in scans], True
    elif dicom and suffix_of(output) != DICOM:
        raise UsageError(f"-o {output}: with --dicom-seg its suffix is {DICOM}")
    else:
        paths = [Path(output)]
    return [Job(scan, path, tuple(extras), tidy) for scan, path in zip(scans, paths, strict=True)]


def check_jobs(jobs: Sequence[Job], existing: Existing) -> None:
    """Refuse, before any work, outputs that must not or cannot be written; remove what killed processes left there.

    Raises:
        UsageError: a file that would overwrite a scan or another output, or that exists and is not to be replaced.
        InputError: a folder that cannot be written.
    """
    inputs = {os.path.realpath(image) for job in jobs for image in job.scan.images}
    written: set[Path] = set()
    for job, path in [(each, path) for each in jobs for path in each.files]:
        scan = job.scan
        if suffix_of(path) == DICOM:
            _check_source(scan, path)
        if os.path.realpath(path) in inputs or _holds(scan, path):
            raise UsageError(
                f"{path} is an input and is never overwritten; choose another output with -o"
            )
        if path in written:
            raise UsageError(
                f"{path} would be written for two scans; predict them into different folders"
            )
        if (
            path == job.record
            and not (existing == "continue" and job.done)
            and job.has_foreign_record
        ):
            raise UsageError(
                f"{path} is no record of segkit and is not replaced; choose another output with -o"
            )
        if existing == "refuse" and os.path.exists(path):
            raise UsageError(
                f"{path} exists already; --overwrite replaces it, --continue leaves it as it is"
            )
        written.add(path)
    folders = {path.parent for path in written}
    for folder in folders:
        _check_folder(folder)
    remove_leftovers_of_ended(*folders)


def _check_source(scan: Scan, path: Path) -> None:
    if scan.dicom is None and scan.problem is None:
        raise UsageError(
            f"{path}: DICOM is written for scans that are DICOM, and {scan.where} is not; write .nii.gz"
        )


def _holds(scan: Scan, path: Path) -> bool:
    """Whether an output that is there is one of the images of a DICOM scan."""
    if scan.dicom is None or not os.path.exists(path):
        return False
    real, place = Path(os.path.realpath(path)), Path(os.path.realpath(scan.dicom.path))
    if len(scan.images) == 1 and place not in (real, *real.parents):
        return False  # a study that was predicted before need not be read again for this
    return str(real) in {os.path.realpath(file) for file in scan.files}


def _check_folder(folder: Path) -> None:
    """Hours of work must not end at a folder that cannot be made; what happens later is found when writing."""
    nearest = next(path for path in (folder, *folder.parents, Path()) if os.path.exists(path))
    if not nearest.is_dir():
        raise unwritable(folder, f"that {nearest} is a file")
    if not os.access(nearest, os.W_OK):
        raise unwritable(folder, f"that {nearest} may not be written to")


def _is_folder(output: str, many: bool) -> bool:
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
            f"-o {output}: this format cannot be written; take one of {listed(formats)}, or a folder with / at its end"
        )
    return False


def _stem(path: Path) -> str:
    return path.name[: -len(suffix_of(path))]
