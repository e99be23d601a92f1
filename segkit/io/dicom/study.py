"""The series of a DICOM place: headers of all its images, sorted out by series."""

from __future__ import annotations

import hashlib
import logging
import warnings
import zlib
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import IO, Any

import pydicom
from pydicom.dataset import Dataset
from pydicom.uid import DeflatedExplicitVRLittleEndian, ImplicitVRLittleEndian

from segkit.errors import InputError, SegkitError
from segkit.io.dicom.files import DicomFile, dicom_files
from segkit.io.limits import check_memory

log = logging.getLogger(__name__)

_PIXELS = ("PixelData", "FloatPixelData", "DoubleFloatPixelData")
_DERIVED = {"SEG", "RTSTRUCT", "RTDOSE", "RTPLAN", "PR", "KO", "SR", "REG"}
"""Modalities of what was made from images; those with pixels are no scans either."""
_META = 140
"""Where the length of the file meta group stands."""
_LONG = 1 << 16
"""Bytes from which on an element is left in the file while headers are read."""


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
    place: Path
    instances: tuple[Instance, ...]

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
        InputError: no image, or a file that is not the DICOM it looks like.
    """
    groups: dict[str, list[Instance]] = defaultdict(list)
    left_out: Counter[str] = Counter()
    for file in dicom_files(place):
        header = read_header(file)
        pixels = next((name for name in _PIXELS if name in header), None)
        modality = str(header.get("Modality") or "no modality")
        if pixels is None or "Rows" not in header or modality in _DERIVED:
            left_out[modality] += 1
            continue
        del header[pixels]
        groups[str(header.get("SeriesInstanceUID") or "no UID")].append(Instance(file, header, pixels))
    if not groups:
        raise _no_image(place, left_out)
    found = [Series(uid, place, _without_copies(instances)) for uid, instances in groups.items()]
    return sorted(found, key=_rank)


def _rank(series: Series) -> tuple[float, str]:
    number = series.header.get("SeriesNumber")
    return (float("inf") if number is None else float(number), series.uid)


def read_header(file: DicomFile) -> Dataset:
    """All elements but long ones, which stay in the file.

    Raises:
        InputError: not DICOM, or damaged.
    """
    with guarded(file), file.open() as stream:
        _check_inflated(file, stream)
        return pydicom.dcmread(stream, defer_size=_LONG, force=True)


def study_uid(file: DicomFile) -> str | None:
    """The StudyInstanceUID of a file that may be an image; None for others, and for one that cannot be read."""
    try:
        header = read_header(file)
    except InputError:
        return None  # it is said when the scan is read
    is_derived = str(header.get("Modality") or "") in _DERIVED
    return None if is_derived else str(header.get("StudyInstanceUID") or "no UID")


@contextmanager
def guarded(where: object) -> Iterator[None]:
    """Turn whatever damaged headers bring up inside of pydicom into an InputError, and keep it `quiet`."""
    try:
        with quiet():
            yield
    except (SegkitError, MemoryError):
        raise
    except Exception as error:
        raise InputError(
            str(where),
            expected="DICOM that follows its standard",
            found=f"{type(error).__name__}: {error}",
            remedy="The file is incomplete or damaged: copy it again, or leave it out.",
        ) from error


@contextmanager
def quiet() -> Iterator[None]:
    """Keep what pydicom warns of and logs from the terminal: what matters is raised."""
    logger = logging.getLogger("pydicom")
    level = logger.level
    logger.setLevel(logging.CRITICAL + 1)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)


def _check_inflated(file: DicomFile, stream: IO[bytes]) -> None:
    """Raise an InputError where a file in the deflated transfer syntax unpacks to more than the memory holds."""
    start = stream.read(_META + 4)
    meta = stream.read(int.from_bytes(start[_META:], "little")) if start[128:136] == b"DICM\x02\0\0\0" else b""
    if str(DeflatedExplicitVRLittleEndian).encode() in meta:
        unpacker, size = zlib.decompressobj(-zlib.MAX_WBITS), 0
        while packed := unpacker.unconsumed_tail or stream.read(1 << 16):
            size += len(unpacker.decompress(packed, 1 << 20))
            check_memory(str(file), size)
    stream.seek(0)


def _without_copies(instances: Sequence[Instance]) -> tuple[Instance, ...]:
    """One of each group of files that are the same byte for byte; those with one UID and other content all stay."""
    by_uid: dict[str, list[Instance]] = defaultdict(list)
    for instance in instances:
        by_uid[str(instance.header.get("SOPInstanceUID") or instance.file)].append(instance)
    kept = [one for same in by_uid.values() for one in (_different(same) if len(same) > 1 else same)]
    if len(kept) < len(instances):
        log.warning("%d of %d files are copies of others and left out", len(instances) - len(kept), len(instances))
    return tuple(kept)


def _different(instances: Sequence[Instance]) -> list[Instance]:
    return list({hashlib.sha256(instance.file.read()).digest(): instance for instance in reversed(instances)}.values())


def _no_image(place: Path, left_out: Counter[str]) -> InputError:
    found = ", ".join(f"{count} x {modality}" for modality, count in sorted(left_out.items()))
    return InputError(
        place,
        expected="images",
        found=f"DICOM without any that could be a scan ({found})",
        remedy="Give the files of the scan itself.",
    )
