"""Small pictures of the cases of a dataset, drawn while their voxels are in memory."""

from __future__ import annotations

import io

import numpy as np

from segkit.dataset.dataset import Case, Dataset
from segkit.fingerprint.case_facts import CaseVoxels
from segkit.report.preview import draw_thumbnail

PIXELS = 150
"""Length in pixels of the longest edge of a scan in each plane."""
QUALITY = 80
"""Quality of the JPEG: about 10 kB for three planes."""


class Thumbnails:
    """Pictures of the cases as JPEG, by case id: about 10 kB for each case."""

    def __init__(self, dataset: Dataset) -> None:
        self.dataset = dataset
        self.of_case: dict[str, bytes] = {}

    def draw(self, case: Case, voxels: CaseVoxels) -> None:
        """Draw the outlines of the labels of a case on three planes of its first channel."""
        self.of_case[case.id] = thumbnail(voxels, self.dataset)


def names_of_indices(dataset: Dataset) -> dict[str, int]:
    """Return the index of each class in the label map, from 1; for regions these are its values."""
    return {name: number + 1 for number, name in enumerate(dataset.targets)}


def thumbnail(voxels: CaseVoxels, dataset: Dataset) -> bytes:
    """Return the picture of one case as JPEG; ignored voxels are not outlined."""
    indices = np.where(voxels.indices > len(dataset.targets), 0, voxels.indices)
    labels = voxels.scan.with_array(indices[None])
    image = draw_thumbnail(voxels.scan, labels, names_of_indices(dataset), longest=PIXELS)
    stream = io.BytesIO()
    image.save(stream, "JPEG", quality=QUALITY)
    return stream.getvalue()
