"""TrainingLoss, and its recording as a CUDA graph, which gives the same numbers."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from torch import Tensor, nn

from segkit.config.schema import TrainerConfig
from segkit.networks import build_network
from segkit.networks.precision import ComputeMode, network_to_memory_format
from segkit.plans.norm_catalogue import NormKind
from segkit.plans.plan import Plan
from segkit.training.optimization.cuda_graph import GraphedLoss, TrainingLoss, can_be_graphed
from segkit.training.optimization.losses import build_loss, set_progress

needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
FULL = ComputeMode("float32", "channels_last")


def step_of(plan: Plan, device: str, trainer: TrainerConfig | None = None) -> TrainingLoss:
    torch.manual_seed(0)
    network = network_to_memory_format(build_network(plan).to(device), FULL.layout)
    return TrainingLoss(
        network, build_loss(trainer or TrainerConfig(), plan).to(device), slice_axis=None, mode=FULL
    )


def batch(plan: Plan, device: str, seed: int = 0, size: int = 2) -> tuple[Tensor, Tensor]:
    numbers = torch.Generator().manual_seed(seed)
    images = torch.randn(size, 1, *plan.patch, generator=numbers)
    labels = torch.randint(0, 2, (size, *plan.patch), generator=numbers, dtype=torch.uint8)
    return images.to(device), labels.to(device)


def with_norm(plan: Plan, norm: NormKind) -> Plan:
    def normed(stages: tuple) -> tuple:  # type: ignore[type-arg]
        layers = [
            tuple(dataclasses.replace(layer, norm=norm) for layer in stage.layers)
            for stage in stages
        ]
        return tuple(
            dataclasses.replace(stage, layers=own)
            for stage, own in zip(stages, layers, strict=True)
        )

    network = plan.network
    changed = dataclasses.replace(
        network, encoder=normed(network.encoder), decoder=normed(network.decoder)
    )
    return dataclasses.replace(plan, network=changed)


def test_on_a_cpu_nothing_is_recorded(plan_for_balls: Plan) -> None:
    step = step_of(plan_for_balls, "cpu")
    images, labels = batch(plan_for_balls, "cpu")
    assert not can_be_graphed(step, images)
    assert torch.equal(GraphedLoss(step, TrainerConfig())(images, labels), step(images, labels))


@pytest.mark.gpu
@needs_cuda
def test_what_was_recorded_gives_the_same_losses_and_gradients(
    plan_for_balls: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)
    plain, step = step_of(plan_for_balls, "cuda"), step_of(plan_for_balls, "cuda")
    replayed = GraphedLoss(step, TrainerConfig())
    for seed in range(3):
        images, labels = batch(plan_for_balls, "cuda", seed)
        for each in (plain, step):
            set_progress(each.loss, seed / 4)
            each.zero_grad()
        expected, found = plain(images, labels), replayed(images, labels)
        expected.backward()
        found.backward()
        assert found.item() == pytest.approx(expected.item(), rel=1e-4)
        for mine, theirs in zip(step.parameters(), plain.parameters(), strict=True):
            assert (mine.grad - theirs.grad).norm() <= 1e-2 * theirs.grad.norm() + 1e-6  # type: ignore[operator, union-attr]
    assert replayed._graph is not None


@pytest.mark.gpu
@needs_cuda
@pytest.mark.parametrize("norm", ["batch", "batch_renorm"])
def test_running_statistics_do_not_remember_the_recording(
    plan_for_balls: Plan, norm: NormKind
) -> None:
    plain, step = (step_of(with_norm(plan_for_balls, norm), "cuda") for _ in range(2))
    replayed = GraphedLoss(step, TrainerConfig())
    for seed in range(2):
        plain(*batch(plan_for_balls, "cuda", seed))
        replayed(*batch(plan_for_balls, "cuda", seed))
    for mine, theirs in zip(step.buffers(), plain.buffers(), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-4, atol=1e-5)


@pytest.mark.gpu
@needs_cuda
def test_a_batch_of_another_shape_is_computed_plainly(plan_for_balls: Plan) -> None:
    step = step_of(plan_for_balls, "cuda")
    replayed = GraphedLoss(step, TrainerConfig())
    replayed(*batch(plan_for_balls, "cuda"))
    other = batch(plan_for_balls, "cuda", seed=5, size=3)
    assert replayed(*other).item() == pytest.approx(step(*other).item(), rel=1e-4)


@pytest.mark.gpu
@needs_cuda
@pytest.mark.parametrize("trainer", [TrainerConfig(save_memory=True), TrainerConfig(accumulate=2)])
def test_where_recording_would_be_wrong_nothing_is(
    plan_for_balls: Plan, trainer: TrainerConfig
) -> None:
    replayed = GraphedLoss(step_of(plan_for_balls, "cuda"), trainer)
    replayed(*batch(plan_for_balls, "cuda"))
    assert replayed._graph is None


@pytest.mark.gpu
@needs_cuda
def test_other_networks_and_losses_are_not_recorded(plan_for_balls: Plan) -> None:
    images = torch.zeros(1, 1, 8, 8, 8, device="cuda")
    step = step_of(plan_for_balls, "cuda")
    assert can_be_graphed(step, images)
    assert not can_be_graphed(
        TrainingLoss(nn.Conv3d(1, 2, 3), step.loss, slice_axis=None, mode=FULL), images
    )
    nnunets = step_of(plan_for_balls, "cuda", TrainerConfig(loss="nnunet"))
    assert not can_be_graphed(nnunets, images)
