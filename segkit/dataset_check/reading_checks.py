"""Rows of the table of checks for what shows while the files of single cases are read."""

from __future__ import annotations

from segkit.dataset_check.problem import Check

READING_CHECKS = (
    Check(
        "unreadable",
        "files",
        "error",
        "a file that cannot be read, or a case with other channels",
        "Export or copy the file again, or leave the case out.",
    ),
    Check(
        "incomplete_case",
        "files",
        "error",
        "a scan without a label map, a label map without a scan, or a named file that is missing",
        "Add the file, rename one of the two, or take the other one out. The case is left out here;"
        " a training refuses the dataset.",
    ),
    Check(
        "unusable",
        "files",
        "error",
        "a dataset without labeled voxels, or with scans in mm and in px",
        "Follow the advice of the message: without this, nothing can be trained.",
    ),
    Check(
        "left_out",
        "files",
        "warning",
        "files that look like an input and are not used, and names that look like one patient",
        "Add the missing files or remove them; name patients in a CSV file.",
    ),
    Check(
        "label_grid",
        "geometry",
        "error",
        "a label map whose shape, spacing, origin or direction differs from that of its scan",
        "Find the pair that belongs together. If only the header is wrong, --fix-geometry OUT"
        " writes a copy with the header of the scan; else resample the label map.",
        file="label",
    ),
    Check(
        "scan_header",
        "geometry",
        "error",
        "a scan whose header is suspect, and not that of its label map, where the two disagree",
        "Export the scan again, or correct its header, and leave the label map as it is. No header"
        " is copied from such a scan onto its label map.",
        file="image",
    ),
    Check(
        "not_finite",
        "intensities",
        "error",
        "voxels that are NaN or infinite",
        "Replace them by the value of air, and find out which program wrote them.",
    ),
    Check(
        "constant_image",
        "intensities",
        "warning",
        "a channel with the same value in all voxels",
        "Export the scan again, or leave the case out.",
        file="image",
    ),
    Check(
        "label_values",
        "label maps",
        "error",
        "label values that are not whole numbers, or that the dataset does not name",
        "Name the values in the dataset, or correct the label map.",
        file="label",
    ),
    Check(
        "no_label_map",
        "label maps",
        "warning",
        "a case without a label map",
        "Add the label map. Training leaves the case out.",
        file="image",
    ),
    Check(
        "empty_label_map",
        "label maps",
        "warning",
        "a label map without a labeled voxel, or without an annotated one",
        "Keep it if the structure is really absent; else add the label map, or leave the case out.",
        file="label",
    ),
    Check(
        "labels_in_border",
        "label maps",
        "warning",
        "labels in the constant border of the scan, where there is no image",
        "Look whether the label map belongs to this scan, or the scan was masked too tightly.",
        file="label",
    ),
)
"""Checks without a function that compares cases."""
