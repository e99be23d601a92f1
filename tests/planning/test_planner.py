from __future__ import annotations

from typing import Any

import pytest

from segkit.errors import UsageError

MM = (1.0, 1.0, 1.0)


def widths(plan: Any) -> list[int]:
    return [stage.layers[0].channels for stage in plan.network.encoder]


def test_hippocampus(fingerprint: Any, decide: Any) -> None:
    plan = decide(fingerprint())
    assert plan.patch == (40, 56, 40)
    assert plan.spacing == (1, 1, 1)
    assert plan.batch_size == 2
    assert plan.mirror_axes == (0, 2)
    assert widths(plan) == [16, 32, 64, 128]
    assert plan.network.divisor == (8, 8, 8)
    assert plan.label_values == (0, 1, 2)
    assert {layer.groups * 2 == layer.channels for layer in plan.network.layers} == {True}


def test_spacing_is_the_median(fingerprint: Any, decide: Any) -> None:
    spacings = ((1.0, 1.0, 1.0), (2.0, 1.0, 1.0), (1.5, 1.0, 1.0))
    assert decide(fingerprint(spacings=spacings)).spacing == (1.5, 1, 1)
    assert decide(fingerprint(spacings=((0.79999900, 0.8, 0.8),))).spacing == (0.8, 0.8, 0.8)


def test_thick_slices_take_the_finest_tenth(fingerprint: Any, decide: Any) -> None:
    spacings = tuple((0.5, 0.5, edge) for edge in (2.0, 4.0, 4.0, 5.0, 5.0))
    plan = decide(fingerprint((256, 256, 20), spacings))
    assert plan.spacing == (0.5, 0.5, 2.8)
    assert "finest tenth" in plan.reasons["spacing"]
    assert plan.network.encoder[0].kernel == (3, 3, 1)


def test_thick_slices_never_get_finer_than_the_others(fingerprint: Any, decide: Any) -> None:
    spacings = tuple((1.0, 1.0, edge) for edge in (0.5, 0.5, 5.0, 5.0, 5.0))
    assert decide(fingerprint((256, 256, 20), spacings)).spacing == (1, 1, 1)


def test_many_thick_slices_stay_at_the_median(fingerprint: Any, decide: Any) -> None:
    spacings = tuple((0.5, 0.5, edge) for edge in (2.0, 4.0, 4.0))
    assert decide(fingerprint((100, 100, 90), spacings)).spacing == (0.5, 0.5, 4)


def test_memory_shrinks_the_patch(fingerprint: Any, decide: Any) -> None:
    measured = fingerprint((140, 170, 140))
    small, large = decide(measured, memory="512MB"), decide(measured, memory="8GB")
    assert small.patch == (48, 64, 48)
    assert large.patch == (128, 128, 128)
    assert "cut down to fit the memory" in small.reasons["patch"]
    assert decide(measured).patch == decide(measured, memory="500mb").patch
    assert (
        decide(measured, memory="512MB", batch_size=1).patch == decide(measured, memory="1gb").patch
    )


def test_parts_of_scans_come_one_at_a_time(fingerprint: Any, decide: Any) -> None:
    parts, whole = fingerprint((140, 170, 140)), fingerprint()
    assert (
        decide(parts, batch_size=None).batch_size,
        decide(whole, batch_size=None).batch_size,
    ) == (1, 2)
    assert decide(parts, batch_size=None).patch == decide(parts, batch_size=2).patch
    assert "A step takes one patch only" in decide(parts, batch_size=None).reasons["patch"]
    assert decide(parts, batch_size=None, norm="batch").batch_size == 2
    assert decide(whole, batch_size=None, patch=[32, 56, 40]).batch_size == 1


@pytest.mark.parametrize("text", ["1KB", "8", "0GB"])
def test_too_little_memory(fingerprint: Any, decide: Any, text: str) -> None:
    with pytest.raises(
        UsageError, match=rf"plan\.memory={text} is too little for a batch of 2 of any patch\. Give"
    ):
        decide(fingerprint(), memory=text)


def test_given_spacing_and_patch(fingerprint: Any, decide: Any) -> None:
    plan = decide(fingerprint(), spacing=[2, 2, 2], patch=[16, 20, 16])
    assert plan.spacing == (2, 2, 2)
    assert plan.patch == (16, 20, 16)
    assert (
        "rounded up from 15 x 20 x 16" in decide(fingerprint(), patch=[15, 20, 16]).reasons["patch"]
    )


