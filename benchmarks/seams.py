"""Why do neighboring windows disagree? Statistics of the norms, padding, or what a window sees.

    python benchmarks/seams.py RUN ... [--scan FILE] [--cases 1] [--largest 96] [--context 16]
                                       [--overlaps 0 0.25 0.5] [--threads 1]

Each RUN is a finished training whose dataset has not moved. Every validation case, or the training
case of a run with ``fold=all``, is predicted twice at each overlap: with evenly spread windows, and
with windows moved by half a step along every axis. "Mismatch" is the number of voxels whose labels
differ between the two, divided by the number of voxels that have a label in either. Without seams
it is 0. Dice is that of the first prediction.

* as it is: windows are averaged with Gaussian weights, as in segkit.
* frozen: mean and variance of every group norm are measured once per scan, over all windows without
  overlap together, and used in all windows. Batch norms are frozen by nature.
* aligned: windows begin at multiples of the network's strides. Two windows at other distances are
  not shifted copies of each other for a network with strides.
* replicated: convolutions continue the border of a window instead of adding zeros.
* trimmed: each voxel is taken from the window whose center is nearest, without averaging.
* with context: each window is predicted with ``--context`` more voxels of the scan on every side,
  which are then cut off. Neither padding nor a limited view reaches the window any more, if that is
  more than half the network's receptive field. It is done at the smallest overlap only, and with
  ``--context 0`` not at all.
* with context, frozen, aligned: a control, which should leave nothing.

"Work" is the number of voxels that the network computes, relative to windows as they are at an
overlap of 0.5, without the pass that measures statistics. Everything is computed in float32.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean

import numpy as np
import torch
from seams_windows import Tiles, frozen, padded
from torch import Tensor, nn
from torch.nn import functional

from segkit.bundle.bundle import Bundle, read_bundle
from segkit.config.run_file import read_config
from segkit.dataset.split import split_cases
from segkit.io import read_volume
from segkit.networks.precision import network_to_memory_format
from segkit.planning.plan_dataset import open_dataset
from segkit.plans.plan import Plan
from segkit.preprocessing.case_store import prepare_cases
from segkit.preprocessing.chain import prepare
from segkit.training.outputs.run_folder import prepared_folder
from segkit.training.validation import dice_per_label

HEADINGS = ("run", "cases", "overlap", "windows are", "work", "mismatch", "mean Dice")


@dataclass(frozen=True)
class Variant:
    """One way to predict windows and to join them."""

    name: str
    frozen: bool = False
    padding: str = "zeros"
    """Padding mode of the convolutions."""
    trimmed: bool = False
    aligned: bool = False
    context: bool = False


VARIANTS = (
    Variant("as it is"),
    Variant("frozen", frozen=True),
    Variant("aligned", aligned=True),
    Variant("frozen, aligned", frozen=True, aligned=True),
    Variant("replicated", padding="replicate"),
    Variant("trimmed", trimmed=True),
    Variant("with context", context=True),
    Variant("with context, frozen, aligned", context=True, frozen=True, aligned=True),
)


@dataclass(frozen=True)
class Scan:
    """Prepared scan, and its target indices if it has any."""

    image: Tensor
    labels: Tensor | None

    @classmethod
    def of(cls, image: np.ndarray, labels: np.ndarray | None, plan: Plan, largest: int) -> Scan:
        """Return at most ``largest`` voxels along each axis, around the middle of the labels.

        It is padded with zeros to a window at least, and to a multiple of the network's strides.
        """
        shape = np.array(image.shape[1:])
        middle = shape // 2 if labels is None else _middle(labels, len(plan.targets))
        edges = np.where(np.array(plan.patch) > 1, np.minimum(shape, largest), shape)
        steps = np.array(plan.network.divisor)
        starts = np.clip(middle - edges // 2, 0, shape - edges)
        box = tuple(slice(a, a + b) for a, b in zip(starts.tolist(), edges.tolist(), strict=True))
        added = (np.maximum(plan.patch, -(-edges // steps) * steps) - edges).tolist()
        widths = [width for count in reversed(added) for width in (0, count)]
        cut = functional.pad(torch.from_numpy(np.array(image[:, *box])), widths)
        if labels is None:
            return cls(cut, None)
        reference = torch.from_numpy(np.array(labels[box], np.int64))
        return cls(cut, functional.pad(reference, widths))


def _middle(labels: np.ndarray, targets: int) -> np.ndarray:
    found = np.argwhere((labels > 0) & (labels <= targets))
    return np.median(found, axis=0).astype(int) if len(found) else np.array(labels.shape) // 2


class Measured:
    """Figures of one scan; equal windows and frozen networks are computed once."""

    def __init__(self, plan: Plan, network: nn.Module, scan: Scan, context: int) -> None:
        self.plan, self.network, self.scan, self.context = plan, network, scan, context
        self.shape = tuple(scan.image.shape[1:])
        self._frozen: dict[tuple[bool, bool], nn.Module] = {}
        self._figures: dict[str, tuple[float, float, float]] = {}

    def figures(self, variant: Variant, overlap: float) -> tuple[float, float, float]:
        """Return work in voxels, mismatch, and mean Dice, which is NaN without labels."""
        context = self.context if variant.context else 0
        tiles = Tiles(self.plan, self.shape, context, variant.trimmed, variant.aligned)
        starts = [tiles.starts(overlap, moved=moved) for moved in (False, True)]
        key = f"{variant} {starts}"
        if key not in self._figures:
            self._figures[key] = self._compute(variant, tiles, *starts)
        return self._figures[key]

    def _compute(
        self, variant: Variant, tiles: Tiles, starts: list[list[int]], moved: list[list[int]]
    ) -> tuple[float, float, float]:
        network, image = self.network, self.scan.image
        if variant.padding != "zeros":
            network = padded(network, variant.padding)
        if variant.frozen:
            key = (variant.context, variant.aligned)
            if key not in self._frozen:
                self._frozen[key] = frozen(network, tiles, image)
            network = self._frozen[key]
        tiles.work = 0
        scores = tiles.predict(network, image, starts)
        work, other = float(tiles.work), tiles.predict(network, image, moved).argmax(0)
        labels = scores.argmax(0)
        labelled = int(((labels > 0) | (other > 0)).sum())
        dice = math.nan
        if self.scan.labels is not None:
            dice = float(dice_per_label(scores, self.scan.labels, self.plan).nanmean())
        return work, int((labels != other).sum()) / max(1, labelled), dice


def rows(
    bundle: Bundle, scans: Sequence[Scan], arguments: argparse.Namespace
) -> Iterator[tuple[str, float, float, float, float]]:
    """Yield name, overlap, relative work, mismatch and Dice, means over the scans."""
    (network,) = bundle.networks()
    network = network_to_memory_format(network, "channels_last")
    has_groups = any(isinstance(layer, nn.GroupNorm) for layer in network.modules())
    measured = [Measured(bundle.plan, network, scan, arguments.context) for scan in scans]
    usual = 0.0
    for overlap in sorted(arguments.overlaps, reverse=True):
        for variant in VARIANTS:
            needless = variant.frozen and not has_groups and not variant.context
            has_context = arguments.context and overlap == min(arguments.overlaps)
            if needless or (variant.context and not has_context):
                continue
            figures = [each.figures(variant, overlap) for each in measured]
            work, mismatch, dice = (mean(column) for column in zip(*figures, strict=True))
            usual = usual or work
            yield variant.name, overlap, work / usual, mismatch, dice


def scans_of(run: Path, bundle: Bundle, arguments: argparse.Namespace) -> list[Scan]:
    """Return the scan that was given, or the first validation cases, or else training cases."""
    plan, largest = bundle.plan, arguments.largest
    if arguments.scan:
        image = prepare(read_volume(arguments.scan), plan, where=arguments.scan).image
        return [Scan.of(image, None, plan, largest)]
    config = read_config(run / "config.yaml")
    dataset = open_dataset(config)
    split = split_cases(dataset, config.fold, config.folds)
    chosen = (split.validation or split.training)[: arguments.cases]
    cases = prepare_cases(chosen, dataset, plan, prepared_folder(config, run))
    return [Scan.of(case.image, case.labels, plan, largest) for case in cases]


def main() -> None:
    """Measure every run and print one table in Markdown."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("runs", type=Path, nargs="+")
    parser.add_argument("--scan", type=Path, help="a scan without labels, instead of the cases")
    parser.add_argument("--cases", type=int, default=1)
    parser.add_argument("--largest", type=int, default=96, help="voxels of a case along an axis")
    parser.add_argument("--context", type=int, default=16)
    parser.add_argument("--overlaps", type=float, nargs="+", default=[0.0, 0.25, 0.5])
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    print(f"| {' | '.join(HEADINGS)} |\n{'| --- ' * len(HEADINGS)}|", flush=True)
    for run in arguments.runs:
        bundle = read_bundle(run)
        if bundle.plan.regions:
            parser.error(f"{run}: labels that overlap are not compared here")
        scans = scans_of(run, bundle, arguments)
        with torch.inference_mode():
            for name, overlap, work, mismatch, dice in rows(bundle, scans, arguments):
                cells = [run.name, str(len(scans)), f"{overlap:g}", name, f"{work:.2f}"]
                cells += [f"{mismatch:.4f}", f"{dice:.4f}"]
                print(f"| {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
