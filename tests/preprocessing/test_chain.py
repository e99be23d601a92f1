from __future__ import annotations

from itertools import permutations, product
from typing import Any

import numpy as np
import pytest

from segkit.errors import InputError, OutOfMemoryError
from segkit.plans.plan import ChannelPlan, NetworkPlan, Plan
from segkit.preprocessing.chain import prepare, prepare_labels, prepare_parts
from segkit.volume import Volume

MR = ChannelPlan("MR", "zscore")


def plan(**changes: Any) -> Plan:
    fields: dict[str, Any] = {
        "name": "p",
        "dims": 3,
        "slice_axis": None,
        "channels": (MR,),
        "labels": {"a": 1, "b": 5},
        "spacing": (1.0, 1.0, 2.0),
        "unit": "mm",
        "patch": (8, 8, 8),
        "batch_size": 1,
        "mirror_axes": (),
        "crop_to_content": True,
        "network": NetworkPlan("unet", "relu", (), ()),
    }
    return Plan(**(fields | changes))


def scan(affine: np.ndarray | None = None, shape: tuple[int, int, int] = (8, 10, 12)) -> Volume:
    array = np.zeros((1, *shape), dtype=np.float32)
    array[0, 1:-1, 2:-2, 3:-3] = np.random.default_rng(0).normal(
        size=[n - 2 * i for i, n in enumerate(shape, start=1)]
    )
    return Volume(array, np.eye(4) if affine is None else affine)


def test_crop_normalise_resample() -> None:
    prepared = prepare(scan(), plan())
    assert prepared.inverse.box == (slice(1, 7), slice(2, 8), slice(3, 9))
    assert prepared.inverse.cropped_shape == (6, 6, 6)
    assert prepared.image.shape == (1, 6, 6, 3)
    assert prepared.image.dtype == np.float32
    assert prepared.image.flags.c_contiguous
    assert abs(prepared.image.mean()) < 0.05


def test_without_crop_the_border_stays() -> None:
    assert prepare(scan(), plan(crop_to_content=False)).image.shape == (1, 8, 10, 6)


def test_none_leaves_an_axis_as_it_is() -> None:
    assert prepare(scan(), plan(spacing=(None, 1.0, 1.0))).image.shape == (1, 6, 6, 6)


def test_labels_take_the_same_way() -> None:
    volume = scan()
    labels = volume.with_array((volume.array != 0).astype(np.uint8) * 2)
    prepared = prepare(volume, plan())
    indices = prepare_labels(labels, plan(), prepared.inverse)
    assert indices.shape == prepared.image.shape[1:]
    assert (indices == 2).all()


@pytest.mark.parametrize("order", list(permutations(range(3))))
@pytest.mark.parametrize("signs", list(product((1, -1), repeat=3)))
def test_a_corner_of_the_content_comes_back_to_its_corner(
    order: tuple[int, ...], signs: tuple[int, ...]
) -> None:
    affine = np.eye(4)
    affine[:3, :3] = np.eye(3)[:, list(order)] * signs
    volume = scan(affine)
    labels = np.zeros_like(volume.array, dtype=np.uint8)
    labels[0, 1, 2, 3] = 1
    inverse = prepare(volume, plan(spacing=(1.0, 1.0, 1.0))).inverse
    turned = prepare_labels(volume.with_array(labels), plan(), inverse)
    back = np.zeros(volume.grid.shape, np.uint8)
    inverse.view(back)[...] = turned
    np.testing.assert_array_equal(back, labels[0])


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (0.4, 2.0, 1.0), (2.0, 0.7, 0.5)])
@pytest.mark.parametrize("scheme", ["zscore", "ct"])
def test_a_part_has_the_voxels_of_the_whole(
    axis: int, spacing: tuple[float, float, float], scheme: str
) -> None:
    channel = (
        MR if scheme == "zscore" else ChannelPlan("CT", "ct", lower=-1, upper=2, mean=0.5, std=2)
    )
    wanted = plan(spacing=spacing, channels=(channel, MR))
    noise = np.random.default_rng(1).normal(size=(2, 9, 7, 8))
    volume = Volume(noise, np.diag([1, -1, 1, 1.0]))
    image = prepare(volume, wanted).image
    parts = prepare_parts(volume, wanted)
    size = image.shape[1 + axis]
    for start in range(0, size, 2):
        box = [slice(1, image.shape[1]), slice(0, image.shape[2] - 1), slice(1, 2)]
        box[axis] = slice(start, min(start + 2, size))
        np.testing.assert_array_equal(parts.part((box[0], box[1], box[2])), image[:, *box])


