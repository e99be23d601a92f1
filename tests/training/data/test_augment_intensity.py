"""Each intensity transform has its intended effect."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
import torch
from torch.nn.functional import interpolate

from segkit.config.schema import AugmentConfig
from segkit.training.data.augment_intensity import (
    add_noise_,
    augment_intensity,
    blur,
    change_contrast_,
    change_gamma_,
    lower_resolution,
    one_thread,
)

NONE = AugmentConfig(noise=0, blur=0, brightness=0, contrast=0, lowres=0, gamma=0, gamma_inverted=0)


def generator(seed: int = 0) -> np.random.Generator:
    return np.random.Generator(np.random.Philox(seed))


def noise_image(*shape: int) -> torch.Tensor:
    return torch.from_numpy(generator(5).standard_normal(shape, dtype=np.float32))


def checkerboard(*shape: int) -> torch.Tensor:
    return torch.from_numpy(np.indices(shape).sum(0) % 2).float()


def wave(axis: int, frequency: float, edge: int = 60) -> torch.Tensor:
    shape = [1, 1, 1]
    shape[axis] = edge
    return (
        torch.cos(2 * math.pi * frequency * torch.arange(edge)).view(shape).expand(edge, edge, edge)
    )


def test_no_probability_changes_nothing() -> None:
    image = noise_image(2, 6, 6, 6)
    assert torch.equal(augment_intensity(image.clone(), NONE, None, generator()), image)


@pytest.mark.parametrize("std", [0.05, 0.3])
def test_noise_has_the_asked_standard_deviation_and_no_mean(std: float) -> None:
    noise = add_noise_(torch.zeros(2, 40, 40, 40), std, generator())
    assert noise.std().item() == pytest.approx(std, rel=0.02)
    assert noise.mean().item() == pytest.approx(0, abs=0.01 * std)
    assert not torch.equal(noise[0], noise[1])


def test_blur_weakens_a_voxel_but_keeps_its_sum_and_the_mean() -> None:
    point = torch.zeros(15, 15, 15)
    point[7, 7, 7] = 1
    blurred = blur(point, (1.0, 1.0, 1.0))
    assert blurred.sum().item() == pytest.approx(1, abs=1e-5)
    assert blurred.max().item() == pytest.approx((1 / np.sqrt(2 * np.pi)) ** 3, rel=0.02)
    assert torch.allclose(blur(torch.ones(5, 5, 5), (0.7, 0.5, 1.0)), torch.ones(5, 5, 5))


@pytest.mark.parametrize("axis", range(3))
def test_blur_weakens_a_wave_as_a_gaussian_does(axis: int) -> None:
    frequency, sigma = 0.15, 0.9
    sigmas = [0.5, 0.5, 0.5]
    sigmas[axis] = sigma
    before, after = wave(axis, frequency), blur(wave(axis, frequency), sigmas)
    inner = (slice(5, -5),) * 3
    weaker = math.exp(-2 * (math.pi * frequency * sigma) ** 2)
    assert torch.allclose(after[inner], weaker * before[inner], atol=0.01)


def test_blur_and_low_resolution_leave_the_flat_axis_alone() -> None:
    point = torch.zeros(9, 9, 9)
    point[4, 4, 4] = 1
    assert blur(point, (1.0, 1.0, 1.0), 2)[..., 3].sum() == 0
    assert torch.equal(lower_resolution(wave(2, 0.5), 0.5, 2), wave(2, 0.5))
    assert not torch.equal(lower_resolution(wave(1, 0.5), 0.5, 2), wave(1, 0.5))


def test_low_resolution_wipes_out_a_checkerboard_and_keeps_a_ramp() -> None:
    assert lower_resolution(checkerboard(16, 16, 16), 0.5).std() == 0
    ramp = torch.arange(16.0).view(16, 1, 1).expand(16, 16, 16)
    off = lower_resolution(ramp, 0.5) - ramp
    assert 0 < off.abs().max().item() <= 1


@pytest.mark.parametrize("zoom", [0.5, 0.63, 0.9, 1.0])
def test_low_resolution_is_nearest_down_and_linear_up(zoom: float) -> None:
    image = noise_image(20, 13, 17)
    small = interpolate(
        image[None, None], [round(zoom * edge) for edge in image.shape], mode="nearest-exact"
    )
    back = interpolate(small, image.shape, mode="trilinear")[0, 0]
    assert torch.allclose(lower_resolution(image, zoom), back, atol=1e-5)


def test_contrast_scales_the_spread_about_the_mean_within_the_range() -> None:
    image = noise_image(20, 20, 20) + 4
    weaker, stronger = change_contrast_(image.clone(), 0.8), change_contrast_(image.clone(), 1.25)
    assert weaker.std().item() == pytest.approx(0.8 * float(image.std()), rel=1e-3)
    assert weaker.mean().item() == pytest.approx(float(image.mean()), abs=1e-3)
    assert stronger.std().item() == pytest.approx(1.25 * float(image.std()), rel=0.01)
    assert [stronger.min(), stronger.max()] == [image.min(), image.max()]


@pytest.mark.parametrize("gamma", [0.7, 1.5])
def test_gamma_bends_but_keeps_mean_and_deviation(gamma: float) -> None:
    image = noise_image(20, 20, 20)
    bent = change_gamma_(image.clone(), gamma)
    assert bent.mean().item() == pytest.approx(float(image.mean()), abs=1e-4)
    assert bent.std().item() == pytest.approx(float(image.std()), abs=1e-3)
    # A power above 1 squeezes the low values and stretches the high ones.
    skew = ((bent - bent.mean()) ** 3).mean() - ((image - image.mean()) ** 3).mean()
    assert (skew > 0.1) if gamma > 1 else (skew < -0.1)
    assert bent.flatten()[image.flatten().argsort()].diff().min() > -1e-5  # the order stays


def test_inverted_gamma_is_gamma_of_the_negative() -> None:
    config = dataclasses.replace(NONE, gamma_inverted=1, gamma_range=[1.5, 1.5])
    image = noise_image(1, 12, 12, 12)
    bent = augment_intensity(image.clone(), config, None, generator())[0]
    assert torch.allclose(bent, -change_gamma_(-image[0], 1.5))


@pytest.mark.parametrize(
    "change", [lambda x: change_gamma_(x, 0.7), lambda x: change_contrast_(x, 1.2)]
)
def test_a_constant_patch_stays_what_it_is(change: object) -> None:
    assert torch.equal(change(torch.full((4, 4, 4), 3.0)), torch.full((4, 4, 4), 3.0))  # type: ignore[operator]


def test_brightness_multiplies_each_channel_by_its_own_factor() -> None:
    config = dataclasses.replace(NONE, brightness=1.0)
    image = noise_image(2, 5, 5, 5)
    factors = augment_intensity(image.clone(), config, None, generator()) / image
    assert torch.allclose(factors, factors[:, :1, :1, :1].expand(2, 5, 5, 5))
    assert factors[0, 0, 0, 0] != factors[1, 0, 0, 0]


def test_factors_lie_within_their_range_below_1_as_often_as_above() -> None:
    config = dataclasses.replace(NONE, brightness=1.0, brightness_range=[0.75, 2.0])
    ones = torch.ones(2000, 1, 1, 1)
    factors = augment_intensity(ones, config, None, generator()).flatten()
    assert factors.min().item() == pytest.approx(0.75, abs=0.01)
    assert factors.max().item() == pytest.approx(2, abs=0.01)
    assert (factors < 1).float().mean().item() == pytest.approx(0.5, abs=0.04)


@pytest.mark.parametrize("kind", ["blur", "lowres"])
def test_half_of_the_channels_are_changed(kind: str) -> None:
    config = dataclasses.replace(NONE, **{kind: 1.0, "lowres_zoom": [0.5, 0.5]})
    image = noise_image(1, 4, 4, 4).expand(1000, 4, 4, 4)
    changed = (
        (augment_intensity(image.clone(), config, None, generator()) != image).flatten(1).any(1)
    )
    assert changed.float().mean().item() == pytest.approx(0.5, abs=0.05)


@pytest.mark.parametrize(
    ("kind", "probability"),
    [
        ("noise", 0.1),
        ("blur", 0.1),
        ("brightness", 0.15),
        ("contrast", 0.15),
        ("lowres", 0.125),
        ("gamma", 0.3),
    ],
)
def test_the_defaults_are_applied_as_often_as_nnunet_does(kind: str, probability: float) -> None:
    config = dataclasses.replace(NONE, **{kind: getattr(AugmentConfig(), kind)})
    image, random = noise_image(1, 32, 4, 4), generator()
    changed = [
        not torch.equal(augment_intensity(image.clone(), config, None, random), image)
        for _ in range(2000)
    ]
    assert np.mean(changed) == pytest.approx(probability, abs=0.03)


def test_one_thread_gives_the_others_back() -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    with one_thread():
        assert torch.get_num_threads() == 1
    assert torch.get_num_threads() == 2
    torch.set_num_threads(before)
