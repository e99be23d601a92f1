"""The series of a DICOM place: headers of all its images, sorted out by series."""

from __future__ import annotations

import dataclasses
import hashlib
import logging
import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from pydicom.dataset import Dataset
from pydicom.uid import UID, ImplicitVRLittleEndian

from segkit.errors import InputError
from segkit.io.dicom.files.detection import files_of
from segkit.io.dicom.files.dicom_file import DicomFile
from segkit.io.dicom.headers import ImageHeader, guarded, read_header, read_image_header
from segkit.io.dicom.series.lost_files import LeftOut, left_out_text, listed, owners_of, suspicious

log = logging.getLogger(__name__)

_DERIVED = {"SEG", "RTSTRUCT", "RTDOSE", "RTPLAN", "PR", "KO", "SR", "REG"}
"""Modalities of what was made from images; those with pixels are no scans either."""


@dataclass(frozen=True, eq=False)
class Instance:
    """One image file: its header without the pixels."""

    file: DicomFile
    header: Dataset
    pixels: str
    """The element that holds them."""

    @property
    def frames(self) -> int:
        return int(self.header.get("NumberOfFrames") or 1)

    @property
    def syntax(self) -> Any:
        """The transfer syntax; a file without a word on it has the oldest one."""
        return self.header.file_meta.get("TransferSyntaxUID", ImplicitVRLittleEndian)


@dataclass(frozen=True, eq=False)
class Series:
    """The images of one SeriesInstanceUID."""

    uid: str
    path: Path
    instances: tuple[Instance, ...]
    left_out: tuple[LeftOut, ...] = ()
    """All files of the place that cannot be read and look like images."""
    lost: tuple[LeftOut, ...] = ()
    """Those of them that probably were slices of this series."""
    number: int = 1
    """In the list of its place."""

    @property
    def header(self) -> Dataset:
        """Of the first image, where all images agree."""
        return self.instances[0].header

    @property
    def modality(self) -> str:
        return str(self.header.get("Modality") or "")

    @property
    def description(self) -> str:
        return str(self.header.get("SeriesDescription") or "")

    @cached_property
    def size(self) -> str:
        """In words, such as ``22 images of 512 x 512``."""
        frames = sum(instance.frames for instance in self.instances)
        shape = f"{self.header.get('Columns')} x {self.header.get('Rows')}"
        return f"{frames} image{'s' if frames > 1 else ''} of {shape}"

    def __str__(self) -> str:
        number = self.header.get("SeriesNumber")
        named = f"series {number}" if number is not None else "no series number"
        return f"{self.modality or 'no modality'}, {named}, {self.description!r}, {self.size}, {self.uid}"


def read_study(place: Path) -> list[Series]:
    """The series of images, by series number and then by UID.

    Raises:
        InputError: no image, or a single file that is not the DICOM it looks like.
    """
    files = files_of(place)
    left_out = suspicious(files)
    groups: dict[str, list[Instance]] = defaultdict(list)
    others: Counter[str] = Counter()
    for file in (file for file, problem in files.items() if not problem):
        found = _image(file, alone=len(files) == 1)
        if isinstance(found, Instance):
            groups[str(found.header.get("SeriesInstanceUID") or "no UID")].append(found)
        elif isinstance(found, LeftOut):
            left_out.append(found)
        else:
            others[found] += 1
    if not groups:
        raise _no_image(place, others, left_out)
    known = {
        str(each.header.get("SOPInstanceUID"))
        for instances in groups.values()
        for each in instances
    }
    left_out = [
        each for each in left_out if each.image not in known
    ]  # a damaged copy of what is there is no loss
    images = {instance.file: uid for uid, instances in groups.items() for instance in instances}
    owners = owners_of(left_out, dict(sorted(images.items(), key=lambda image: image[0].key)))
    found_series = [
        Series(
            *(uid, place, _without_copies(instances)),
            left_out=tuple(left_out),
            lost=tuple(each for each in left_out if uid in owners[each]),
        )
        for uid, instances in groups.items()
    ]
    ranked = sorted(found_series, key=_rank)
    return [
        dataclasses.replace(series, number=number) for number, series in enumerate(ranked, start=1)
    ]


def _image(file: DicomFile, *, alone: bool) -> Instance | LeftOut | str:
    """Return the image of a file; else a file that may be a slice, or the modality of what is no image.

    Raises:
        InputError: a header that cannot be read, of a file that stands ``alone``.
    """
    try:
        with guarded(file):
            return _image_of(file, read_image_header(file), alone=alone)
    except InputError:
        if alone:
            raise
        return LeftOut(file, "DICOM that cannot be read", begins_as_dicom=True)


