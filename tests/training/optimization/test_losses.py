"""Losses whose value can be worked out by hand."""

from __future__ import annotations

import math

import pytest
import torch
from monai.losses.dice import DiceLoss
from torch.nn.functional import cross_entropy

from segkit.training.optimization.losses import (
    DeepSupervision,
    NnUNetLoss,
    PresentDice,
    RareLabelCrossEntropy,
    at_resolution,
    loss_by_name,
    set_progress,
)


def scores_for(labels: torch.Tensor, classes: int, confidence: float = 20.0) -> torch.Tensor:
    return confidence * torch.nn.functional.one_hot(labels, classes).movedim(-1, 1).float()


def test_dice_of_a_perfect_prediction_is_zero_and_of_a_wrong_one_is_one() -> None:
    labels = torch.tensor([[[0, 1], [1, 2]]])
    assert PresentDice()(scores_for(labels, 3), labels).item() == pytest.approx(0, abs=1e-4)
    assert PresentDice()(scores_for((labels + 1) % 3, 3), labels).item() == pytest.approx(
        1, abs=1e-4
    )


def test_dice_of_even_scores_by_hand() -> None:
    labels = torch.tensor([[[0, 1]]])
    # Both voxels have probability 1/2 for label 1: 2 * 1/2 / (1 + 1) = 1/2.
    assert PresentDice()(torch.zeros(1, 2, 1, 2), labels).item() == pytest.approx(0.5, abs=1e-4)


def test_an_absent_label_adds_nothing_to_dice() -> None:
    labels = torch.tensor([[[0, 1], [1, 0]]])
    # All probabilities are 1/3: 2 * 2/3 / (2 + 4/3) for the one label that is there.
    assert PresentDice()(torch.zeros(1, 3, 2, 2), labels).item() == pytest.approx(1 - 0.4, abs=1e-4)


def test_dice_without_any_label_is_zero_and_has_a_gradient_of_zero() -> None:
    scores = torch.randn(1, 3, 4, 4, requires_grad=True)
    loss = PresentDice()(scores, torch.zeros(1, 4, 4, dtype=torch.long))
    loss.backward()
    assert loss == 0
    assert scores.grad.abs().max() == 0


def test_a_rare_label_weighs_more_and_the_others_do_not() -> None:
    # Label 1 has four voxels, label 2 has one. The lower median is 1, so no label is rarer.
    two = torch.tensor([[[0, 1, 1, 1, 1, 2]]])
    scores = torch.randn(1, 3, 1, 6, generator=torch.Generator().manual_seed(0))
    assert RareLabelCrossEntropy()(scores, two).item() == pytest.approx(
        cross_entropy(scores, two).item()
    )
    # With a third label of four voxels the median is 4, and the one voxel of label 2 weighs 2.
    three = torch.tensor([[[0, 1, 1, 1, 1, 2, 3, 3, 3, 3]]])
    scores = torch.randn(1, 4, 1, 10, generator=torch.Generator().manual_seed(0))
    weights = torch.tensor([1.0, 1, 2, 1])
    assert RareLabelCrossEntropy()(scores, three).item() == pytest.approx(
        cross_entropy(scores, three, weight=weights).item()
    )


def test_the_weight_of_a_rare_label_fades_over_the_first_half_of_a_training() -> None:
    labels = torch.tensor([[[0, 1, 1, 1, 1, 2, 3, 3, 3, 3]]])
    scores = torch.randn(1, 4, 1, 10, generator=torch.Generator().manual_seed(0))
    for progress, weight in [(0, 2.0), (0.25, 2**0.5), (0.5, 1.0), (0.9, 1.0)]:
        loss = DeepSupervision(loss_by_name("dice_ce"))
        set_progress(loss, progress)
        expected = cross_entropy(
            scores, labels, weight=torch.tensor([1.0, 1, weight, 1])
        ) + PresentDice()(scores, labels)
        assert loss(scores, labels).item() == pytest.approx(expected.item())


def test_cross_entropy_without_any_label_is_the_plain_one() -> None:
    labels = torch.zeros(1, 2, 2, dtype=torch.long)
    assert RareLabelCrossEntropy()(torch.zeros(1, 2, 2, 2), labels).item() == pytest.approx(
        math.log(2)
    )


