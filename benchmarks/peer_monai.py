"""Run MONAI for minutes_to_dice.py and preprocessing.py, which start this file with another Python
environment.

    python benchmarks/peer_monai.py FOLDER --data DATA --spacing 1 1 1 --patch 40 56 40
    python benchmarks/peer_monai.py FOLDER --data DATA --spacing 1 1 1 --patch 40 56 40 --minutes 20
    python benchmarks/peer_monai.py FOLDER --data DATA --spacing 1 1 1 --patch 40 56 40 --predict
    CASE ...

The first only prepares the cases and prints wall and CPU seconds without imports. DATA is in
nnU-Net's raw layout.

The recipe is that of the tutorial "dynunet_pipeline", in which MONAI shows this kind of network on
the Medical Segmentation Decathlon: DynUNet with instance norm and deep supervision (one extra
head), Dice and cross-entropy, SGD with Nesterov momentum 0.99 and learning rate 1e-2, its
transforms and probabilities, cases kept in memory, and a Gaussian sliding window with overlap 0.5.
Changes: batch size 2 as for the others, a learning rate that decays to the end of the time with the
power 0.9, no validation during training, and the model of the last step.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import torch
from clock import Clock
from monai import transforms as t
from monai.data import CacheDataset, DataLoader
from monai.inferers import sliding_window_inference
from monai.losses import DiceCELoss
from monai.networks.nets import DynUNet
from monai.utils import set_determinism

BATCH = 2
RATE, POWER = 1e-2, 0.9
WRITING = 2.0
"""Seconds reserved for saving the model."""


def main() -> None:
    """Prepare, train in the minutes given, counted from here, or predict."""
    started = time.monotonic()
    arguments = _parser().parse_args()
    torch.set_num_threads(arguments.threads)
    if arguments.predict:
        return _predict(arguments)
    set_determinism(arguments.seed)
    clock = Clock()
    data = CacheDataset(_cases(arguments), _training(arguments), num_workers=arguments.threads)
    print(*clock.read())
    if arguments.minutes is None:
        return None
    return _train(arguments, data, started + 60 * arguments.minutes - WRITING)


def _case(data: Path, case: str) -> dict[str, Any]:
    images = sorted(map(str, (data / "imagesTr").glob(f"{case}_[0-9][0-9][0-9][0-9].nii.gz")))
    return {"image": images, "label": str(data / "labelsTr" / f"{case}.nii.gz")}


def _cases(arguments: argparse.Namespace) -> list[dict[str, Any]]:
    """Return the training cases, or all cases if nothing is trained."""
    (fold,) = json.loads((arguments.data / "splits_final.json").read_text(encoding="utf-8"))
    ids = fold["train"] if arguments.minutes else [*fold["train"], *fold["val"]]
    return [_case(arguments.data, case) for case in ids]


def _prepared(arguments: argparse.Namespace, keys: list[str]) -> list[Any]:
    """Return the cases after the tutorial's fixed transforms: voxel size and intensities."""
    return [
        t.LoadImaged(keys),
        t.EnsureChannelFirstd(keys),
        t.Orientationd(keys, axcodes="RAS", labels=None),
        t.Spacingd(keys, arguments.spacing, mode=["bilinear", "nearest"][: len(keys)]),
        t.NormalizeIntensityd("image", nonzero=True, channel_wise=True),
    ]


def _training(arguments: argparse.Namespace) -> Any:
    keys, patch = ["image", "label"], arguments.patch
    return t.Compose(
        [
            *_prepared(arguments, keys),
            t.SpatialPadd(keys, patch),
            t.RandCropByPosNegLabeld(
                keys, "label", patch, pos=2, neg=1, num_samples=1, image_key="image"
            ),
            t.RandZoomd(
                keys,
                prob=0.15,
                min_zoom=0.9,
                max_zoom=1.2,
                mode=("trilinear", "nearest"),
                align_corners=(True, None),
            ),
            t.RandGaussianNoised("image", prob=0.15, std=0.01),
            t.RandGaussianSmoothd("image", (0.5, 1.15), (0.5, 1.15), (0.5, 1.15), prob=0.15),
            t.RandScaleIntensityd("image", factors=0.3, prob=0.15),
            *(t.RandFlipd(keys, prob=0.5, spatial_axis=axis) for axis in range(3)),
        ]
    )


