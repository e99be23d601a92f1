"""Tests of warnings about CT values that cannot be Hounsfield units."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from segkit.bundle.bundle import read_bundle
from segkit.inference.predictor import Predictor
from segkit.io import read_labels, read_volume
from segkit.plans.plan import ChannelPlan
from segkit.plans.ranges import ChannelRange
from segkit.preprocessing.intensity import Normalizer, normalizers
from segkit.preprocessing.scan_checks import values_warning
from segkit.volume import Volume

FROZEN = Path(__file__).parents[1] / "data" / "bundle_v1"
SOFT = ChannelPlan("CT", "ct", lower=-80, upper=240, mean=60, std=40)
BONE = ChannelPlan("CT", "ct", lower=100, upper=1500, mean=500, std=300)


def warned(found: list[Normalizer]) -> list[str]:
    return [warning for each in found if (warning := values_warning(each, None))]


def between(low: float, high: float) -> NDArray[np.float32]:
    return np.linspace(low, high, 64, dtype=np.float32).reshape(1, 4, 4, 4)


@pytest.mark.parametrize(
    ("channel", "low", "high", "said"),
    [
        (
            SOFT,
            0,
            255,
            (
                "as in a picture of 8 bits; the labeled voxels of the training data go from -80 to"
                r" 240 HU\. Is this a CT\?$"
            ),
        ),
        (BONE, 0, 255, "as in a picture of 8 bits"),
        (
            SOFT,
            0,
            4095,
            "none is below 0; .* from -80 to 240 HU. Is an offset, such as -1024, missing",
        ),
        (SOFT, -30000, -1000, "go from -30000 to -1000, and none is in the range of the training"),
        (BONE, 5000, 9000, "none is in the range of the training"),
        (SOFT, -3, 4, "seem to be scaled"),
        (BONE, 0, 1, "8 bits"),
    ],
)
def test_values_that_contradict_the_training(
    channel: ChannelPlan, low: float, high: float, said: str
) -> None:
    (problem,) = warned(normalizers(between(low, high), [channel]))
    assert problem.startswith("the values go from ")
    assert re.search(said, problem)


@pytest.mark.parametrize(
    ("channel", "low", "high"),
    [
        (SOFT, -1024, 3071),
        (SOFT, -3024, 1800),
        (SOFT, -160, 240),  # cut off before
        (SOFT, -20, 90),  # a crop inside the body
        (BONE, -1000, 900),
        (BONE, 0, 2000),  # cut off before
        (ChannelPlan("MR", "zscore"), 0, 255),
        (ChannelPlan("MR", "zscore"), 0, 1),
        (ChannelPlan("noNorm", "none"), 0, 1),
    ],
)
def test_values_that_may_be(channel: ChannelPlan, low: float, high: float) -> None:
    assert warned(normalizers(between(low, high), [channel])) == []


def test_a_constant_channel_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    Predictor(read_bundle(FROZEN)).predict(Volume(between(9, 9), np.eye(4)), where="a.nii")
    assert [record.getMessage() for record in caplog.records if record.levelname == "WARNING"] == [
        "a.nii: channel CT: the scan has one constant value; nothing can be told apart in it"
    ]


def test_a_prediction_warns(caplog: pytest.LogCaptureFixture) -> None:
    Predictor(read_bundle(FROZEN)).predict(Volume(between(0, 255), np.eye(4)), where="a.nii")
    assert (
        "a.nii: channel CT: the values go from 0 to 255, as in a picture of 8 bits" in caplog.text
    )


@pytest.mark.parametrize(
    ("scan", "labels"),
    [
        ("ct/example_ct_sm.nii.gz", "ct/example_seg.nii.gz"),
        ("ct_chest/CTChest4.nrrd", "ct_chest/Segmentation.seg.nrrd"),
    ],
)
def test_no_warning_for_what_a_model_was_trained_on(
    data_root: Path, scan: str, labels: str
) -> None:
    volume, array = read_volume(data_root / scan), read_labels(data_root / labels).array
    for value in np.unique(array[array > 0]):
        lower, upper = np.percentile(volume.array[array == value], (0.5, 99.5))
        channel = ChannelPlan("CT", "ct", lower=float(lower), upper=float(upper))
        assert warned(normalizers(volume.array, [channel])) == []


@pytest.mark.parametrize(
    ("scan", "odd"),
    [
        ("ct/example_ct.nii.gz", False),
        ("ct_chest/CTChest4.nrrd", False),
        ("ct/example_mr_sm.nii.gz", True),
    ],
)
def test_an_mr_is_told_from_ct(data_root: Path, scan: str, odd: bool) -> None:
    (found,) = normalizers(read_volume(data_root / scan).array, [SOFT])
    warning = values_warning(found, ChannelRange((-1100.0, -990.0), (1207.0, 3071.0)))
    assert (
        "the lowest value is -47; the training data reach -1100 to -990" in (warning or "")
    ) == odd
    assert (warning is None) != odd
