"""The loaders of MONAI and nnU-Net for feeding.py, which starts this file; it does not need segkit.

    python benchmarks/feeding_peers.py monai|nnunet WORK --workers N --seconds S

WORK holds image_N.npy (C, X, Y, Z), labels_N.npy (X, Y, Z) and task.json, as feeding.py writes
them.
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
from clock import count_patches
from torch.nn.functional import interpolate
from torch.utils.data import RandomSampler

BATCH = 2
FOREGROUND = 0.33
Task = dict[str, Any]


def main() -> None:
    """Print patches per second and milliseconds of CPU per patch."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("tool", choices=["monai", "nnunet"])
    parser.add_argument("work", type=Path)
    parser.add_argument("--workers", type=int, default=0)
    parser.add_argument("--seconds", type=float, default=6)
    arguments = parser.parse_args()
    task = json.loads((arguments.work / "task.json").read_text(encoding="utf-8"))
    batches = {"monai": _monai, "nnunet": _nnunet}[arguments.tool](
        arguments.work, task, arguments.workers
    )
    print(*count_patches(batches, BATCH, arguments.seconds))


def _count(work: Path) -> int:
    return len(list(work.glob("image_*.npy")))


def _monai(work: Path, task: Task, workers: int) -> Iterator[object]:
    """Yield labels at each resolution from MONAI's cached dataset with random crops."""
    from monai.data import CacheDataset, DataLoader  # noqa: PLC0415  (the other environment may lack it)

    cases = [
        {
            "image": np.load(work / f"image_{n}.npy"),
            "label": np.load(work / f"labels_{n}.npy")[None],
        }
        for n in range(_count(work))
    ]
    data = CacheDataset(cases, _monai_transforms(task["patch"]), progress=False)
    endless = RandomSampler(data, replacement=True, num_samples=10**7)
    for batch in DataLoader(data, batch_size=BATCH, sampler=endless, num_workers=workers):
        labels = batch["label"].float()
        yield [interpolate(labels, head, mode="nearest-exact") for head in task["heads"]]


def _monai_transforms(patch: list[int]) -> Any:
    from monai import transforms as t  # noqa: PLC0415

    gamma = {"keys": "image", "gamma": (0.7, 1.5), "retain_stats": True}
    return t.Compose(
        [
            t.SpatialPadd(("image", "label"), patch),
            t.RandCropByPosNegLabeld(
                ("image", "label"),
                "label",
                patch,
                pos=FOREGROUND,
                neg=1 - FOREGROUND,
                num_samples=1,
            ),
            t.RandAffined(
                ("image", "label"),
                prob=0.36,
                rotate_range=[math.pi / 6] * 3,
                scale_range=[(-0.3, 0.4)] * 3,
                mode=("bilinear", "nearest"),
                padding_mode="zeros",
            ),
            t.RandGaussianNoised("image", prob=0.1, std=0.1),
            t.RandGaussianSmoothd("image", (0.5, 1), (0.5, 1), (0.5, 1), prob=0.1),
            t.RandScaleIntensityd("image", factors=0.25, prob=0.15),
            t.RandScaleIntensityFixedMeand("image", prob=0.15, factors=0.25, preserve_range=True),
            t.RandSimulateLowResolutiond("image", prob=0.125, zoom_range=(0.5, 1.0)),
            t.RandAdjustContrastd(**gamma, prob=0.1, invert_image=True),
            t.RandAdjustContrastd(**gamma, prob=0.3),
            *(t.RandFlipd(("image", "label"), prob=0.5, spatial_axis=axis) for axis in range(3)),
        ]
    )


def _nnunet(work: Path, task: Task, workers: int) -> Any:
    """Return nnU-Net's loader with its own transforms and processes."""
    from batchgenerators.dataloading.nondet_multi_threaded_augmenter import (  # noqa: PLC0415
        NonDetMultiThreadedAugmenter,
    )
    from batchgenerators.dataloading.single_threaded_augmenter import SingleThreadedAugmenter  # noqa: PLC0415
    from nnunetv2.training.data_augmentation.compute_initial_patch_size import get_patch_size  # noqa: PLC0415
    from nnunetv2.training.dataloading.data_loader import nnUNetDataLoader  # noqa: PLC0415
    from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer  # noqa: PLC0415

    patch, turn = task["patch"], (-math.pi / 6, math.pi / 6)
    scales = [
        [small / edge for small, edge in zip(head, patch, strict=True)] for head in task["heads"]
    ]
    transforms = nnUNetTrainer.get_training_transforms(patch, turn, scales, (0, 1, 2), False)
    loader = nnUNetDataLoader(
        _nnunet_dataset(work, task),
        BATCH,
        get_patch_size(patch, turn, turn, turn, (0.85, 1.25)),
        patch,
        SimpleNamespace(all_labels=list(range(1, task["labels"] + 1)), has_ignore_label=False),
        FOREGROUND,
        transforms=transforms,
    )
    if workers == 0:
        return SingleThreadedAugmenter(loader, None)
    return NonDetMultiThreadedAugmenter(
        loader, None, workers, num_cached=max(6, workers // 2), wait_time=0.002
    )


def _nnunet_dataset(work: Path, task: Task) -> Any:
    from nnunetv2.training.dataloading.nnunet_dataset import (  # noqa: PLC0415
        comp_blosc2_params,
        nnUNetDatasetBlosc2,
    )

    folder = work / "nnunet"
    if not folder.is_dir():
        folder.mkdir()
        for number in range(_count(work)):
            image, labels = (
                np.load(work / f"image_{number}.npy"),
                np.load(work / f"labels_{number}.npy")[None],
            )
            blocks, chunks = comp_blosc2_params(image.shape, task["patch"], image.itemsize)
            properties, target = (
                {"class_locations": _positions(labels, task["labels"])},
                str(folder / f"case_{number}"),
            )
            nnUNetDatasetBlosc2.save_case(
                image, labels.astype(np.int8), properties, target, chunks, blocks
            )
    return nnUNetDatasetBlosc2(str(folder))


def _positions(labels: Any, count: int) -> dict[int, Any]:
    """Return the positions of up to 10,000 random voxels of each label."""
    positions = {label: np.argwhere(labels == label) for label in range(1, count + 1)}
    return {
        label: np.random.default_rng(label).permutation(voxels)[:10_000]
        for label, voxels in positions.items()
    }


if __name__ == "__main__":
    main()
