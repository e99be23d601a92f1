"""Volume: voxels and their affine, from which all other geometry is derived.

Array axes are (C, X, Y, Z): channels, then the voxel axes in the order of the file. The affine maps
a voxel index (x, y, z) to mm in RAS+ (right, anterior, superior). A picture is a volume with Z = 1;
it has no physical spacing, so its unit is "px".
"""

# mypy: allow-untyped-calls
# (nibabel and SimpleITK have no annotations on the calls used here)

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

Unit = Literal["mm", "px"]
Shape = tuple[int, int, int]
"""Number of voxels along X, Y, Z."""
Box = tuple[slice, slice, slice]
"""Part of a voxel grid: the slices along X, Y, Z."""

LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])
"""Matrix from ITK's and DICOM's world (left, posterior, superior) to RAS+, and back."""
SHEAR = 1e-3
"""Largest cosine between two voxel axes that still counts as a right angle (0.06 degrees)."""


@dataclass(frozen=True, eq=False)
class Grid:
    """Voxel grid of a scan without its voxels: shape (X, Y, Z), affine (4, 4) to RAS+, unit."""

    shape: Shape
    affine: NDArray[np.float64]
    unit: Unit = "mm"

    @property
    def spacing(self) -> tuple[float, float, float]:
        """Voxel spacing along X, Y and Z in ``unit``."""
        edges = np.linalg.norm(self.affine[:3, :3], axis=0)
        return (float(edges[0]), float(edges[1]), float(edges[2]))

    @property
    def voxel_volume(self) -> float:
        """Volume of one voxel in ``unit`` cubed.

        >>> Grid((4, 5, 6), np.diag([1.0, 1.0, 2.5, 1.0])).voxel_volume
        2.5
        """
        return abs(float(np.linalg.det(self.affine[:3, :3])))

    @property
    def voxels(self) -> int:
        """Number of voxels of one channel."""
        return self.shape[0] * self.shape[1] * self.shape[2]

    @property
    def shear(self) -> float:
        """Largest cosine between two voxel axes: 0 if all three meet at right angles."""
        axes = self.affine[:3, :3] / self.spacing
        return float(np.abs(axes.T @ axes - np.eye(3)).max())

    def corners(self) -> NDArray[np.float64]:
        """Return the RAS+ coordinates (8, 3) of the eight corner voxels' centers, in ``unit``."""
        ends = [(0, size - 1) for size in self.shape]
        indices = np.array(
            [(x, y, z, 1) for x in ends[0] for y in ends[1] for z in ends[2]], dtype=np.float64
        )
        return np.asarray((indices @ self.affine.T)[:, :3], dtype=np.float64)

    def matches(self, other: Grid, tolerance: float = 0.05) -> bool:
        """Return whether two grids have one shape and their corners coincide.

        Args:
            other: the grid to compare with.
            tolerance: largest distance of two corners, as a share of the smallest voxel spacing.
        """
        if self.shape != other.shape:
            return False
        return self.distance(other) <= tolerance * min(self.spacing)

    def distance(self, other: Grid) -> float:
        """Return the largest distance between corresponding corner voxels, in ``unit``.

        >>> grid = Grid((4, 5, 6), np.eye(4))
        >>> grid.distance(Grid((4, 5, 8), np.eye(4)))
        2.0
        """
        return float(np.linalg.norm(self.corners() - other.corners(), axis=1).max())


