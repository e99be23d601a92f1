"""Measure of one case what only `segkit check` needs: stray components, faces, intensities."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import scipy  # its submodules are imported on first use
from numpy.typing import NDArray

from segkit.dataset.dataset import Case, Dataset
from segkit.dataset_check.edge_profiles import EdgeProfile, edge_profile
from segkit.dataset_check.label_slices import LabelSlices, label_slices
from segkit.dataset_check.overview import Overview, joined_box, overview, overview_profiles
from segkit.dataset_check.stray_components import Stray, stray_components
from segkit.fingerprint.case_facts import CaseFacts, CaseVoxels
from segkit.harmonization.values import ChannelValues
from segkit.io import open_source
from segkit.io.dicom.files.detection import is_dicom
from segkit.io.placement import find_placement
from segkit.labels.scheme import membership
from segkit.preprocessing.content_values import channel_values
from segkit.volume import Grid


@dataclass(frozen=True, eq=False)
class CaseDetails:
    """Measurements of one case beside its `CaseFacts`."""

    values: tuple[ChannelValues, ...] = ()
    """Intensities of each channel inside the constant border."""
    strays: tuple[Stray, ...] = ()
    """Small components of a label far from the rest of it."""
    faces: tuple[str, ...] = ()
    """Labels with a voxel on a face of the scan, where it could be cut off."""
    header: str = ""
    """How the header of the label map differs from that of its scan; "" if it does not."""
    edges: Mapping[str, EdgeProfile] = field(default_factory=dict)
    """Label -> intensities across its edge."""
    slices: Mapping[str, LabelSlices] = field(default_factory=dict)
    """Label -> its flat ends and gaps."""
    overview: Overview | None = None
    """Scan and label map in few voxels; None without labels."""
    overview_profiles: Mapping[int, EdgeProfile] = field(default_factory=dict)
    """Number of the label -> intensities across its edge in the overview."""


def case_details(voxels: CaseVoxels, facts: CaseFacts, case: Case, dataset: Dataset) -> CaseDetails:
    """Return the details of a case that has been read.

    Args:
        voxels: scan and label map.
        facts: facts of the case.
        case: its files.
        dataset: names of channels and labels.
    """
    small = overview(voxels.scan.array, voxels.indices) if facts.labels else None
    holds = np.array(membership(dataset.labels, dataset.regions))
    edges, slices = _edges_and_slices(voxels, holds, dataset)
    return CaseDetails(
        values=channel_values(voxels.scan, where=case.images[0]),
        strays=tuple(stray_components(voxels, facts, dataset)),
        faces=tuple(labels_on_faces(voxels.indices, dataset)),
        header=_header_difference(case),
        edges=edges,
        slices=slices,
        overview=small,
        overview_profiles=overview_profiles(small.image, small.indices, holds) if small else {},
    )


def _edges_and_slices(
    voxels: CaseVoxels, holds: NDArray[np.bool_], dataset: Dataset
) -> tuple[dict[str, EdgeProfile], dict[str, LabelSlices]]:
    """Return the intensities across the edge of each label that occurs, and its slices."""
    boxes = scipy.ndimage.find_objects(voxels.indices, max_label=holds.shape[1] - 1)
    profiles, slices = {}, {}
    for name, row in zip(dataset.labels, holds, strict=True):
        classes = np.flatnonzero(row).tolist()
        box = joined_box([boxes[index - 1] for index in classes])
        if box is not None:
            profiles[name] = edge_profile(
                voxels.scan.array, voxels.indices, classes, box, holds.shape[1] - 1
            )
            slices[name] = label_slices(voxels.indices, classes, box, voxels.axis_map)
    return profiles, slices


def labels_on_faces(indices: NDArray[Any], dataset: Dataset) -> list[str]:
    """Return the labels that have voxels on a face of a label map (X, Y, Z).

    An axis with a single voxel has no faces. Voxels with the ignore value count for no label.
    """
    holds = membership(dataset.labels, dataset.regions)
    found: set[int] = set()
    for axis in range(3):
        if indices.shape[axis] > 1:
            found.update(np.unique(indices.take([0, -1], axis)).tolist())
    classes = [index for index in found if 0 < index <= len(dataset.targets)]
    return [
        name
        for name, row in zip(dataset.labels, holds, strict=True)
        if any(row[index] for index in classes)
    ]


def _header_difference(case: Case) -> str:
    """Describe how a label map that could be placed on its scan is stored on another grid."""
    # A DICOM-SEG has frames in place of a grid.
    if case.label is None or is_dicom(case.label) or is_dicom(case.images[0]):
        return ""
    scan, label = open_source(case.images[0]).grid, open_source(case.label).grid
    if "px" in (scan.unit, label.unit) or scan.matches(label):
        return ""
    return _stored_otherwise(scan, label)


def _stored_otherwise(scan: Grid, label: Grid) -> str:
    placement = find_placement(scan, label)
    if placement is None:
        return (
            f"the header of the label map places it {scan.distance(label):.3g} mm from its scan,"
            " and only another reading of the two headers (sform or qform) places both alike"
        )
    covered = " x ".join(map(str, label.shape))
    whole = " x ".join(map(str, scan.shape))
    if sorted(label.shape) != sorted(scan.shape):
        return f"the label map covers {covered} voxels of a scan of {whole}"
    return "the label map stores its voxels in another order or direction of axes than the scan"
