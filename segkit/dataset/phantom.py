"""A small synthetic dataset of abdominal scans in the layout of the Medical Segmentation Decathlon.

Thresholding cannot solve it: the two kidneys differ only by their side, organs have the same
intensities as each other, a ring of fat and unlabeled distractors, and noise, texture and a bias
field are added. Grids are oblique, permuted and flipped, spacings differ, and two simulated
scanners map tissue to intensity in different ways.

Everything is drawn in mm in RAS+ (x to the right, y to the front, z up, 0 in the center of the
body) and then sampled on the scan's grid. Case i is a function of (seed, i) alone.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from segkit.dataset.phantom_anatomy import LABELS, Points, draw_organs, draw_tissue, random_rotation
from segkit.errors import UsageError
from segkit.files.atomic import write_text
from segkit.io import write_image, write_labels
from segkit.volume import Volume

DESCRIPTION = "Synthetic abdomen of two simulated scanners, written by segkit"
SPACINGS = ((1.5, 1.5, 2.4), (1.9, 1.9, 1.9), (1.6, 2.1, 2.1), (2.4, 1.8, 1.8))
"""Voxel spacings in mm, along the axes of the file."""
FIELD_OF_VIEW = 76.0
"""Edge of the field of view in mm, along every axis."""


@dataclass(frozen=True)
class Scanner:
    """Simulated scanner, which maps tissue to intensity: gain * tissue ** gamma + offset."""

    name: str
    gain: float
    gamma: float
    offset: float
    noise: float
    """Standard deviation of the noise, in units of the tissue."""
    bias: float
    """Largest relative change of intensity by the bias field, approximately."""


SCANNERS = (
    Scanner("A", gain=4.0, gamma=1.0, offset=0.0, noise=7.0, bias=0.12),
    Scanner("B", gain=0.35, gamma=1.3, offset=120.0, noise=9.0, bias=0.2),
)


def write_phantom(folder: str | Path, cases: int = 14, *, seed: int = 0) -> Path:
    """Write a phantom dataset and one more scan for testing.

    The dataset is in imagesTr, labelsTr and dataset.json; imagesTs holds the scan to predict, and
    labelsTs its reference.

    Args:
        folder: a new or empty folder, or an older phantom, which is overwritten.
        cases: number of labeled scans for training.
        seed: seed of all random numbers.

    Returns:
        The folder.

    Raises:
        UsageError: the folder holds other files.
    """
    folder = Path(folder)
    _check_free(folder)
    names = [f"{case_name(number)}.nii.gz" for number in range(cases + 1)]
    # Written first, so that after an interruption the folder is still recognized as a phantom.
    description = json.dumps(_description(names[:-1], names[-1]), indent=2)
    write_text(folder / "dataset.json", description + "\n")
    for number, name in enumerate(names):
        image, labels = phantom_case(number, seed)
        part = "Ts" if number == cases else "Tr"
        write_image(folder / f"images{part}" / name, image)
        write_labels(folder / f"labels{part}" / name, labels)
    return folder


def _check_free(folder: Path) -> None:
    """Raise a UsageError unless the folder is new, empty or an older phantom."""
    try:
        free = DESCRIPTION in (folder / "dataset.json").read_text(encoding="utf-8")
    except (OSError, ValueError):
        free = not folder.exists() or (folder.is_dir() and not any(folder.iterdir()))
    if not free:
        raise UsageError(
            f"{folder} holds files that are not a phantom: give a new or an empty folder"
        )


def phantom_case(number: int, seed: int = 0) -> tuple[Volume, Volume]:
    """Return the scan (1, X, Y, Z) int16 and the labels (1, X, Y, Z) uint8 of case ``number``."""
    random = np.random.Generator(np.random.Philox(key=[seed, number]))
    affine, shape = _grid(random, SPACINGS[number // 2 % len(SPACINGS)])
    points = _points(affine, shape)
    organs = draw_organs(random, points)
    labels = np.zeros(shape, np.uint8)
    for name, mask in organs.items():
        labels[mask & (labels == 0)] = LABELS[name]
    tissue = draw_tissue(random, points, labels)
    image = _scan(random, tissue, scanner_of(number))
    return Volume(image[None], affine), Volume(labels[None], affine)


def scanner_of(number: int) -> Scanner:
    """Return the scanner of a case; the two take turns."""
    return SCANNERS[number % len(SCANNERS)]


def case_name(number: int) -> str:
    """Return the id of a case, from its number starting at 0.

    >>> case_name(0), case_name(1)
    ('phantom_A_001', 'phantom_B_002')
    """
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
    """Return affine and shape of a grid that is rotated up to 20 degrees, permuted and flipped."""
    axes = np.eye(3)[random.permutation(3)] * random.choice([-1.0, 1.0], (3, 1))
    directions = random_rotation(random, 20.0) @ axes.T
    x, y, z = (int(np.ceil(FIELD_OF_VIEW / edge)) for edge in spacing)
    affine = np.eye(4)
    affine[:3, :3] = directions * spacing
    center = (np.array([x, y, z]) - 1) / 2
    affine[:3, 3] = random.uniform(-3, 3, 3) - affine[:3, :3] @ center
    return affine, (x, y, z)


def _points(affine: NDArray[np.float64], shape: tuple[int, int, int]) -> Points:
    indices = np.indices(shape, dtype=np.float32).reshape(3, -1)
    world = affine[:3, :3].astype(np.float32) @ indices + affine[:3, 3:].astype(np.float32)
    return world.reshape(3, *shape)


def _scan(
    random: np.random.Generator, tissue: NDArray[np.float32], scanner: Scanner
) -> NDArray[np.int16]:
    """Return the scan of ``tissue``: with texture, bias field and noise, in the scanner's numbers.

    Noise lies in the real and the imaginary part, so the magnitude of air is above 0.
    """
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
    """Return a smooth factor around 1: the exponential of a random quadratic polynomial."""
    x, y, z = np.meshgrid(*(np.linspace(-1, 1, n) for n in shape), indexing="ij", sparse=True)
    terms = (x, y, z, x * y, y * z, x * z, x * x - 0.3, y * y - 0.3, z * z - 0.3)
    weights = random.normal(size=len(terms))
    total = sum(weight * term for weight, term in zip(weights, terms, strict=True))
    return np.asarray(np.exp(strength * total / np.abs(total).max()))
