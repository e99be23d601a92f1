"""A small synthetic dataset of abdominal volumes, written in the layout of the Medical Segmentation Decathlon.

No threshold solves it: the two kidneys differ only by their side, organs share their intensities with each other, with
a ring of fat and with unlabelled distractors, and noise, texture and a bias field lie over everything. Grids are
oblique, permuted and flipped, spacings differ, and two simulated scanners map tissue to intensity in their own ways.

Everything is drawn in mm in RAS+ (x to the right, y to the front, z up, 0 in the middle of the body) and then sampled
on the scan's grid. Case i is a function of (seed, i) alone.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from segkit.errors import UsageError
from segkit.files.atomic import write_text
from segkit.io import write_image, write_labels
from segkit.volume import Volume

Points = NDArray[np.float32]
"""Coordinates (3, X, Y, Z) in mm, RAS+."""
Mask = NDArray[np.bool_]

DESCRIPTION = "Synthetic abdomen of two simulated scanners, written by segkit"
LABELS = {"liver": 1, "kidney_left": 2, "kidney_right": 3, "vessel": 4}
SPACINGS = ((1.5, 1.5, 2.4), (1.9, 1.9, 1.9), (1.6, 2.1, 2.1), (2.4, 1.8, 1.8))
"""mm, along the file's own axes."""
FIELD_OF_VIEW = 76.0
"""mm, along every axis."""
BODY = (33.0, 28.0, 34.0)
"""Semi-axes of the body in mm."""
FAT = 0.86
"""Fat lies between this share of the body's semi-axes and its skin."""
TISSUE = 100.0
BRIGHTNESS = {"liver": 142.0, "kidney_left": 154.0, "kidney_right": 154.0, "vessel": 166.0}
FAT_BRIGHTNESS = 150.0


@dataclass(frozen=True)
class Scanner:
    """How a scanner turns tissue into numbers: gain * tissue ** gamma + offset, with noise in parts of the tissue."""

    name: str
    gain: float
    gamma: float
    offset: float
    noise: float
    bias: float
    """The bias field changes intensities by up to about this share."""


SCANNERS = (
    Scanner("A", gain=4.0, gamma=1.0, offset=0.0, noise=7.0, bias=0.12),
    Scanner("B", gain=0.35, gamma=1.3, offset=120.0, noise=9.0, bias=0.2),
)


def write_phantom(folder: str | Path, cases: int = 14, *, seed: int = 0) -> Path:
    """Write ``cases`` labelled scans for training and one more for testing; returns the folder.

    imagesTr, labelsTr and dataset.json make the dataset; imagesTs holds the scan to predict and labelsTs its reference.

    Raises:
        UsageError: a folder with other things in it.
    """
    folder = Path(folder)
    _check_free(folder)
    names = [f"{case_name(number)}.nii.gz" for number in range(cases + 1)]
    # First, because it says that the folder is ours, should the rest be interrupted.
    write_text(
        folder / "dataset.json", json.dumps(_description(names[:-1], names[-1]), indent=2) + "\n"
    )
    for number, name in enumerate(names):
        image, labels = phantom_case(number, seed)
        part = "Ts" if number == cases else "Tr"
        write_image(folder / f"images{part}" / name, image)
        write_labels(folder / f"labels{part}" / name, labels)
    return folder


def _check_free(folder: Path) -> None:
    """Only an older phantom may be written over."""
    try:
        free = DESCRIPTION in (folder / "dataset.json").read_text(encoding="utf-8")
    except (OSError, ValueError):
        free = not folder.exists() or (folder.is_dir() and not any(folder.iterdir()))
    if not free:
        raise UsageError(
            f"{folder} holds something else than a phantom: give a new or an empty folder"
        )


