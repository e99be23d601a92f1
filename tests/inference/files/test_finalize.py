"""Finalizing a label map, and the memory that is reserved for it and for writing."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from segkit.bundle.bundle import Bundle
from segkit.errors import OutOfMemoryError
from segkit.inference import Predictor
from segkit.inference.files.finalize import FinalizeOptions, bytes_after, finalize
from segkit.inference.files.outputs import Job
from segkit.inference.files.scan import Scan
from segkit.inference.predict_files import predict_job
from segkit.io import write_image
from segkit.io.memory import resident_memory
from segkit.volume import Volume

Make = Callable[..., Bundle]
ALL, ONE = {"a": 1, "b": 2}, {"b": 2}
MANY = 10**9
BLOCKS = 96 << 20
"""Memory that is reserved for the blocks of a large scan."""


def job(output: str = "x.nii.gz", *extras: Any) -> Job:
    return Job(Scan("x", (Path("x.nii"),)), Path(output), extras)


@pytest.mark.parametrize(
    ("options", "which", "expected"),
    [
        (FinalizeOptions(ALL), job(), 32 << 20),
        (FinalizeOptions(ALL), job("x.nii.gz", "preview"), BLOCKS),
        (FinalizeOptions(ALL), job("x.nii.gz", "record"), BLOCKS),
        (FinalizeOptions(ONE), job(), MANY + BLOCKS),
        (FinalizeOptions(ALL, 5.0), job(), MANY + BLOCKS),
        (FinalizeOptions(ONE, 5.0), job(), 2 * MANY + BLOCKS),
        (FinalizeOptions(ALL), job("x.dcm"), (110 << 20) + int(2.5 * MANY)),
        (FinalizeOptions(ALL), job("x.nii.gz", "structures"), (110 << 20) + 12 * MANY),
        (FinalizeOptions(ALL), job("x.tif"), 2 * MANY),
        (FinalizeOptions(ALL), job("x.tif", "uncertainty"), 8 * MANY),
    ],
)
def test_memory_of_a_large_scan(
    make_bundle: Make, options: FinalizeOptions, which: Job, expected: int
) -> None:
    plan = make_bundle(labels=ALL).plan
    assert bytes_after(plan, which, options, MANY) == expected


def test_memory_of_regions_and_of_large_values(make_bundle: Make) -> None:
    plan = make_bundle(labels=ALL).plan
    wide = dataclasses.replace(plan, labels={"a": 1, "b": 300})
    assert bytes_after(wide, job(), FinalizeOptions({"b": 300}), MANY) == 2 * MANY + BLOCKS
    regions = dataclasses.replace(plan, regions={"a": (1, 2), "b": (2,)})
    assert bytes_after(regions, job(), FinalizeOptions(ALL), MANY) == 2 * MANY + BLOCKS
    assert bytes_after(regions, job(), FinalizeOptions(ALL, 1.0), MANY) == 3 * MANY + BLOCKS


def test_memory_of_a_small_scan(make_bundle: Make) -> None:
    assert (
        bytes_after(
            make_bundle().plan, job("x.nii.gz", "record"), FinalizeOptions({"bright": 7}), 1000
        )
        == 64 * 1000
    )


def test_labels_and_pieces_that_go(make_bundle: Make) -> None:
    plan = make_bundle(labels=ALL).plan
    labels = Volume(
        np.array([1, 1, 0, 2, 0, 2, 2], np.uint8).reshape(1, 7, 1, 1), np.diag([2.0, 1, 1, 1])
    )
    assert finalize(labels, plan, FinalizeOptions(ONE)).array.ravel().tolist() == [
        0,
        0,
        0,
        2,
        0,
        2,
        2,
    ]
    assert finalize(labels, plan, FinalizeOptions(ALL, 4.0)).array.ravel().tolist() == [
        1,
        1,
        0,
        0,
        0,
        2,
        2,
    ]
    assert (
        finalize(labels, plan, FinalizeOptions(ALL)).array.ravel().tolist()
        == labels.array.ravel().tolist()
    )


def test_what_follows_is_refused_before_the_network_starts(
    make_bundle: Make, tmp_path: Path
) -> None:
    """The windows of the scan fit; its structures do not: 12 bytes per voxel, and a library."""
    write_image(tmp_path / "x.nii", Volume(np.zeros((1, 200, 200, 100), np.uint8), np.eye(4)))
    bundle = make_bundle(patch=(32, 32, 32))
    predictor = Predictor(bundle, max_memory=resident_memory() + (100 << 20))
    scan = Scan("x", (tmp_path / "x.nii",))
    predict_job(predictor, Job(scan, tmp_path / "y.nii"), FinalizeOptions({"bright": 7}))
    with pytest.raises(OutOfMemoryError, match="200 x 200 x 100 voxels take at least 1"):
        predictor.predict(scan.read(), after=(110 << 20) + 12 * 4_000_000)