@dataclass(frozen=True, eq=False, repr=False)
class Volume:
    """Voxels (C, X, Y, Z) with the affine of their grid, and no path, header or tensor.

    >>> scan = Volume(np.zeros((1, 4, 5, 6)), np.diag([1.0, 1.0, 2.5, 1.0]))
    >>> scan.spacing
    (1.0, 1.0, 2.5)
    >>> scan
    Volume(4 x 5 x 6 voxels of 1 x 1 x 2.5 mm, 1 channel, float64)

    Raises:
        ValueError: the array does not have four axes, or the affine is not (4, 4).
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
        """Shape, affine and unit, without the voxels."""
        _, x, y, z = self.array.shape
        return Grid((x, y, z), self.affine, self.unit)

    @property
    def channels(self) -> int:
        """Number of channels."""
        return int(self.array.shape[0])

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the voxels."""
        return self.array.dtype

    @property
    def spacing(self) -> tuple[float, float, float]:
        """Voxel spacing along X, Y and Z in ``unit``."""
        return self.grid.spacing

    def planes(self, start: int, stop: int) -> NDArray[Any]:
        """Return the voxels (C, X, Y, stop - start) of the planes ``start`` to ``stop`` along Z."""
        return self.array[..., start:stop]

    def with_array(self, array: NDArray[Any]) -> Volume:
        """Return a volume of other voxels (C, X, Y, Z) with the same affine and unit."""
        return Volume(array, self.affine, self.unit)

    def __repr__(self) -> str:
        shape = " x ".join(map(str, self.grid.shape))
        spacing = " x ".join(f"{edge:.4g}" for edge in self.spacing)
        channels = "1 channel" if self.channels == 1 else f"{self.channels} channels"
        return f"Volume({shape} voxels of {spacing} {self.unit}, {channels}, {self.dtype})"

    def to_nibabel(self) -> Any:
        """Return a nibabel image with this affine.

        Its axes are (X, Y, Z), or (X, Y, Z, C) for several channels. The image is NIfTI-2 where an
        axis is too long for NIfTI-1.
        """
        from nibabel.nifti1 import Nifti1Image  # noqa: PLC0415  (imported when a caller wants it)
        from nibabel.nifti2 import Nifti2Header, Nifti2Image  # noqa: PLC0415

        header = nifti_header(self.grid)
        voxels = self._voxels_for_files()
        voxels = voxels[0] if self.channels == 1 else np.moveaxis(voxels, 0, -1)
        image_type = Nifti2Image if isinstance(header, Nifti2Header) else Nifti1Image
        return image_type(voxels, self.affine, header, dtype=voxels.dtype)

    def to_sitk(self) -> Any:
        """Return a SimpleITK image of three axes on the same grid, in ITK's LPS+ world.

        Several channels become the components of a vector per voxel.
        """
        import SimpleITK  # noqa: PLC0415  (imported when a caller wants it)

        voxels = self._voxels_for_files().transpose(0, 3, 2, 1)
        voxels = voxels[0] if self.channels == 1 else np.moveaxis(voxels, 0, -1)
        image = SimpleITK.GetImageFromArray(
            np.ascontiguousarray(voxels), isVector=self.channels > 1
        )
        affine = LPS_TO_RAS @ self.affine
        image.SetSpacing(self.spacing)
        image.SetDirection((affine[:3, :3] / np.array(self.spacing)).ravel().tolist())
        image.SetOrigin(affine[:3, 3].tolist())
        return image

    def _voxels_for_files(self) -> NDArray[Any]:
        voxels = np.asarray(self.array)
        return voxels.astype(file_type(voxels.dtype), copy=False)


def file_type(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """Return the type in which image files hold voxels of ``dtype``.

    It has native byte order; booleans become uint8 and float16 becomes float32.

    >>> file_type(np.dtype("float16")).name, file_type(np.dtype(">i2")).name
    ('float32', 'int16')
    """
    if dtype == np.bool_:
        return np.dtype(np.uint8)
    if dtype == np.float16:
        return np.dtype(np.float32)
    return dtype.newbyteorder("=")


def nifti_header(grid: Grid) -> Any:
    """Return a new nibabel header for one channel on ``grid``, with its affine as sform and qform.

    A qform cannot represent a shear, so its code is 0 if the voxel axes do not meet at right
    angles.
    """
    from nibabel.nifti1 import Nifti1Header  # noqa: PLC0415  (imported when a caller wants it)
    from nibabel.nifti2 import Nifti2Header  # noqa: PLC0415

    too_long = max(grid.shape) > np.iinfo(np.int16).max  # NIfTI-1 counts voxels in 16 bits
    header = Nifti2Header() if too_long else Nifti1Header()
    header.set_data_shape(grid.shape)
    header.set_xyzt_units("mm" if grid.unit == "mm" else "unknown")
    header.set_qform(grid.affine, code=1 if grid.shear <= SHEAR else 0)
    header.set_sform(grid.affine, code=1)
    return header


class VolumeSource(Protocol):
    """Scan whose grid and type are known and whose voxels are read on request; a Volume is one."""

    @property
    def grid(self) -> Grid:
        """Shape, affine and unit."""
        ...

    @property
    def channels(self) -> int:
        """Number of channels."""
        ...

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the voxels of ``planes``."""
        ...

    def planes(self, start: int, stop: int) -> NDArray[Any]:
        """Return the voxels (C, X, Y, stop - start) of the planes ``start`` to ``stop`` along Z."""
        ...