def _network(arguments: argparse.Namespace) -> DynUNet:
    """Return the tutorial's network, with stride 2 along axes that are long and fine enough."""
    sizes, spacing = list(arguments.patch), list(arguments.spacing)
    kernels, strides = [], [[1, 1, 1]]
    while True:
        near = [value / min(spacing) <= 2 for value in spacing]
        stride = [
            2 if is_near and size >= 8 else 1 for is_near, size in zip(near, sizes, strict=True)
        ]
        if max(stride) == 1:
            break
        kernels.append([3 if is_near else 1 for is_near in near])
        strides.append(stride)
        sizes = [size // step for size, step in zip(sizes, stride, strict=True)]
        spacing = [value * step for value, step in zip(spacing, stride, strict=True)]
    about = json.loads((arguments.data / "dataset.json").read_text(encoding="utf-8"))
    return DynUNet(
        3,
        len(about["channel_names"]),
        len(about["labels"]),
        [*kernels, [3, 3, 3]],
        strides,
        strides[1:],
        norm_name="instance",
        deep_supervision=True,
        deep_supr_num=1,
    )


def _train(arguments: argparse.Namespace, data: CacheDataset, deadline: float) -> None:
    network = _network(arguments)
    optimizer = torch.optim.SGD(
        network.parameters(), RATE, momentum=0.99, weight_decay=3e-5, nesterov=True
    )
    loss = DiceCELoss(to_onehot_y=True, softmax=True)
    began, steps = time.monotonic(), 0
    while time.monotonic() < deadline:
        for batch in DataLoader(data, batch_size=BATCH, shuffle=True, drop_last=True):
            left = (deadline - time.monotonic()) / (deadline - began)
            if left <= 0:
                break
            optimizer.param_groups[0]["lr"] = RATE * left**POWER
            optimizer.zero_grad()
            heads = network(batch["image"].as_tensor()).unbind(1)
            labels = batch["label"].as_tensor()
            sum(0.5**number * loss(head, labels) for number, head in enumerate(heads)).backward()
            optimizer.step()
            steps += 1
    torch.save(network.state_dict(), arguments.folder / "model.pt")
    (arguments.folder / "steps.json").write_text(json.dumps(steps), encoding="utf-8")


def _predict(arguments: argparse.Namespace) -> None:
    """Write label maps on the cases' own grids; labels are resampled, not scores, as in MONAI."""
    network = _network(arguments).eval()
    network.load_state_dict(torch.load(arguments.folder / "model.pt", weights_only=True))
    prepare = t.Compose(_prepared(arguments, ["image"]))
    back = t.Invertd("found", prepare, orig_keys="image", nearest_interp=True)
    target = arguments.folder / "peer_predicted"
    target.mkdir(exist_ok=True)
    for case in arguments.predict:
        files = _case(arguments.data, case)["image"]
        data = prepare({"image": files})
        with torch.inference_mode():
            scores = sliding_window_inference(
                data["image"][None], arguments.patch, 2, network, 0.5, mode="gaussian"
            )
        found = back({**data, "found": scores[0].argmax(0, keepdim=True)})["found"][0].numpy()
        scan = nibabel.load(files[0])
        nibabel.save(
            nibabel.Nifti1Image(found.astype(np.uint8), scan.affine), target / f"{case}.nii.gz"
        )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--spacing", type=float, nargs=3, required=True)
    parser.add_argument("--patch", type=int, nargs=3, required=True)
    parser.add_argument("--minutes", type=float)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--predict", nargs="+", metavar="CASE")
    return parser


if __name__ == "__main__":
    main()
