"""Array with slope and intercept: the stored numbers of a file, scaled when they are used.

A scan stored as 16-bit integers thus takes 2 bytes per voxel, or can be memory-mapped, although
its values are float32.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.lib.mixins import NDArrayOperatorsMixin
from numpy.typing import DTypeLike, NDArray

DISTINCT = 2**24
"""Integer up to which float32 represents every integer exactly."""


def scaled_type(stored: np.dtype[Any], slope: float, intercept: float) -> np.dtype[Any]:
    """Return the type of ``stored * slope + intercept``.

    Args:
        stored: type of the stored numbers.
        slope: factor in the header.
        intercept: summand in the header.

    It is float32 if consecutive stored integers keep different values in float32, else float64.

    >>> [scaled_type(np.dtype("int16"), 1.0, intercept).name for intercept in (-1000.0, 1e8)]
    ['float32', 'float64']
    """
    if stored.kind not in "iu":
        return np.dtype(np.float64 if stored.itemsize > 4 else np.float32)
    ends = np.iinfo(stored)
    largest = max(abs(end * slope + intercept) for end in (int(ends.min), int(ends.max)))
    return np.dtype(np.float32 if largest <= DISTINCT * abs(slope) else np.float64)


def as_stored(array: object) -> tuple[NDArray[Any], float, float]:
    """Return the stored numbers of an array, its slope and its intercept.

    For an ordinary array these are its values, 1 and 0.
    """
    if isinstance(array, ScaledArray):
        return array.stored, array.slope, array.intercept
    return np.asarray(array), 1.0, 0.0


def is_scaled(array: object) -> bool:
    """Return whether an array is a `ScaledArray`."""
    return isinstance(array, ScaledArray)


@dataclass(frozen=True, eq=False, repr=False)
class ScaledArray(NDArrayOperatorsMixin):
    """Stand-in for an array of the values ``stored * slope + intercept``.

    ``np.asarray`` computes the values, in the type that `scaled_type` returns. A slice or a
    transpose is a ScaledArray again. Any other numpy operation computes the values of its whole
    input, so large arrays are best passed in blocks.

    >>> scaled = ScaledArray(np.array([[0, 2], [4, 6]], np.int16), 0.5, -1.0)
    >>> np.asarray(scaled[1]).tolist(), (scaled > 0).tolist(), scaled.dtype.name
    ([1.0, 2.0], [[False, False], [True, True]], 'float32')
    """

    stored: NDArray[Any]
    slope: float
    intercept: float

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the values."""
        return scaled_type(self.stored.dtype, self.slope, self.intercept)

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the array."""
        return self.stored.shape

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return self.stored.ndim

    @property
    def size(self) -> int:
        """Number of values."""
        return self.stored.size

    @property
    def strides(self) -> tuple[int, ...]:
        """Distance in bytes from one stored number to the next along each axis."""
        return self.stored.strides

    @property
    def T(self) -> ScaledArray:  # noqa: N802  (numpy's name)
        """Transpose, as in numpy."""
        return self.transpose()

    def transpose(self, *axes: Any) -> ScaledArray:
        """Return the array with its axes in another order, as in numpy."""
        return self._of(self.stored.transpose(*axes))

    def __getitem__(self, key: Any) -> ScaledArray:
        return self._of(np.asarray(self.stored[key]))

    def __len__(self) -> int:
        return len(self.stored)

    def __iter__(self) -> Iterator[ScaledArray]:
        return map(self._of, self.stored)

    def _of(self, stored: NDArray[Any]) -> ScaledArray:
        return ScaledArray(stored, self.slope, self.intercept)

    def __array__(self, dtype: DTypeLike | None = None, copy: bool | None = None) -> NDArray[Any]:
        if copy is False:
            raise ValueError("the values are computed, so they cannot be returned without a copy")
        with np.errstate(over="ignore", invalid="ignore"):  # overflow is reported as infinite
            exact = np.asarray(self.stored * np.float64(self.slope))
            exact += self.intercept
            values = exact.astype(self.dtype, copy=False)
        return values if dtype is None else values.astype(dtype, copy=False)

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **options: Any) -> Any:
        values = (np.asarray(item) if isinstance(item, ScaledArray) else item for item in inputs)
        return getattr(ufunc, method)(*values, **options)
