"""Phantoms of abdominal CT with 14 labels, for benchmarks that need large labeled scans.

Intensity alone does not tell the labels apart: liver, spleen and pancreas, or aorta, vena cava and
heart, differ by a few HU on average, vary from case to case by more, and drown in noise of 18 HU;
bowel, cysts, muscle and bones without a label have the same intensities; the two kidneys differ
only by the side of their sinus and by their neighbors. Sizes, places, angles and outlines are
random. A voxel at a border mixes both sides, and image and noise are blurred as by a scanner.

Coordinates are in mm in RAS+: x to the right, y to the front, z up, 0 in the middle of the body.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from segkit.dataset.phantom_anatomy import random_rotation
from segkit.files.atomic import write_text
from segkit.io import write_image, write_labels
from segkit.volume import Shape, Volume

Array = NDArray[np.float32]
Mm = tuple[float, float, float]
EXTENT = (358.4, 358.4, 330.0)
"""Edges of the field of view of a whole scan in mm: 512 x 512 x 300 voxels of 0.7 x 0.7 x 1.1."""
REGION = 0.44
"""Edges of the field of view of a training case, as a share of those of a whole scan."""
AIR = -1000.0
WHITE_NOISE = 55.0
"""Standard deviation of the noise in HU before the blur, which leaves about 18."""
BLUR = (0.6, 0.6, 0.4)
"""Standard deviation of the blur in voxels."""


@dataclass(frozen=True)
class Part:
    """Ellipsoid, or a winding tube along z with flat ends."""

    label: str
    """Name of the label, or an empty string."""
    center: Mm
    semi_axes: Mm
    hu: float
    tube: bool = False
    with_last: bool = False
    """True moves and turns it as the part before it."""


class Pose(NamedTuple):
    """Where a part is, against its usual place."""

    moved: NDArray[np.float64]
    turned: NDArray[np.float64]


class Body(NamedTuple):
    """Coordinates of the voxels along each axis, and intensities and labels (X, Y, Z)."""

    axes: list[Array]
    hu: Array
    labels: NDArray[np.uint8]


def _tissue(radius: float, hu: float) -> Part:
    return Part("", (0, 0, 0), (165 * radius, 115 * radius, 1e4), hu, tube=True)


PARTS = (
    Part("", (0, -140, 0), (190, 6, 1e4), -300, tube=True),  # table
    _tissue(1.0, -100),  # fat
    _tissue(0.92, 57),  # muscle
    _tissue(0.84, -95),  # fat around the organs
    Part("", (38, -52, -80), (16, 16, 90), 58, tube=True),
    Part("", (-38, -52, -80), (16, 16, 90), 58, tube=True),
    Part("", (95, -25, -140), (22, 50, 45), 300),
    Part("", (-95, -25, -140), (22, 50, 45), 300),
    Part("lung", (75, -5, 130), (50, 75, 80), -820),
    Part("lung", (-75, -5, 130), (50, 75, 80), -820),
    Part("heart", (-15, 35, 115), (45, 40, 42), 150),
    Part("stomach", (-50, 35, 35), (42, 30, 42), 45),
    Part("liver", (65, 15, 32), (68, 62, 55), 105),
    Part("gallbladder", (45, 50, -12), (15, 15, 26), 18),
    Part("spleen", (-98, -35, 40), (26, 38, 44), 112),
    Part("kidney_right", (62, -45, -45), (26, 25, 50), 165),
    Part("", (46, -45, -45), (12, 11, 20), -60, with_last=True),
    Part("kidney_left", (-62, -45, -35), (26, 25, 50), 165),
    Part("", (-46, -45, -35), (12, 11, 20), -60, with_last=True),
    Part("pancreas", (-12, 5, -20), (58, 14, 15), 95),
    Part("bladder", (0, 30, -142), (38, 32, 28), 12),
    Part("spine", (0, -68, 0), (20, 18, 1e4), 220, tube=True),
    Part("esophagus", (10, -22, 110), (10, 9, 75), 60, tube=True),
    Part("aorta", (-10, -35, 0), (11, 11, 1e4), 155, tube=True),
    Part("vena_cava", (18, -32, -30), (13, 11, 120), 140, tube=True),
)
"""Parts of the body; a later one covers an earlier one."""
LABELS = {
    name: value for value, name in enumerate(dict.fromkeys(p.label for p in PARTS if p.label), 1)
}


def write_ct_phantoms(folder: Path, shape: Shape, training: int, tests: int) -> None:
    """Write a dataset in the layout of the Decathlon; files that exist are kept.

    Training cases are parts of a body; the tests, in imagesTs, are whole scans.

    Args:
        folder: a new folder, or one that an interrupted call with the same arguments began.
        shape: number of voxels of a whole scan.
        training: number of training cases.
        tests: number of test scans.
    """
    names = [f"ct_{number:03d}.nii.gz" for number in range(training + tests)]
    _describe(folder, shape, names[:training])
    for number, name in enumerate(names):
        part = "Tr" if number < training else "Ts"
        if not (folder / f"labels{part}" / name).exists():
            image, labels = ct_phantom(number, shape, whole=number >= training)
            write_image(folder / f"images{part}" / name, image)
            write_labels(folder / f"labels{part}" / name, labels)


def _describe(folder: Path, shape: Shape, names: list[str]) -> None:
    """Write dataset.json, and end the program if another one is there."""
    pairs = [{"image": f"./imagesTr/{name}", "label": f"./labelsTr/{name}"} for name in names]
    content = {
        "name": "ct_phantom",
        "description": f"Parts of phantoms of {shape[0]} x {shape[1]} x {shape[2]} voxels",
        "modality": {"0": "CT"},
        "labels": {"0": "background", **{str(value): name for name, value in LABELS.items()}},
        "training": pairs,
    }
    text = json.dumps(content, indent=2) + "\n"
    file = folder / "dataset.json"
    if file.exists() and file.read_text(encoding="utf-8") != text:
        raise SystemExit(f"{folder} holds other phantoms: give another folder, or remove it")
    write_text(file, text)


def ct_phantom(number: int, shape: Shape, *, whole: bool, seed: int = 0) -> tuple[Volume, Volume]:
    """Return the scan (1, X, Y, Z) int16 and the labels (1, X, Y, Z) uint8 of a case.

    Args:
        number: number of the case.
        shape: number of voxels of a whole scan.
        whole: True for the whole field of view, False for `REGION` of it.
        seed: seed of the dataset.
    """
    random = np.random.Generator(np.random.Philox(key=[seed, number]))
    spacing = np.array(EXTENT) / shape
    # Twelve regions take turns, so that every organ is in several training cases.
    middle = np.array([(number % 3 - 1) * 70, 0, (number % 4 - 1.5) * 70]) + random.uniform(
        -25, 25, 3
    )
    size = shape if whole else tuple(8 * round(REGION * edge / 8) for edge in shape)
    first = (np.zeros(3) if whole else middle) - spacing * (np.array(size) - 1) / 2
    scale, shift = random.uniform(0.9, 1.1), random.uniform(-10, 10, 3)
    axes = [(first[i] + spacing[i] * np.arange(size[i]) - shift[i]) / scale for i in range(3)]
    hu, labels = _body(random, [axis.astype(np.float32) for axis in axes])
    affine = np.diag([*spacing, 1.0])
    affine[:3, 3] = first
    return Volume(_scanned(random, hu)[None], affine), Volume(labels[None], affine)


def _body(random: np.random.Generator, axes: list[Array]) -> tuple[Array, NDArray[np.uint8]]:
    """Return the intensities in HU and the labels (X, Y, Z) at the coordinates of each axis."""
    shape = tuple(map(len, axes))
    body = Body(axes, np.full(shape, AIR, np.float32), np.zeros(shape, np.uint8))
    parts = [*PARTS[:8], *_unlabeled(random), *PARTS[8:], *_cysts(random)]
    pose = Pose(np.zeros(3), np.eye(3))
    for part in parts:
        if not part.with_last:
            moved = random.normal(0, 3 if part.tube else 6, 3)
            pose = Pose(moved, random_rotation(random, 20))
        _draw(random, part, pose, body)
    return body.hu, body.labels


def _unlabeled(random: np.random.Generator) -> list[Part]:
    """Return bowel of the intensities of organs."""
    centers = random.uniform((-95, -10, -150), (95, 70, -25), (16, 3))
    sizes = random.uniform((12, 12, 12), (30, 20, 24), (16, 3))
    return [
        Part("", tuple(center), tuple(size), random.uniform(15, 130))
        for center, size in zip(centers, sizes, strict=True)
    ]


def _cysts(random: np.random.Generator) -> list[Part]:
    """Return balls of fluid anywhere in the body."""
    centers = random.uniform((-110, -70, -150), (110, 70, 80), (8, 3))
    return [Part("", tuple(center), (random.uniform(5, 11),) * 3, 15) for center in centers]


def _draw(random: np.random.Generator, part: Part, pose: Pose, body: Body) -> None:
    """Draw a part into the intensities and the labels of ``body``."""
    axes, hu, labels = body
    center = np.array(part.center) + pose.moved
    semi = np.array(part.semi_axes) * random.uniform(0.88, 1.12)
    reach = np.minimum(1.3 * np.linalg.norm(np.abs(pose.turned.T) * semi, axis=1), 1e4)
    box = tuple(
        slice(*np.searchsorted(axis, (center[i] - reach[i], center[i] + reach[i])))
        for i, axis in enumerate(axes)
    )
    inside = [axis[box[i]] for i, axis in enumerate(axes)]
    if not all(map(len, inside)):
        return
    centered = [axis - np.float32(middle) for axis, middle in zip(inside, center, strict=True)]
    if part.tube:
        distance = _tube(random, centered, semi)
    else:
        distance = _ellipsoid(random, centered, pose.turned / semi[:, None])
    voxel = max(float(axis[1] - axis[0]) for axis in axes)
    depth = (1 - distance) * np.float32(np.median(semi)) / np.float32(voxel)
    share = np.clip(depth + np.float32(0.5), 0, 1)
    brightness = np.float32(part.hu + random.normal(0, 8))
    hu[box] += share * (brightness - hu[box])
    labels[box][np.broadcast_to(distance < 1, labels[box].shape)] = LABELS.get(part.label, 0)


def _tube(random: np.random.Generator, axes: list[Array], semi: NDArray[np.float64]) -> Array:
    """Return the distance from the middle in units of the tube's size: below 1 inside it."""
    x, y, z = np.meshgrid(*axes, indexing="ij", sparse=True)
    phase = random.uniform(0, 2 * np.pi)
    # Vessels and the spine wind; the wall of the body does not.
    swing = semi[0] / 4 if semi[0] < 25 else 0.0
    winding = x - np.float32(swing) * np.sin(z / np.float32(30) + np.float32(phase))
    radial = np.hypot(winding / np.float32(semi[0]), y / np.float32(semi[1]))
    return np.maximum(radial, np.abs(z) / np.float32(semi[2]))


