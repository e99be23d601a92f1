"""Scan: the files of one scan to predict, and reading them."""

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
    """One scan to predict: one file, or one file per channel in the model's order."""

    id: str
    images: tuple[Path, ...]
    numbered: bool = False
    """True where the files are named CASE_0000, CASE_0001 ..."""
    missing: tuple[MissingChannel, ...] = ()
    """Channels of the model that have no file."""
    problem: InputError | None = None
    """Error of a scan that cannot be read, such as a bad line of a table or a missing channel."""
    dicom: DicomScan | None = None
    """Series of the first image, where it is DICOM."""
    table_group: str = ""
    """Group of the scan in the table that lists it."""
    group: str = ""
    """Group that the user gives; it takes precedence over all other sources."""

    @property
    def first_index(self) -> int:
        """Index of the first image among the model's channels."""
        missing = {channel.index for channel in self.missing}
        return next(index for index in range(len(missing) + 1) if index not in missing)

    @property
    def where(self) -> Path:
        """Name of the scan in messages: its first file."""
        return self.images[0]

    @property
    def files(self) -> tuple[Path, ...]:
        """All files that the scan is read from; for DICOM, the images of its series.

        Raises:
            InputError: the DICOM series is not a volume.
            UsageError: there are several DICOM series, and none was chosen.
        """
        if self.dicom is None:
            return self.images
        return (
            *self.dicom.source.files,
            *(path for image in self.images[1:] for path in _files(image)),
        )

    @property
    def notes(self) -> tuple[str, ...]:
        """Sentences that a user should know, such as DICOM files that are left out."""
        return self.dicom.source.notes if self.dicom else ()

    @property
    def series(self) -> dict[str, Any] | None:
        """DICOM series that was read, and the choice of its images, in JSON types."""
        if self.dicom is None:
            return None
        source = self.dicom.source
        return {
            "uid": source.series.uid,
            "selection": source.selection,
            "images": len(source.stack.frames),
        }

    def read(self) -> Volume:
        """Return all channels of the scan, with values as they are stored in the files.

        All voxels of a missing channel have the value that normalization turns into 0.

        Raises:
            InputError: an unusable or missing file, other channels than the model's, or a bad line
                of a table.
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
        return self._with_missing_channels(volume) if self.missing else volume

    def _with_missing_channels(self, volume: Volume) -> Volume:
        if volume.channels != len(self.images):
            raise InputError(
                self.images[0],
                expected="one channel, because others of this scan are left out",
                found=f"{volume.channels} channels",
                remedy="Give one file for each channel that the scan has.",
            )
        channels = list(volume.array)
        for channel in self.missing:
            log.warning(
                "%s: channel %s is left out; its value after normalization is 0, the mean",
                self.images[0],
                channel.name,
            )
            channels.insert(channel.index, np.full(volume.grid.shape, channel.fill, np.float32))
        return volume.with_array(np.stack(channels))


def _files(image: Path) -> list[Path]:
    """Return the image, or all files of a DICOM folder."""
    if not os.path.isdir(image):
        return [image]
    return list(dict.fromkeys(file.path for file in dicom_files(image)))
