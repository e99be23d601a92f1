"""Write the numbers of DeepMind's surface-distance that the tests compare with.

    pip install surface-distance numpy scipy
    python tests/evaluation/deepmind_reference.py

They stay in a file, because the package is no dependency of segkit. Masks are made of integers
only, so that every machine builds the same.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

REFERENCE = Path(__file__).with_name("deepmind_reference.json")
CASES = {
    "rough": ((17, 15, 13), (1.0, 1.0, 1.0), 2),
    "rough, thick slices": ((17, 15, 13), (0.7, 0.9, 3.0), 2),
    "shifted by three": ((19, 16, 15), (1.5, 0.8, 1.1), 3),
    "picture": ((23, 19), (1.0, 1.0), 1),
    "picture, oblong pixels": ((23, 19), (0.4, 1.3), 2),
}
"""Shape, spacing, and shift of the prediction in voxels along the first axis."""


def masks(shape: tuple[int, ...], shift: int) -> tuple[np.ndarray, np.ndarray]:
    """Return a prediction and a reference: an ellipsoid with a pattern of holes, and it shifted."""
    grid = np.indices(shape)
    radius = [(size - 2 * shift - 2) // 2 for size in shape]
    center = [size // 2 for size in shape]
    inside = sum(
        ((axis - middle) ** 2 * 1000) // half**2
        for axis, middle, half in zip(grid, center, radius, strict=True)
    )
    pattern = (7 * grid[0] + 13 * grid[1] + 29 * grid[-1] + grid[0] * grid[1] * 3) % 11
    reference = (inside < 700) | ((inside < 1000) & (pattern < 4))
    predicted = (inside < 500) | ((inside < 1000) & (pattern < 7))
    return np.roll(predicted, shift, 0), reference


def _numbers(predicted: np.ndarray, reference: np.ndarray, spacing: tuple[float, ...]) -> dict:
    import surface_distance as peer  # noqa: PLC0415  (the tests import this module without it)

    found = peer.compute_surface_distances(reference, predicted, spacing)
    areas = [float(found[f"surfel_areas_{name}"].sum()) for name in ("gt", "pred")]
    means = peer.compute_average_surface_distance(found)
    return {
        "areas": areas,
        "hd95": float(peer.compute_robust_hausdorff(found, 95)),
        "means": [float(mean) for mean in means],
        "surface_dice": {
            str(limit): float(peer.compute_surface_dice_at_tolerance(found, limit))
            for limit in (0.5, 1.0, 2.0)
        },
    }


def main() -> None:
    """Compute the numbers of all cases and write them."""
    content = {
        "package": "surface-distance 0.1",
        "command": "python tests/evaluation/deepmind_reference.py",
        "cases": {
            name: _numbers(*masks(shape, shift), spacing)
            for name, (shape, spacing, shift) in CASES.items()
        },
    }
    REFERENCE.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
