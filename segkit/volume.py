"""Volume: voxels and the affine that places them; every other geometric fact is derived from those two.

Array axes are (C, X, Y, Z): channels, then the file's own voxel axes. The affine maps the index (x, y, z) to mm in
RAS+ (right, anterior, superior). A picture is a volume with Z = 1; without a physical spacing its unit is "px".
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

Unit = Literal["mm", "px"]
Shape = tuple[int, int, int]
"""Number of voxels along X, Y, Z."""
Box = tuple[slice, slice, slice]
"""Part of a voxel grid: the slices along X, Y, Z."""


@dataclass(frozen=True, eq=False)
class Grid:
    """The voxel grid of a scan, without its voxels."""

    shape: Shape
    affine: NDArray[np.float64]
    unit: Unit = "mm"

    @property
    def spacing(self) -> tuple[float, float, float]:
        """Voxel edge lengths along X, Y, Z in ``unit``."""
        edges = np.linalg.norm(self.affine[:3, :3], axis=0)
        return (float(edges[0]), float(edges[1]), float(edges[2]))

    @property
    def voxel_volume(self) -> float:
        """Of one voxel, in ``unit`` cubed."""
        return abs(float(np.linalg.det(self.affine[:3, :3])))

    @property
    def voxels(self) -> int:
        """Number of voxels of one channel."""
        return self.shape[0] * self.shape[1] * self.shape[2]

    def corners(self) -> NDArray[np.float64]:
        """World coordinates (8, 3) in mm of the centres of the eight corner voxels."""
        ends = [(0, n - 1) for n in self.shape]
        indices = np.array(
            [(x, y, z, 1) for x in ends[0] for y in ends[1] for z in ends[2]], dtype=np.float64
        )
        return np.asarray((indices @ self.affine.T)[:, :3], dtype=np.float64)

    def matches(self, other: Grid, tolerance: float = 0.05) -> bool:
        """Same shape, and every corner voxel within ``tolerance`` of a voxel edge of its counterpart."""
        if self.shape != other.shape:
            return False
        return self.distance(other) <= tolerance * min(self.spacing)

    def distance(self, other: Grid) -> float:
        """How far the corner voxels of two grids lie apart at the most, in ``unit``."""
        return float(np.linalg.norm(self.corners() - other.corners(), axis=1).max())


@dataclass(frozen=True, eq=False, repr=False)
class Volume:
    """Voxels (C, X, Y, Z) with the affine of their grid. Never holds a path, a header or a tensor.

    >>> scan = Volume(np.zeros((1, 4, 5, 6)), np.diag([1.0, 1.0, 2.5, 1.0]))
    >>> scan.spacing
    (1.0, 1.0, 2.5)
    >>> scan
    Volume(4 x 5 x 6 voxels of 1 x 1 x 2.5 mm, 1 channel, float64)
    """

    array: NDArray[Any]
    affine: NDArray[np.float64]
    unit: Unit = "mm"

    def __post_init__(self) -> None:
        if self.array.ndim != 4:
            raise ValueError(
                f"Volume.array must have the axes (C, X, Y, Z), not shape {self.array.shape}"
            )
        if np.shape(self.affine) != (4, 4):
            raise ValueError(f"Volume.affine must have shape (4, 4), not {np.shape(self.affine)}")

    @property
    def grid(self) -> Grid:
        _, x, y, z = self.array.shape
        return Grid((x, y, z), self.affine, self.unit)

    @property
    def channels(self) -> int:
        return int(self.array.shape[0])

    @property
    def dtype(self) -> np.dtype[Any]:
        return self.array.dtype

    @property
    def spacing(self) -> tuple[float, float, float]:
        """Voxel edge lengths along X, Y, Z in ``unit``."""
        return self.grid.spacing

    def planes(self, start: int, stop: int) -> NDArray[Any]:
        """Voxels (C, X, Y, stop - start) of the planes ``start`` to ``stop`` along Z."""
        return self.array[..., start:stop]

    def __repr__(self) -> str:
        sizes = " x ".join(map(str, self.grid.shape))
        edges = " x ".join(f"{edge:.4g}" for edge in self.spacing)
        many = "" if self.channels == 1 else "s"
        return f"Volume({sizes} voxels of {edges} {self.unit}, {self.channels} channel{many}, {self.dtype})"

    def to_nibabel(self) -> Any:
        """Return a nibabel image (X, Y, Z), or (X, Y, Z, C) of several channels, with this affine."""
        return _conversions("nifti.writer").image_of(self)

    def to_sitk(self) -> Any:
        """Return a SimpleITK image on the same grid in ITK's LPS+ world; several channels become a vector per voxel."""
        return _conversions("itk.reader").image_of(self)

    def with_array(self, array: NDArray[Any]) -> Volume:
        """The same geometry with other voxels (C, X, Y, Z)."""
        return Volume(array, self.affine, self.unit)


def _conversions(name: str) -> Any:
    """Return the module of a format when it is needed: what holds voxels must not import libraries of files."""
    return importlib.import_module(f"segkit.io.{name}")


class VolumeSource(Protocol):
    """A scan whose grid and type are known now and whose voxels are read when asked for; a Volume is one."""

    @property
    def grid(self) -> Grid: ...

    @property
    def channels(self) -> int: ...

    @property
    def dtype(self) -> np.dtype[Any]: ...

    def planes(self, start: int, stop: int) -> NDArray[Any]:
        """Voxels (C, X, Y, stop - start) of the planes ``start`` to ``stop`` along Z."""
        ...
