"""A scan to predict: its files, and how they are read."""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from segkit.errors import InputError
from segkit.files.names import must_exist
from segkit.inference.files.channels import MissingChannel
from segkit.io import read_case, read_source
from segkit.io.dicom import DicomScan
from segkit.io.dicom.files.detection import dicom_files, is_dicom
from segkit.volume import Volume

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Scan:
    """One scan to predict: a file, or a file per channel in the model's order."""

    id: str
    images: tuple[Path, ...]
    numbered: bool = False
    """The files are CASE_0000, CASE_0001 ..."""
    missing: tuple[MissingChannel, ...] = ()
    """Channels of the model that have no file."""
    problem: InputError | None = None
    """Why it cannot be read: a bad line of a table, or a channel that is not there; other scans go on."""
    dicom: DicomScan | None = None
    """The series that the first image is, where it is DICOM."""

    @property
    def place_of_first(self) -> int:
        """The place of the first image among the model's channels."""
        left_out = {channel.place for channel in self.missing}
        return next(place for place in range(len(left_out) + 1) if place not in left_out)

    @property
    def where(self) -> Path:
        """Its name in messages."""
        return self.images[0]

    @property
    def files(self) -> tuple[Path, ...]:
        """All that it is read from; of DICOM, the images of its series.

        Raises:
            InputError: it is DICOM and no volume.
            UsageError: it is DICOM, and not clear which series.
        """
        if self.dicom is None:
            return self.images
        return (
            *self.dicom.source.files,
            *(each for image in self.images[1:] for each in _files(image)),
        )

    @property
    def notes(self) -> tuple[str, ...]:
        """Sentences on what a user should know of a scan that can be read; of DICOM, what is left out beside it."""
        return self.dicom.source.notes if self.dicom else ()

    @property
    def series(self) -> dict[str, Any] | None:
        """The series that was read of a place of DICOM, and which of its images, in JSON types."""
        if self.dicom is None:
            return None
        source = self.dicom.source
        return {
            "uid": source.series.uid,
            "selection": source.selection,
            "images": len(source.stack.frames),
        }

    def read(self) -> Volume:
        """All channels, read frugally; one that is missing has everywhere the value that normalisation turns into 0.

        Raises:
            InputError: an unusable or missing file, other channels than the model's, or a bad line of a table.
        """
        if self.problem:
            raise self.problem
        if self.dicom and len(self.images) == 1:
            volume = read_source(self.dicom.source)
        else:
            for path in self.images:
                if not is_dicom(path):
                    must_exist(path)
            volume = read_case(self.images, unscaled=True)
        return self._filled(volume) if self.missing else volume

    def _filled(self, volume: Volume) -> Volume:
        if volume.channels != len(self.images):
            raise InputError(
                self.images[0],
                expected="one channel, because others of this scan are left out",
                found=f"{volume.channels} channels",
                remedy="Give a file for each channel that there is.",
            )
        channels = list(volume.array)
        for channel in self.missing:
            log.warning(
                "%s: channel %s is left out and taken as 0 after normalisation, its mean",
                self.images[0],
                channel.name,
            )
            channels.insert(channel.place, np.full(volume.grid.shape, channel.fill, np.float32))
        return volume.with_array(np.stack(channels))


def _files(image: Path) -> list[Path]:
    """The image, or all files of a folder of DICOM."""
    return (
        list(dict.fromkeys(file.path for file in dicom_files(image)))
        if os.path.isdir(image)
        else [image]
    )
