"""Read the headers of all images of a file, folder or zip, and group them by series."""

from __future__ import annotations

import dataclasses
import hashlib
import logging
import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from pydicom.dataset import Dataset
from pydicom.uid import UID, ImplicitVRLittleEndian

from segkit.errors import InputError
from segkit.io.dicom.files.detection import files_of, no_dicom_remedy
from segkit.io.dicom.files.dicom_file import DicomFile
from segkit.io.dicom.headers import ImageHeader, guarded, read_header, read_image_header
from segkit.io.dicom.series.lost_files import LeftOut, left_out_text, listed, owners_of, suspicious

log = logging.getLogger(__name__)

_DERIVED = {"SEG", "RTSTRUCT", "RTDOSE", "RTPLAN", "PR", "KO", "SR", "REG"}
"""Modalities of objects derived from images; even those with pixels are not scans."""


@dataclass(frozen=True, eq=False)
class Instance:
    """Image file, with its header but without its pixels."""

    file: DicomFile
    header: Dataset
    pixels: str
    """Keyword of the element that holds the pixels."""

    @property
    def frames(self) -> int:
        """Number of frames."""
        return int(self.header.get("NumberOfFrames") or 1)

    @property
    def syntax(self) -> Any:
        """Transfer syntax; Implicit VR Little Endian if the file does not state it."""
        return self.header.file_meta.get("TransferSyntaxUID", ImplicitVRLittleEndian)


@dataclass(frozen=True, eq=False)
class Series:
    """Images with one SeriesInstanceUID."""

    uid: str
    path: Path
    """File, folder or zip in which the series was found."""
    instances: tuple[Instance, ...]
    left_out: tuple[LeftOut, ...] = ()
    """All files of the path that look like images but cannot be read."""
    lost: tuple[LeftOut, ...] = ()
    """Files in ``left_out`` that are probably slices of this series."""
    number: int = 1
    """Number of the series in the list of all series of the path, from 1."""

    @property
    def header(self) -> Dataset:
        """Header of the first image, for attributes that all images share."""
        return self.instances[0].header

    @property
    def modality(self) -> str:
        """Modality, such as ``CT``; empty if the header has none."""
        return str(self.header.get("Modality") or "")

    @property
    def description(self) -> str:
        """SeriesDescription; empty if the header has none."""
        return str(self.header.get("SeriesDescription") or "")

    @cached_property
    def size(self) -> str:
        """Number and size of the images, such as ``22 images of 512 x 512``."""
        frames = sum(instance.frames for instance in self.instances)
        shape = f"{self.header.get('Columns')} x {self.header.get('Rows')}"
        return f"{frames} image{'s' if frames > 1 else ''} of {shape}"

    def __str__(self) -> str:
        number = self.header.get("SeriesNumber")
        modality = self.modality or "no modality"
        numbered = f"series {number}" if number is not None else "no series number"
        return f"{modality}, {numbered}, {self.description!r}, {self.size}, {self.uid}"


class LostSlices(InputError):
    """Error for a series that has lost slices, because some of its files cannot be read."""


def read_study(path: Path) -> list[Series]:
    """Return the image series of a file, folder or zip, sorted by series number and then by UID.

    Raises:
        InputError: there is no image, or the only file cannot be read.
    """
    files = files_of(path)
    left_out = suspicious(files)
    groups: dict[str, list[Instance]] = defaultdict(list)
    others: Counter[str] = Counter()
    for file in (file for file, problem in files.items() if not problem):
        content = _read(file, only_file=len(files) == 1)
        if isinstance(content, Instance):
            groups[str(content.header.get("SeriesInstanceUID") or "no UID")].append(content)
        elif isinstance(content, LeftOut):
            left_out.append(content)
        else:
            others[content] += 1
    if not groups:
        raise _no_image(path, others, left_out)
    return _numbered(_series_of(path, groups, left_out))


def _series_of(
    path: Path, groups: Mapping[str, Sequence[Instance]], left_out: Sequence[LeftOut]
) -> list[Series]:
    """Return a Series for each group of images, with the files that it has lost."""
    images = {instance.file: uid for uid, instances in groups.items() for instance in instances}
    image_uids = {
        str(instance.header.get("SOPInstanceUID"))
        for instances in groups.values()
        for instance in instances
    }
    # A damaged copy of a readable image is no loss.
    lost = [file for file in left_out if file.image not in image_uids]
    owners = owners_of(lost, dict(sorted(images.items(), key=lambda image: image[0].key)))
    return [
        Series(
            uid,
            path,
            _without_copies(instances),
            left_out=tuple(lost),
            lost=tuple(file for file in lost if uid in owners[file]),
        )
        for uid, instances in groups.items()
    ]


def _numbered(study: Sequence[Series]) -> list[Series]:
    ranked = sorted(study, key=_rank)
    return [
        dataclasses.replace(series, number=number) for number, series in enumerate(ranked, start=1)
    ]


