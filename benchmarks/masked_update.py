"""Measure Muon's update of a pruned network with and without the gradients of pruned weights.

    segkit train dataset=DATASET run_dir=RUN trainer.rewind_step=20
    python benchmarks/masked_update.py RUN MASK

RUN is a finished training with a rewind file, MASK a mask of its network. The gradients are those
of BATCHES batches of the run's training cases at the rewound weights, averaged as Muon averages
them. For each kernel the table has the share of the update that falls on pruned weights (of the sum
of squares, and lost, as pruned weights stay 0), the size of the kept weights' update in relation to
a dense network's (root mean square), and the cosine between the two updates of kept weights.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from torch import Tensor, nn

from segkit.bundle.bundle import read_bundle
from segkit.bundle.mask_lookup import find_mask
from segkit.config.run_file import read_config
from segkit.config.schema import TrainConfig
from segkit.dataset.layouts import read_dataset
from segkit.dataset.split import split_cases
from segkit.networks.masks import Masks, apply_masks
from segkit.plans.plan import Plan
from segkit.preprocessing.case_store import prepare_cases
from segkit.sliding_window.windows import apply_network
from segkit.training.data.patches import PatchDataset, PatchRules
from segkit.training.optimization.losses import build_loss
from segkit.training.optimization.optimizers import orthogonalize
from segkit.training.outputs.rewind import read_rewind
from segkit.training.outputs.run_folder import prepared_folder

BATCHES, MOMENTUM = 8, 0.95


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("run", type=Path)
    parser.add_argument("mask")
    given = parser.parse_args()
    masks = find_mask(given.mask).masks
    momenta = _momenta(given.run, masks)
    squares = sum(float(momentum.square().sum()) for momentum in momenta.values())
    pruned = sum(float(momenta[name][~kept].square().sum()) for name, kept in masks.items())
    print(f"share of the gradient on pruned weights: {pruned / squares:.3f}")
    print(f"{'kernel':34}{'density':>8}{'lost':>14}{'size':>14}{'cosine':>8}")
    print(f"{'gradients of pruned weights':34}{'':>8}{'kept':>7}{'0':>7}{'kept':>7}{'0':>7}")
    rows = [_row(momenta[name], kept) for name, kept in masks.items()]
    for name, row in zip(masks, rows, strict=True):
        print(_line(name, row))
    print(_line("mean", torch.tensor(rows).mean(0).tolist()))


def _line(name: str, row: list[float]) -> str:
    density, *rest, cosine = row
    return f"{name:34}{density:8.3f}{''.join(f'{value:7.2f}' for value in rest)}{cosine:8.2f}"


def _row(momentum: Tensor, kept: Tensor) -> list[float]:
    """Return density, lost shares, sizes and cosine of one kernel."""
    place, matrix = kept.flatten(1), momentum.flatten(1)
    updates = orthogonalize([matrix, matrix * place])
    lost = [float(update[~place].square().sum() / update.square().sum()) for update in updates]
    # The root mean square of a whole orthogonal matrix is 1 / sqrt(its longer side).
    longer = max(matrix.shape) ** 0.5
    sizes = [float(update[place].square().mean().sqrt()) * longer for update in updates]
    cosine = nn.functional.cosine_similarity(updates[0][place], updates[1][place], dim=0)
    return [float(place.float().mean()), *lost, *sizes, float(cosine)]


def _momenta(run: Path, masks: Masks) -> dict[str, Tensor]:
    """Return the averaged gradients of all kernels at the rewound and pruned weights."""
    config, model = read_config(run / "config.yaml"), read_bundle(run)
    network = model.networks()[0].requires_grad_(True).train()
    read_rewind(run).fill(network)
    apply_masks(network, masks)
    loss = build_loss(config.trainer, model.plan)
    kernels = {name: network.get_parameter(name) for name in masks}
    momenta = {name: torch.zeros_like(kernel) for name, kernel in kernels.items()}
    patches, size = _patches(config, model.plan, run), model.plan.batch_size
    for number in range(BATCHES):
        batch = [patches[number * size + index] for index in range(size)]
        network.zero_grad()
        images = torch.stack([patch["image"] for patch in batch])
        labels = torch.stack([patch["labels"] for patch in batch]).long()
        loss(apply_network(network, images, model.plan.slice_axis), labels).backward()
        for name, kernel in kernels.items():
            if kernel.grad is not None:
                momenta[name].lerp_(kernel.grad, 1 - MOMENTUM)
    return momenta


def _patches(config: TrainConfig, plan: Plan, run: Path) -> PatchDataset:
    dataset = read_dataset(config.dataset.path)
    cases = split_cases(dataset, config.fold, config.folds).training[: BATCHES * plan.batch_size]
    prepared = prepare_cases(cases, dataset, plan, prepared_folder(config, run))
    rules = PatchRules(plan, config.augment, config.seed, config.trainer.foreground)
    return PatchDataset(prepared, rules)


if __name__ == "__main__":
    main()
