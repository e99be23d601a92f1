"""Table of all checks of a dataset: what each finds, how severe that is, and what to do."""

from __future__ import annotations

from segkit.dataset_check.duplicates import copies, copies_in_two_folds, shared_label_maps
from segkit.dataset_check.edges import exchanged_label_maps, mirrored_images, shifted_edges
from segkit.dataset_check.geometry import tiny_voxels, unusual_spacing
from segkit.dataset_check.groups import intensity_groups
from segkit.dataset_check.intensities import ct_values, saturated_images, unnamed_ct
from segkit.dataset_check.label_map_checks import LABEL_MAP_CHECKS
from segkit.dataset_check.label_maps import other_headers
from segkit.dataset_check.outliers import (
    odd_intensity,
    odd_size,
    odd_spacing,
    odd_volume,
)
from segkit.dataset_check.problem import Check
from segkit.dataset_check.reading_checks import READING_CHECKS
from segkit.dataset_check.sides import exchanged_labels, mirrored_cases, side_names
from segkit.dataset_check.splits import patients_in_two_folds

CHECKS = (
    *READING_CHECKS,
    Check(
        "label_header",
        "geometry",
        "note",
        "a label map on the same voxels as its scan whose header says so in another way",
        "segkit reads the pair correctly. For other programs, --fix-geometry OUT writes a copy"
        " with the header of the scan.",
        other_headers,
        file="label",
    ),
    Check(
        "unusual_spacing",
        "geometry",
        "warning",
        "voxels 3 times longer or shorter than the median",
        "Correct the header, or leave the case out.",
        unusual_spacing,
        file="image",
    ),
    Check(
        "tiny_voxels",
        "geometry",
        "warning",
        "voxels below 0.01 mm in most cases, as of lengths in meters",
        "Correct the unit in the headers.",
        tiny_voxels,
    ),
    Check(
        "unnamed_ct",
        "intensities",
        "warning",
        "CT in a channel that is not named CT, in all cases or in some among others",
        "Name the channel CT if it is one; take scans of another modality out.",
        unnamed_ct,
        file="image",
    ),
    Check(
        "ct_values",
        "intensities",
        "warning",
        "values of a CT that are no Hounsfield units, or far from those of the other cases",
        "Convert the scan from DICOM again, with its slope and intercept.",
        ct_values,
        file="image",
    ),
    Check(
        "saturated_image",
        "intensities",
        "warning",
        "an image of which many voxels have its highest value, unlike in the other cases",
        "Convert the scan again from the original, without a window and without 8 bits. A picture"
        " may be overexposed: look whether the labels can still be seen.",
        saturated_images,
        file="image",
    ),
    *LABEL_MAP_CHECKS,
    Check(
        "copies",
        "duplicates",
        "warning",
        "scans with equal voxels under several names",
        "Keep one of them.",
        copies,
    ),
    Check(
        "copies_in_two_folds",
        "duplicates",
        "error",
        "scans with equal voxels that the column split puts into different folds",
        "Keep one of them, or give all the same fold.",
        copies_in_two_folds,
    ),
    Check(
        "shared_label_map",
        "duplicates",
        "warning",
        "one label map that belongs to scans of several patients",
        "Correct the path of the label map, or name the patient in the column patient.",
        shared_label_maps,
    ),
    Check(
        "patient_in_two_folds",
        "splits",
        "error",
        "a patient whose cases the column split puts into different folds",
        "Give all cases of a patient the same number in the column split.",
        patients_in_two_folds,
    ),
    Check(
        "side_names",
        "sides",
        "warning",
        "labels named left on the patient's right, by the header of the scan",
        "Look at the case in a viewer that shows R and L: exchange the two label values, or correct"
        " the header. In all cases alike, the names may be meant as seen by the viewer.",
        side_names,
        file="label",
    ),
    Check(
        "exchanged_labels",
        "sides",
        "warning",
        "a case in which each of two labels lies where the other one usually lies",
        "Look at the case in a viewer, and exchange the two values in its label map.",
        exchanged_labels,
        file="label",
    ),
    Check(
        "mirrored_case",
        "sides",
        "warning",
        "a case whose labels are in the opposite order to that of the other cases",
        "Look at the case in a viewer. If it is mirrored: correct the headers of scan and label"
        " map, or convert the original scan again. If only the labels are exchanged: exchange their"
        " values in the label map.",
        mirrored_cases,
        file="image",
    ),
    Check(
        "shifted_edge",
        "edges",
        "warning",
        "a label whose edge lies farther out or in than in the other cases, as if it were dilated"
        " or eroded",
        "Look at the outlines of the case beside those of others. If they are too far out or in,"
        " take the label map before it was processed, or erode or dilate it by a voxel.",
        shifted_edges,
        file="label",
    ),
    Check(
        "mirrored_image",
        "edges",
        "warning",
        "an image that fits its label map only if it is mirrored",
        "Look at the case in a viewer, and convert image and label map again from the originals.",
        mirrored_images,
        file="image",
    ),
    Check(
        "exchanged_label_maps",
        "edges",
        "warning",
        "two cases of one shape that fit each other's label map and not their own",
        "Look at both cases in a viewer, and exchange the names of the two label maps.",
        exchanged_label_maps,
    ),
    Check(
        "intensity_groups",
        "groups",
        "warning",
        "several groups of intensities, as of several scanners, protocols or units",
        "Find out what the groups are: 'segkit harmonize discover DATASET -o groups.csv' names the"
        " group of each case. Compare the Dice of the groups after training ('segkit evaluate --by"
        " group'); see docs/harmonization.md for how to remove the difference.",
        intensity_groups,
    ),
    Check(
        "odd_spacing",
        "outliers",
        "note",
        "a voxel spacing far from that of the other cases",
        "Look whether the scan is of the same protocol: is the spacing in the header right?",
        odd_spacing,
        file="image",
    ),
    Check(
        "odd_size",
        "outliers",
        "note",
        "a field of view far from that of the other cases",
        "Look whether the scan shows the same part of the body: is the spacing in the header"
        " right?",
        odd_size,
        file="image",
    ),
    Check(
        "odd_intensity",
        "outliers",
        "note",
        "intensities far from those of the other cases of the same group",
        "Look whether the scan is of the same modality and protocol.",
        odd_intensity,
        file="image",
    ),
    Check(
        "odd_volume",
        "outliers",
        "note",
        "a label volume far from that of the other cases, or a label that only this case lacks",
        "Look at the case: is it incomplete, is the patient unusual, or the spacing in the header"
        " wrong?",
        odd_volume,
        file="label",
    ),
)
"""All checks; the problems of a dataset are listed in this order within a severity."""
BY_NAME = {check.name: check for check in CHECKS}
"""Name of a check -> its row."""