def _rank(series: Series) -> tuple[float, str]:
    number = series.header.get("SeriesNumber")
    return (float("inf") if number is None else float(number), series.uid)


def _read(file: DicomFile, *, only_file: bool) -> Instance | LeftOut | str:
    """Return the image in a file, a note that it may be a lost slice, or the modality of any other.

    Raises:
        InputError: the header cannot be read, and this is the ``only_file``.
    """
    try:
        with guarded(file):
            return _classified(file, read_image_header(file), only_file=only_file)
    except InputError:
        if only_file:
            raise
        return LeftOut(file, "DICOM that cannot be read", begins_as_dicom=True)


def _classified(
    file: DicomFile, image: ImageHeader, *, only_file: bool
) -> Instance | LeftOut | str:
    header, modality = image.header, str(image.header.get("Modality") or "no modality")
    if modality in _DERIVED:
        return modality
    if image.pixels and "Rows" in header and (image.is_complete or only_file):
        return Instance(file, header, image.pixels)
    if image.pixels is None and not _may_be_image(header):
        return modality
    is_cut = image.pixels is None or not image.is_complete
    return LeftOut(
        file,
        "DICOM that is cut short" if is_cut else "an image without a size",
        series=str(header.get("SeriesInstanceUID") or ""),
        image=str(header.get("SOPInstanceUID") or ""),
        begins_as_dicom=True,
    )


def _may_be_image(header: Dataset) -> bool:
    """Return whether a header without pixels has the SOP class of an image, or no SOP class."""
    uid = header.get("SOPClassUID") or header.file_meta.get("MediaStorageSOPClassUID")
    return uid is None or re.search(r"(?<!Non-)Image Storage$", UID(str(uid)).name) is not None


def check_complete(series: Series) -> None:
    """Check that a series has lost no slices.

    Raises:
        LostSlices: files that cannot be read are probably slices of the series.
    """
    if series.lost:
        count = f"{len(series.lost)} file{'s' if len(series.lost) > 1 else ''}"
        raise LostSlices(
            series.path,
            expected=f"all slices of series {series.number}",
            found=f"{count} that cannot be read and probably belong to it: {listed(series.lost)}",
            remedy="Copy them again; or move them elsewhere if they are not part of the scan.",
        )


def fewer_than_counted(series: Series) -> str:
    """Return a sentence if there are fewer images than the headers announce, else "".

    Only original images of a single acquisition are compared with the announced number.
    """
    headers = [instance.header for instance in series.instances]
    key = "NumberOfSlices" if series.modality == "PT" else "ImagesInAcquisition"
    counts = {(header.get(key), header.get("AcquisitionNumber")) for header in headers}
    count, _ = next(iter(counts))
    images = sum(instance.frames for instance in series.instances)
    is_derived = "DERIVED" in (series.header.get("ImageType") or ())
    if len(counts) > 1 or is_derived or not isinstance(count, int) or images >= count:
        return ""
    return (
        f"the headers announce {count} images ({key}), but there are {images}: "
        "the first or last may be missing"
    )


def study_uid(file: DicomFile) -> str | None:
    """Return the StudyInstanceUID of a file that may be an image.

    The result is None for derived objects, and for a file that cannot be read; reading its scan
    raises the error.
    """
    try:
        header = read_header(file)
    except InputError:
        return None
    is_derived = str(header.get("Modality") or "") in _DERIVED
    return None if is_derived else str(header.get("StudyInstanceUID") or "no UID")


def _without_copies(instances: Sequence[Instance]) -> tuple[Instance, ...]:
    """Return the files without exact copies of others.

    Files with the same SOPInstanceUID but different bytes are all kept.
    """
    by_uid: dict[str, list[Instance]] = defaultdict(list)
    for instance in instances:
        by_uid[str(instance.header.get("SOPInstanceUID") or instance.file)].append(instance)
    kept: list[Instance] = []
    for same_uid in by_uid.values():
        kept += _different(same_uid) if len(same_uid) > 1 else same_uid
    copies = len(instances) - len(kept)
    if copies:
        log.warning("%d of %d files are copies of others and are left out", copies, len(instances))
    return tuple(kept)


def _different(instances: Sequence[Instance]) -> list[Instance]:
    by_content = {
        hashlib.sha256(instance.file.read()).digest(): instance for instance in reversed(instances)
    }
    return list(by_content.values())


def _no_image(path: Path, others: Counter[str], left_out: Sequence[LeftOut]) -> InputError:
    unread = f", and {left_out_text(left_out)}" if left_out else ""
    if not others:
        return InputError(
            path,
            expected="DICOM",
            found=f"no file that begins as DICOM does{unread}",
            remedy=no_dicom_remedy(path),
        )
    modalities = ", ".join(f"{count} x {modality}" for modality, count in sorted(others.items()))
    return InputError(
        path,
        expected="images",
        found=f"DICOM, but no image that could be a scan ({modalities}){unread}",
        remedy="Give the files of the scan itself.",
    )
