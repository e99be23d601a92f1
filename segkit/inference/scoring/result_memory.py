"""Estimate the memory that results take once a scan is scored."""

from __future__ import annotations

from collections.abc import Mapping

from segkit.inference.prediction import Result
from segkit.inference.scoring.decisions import Decision

MAX_BLOCK_BYTES, BLOCK_BYTES_PER_VOXEL = 96 << 20, 64
"""Memory for processing a label map in blocks (components, statistics, pictures): upper bound in
bytes, and bytes per voxel."""


def block_bytes(voxels: int) -> int:
    """Return about how many bytes processing a label map of so many voxels in blocks takes.

    >>> block_bytes(1000)
    64000
    """
    return min(MAX_BLOCK_BYTES, BLOCK_BYTES_PER_VOXEL * voxels)


def bytes_after_scoring(
    decisions: Mapping[Result, Decision],
    voxels: int,
    *,
    rules: int,
    is_compared: bool,
    is_tilted: bool,
) -> int:
    """Return about how many bytes are needed after scoring, in addition to the results.

    Args:
        decisions: the results.
        voxels: number of voxels of the scan.
        rules: number of labels with a rule of postprocessing.
        is_compared: True where labels are compared with those of the training data.
        is_tilted: True where results are moved back to the grid of a tilted scan.
    """
    # A rule makes a copy while the copy of the rule before it is still held.
    copies = decisions["labels"].bytes * min(2, rules) * voxels
    blocks = block_bytes(voxels) if rules or is_compared else 0
    return max(copies + blocks, _bytes_tilted_back(decisions, voxels) if is_tilted else 0)


def _bytes_tilted_back(decisions: Mapping[Result, Decision], voxels: int) -> int:
    """Return the bytes of copies of all results; of one in a file, of a channel and its copy."""
    in_file = [decision for decision in decisions.values() if decision.is_mapped(voxels)]
    in_memory = [decision for decision in decisions.values() if not decision.is_mapped(voxels)]
    channel = max((2 * decision.dtype.itemsize for decision in in_file), default=0)
    return (sum(decision.bytes for decision in in_memory) + channel) * voxels
