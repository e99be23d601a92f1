"""Rows of the table of checks for label maps, compared with those of the other cases."""

from __future__ import annotations

from segkit.dataset_check.incomplete_labels import absent_labels, cut_labels, empty_slices
from segkit.dataset_check.label_maps import (
    blurred_edges,
    inverted_masks,
    labels_at_edge,
    missing_labels,
    rare_labels,
    stray_components,
    two_encodings,
)
from segkit.dataset_check.outliers import small_labels
from segkit.dataset_check.problem import Check
from segkit.dataset_check.resampling import labels_lost_by_resampling

LABEL_MAP_CHECKS = (
    Check(
        "stray_voxels",
        "label maps",
        "warning",
        "a few voxels of a label far from the rest of it",
        "Look at the position in a viewer and erase them, or give them the label around them.",
        stray_components,
        file="label",
    ),
    Check(
        "empty_slices",
        "label maps",
        "warning",
        "a label without voxels in slices in its middle",
        "Look at these slices in a viewer, and add the label there.",
        empty_slices,
        file="label",
    ),
    Check(
        "cut_label",
        "label maps",
        "warning",
        "a small label that ends in a flat face inside the scan, as if the rest were missing",
        "Look at the case in a viewer, and add what is missing.",
        cut_labels,
        file="label",
    ),
    Check(
        "small_label",
        "label maps",
        "warning",
        "less than half of the median volume, of a label that is alike in size in all cases",
        "Look at the case in a viewer: is a part of the label missing, or outside of the scan, or"
        " is the patient unusual?",
        small_labels,
        file="label",
    ),
    Check(
        "absent_label",
        "label maps",
        "warning",
        "a case without a label that 95 % of at least 20 cases have",
        "Add the label, or keep the case if the patient lacks the structure or the scan does not"
        " show it.",
        absent_labels,
        file="label",
    ),
    Check(
        "label_at_edge",
        "label maps",
        "note",
        "a label that touches the edge of the scan, where it may be cut off",
        "Nothing, if the scan shows the whole structure; else the volume of the label is low.",
        labels_at_edge,
        file="label",
    ),
    Check(
        "missing_label",
        "label maps",
        "warning",
        "a label of the dataset that no case has",
        "Correct the name or the value of the label, or remove it from the dataset.",
        missing_labels,
    ),
    Check(
        "rare_label",
        "label maps",
        "warning",
        "a label that occurs in one case only",
        "Add cases, leave the label out, or train with fold=all.",
        rare_labels,
    ),
    Check(
        "blurred_edges",
        "label maps",
        "warning",
        "masks with smoothed edges or from lossy compression",
        "Save the masks again as whole label values, without smoothing and without JPEG.",
        blurred_edges,
    ),
    Check(
        "two_encodings",
        "label maps",
        "warning",
        "masks of 0 and 255 beside masks of 0 and 1",
        "Save all masks with the same value.",
        two_encodings,
    ),
    Check(
        "inverted_mask",
        "label maps",
        "warning",
        "a mask whose foreground and background are exchanged",
        "Invert the label map.",
        inverted_masks,
        file="label",
    ),
    Check(
        "lost_label",
        "label maps",
        "warning",
        "a label that loses more than half of its volume when scans are resampled",
        "Train on finer voxels with plan.spacing.",
        labels_lost_by_resampling,
    ),
)
"""Checks of label maps that compare the cases."""
