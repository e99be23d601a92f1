"""Small datasets made from a seed, sound or with one fault planted, and scans to predict."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
from numpy.typing import NDArray
from PIL import Image

Random = np.random.Generator
CT_VALUES = {0: -1000, 1: 40, 2: 120}
"""HU of the air, the organ and its core."""


@dataclass(frozen=True)
class Made:
    """One case: voxels (X, Y, Z), label map and voxel edges in mm."""

    id: str
    image: NDArray[Any]
    labels: NDArray[Any]
    edges: tuple[float, float, float] = (1.0, 1.0, 1.0)


def ellipsoid(random: Random, shape: tuple[int, int, int], share: float = 0.3) -> NDArray[np.uint8]:
    """Label 1 with a core of label 2, off the middle by at most 2 voxels."""
    sizes = np.array(shape)
    center = (sizes - 1) / 2 + random.uniform(-2, 2, 3) * (sizes > 1)
    steps = [
        ((axis - c) / (size * share)) ** 2
        for axis, c, size in zip(np.indices(shape), center, shape, strict=True)
    ]
    distance = sum(steps)
    return ((distance < 1).astype(np.uint8) + (distance < 0.3)).astype(np.uint8)


def mr(random: Random, name: str) -> Made:
    """A scan of its own intensity scale, without negative values."""
    x, y, z = (int(size) for size in random.integers((20, 20, 16), (28, 28, 22)))
    labels = ellipsoid(random, (x, y, z))
    scale = random.choice([1.0, 4.0, 500.0])
    image = np.abs(random.normal(100, 10, labels.shape) + 60 * labels) * scale
    edges = tuple(float(edge) for edge in random.uniform(0.9, 1.1, 3).round(3))
    return Made(name, image.astype(np.float32), labels, edges)  # type: ignore[arg-type]


def ct(random: Random, name: str) -> Made:
    """Whole Hounsfield units from about -1024 on."""
    made = mr(random, name)
    means = np.array(list(CT_VALUES.values()))[made.labels]
    image = np.clip(means + random.normal(0, 12, means.shape), -1024, 3071).round().astype(np.int16)
    image[0, 0, 0] = -1024
    return replace(made, image=image)


def picture(random: Random, name: str) -> Made:
    """A grey picture with one structure."""
    labels = (ellipsoid(random, (48, 48, 1), 0.25)[:, :, :1] > 0).astype(np.uint8)
    image = np.clip(random.normal(80, 12, labels.shape) + 90 * labels, 0, 255).astype(np.uint8)
    return Made(name, image, labels)


KINDS: dict[str, Callable[[Random, str], Made]] = {"mr": mr, "ct": ct, "picture": picture}


def sound(random: Random, kind: str) -> list[Made]:
    """Five to seven cases."""
    return [KINDS[kind](random, f"case{number}") for number in range(int(random.integers(5, 8)))]


def write(folder: Path, cases: list[Made], channel: str) -> Path:
    """nnU-Net's raw layout with the labels organ and core."""
    for made in cases:
        save(folder / f"imagesTr/{made.id}_0000.nii.gz", made.image, made.edges)
        save(folder / f"labelsTr/{made.id}.nii.gz", made.labels, made.edges)
    labels = {"background": 0, "organ": 1, "core": 2}
    content = {
        "channel_names": {"0": channel},
        "labels": labels,
        "numTraining": len(cases),
        "file_ending": ".nii.gz",
    }
    (folder / "dataset.json").write_text(json.dumps(content))
    return folder


def write_pictures(folder: Path, cases: list[Made], masks: list[Image.Image]) -> Path:
    """The layout of two folders."""
    for name in ("images", "labels"):
        (folder / name).mkdir(parents=True)
    for made, mask in zip(cases, masks, strict=True):
        Image.fromarray(made.image[:, :, 0].T).save(folder / f"images/{made.id}.png")
        mask.save(folder / f"labels/{made.id}.png")
    return folder


def save(path: Path, array: NDArray[Any], edges: tuple[float, float, float]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    nibabel.save(nibabel.Nifti1Image(array, np.diag([*edges, 1.0])), path)
    return path


def mask_of(made: Made, value: int = 255) -> Image.Image:
    return Image.fromarray((made.labels[:, :, 0].T * value).astype(np.uint8))


def smoothed(mask: Image.Image) -> Image.Image:
    return (
        mask.resize((96, 96), Image.Resampling.BILINEAR)
        .rotate(7, Image.Resampling.BILINEAR)
        .resize(mask.size)
    )


def through_jpeg(mask: Image.Image) -> Image.Image:
    file = io.BytesIO()
    mask.save(file, "JPEG", quality=80)
    return Image.open(file)


def inverted(mask: Image.Image) -> Image.Image:
    return Image.eval(mask, lambda value: 255 - value)
