"""Case and Dataset: which files belong together. No voxels here; `dataset_layouts` reads the four layouts."""

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

LONGEST_FOLD = 9
"""Digits of a fold's number; more are a number of something else."""


@dataclass(frozen=True)
class Case:
    """One examination: an image file per channel (or one file with all channels) and its label map."""

    id: str
    images: tuple[Path, ...]
    label: Path | None = None
    patient: str = ""
    group: str = ""
    split: str = ""

    @property
    def files(self) -> list[Path]:
        """Every file of the case, those of voxels that stand apart from their header included."""
        named = [*self.images, *([self.label] if self.label else [])]
        return [file for path in named for file in files_behind(path)]


@dataclass(frozen=True)
class Dataset:
    """Cases with the names of their channels and the integer value of every label but background.

    ``labels`` maps a name to the value it has in the label files; any integer except ``background`` (0) is allowed.
    A value of the files that is not named counts as background where ``subset`` is true, else it is an error.
    With ``regions`` (name -> the values that it is made of) ``labels`` says which value is written for each of them.
    ``ignore`` is the value of voxels that nobody has annotated. ``segments`` has coded terms and colours of labels.
    ``value_names`` (name -> value) is what the names inside label files stand for, where such files name their values;
    it is empty where none does. ``notices`` say what looks like an input and was left out, and what is odd about names.
    """

    name: str
    root: Path
    channels: tuple[str, ...]
    labels: dict[str, int]
    cases: tuple[Case, ...]
    subset: bool = False
    regions: dict[str, tuple[int, ...]] = field(default_factory=dict)
    ignore: int | None = None
    segments: dict[str, SegmentCodes] = field(default_factory=dict)
    value_names: dict[str, int] = field(default_factory=dict)
    notices: tuple[str, ...] = ()

    @property
    def targets(self) -> dict[str, int]:
        """Name and value of what is told apart in the label files; see `regions.target_values`."""
        return target_values(self.labels, self.regions)

    def folds(self, count: int = 5, seed: int = 12345) -> list[list[str]]:
        """Ids of the validation cases of each fold; a patient is never split between folds.

        Fewer patients than ``count`` give fewer folds; a ``split`` column with the values 0..k-1 is taken as it is.
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
        """The cases with these ids, in the dataset's order."""
        wanted = set(ids)
        return tuple(case for case in self.cases if case.id in wanted)

    def content_hash(self) -> str:
        """Twelve hex digits over names, labels and every file's path, size and time of change."""
        more = (
            list(self.regions.items()),
            self.ignore,
            *((list(self.segments.items()),) if self.segments else ()),
        )
        named = (self.channels, list(self.labels.items()), *(more if any(more) else ()))
        digest = hashlib.sha256(repr(named).encode())
        for case in self.cases:
            for path in case.files:
                status = path.stat()
                digest.update(
                    f"{case.id}|{path.name}|{status.st_size}|{status.st_mtime_ns}\n".encode()
                )
        return digest.hexdigest()[:12]


def is_fold(text: str) -> bool:
    """Whether the text of a split column is the number of a fold."""
    return text.isdecimal() and len(text) <= LONGEST_FOLD


def _folds_of_split_column(cases: tuple[Case, ...]) -> list[list[str]]:
    if not cases or not all(is_fold(case.split) for case in cases):
        return []
    numbers = sorted({int(case.split) for case in cases})
    return [sorted(case.id for case in cases if int(case.split) == number) for number in numbers]