def _image_of(file: DicomFile, found: ImageHeader, *, alone: bool) -> Instance | LeftOut | str:
    header, modality = found.header, str(found.header.get("Modality") or "no modality")
    if modality in _DERIVED:
        return modality
    if found.pixels and "Rows" in header and (found.whole or alone):
        return Instance(file, header, found.pixels)
    if found.pixels is None and not _says_image(header):
        return modality
    uid = str(header.get("SeriesInstanceUID") or "")
    problem = (
        "DICOM that is cut short"
        if found.pixels is None or not found.whole
        else "an image without a size"
    )
    return LeftOut(
        file, problem, uid, str(header.get("SOPInstanceUID") or ""), begins_as_dicom=True
    )


def _says_image(header: Dataset) -> bool:
    """Return whether a header without pixels is that of an image, or too short to say what it is."""
    known = header.get("SOPClassUID") or header.file_meta.get("MediaStorageSOPClassUID")
    return known is None or re.search(r"(?<!Non-)Image Storage$", UID(str(known)).name) is not None


def _rank(series: Series) -> tuple[float, str]:
    number = series.header.get("SeriesNumber")
    return (float("inf") if number is None else float(number), series.uid)


class LostSlices(InputError):
    """A series of which some files cannot be read."""


def check_complete(series: Series) -> None:
    """Raise LostSlices where files that cannot be read probably were slices of the series."""
    if series.lost:
        count = f"{len(series.lost)} file{'s' if len(series.lost) > 1 else ''}"
        raise LostSlices(
            series.path,
            expected=f"all slices of series {series.number}",
            found=f"{count} that cannot be read and probably belong to it: {listed(series.lost)}",
            remedy="Copy them again; or move them elsewhere if they are no part of the scan.",
        )


def fewer_than_counted(series: Series) -> str:
    """Return a sentence where original images of one acquisition are fewer than their headers count; else nothing."""
    headers = [instance.header for instance in series.instances]
    key = "NumberOfSlices" if series.modality == "PT" else "ImagesInAcquisition"
    counts = {(header.get(key), header.get("AcquisitionNumber")) for header in headers}
    count, _ = next(iter(counts))
    images = sum(instance.frames for instance in series.instances)
    derived = "DERIVED" in (series.header.get("ImageType") or ())
    if len(counts) > 1 or derived or not isinstance(count, int) or images >= count:
        return ""
    return f"{images} of the {count} images are there that its headers count ({key}): the first or last may be missing"


def study_uid(file: DicomFile) -> str | None:
    """The StudyInstanceUID of a file that may be an image; None for others, and for one that cannot be read."""
    try:
        header = read_header(file)
    except InputError:
        return None  # it is said when the scan is read
    is_derived = str(header.get("Modality") or "") in _DERIVED
    return None if is_derived else str(header.get("StudyInstanceUID") or "no UID")


def _without_copies(instances: Sequence[Instance]) -> tuple[Instance, ...]:
    """One of each group of files that are the same byte for byte; those with one UID and other content all stay."""
    by_uid: dict[str, list[Instance]] = defaultdict(list)
    for instance in instances:
        by_uid[str(instance.header.get("SOPInstanceUID") or instance.file)].append(instance)
    kept = [
        one for same in by_uid.values() for one in (_different(same) if len(same) > 1 else same)
    ]
    if len(kept) < len(instances):
        log.warning(
            "%d of %d files are copies of others and left out",
            len(instances) - len(kept),
            len(instances),
        )
    return tuple(kept)


def _different(instances: Sequence[Instance]) -> list[Instance]:
    return list(
        {
            hashlib.sha256(instance.file.read()).digest(): instance
            for instance in reversed(instances)
        }.values()
    )


def _no_image(place: Path, others: Counter[str], left_out: Sequence[LeftOut]) -> InputError:
    unread = f", and {left_out_text(left_out)}" if left_out else ""
    if not others:
        found = f"no file that begins as DICOM does{unread}"
        return InputError(
            place,
            expected="DICOM",
            found=found,
            remedy="Is it the right file or folder, and complete?",
        )
    found = ", ".join(f"{count} x {modality}" for modality, count in sorted(others.items()))
    return InputError(
        place,
        expected="images",
        found=f"DICOM without any that could be a scan ({found}){unread}",
        remedy="Give the files of the scan itself.",
    )