def phantom_case(number: int, seed: int = 0) -> tuple[Volume, Volume]:
    """Scan (1, X, Y, Z) int16 and labels (1, X, Y, Z) uint8 of case ``number``."""
    random = np.random.Generator(np.random.Philox(key=[seed, number]))
    affine, shape = _grid(random, SPACINGS[number // 2 % len(SPACINGS)])
    points = _points(affine, shape)
    organs = _organs(random, points)
    labels = np.zeros(shape, np.uint8)
    for name, mask in organs.items():
        labels[mask & (labels == 0)] = LABELS[name]
    tissue = _tissue(random, points, labels)
    image = _scan(random, tissue, scanner_of(number))
    return Volume(image[None], affine), Volume(labels[None], affine)


def scanner_of(number: int) -> Scanner:
    """The two scanners take turns."""
    return SCANNERS[number % len(SCANNERS)]


def case_name(number: int) -> str:
    """Such as phantom_A_001."""
    return f"phantom_{scanner_of(number).name}_{number + 1:03d}"


def _description(training: list[str], test: str) -> dict[str, object]:
    return {
        "name": "phantom",
        "description": DESCRIPTION,
        "tensorImageSize": "3D",
        "modality": {"0": "MRI"},
        "labels": {"0": "background", **{str(value): name for name, value in LABELS.items()}},
        "numTraining": len(training),
        "numTest": 1,
        "training": [
            {"image": f"./imagesTr/{name}", "label": f"./labelsTr/{name}"} for name in training
        ],
        "test": [f"./imagesTs/{test}"],
    }


def _grid(
    random: np.random.Generator, spacing: tuple[float, float, float]
) -> tuple[NDArray[np.float64], tuple[int, int, int]]:
    """An oblique grid around the body: rotated up to 20 degrees, axes permuted and flipped."""
    axes = np.eye(3)[random.permutation(3)] * random.choice([-1.0, 1.0], (3, 1))
    directions = _rotation(random, 20.0) @ axes.T
    x, y, z = (int(np.ceil(FIELD_OF_VIEW / edge)) for edge in spacing)
    affine = np.eye(4)
    affine[:3, :3] = directions * spacing
    middle = (np.array([x, y, z]) - 1) / 2
    affine[:3, 3] = random.uniform(-3, 3, 3) - affine[:3, :3] @ middle
    return affine, (x, y, z)


def _rotation(random: np.random.Generator, degrees: float) -> NDArray[np.float64]:
    """About a random axis by up to ``degrees`` (Rodrigues' formula)."""
    x, y, z = _direction(random)
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    angle = np.deg2rad(random.uniform(-degrees, degrees))
    return np.asarray(np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross)


def _direction(random: np.random.Generator) -> NDArray[np.float64]:
    vector = random.normal(size=3)
    return np.asarray(vector / np.linalg.norm(vector))


def _points(affine: NDArray[np.float64], shape: tuple[int, int, int]) -> Points:
    indices = np.indices(shape, dtype=np.float32).reshape(3, -1)
    world = affine[:3, :3].astype(np.float32) @ indices + affine[:3, 3:].astype(np.float32)
    return world.reshape(3, *shape)


def _ellipsoid(points: Points, semi_axes: tuple[float, float, float]) -> NDArray[np.float32]:
    """Below 1 inside an ellipsoid around 0."""
    x, y, z = (points[axis] / semi_axes[axis] for axis in range(3))
    return np.asarray(np.sqrt(x * x + y * y + z * z))


def _placed(
    random: np.random.Generator,
    points: Points,
    place: tuple[float, float, float],
    sizes: float = 0.1,
) -> Points:
    """Coordinates of an organ that sits at ``place`` give or take 2 mm, turned up to 12 degrees and scaled a little."""
    centre = np.array(place) + random.uniform(-2, 2, 3)
    matrix = (_rotation(random, 12.0) / random.uniform(1 - sizes, 1 + sizes)).astype(np.float32)
    return np.tensordot(matrix, points - centre.astype(np.float32).reshape(3, 1, 1, 1), axes=1)


def _organs(random: np.random.Generator, points: Points) -> dict[str, Mask]:
    return {
        "vessel": _vessel(random, points),
        "kidney_left": _kidney(random, points, side=-1.0),
        "kidney_right": _kidney(random, points, side=1.0),
        "liver": _liver(random, points),
    }


def _liver(random: np.random.Generator, points: Points) -> Mask:
    """A blob in front on the right, cut flat below."""
    local = _placed(random, points, (11.0, 10.0, 10.0))
    return np.asarray(
        (_ellipsoid(local, (14.0, 12.0, 14.0)) < 1) & (local[2] > -8.0 + 0.3 * local[0])
    )


def _kidney(random: np.random.Generator, points: Points, *, side: float) -> Mask:
    """A bean behind, its hollow towards the middle; ``side`` is -1 on the left and 1 on the right."""
    x, y, z = _placed(random, points, (side * 15.0, -7.0, -8.0))
    bent = x * side + 0.03 * z * z - 1.5
    return np.asarray(_ellipsoid(np.stack([bent, y, z]), (7.0, 8.0, 13.0)) < 1)


def _vessel(random: np.random.Generator, points: Points) -> Mask:
    """A winding tube along the spine."""
    x, y, z = _placed(random, points, (-1.0, -14.0, 0.0))
    phase, swing = random.uniform(0, 2 * np.pi), random.uniform(1.0, 2.5)
    x = x - swing * np.sin(z / 9.0 + phase)
    return np.asarray((np.hypot(x, y) < 5.5) & (np.abs(z) < 25.0))


def _tissue(
    random: np.random.Generator, points: Points, labels: NDArray[np.uint8]
) -> NDArray[np.float32]:
    """What a perfect scanner would see: air 0, tissue about 100, organs, fat and distractors about 150."""
    body = _ellipsoid(points, BODY)
    tissue = np.where(body < 1, TISSUE, 0.0).astype(np.float32)
    tissue[(body < 1) & (body > FAT)] = FAT_BRIGHTNESS
    for mask in _distractors(random, points, (labels > 0) | (body > FAT)):
        tissue[mask] = random.choice(list(BRIGHTNESS.values()))
    for name, value in LABELS.items():
        tissue[labels == value] = BRIGHTNESS[name] + random.uniform(-8, 8)
    return np.asarray(ndimage.gaussian_filter(tissue, 0.5))


def _distractors(
    random: np.random.Generator, points: Points, occupied: Mask, count: int = 5
) -> list[Mask]:
    """Balls and rods as bright as organs, clear of everything ``occupied``; as many of ``count`` as find room."""
    found: list[Mask] = []
    taken = ndimage.binary_dilation(occupied, iterations=2)
    for _ in range(60):
        centre = random.uniform(-20, 20, 3).astype(np.float32).reshape(3, 1, 1, 1)
        mask = _ball_or_rod(random, points - centre)
        if mask.any() and not (mask & taken).any():
            found.append(mask)
            taken |= ndimage.binary_dilation(mask, iterations=2)
        if len(found) == count:
            break
    return found


def _ball_or_rod(random: np.random.Generator, local: Points) -> Mask:
    along = np.tensordot(_direction(random).astype(np.float32), local, axes=1)
    distance = np.sqrt((local * local).sum(axis=0))
    if random.random() < 0.5:
        return np.asarray(distance < random.uniform(3.0, 6.0))
    across = np.sqrt(np.maximum(distance**2 - along**2, 0))
    return np.asarray(
        (across < random.uniform(2.0, 3.5)) & (np.abs(along) < random.uniform(6.0, 10.0))
    )


def _scan(
    random: np.random.Generator, tissue: NDArray[np.float32], scanner: Scanner
) -> NDArray[np.int16]:
    """Texture, bias field, noise in both channels of the coil (so air is above 0), then the scanner's own mapping."""
    texture = ndimage.gaussian_filter(random.normal(size=tissue.shape), 1.5)
    textured = tissue * (1 + 0.07 * texture / texture.std())
    field = textured * _bias(random, tissue.shape, scanner.bias)
    real, imaginary = scanner.noise * random.normal(size=(2, *tissue.shape))
    magnitude = np.hypot(field + real, imaginary)
    numbers = scanner.gain * magnitude**scanner.gamma + scanner.offset
    return np.asarray(np.rint(numbers), dtype=np.int16)


def _bias(
    random: np.random.Generator, shape: tuple[int, ...], strength: float
) -> NDArray[np.float64]:
    """A smooth factor around 1: the exponential of a random quadratic over the field of view."""
    x, y, z = np.meshgrid(*(np.linspace(-1, 1, n) for n in shape), indexing="ij", sparse=True)
    terms = (x, y, z, x * y, y * z, x * z, x * x - 0.3, y * y - 0.3, z * z - 0.3)
    weights = random.normal(size=len(terms))
    total = sum(weight * term for weight, term in zip(weights, terms, strict=True))
    return np.asarray(np.exp(strength * total / np.abs(total).max()))
