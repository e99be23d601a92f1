"""The phantom's anatomy: masks of organs and noise-free intensities, drawn in mm in RAS+."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Points = NDArray[np.float32]
"""Coordinates (3, X, Y, Z) in mm, RAS+: x to the right, y to the front, z up, 0 in the center."""
Mask = NDArray[np.bool_]

LABELS = {"liver": 1, "kidney_left": 2, "kidney_right": 3, "vessel": 4}
BODY = (33.0, 28.0, 34.0)
"""Semi-axes of the body in mm."""
FAT = 0.86
"""Fraction of the body's semi-axes at which fat begins; it ends at the skin."""
TISSUE = 100.0
"""Intensity of tissue outside organs; a scanner maps it to its own numbers."""
BRIGHTNESS = {"liver": 142.0, "kidney_left": 154.0, "kidney_right": 154.0, "vessel": 166.0}
FAT_BRIGHTNESS = 150.0


def draw_organs(random: np.random.Generator, points: Points) -> dict[str, Mask]:
    """Return a mask (X, Y, Z) of each organ; where two overlap, the first one counts."""
    return {
        "vessel": _vessel(random, points),
        "kidney_left": _kidney(random, points, side=-1.0),
        "kidney_right": _kidney(random, points, side=1.0),
        "liver": _liver(random, points),
    }


def draw_tissue(
    random: np.random.Generator, points: Points, labels: NDArray[np.uint8]
) -> NDArray[np.float32]:
    """Return noise-free intensities: air 0, tissue 100, organs, fat and distractors about 150."""
    body = _ellipsoid(points, BODY)
    tissue = np.where(body < 1, TISSUE, 0.0).astype(np.float32)
    tissue[(body < 1) & (body > FAT)] = FAT_BRIGHTNESS
    for mask in _distractors(random, points, (labels > 0) | (body > FAT)):
        tissue[mask] = random.choice(list(BRIGHTNESS.values()))
    for name, value in LABELS.items():
        tissue[labels == value] = BRIGHTNESS[name] + random.uniform(-8, 8)
    return np.asarray(ndimage.gaussian_filter(tissue, 0.5))


def _liver(random: np.random.Generator, points: Points) -> Mask:
    """Return a blob in front on the right, flat at its lower end."""
    local = _local_points(random, points, (11.0, 10.0, 10.0))
    return np.asarray(
        (_ellipsoid(local, (14.0, 12.0, 14.0)) < 1) & (local[2] > -8.0 + 0.3 * local[0])
    )


def _kidney(random: np.random.Generator, points: Points, *, side: float) -> Mask:
    """Return a bean at the back, concave towards the spine; ``side`` is -1 (left) or 1 (right)."""
    x, y, z = _local_points(random, points, (side * 15.0, -7.0, -8.0))
    bent = x * side + 0.03 * z * z - 1.5
    return np.asarray(_ellipsoid(np.stack([bent, y, z]), (7.0, 8.0, 13.0)) < 1)


def _vessel(random: np.random.Generator, points: Points) -> Mask:
    """Return a winding tube along the spine."""
    x, y, z = _local_points(random, points, (-1.0, -14.0, 0.0))
    phase, swing = random.uniform(0, 2 * np.pi), random.uniform(1.0, 2.5)
    x = x - swing * np.sin(z / 9.0 + phase)
    return np.asarray((np.hypot(x, y) < 5.5) & (np.abs(z) < 25.0))


def _distractors(
    random: np.random.Generator, points: Points, occupied: Mask, count: int = 5
) -> list[Mask]:
    """Return up to ``count`` balls and rods as bright as organs, clear of ``occupied`` voxels."""
    masks: list[Mask] = []
    taken = ndimage.binary_dilation(occupied, iterations=2)
    for _ in range(60):
        center = random.uniform(-20, 20, 3).astype(np.float32).reshape(3, 1, 1, 1)
        mask = _ball_or_rod(random, points - center)
        if mask.any() and not (mask & taken).any():
            masks.append(mask)
            taken |= ndimage.binary_dilation(mask, iterations=2)
        if len(masks) == count:
            break
    return masks


def _ball_or_rod(random: np.random.Generator, local: Points) -> Mask:
    axial = np.tensordot(_direction(random).astype(np.float32), local, axes=1)
    distance = np.sqrt((local * local).sum(axis=0))
    if random.random() < 0.5:
        return np.asarray(distance < random.uniform(3.0, 6.0))
    radial = np.sqrt(np.maximum(distance**2 - axial**2, 0))
    return np.asarray(
        (radial < random.uniform(2.0, 3.5)) & (np.abs(axial) < random.uniform(6.0, 10.0))
    )


def _ellipsoid(points: Points, semi_axes: tuple[float, float, float]) -> NDArray[np.float32]:
    """Return the distance from 0 in units of the ellipsoid's radius: below 1 inside it."""
    x, y, z = (points[axis] / semi_axes[axis] for axis in range(3))
    return np.asarray(np.sqrt(x * x + y * y + z * z))


def _local_points(
    random: np.random.Generator,
    points: Points,
    center: tuple[float, float, float],
    sizes: float = 0.1,
) -> Points:
    """Return the points in the coordinates of an organ at ``center``.

    The organ is moved by up to 2 mm along each axis, rotated by up to 12 degrees and scaled by
    1 - ``sizes`` to 1 + ``sizes``.
    """
    position = np.array(center) + random.uniform(-2, 2, 3)
    rotation = random_rotation(random, 12.0)
    matrix = (rotation / random.uniform(1 - sizes, 1 + sizes)).astype(np.float32)
    return np.tensordot(matrix, points - position.astype(np.float32).reshape(3, 1, 1, 1), axes=1)


def random_rotation(random: np.random.Generator, degrees: float) -> NDArray[np.float64]:
    """Return a rotation about a random axis by up to ``degrees`` (Rodrigues' formula)."""
    x, y, z = _direction(random)
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    angle = np.deg2rad(random.uniform(-degrees, degrees))
    return np.asarray(np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross)


def _direction(random: np.random.Generator) -> NDArray[np.float64]:
    vector = random.normal(size=3)
    return np.asarray(vector / np.linalg.norm(vector))