def test_a_mask_is_kept_where_a_channel_needs_it() -> None:
    assert prepare_parts(scan(), plan()).mask is None
    masked = prepare_parts(scan(), plan(channels=(ChannelPlan("MR", "zscore", masked=True),))).mask
    assert masked is not None
    assert masked.base is None  # no view of the whole scan's mask


def test_an_absurd_spacing_is_refused_before_anything_is_made() -> None:
    volume = scan(np.diag([1, 1, 5e9, 1]))
    with pytest.raises(
        OutOfMemoryError, match=r"voxels of 1 x 1 x 5e\+09 mm, resampled to the 6 x 6 x 15000000000"
    ):
        prepare_parts(volume, plan())


def test_another_number_of_channels_is_refused() -> None:
    with pytest.raises(
        InputError, match=r"s\.nii: expected 2 channels \(MR, MR\), found 1\. Give every channel"
    ):
        prepare(scan(), plan(channels=(MR, MR)), where="s.nii")
    three = Volume(np.zeros((3, 4, 4, 4)), np.eye(4))
    with pytest.raises(
        InputError, match=r"found 3\. .* Save the 2 that are meant as a file of their own\."
    ):
        prepare(three, plan(channels=(MR, MR)))


def test_a_picture_is_refused_where_mm_are_needed() -> None:
    picture = Volume(np.zeros((1, 4, 4, 1)), np.eye(4), "px")
    with pytest.raises(
        InputError,
        match=r"expected a scan with voxel sizes in mm, found a picture without voxel sizes\. Use "
        "a model that was trained on such images, or give the original scan as DICOM or NIfTI",
    ):
        prepare(picture, plan())


def test_memory_is_asked_for_before_it_is_taken() -> None:
    message = (
        r"s\.nii: 6 x 6 x 6 voxels of 1 x 1 x 1 mm, resampled to the 6 x 6 x 3 of .* "
        r"take 2\.2 KB, and 1\.0 KB may"
    )
    with pytest.raises(OutOfMemoryError, match=message):
        prepare(scan(), plan(), where="s.nii", max_memory=1000)
    far = scan(np.diag([2e5, 2e5, 2e5, 1]))
    with pytest.raises(
        OutOfMemoryError, match="resampled to the 1200000 x 1200000 x 600000 of the model's spacing"
    ):
        prepare(far, plan())


def test_no_voxels() -> None:
    with pytest.raises(InputError, match=r"scan: expected voxels, found the shape \(1, 0, 2, 2\)"):
        prepare(Volume(np.zeros((1, 0, 2, 2)), np.eye(4)), plan())


def test_a_constant_scan_and_a_single_slice_work(caplog: pytest.LogCaptureFixture) -> None:
    assert not prepare(Volume(np.ones((1, 4, 4, 4)), np.eye(4)), plan()).image.any()
    assert "one constant value" in caplog.text
    assert prepare(scan(shape=(8, 10, 7)), plan(spacing=(1.0, 1.0, 5.0))).image.shape == (
        1,
        6,
        6,
        1,
    )
    assert "one slice" not in caplog.text
    assert prepare(
        Volume(np.eye(8)[None, :, None], np.eye(4)), plan(), where="s.nii"
    ).image.shape == (1, 8, 1, 4)
    assert "s.nii: the scan is one slice, and the model was trained on volumes" in caplog.text


def test_more_voxels_than_anyone_waits_for() -> None:
    volume = Volume(np.ones((1, 20, 20, 20), np.float32), np.diag([20.0, 20.0, 20.0, 1.0]))
    with pytest.raises(
        InputError,
        match=r"found voxels of 20 x 20 x 20 mm, which become 400 x 400 x 400, 8000 times",
    ):
        prepare_parts(volume, plan(spacing=(1.0, 1.0, 1.0), crop_to_content=False), where="a.nii")
