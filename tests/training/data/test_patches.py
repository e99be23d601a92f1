"""Patch i of epoch e depends on (seed, e, i) alone."""

from __future__ import annotations

import dataclasses
from collections import Counter

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from segkit.config.schema import AugmentConfig
from segkit.dataset.dataset import Dataset
from segkit.plans.plan import Plan, SymmetryPlan
from segkit.preprocessing.case_store import PreparedCase, prepare_cases
from segkit.training.data.patches import (
    ORDER_STREAM,
    PatchDataset,
    PatchNumbers,
    PatchRules,
    cut_patch,
    draw_center,
    stream,
)


@pytest.fixture(scope="module")
def cases(
    balls: Dataset, plan_for_balls: Plan, tmp_path_factory: pytest.TempPathFactory
) -> list[PreparedCase]:
    return prepare_cases(balls.cases, balls, plan_for_balls, tmp_path_factory.mktemp("prepared"))


def patches(
    cases: list[PreparedCase], plan: Plan, *, seed: int = 0, foreground: float = 0.5
) -> PatchDataset:
    return PatchDataset(cases, PatchRules(plan, AugmentConfig(), seed, foreground))


def test_the_same_number_gives_the_same_patch_in_any_order(
    cases: list[PreparedCase], plan_for_balls: Plan
) -> None:
    first, second = patches(cases, plan_for_balls), patches(cases, plan_for_balls)
    for number in (7, 0, 3, 7):
        a, b = first[number], second[number]
        assert torch.equal(a["image"], b["image"])
        assert torch.equal(a["labels"], b["labels"])


def test_seed_epoch_and_index_each_matter(cases: list[PreparedCase], plan_for_balls: Plan) -> None:
    data = patches(cases, plan_for_balls)
    base = data.patch(1, 2)["image"]
    for other in (
        data.patch(2, 2),
        data.patch(1, 3),
        patches(cases, plan_for_balls, seed=1).patch(1, 2),
    ):
        assert not torch.equal(base, other["image"])


def test_streams_do_not_repeat() -> None:
    draws = {float(stream(s, e, i).random()) for s in range(4) for e in range(4) for i in range(4)}
    assert len(draws) == 64


def batches(data: PatchDataset, count: int, size: int, **numbers: int) -> list[torch.Tensor]:
    workers = numbers.pop("workers", 0)
    loader = DataLoader(data, batch_size=size, sampler=PatchNumbers(**numbers), num_workers=workers)
    return [batch["image"] for batch, _ in zip(loader, range(count), strict=False)]


@pytest.fixture(scope="module")
def uneven(cases: list[PreparedCase]) -> list[PreparedCase]:
    """Test that patches are moved if one of four cases has a second label."""
    return [
        cases[0],
        *(dataclasses.replace(case, voxels={1: case.voxels[1]}, file=None) for case in cases[1:]),
    ]


