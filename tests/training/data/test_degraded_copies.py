"""Degraded copies of a case: reproducible, with labels that follow the image."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from segkit.plans.plan import Plan
from segkit.preprocessing.case_store import PreparedCase
from segkit.training.data.degraded_copies import DEGRADATIONS, copies


@pytest.fixture
def case() -> PreparedCase:
    """A bright box in noise, which is label 1; Y is the longest axis."""
    image = np.random.default_rng(0).normal(0, 0.1, (1, 12, 20, 14)).astype(np.float32)
    labels = np.zeros(image.shape[1:], np.uint8)
    labels[2:8, 4:16, 3:9] = 1
    image[0][labels == 1] += 3
    return PreparedCase("a", (image - image.mean()) / image.std(), labels, {})


def by_kind(case: PreparedCase, plan: Plan) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    return {kind: (image.numpy(), labels.numpy()) for kind, image, labels in copies(case, plan)}


def test_the_case_stays_as_it_is(case: PreparedCase, plan_for_balls: Plan) -> None:
    before = case.image.copy()
    found = by_kind(case, plan_for_balls)
    assert list(found) == ["none", *DEGRADATIONS]
    np.testing.assert_array_equal(found["none"][0], before)
    np.testing.assert_array_equal(case.image, before)


def test_degraded_images_are_scored_like_new_scans(
    case: PreparedCase, plan_for_balls: Plan
) -> None:
    for kind, (image, labels) in by_kind(case, plan_for_balls).items():
        assert image.shape[1:] == labels.shape, kind
        assert image.mean() == pytest.approx(0, abs=1e-4), kind
        assert image.std() == pytest.approx(1, rel=1e-3), kind


def test_labels_follow_the_image(case: PreparedCase, plan_for_balls: Plan) -> None:
    found = by_kind(case, plan_for_balls)
    for kind in ("orientation", "cropped"):
        image, labels = found[kind]
        assert image[0][labels == 1].mean() > image[0][labels == 0].mean() + 1.5, kind
    assert found["orientation"][1].shape == (20, 14, 12)
    assert found["cropped"][1].shape[1] in range(7, 14)


def test_random_numbers_depend_on_the_case_only(case: PreparedCase, plan_for_balls: Plan) -> None:
    torch.manual_seed(1)
    before = torch.get_rng_state()
    first, again = (by_kind(case, plan_for_balls)["noise"][0] for _ in range(2))
    np.testing.assert_array_equal(first, again)
    assert torch.equal(torch.get_rng_state(), before)  # the training is not changed
    other = by_kind(dataclasses.replace(case, id="b"), plan_for_balls)["noise"][0]
    assert np.abs(other - first).max() > 0.1


def test_slices_of_a_2d_network_stay_slices(case: PreparedCase, plan_for_balls: Plan) -> None:
    plan = dataclasses.replace(plan_for_balls, dims=2, slice_axis=1, patch=(8, 1, 8))
    found = by_kind(case, plan)
    assert found["orientation"][1].shape == (14, 20, 12)
    assert found["cropped"][1].shape[:2] == (12, 20)
    blurred, original = found["blur"][0], found["none"][0]
    along_slices = [np.abs(np.diff(one, axis=2)).mean() for one in (blurred, original)]
    assert along_slices[0] > 0  # not smoothed into each other


def test_scheme_none_keeps_its_values(case: PreparedCase, plan_for_balls: Plan) -> None:
    channel = dataclasses.replace(plan_for_balls.channels[0], scheme="none")
    plan = dataclasses.replace(plan_for_balls, channels=(channel,))
    assert by_kind(case, plan)["noise"][0].std() > 1.05