def _ellipsoid(
    random: np.random.Generator, axes: list[Array], matrix: NDArray[np.float64]
) -> Array:
    """Return the distance from the middle in units of the radius, which is ragged."""
    x, y, z = np.meshgrid(*axes, indexing="ij", sparse=True)
    rows = matrix.astype(np.float32)
    squares = sum((row[0] * x + row[1] * y + row[2] * z) ** 2 for row in rows)
    ragged = _ripple(random, 25, 0.10, axes) + _ripple(random, 8, 0.05, axes)
    return np.asarray(np.sqrt(squares) + ragged)


def _ripple(random: np.random.Generator, length: float, size: float, axes: list[Array]) -> Array:
    """Return smooth noise of a standard deviation ``size`` and a wavelength of ``length`` mm."""
    shape = tuple(map(len, axes))
    coarse = [2 + int((axis[-1] - axis[0]) / length) for axis in axes]
    noise = random.normal(0, 1.5 * size, coarse).astype(np.float32)
    return np.asarray(
        ndimage.zoom(noise, np.divide(shape, coarse), order=1)[: shape[0], : shape[1], : shape[2]]
    )


def _scanned(random: np.random.Generator, hu: Array) -> NDArray[np.int16]:
    """Return the scan: noise is added, and both are blurred."""
    noisy = hu + np.float32(WHITE_NOISE) * random.standard_normal(hu.shape, np.float32)
    blurred = ndimage.gaussian_filter(noisy, BLUR, output=np.float32, truncate=3)
    return np.rint(np.maximum(blurred, -1024)).astype(np.int16)