def test_from_some_patch_on_nothing_is_changed_at_random(
    cases: list[PreparedCase], plan_for_balls: Plan
) -> None:
    data, changed = patches(cases, plan_for_balls), patches(cases, plan_for_balls)
    data.plain_from(6)
    for number in range(12):
        found = data[number]
        case, center, _ = data.draw(*divmod(number, len(cases)))
        box = tuple(
            slice(a - n // 2, a - n // 2 + n)
            for a, n in zip(center, plan_for_balls.patch, strict=True)
        )
        plain = np.array_equal(found["image"], np.asarray(case.image, np.float32)[:, *box])
        if number < 6:
            assert torch.equal(found["image"], changed[number]["image"])
        else:
            assert plain
            assert np.array_equal(found["labels"], case.labels[box])
    assert any(
        not torch.equal(data[number]["image"], changed[number]["image"]) for number in range(6, 12)
    )


def test_a_channel_goes_on_being_left_out(cases: list[PreparedCase], plan_for_balls: Plan) -> None:
    rules = PatchRules(plan_for_balls, AugmentConfig(channel_dropout=1.0), seed=0, foreground=0.5)
    data = PatchDataset(cases, rules)
    data.plain_from(0)
    assert not data[3]["image"].any()  # of one channel


def test_the_elements_of_a_group_move_patches_to_the_last_step(
    cases: list[PreparedCase], plan_for_balls: Plan
) -> None:
    plan = dataclasses.replace(plan_for_balls, training_poses=SymmetryPlan("mirror", (0,)))
    plain, mirrored = patches(cases, plan_for_balls).plain(), patches(cases, plan).plain()
    pairs = [(plain[number]["image"], mirrored[number]["image"]) for number in range(12)]
    kept = [torch.equal(one, other) for one, other in pairs]
    flipped = [torch.equal(one.flip(1), other) for one, other in pairs]
    assert all(a != b for a, b in zip(kept, flipped, strict=True))
    assert {*kept} == {True, False}


@pytest.mark.parametrize("workers", [0, 2])
def test_processes_that_cut_patches_hear_where_the_plain_end_begins(
    workers: int, cases: list[PreparedCase], plan_for_balls: Plan
) -> None:
    data, expected = patches(cases, plan_for_balls), patches(cases, plan_for_balls)
    expected.plain_from(40)
    found = iter(DataLoader(data, batch_size=2, sampler=PatchNumbers(), num_workers=workers))
    for step in range(24):
        if step == 2:
            data.plain_from(40)
        batch = next(found)["image"]
        assert torch.equal(
            batch, torch.stack([expected[2 * step]["image"], expected[2 * step + 1]["image"]])
        )


@pytest.mark.filterwarnings("ignore:This DataLoader will create 4 worker processes")
@pytest.mark.parametrize("workers", [1, 4])
def test_workers_change_nothing(
    workers: int, uneven: list[PreparedCase], plan_for_balls: Plan
) -> None:
    data = patches(uneven, plan_for_balls)
    assert data.balance.share > 0
    for ours, theirs in zip(batches(data, 5, 2), batches(data, 5, 2, workers=workers), strict=True):
        assert torch.equal(ours, theirs)


@pytest.mark.parametrize("ranks", [1, 2, 4])
def test_ranks_together_see_what_one_process_sees(
    ranks: int, uneven: list[PreparedCase], plan_for_balls: Plan
) -> None:
    data = patches(uneven, plan_for_balls)
    parts = [
        batches(data, 3, 4 // ranks, start=8, rank=rank, world_size=ranks) for rank in range(ranks)
    ]
    for whole, *split in zip(batches(data, 3, 4, start=8), *parts, strict=True):
        assert torch.equal(torch.stack(split, dim=1).flatten(0, 1), whole)


def test_after_a_resume_the_same_patches_come(
    uneven: list[PreparedCase], plan_for_balls: Plan
) -> None:
    whole = batches(patches(uneven, plan_for_balls), 6, 2)
    resumed = batches(patches(uneven, plan_for_balls), 3, 2, start=6)
    assert all(torch.equal(ours, theirs) for ours, theirs in zip(whole[3:], resumed, strict=True))


def test_where_every_case_has_every_label_the_stream_is_the_plain_one(
    cases: list[PreparedCase], plan_for_balls: Plan
) -> None:
    data = patches(cases, plan_for_balls)
    for number in range(12):
        epoch, index = divmod(number, 4)
        random = stream(0, epoch, index)
        case = cases[stream(0, epoch, ORDER_STREAM).permutation(4)[index]]
        image, _ = cut_patch(case, data.rules, draw_center(case, data.rules, random), random)
        assert torch.equal(data[number]["image"], image)


def test_a_label_of_one_case_in_twenty_is_seen_about_as_often_as_the_others(
    cases: list[PreparedCase], plan_for_balls: Plan
) -> None:
    """Test a second label with one voxel in the last case only, far from the first label."""
    plan = dataclasses.replace(plan_for_balls, patch=(4, 4, 4))
    near, far = np.full((1, 3), 2, np.int32), np.full((1, 3), 13, np.int32)
    common = [
        dataclasses.replace(cases[0], id=str(number), voxels={1: near}, file=None)
        for number in range(19)
    ]
    data = patches(
        [*common, dataclasses.replace(cases[0], id="rare", voxels={1: near, 2: far}, file=None)],
        plan,
    )
    drawn = [data.draw(*divmod(number, 20)) for number in range(4000)]
    seen = Counter(int(center[0]) for _, center, _ in drawn if len(set(center.tolist())) == 1)
    # 10 of the 20 patches per epoch are foreground: 9.75 on the first label and 0.25 on the second,
    # which is 4.75 too few.
    assert seen[13] / 4000 == pytest.approx((4.75 + 0.25) / 24.75, rel=0.1)
    assert seen[2] / 4000 == pytest.approx(9.75 / 24.75, rel=0.1)
    others = Counter(case.id for case, _, _ in drawn)
    assert min(others.values()) > 0.7 * 4000 / 20


def test_threads_change_nothing(plan_for_balls: Plan) -> None:
    """Test that one thread sums 200,000 voxels, whose sum depends on the number of threads."""
    plan = dataclasses.replace(plan_for_balls, patch=(60, 60, 60))
    image = stream(0, 0, 0).standard_normal((1, 90, 90, 90), dtype=np.float32)
    case = PreparedCase("noise", image, (image[0] > 0).astype(np.uint8), {})
    every = AugmentConfig(
        rotate=1, noise=1, blur=1, brightness=1, contrast=1, lowres=1, gamma=1, gamma_inverted=1
    )
    drawn, threads = (
        PatchDataset([case], PatchRules(plan, every, seed=0, foreground=0)),
        torch.get_num_threads(),
    )
    found = []
    for count in (1, 2, 3):
        torch.set_num_threads(count)
        found.append(drawn.patch(0, 0)["image"])
    torch.set_num_threads(threads)
    assert torch.equal(found[0], found[1])
    assert torch.equal(found[0], found[2])


def test_labels_stay_as_small_as_they_are_stored(plan_for_balls: Plan) -> None:
    plan = dataclasses.replace(plan_for_balls, patch=(8, 8, 8))
    for stored, drawn in ((np.uint8, torch.uint8), (np.uint16, torch.int32)):
        labels = np.full((10, 10, 10), np.iinfo(stored).max, stored)
        case = PreparedCase("full", np.zeros((1, 10, 10, 10), np.float32), labels, {})
        found = PatchDataset(
            [case], PatchRules(plan, AugmentConfig(rotate=0, scale=0), 0, 0.0)
        ).patch(0, 0)["labels"]
        assert found.dtype == drawn
        assert (found == np.iinfo(stored).max).all()


def test_an_epoch_shows_every_case_once(cases: list[PreparedCase], plan_for_balls: Plan) -> None:
    data = patches(cases, plan_for_balls)
    for epoch in range(3):
        assert sorted(data.patch(epoch, i)["case"] for i in range(4)) == [
            f"case_{i}" for i in range(4)
        ]


def test_a_patch_on_foreground_holds_its_label(
    cases: list[PreparedCase], plan_for_balls: Plan
) -> None:
    small = dataclasses.replace(plan_for_balls, patch=(4, 4, 4))
    rules = PatchRules(small, AugmentConfig(), 0, foreground=1.0)
    for index in range(30):
        x, y, z = draw_center(cases[0], rules, stream(0, 0, index))
        assert cases[0].labels[x - 2 : x + 2, y - 2 : y + 2, z - 2 : z + 2].any()


def test_patches_reach_every_corner_and_stay_inside(
    cases: list[PreparedCase], plan_for_balls: Plan
) -> None:
    small = dataclasses.replace(plan_for_balls, patch=(8, 8, 8))
    rules = PatchRules(small, AugmentConfig(), 0, foreground=0.0)
    starts = np.array([draw_center(cases[0], rules, stream(0, 0, i)) - 4 for i in range(400)])
    assert starts.min(0).tolist() == [0, 0, 0]
    assert starts.max(0).tolist() == [n - 8 for n in cases[0].labels.shape]


def test_a_scan_smaller_than_the_patch_is_surrounded_by_zeros(
    cases: list[PreparedCase], plan_for_balls: Plan
) -> None:
    large = dataclasses.replace(plan_for_balls, patch=(32, 32, 32))
    none = AugmentConfig(
        rotate=0, scale=0, noise=0, blur=0, brightness=0, contrast=0, lowres=0, gamma=0
    )
    none.gamma_inverted = 0
    sample = PatchDataset(cases, PatchRules(large, none, 0, 0.0)).patch(0, 0)
    case = next(case for case in cases if case.id == sample["case"])
    assert sample["image"].shape == (1, 32, 32, 32)
    assert sample["image"].sum().item() == pytest.approx(float(case.image.sum()), abs=1e-2)
    assert (sample["labels"] > 0).sum() == (case.labels > 0).sum()


def test_a_single_slice_among_volumes_can_be_drawn_from_anywhere(plan_for_balls: Plan) -> None:
    plan = dataclasses.replace(plan_for_balls, patch=(40, 40, 40))
    slices = np.ones((1, 60, 60, 1), np.float32)
    case = PreparedCase("slice", slices, np.zeros((60, 60, 1), np.uint8), {})
    augment = AugmentConfig(rotate=0, scale=1, scale_range=[1.4, 1.4], noise=0, blur=0, lowres=0)
    drawn = PatchDataset([case], PatchRules(plan, augment, seed=0, foreground=0))
    images = [drawn.patch(epoch, 0)["image"] for epoch in range(40)]
    assert {tuple(image.shape) for image in images} == {(1, 40, 40, 40)}
    assert any(image.any() for image in images)
    assert not all(image.any() for image in images)  # the box lay beside the slice