@pytest.mark.parametrize("edges", [[1, 1], [1, 1, 0], [1, 1, 1, 1]])
def test_bad_spacing_and_patch(fingerprint: Any, decide: Any, edges: list[int]) -> None:
    with pytest.raises(
        UsageError, match=r"plan\.spacing=.* needs three positive numbers, for X, Y and Z"
    ):
        decide(fingerprint(), spacing=edges)
    with pytest.raises(UsageError, match=r"plan\.patch=.* needs three whole numbers of at least 1"):
        decide(fingerprint(), patch=edges)


def test_features_fix_the_depth(fingerprint: Any, decide: Any) -> None:
    plan = decide(fingerprint(), features=[8, 24])
    assert widths(plan) == [8, 24]
    assert plan.patch == (36, 50, 36)


def test_too_many_features(fingerprint: Any, decide: Any) -> None:
    with pytest.raises(
        UsageError,
        match=r"network\.features=\[8, 8, 8, 8, 8\] has 5 stages, but the patch 40 x 56 x 40",
    ):
        decide(fingerprint(), features=[8] * 5)


@pytest.mark.parametrize("features", [[16], [16, 0]])
def test_bad_features(fingerprint: Any, decide: Any, features: list[int]) -> None:
    with pytest.raises(UsageError, match="needs at least two stages of at least one channel"):
        decide(fingerprint(), features=features)


def test_a_norm_that_does_not_fit_names_the_layer(fingerprint: Any, decide: Any) -> None:
    with pytest.raises(UsageError, match=r"Layer encoder\.1\.0: 7 channels"):
        decide(fingerprint(), features=[8, 7, 16])


def test_2d_cuts_across_the_coarsest_axis(fingerprint: Any, decide: Any) -> None:
    plan = decide(fingerprint((100, 20, 100), ((1.0, 3.0, 1.0),) * 3), dims=2)
    assert plan.slice_axis == 1
    assert plan.spacing == (1, None, 1)
    assert plan.patch[1] == 1
    assert 1 not in plan.mirror_axes
    assert "across y" in plan.reasons["slices"]


@pytest.mark.parametrize(
    ("shape", "axis"), [((35, 50, 36), 0), ((36, 50, 36), 2), ((40, 40, 40), 2), ((1, 50, 36), 0)]
)
def test_2d_of_equal_voxels_cuts_across_the_fewest(
    fingerprint: Any, decide: Any, shape: Any, axis: int
) -> None:
    assert decide(fingerprint(shape), dims=2).slice_axis == axis


def test_pictures(fingerprint: Any, decide: Any) -> None:
    plan = decide(
        fingerprint((200, 300, 1), (MM,) * 3, unit="px", channels=3),
        channels=("R", "G", "B"),
        dims=2,
    )
    assert (plan.unit, plan.slice_axis, plan.spacing) == ("px", 2, (1, 1, None))
    assert plan.patch[2] == 1
    assert plan.reasons["slices"] == "Every scan is a single slice."


def test_a_single_slice_needs_2d(fingerprint: Any, decide: Any) -> None:
    with pytest.raises(UsageError, match=r"holds single slices or pictures"):
        decide(fingerprint((200, 300, 1)), dims=3)


def test_a_single_slice_is_2d_unasked(fingerprint: Any, decide: Any) -> None:
    assert decide(fingerprint((200, 300, 1))).dims == 2
    assert decide(fingerprint((200, 300, 40))).dims == 3


def test_other_dimensions_are_refused(fingerprint: Any, decide: Any) -> None:
    with pytest.raises(UsageError, match=r"network\.dims=4 must be 2 or 3"):
        decide(fingerprint(), dims=4)


def test_scans_of_a_few_voxels_get_a_patch_that_can_be_halved(
    fingerprint: Any, decide: Any
) -> None:
    plan = decide(fingerprint((7, 5, 3)))
    assert plan.patch == (8, 8, 8)
    assert len(plan.network.encoder) == 2


def test_the_size_after_cropping_counts(fingerprint: Any, decide: Any) -> None:
    assert decide(fingerprint((200, 200, 200), cropped=(35, 50, 36))).patch == (40, 56, 40)


def test_the_reason_for_the_norm_is_the_true_one(fingerprint: Any, decide: Any) -> None:
    reasons = [
        decide(fingerprint(), **options).reasons["network"] for options in ({}, {"num_groups": 4})
    ]
    assert "as small as possible with 64 values or more in each" in reasons[0]
    assert reasons[1].endswith("group norm as asked.")
