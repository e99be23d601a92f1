"""Case and Dataset: the files that belong together, and the names of channels and labels."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from segkit.files.names import files_behind
from segkit.labels.codes import SegmentCodes
from segkit.labels.scheme import target_values

MAX_FOLD_DIGITS = 9
"""Most digits of a fold number; a longer number in the split column is not a fold."""


@dataclass(frozen=True)
class Case:
    """One examination: a file per channel, or one file with all channels, and a label map."""

    id: str
    images: tuple[Path, ...]
    label: Path | None = None
    patient: str = ""
    group: str = ""
    """Site, scanner or protocol, if the dataset gives one."""
    split: str = ""
    """Text in the split column of a CSV file; a whole number is the validation fold."""
    voxels_hash: str = ""
    """Hash of the scan's voxels, once it was measured (`segkit.fingerprint.channel_facts`)."""

    @property
    def files(self) -> list[Path]:
        """All files of the case, including the voxel files that detached headers refer to."""
        paths = [*self.images, *([self.label] if self.label else [])]
        return [file for path in paths for file in files_behind(path)]


@dataclass(frozen=True)
class IncompleteCase:
    """Case that was left out because one of its files is missing."""

    id: str
    message: str
    """The file that is there or is named, and what is missing."""
    files: tuple[Path, ...] = ()
    """Files that are there or are named."""


@dataclass(frozen=True)
class Dataset:
    """Cases of one task, with the names of their channels and the value of every label.

    Background has the value 0 and is never among the labels.
    """

    name: str
    root: Path
    channels: tuple[str, ...]
    """Name of each channel, in the order of the image files."""
    labels: dict[str, int]
    """Value of each label in the label files, or, with ``regions``, the value to write for each."""
    cases: tuple[Case, ...]
    subset: bool = False
    """True if values without a name count as background; otherwise they are an error."""
    regions: dict[str, tuple[int, ...]] = field(default_factory=dict)
    """Values in the label files that make up each region."""
    ignore: int | None = None
    """Value of voxels that were not annotated, which do not count in training or evaluation."""
    segments: dict[str, SegmentCodes] = field(default_factory=dict)
    """Codes and color of each label, for DICOM-SEG."""
    value_names: dict[str, int] = field(default_factory=dict)
    """Value for each segment name in the label files; empty if no file names its values."""
    notices: tuple[str, ...] = ()
    """Sentences for the user about files that were left out and about suspicious names."""
    license: str = ""
    """License of the data as its dataset.json states it; empty if it states none."""
    incomplete: tuple[IncompleteCase, ...] = ()
    """Cases that `read_dataset` left out; empty unless it was told to leave out such cases."""

    @property
    def targets(self) -> dict[str, int]:
        """Name and value of each class in the label files; see `target_values`."""
        return target_values(self.labels, self.regions)

    def folds(self, count: int = 5, seed: int = 12345) -> list[list[str]]:
        """Return the ids of the validation cases of each fold; all cases of a patient share a fold.

        If every case has a fold number in its ``split`` column, those folds are used.

        Args:
            count: number of folds; with fewer patients there are fewer folds.
            seed: seed of the random assignment of patients to folds.
        """
        fixed = _folds_of_split_column(self.cases)
        if fixed:
            return fixed
        patients: dict[str, list[str]] = defaultdict(list)
        for case in self.cases:
            patients[case.patient or case.id].append(case.id)
        names = sorted(patients)
        order = np.random.Generator(np.random.Philox(key=seed)).permutation(len(names))
        parts = np.array_split(order, min(count, len(names)))
        return [sorted(case for i in part for case in patients[names[i]]) for part in parts]

    def select(self, ids: Sequence[str]) -> tuple[Case, ...]:
        """Return the cases with these ids, in the order of the dataset."""
        wanted = set(ids)
        return tuple(case for case in self.cases if case.id in wanted)

    def content_hash(self) -> str:
        """Return 12 hex digits over the names and each file's name, size and modification time."""
        segments = (list(self.segments.items()),) if self.segments else ()
        more = (list(self.regions.items()), self.ignore, *segments)
        names = (self.channels, list(self.labels.items()), *(more if any(more) else ()))
        digest = hashlib.sha256(repr(names).encode())
        for case in self.cases:
            for path in case.files:
                status = path.stat()
                line = f"{case.id}|{path.name}|{status.st_size}|{status.st_mtime_ns}\n"
                digest.update(line.encode())
        return digest.hexdigest()[:12]


def is_fold(text: str) -> bool:
    """Return whether a value of the split column is a fold number.

    >>> is_fold("0"), is_fold("train"), is_fold("")
    (True, False, False)
    """
    return text.isdecimal() and len(text) <= MAX_FOLD_DIGITS


def _folds_of_split_column(cases: tuple[Case, ...]) -> list[list[str]]:
    if not cases or not all(is_fold(case.split) for case in cases):
        return []
    numbers = sorted({int(case.split) for case in cases})
    return [sorted(case.id for case in cases if int(case.split) == number) for number in numbers]