def test_dice_ce_adds_cross_entropy() -> None:
    labels = torch.tensor([[[0, 1]]])
    assert loss_by_name("dice_ce")(torch.zeros(1, 2, 1, 2), labels).item() == pytest.approx(
        0.5 + math.log(2), abs=1e-4
    )


def test_deep_supervision_weighs_halving() -> None:
    labels = torch.tensor([[[0, 0, 1, 1]] * 4])
    full, half = torch.zeros(1, 2, 4, 4), scores_for(torch.tensor([[[0, 1]] * 2]), 2)
    loss = DeepSupervision(loss_by_name("ce"))
    assert loss([full, half], labels).item() == pytest.approx(math.log(2) * 2 / 3, abs=1e-5)
    assert loss(full, labels).item() == pytest.approx(math.log(2), abs=1e-5)


@pytest.mark.parametrize("shape", [(4, 3, 8), (8, 1, 8), (5, 2, 3)])
def test_labels_at_a_lower_resolution_are_the_nearest(shape: tuple[int, int, int]) -> None:
    labels = torch.randint(0, 5, (2, 8, 6, 8), generator=torch.Generator().manual_seed(0))
    expected = torch.nn.functional.interpolate(
        labels[:, None].double(), shape, mode="nearest-exact"
    )[:, 0]
    assert torch.equal(at_resolution(labels, shape), expected.long())


def test_nnunet_loss_by_hand() -> None:
    labels = torch.tensor([[[[0, 1], [1, 0]], [[0, 0], [0, 0]]]])
    # Eight voxels, all probabilities 1/3. Dice of label 1 is 2 * 2/3 / (2 + 8/3); label 2, which is
    # absent, counts with Dice 0.
    expected = math.log(3) + 1 - (2 * 2 / 3 / (2 + 8 / 3)) / 2
    assert NnUNetLoss()(torch.zeros(1, 3, 2, 2, 2), labels).item() == pytest.approx(
        expected, abs=1e-5
    )


def test_nnunet_loss_is_of_each_volume_but_of_all_slices() -> None:
    labels = torch.tensor(
        [[[[1]], [[1]]], [[[0]], [[0]]]]
    )  # two slices (2, 1, 1), one of them empty
    scores = torch.zeros(2, 2, 2, 1, 1)
    together = 2 * 1 / (2 + 2)
    assert NnUNetLoss()(scores, labels).item() == pytest.approx(
        math.log(2) + 1 - together, abs=1e-4
    )
    labels, scores = labels.expand(2, 2, 2, 2), scores.expand(2, 2, 2, 2, 2)  # two volumes
    apart = (2 * 4 / (8 + 4) + 0) / 2
    assert NnUNetLoss()(scores, labels).item() == pytest.approx(math.log(2) + 1 - apart, abs=1e-4)


def test_the_lowest_head_may_weigh_nothing() -> None:
    labels = torch.zeros(1, 4, 4, 4, dtype=torch.long)
    heads = [torch.randn(1, 2, edge, edge, edge, requires_grad=True) for edge in (4, 2)]
    loss = DeepSupervision(loss_by_name("ce"), lowest=False)
    loss(heads, labels).backward()
    assert loss(heads, labels) == cross_entropy(heads[0], labels)
    assert heads[1].grad is not None
    assert not heads[1].grad.any()
    assert loss(heads[1], labels) != 0  # the only one counts


@pytest.mark.parametrize("classes", [2, 46])
def test_dice_without_a_mask_per_label_is_that_of_monai(classes: int) -> None:
    generator = torch.Generator().manual_seed(0)
    labels = torch.randint(0, classes, (2, 6, 5, 4), generator=generator)
    scores = torch.randn(2, classes, 6, 5, 4, generator=generator).contiguous(
        memory_format=torch.channels_last_3d
    )
    oracle = DiceLoss(
        include_background=False, to_onehot_y=True, softmax=True, batch=True, smooth_dr=1e-5
    )
    assert len(labels.unique()) == classes
    assert PresentDice()(scores, labels).item() == pytest.approx(
        oracle(scores, labels[:, None]).item(), rel=1e-5
    )
